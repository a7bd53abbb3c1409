// Tunables on their way to the threads that run guests.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { DEFAULT_TUNABLES, Netmap, type Tunables } from '../../src/index.js';

test("a guest in a worker sees its tunables; one that it makes has the host's and its own", {
  timeout: 60_000,
}, async () => {
  const host = { 'dev.netmap.max_bridges': 3, ptnet_gso: 0 };
  const netmap = await Netmap.create({ memorySize: 1 << 26, tunables: host });
  try {
    const guest = await netmap.createGuest({ tunables: { 'dev.netmap.ptnet_vnet_hdr': 0 } });
    const worker = new Worker(new URL('./tunables-worker.js', import.meta.url), { workerData: guest.handle() });
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    const told = new Promise<Tunables[]>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    assert.deepEqual(await told, [
      { ...DEFAULT_TUNABLES, ...host, 'dev.netmap.ptnet_vnet_hdr': 0 },
      { ...DEFAULT_TUNABLES, ...host, ptnet_gso: 1 },
    ]);
    await ended;
  } finally {
    await netmap.close();
  }
});
