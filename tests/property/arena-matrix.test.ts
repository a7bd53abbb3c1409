// A host may live anywhere in a memory that belongs to somebody else, such as an emulator's guest RAM: wherever its two
// ranges lie, everything works, no byte outside of them changes, and regions that are given back are zero.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Netmap, type NetmapPort, PtnetDriver } from '../../src/index.js';
import type { MemoryRange } from '../../src/memory/arena.js';
import type { HostPort } from '../../src/netmap/host-port.js';
import { assertZero, Canary } from '../support/canary.js';

const MIB = 1 << 20;
const GIB = 1 << 30;
const WASM_PAGE = 65536;
const PAGE = 4096;
const BUF_SIZE = 192;
const privatePools = {
  priv_if_size: 128,
  priv_if_num: 2,
  priv_ring_size: 512,
  priv_ring_num: 4,
  priv_buf_size: BUF_SIZE,
  priv_buf_num: 64,
};
const slots = { txSlots: 8, rxSlots: 8 };

interface Placement {
  readonly name: string;
  /** Bytes of the memory. */
  readonly memory: number;
  readonly privateRange: MemoryRange;
  readonly regionRange: MemoryRange;
  /** In a memory too large to be filled: what is looked at, besides the surroundings of the ranges. */
  readonly sparse?: boolean;
}

const PLACEMENTS: readonly Placement[] = [
  {
    name: 'private state first, regions right behind it',
    memory: 8 * MIB,
    privateRange: { base: 64, size: 2 * MIB - 64 },
    regionRange: { base: 2 * MIB, size: 2 * MIB },
  },
  {
    name: 'regions from address 0 on, private state right behind them',
    memory: 8 * MIB,
    privateRange: { base: 2 * MIB, size: 2 * MIB },
    regionRange: { base: 0, size: 2 * MIB },
  },
  {
    name: 'private state from address 0 on, regions at the end of the memory',
    memory: 8 * MIB,
    privateRange: { base: 0, size: 2 * MIB },
    regionRange: { base: 6 * MIB, size: 2 * MIB },
  },
  {
    name: 'odd multiples of a cache line and of a page',
    memory: 8 * MIB,
    privateRange: { base: 64 * 12345, size: 64 * 30001 },
    regionRange: { base: PAGE * 1001, size: PAGE * 511 },
  },
  {
    name: 'ranges that are not aligned at all',
    memory: 8 * MIB,
    privateRange: { base: 5 * MIB + 36, size: 2 * MIB - 12 },
    regionRange: { base: 1 * MIB + 64 * 7 + 4, size: 2 * MIB + 1028 },
  },
  {
    name: 'private state at the end of the memory',
    memory: 8 * MIB,
    privateRange: { base: 6 * MIB, size: 2 * MIB },
    regionRange: { base: PAGE * 3, size: 2 * MIB },
  },
  {
    name: 'both above 2 GiB',
    memory: 3 * GIB + 16 * MIB,
    privateRange: { base: 3 * GIB + 64 * 101, size: 2 * MIB },
    regionRange: { base: 2 * GIB + PAGE * 77, size: 2 * MIB },
    sparse: true,
  },
  {
    name: 'across 2 GiB',
    memory: 2 * GIB + 64 * MIB,
    privateRange: { base: 2 * GIB + 16 * MIB, size: 2 * MIB },
    regionRange: { base: 2 * GIB - 64 * 1024, size: 2 * MIB },
    sparse: true,
  },
  {
    name: 'regions up to the last byte of 4 GiB',
    memory: 4 * GIB,
    privateRange: { base: 4 * GIB - 8 * MIB, size: 2 * MIB },
    regionRange: { base: 4 * GIB - 2 * MIB, size: 2 * MIB },
    sparse: true,
  },
  {
    name: 'private state up to the last byte of 4 GiB',
    memory: 4 * GIB,
    privateRange: { base: 4 * GIB - 2 * MIB, size: 2 * MIB },
    regionRange: { base: PAGE, size: 2 * MIB },
    sparse: true,
  },
];

