// The hot loops of pkt-gen: slots are written and read as one word, `len | flags << 16`, in the ring's typed array.

import { abi, type NetmapRing } from '../../index.js';
import type { FrameSource } from './frame.js';

const CHANGED = abi.NS_BUF_CHANGED << 16;
const MOREFRAG_BIT = 21; // NS_MOREFRAG is 0x20, in the upper half of the word

/** Fills the slots of one tx ring with a generator's frames. */
export class FrameWriter {
  readonly ring: NetmapRing;
  readonly #frame: FrameSource;
  readonly #rubbish: boolean;

  /**
   * Puts the frame into all buffers: from now on only slots are written, while the ring keeps its buffers.
   * @param rubbish leaves the buffers as they are
   */
  constructor(ring: NetmapRing, frame: FrameSource, rubbish = false) {
    this.ring = ring;
    this.#frame = frame;
    this.#rubbish = rubbish;
    for (let i = 0; i < ring.numSlots; i++) this.refill(i);
  }

  /** Queues up to `limit` frames. Returns how many. */
  fill(limit: number): number {
    const { ring } = this;
    const { head, numSlots } = ring;
    const count = Math.min(ring.space, limit);
    const run = Math.min(count, numSlots - head);
    const write = this.#frame.varies && !this.#rubbish ? writeVarying : writeSlots;
    write(this, head, run);
    write(this, 0, count - run);
    ring.advance(count);
    return count;
  }

  /** Copies the frame into the buffer of a slot. */
  refill(slot: number): void {
    if (!this.#rubbish) this.ring.u8.set(this.#frame.bytes, this.ring.bufAddress(slot));
  }

  /** Copies what differs of the frame into the buffer of a slot, and goes on to the next one. Returns its size. */
  vary(slot: number): number {
    const { u8 } = this.ring;
    const { bytes, size, variable } = this.#frame;
    const at = this.ring.bufAddress(slot);
    for (let i = variable[0]; i < variable[1]; i++) u8[at + i] = bytes[i];
    this.#frame.next();
    return size;
  }

  /** Bytes of `count` frames that were queued from slot `from` on. */
  bytesOf(from: number, count: number): number {
    if (!this.#frame.varies) return count * this.#frame.size;
    const { i32, slotBase, numSlots } = this.ring;
    let bytes = 0;
    for (let k = 0; k < count; k++) bytes += i32[slotBase + (((from + k) % numSlots) << 2) + 1] & 0xffff;
    return bytes;
  }

  get size(): number {
    return this.#frame.size;
  }
}

function writeSlots(writer: FrameWriter, from: number, count: number): void {
  const { i32, slotBase } = writer.ring;
  const { size } = writer;
  const end = slotBase + ((from + count) << 2) + 1;
  for (let w = slotBase + (from << 2) + 1; w < end; w += 4) {
    // A receiver that keeps buffers (a zero-copy bridge at the other end of a pipe) has put in one of its own.
    if (i32[w] & CHANGED) writer.refill((w - slotBase) >> 2);
    i32[w] = size;
  }
}

function writeVarying(writer: FrameWriter, from: number, count: number): void {
  const { i32, slotBase } = writer.ring;
  for (let i = from; i < from + count; i++) {
    const w = slotBase + (i << 2) + 1;
    if (i32[w] & CHANGED) writer.refill(i);
    i32[w] = writer.vary(i);
  }
}

/** Slots that were sent and not taken back yet. */
export function pendingSlots(ring: NetmapRing): number {
  return ring.numSlots - 1 - ring.space;
}

/** What was received. */
export interface Totals {
  packets: number;
  bytes: number;
}

/** Counts up to `limit` received slots of an rx ring and releases them. Returns how many. */
export function takeSlots(ring: NetmapRing, limit: number, totals: Totals): number {
  const { head, numSlots } = ring;
  const count = Math.min(ring.space, limit);
  const run = Math.min(count, numSlots - head);
  countSlots(ring, head, run, totals);
  countSlots(ring, 0, count - run, totals);
  ring.advance(count);
  return count;
}

function countSlots({ i32, slotBase }: NetmapRing, from: number, count: number, totals: Totals): void {
  const end = slotBase + ((from + count) << 2) + 1;
  let bytes = 0;
  let parts = 0;
  for (let w = slotBase + (from << 2) + 1; w < end; w += 4) {
    const word = i32[w];
    bytes += word & 0xffff;
    parts += (word >>> MOREFRAG_BIT) & 1;
  }
  totals.packets += count - parts;
  totals.bytes += bytes;
}
