// The plain JavaScript contender: a ring of 16-byte slots in a SharedArrayBuffer for one sender and one receiver, its two
// indices on cache lines of their own and published once a batch. With frames, each slot has a buffer of 64 bytes, or as
// many as a frame needs. A frame that has been there before needs only its number, as in the rings of ptnet; or the sender
// copies it anew.
import { FNV_PRIME, makeFrame, SEQ_OFS } from '../program.js';
import { RING_SLOTS } from '../types.js';
import type { WorkerTask } from './control.js';
import type { PolledReceiver, PolledSender, Taken } from './polled.js';

export interface SlotRingData {
  readonly memory: SharedArrayBuffer;
  readonly frames: boolean;
  /** Whether the sender copies each frame into its buffer. */
  readonly copies: boolean;
}

const HEAD = 0; // how far the sender is
const TAIL = 16; // how far the receiver is
const SLOTS = 32;
const BUFFERS = 4 * (SLOTS + 4 * RING_SLOTS);
const MASK = RING_SLOTS - 1;

const strideOf = (size: number): number => (size + 63) & ~63;
export const slotRingBytes = (size: number): number => BUFFERS + RING_SLOTS * strideOf(size);

export function openSender({ size, data }: WorkerTask<SlotRingData>): PolledSender {
  const { frames, copies } = data;
  const words = new Int32Array(data.memory);
  const bytes = new Uint8Array(data.memory);
  const stride = strideOf(size);
  const templates = Array.from({ length: RING_SLOTS }, (_, i) => {
    const frame = new Uint8Array(size);
    makeFrame(frame, 0, size, 2, 1, i);
    return frame;
  });
  for (const [i, frame] of templates.entries()) bytes.set(frame, BUFFERS + i * stride);
  let head = 0; // counts up; modulo the slots it is an index
  const send = (seq: number, count: number, vary: number): number => {
    const n = Math.min(count, RING_SLOTS - ((head - Atomics.load(words, TAIL)) | 0));
    const end = (head + n) | 0;
    for (let at = head; at !== end; at = (at + 1) | 0, seq = (seq + 1) | 0) {
      const i = at & MASK;
      const slot = (SLOTS + 4 * i) | 0;
      words[slot] = i;
      words[(slot + 1) | 0] = size - (seq & vary);
      if (frames) {
        const buffer = (BUFFERS + i * stride) | 0;
        if (copies) bytes.set(templates[i], buffer);
        words[(buffer + SEQ_OFS) >>> 2] = seq;
      } else {
        words[(slot + 2) | 0] = seq;
      }
    }
    head = end;
    if (n > 0) Atomics.store(words, HEAD, head);
    return n;
  };
  return { send };
}

export function openReceiver({ size, data }: WorkerTask<SlotRingData>): PolledReceiver {
  const { frames } = data;
  const words = new Int32Array(data.memory);
  const bytes = new Uint8Array(data.memory);
  const stride = strideOf(size);
  let tail = 0;
  const take = (into: Taken): void => {
    const head = Atomics.load(words, HEAD);
    if (head === tail) return;
    into.packets += (head - tail) | 0;
    let sum = 0;
    for (let at = tail; at !== head; at = (at + 1) | 0) {
      const slot = (SLOTS + 4 * (at & MASK)) | 0;
      const number = frames ? (BUFFERS + words[slot] * stride + SEQ_OFS) >>> 2 : (slot + 2) | 0;
      sum = (sum + words[(slot + 1) | 0] + words[number]) | 0;
    }
    tail = head;
    into.sum = (into.sum + sum) | 0;
    Atomics.store(words, TAIL, tail);
  };
  const digest = (hash: number, into: Taken): number => {
    for (const head = Atomics.load(words, HEAD); tail !== head; tail = (tail + 1) | 0, into.packets++) {
      const slot = SLOTS + 4 * (tail & MASK);
      const len = words[slot + 1];
      hash = Math.imul(hash ^ len, FNV_PRIME);
      const at = BUFFERS + words[slot] * stride;
      if (!frames) hash = Math.imul(hash ^ words[slot + 2], FNV_PRIME);
      else for (let b = at; b < at + len; b++) hash = Math.imul(hash ^ bytes[b], FNV_PRIME);
    }
    Atomics.store(words, TAIL, tail);
    return hash;
  };
  return { take, digest };
}
