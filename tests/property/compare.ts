// What must agree between the host and the oracle: indices, slots, every byte of every buffer, counters, tables, pools.

import assert from 'node:assert/strict';
import type { Inspection, NetmapRing } from '../../src/index.js';
import { HostPort } from '../../src/netmap/host-port.js';
import { type Drop, type Kring, pipeSent, type Region, type Ring } from './oracle.js';
import type { OpenPort } from './oracle-host.js';
import type { Endpoint, World } from './world.js';

/** Where a region is. */
export interface Memory {
  readonly memId: number;
  readonly ring: NetmapRing;
  readonly bufBase: number;
}

export async function compareWorlds(world: World): Promise<void> {
  for (const endpoint of world.endpoints) compareEndpoint(endpoint);
  for (const region of world.host.regions) compareBuffers(region, world.memory.get(region));
  const inspection = await world.netmap.inspect();
  compareTables(world, inspection);
  compareCounters(world, inspection);
}

function compareEndpoint({ name, real, model, guest }: Endpoint): void {
  for (const dir of ['tx', 'rx'] as const) {
    const krings = model[dir];
    const rings = real[`${dir}Rings`];
    assert.equal(rings.length, krings.length);
    for (const [k, kr] of krings.entries()) compareRing(`${name} ${dir} ring ${k}`, rings[k], kr);
  }
  if (real instanceof HostPort) {
    assert.equal(real.maxOffset, model.maxOffset, `${name}: offsets`);
    assert.deepEqual({ head: real.nifp.bufsHead, granted: real.info.extraBufs }, model.extra, `${name}: extra buffers`);
  }
  if (!guest?.model.isOpen) return;
  assert.equal(guest.driver.kicks, guest.model.kicks, `${name}: doorbells`);
}

function readRing(real: NetmapRing): Ring {
  const word = (i: number, w: number): number => real.i32[real.slotBase + 4 * i + w] >>> 0;
  const slots = Array.from({ length: real.numSlots }, (_, i) => ({
    ...real.slot(i),
    ptr: word(i, 2) + word(i, 3) * 2 ** 32,
  }));
  return { head: real.head >>> 0, cur: real.cur >>> 0, tail: real.tail >>> 0, slots };
}

function compareRing(name: string, real: NetmapRing, kr: Kring): void {
  assert.equal(real.numSlots, kr.n, name);
  const { head, cur, tail, slots } = kr.shown;
  const { i32, slotBase } = real;
  const same = slots.every(({ bufIdx, len, flags, ptr }, i) => {
    const at = slotBase + 4 * i;
    return (
      i32[at] >>> 0 === bufIdx &&
      i32[at + 1] === (len | (flags << 16)) &&
      (i32[at + 2] >>> 0) + (i32[at + 3] >>> 0) * 2 ** 32 === ptr
    );
  });
  const indices = real.head >>> 0 === head && real.cur >>> 0 === cur && real.tail >>> 0 === tail;
  if (!same || !indices) assert.deepEqual(readRing(real), kr.shown, name); // shows what differs
}

/** Every byte of every buffer: frames are copied exactly, and nothing else is touched. */
function compareBuffers(region: Region, memory: Memory | undefined): void {
  if (!memory || memory.bufBase === 0) return; // no port has told yet where it is
  const { high, bufSize, data } = region;
  const bytes = memory.ring.u8.subarray(memory.bufBase, memory.bufBase + high * bufSize);
  if (Buffer.compare(bytes, data.subarray(0, bytes.length)) === 0) return;
  const at = bytes.findIndex((byte, i) => byte !== data[i]);
  assert.fail(`buffer ${Math.floor(at / bufSize)}, byte ${at % bufSize}: ${bytes[at]}, the oracle has ${data[at]}`);
}

/** Bridges with their ports and addresses, and what is left in the pools. */
function compareTables({ host, memory }: World, { bridges, regions }: Inspection): void {
  assert.deepEqual(
    bridges.map(({ name, ports, fdb, fdbFull }) => ({
      name,
      ports: ports.map((port) => `${port.index} ${port.name}`),
      fdb: fdb.map(({ mac, port }) => `${mac} ${port}`).sort(),
      fdbFull,
    })),
    [...host.bridges.values()].map((bridge) => ({
      name: bridge.name,
      ports: [...bridge.ports].sort(([a], [b]) => a - b).map(([index, { name }]) => `${index} ${name}`),
      fdb: bridge.fdb(),
      fdbFull: bridge.full,
    })),
  );
  const expected = host.regions.map((region) => ({
    memId: memory.get(region)?.memId,
    free: { if: region.freeIfs, ring: region.freeRings, buf: region.freeBufs },
  }));
  const byId = (a: { memId?: number }, b: { memId?: number }): number => (a.memId ?? 0) - (b.memId ?? 0);
  assert.deepEqual(regions.map(({ memId, free }) => ({ memId, free })).sort(byId), expected.sort(byId));
}

function countersOf({ adapter, tx, rx }: OpenPort): Record<string, unknown> {
  const sum = (krings: readonly Kring[], value: (kr: Kring) => number): number =>
    krings.reduce((total, kr) => total + value(kr), 0);
  const all = [...tx, ...rx];
  // What a pipe's end receives is what the other has sent.
  const senders = rx.flatMap(({ peer }) => peer ?? []);
  const isPipe = adapter.peer !== undefined;
  const reasons = Object.keys([...tx, ...rx][0].drops) as Drop[];
  return {
    txPackets: sum(tx, (kr) => (isPipe ? pipeSent(kr) : kr).packets),
    txBytes: sum(tx, (kr) => (isPipe ? pipeSent(kr) : kr).bytes),
    rxPackets: isPipe ? sum(senders, (kr) => pipeSent(kr).packets) : sum(rx, (kr) => kr.delivered),
    rxBytes: isPipe ? sum(senders, (kr) => pipeSent(kr).bytes) : sum(rx, (kr) => kr.deliveredBytes),
    drops: Object.fromEntries(reasons.map((reason) => [reason, sum(all, (kr) => kr.drops[reason])])),
    badSlots: sum(all, (kr) => kr.badSlots) + (isPipe ? sum(tx, (kr) => kr.peer?.badTaken ?? 0) : 0),
    reinits: sum(all, (kr) => kr.reinits),
    kicks: sum(all, (kr) => kr.kicks),
    interrupts: sum(all, (kr) => kr.interrupts),
  };
}

function compareCounters({ endpoints }: World, { ports }: Inspection): void {
  const real = ports.map(({ name, counters }) => ({ name, ...counters }));
  const model = endpoints.map((endpoint) => ({ name: endpoint.name, ...countersOf(endpoint.model) }));
  const text = (rows: readonly object[]): string[] => rows.map((row) => JSON.stringify(row)).sort();
  assert.deepEqual(text(real), text(model), 'counters');
}
