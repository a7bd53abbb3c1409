// Any thread syncs its rings while others sync theirs: many senders into one ring, several switches at once, several
// threads on the rings of one port.
//   PTNET_MANY   frames that each worker sends on each switch (default 100_000)
//   PTNET_SEED   repeats a run's random choices
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Netmap, type OpenOptions, type PortCounters } from '../../src/index.js';
import { mac } from './frames.js';
import type { ManyOptions, ManyResult } from './many-worker.js';
import { type StreamOptions, type StreamResult, sharedWords } from './stream.js';
import { Peer, seed, size, until } from './support.js';

const FRAMES = size('PTNET_MANY', 100_000);
const LIMIT = 240_000;
const PATIENCE = 20_000;

interface Crowd {
  readonly workers: number;
  readonly bridges: number;
  /** How many frames worker i (from 1) sends on each switch. */
  readonly send: (worker: number) => number;
  /** Whom all send to, 0 = each other. */
  readonly to: number;
}

async function runCrowd({ workers, bridges, send, to }: Crowd): Promise<void> {
  const netmap = await Netmap.create();
  const peers = Array.from({ length: workers }, () => new Peer(new URL('./many-worker.js', import.meta.url)));
  try {
    const names = Array.from({ length: bridges }, (_, i) => `vale${i}`);
    for (const [i, peer] of peers.entries()) {
      await peer.call('open', { handle: netmap.handle(peer.worker), specs: names.map((name) => `${name}:w${i}`) });
    }
    await until(10_000, 'learning', async () => {
      for (const [i, peer] of peers.entries()) await peer.call('hello', { me: i + 1 });
      return (await netmap.inspect()).bridges.every(({ fdb }) => fdb.length === workers) || undefined;
    });
    const before = await Promise.all(peers.map((peer) => peer.call<PortCounters[]>('counters')));
    const done = new SharedArrayBuffer(4);
    const results = await Promise.all(
      peers.map((peer, i) => {
        const options: ManyOptions = { me: i + 1, workers, send: send(i + 1), to, done, seed: seed + i };
        return peer.call<ManyResult[]>('run', options, LIMIT);
      }),
    );
    const after = await Promise.all(peers.map((peer) => peer.call<PortCounters[]>('counters')));
    for (let b = 0; b < bridges; b++) {
      const sum = (of: (i: number) => number): number => peers.reduce((total, _, i) => total + of(i), 0);
      const drops = (c: PortCounters): number => Object.values(c.drops).reduce((a, n) => a + n, 0);
      const copies = sum((i) => results[i][b].unicast + results[i][b].broadcast * (workers - 1));
      const received = sum((i) => results[i][b].received);
      const dropped = sum((i) => drops(after[i][b]) - drops(before[i][b]));
      assert.equal(received + dropped, copies, `switch ${b}: ${received} received and ${dropped} dropped of ${copies}`);
      assert.ok(received > copies / 1000, `only ${received} of ${copies} arrived`);
      for (const [i] of peers.entries()) {
        const { unicast, broadcast } = results[i][b];
        assert.equal(after[i][b].txPackets - before[i][b].txPackets, unicast + broadcast);
        assert.deepEqual([after[i][b].badSlots, after[i][b].reinits], [0, 0]);
      }
    }
    for (const peer of peers) await peer.call('close');
    for (const peer of peers) await peer.end();
    const { ports, regions, threads } = await netmap.inspect();
    assert.deepEqual([ports, regions, threads], [[], [], 1]);
  } finally {
    for (const peer of peers) await peer.end();
    await netmap.close();
  }
}

describe('per source in order, received + dropped = sent, no byte beyond a frame written', () => {
  test(`three workers send ${FRAMES} frames each into one ring at once`, () =>
    runCrowd({ workers: 4, bridges: 1, send: (i) => (i === 4 ? 0 : FRAMES), to: 4 }));
  test(`four workers send ${FRAMES} frames each to one another, some to all`, () =>
    runCrowd({ workers: 4, bridges: 1, send: () => FRAMES, to: 0 }));
  test(`three workers send ${FRAMES} frames each on each of two switches`, () =>
    runCrowd({ workers: 3, bridges: 2, send: () => FRAMES, to: 0 }));
});

/** Streams through ports of the host, each end in a worker of its own; `specs[i]` are the ends of stream i. */
async function runStreams(
  pairs: readonly { specs: readonly [string, string]; counts: readonly [number, number]; window: number }[],
  options: OpenOptions,
): Promise<void> {
  const netmap = await Netmap.create();
  const peers: Peer[] = [];
  try {
    const runs: (() => Promise<void>)[] = [];
    for (const [p, { specs, counts, window }] of pairs.entries()) {
      const ends = specs.map(() => new Peer(new URL('./port-worker.js', import.meta.url)));
      peers.push(...ends);
      const address = [mac(1 + 2 * p), mac(2 + 2 * p)];
      for (const [side, spec] of specs.entries()) {
        await ends[side].call('openHost', { handle: netmap.handle(ends[side].worker), spec, options });
        if (window !== 0) await ends[side].call('hello', { from: address[side] });
      }
      const shared = sharedWords();
      runs.push(async () => {
        const results = await Promise.all(
          ends.map((end, side) => {
            const stream: StreamOptions = {
              shared,
              side,
              to: address[1 - side],
              from: address[side],
              id: 1 + p,
              send: counts[side],
              receive: counts[1 - side] !== 0,
              window,
              seed: seed + 10 * p + side,
            };
            return end.call<StreamResult>('run', { stream, pacing: { patience: PATIENCE, sleepEvery: 4000 } }, LIMIT);
          }),
        );
        assert.deepEqual([results[1].received, results[0].received], counts);
      });
    }
    await Promise.all(runs.map((run) => run()));
  } finally {
    for (const peer of peers) await peer.end();
    await netmap.close();
  }
}

describe('several threads share a port', () => {
  const both: [number, number] = [FRAMES, FRAMES];
  test('each has one of the rings of a pipe', () =>
    runStreams(
      [0, 1].map((i) => ({ specs: [`netmap:p{1-${i}`, `netmap:p}1-${i}`], counts: both, window: 0 })),
      { txRings: 2, rxRings: 2 },
    ));
  test('each has one of the rings of two ports of a switch', () =>
    runStreams(
      [0, 1].map((i) => ({ specs: [`vale0:a-${i}`, `vale0:b-${i}`], counts: both, window: 400 })),
      { txRings: 2, rxRings: 2 },
    ));
  test('one sends through it and the other receives, both with all rings', () =>
    runStreams(
      [
        { specs: ['netmap:p{1', 'netmap:p}1'], counts: [FRAMES, 0], window: 0 },
        { specs: ['netmap:p{1', 'netmap:p}1'], counts: [0, FRAMES], window: 0 },
      ],
      { txSlots: 4, rxSlots: 4 }, // small rings: both wait all the time
    ));
});
