// The application of all benches: what it sends, what it reads, and the digest of everything delivered. Works on a
// ring's words, as an application in a hurry does. bench/native/frames.h and program.h are the same in C, byte for
// byte.
import { abi, type NetmapRing } from 'ptnet';
import { RING_SLOTS } from './types.js';

/** Where the sequence number of a frame is. */
export const SEQ_OFS = 16;
const HEADER = 14;
const PROOF_SLOTS = 4 * RING_SLOTS;
export const FNV_BASIS = 2166136261;
export const FNV_PRIME = 16777619;

/** Address of port `n` (1, 2 …). */
export function macOf(n: number): readonly number[] {
  return [2, 0, 0, 0, 0, n];
}

/** Ethernet header from port `src` to port `dst`, then a payload that depends on `seed`. */
export function makeFrame(u8: Uint8Array, at: number, len: number, dst: number, src: number, seed: number): void {
  u8.set([...macOf(dst), ...macOf(src), 0x88, 0xb5], at);
  for (let i = HEADER, x = seed; i < len; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) | 0;
    u8[at + i] = x >>> 24;
  }
}

/** Puts a frame into every buffer of a tx ring; frames go to ports 2 … 1 + receivers in turn. */
export function makeFrames(ring: NetmapRing, len: number, receivers: number): void {
  for (let i = 0; i < ring.numSlots; i++) makeFrame(ring.u8, ring.bufAddress(i), len, 2 + (i % receivers), 1, i);
}

/**
 * Sends `count` frames: writes slot and sequence number of each. Lengths are smaller by `seq & vary`. Goes along the ring
 * in runs, up to its end and on from its start.
 */
export function fill(ring: NetmapRing, count: number, seq: number, len: number, vary: number): void {
  const { i32, slotBase, bufBase, bufSize, numSlots } = ring;
  const seqBase = (bufBase + SEQ_OFS) >>> 2;
  const stride = bufSize >>> 2;
  let i = ring.head;
  for (let left = count; left > 0; ) {
    const run = Math.min(left, numSlots - i);
    const end = slotBase + 4 * (i + run);
    for (let slot = slotBase + 4 * i; slot < end; slot += 4, seq++) {
      i32[slot + 1] = len - (seq & vary);
      i32[seqBase + Math.imul(i32[slot], stride)] = seq;
    }
    left -= run;
    i = i + run === numSlots ? 0 : i + run;
  }
  ring.head = i;
  ring.cur = i;
}

/** What `drain` found; one object, so that receiving allocates nothing. */
export interface Drained {
  packets: number;
  sum: number;
}

/** Receives: reads slot and sequence number of each frame, and releases them. Small, so that V8 inlines it. */
export function drain(ring: NetmapRing, into: Drained): void {
  const { i32, slotBase, bufBase, bufSize, numSlots, head, tail } = ring;
  const seqBase = (bufBase + SEQ_OFS) >>> 2;
  const stride = bufSize >>> 2;
  let sum = 0;
  into.packets += tail < head ? tail - head + numSlots : tail - head;
  for (let i = head; i !== tail; ) {
    const next = i < tail ? tail : numSlots;
    const end = slotBase + 4 * next;
    for (let slot = slotBase + 4 * i; slot < end; slot += 4) {
      sum = (sum + (i32[slot + 1] & 0xffff) + i32[seqBase + Math.imul(i32[slot], stride)]) | 0;
    }
    i = next === numSlots ? 0 : next;
  }
  ring.head = tail;
  ring.cur = tail;
  into.sum = (into.sum + sum) | 0;
}

/** FNV-1a over length and bytes of the frames in the slots from `first` on, before `end`. */
export function digestSlots(ring: NetmapRing, first: number, end: number, hash = FNV_BASIS): number {
  const { i32, u8, slotBase } = ring;
  for (let i = first; i !== end; i = ring.next(i)) {
    const len = i32[slotBase + 4 * i + 1] & 0xffff;
    const at = ring.bufAddress(i);
    hash = Math.imul(hash ^ len, FNV_PRIME);
    for (let b = at; b < at + len; b++) hash = Math.imul(hash ^ u8[b], FNV_PRIME);
  }
  return hash;
}

