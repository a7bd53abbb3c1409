// Regions in reserved memory that several threads use: they go with the last of them, however it ends.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { abi, Netmap } from '../../src/index.js';
import { Peer, until } from './support.js';

const PATIENCE = 20_000;
const SIZE = 16 << 20;
const all: Peer[] = [];
afterEach(async () => {
  for (const peer of all.splice(0)) await peer.end();
});

test('killed workers give reserved memory back', { timeout: 60_000 }, async () => {
  const netmap = await Netmap.create({ memorySize: 1 << 27 });
  const range = netmap.reserve(SIZE);
  const clean = JSON.stringify(await netmap.inspect());
  for (let round = 0; round < 5; round++) {
    const peers = Array.from({ length: 2 }, () => {
      const handle = netmap.handle();
      const peer = new Peer(new URL('./extmem-worker.js', import.meta.url), { handle, base: range.base, size: SIZE });
      all.push(peer);
      void peer.exited.then(() => netmap.release(handle));
      return peer;
    });
    const ids = await Promise.all(peers.map((peer, i) => peer.call<number>('open', `vale0:${i}`)));
    assert.equal(ids[0], ids[1], 'one area is one region');
    const port = await netmap.open('vale0:main', { rxSlots: 64 });
    for (const peer of peers) void peer.call('storm').catch(() => {});
    assert.equal(await port.poll(abi.POLLIN, { timeout: PATIENCE }), abi.POLLIN);
    assert.throws(() => range.release(), { code: 'EBUSY' });
    for (const peer of peers) await peer.end();
    await port.close();
    await until(PATIENCE, 'everything given back', async () =>
      JSON.stringify(await netmap.inspect()) === clean ? true : undefined,
    );
  }
  range.release();
  await netmap.close();
});
