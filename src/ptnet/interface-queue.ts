// The queues of a ptnet interface: frames of the stack are copied into netmap buffers and out of them
// (ptnet_drain_transmit_queue, ptnet_rx_eof). One queue a ring.

import { NS_MOREFRAG } from '../../assembly/abi/netmap.js';
import { VIRTIO_NET_HDR_MRG_LEN } from '../../assembly/abi/virtio-net.js';
import type { PtnetDriver } from './driver.js';
import type { GuestKring } from './driver-port.js';
import { type MakeReceived, type TxFrame, writeHeader } from './interface-header.js';

/** Largest packet, in bytes, as in the driver (PTNET_MAX_PKT_SIZE). */
export const MAX_PACKET = 65536;
/** Frames that wait for room, a queue (PTNET_BUFRING_SIZE). */
const QUEUE_LIMIT = 4096;
/** Frames that one activation handles (PTNET_TX_BUDGET, PTNET_RX_BUDGET), and after how many sent ones it publishes. */
const BUDGET = 512;
const TX_BATCH = 64;
/** Bytes from which on an aligned copy pays for an extra one: 65 KB take 18 µs byte by byte, and 4 µs word by word. */
const STAGE_MIN = 512;
/** Bytes of frames that a receive handler gets at once. */
const RX_MEMORY = 4 * MAX_PACKET;

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
  #staging: Uint8Array | undefined;
  #waiting: TxFrame[] = [];
  #next = 0;
  /** Offered packets that the host has not been told of. */
  #unpublished = 0;
  /** Whether an offered packet has found no room, and none has come since. */
  #stalled = false;

  constructor(driver: PtnetDriver, kring: GuestKring) {
    this.#driver = driver;
    this.#kring = kring;
    this.#minSpace = Math.min(Math.ceil(MAX_PACKET / kring.ring.bufSize) + 2, kring.ring.numSlots - 1);
  }

  /** Frames that wait for room. */
  get length(): number {
    return this.#waiting.length - this.#next;
  }

  /** Whether a packet of `length` bytes, header included, fits the ring at all. */
  holds(length: number): boolean {
    const { bufSize, numSlots } = this.#kring.ring;
    return Math.ceil(length / bufSize) < numSlots;
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

  /**
   * Copies a packet, virtio-net header first, into the ring. False when there is no room: an interrupt then tells that
   * there is. The host is told at `push`, or after enough packets.
   */
  offer(packet: Uint8Array): boolean {
    const { ring } = this.#kring;
    if (this.length !== 0 || (ring.space < this.#minSpace && !this.#reclaim())) {
      this.#stalled = true;
      return false;
    }
    this.#put(packet, 0, this.#driver.vnetHdrLen);
    if (++this.#unpublished === TX_BATCH) this.push();
    return true;
  }

  /** Tells the host of offered packets. */
  push(): void {
    if (this.#unpublished === 0) return;
    this.#unpublished = 0;
    this.#publish();
  }

  /** Whether there is room again after an offered packet has found none. True once. */
  recovered(): boolean {
    if (!this.#stalled || this.length !== 0) return false;
    this.#stalled = this.#kring.ring.space < this.#minSpace && !this.#reclaim();
    return !this.#stalled;
  }

  /** Whether an offered packet still waits for room. */
  get stalled(): boolean {
    return this.#stalled && !this.recovered();
  }

  /** Copies waiting frames into the ring, a budget at the most. True when frames are left although there is room. */
  drain(): boolean {
    const { ring } = this.#kring;
    let sent = 0;
    while (this.length !== 0 && sent < BUDGET) {
      if (ring.space < this.#minSpace && !this.#reclaim()) break;
      this.#putFrame(this.#waiting[this.#next++]);
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

  #putFrame({ data, metadata }: TxFrame): void {
    const { u8, head } = this.#kring.ring;
    const headerLength = this.#driver.vnetHdrLen;
    if (headerLength !== 0 && this.#isSlow(data, headerLength)) {
      const packet = this.#stage(data, headerLength);
      writeHeader(packet, 0, headerLength, metadata);
      this.#put(packet, 0, headerLength);
      return;
    }
    if (headerLength !== 0) writeHeader(u8, this.#kring.ring.bufAddress(head), headerLength, metadata);
    this.#put(data, headerLength, 0);
  }

  /** Whether `set` would copy byte by byte: it does to and from shared memory when the two differ modulo 8. */
  #isSlow(data: Uint8Array, used: number): boolean {
    return data.length > STAGE_MIN && ((data.byteOffset - used) & 7) !== 0;
  }

  /** A copy of `data` at byte `at` of a memory that is not shared: copying there is fast at any distance. */
  #stage(data: Uint8Array, at: number): Uint8Array {
    this.#staging ??= new Uint8Array(MAX_PACKET + VIRTIO_NET_HDR_MRG_LEN);
    this.#staging.set(data, at);
    return this.#staging.subarray(0, at + data.length);
  }

  /** Copies `data` into slots, after `used` bytes that are in the first buffer; its frame begins at `start`. */
  #put(data: Uint8Array, used: number, start: number): void {
    if (this.#isSlow(data, used)) data = this.#stage(data, used & 7).subarray(used & 7);
    const { ring } = this.#kring;
    const { u8, bufSize } = ring;
    let i = ring.head;
    for (let from = 0; ; ) {
      const n = Math.min(bufSize - used, data.length - from);
      u8.set(n === data.length ? data : data.subarray(from, from + n), ring.bufAddress(i) + used);
      from += n;
      const last = from === data.length;
      ring.setSlot(i, used + n, last ? 0 : NS_MOREFRAG);
      i = ring.next(i);
      if (last) break;
      used = 0;
    }
    ring.head = i;
    ring.cur = i;
    this.counters.packets++;
    this.counters.bytes += data.length - start;
    if (data[start] & 1) this.counters.multicasts++;
  }
}

export class RxQueue {
  readonly counters = newCounters();
  readonly #driver: PtnetDriver;
  readonly #kring: GuestKring;
  /** Frames of one batch lie here one after the other. */
  readonly #memory = new Uint8Array(RX_MEMORY);

  constructor(driver: PtnetDriver, kring: GuestKring) {
    this.#driver = driver;
    this.#kring = kring;
  }

  /**
   * Hands received frames to `handler` in batches, a budget at the most. True when more may be there.
   * @param active whether the interface still owns the rings; asked after each batch, as the handler may change it
   */
  receive<T>(make: MakeReceived<T>, handler: (frames: T[]) => void, active: () => boolean): boolean {
    let taken = 0;
    while (taken < BUDGET) {
      this.#sync();
      const frames = this.#collect(BUDGET - taken, make);
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
  #collect<T>(limit: number, make: MakeReceived<T>): T[] {
    const { ring } = this.#kring;
    const frames: T[] = [];
    let used = 0;
    while (frames.length < limit && ring.head !== ring.tail) {
      const end = this.#packetEnd();
      if (end < 0) break; // the rest of it is still to come
      if (used + MAX_PACKET + VIRTIO_NET_HDR_MRG_LEN > this.#memory.length) break;
      const length = this.#copy(end, used);
      if (length > 0) {
        const headerLength = this.#driver.vnetHdrLen;
        this.counters.packets++;
        this.counters.bytes += length - headerLength;
        if (this.#memory[used + headerLength] & 1) this.counters.multicasts++;
        frames.push(make(this.#memory, used, length, headerLength));
        used += (length + 7) & ~7; // or the next copy is one of single bytes (see STAGE_MIN)
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
