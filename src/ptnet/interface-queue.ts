// The queues of a ptnet interface: frames of the stack are copied into netmap buffers and out of them
// (ptnet_drain_transmit_queue, ptnet_rx_eof). One queue a ring.

import { NS_MOREFRAG } from '../../assembly/abi/netmap.js';
import { VIRTIO_NET_HDR_MRG_LEN } from '../../assembly/abi/virtio-net.js';
import type { PtnetDriver } from './driver.js';
import type { GuestKring } from './driver-port.js';
import { type PacketMetadata, readHeader, writeHeader } from './interface-header.js';

/** A frame on its way to the host: bytes from the Ethernet header on, and what the stack asks of the host. */
export interface TxFrame {
  readonly data: Uint8Array;
  readonly metadata?: PacketMetadata | undefined;
}

/** A frame from the host. `data` lies in memory that is used again: it is valid until the receive handler returns. */
export interface RxFrame {
  readonly data: Uint8Array;
  readonly metadata: PacketMetadata;
}

/** Largest packet, in bytes, as in the driver (PTNET_MAX_PKT_SIZE). */
export const MAX_PACKET = 65536;
/** Frames that wait for room, a queue (PTNET_BUFRING_SIZE). */
const QUEUE_LIMIT = 4096;
/** Frames that one activation handles (PTNET_TX_BUDGET, PTNET_RX_BUDGET), and after how many sent ones it publishes. */
const BUDGET = 512;
const TX_BATCH = 64;

/** The counters of struct if_data that a queue has. */
export interface QueueCounters {
  packets: number;
  bytes: number;
  multicasts: number;
  errors: number;
  drops: number;
  /** Times that a queue found no room and waited for the host. */
  stalls: number;
}

export const newCounters = (): QueueCounters => ({
  packets: 0,
  bytes: 0,
  multicasts: 0,
  errors: 0,
  drops: 0,
  stalls: 0,
});

export class TxQueue {
  readonly counters = newCounters();
  readonly #driver: PtnetDriver;
  readonly #kring: GuestKring;
  readonly #minSpace: number;
  #waiting: TxFrame[] = [];
  #next = 0;

  constructor(driver: PtnetDriver, kring: GuestKring) {
    this.#driver = driver;
    this.#kring = kring;
    this.#minSpace = Math.min(Math.ceil(MAX_PACKET / kring.ring.bufSize) + 2, kring.ring.numSlots - 1);
  }

  /** Frames that wait for room. */
  get length(): number {
    return this.#waiting.length - this.#next;
  }

  /** Takes a frame; false when the queue is full. The frame's bytes are copied later and must not change. */
  enqueue(frame: TxFrame): boolean {
    if (this.length >= QUEUE_LIMIT) {
      this.counters.errors++;
      return false;
    }
    this.#waiting.push(frame);
    return true;
  }

  /** Copies waiting frames into the ring, a budget at the most. True when frames are left although there is room. */
  drain(): boolean {
    const { ring } = this.#kring;
    let sent = 0;
    while (this.length !== 0 && sent < BUDGET) {
      if (ring.space < this.#minSpace && !this.#reclaim()) break;
      this.#put(this.#waiting[this.#next++]);
      if (++sent % TX_BATCH === 0) this.#publish();
    }
    if (sent % TX_BATCH !== 0) this.#publish();
    if (this.#next === this.#waiting.length) {
      this.#waiting = [];
      this.#next = 0;
    } else if (this.#next >= QUEUE_LIMIT) {
      this.#waiting = this.#waiting.slice(this.#next);
      this.#next = 0;
    }
    return this.length !== 0 && ring.space >= this.#minSpace;
  }

  /** Drops what waits (if_qflush). Returns how many frames that were. */
  flush(): number {
    const dropped = this.length;
    this.#waiting = [];
    this.#next = 0;
    this.counters.drops += dropped;
    return dropped;
  }

  #publish(): void {
    if (this.#driver.machine.wasm.ptnetTxsync(this.#kring.ptr, 0) !== 0) this.#driver.kick(this.#kring);
  }

  /** Looks for sent slots. If there are too few, asks for an interrupt and looks again: then false is final. */
  #reclaim(): boolean {
    const { ring } = this.#kring;
    ring.cur = ring.tail; // wait for more than there is
    this.#publish();
    const enough = ring.space >= this.#minSpace;
    if (enough) ring.cur = ring.head;
    else this.counters.stalls++;
    return enough;
  }

