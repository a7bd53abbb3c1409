// Two hosts, each with a memory of its own and a worker that uses it; a cable between them, in the test's own thread, in
// a worker, or in two workers that block.
//   PTNET_CABLE    frames of each exchange in a worker (default 1_000_000); the other drivers get a part of it
//   PTNET_ROUNDS   rounds of each game (default 5_000)
//   PTNET_SEED     repeats a run's random choices
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { abi, type CableCounters, type DirectionCounters, joinPorts, Netmap } from '../../src/index.js';
import { BROADCAST, mac } from './frames.js';
import type { PingPong } from './ping-pong.js';
import { type StreamOptions, type StreamResult, sharedWords } from './stream.js';
import { Peer, seed, size, sleep, until } from './support.js';

const FRAMES = size('PTNET_CABLE', 1_000_000);
const ROUNDS = size('PTNET_ROUNDS', 5_000);
const PATIENCE = 20_000;
const portWorker = new URL('./port-worker.js', import.meta.url);
const cableWorker = new URL('./cable-worker.js', import.meta.url);

const addresses = [mac(1), mac(2)];
const PIPE = ['netmap:p{1', 'netmap:p}1'];
/** Who drives the cable. */
type Drives = 'the main thread' | 'a worker' | 'two workers that block';

/** Two hosts with a user each, and the cable. `end` gives the counters of both directions. */
class Network {
  readonly hosts: Netmap[] = [];
  readonly users: Peer[] = [];
  readonly #cables: Peer[] = [];
  #end: () => Promise<CableCounters> = () => assert.fail('no cable');

  async open(drives: Drives): Promise<void> {
    for (let i = 0; i < 2; i++) {
      const host = await Netmap.create({ memorySize: 1 << 28 });
      const user = new Peer(portWorker);
      this.hosts.push(host);
      this.users.push(user);
      await user.call('openHost', { handle: host.handle(user.worker), spec: PIPE[0] });
    }
    if (drives === 'the main thread') await this.#joinHere();
    else if (drives === 'a worker') await this.#joinInWorker();
    else await this.#joinBlocking();
  }

  /** Takes the cable apart. */
  end(): Promise<CableCounters> {
    return this.#end();
  }

  async close(): Promise<void> {
    for (const peer of [...this.#cables, ...this.users]) await peer.end();
    for (const host of this.hosts) await host.close();
  }

  async #joinHere(): Promise<void> {
    const [a, b] = [await this.hosts[0].open(PIPE[1]), await this.hosts[1].open(PIPE[1])];
    const cable = joinPorts(a, b);
    this.#end = async () => {
      await cable.close();
      return cable.counters();
    };
  }

  async #cableWorker(order: readonly number[], specs: readonly string[]): Promise<Peer> {
    const peer = new Peer(cableWorker);
    this.#cables.push(peer);
    const handles = order.map((i) => this.hosts[i].handle(peer.worker));
    await peer.call('open', { handles, specs });
    return peer;
  }

  async #joinInWorker(): Promise<void> {
    const peer = await this.#cableWorker([0, 1], [PIPE[1], PIPE[1]]);
    await peer.call('join');
    this.#end = async () => {
      const counters = await peer.call<CableCounters>('counters');
      await peer.call('close');
      return counters;
    };
  }

  async #joinBlocking(): Promise<void> {
    const specs = [`${PIPE[1]}/R`, `${PIPE[1]}/T`];
    const halves = [await this.#cableWorker([0, 1], specs), await this.#cableWorker([1, 0], specs)];
    const stop = new Int32Array(new SharedArrayBuffer(4));
    const runs = halves.map((peer) => peer.call<DirectionCounters>('run', { stop }, 600_000));
    this.#end = async () => {
      Atomics.store(stop, 0, 1);
      const [aToB, bToA] = await Promise.all(runs);
      return { aToB, bToA };
    };
  }
}

async function withNetwork(drives: Drives, use: (network: Network) => Promise<void>): Promise<void> {
  const network = new Network();
  try {
    await network.open(drives);
    await use(network);
  } finally {
    await network.close();
  }
}

function stream(shared: SharedArrayBuffer, side: number, send: number): StreamOptions {
  const [to, from] = [addresses[1 - side], addresses[side]];
  return { shared, side, to, from, id: 1, send, receive: true, longest: 1514, seed: seed + side };
}

