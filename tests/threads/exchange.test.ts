// Two workers exchange numbered frames, in all loop modes, over pipes and over VALE, with random sleeps.
//   PTNET_EXCHANGE   frames over each medium in notification mode (default 5_000_000; 50_000_000 is the long run);
//                    the other modes and the host's own ports get a tenth
//   PTNET_SEED       repeats a run's random choices
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type LoopMode, Netmap, type OpenOptions } from '../../src/index.js';
import { mac } from './frames.js';
import { type StreamOptions, type StreamResult, sharedWords } from './stream.js';
import { Peer, seed, size, until } from './support.js';

const FRAMES = size('PTNET_EXCHANGE', 5_000_000);
const url = new URL('./port-worker.js', import.meta.url);
/** Nothing in these tests takes this long (ms) but a wait that has been forgotten. */
const PATIENCE = 20_000;
const addresses = [mac(1), mac(2)];

interface Phase {
  /** Frames from worker 0 to worker 1, and back. */
  readonly counts: readonly [number, number];
  readonly window: number;
  readonly sleepEvery: number;
  readonly longest: number;
}

let streams = 0;

async function runPhase(workers: readonly Peer[], { counts, window, sleepEvery, longest }: Phase): Promise<void> {
  const shared = sharedWords();
  const id = ++streams;
  const results = await Promise.all(
    workers.map((worker, side) => {
      const stream: StreamOptions = {
        shared,
        side,
        to: addresses[1 - side],
        from: addresses[side],
        id,
        send: counts[side],
        receive: counts[1 - side] !== 0,
        window,
        longest,
        seed: seed + 2 * id + side,
      };
      return worker.call<StreamResult>('run', { stream, pacing: { patience: PATIENCE, sleepEvery } }, 600_000);
    }),
  );
  for (const side of [0, 1]) {
    assert.equal(results[side].sent, counts[side]);
    assert.equal(results[1 - side].received, counts[side]);
    assert.equal(results[side].foreign, 0);
  }
}

/** One way, the other way, and both ways at once. */
async function exchange(workers: readonly Peer[], frames: number, window: number): Promise<void> {
  const part = Math.floor(frames / 4);
  const base = { window, sleepEvery: 4000, longest: 1514 };
  await runPhase(workers, { ...base, counts: [part, 0] });
  await runPhase(workers, { ...base, counts: [0, part] });
  await runPhase(workers, { ...base, counts: [part, part] });
}

/** The switch has to know both addresses, or it sends everything to ring 0. */
async function introduce(netmap: Netmap, workers: readonly Peer[]): Promise<void> {
  await until(10_000, 'learning two addresses', async () => {
    for (const [i, worker] of workers.entries()) await worker.call('hello', { from: addresses[i] });
    const { bridges } = await netmap.inspect();
    return bridges[0].fdb.length === 2 || undefined;
  });
}

async function settle(netmap: Netmap, workers: readonly Peer[]): Promise<void> {
  assert.equal((await netmap.inspect()).lostWakeups, 0);
  for (const worker of workers) await worker.call('close');
  for (const worker of workers) await worker.end();
}

async function betweenGuests(specs: readonly string[], loop: LoopMode, frames: number, window: number): Promise<void> {
  const netmap = await Netmap.create({ threads: loop === 'direct' ? 0 : 1 });
  const workers = specs.map(() => new Peer(url));
  try {
    for (const [i, spec] of specs.entries()) {
      const guest = await netmap.createGuest();
      await guest.passthrough(spec, { loop });
      await workers[i].call('openGuest', { handle: guest.handle(workers[i].worker) });
    }
    if (window !== 0) await introduce(netmap, workers);
    await exchange(workers, frames, window);
    await settle(netmap, workers);
  } finally {
    for (const worker of workers) await worker.end();
    await netmap.close();
  }
}

async function betweenHostPorts(
  specs: readonly string[],
  options: OpenOptions,
  frames: number,
  window: number,
): Promise<void> {
  const netmap = await Netmap.create();
  const workers = specs.map(() => new Peer(url));
  try {
    for (const [i, spec] of specs.entries()) {
      await workers[i].call('openHost', { handle: netmap.handle(workers[i].worker), spec, options });
    }
    if (window !== 0) await introduce(netmap, workers);
    await exchange(workers, frames, window);
    await settle(netmap, workers);
    const { ports, regions, threads } = await netmap.inspect();
    assert.deepEqual([ports, regions, threads], [[], [], 1]);
  } finally {
    for (const worker of workers) await worker.end();
    await netmap.close();
  }
}

const PIPE = ['netmap:p{1', 'netmap:p}1'];
const VALE = ['vale0:a', 'vale0:b'];
const WINDOW = 500;

describe('two guests exchange numbered frames: none lost, corrupted or reordered, no wait forgotten', () => {
  const modes: [LoopMode, number][] = [
    ['notify', FRAMES],
    ['direct', FRAMES / 10],
    ['busy', FRAMES / 10],
  ];
  for (const [mode, frames] of modes) {
    test(`${frames} frames over a passed-through pipe, mode ${mode}`, () => betweenGuests(PIPE, mode, frames, 0));
    test(`${frames} frames over VALE, mode ${mode}`, () => betweenGuests(VALE, mode, frames, WINDOW));
  }
});

describe('two workers exchange numbered frames through ports of the host', () => {
  const rings = (n: number, slots: number): OpenOptions => ({ txRings: n, rxRings: n, txSlots: slots, rxSlots: slots });
  const frames = FRAMES / 10;
  test(`${frames} frames over a pipe of 1 ring`, () => betweenHostPorts(PIPE, rings(1, 1024), frames, 0));
  test(`${frames} frames over a pipe of 4 rings`, () => betweenHostPorts(PIPE, rings(4, 64), frames, 0));
  test(`${frames} frames over VALE, 1 ring`, () => betweenHostPorts(VALE, rings(1, 1024), frames, WINDOW));
  test(`${frames} frames over VALE, 3 rings`, () => betweenHostPorts(VALE, rings(3, 1024), frames, WINDOW));
  test(`${frames} frames over a pipe of 3 slots`, () => betweenHostPorts(PIPE, rings(1, 3), Math.min(frames, 2e5), 0));
});
