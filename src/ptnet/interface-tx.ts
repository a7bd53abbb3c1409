// The transmitting half of a ptnet interface: frames of the stack are copied into netmap buffers
// (ptnet_drain_transmit_queue). One queue a ring.

import { NS_MOREFRAG } from '../../assembly/abi/netmap.js';
import { VIRTIO_NET_HDR_MRG_LEN } from '../../assembly/abi/virtio-net.js';
import type { PtnetDriver } from './driver.js';
import type { GuestKring } from './driver-port.js';
import { newCounters } from './interface-counters.js';
import { MAX_PACKET, type TxFrame, taggedFrame, writeHeader } from './interface-header.js';

/** Frames that wait for room, a queue (PTNET_BUFRING_SIZE). */
const QUEUE_LIMIT = 4096;
/** Frames that one activation handles (PTNET_TX_BUDGET), and after how many it publishes. */
const BUDGET = 512;
const TX_BATCH = 64;
/** Bytes from which on an aligned copy pays for an extra one: 65 KB take 18 µs byte by byte, and 4 µs word by word. */
const STAGE_MIN = 512;

export class TxQueue {
  readonly counters = newCounters();
  readonly #driver: PtnetDriver;
  readonly #kring: GuestKring;
  readonly #headerLength: number;
  readonly #minSpace: number;
  #staging: Uint8Array | undefined;
  #waiting: TxFrame[] = [];
  #next = 0;
  /** Offered packets that the host has not been told of. */
  #unpublished = 0;
  /** Whether an offered packet has found no room, and none has come since. */
  #stalled = false;

  /** @param headerLength bytes of virtio-net header in front of each frame */
  constructor(driver: PtnetDriver, kring: GuestKring, headerLength: number) {
    this.#driver = driver;
    this.#kring = kring;
    this.#headerLength = headerLength;
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
    this.#put(packet, 0, this.#headerLength);
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

  #putFrame(frame: TxFrame): void {
    const { data, metadata } = taggedFrame(frame);
    const { u8, head } = this.#kring.ring;
    const headerLength = this.#headerLength;
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
