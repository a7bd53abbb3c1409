// A TCP connection between two Linux guests in v86: over ptnet, as an interface of their kernels by the program ptnet-tap
// (examples/guest), beside v86's own cards on a switch of the same host.
import { attachNic, type Netmap, type V86Nic } from 'ptnet';
import type { Result } from '../results.js';
import { MMIO } from '../types.js';
import { type BenchGuest, cardName, LIMIT } from './guests.js';
import { inTurns, type Pausable, type Turn } from './turns.js';

const PORT = 5001;
const INTERFACE = 'ptn0';
type Pair = readonly [a: BenchGuest, b: BenchGuest];

interface TcpOptions {
  readonly rounds: number;
  /** Milliseconds of a connection. */
  readonly ms: number;
  /** Whether each path is run once before. */
  readonly warm: boolean;
}

const emulatorsOf = (pair: Pair): Pausable[] => pair.map(({ linux }) => linux.emulator);
const address = (net: number, i: number): string => `10.${net}.0.${i + 1}`;

/** Mbit/s of one connection, by the receiver's clock. */
async function connect([{ linux: a }, { linux: b }]: Pair, net: number, ms: number): Promise<number> {
  const sink = b.run(`tcp-rate sink ${PORT}`, LIMIT);
  await Promise.race([b.prints(/LISTENING/), sink]);
  await a.run(`tcp-rate source ${address(net, 1)} ${PORT} ${ms}`, LIMIT);
  const [, kib, took] = / kib=(\d+) ms=(\d+)/.exec(await sink) ?? [];
  return (Number(kib) * 1024 * 8) / 1000 / Number(took);
}

/** The same with ptnet-tap, which runs no longer than that: it takes time while it waits. */
async function overPtnet(pair: Pair, ms: number): Promise<number> {
  for (const [i, { linux, shared }] of pair.entries()) {
    await linux.run(
      `ptnet-tap ${shared} ${INTERFACE} > /tmp/tap & until ip link show ${INTERFACE} > /dev/null 2>&1; do sleep 1; done`,
    );
    await linux.run(`ip addr add ${address(87, i)}/24 dev ${INTERFACE}; ip link set ${INTERFACE} up`);
  }
  await pair[0].linux.run(`ping -c 1 -W 10 ${address(87, 1)}`);
  const rate = await connect(pair, 87, ms);
  for (const { linux } of pair) {
    await linux.run('killall ptnet-tap; while pidof ptnet-tap > /dev/null; do sleep 1; done');
  }
  return rate;
}

/** Joins the guests' cards with ports of a switch of their own. */
async function joinCards(netmap: Netmap, card: string, pair: Pair): Promise<() => Promise<void>> {
  const nics: V86Nic[] = [];
  for (const [i, { name, linux }] of pair.entries()) {
    nics.push(attachNic(linux.emulator, await netmap.open(`vale${card}:${name}`)));
    await linux.emulator.run();
    await linux.run(`ip addr add ${address(86, i)}/24 dev eth0; ip link set eth0 up`);
    await linux.emulator.stop();
  }
  return async () => {
    for (const nic of nics) await nic.close();
  };
}

/** Mbit/s. The first card's guests are also those of ptnet. */
export async function tcpResults(
  netmap: Netmap,
  cards: ReadonlyMap<string, Pair>,
  { rounds, ms, warm }: TcpOptions,
): Promise<Result[]> {
  const [first] = cards.values();
  const turns: Turn[] = [{ name: MMIO, emulators: emulatorsOf(first), run: () => overPtnet(first, ms) }];
  const closing: (() => Promise<void>)[] = [];
  try {
    for (const [card, pair] of cards) {
      closing.push(await joinCards(netmap, card, pair));
      turns.push({ name: cardName(card), emulators: emulatorsOf(pair), run: () => connect(pair, 86, ms) });
    }
    const work = { suite: 'v86', case: 'TCP, guest to guest', unit: 'Mbit/s' };
    // What has not run yet is interpreted, and compiled later.
    if (warm) await inTurns(work, turns, 1);
    return await inTurns(work, turns, rounds);
  } finally {
    for (const close of closing) await close();
  }
}
