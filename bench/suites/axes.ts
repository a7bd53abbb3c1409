// One axis at a time round a base case: bursts of 256 frames of 60 bytes from one port of a switch to another whose address
// is known, in one thread, with a program that writes and reads the frames. `batch` is over a pipe.
import { Netmap, type NetmapPort } from 'ptnet';
import { type BurstWorld, discard, numberCase, putFrames, turnOf } from '../bursts.js';
import type { Case, SuiteOptions } from '../types.js';
import { introduction, PIPE } from '../world.js';

const MEMORY = 1 << 30;
const SIZE = 60;
const BURST = 256;
const SLOTS = 1024;
/** Where in a frame its destination's last two bytes are. */
const LAST_BYTES = 4;
/** Those of address `i` of the receiver; no port's own. */
const lastBytes = (i: number): readonly number[] => [0x80 | (i >> 8), i & 255];

async function openPorts(
  names: readonly string[],
  slots = SLOTS,
  tunables: Readonly<Record<string, number>> = {},
): Promise<[Netmap, NetmapPort[]]> {
  const netmap = await Netmap.create({ memorySize: MEMORY, tunables });
  const ports: NetmapPort[] = [];
  for (const name of names) ports.push(await netmap.open(name, { txSlots: slots, rxSlots: slots }));
  return [netmap, ports];
}

const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `vale0:p${i}`);

/** From port 1 to port 2, which has said where it is. */
async function pairOfPorts(size: number, tunables = {}): Promise<BurstWorld> {
  const [netmap, ports] = await openPorts(names(2), SLOTS, tunables);
  const [from, to] = ports;
  await to.send(introduction(2));
  discard(ports);
  putFrames(from.txRings[0], size, 2, 1);
  return { netmap, turns: [turnOf(from, to)], size, burst: BURST };
}

/** To `count` addresses behind one port, one after the other. */
async function addresses(count: number): Promise<BurstWorld> {
  const [netmap, ports] = await openPorts(names(2), Math.max(SLOTS, count));
  const [from, to] = ports;
  const [ring] = from.txRings;
  const frame = introduction(2);
  for (let i = 0; i < count; i++) {
    frame.set(lastBytes(i), 6 + LAST_BYTES);
    await to.send(frame);
    discard(ports);
  }
  putFrames(ring, SIZE, 2, 1);
  for (let i = 0; i < ring.numSlots; i++) {
    ring.u8.set(lastBytes(i % count), ring.bufAddress(i) + LAST_BYTES);
  }
  return { netmap, turns: [turnOf(from, to)], size: SIZE, burst: BURST };
}

/** To an address that no port has: `count` ports get each frame. */
async function broadcast(count: number): Promise<BurstWorld> {
  const [netmap, [from, ...to]] = await openPorts(names(count + 1));
  putFrames(from.txRings[0], SIZE, 200, 1);
  return { netmap, turns: [turnOf(from, ...to)], size: SIZE, burst: BURST, copies: count };
}

async function batches(count: number): Promise<BurstWorld> {
  const [netmap, [from, to]] = await openPorts(PIPE, 2 * SLOTS, { 'dev.netmap.priv_ring_size': 1 << 16 });
  putFrames(from.txRings[0], SIZE, 2, 1);
  return { netmap, turns: [turnOf(from, to)], size: SIZE, burst: count };
}

export function axesSuite({ quick }: SuiteOptions): Case[] {
  const some = (list: readonly number[]): readonly number[] => (quick ? list.slice(0, 2) : list);
  const bytes = (n: number): string => `${n} bytes`;
  return [
    numberCase('axes', 'batch', some([1, 4, 16, 64, 256, 512]), (n) => `batch ${n}`, batches),
    numberCase('axes', 'size', some([60, 64, 128, 512, 1514]), bytes, (n) => pairOfPorts(n)),
    numberCase('axes', 'addresses', some([2, 64, 4096]), (n) => `${n} addresses`, addresses),
    numberCase('axes', 'broadcast', some([1, 2, 16]), (n) => `to ${n}`, broadcast),
    numberCase('axes', 'buffers', some([2048, 2112, 4096]), bytes, (n) =>
      pairOfPorts(SIZE, { 'dev.netmap.priv_buf_size': n }),
    ),
  ];
}