  #put({ data, metadata }: TxFrame): void {
    const { ring } = this.#kring;
    const { u8, bufSize } = ring;
    const headerLength = this.#driver.vnetHdrLen;
    let i = ring.head;
    let at = ring.bufAddress(i);
    let used = headerLength;
    if (headerLength !== 0) writeHeader(u8, at, headerLength, metadata);
    for (let from = 0; ; ) {
      const n = Math.min(bufSize - used, data.length - from);
      u8.set(n === data.length ? data : data.subarray(from, from + n), at + used);
      from += n;
      const last = from === data.length;
      ring.setSlot(i, used + n, last ? 0 : NS_MOREFRAG);
      i = ring.next(i);
      if (last) break;
      at = ring.bufAddress(i);
      used = 0;
    }
    ring.head = i;
    ring.cur = i;
    this.counters.packets++;
    this.counters.bytes += data.length;
    if (data[0] & 1) this.counters.multicasts++;
  }
}

export class RxQueue {
  readonly counters = newCounters();
  readonly #driver: PtnetDriver;
  readonly #kring: GuestKring;
  /** Frames of one batch lie here one after the other. */
  readonly #memory = new Uint8Array(2 * MAX_PACKET);

  constructor(driver: PtnetDriver, kring: GuestKring) {
    this.#driver = driver;
    this.#kring = kring;
  }

  /**
   * Hands received frames to `handler` in batches, a budget at the most. True when more may be there.
   * @param active whether the interface still owns the rings; asked after each batch, as the handler may change it
   */
  receive(handler: (frames: RxFrame[]) => void, active: () => boolean): boolean {
    let taken = 0;
    while (taken < BUDGET) {
      this.#sync();
      const frames = this.#collect(BUDGET - taken);
      if (frames.length === 0) return false;
      taken += frames.length;
      this.#sync(); // the slots are free before the stack works on the copies
      handler(frames);
      if (!active()) return false;
    }
    return true;
  }

  #sync(): void {
    if (this.#driver.machine.wasm.ptnetRxsync(this.#kring.ptr, 0) !== 0) this.#driver.kick(this.#kring);
  }

  /** Copies whole packets out of the ring and moves head past them. */
  #collect(limit: number): RxFrame[] {
    const { ring } = this.#kring;
    const frames: RxFrame[] = [];
    let used = 0;
    while (frames.length < limit && ring.head !== ring.tail) {
      const end = this.#packetEnd();
      if (end < 0) break; // the rest of it is still to come
      if (used + MAX_PACKET + VIRTIO_NET_HDR_MRG_LEN > this.#memory.length) break;
      const length = this.#copy(end, used);
      if (length > 0) {
        const headerLength = this.#driver.vnetHdrLen;
        const data = this.#memory.subarray(used + headerLength, used + length);
        const metadata = readHeader(this.#memory, used, headerLength);
        this.counters.packets++;
        this.counters.bytes += data.length;
        if (data[0] & 1) this.counters.multicasts++;
        frames.push({ data, metadata });
        used += length;
      } else {
        this.counters.drops++;
      }
      ring.head = end;
      ring.cur = end;
    }
    return frames;
  }

  /** Slot after the packet at head, or -1 when its end has not arrived. */
  #packetEnd(): number {
    const { ring } = this.#kring;
    const { tail } = ring;
    for (let i = ring.head; i !== tail; ) {
      const more = (ring.i32[ring.slotBase + (i << 2) + 1] >>> 16) & NS_MOREFRAG;
      i = ring.next(i);
      if (more === 0) return i;
    }
    return -1;
  }

  /** Copies the packet from head to `end`: its length with the header, or 0 if it is too short, too long or has bad slots. */
  #copy(end: number, to: number): number {
    const { ring } = this.#kring;
    const { i32, u8, bufBase, bufSize, numBufs, slotBase } = ring;
    let length = 0;
    for (let i = ring.head; i !== end; i = ring.next(i)) {
      const idx = i32[slotBase + (i << 2)] >>> 0;
      const len = i32[slotBase + (i << 2) + 1] & 0xffff;
      if (idx < 2 || idx >= numBufs || len > bufSize || length + len > MAX_PACKET + VIRTIO_NET_HDR_MRG_LEN) return 0;
      const at = bufBase + idx * bufSize;
      this.#memory.set(u8.subarray(at, at + len), to + length);
      length += len;
    }
    return length > this.#driver.vnetHdrLen ? length : 0;
  }
}
