// ringbuf.js (bench/peers): a byte ring in a SharedArrayBuffer for one sender and one receiver. A frame is a word with its
// length, and its bytes; 256 frames are pushed and popped at a time.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { FNV_PRIME, makeFrame, SEQ_OFS } from '../program.js';
import { Absent, BATCH, RING_SLOTS } from '../types.js';
import type { WorkerTask } from './control.js';
import type { PolledReceiver, PolledSender, Taken } from './polled.js';

export interface ByteRingData {
  readonly memory: SharedArrayBuffer;
}

interface RingBuffer {
  push(elements: Uint8Array): number;
  pop(elements: Uint8Array): number;
  available_write(): number;
  available_read(): number;
}

interface RingBufferClass {
  new (memory: SharedArrayBuffer, type: typeof Uint8Array): RingBuffer;
  getStorageForCapacity(capacity: number, type: typeof Uint8Array): SharedArrayBuffer;
}

const PEERS = fileURLToPath(new URL('../../../../bench/peers/package.json', import.meta.url));
const MASK = RING_SLOTS - 1;
const strideOf = (size: number): number => 4 + ((size + 3) & ~3);

/** @throws Absent unless `npm ci` has run in bench/peers */
export async function ringBufferClass(): Promise<RingBufferClass> {
  let path: string;
  try {
    path = createRequire(PEERS).resolve('ringbuf.js');
  } catch {
    throw new Absent('ringbuf.js: not installed (npm ci --prefix bench/peers)');
  }
  return ((await import(path)) as { RingBuffer: RingBufferClass }).RingBuffer;
}

/** Memory for a ring of as many frames as a ring of slots has. */
export async function byteRingMemory(size: number): Promise<SharedArrayBuffer> {
  const Ring = await ringBufferClass();
  return Ring.getStorageForCapacity(RING_SLOTS * strideOf(size), Uint8Array);
}

export async function openSender({ size, data }: WorkerTask<ByteRingData>): Promise<PolledSender> {
  const Ring = await ringBufferClass();
  const ring = new Ring(data.memory, Uint8Array);
  const stride = strideOf(size);
  // Four blocks, so that a frame is where its number says, as in the rings.
  const blocks = Array.from({ length: RING_SLOTS / BATCH }, (_, k) => {
    const block = new Uint8Array(BATCH * stride);
    for (let i = 0; i < BATCH; i++) makeFrame(block, i * stride + 4, size, 2, 1, k * BATCH + i);
    return { block, words: new Int32Array(block.buffer) };
  });
  const send = (seq: number, count: number, vary: number): number => {
    if (count < BATCH || ring.available_write() < BATCH * stride) return 0;
    const { block, words } = blocks[(seq & MASK) / BATCH];
    for (let i = 0, at = 0; i < BATCH; i++, at += stride >>> 2) {
      words[at] = size - ((seq + i) & vary);
      words[at + 1 + SEQ_OFS / 4] = seq + i;
    }
    ring.push(block);
    return BATCH;
  };
  return { send };
}

export async function openReceiver({ size, data }: WorkerTask<ByteRingData>): Promise<PolledReceiver> {
  const Ring = await ringBufferClass();
  const ring = new Ring(data.memory, Uint8Array);
  const stride = strideOf(size);
  const block = new Uint8Array(BATCH * stride);
  const words = new Int32Array(block.buffer);
  const pop = (): boolean => ring.available_read() >= block.length && ring.pop(block) === block.length;
  const take = (into: Taken): void => {
    if (!pop()) return;
    let sum = 0;
    for (let i = 0, at = 0; i < BATCH; i++, at += stride >>> 2) {
      sum = (sum + words[at] + words[at + 1 + SEQ_OFS / 4]) | 0;
    }
    into.packets += BATCH;
    into.sum = (into.sum + sum) | 0;
  };
  const digest = (hash: number, into: Taken): number => {
    if (!pop()) return hash;
    for (let i = 0; i < BATCH; i++) {
      const len = words[(i * stride) >>> 2];
      hash = Math.imul(hash ^ len, FNV_PRIME);
      for (let b = i * stride + 4; b < i * stride + 4 + len; b++) hash = Math.imul(hash ^ block[b], FNV_PRIME);
    }
    into.packets += BATCH;
    return hash;
  };
  return { take, digest };
}
