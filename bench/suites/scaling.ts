// Scaling in one thread: what a packet costs as guests on one switch, rings of a port, or slots of a ring become more. Bursts
// are of 16 frames everywhere. The last case has frames of 1500 bytes, which fill the caches earlier.
import { Netmap, type NetmapPort, PtnetDriver } from 'ptnet';
import { type BurstWorld, discard, numberCase, putFrames, turnOf } from '../bursts.js';
import type { Case, SuiteOptions } from '../types.js';
import { introduction, PIPE } from '../world.js';

const MEMORY = 1 << 30;
const SIZE = 60;
const FULL = 1500;
/** Slots of a ring where there are many rings. */
const SLOTS = 64;
const burst = SLOTS / 4;

async function openGuestPort(netmap: Netmap, name: string, slots: number): Promise<NetmapPort> {
  const guest = await netmap.createGuest();
  await guest.passthrough(name, { txSlots: slots, rxSlots: slots, loop: 'direct' });
  return PtnetDriver.probe(await guest.machine(), { vnetHdr: false })[0].open();
}

/** `count` guests on one switch, each of which sends to the next one. */
async function guestsOnSwitch(count: number): Promise<BurstWorld> {
  const netmap = await Netmap.create({ memorySize: MEMORY });
  const ports: NetmapPort[] = [];
  for (let i = 0; i < count; i++) ports.push(await openGuestPort(netmap, `vale0:g${i}`, SLOTS));
  for (const [i, port] of ports.entries()) {
    await port.send(introduction(i + 1));
    discard(ports);
  }
  const turns = ports.map((from, i) => {
    const next = (i + 1) % count;
    putFrames(from.txRings[0], SIZE, next + 1, i + 1);
    return turnOf(from, ports[next]);
  });
  return { netmap, turns, size: SIZE, burst };
}

/** The ends of a pipe of `count` rings on the host, all of which a sync is for: a ptnet device has 16 in each direction. */
async function ringsOfPort(count: number): Promise<BurstWorld> {
  // Each end has rings in both directions; a pipe's are in the region of the port that it belongs to.
  const tunables = {
    'dev.netmap.priv_ring_num': 4 * count + 8,
    'dev.netmap.priv_buf_num': 2 * SLOTS * (2 * count + 8),
  };
  const netmap = await Netmap.create({ memorySize: MEMORY, tunables });
  const geometry = { txSlots: SLOTS, rxSlots: SLOTS, txRings: count, rxRings: count };
  const from = await netmap.open(PIPE[0], geometry);
  const to = await netmap.open(PIPE[1], geometry);
  for (const ring of from.txRings) putFrames(ring, SIZE, 2, 1);
  return { netmap, turns: [turnOf(from, to)], size: SIZE, burst };
}

/** Two guests on a switch with rings of `count` slots, which each burst leaves further on. */
async function slotsOfRing(count: number, size: number): Promise<BurstWorld> {
  const netmap = await Netmap.create({ memorySize: MEMORY });
  const from = await openGuestPort(netmap, 'vale0:a', count);
  const to = await openGuestPort(netmap, 'vale0:b', count);
  await to.send(introduction(2));
  discard([from, to]);
  putFrames(from.txRings[0], size, 2, 1);
  return { netmap, turns: [turnOf(from, to)], size, burst };
}

export function scalingSuite({ quick }: SuiteOptions): Case[] {
  const some = (list: readonly number[]): readonly number[] => (quick ? list.slice(0, 2) : list);
  const slots = (n: number): string => `${n} slots`;
  const rings = (n: number): string => (n === 1 ? '1 ring' : `${n} rings`);
  return [
    numberCase('scaling', 'guests', some([2, 4, 8, 16, 32, 64]), (n) => `${n} guests`, guestsOnSwitch),
    numberCase('scaling', 'rings', some([1, 2, 4, 8, 16, 32]), rings, ringsOfPort),
    numberCase('scaling', 'slots', some([64, 128, 256, 512, 1024, 2048, 4096]), slots, (n) => slotsOfRing(n, SIZE)),
    numberCase('scaling', `slots-${FULL}`, some([64, 256, 1024, 4096]), slots, (n) => slotsOfRing(n, FULL)),
  ];
}