/** The start of the memory, the surroundings of the ranges, and a page every 32 MiB. */
function windows({ memory, privateRange, regionRange }: Placement): MemoryRange[] {
  const clip = (base: number, end: number): MemoryRange => {
    const from = Math.max(0, base);
    return { base: from, size: Math.min(memory, end) - from };
  };
  const near = [privateRange, regionRange].map(({ base, size }) => clip(base - 4 * MIB, base + size + 4 * MIB));
  const start = clip(0, MIB);
  const overlaps = (a: MemoryRange) => (b: MemoryRange) => a.base < b.base + b.size && b.base < a.base + a.size;
  const found = [start];
  for (const range of near) if (!found.some(overlaps(range))) found.push(range);
  for (let at = 32 * MIB; at + PAGE <= memory; at += 32 * MIB) {
    const page = { base: at, size: PAGE };
    if (!found.some(overlaps(page))) found.push(page);
  }
  return found;
}

/** A frame whose bytes tell its length and number. Port n has the address 02:00:00:00:00:0n; 255 is everybody. */
function frame(length: number, n: number, to = 255): Uint8Array {
  const bytes = Uint8Array.from({ length }, (_, i) => n * 31 + i);
  bytes.set(to === 255 ? [255, 255, 255, 255, 255, 255] : [2, 0, 0, 0, 0, to]);
  bytes.set([2, 0, 0, 0, 0, n], 6);
  return bytes;
}

const hex = (frames: readonly Uint8Array[]): string[] => frames.map((bytes) => Buffer.from(bytes).toString('hex'));

function receive(port: NetmapPort): string[] {
  const received: Uint8Array[] = [];
  for (let looks = 0; received.length === 0 && looks < 3; looks++) {
    port.rxsync();
    port.waiting.service();
    received.push(...port.recv());
  }
  port.rxsync(); // gives the slots back
  return hex(received);
}

/** Frames of one slot, of several, and of exactly a buffer reach the other port. */
async function exchange(from: NetmapPort, to: NetmapPort, n: number, dst?: number): Promise<void> {
  receive(to); // what others have broadcast
  for (const length of [60, BUF_SIZE, BUF_SIZE + 1, 5 * BUF_SIZE, 14]) {
    const sent = frame(length, n, dst);
    await from.send(sent, { timeout: 1000 });
    assert.deepEqual(receive(to), hex([sent]));
  }
}

async function pipes(netmap: Netmap): Promise<void> {
  const parent = await netmap.open('vale9:parent', slots);
  const a = await netmap.open('vale9:parent{1');
  const b = await netmap.open('vale9:parent}1');
  await exchange(a, b, 1);
  await exchange(b, a, 2);
  for (const port of [a, parent, b]) await port.close();
}

async function vale(netmap: Netmap): Promise<void> {
  const ports: HostPort[] = [];
  for (const name of ['a', 'b', 'c']) ports.push(await netmap.open(`vale0:${name}`, { ...slots, extraBufs: 5 }));
  for (const [i, from] of ports.entries()) await exchange(from, ports[(i + 1) % 3], 3 + i);
  await exchange(ports[0], ports[2], 3, 5);
  const { bridges } = await netmap.inspect();
  assert.deepEqual(bridges[0].fdb.map(({ port }) => port).sort(), ['vale0:a', 'vale0:b', 'vale0:c']);
  for (const port of ports) await port.close();
}

async function guests(netmap: Netmap): Promise<void> {
  const guest = await netmap.createGuest({ ramSize: 6 * PAGE });
  await guest.passthrough('vale0:g', slots);
  await guest.passthrough('vale1:h', slots);
  const drivers = PtnetDriver.probe(await guest.machine());
  const inside = drivers.map((driver) => driver.open());
  const outside = [await netmap.open('vale0:x', slots), await netmap.open('vale1:y', slots)];
  for (const [i, port] of inside.entries()) {
    await exchange(port, outside[i], 6 + i);
    await exchange(outside[i], port, 8 + i);
    await port.close();
  }
  for (const driver of drivers) driver.detach();
  await guest.close();
  for (const port of outside) await port.close();
}

