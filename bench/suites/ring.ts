// What an application pays on a ring: writing a slot, reading one, and a sync that finds nothing to do. Ours writes
// words (ring.i32, ring.slotBase), and for comparison uses the accessors; the plain twin has a DataView over the same
// bytes.
import type { NetmapRing } from 'ptnet';
import { digestWords } from '../program.js';
import { BATCH, type Case, type Contender, type OpenCase, RING_SLOTS } from '../types.js';
import { openHost, PIPE, type World } from '../world.js';

const SIZE = 60;
const LITTLE_ENDIAN = true;

interface Way {
  readonly name: string;
  fill(ring: NetmapRing): void;
  read(ring: NetmapRing): number;
}

// A ring is walked in runs, up to its end and on from its start: an index that wraps inside the loop costs as much again
// as the slot does.

const words: Way = {
  name: 'ptnet',
  fill(ring) {
    const { i32, slotBase, numSlots } = ring;
    let i = ring.head;
    for (let left = BATCH; left > 0; ) {
      const run = Math.min(left, numSlots - i);
      const end = slotBase + 4 * (i + run);
      for (let slot = slotBase + 4 * i; slot < end; slot += 4) i32[slot + 1] = SIZE;
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

const accessors: Way = {
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

function dataView(memory: WebAssembly.Memory): Way {
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

function filler({ name, fill }: Way, { tx }: World): Contender {
  for (let k = 0; k < ROUNDS; k++) fill(tx);
  const lenFlags = Array.from({ length: RING_SLOTS }, (_, i) => tx.i32[tx.slotBase + 4 * i + 1]);
  return { name, run: () => fill(tx), digest: digestWords(lenFlags), check: () => {} };
}

function reader(way: Way, { tx }: World): Contender {
  for (let k = 0; k < ROUNDS; k++) words.fill(tx);
  let digest = 0;
  for (let k = 0; k < ROUNDS; k++) digest = (digest + way.read(tx)) >>> 0;
  let sum = 0;
  const run = (): void => {
    sum ^= way.read(tx);
  };
  const check = (): void => {
    if (!Number.isInteger(sum)) throw new Error('nothing was read');
  };
  return { name: way.name, run, digest, check };
}

function syncer(name: string, { tx, syncTx }: World): Contender {
  let result = 0;
  const run = (): void => {
    for (let k = 0; k < BATCH; k++) result |= syncTx();
  };
  run();
  const check = (): void => {
    if (result !== 0) throw new Error(`a sync returned ${result}`);
  };
  return { name, run, digest: (result + tx.tail) >>> 0, check };
}

type Make = (ours: World, plain: World) => Contender[];

function ringCase(name: string, task: string, unit: string, make: Make): Case {
  const open = async (): Promise<OpenCase> => {
    const ours = await openHost(PIPE, 'ptnet');
    const plain = await openHost(PIPE, 'js');
    const close = async (): Promise<void> => {
      await ours.close();
      await plain.close();
    };
    return { contenders: make(ours, plain), close };
  };
  return { suite: 'ring', name, task, size: SIZE, unit, open };
}

export function ringSuite(): Case[] {
  return [
    ringCase('fill', 'ring-fill', 'ns/slot', (ours, plain) => [
      filler(words, ours),
      filler(accessors, ours),
      filler(dataView(plain.netmap.memory), plain),
    ]),
    ringCase('read', 'ring-read', 'ns/slot', (ours, plain) => [
      reader(words, ours),
      reader(accessors, ours),
      reader(dataView(plain.netmap.memory), plain),
    ]),
    ringCase('sync', 'ring-sync', 'ns/sync', (ours, plain) => [syncer('ptnet', ours), syncer('js', plain)]),
  ];
}
