// The hunt for lost wake-ups: frames that go to and fro one at a time, and bursts that wait for a part of a ring.
//   PTNET_ROUNDS   rounds of each game (default 5_000)
//   PTNET_SEED     repeats a run's random choices
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type LoopMode, Netmap, type NetmapPort, PtnetDriver } from '../../src/index.js';
import type { Bursts } from './bursts.js';
import { mac } from './frames.js';
import { type PingPong, pingPongAsync } from './ping-pong.js';
import { Peer, seed, size } from './support.js';

const ROUNDS = size('PTNET_ROUNDS', 5_000);
const PATIENCE = 10_000;
const LIMIT = 600_000;
/** Longest time to think (µs): a blocking wait spins for 20 µs, a loop worker about as long. */
const THINK = 60;
const url = new URL('./port-worker.js', import.meta.url);

/**
 * How a player reaches its port: as a guest in a worker, with a port of the host in a worker, or in the test's own
 * thread, which awaits and does not spin: as the host or as a guest.
 */
type Kind = LoopMode | 'host' | 'main' | 'main guest';

let games = 0;

async function openGuestHere(netmap: Netmap, spec: string): Promise<NetmapPort> {
  const guest = await netmap.createGuest();
  await guest.passthrough(spec, { loop: 'notify' });
  return PtnetDriver.probe(await guest.machine())[0].open();
}

/** Runs `op` in two workers, or `here` in this thread, with the game that `gameOf` gives each side. */
async function play(
  specs: readonly string[],
  kinds: readonly Kind[],
  op: string,
  gameOf: (side: number, id: number) => PingPong | Bursts,
  here?: (port: NetmapPort, game: never) => Promise<void>,
): Promise<void> {
  const netmap = await Netmap.create({ threads: 1 });
  const peers: Peer[] = [];
  const id = ++games;
  try {
    const starts: (() => Promise<unknown>)[] = [];
    for (const [side, kind] of kinds.entries()) {
      const spec = specs[side];
      const game = gameOf(side, id);
      if (kind === 'main' || kind === 'main guest') {
        const port = kind === 'main' ? await netmap.open(spec) : await openGuestHere(netmap, spec);
        starts.push(async () => here?.(port, game as never));
        continue;
      }
      const peer = new Peer(url);
      peers.push(peer);
      if (kind === 'host') {
        await peer.call('openHost', { handle: netmap.handle(peer.worker), spec });
      } else {
        const guest = await netmap.createGuest();
        await guest.passthrough(spec, { loop: kind });
        await peer.call('openGuest', { handle: guest.handle(peer.worker) });
      }
      starts.push(() => peer.call(op, { game }, LIMIT));
    }
    await Promise.all(starts.map((start) => start()));
    const { lostWakeups, lostWorkers } = await netmap.inspect();
    assert.deepEqual([lostWakeups, lostWorkers], [0, 0]);
  } finally {
    for (const peer of peers) await peer.end();
    await netmap.close();
  }
}

const PIPE = ['netmap:p{1', 'netmap:p}1'];
const VALE = ['vale0:a', 'vale0:b'];

describe('no wake-up is lost: frames go to and fro one at a time', () => {
  const pairs: Kind[][] = [
    ['host', 'host'],
    ['notify', 'notify'],
    ['notify', 'direct'],
    ['direct', 'direct'],
    ['notify', 'host'],
    ['main', 'host'],
    ['main', 'notify'],
    ['main guest', 'host'],
  ];
  const gameOf = (side: number, id: number): PingPong => ({
    to: mac(2 - side),
    from: mac(1 + side),
    id,
    serves: side === 0,
    rounds: ROUNDS,
    think: THINK,
    patience: PATIENCE,
    seed: seed + 2 * id + side,
  });
  for (const [medium, specs] of Object.entries({ pipe: PIPE, VALE })) {
    for (const pair of pairs) {
      test(`${ROUNDS} rounds, ${medium}, ${pair.join(' and ')}`, () =>
        play(specs, pair, 'pingPong', gameOf, pingPongAsync));
    }
  }
});

describe('no wake-up is lost: a sender waits for room for whole bursts, on a pipe', () => {
  const bursts = Math.ceil(ROUNDS / 5);
  const pairs: Kind[][] = [
    ['host', 'host'],
    ['host', 'notify'],
    ['notify', 'host'],
    ['notify', 'notify'],
    ['direct', 'direct'],
    ['busy', 'notify'],
  ];
  for (const pair of pairs) {
    test(`${bursts} bursts, ${pair.join(' to ')}`, () =>
      play(PIPE, pair, 'bursts', (side, id) => {
        return { sends: side === 0, bursts, lengths: seed + id, patience: PATIENCE, seed: seed + 2 * id + side };
      }));
  }
});
