// A TCP connection between two Linux guests in v86: over ptnet, as an interface of their kernels by the program ptnet-tap
// (examples/guest), beside v86's own cards on a switch of the same host.
import { attachNic, attachPtnet, Netmap } from 'ptnet';
import type { Result } from '../results.js';
import { MMIO } from '../types.js';
import { type Linux, prepare } from './suite.js';
import { inTurns, type Pausable } from './turns.js';

const LIMIT = 300_000;
const PORT = 5001;
const INTERFACE = 'ptn0';
type Pair = readonly [a: Linux, b: Linux];

const emulatorsOf = (pair: Pair): Pausable[] => pair.map(({ emulator }) => emulator);
const address = (net: number, i: number): string => `10.${net}.0.${i + 1}`;

/** Two guests with this card on a switch, and with ptnet devices on another one. */
async function makePair(netmap: Netmap, card: string): Promise<{ pair: Pair; close: () => Promise<void> }> {
  const closing: (() => Promise<void>)[] = [];
  const guests: Linux[] = [];
  for (const end of ['a', 'b']) {
    const linux = await prepare(card);
    const device = await attachPtnet(linux.emulator, { netmap, name: `vale${card}:${end}` });
    const nic = attachNic(linux.emulator, await netmap.open(`vale${card}C:${end}`));
    closing.push(
      () => device.close(),
      () => nic.close(),
      () => linux.close(),
    );
    guests.push(linux);
  }
  const pair = guests as unknown as Pair;
  await Promise.all(pair.map((guest) => guest.boot()));
  return {
    pair,
    close: async () => {
      for (const close of closing) await close();
    },
  };
}

/** Mbit/s of one connection, by the receiver's clock. */
async function connect([a, b]: Pair, net: number, seconds: number): Promise<number> {
  const sink = b.run(`tcp-rate sink ${PORT}`, LIMIT);
  await b.prints(/LISTENING/);
  await a.run(`tcp-rate source ${address(net, 1)} ${PORT} ${1000 * seconds}`, LIMIT);
  const [, kib, ms] = / kib=(\d+) ms=(\d+)/.exec(await sink) ?? [];
  return (Number(kib) * 1024 * 8) / 1000 / Number(ms);
}

/** The same with ptnet-tap, which runs no longer than that: it takes time while it waits. */
async function overPtnet(pair: Pair, seconds: number): Promise<number> {
  for (const [i, guest] of pair.entries()) {
    await guest.run(
      `ptnet-tap 0 ${INTERFACE} > /tmp/tap & until ip link show ${INTERFACE} > /dev/null 2>&1; do sleep 1; done`,
    );
    await guest.run(`ip addr add ${address(87, i)}/24 dev ${INTERFACE}; ip link set ${INTERFACE} up`);
  }
  await pair[0].run(`ping -c 1 -W 10 ${address(87, 1)}`);
  const rate = await connect(pair, 87, seconds);
  for (const guest of pair) await guest.run('killall ptnet-tap; while pidof ptnet-tap > /dev/null; do sleep 1; done');
  return rate;
}

/** Mbit/s. */
export async function v86TcpResults(rounds: number, seconds: number): Promise<Result[]> {
  const netmap = await Netmap.create();
  const closing: (() => Promise<void>)[] = [];
  try {
    const pairs: Pair[] = [];
    for (const card of ['virtio', 'ne2k']) {
      const { pair, close } = await makePair(netmap, card);
      closing.push(close);
      pairs.push(pair);
      for (const [i, guest] of pair.entries()) {
        await guest.run(`ip addr add ${address(86, i)}/24 dev eth0; ip link set eth0 up`);
      }
      // What has not run yet is interpreted, and compiled later.
      await connect(pair, 86, seconds);
      if (card === 'virtio') await overPtnet(pair, seconds);
      for (const emulator of emulatorsOf(pair)) await emulator.stop();
    }
    const [virtio, ne2k] = pairs;
    const turns = [
      { name: MMIO, emulators: emulatorsOf(virtio), run: () => overPtnet(virtio, seconds) },
      { name: 'virtio-net', emulators: emulatorsOf(virtio), run: () => connect(virtio, 86, seconds) },
      { name: 'ne2k', emulators: emulatorsOf(ne2k), run: () => connect(ne2k, 86, seconds) },
    ];
    return await inTurns({ suite: 'v86', case: 'TCP, guest to guest', unit: 'Mbit/s' }, turns, rounds);
  } finally {
    for (const close of closing) await close();
    await netmap.close();
  }
}