/** Indices and lengths that no slot may have. */
async function badSlots(netmap: Netmap): Promise<void> {
  const a = await netmap.open('vale0:a', slots);
  const b = await netmap.open('vale0:b', slots);
  const [tx] = a.txRings;
  const [rx] = b.rxRings;
  for (const bufIdx of [0, 1, tx.numBufs, 0x7fffffff, 0x80000000, 0xffffffff]) {
    const i = tx.head;
    const good = tx.slot(i).bufIdx;
    tx.setBufIdx(i, bufIdx);
    tx.setSlot(i, 60);
    tx.advance(1);
    assert.equal(a.txsync(), 0);
    tx.setBufIdx(i, good);
    rx.setBufIdx(rx.tail, bufIdx); // the receiver's next slot
    await a.send(frame(60, 1));
    b.rxsync();
    assert.deepEqual(b.recv(), []);
    b.rxsync();
  }
  tx.setSlot(tx.head, BUF_SIZE + 1);
  tx.advance(1);
  a.txsync();
  for (const index of [8, 0x80000000, 0xffffffff]) {
    tx.head = index;
    a.txsync();
    rx.cur = index;
    b.rxsync();
  }
  const [sent, received] = [await a.counters(), await b.counters()];
  // The slot that is too long counts twice: when it is sent, and when the ring is reset.
  assert.deepEqual([sent.badSlots, sent.reinits, sent.drops['badSlot']], [8, 3, 13]);
  assert.equal(received.reinits, 3);
  await a.close();
  await b.close();
}

async function everything(netmap: Netmap): Promise<void> {
  for (const part of [pipes, vale, guests, badSlots]) {
    await part(netmap);
    await assert.rejects(netmap.open('netmap:none'), { code: 'ENXIO' });
    const { memory, regions, ports } = await netmap.inspect();
    assert.equal(memory.regions, 0, `${part.name}: bytes of regions in use`);
    assert.deepEqual([regions, ports], [[], []]);
  }
}

/** Untouched pages cost nothing, but address space may be limited. */
function makeMemory(size: number, shared: boolean): WebAssembly.Memory | undefined {
  const pages = Math.ceil(size / WASM_PAGE);
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared });
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

for (const shared of [true, false]) {
  describe(`in a foreign memory, ${shared ? 'shared' : 'unshared'}`, () => {
    for (const placement of PLACEMENTS) {
      test(placement.name, async (t) => {
        const { privateRange, regionRange } = placement;
        const memory = makeMemory(placement.memory, shared);
        if (!memory) return t.skip(`no memory of ${placement.memory} bytes here`);
        const canary = new Canary(
          memory,
          [privateRange, regionRange],
          placement.sparse ? windows(placement) : undefined,
        );
        assert.ok(canary.size >= 4 * MIB - 4096);
        new Uint8Array(memory.buffer, regionRange.base, regionRange.size).fill(0xcc); // what was there before
        const netmap = await Netmap.create({ memory, privateRange, regionRange, privatePools });
        await everything(netmap);
        canary.check('with the host');
        const start = Math.max(PAGE, Math.ceil(regionRange.base / PAGE) * PAGE); // nothing is put at address 0
        const end = Math.floor((regionRange.base + regionRange.size) / PAGE) * PAGE;
        assertZero(memory, { base: start, size: end - start }, 'regions');
        await netmap.close();
        canary.check('after the host');
      });
    }
  });

  test(`in a memory of its own, ${shared ? 'shared' : 'unshared'}`, async () => {
    const netmap = await Netmap.create({ memorySize: 8 * MIB, shared, privatePools });
    await everything(netmap);
    await netmap.close();
  });
}
