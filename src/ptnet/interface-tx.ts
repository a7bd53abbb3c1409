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
/** Bytes of a slot that its 16 bits of length can say, a multiple of 8. */
const SLOT_LIMIT = 0xfff8;
/** Bytes from which on an aligned copy pays for an extra one: 65 KB take 18 µs byte by byte, and 4 µs word by word. */
const STAGE_MIN = 512;

export class TxQueue {
  readonly counters = newCounters();
  readonly #driver: PtnetDriver;
  readonly #kring: GuestKring;
  readonly #headerLength: number;
  readonly #slotSize: number;
  readonly #minSpace: number;
  #staging: Uint8Array | undefined;
  #waiting: TxFrame[] = [];
  #next = 0;
  /** Offered packets that the host has not been told of. */
  #unpublished = 0;
  /** Whether an offered packet has found no room, and none has come since. */
  #stalled = false;
  /** The same of a frame that waits in the queue. */
  #starved = false;

  /** @param headerLength bytes of virtio-net header in front of each frame */
  constructor(driver: PtnetDriver, kring: GuestKring, headerLength: number) {
    this.#driver = driver;
    this.#kring = kring;
    this.#headerLength = headerLength;
    this.#slotSize = Math.min(kring.ring.bufSize, SLOT_LIMIT);
    this.#minSpace = Math.min(Math.ceil(MAX_PACKET / this.#slotSize) + 2, kring.ring.numSlots - 1);
  }

  /** Frames that wait for room. */
  get length(): number {
    return this.#waiting.length - this.#next;
  }

  /** Whether a packet of `length` bytes, header included, fits the ring at all. */
  holds(length: number): boolean {
    return Math.ceil(length / this.#slotSize) < this.#kring.ring.numSlots;
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
      if (!this.#stalled) this.counters.stalls++;
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
      if (ring.space < this.#minSpace && !this.#reclaim()) {
        if (!this.#starved) this.counters.stalls++;
        this.#starved = true;
        break;
      }
      this.#starved = false;
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
    this.#driver.txsync(this.#kring, 0);
  }

  /** Looks for sent slots. If there are too few, asks for an interrupt and looks again: then false is final. */
  #reclaim(): boolean {
    const { ring } = this.#kring;
    ring.cur = ring.tail; // wait for more than there is
    this.#publish();
    const enough = ring.space >= this.#minSpace;
    if (enough) ring.cur = ring.head;
    return enough;
  }

  #putFrame(frame: TxFrame): void {
    const { data, metadata } = taggedFrame(frame);
    const { u8 } = this.#kring.ring;
    const headerLength = this.#headerLength;
    if (headerLength !== 0 && this.#isSlow(data, headerLength)) {
      const packet = this.#stage(data, headerLength);
      writeHeader(packet, 0, headerLength, metadata);
      this.#put(packet, 0, headerLength);
      return;
    }
    const buffer = headerLength === 0 ? 0 : this.#bufferOf(this.#head());
    if (buffer !== 0) writeHeader(u8, buffer, headerLength, metadata);
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

  /** The slot where the next packet begins. An index that is none (a peer can write it) is put right by a sync. */
  #head(): number {
    const { ring } = this.#kring;
    const head = ring.head >>> 0;
    if (head < ring.numSlots) return head;
    this.#publish();
    const reset = ring.head >>> 0;
    return reset < ring.numSlots ? reset : 0;
  }

  /** Address of slot i's buffer; 0 if it names none, as a peer may have written. */
  #bufferOf(i: number): number {
    const { i32, slotBase, numBufs, bufBase, bufSize } = this.#kring.ring;
    const idx = i32[slotBase + (i << 2)] >>> 0;
    return idx < 2 || idx >= numBufs ? 0 : bufBase + idx * bufSize;
  }

  /** Copies `data` into slots, after `used` bytes that are in the first buffer; its frame begins at `start`. */
  #put(data: Uint8Array, used: number, start: number): void {
    if (this.#isSlow(data, used)) data = this.#stage(data, used & 7).subarray(used & 7);
    const { ring } = this.#kring;
    const { u8 } = ring;
    const head = this.#head();
    let i = head;
    // Slots that follow each other mostly name buffers that do, too: one copy for all of them.
    let run = 0; // address
    let runEnd = 0;
    let runFrom = 0;
    for (let from = 0; ; ) {
      const buffer = this.#bufferOf(i);
      if (buffer === 0) {
        this.#spoil(head, i);
        return;
      }
      const n = Math.min(this.#slotSize - used, data.length - from);
      if (buffer + used !== runEnd) {
        if (from !== 0) u8.set(data.subarray(runFrom, from), run);
        run = buffer + used;
        runFrom = from;
      }
      runEnd = buffer + used + n;
      from += n;
      const last = from === data.length;
      ring.setSlot(i, used + n, last ? 0 : NS_MOREFRAG);
      i = ring.next(i);
      if (last) break;
      used = 0;
    }
    u8.set(runFrom === 0 ? data : data.subarray(runFrom), run);
    ring.head = i;
    ring.cur = i;
    this.counters.packets++;
    this.counters.bytes += data.length - start;
    if (data[start] & 1) this.counters.multicasts++;
  }

  /** Drops a packet because of slot `bad`: the host gets the slots from `head` to it empty, counts it, and goes on. */
  #spoil(head: number, bad: number): void {
    const { ring } = this.#kring;
    const end = ring.next(bad);
    for (let i = head; i !== end; i = ring.next(i)) ring.setSlot(i, 0);
    ring.head = end;
    ring.cur = end;
    this.counters.errors++;
  }
}
