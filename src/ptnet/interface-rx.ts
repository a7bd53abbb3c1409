// The receiving half of a ptnet interface: packets are copied out of netmap buffers, whole (ptnet_rx_eof). One queue a
// ring.

import { NS_MOREFRAG } from '../../assembly/abi/netmap.js';
import type { PtnetDriver } from './driver.js';
import type { GuestKring } from './driver-port.js';
import { newCounters } from './interface-counters.js';
import { LONGEST_PACKET, type MakeReceived } from './interface-header.js';
import type { ReceiveBatch, ReceiveDrop } from './interface-receive.js';

/** Frames that one activation handles (PTNET_RX_BUDGET). */
const BUDGET = 512;

export class RxQueue {
  readonly counters = newCounters();
  readonly drops = new Map<ReceiveDrop, number>();
  readonly #driver: PtnetDriver;
  readonly #kring: GuestKring;
  readonly #batch: ReceiveBatch;
  readonly #drop = (reason: ReceiveDrop): void => {
    this.counters.drops++;
    this.drops.set(reason, (this.drops.get(reason) ?? 0) + 1);
  };

  /** @param batch where received packets lie until the stack has had them; queues of one thread may share it */
  constructor(driver: PtnetDriver, kring: GuestKring, batch: ReceiveBatch) {
    this.#driver = driver;
    this.#kring = kring;
    this.#batch = batch;
  }

  /**
   * Hands received packets to `handler` in batches, a budget at the most. True when more may be there.
   * @param caps what is done with them before (RX_*)
   * @param active whether the interface still owns the rings; asked after each batch, as the handler may change it
   */
  receive<T>(caps: number, make: MakeReceived<T>, handler: (received: T[]) => void, active: () => boolean): boolean {
    for (let taken = 0; taken < BUDGET; ) {
      this.#sync();
      this.#batch.begin();
      const moved = this.#collect(BUDGET - taken);
      if (moved === 0) return false;
      taken += moved;
      this.#sync(); // the slots are free before the stack works on the copies
      const received = this.#batch.finish(caps, make, this.#drop);
      if (received.length !== 0) handler(received);
      if (!active()) return false;
    }
    return true;
  }

  #sync(): void {
    this.#driver.rxsync(this.#kring, 0);
  }

  /** Copies whole packets out of the ring and moves head past them. Returns how many those were. */
  #collect(limit: number): number {
    const { ring } = this.#kring;
    const batch = this.#batch;
    // A peer can write the indices: read once. Those that are none are put right by the next sync.
    let head = ring.head >>> 0;
    const tail = ring.tail >>> 0;
    if (head >= ring.numSlots || tail >= ring.numSlots) return 0;
    let moved = 0;
    for (; moved < limit && head !== tail; moved++) {
      const end = this.#packetEnd(head, tail);
      if (end < 0) break; // the rest of it is still to come
      const at = batch.reserve();
      if (at < 0) break;
      const copied = this.#copy(head, end, at);
      if (typeof copied === 'number') {
        batch.add(copied);
        this.counters.packets++;
        this.counters.bytes += Math.max(copied - batch.headerLength, 0);
        if (copied > batch.headerLength && batch.u8[at + batch.headerLength] & 1) this.counters.multicasts++;
      } else {
        this.#drop(copied);
      }
      head = end;
      ring.head = end;
      ring.cur = end;
    }
    return moved;
  }

  /** Slot after the packet that begins at `head`, or -1 when its end has not arrived. */
  #packetEnd(head: number, tail: number): number {
    const { ring } = this.#kring;
    for (let i = head; i !== tail; ) {
      const more = (ring.i32[ring.slotBase + (i << 2) + 1] >>> 16) & NS_MOREFRAG;
      i = ring.next(i);
      if (more === 0) return i;
    }
    return ring.next(tail) === head ? tail : -1; // a full ring: more of it cannot come
  }

  /** Copies the packet from head to `end`: its length with the header, or why it is dropped. */
  #copy(head: number, end: number, to: number): number | ReceiveDrop {
    const { ring } = this.#kring;
    const { i32, u8, bufBase, bufSize, numBufs, slotBase } = ring;
    const batch = this.#batch.u8;
    let length = 0;
    let more = 0;
    // Slots that follow each other mostly name buffers that do, too: one copy for all of them.
    let run = 0; // address
    let runEnd = 0;
    let runTo = to;
    for (let i = head; i !== end; i = ring.next(i)) {
      const idx = i32[slotBase + (i << 2)] >>> 0;
      const lenFlags = i32[slotBase + (i << 2) + 1];
      const len = lenFlags & 0xffff;
      more = (lenFlags >>> 16) & NS_MOREFRAG;
      if (idx < 2 || idx >= numBufs || len > bufSize) return 'slot';
      if (length + len > LONGEST_PACKET) return 'long';
      const at = bufBase + idx * bufSize;
      if (at !== runEnd) {
        if (runEnd !== run) batch.set(u8.subarray(run, runEnd), runTo);
        run = at;
        runTo = to + length;
      }
      runEnd = at + len;
      length += len;
    }
    if (runEnd !== run) batch.set(u8.subarray(run, runEnd), runTo);
    return more === 0 ? length : 'long';
  }
}
