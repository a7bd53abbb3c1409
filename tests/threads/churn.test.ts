// Ports of all kinds come and go in several threads at once, in random order: nothing is left, nobody hangs, and who is
// refused learns so by an errno that the documentation has.
//   PTNET_CHURN   calls of each worker (default 2000)
//   PTNET_SEED    repeats a run's random choices
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Netmap } from '../../src/index.js';
import type { ChurnOptions, Tally } from './churn-worker.js';
import { Peer, seed, size, until } from './support.js';

const CYCLES = size('PTNET_CHURN', 2000);
const WORKERS = 3;
/** Milliseconds that a call may take on average, on a machine that does other things too. */
const SLOWEST = 40;

/** Everything that must have happened, or the test has not tested it. */
const CALLS = [
  'open VALE',
  'open VALE of an interface',
  'open pipe',
  'open exclusive pipe',
  'open persistent',
  'open NIC',
  'open copy monitor',
  'open zero-copy monitor',
  'close',
  'addInterface',
  'removeInterface',
  'close of an interface',
  'newInterface',
  'deleteInterface',
  'valeAttach',
  'valeDetach',
  'poll',
];

test(`${WORKERS} workers make ${CYCLES} calls each, and nothing is left`, async () => {
  const netmap = await Netmap.create({
    privatePools: { priv_ring_num: 200, priv_ring_size: 2048, priv_if_num: 100, priv_buf_num: 2048 },
  });
  const peers = Array.from({ length: WORKERS }, () => new Peer(new URL('./churn-worker.js', import.meta.url)));
  try {
    await netmap.open('vale7:keep', { txSlots: 16, rxSlots: 16 }); // a region that stays
    const before = await netmap.inspect();
    const tallies = await Promise.all(
      peers.map((peer, i) => {
        const options: ChurnOptions = { handle: netmap.handle(peer.worker), cycles: CYCLES, seed: seed + i };
        return peer.call<Tally>('run', options, 20_000 + CYCLES * SLOWEST);
      }),
    );
    // Persistent ports belong to nobody.
    for (const { name } of await netmap.valeList()) {
      if (name.includes(':per')) await netmap.valeDetach(name);
    }
    for (const name of ['per0', 'per1']) {
      await netmap.deleteInterface(name).catch((error) => assert.equal(error.code, 'ENXIO'));
    }
    const after = await until(5000, 'the threads gone', async () => {
      const now = await netmap.inspect();
      return now.threads === before.threads ? now : undefined;
    });
    assert.deepEqual(after, before, `seed ${seed}`);
    const total = (call: string): number => tallies.reduce((sum, tally) => sum + (tally[call] ?? 0), 0);
    if (CYCLES >= 2000) {
      for (const call of CALLS) assert.ok(total(call) > 0, `no '${call}' has succeeded (seed ${seed})`);
    }
  } finally {
    for (const peer of peers) await peer.end();
    await netmap.close();
  }
});
