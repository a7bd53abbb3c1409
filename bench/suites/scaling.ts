// Scaling in one thread: what a packet costs as guests on one switch, rings of a port, or slots of a ring become more. The
// contenders of a case are the numbers, the largest being ours: its ratio to the smallest says how flat the curve is.
import { Netmap, type NetmapPort, type NetmapRing, PtnetDriver } from 'ptnet';
import { drain, FNV_BASIS, FNV_PRIME, fill, makeFrame } from '../program.js';
import type { Case, Contender, OpenCase, SuiteOptions } from '../types.js';
import { introduction, PIPE } from '../world.js';

const MEMORY = 1 << 30;
const SIZE = 60;
/** Slots of a ring where guests or rings are many. */
const SLOTS = 64;
/** Frames that a sender sends at a time: a driver sees what the host has done with them one sync later. */
const BURST = SLOTS / 4;
/** Packets of one call, the same for all: a burst in each of the most rings. */
const CALL = 32 * BURST;
const PROOF = 4 * CALL;

interface World {
  readonly netmap: Netmap;
  /** Who sends to whom, in turn: a burst each. */
  readonly turns: readonly Turn[];
}

interface Turn {
  readonly tx: readonly NetmapRing[];
  readonly rx: readonly NetmapRing[];
  readonly sync: () => void;
}

/** One guest sends, another receives. */
function turnOf(from: NetmapPort, to: NetmapPort): Turn {
  const sync = (): void => {
    if ((from.txsync() | to.rxsync()) !== 0) throw new Error('a sync failed');
  };
  return { tx: from.txRings, rx: to.rxRings, sync };
}

/** Frames from port `src` to port `dst` in every buffer of a ring; ports count from 1. */
function frames(ring: NetmapRing, dst: number, src: number): void {
  for (let i = 0; i < ring.numSlots; i++) makeFrame(ring.u8, ring.bufAddress(i), SIZE, dst, src, i);
}

async function openGuestPort(netmap: Netmap, name: string, slots: number): Promise<NetmapPort> {
  const guest = await netmap.createGuest();
  await guest.passthrough(name, { txSlots: slots, rxSlots: slots, loop: 'direct' });
  return PtnetDriver.probe(await guest.machine(), { vnetHdr: false })[0].open();
}

/** `count` guests on one switch, each of which sends to the next one. */
async function guestsOnSwitch(count: number): Promise<World> {
  const netmap = await Netmap.create({ memorySize: MEMORY });
  const ports: NetmapPort[] = [];
  for (let i = 0; i < count; i++) ports.push(await openGuestPort(netmap, `vale0:g${i}`, SLOTS));
  for (const [i, port] of ports.entries()) {
    await port.send(introduction(i + 1));
    for (const other of ports) {
      other.rxsync();
      other.recv();
      other.rxsync();
    }
  }
  const turns = ports.map((from, i): Turn => {
    const next = (i + 1) % count;
    const to = ports[next];
    frames(from.txRings[0], next + 1, i + 1);
    return turnOf(from, to);
  });
  return { netmap, turns };
}

/** The ends of a pipe of `count` rings on the host, all of which a sync is for: a ptnet device has 16 in each direction. */
async function ringsOfPort(count: number): Promise<World> {
  // Each end has rings in both directions; a pipe's are in the region of the port that it belongs to.
  const tunables = {
    'dev.netmap.priv_ring_num': 4 * count + 8,
    'dev.netmap.priv_buf_num': 2 * SLOTS * (2 * count + 8),
  };
  const netmap = await Netmap.create({ memorySize: MEMORY, tunables });
  const geometry = { txSlots: SLOTS, rxSlots: SLOTS, txRings: count, rxRings: count };
  const from = await netmap.open(PIPE[0], geometry);
  const to = await netmap.open(PIPE[1], geometry);
  for (const ring of from.txRings) frames(ring, 2, 1);
  return { netmap, turns: [turnOf(from, to)] };
}

/** Two guests on a switch with rings of `count` slots. */
async function slotsOfRing(count: number): Promise<World> {
  const netmap = await Netmap.create({ memorySize: MEMORY });
  const from = await openGuestPort(netmap, 'vale0:a', count);
  const to = await openGuestPort(netmap, 'vale0:b', count);
  await to.send(introduction(2));
  for (const port of [from, to]) {
    port.rxsync();
    port.recv();
    port.rxsync();
  }
  frames(from.txRings[0], 2, 1);
  return { netmap, turns: [turnOf(from, to)] };
}

function contender(name: string, { turns }: World): Contender {
  const got = { packets: 0, sum: 0 };
  let sent = 0;
  let at = 0;
  const next = (): Turn => {
    const turn = turns[at];
    at = at + 1 === turns.length ? 0 : at + 1;
    return turn;
  };
  // The proof: lengths and numbers of what arrives, ring by ring.
  let digest = FNV_BASIS;
  for (let seq = 0; seq < PROOF; ) {
    const { tx, rx, sync } = next();
    for (const [i, ring] of tx.entries()) fill(ring, BURST, seq + i * BURST, SIZE, 7);
    sync();
    for (const ring of rx) {
      const before = got.sum;
      drain(ring, got);
      digest = Math.imul(digest ^ (got.sum - before), FNV_PRIME);
    }
    seq += BURST * tx.length;
  }
  if (got.packets !== PROOF) throw new Error(`${name}: ${got.packets} of ${PROOF} frames arrived`);
  sent = PROOF;
  const run = (): void => {
    for (let left = CALL; left > 0; ) {
      const { tx, rx, sync } = next();
      for (const ring of tx) fill(ring, BURST, sent, SIZE, 0);
      sent += BURST * tx.length;
      left -= BURST * tx.length;
      sync();
      for (const ring of rx) drain(ring, got);
    }
  };
  const check = (): void => {
    if (got.packets !== sent) throw new Error(`${name}: ${sent} packets sent, ${got.packets} received`);
  };
  return { name, run, digest: digest >>> 0, check };
}

type Open = (count: number) => Promise<World>;

function scalingCase(name: string, numbers: readonly number[], unit: (n: number) => string, open: Open): Case {
  const openCase = async (): Promise<OpenCase> => {
    const worlds: World[] = [];
    const contenders: Contender[] = [];
    for (const n of numbers) {
      const world = await open(n);
      worlds.push(world);
      contenders.push(contender(unit(n), world));
    }
    const close = async (): Promise<void> => {
      for (const { netmap } of worlds) await netmap.close();
    };
    return { contenders, close };
  };
  const ours = unit(numbers[numbers.length - 1]);
  return { suite: 'scaling', name, size: SIZE, batch: CALL, unit: 'ns/packet', ours, open: openCase };
}

export function scalingSuite({ quick }: SuiteOptions): Case[] {
  const some = (list: readonly number[]): readonly number[] => (quick ? [list[0], list[1]] : list);
  return [
    scalingCase('guests', some([2, 4, 8, 16, 32, 64]), (n) => `${n} guests`, guestsOnSwitch),
    scalingCase('rings', some([1, 2, 4, 8, 16, 32]), (n) => (n === 1 ? '1 ring' : `${n} rings`), ringsOfPort),
    scalingCase('slots', some([64, 128, 256, 512, 1024, 2048, 4096]), (n) => `${n} slots`, slotsOfRing),
  ];
}
