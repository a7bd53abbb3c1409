// The hunt for lost wake-ups: frames that go to and fro one at a time.
//   PTNET_ROUNDS   rounds of each game (default 20_000)
//   PTNET_SEED     repeats a run's random choices
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type LoopMode, Netmap } from '../../src/index.js';
import { mac } from './frames.js';
import { type PingPong, pingPongAsync } from './ping-pong.js';
import { Peer, seed, size } from './support.js';

const ROUNDS = size('PTNET_ROUNDS', 20_000);
const PATIENCE = 10_000;
const LIMIT = 600_000;
const url = new URL('./port-worker.js', import.meta.url);

/** A thread that plays: its port, and how the port is reached. */
interface Player {
  readonly spec: string;
  /** Loop mode of a guest, `host` for a port of the host in a worker, `main` for one in the test's own thread. */
  readonly kind: LoopMode | 'host' | 'main';
}

let games = 0;

async function play(players: readonly Player[], think: number): Promise<void> {
  const netmap = await Netmap.create({ threads: 1 });
  const peers: Peer[] = [];
  const id = ++games;
  const game = (side: number): PingPong => ({
    to: mac(2 - side),
    from: mac(1 + side),
    id,
    serves: side === 0,
    rounds: ROUNDS,
    think,
    patience: PATIENCE,
    seed: seed + 2 * id + side,
  });
  try {
    const starts: (() => Promise<unknown>)[] = [];
    for (const [side, { spec, kind }] of players.entries()) {
      if (kind === 'main') {
        const port = await netmap.open(spec);
        starts.push(() => pingPongAsync(port, game(side)));
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
      starts.push(() => peer.call('pingPong', { game: game(side) }, LIMIT));
    }
    await Promise.all(starts.map((start) => start()));
    assert.equal((await netmap.inspect()).lostWakeups, 0);
  } finally {
    for (const peer of peers) await peer.end();
    await netmap.close();
  }
}

describe('no wake-up is lost: frames go to and fro one at a time', () => {
  const media = { pipe: ['netmap:p{1', 'netmap:p}1'], VALE: ['vale0:a', 'vale0:b'] };
  const kinds: Player['kind'][][] = [
    ['host', 'host'],
    ['notify', 'notify'],
    ['notify', 'direct'],
    ['direct', 'direct'],
    ['notify', 'host'],
    ['main', 'host'],
    ['main', 'notify'],
  ];
  for (const [name, specs] of Object.entries(media)) {
    for (const pair of kinds) {
      test(`${ROUNDS} rounds over a ${name}, ${pair.join(' and ')}`, () =>
        play(
          pair.map((kind, side) => ({ spec: specs[side], kind })),
          60,
        ));
    }
  }
});