/** The same over every frame received, which is then released. */
export function digestRing(ring: NetmapRing, hash?: number): number {
  const { head, tail } = ring;
  const result = digestSlots(ring, head, tail, hash);
  ring.head = tail;
  ring.cur = tail;
  return result;
}

/** Makes packets of `fragments` slots each of the `count` slots from `first` on. */
function joinSlots(ring: NetmapRing, first: number, count: number, fragments: number): void {
  for (let k = 0, i = first; k < count; k++, i = ring.next(i)) {
    if (k % fragments !== fragments - 1) ring.i32[ring.slotBase + 4 * i + 1] |= abi.NS_MOREFRAG << 16;
  }
}

/** What moves a contender's frames, and how it sends them. */
export interface Mover {
  readonly tx: NetmapRing;
  readonly rx: readonly NetmapRing[];
  readonly sync: () => void;
  readonly batch: number;
  readonly size: number;
  /** Slots of a packet. */
  readonly fragments?: number;
}

/** Sends a batch numbered from `seq`, and goes on with the digest of what arrives. */
function proveBatch(
  { tx, rx, sync, batch, size, fragments = 1 }: Mover,
  seq: number,
  vary: number,
  hash: number,
): number {
  const first = tx.head;
  fill(tx, batch, seq, size, vary);
  if (fragments > 1) joinSlots(tx, first, batch, fragments);
  sync();
  return rx.reduce((so, ring) => digestRing(ring, so), hash);
}

/**
 * Sends frames of varying length, then of length `size`, so that every slot is as the timed runs want it, and returns
 * the digest of what arrived. With `fragments`, the flags of what arrived are in the digest.
 */
export function proveDelivery(mover: Mover): number {
  const { rx, batch, fragments = 1 } = mover;
  let hash = FNV_BASIS;
  for (let seq = 0; seq < PROOF_SLOTS; seq += batch) {
    hash = proveBatch(mover, seq, seq < PROOF_SLOTS / 2 ? 7 : 0, hash);
  }
  if (fragments > 1) {
    const [{ i32, slotBase, numSlots }] = rx;
    for (let i = 0; i < numSlots; i++) hash = Math.imul(hash ^ (i32[slotBase + 4 * i + 1] >>> 16), FNV_PRIME);
  }
  return hash >>> 0;
}

/** The digest of fresh frames, once around the ring, whose first slot is next: the same whenever it is taken. */
export function proveRing(mover: Mover): number {
  const { tx, rx, sync, batch, size } = mover;
  sync(); // what was released goes back, so that no frame is written into a buffer that is changed afterwards
  makeFrames(tx, size, rx.length);
  let hash = FNV_BASIS;
  for (let seq = 0; seq < tx.numSlots; seq += batch) hash = proveBatch(mover, seq, 0, hash);
  return hash >>> 0;
}

/** The frames of the proof, for contenders that have no ring. */
export function proofFrames(size: number): Uint8Array[] {
  return Array.from({ length: PROOF_SLOTS }, (_, seq) => {
    const frame = new Uint8Array(size - (seq < PROOF_SLOTS / 2 ? seq & 7 : 0));
    makeFrame(frame, 0, frame.length, 2, 1, seq % RING_SLOTS);
    new DataView(frame.buffer).setUint32(SEQ_OFS, seq, true);
    return frame;
  });
}

/** FNV-1a over length and bytes of every frame. */
export function digestFrames(frames: Iterable<Uint8Array>, hash = FNV_BASIS): number {
  for (const frame of frames) {
    hash = Math.imul(hash ^ frame.length, FNV_PRIME);
    for (const byte of frame) hash = Math.imul(hash ^ byte, FNV_PRIME);
  }
  return hash >>> 0;
}

/** FNV-1a over 32-bit words. */
export function digestWords(words: Iterable<number>): number {
  let hash = FNV_BASIS;
  for (const word of words) hash = Math.imul(hash ^ word, FNV_PRIME);
  return hash >>> 0;
}
