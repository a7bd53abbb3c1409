// How much a guest that never stops moving head and ringing its doorbell slows its neighbours down: they share one loop
// worker, which handles a bounded number of slots of each in turn.
//
// On a machine with few processors the attacker's own thread takes its share of them, whatever the host does. That is not
// what is measured: while it does not attack, it works just as hard in its own memory. Each measurement of an attack
// stands between two without, so that what else the machine does is in all three; the median of their ratios counts.
//   PTNET_WINDOWS   measurements of each kind of attack (default 15)
//   PTNET_SEED      repeats a run's random choices
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Netmap } from '../../src/index.js';
import { mac } from './frames.js';
import type { Pressure } from './hostile.js';
import { gotWord, STOP, type StreamOptions, type StreamResult, sharedWords } from './stream.js';
import { Peer, seed, size, sleep } from './support.js';

const WINDOWS = size('PTNET_WINDOWS', 15);
const WINDOW_MS = 80;
const PATIENCE = 20_000;

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

test('endless moves of head do not slow the neighbours below half', async (t) => {
  const netmap = await Netmap.create({ threads: 1 });
  const attacker = new Peer(new URL('./hostile-worker.js', import.meta.url));
  const neighbours = [0, 1].map(() => new Peer(new URL('./port-worker.js', import.meta.url)));
  try {
    for (const [i, spec] of ['netmap:p{1', 'netmap:p}1'].entries()) {
      const guest = await netmap.createGuest();
      await guest.passthrough(spec, { loop: 'notify' });
      await neighbours[i].call('openGuest', { handle: guest.handle(neighbours[i].worker) });
    }
    const guest = await netmap.createGuest();
    await guest.passthrough('vale0:hostile', { loop: 'notify' });
    const handle = guest.handle(attacker.worker);
    await attacker.call('attach', { handle, seed, accomplices: ['vale0:accomplice'] }); // makes room for its frames
    await attacker.call('prepare');

    const shared = sharedWords();
    const words = new Int32Array(shared);
    const runs = neighbours.map((peer, side) => {
      const base = { shared, side, to: mac(2 - side), from: mac(1 + side), id: 1, longest: 124, seed: seed + side };
      const stream: StreamOptions = { ...base, send: side === 0 ? -1 : 0, receive: side === 1 };
      return peer.call<StreamResult>('run', { stream, pacing: { patience: PATIENCE } }, 600_000);
    });
    const measure = async (kind: Pressure): Promise<{ rate: number; moves: number }> => {
      const pressing = attacker.call<number>('press', { ms: WINDOW_MS + 30, kind });
      await sleep(15);
      const [started, before] = [performance.now(), Atomics.load(words, gotWord(1))];
      await sleep(WINDOW_MS);
      const rate = (Atomics.load(words, gotWord(1)) - before) / (performance.now() - started);
      return { rate, moves: await pressing };
    };
    for (let i = 0; i < 4; i++) await measure('idle'); // until everything is compiled
    /** Median of attacked / not attacked. */
    const compare = async (kind: Pressure): Promise<number> => {
      const ratios: number[] = [];
      let moves = 0;
      for (let i = 0; i < WINDOWS; i++) {
        const before = await measure('idle');
        const attack = await measure(kind);
        const after = await measure('idle');
        ratios.push((2 * attack.rate) / (before.rate + after.rate));
        moves += attack.moves;
      }
      t.diagnostic(`${kind}: ${median(ratios).toFixed(2)} of the rate, ${moves} moves`);
      return median(ratios);
    };
    for (const kind of ['heads', 'wrong heads', 'doorbells'] as const) {
      let best = 0; // other programs can make it look worse than it is, and do so now and then
      for (let tries = 0; tries < 3 && best < 0.5; tries++) best = Math.max(best, await compare(kind));
      assert.ok(best >= 0.5, `${kind}: ${best.toFixed(2)} of the rate without an attack`);
    }
    Atomics.store(words, STOP, 1);
    const [sent, received] = await Promise.all(runs);
    assert.equal(received.received, sent.sent);
    const { lostWakeups, lostWorkers } = await netmap.inspect();
    assert.deepEqual([lostWakeups, lostWorkers], [0, 0]);
  } finally {
    for (const peer of [attacker, ...neighbours]) await peer.end();
    await netmap.close();
  }
});