describe('two workers exchange numbered frames over a cable: none lost, corrupted or reordered', () => {
  const runs: [Drives, number][] = [
    ['a worker', FRAMES],
    ['the main thread', FRAMES / 4],
    ['two workers that block', FRAMES / 4],
  ];
  for (const [drives, frames] of runs) {
    test(`${frames} frames, driven by ${drives}`, (t) =>
      withNetwork(drives, async (network) => {
        const shared = sharedWords();
        const each = Math.floor(frames / 2);
        const pacing = { patience: PATIENCE, sleepEvery: 4000 };
        const results = await Promise.all(
          network.users.map((user, side) =>
            user.call<StreamResult>('run', { stream: stream(shared, side, each), pacing }, 600_000),
          ),
        );
        for (const { sent, received, foreign } of results) assert.deepEqual([sent, received, foreign], [each, each, 0]);
        const { aToB, bToA } = await network.end();
        for (const { frames: passed, drops, badRings, wakeUps } of [aToB, bToA]) {
          assert.equal(passed, each + 1); // and the stream's last frame
          assert.deepEqual([...new Set(Object.values(drops)), badRings], [0, 0]);
          assert.ok(wakeUps < each, `${wakeUps} wake-ups for ${each} frames`);
        }
        t.diagnostic(`wake-ups: ${aToB.wakeUps} and ${bToA.wakeUps}; stalls: ${aToB.stalls} and ${bToA.stalls}`);
      }));
  }
});

describe('no wake-up is lost: frames go to and fro over a cable, one at a time', () => {
  for (const drives of ['a worker', 'the main thread', 'two workers that block'] as const) {
    test(`${ROUNDS} rounds, driven by ${drives}`, () =>
      withNetwork(drives, async (network) => {
        const game = (side: number): PingPong => ({
          to: addresses[1 - side],
          from: addresses[side],
          id: 1,
          serves: side === 0,
          rounds: ROUNDS,
          think: 60,
          patience: PATIENCE,
          seed: seed + side,
        });
        await Promise.all(network.users.map((user, side) => user.call('pingPong', { game: game(side) }, 600_000)));
        await network.end();
      }));
  }
});

/** A broadcast that tells an address. */
const hello = (from: readonly number[]): Uint8Array => Uint8Array.from([...BROADCAST, ...from, ...Array(48).fill(0)]);

test('a flood from one side starves neither the event loop nor the other direction', async () => {
  const [one, two] = [await Netmap.create({ memorySize: 1 << 28 }), await Netmap.create({ memorySize: 1 << 28 })];
  const flooder = new Peer(portWorker);
  const joined = [await one.open('vale0:cable'), await two.open('vale0:cable')];
  const cable = joinPorts(joined[0], joined[1]);
  try {
    const [near, far] = [await one.open('vale0:near'), await two.open('vale0:far')];
    await flooder.call('openHost', { handle: one.handle(flooder.worker), spec: 'vale0:flooder' });
    await near.send(hello(mac(1)));
    assert.notEqual(await far.poll(abi.POLLIN, { timeout: 2000 }), 0);
    await far.send(hello(mac(2))); // both switches know both now
    assert.notEqual(await near.poll(abi.POLLIN, { timeout: 2000 }), 0);
    near.recv();
    const flood = { from: mac(9), to: mac(2), len: 1514 };
    const flooding = flooder.call('hammer', flood, 600_000).catch(() => {});
    await until(PATIENCE, 'the flood', () => cable.counters().aToB.frames > 10_000 || undefined);
    const enough = cable.counters().aToB.frames + 10_000;
    const limit = performance.now() + PATIENCE;
    let worst = 0;
    for (let round = 0; round < 100 || cable.counters().aToB.frames < enough; round++) {
      const started = performance.now();
      assert.ok(started < limit, 'the flood has ended');
      await far.send(Uint8Array.from([...mac(1), ...mac(2), ...hello([])]));
      assert.notEqual(await near.poll(abi.POLLIN, { timeout: PATIENCE }), 0, 'a frame against the flood');
      assert.equal(near.recv().length, 1);
      worst = Math.max(worst, performance.now() - started);
    }
    assert.ok(worst < 1000, `a frame took ${worst} ms`);
    await flooder.end();
    await flooding;
  } finally {
    await cable.close();
    await flooder.end();
    for (const host of [one, two]) await host.close();
  }
});

test('a burst costs few wake-ups, whatever its length', (t) =>
  withNetwork('a worker', async (network) => {
    const [sender, receiver] = network.users;
    const bursts = 50;
    const addressed = { from: addresses[0], to: addresses[1] };
    for (let burst = 0; burst < bursts; burst++) {
      await sender.call('put', { ...addressed, count: 1000 });
      let left = 1000;
      await until(PATIENCE, 'a burst', async () => {
        left -= await receiver.call<number>('take');
        return left === 0 || undefined;
      });
      await receiver.call('take'); // gives the room back
      await sleep(2);
      await sender.call('put', { ...addressed, count: 0 }); // takes the room
    }
    const { aToB } = await network.end();
    assert.equal(aToB.frames, 1000 * bursts);
    assert.ok(aToB.wakeUps <= 5 * bursts, `${aToB.wakeUps} wake-ups for ${bursts} bursts of 1000 frames`);
    t.diagnostic(`${aToB.wakeUps} wake-ups for ${bursts} bursts of 1000 frames`);
  }));
