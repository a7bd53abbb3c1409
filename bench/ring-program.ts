// The programs of the suite ring: they write slots and read them, by words and by accessors of ours, or through a DataView
// over the same bytes. Each contender has a copy of this module (bench/own-copy.ts).
import type { NetmapRing } from 'ptnet';
import { digestWords } from './program.js';
import { BATCH, type Contender, RING_SLOTS } from './types.js';
import type { World } from './world.js';

export const SIZE = 60;
const LITTLE_ENDIAN = true;

export interface Way {
  readonly name: string;
  fill(ring: NetmapRing): void;
  read(ring: NetmapRing): number;
}

// A ring is walked in runs, up to its end and on from its start: an index that wraps inside the loop costs as much again
// as the slot does.

export const words: Way = {
  name: 'ptnet',
  fill(ring) {
    const { i32, slotBase, numSlots } = ring;
    let i = ring.head;
    for (let left = BATCH; left > 0; ) {
      const run = Math.min(left, numSlots - i);
      const first = slotBase + 4 * i + 1; // len | flags << 16
      for (let at = first, end = first + 4 * run; at < end; at += 4) i32[at] = SIZE;
      left -= run;
      i = i + run === numSlots ? 0 : i + run;
    }
    ring.head = i;
    ring.cur = i;
  },
  read(ring) {
    const { i32, slotBase, numSlots } = ring;
    let i = ring.head;
    let sum = 0;
    for (let left = BATCH; left > 0; ) {
      const run = Math.min(left, numSlots - i);
      const end = slotBase + 4 * (i + run);
      for (let slot = slotBase + 4 * i; slot < end; slot += 4) sum = (sum + i32[slot] + (i32[slot + 1] & 0xffff)) | 0;
      left -= run;
      i = i + run === numSlots ? 0 : i + run;
    }
    ring.head = i;
    ring.cur = i;
    return sum;
  },
};

export const accessors: Way = {
  name: 'accessors',
  fill(ring) {
    for (let k = 0; k < BATCH; k++) {
      ring.setSlot(ring.head, SIZE);
      ring.advance(1);
    }
  },
  read(ring) {
    let sum = 0;
    for (let k = 0; k < BATCH; k++) {
      const { bufIdx, len } = ring.slot(ring.head);
      sum = (sum + bufIdx + len) | 0;
      ring.advance(1);
    }
    return sum;
  },
};

export function dataView(memory: WebAssembly.Memory): Way {
  const view = new DataView(memory.buffer);
  return {
    name: 'js',
    fill(ring) {
      const base = 4 * ring.slotBase;
      let i = ring.head;
      for (let left = BATCH; left > 0; ) {
        const run = Math.min(left, RING_SLOTS - i);
        const end = base + 16 * (i + run);
        for (let slot = base + 16 * i; slot < end; slot += 16) {
          view.setUint16(slot + 4, SIZE, LITTLE_ENDIAN);
          view.setUint16(slot + 6, 0, LITTLE_ENDIAN);
        }
        left -= run;
        i = i + run === RING_SLOTS ? 0 : i + run;
      }
      ring.head = i;
      ring.cur = i;
    },
    read(ring) {
      const base = 4 * ring.slotBase;
      let i = ring.head;
      let sum = 0;
      for (let left = BATCH; left > 0; ) {
        const run = Math.min(left, RING_SLOTS - i);
        const end = base + 16 * (i + run);
        for (let slot = base + 16 * i; slot < end; slot += 16) {
          sum = (sum + view.getUint32(slot, LITTLE_ENDIAN) + view.getUint16(slot + 4, LITTLE_ENDIAN)) | 0;
        }
        left -= run;
        i = i + run === RING_SLOTS ? 0 : i + run;
      }
      ring.head = i;
      ring.cur = i;
      return sum;
    },
  };
}

const ROUNDS = RING_SLOTS / BATCH; // once around the ring

export function filler(way: Way, world: World): Contender {
  const { name, fill } = way;
  const { tx } = world;
  for (let k = 0; k < ROUNDS; k++) fill(tx);
  const lenFlags = Array.from({ length: RING_SLOTS }, (_, i) => tx.i32[tx.slotBase + 4 * i + 1]);
  return { name, run: () => fill(tx), digest: digestWords(lenFlags), check: () => {} };
}

export function reader(way: Way, world: World): Contender {
  const { name, read } = way;
  const { tx } = world;
  for (let k = 0; k < ROUNDS; k++) words.fill(tx);
  let calls = 0;
  let sum = 0;
  const run = (): void => {
    sum = (sum + read(tx)) | 0;
    calls++;
  };
  for (let k = 0; k < ROUNDS; k++) run();
  const digest = sum >>> 0;
  const check = (): void => {
    while (calls % ROUNDS !== 0) run();
    if (sum !== Math.imul(calls / ROUNDS, digest)) throw new Error(`${name}: something else was read`);
  };
  return { name, run, digest, check };
}
