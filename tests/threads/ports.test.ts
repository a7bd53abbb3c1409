// A network interface, whoever uses it and whoever monitors it in threads of their own.
//   PTNET_ECHOES   frames sent to and fro (default 200000)
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { abi, Netmap } from '../../src/index.js';
import { Peer, size, until } from './support.js';

const ECHOES = size('PTNET_ECHOES', 200_000);
const url = new URL('./ports-worker.js', import.meta.url);

test('frames come back in order from a backend in a worker, and monitors see them in order', async () => {
  const netmap = await Netmap.create();
  const [backend, user, copy, zero] = [new Peer(url), new Peer(url), new Peer(url), new Peer(url)];
  try {
    const before = (await netmap.inspect()).regions;
    await backend.call('plug', { handle: netmap.handle(backend.worker), name: 'eth0' });
    const keep = await netmap.open('netmap:eth0-0/T');
    const [count, other] = [new SharedArrayBuffer(8), new SharedArrayBuffer(8)];
    const rt = { handle: netmap.handle(copy.worker), spec: 'netmap:eth0/rt', count };
    const z = { handle: netmap.handle(zero.worker), spec: 'netmap:eth0/z', count: other };
    const watching = [copy.call<Record<string, number>>('watch', rt), zero.call<Record<string, number>>('watch', z)];
    await until(5000, 'two monitors', async () => ((await netmap.inspect()).ports.length === 5 ? true : undefined));
    const args = { handle: netmap.handle(user.worker), spec: 'netmap:eth0', frames: ECHOES };
    assert.equal(await user.call('echo', args, 120_000), ECHOES);
    await until(10_000, 'all frames seen by the copy monitor, or lost', async () => {
      const [seen, lost] = new Int32Array(count);
      return seen + lost === 2 * ECHOES ? true : undefined;
    });
    await keep.close();
    const [copied, swapped] = await Promise.all(watching);
    assert.ok(copied['tx'] > 0 && copied['rx'] > 0 && swapped['tx'] > 0 && swapped['rx'] > 0);
    await backend.end();
    await until(5000, 'the interface gone with its thread', async () => {
      const { regions, ports } = await netmap.inspect();
      return regions.length === before.length && ports.length === 0 ? true : undefined;
    });
  } finally {
    for (const peer of [backend, user, copy, zero]) await peer.end();
    await netmap.close();
  }
});

test('when the thread of its backend is killed, whoever has an interface open gets POLLERR', async () => {
  const netmap = await Netmap.create();
  const [backend, user] = [new Peer(url), new Peer(url)];
  try {
    await backend.call('plug', { handle: netmap.handle(backend.worker), name: 'eth0' });
    const held = user.call('hold', { handle: netmap.handle(user.worker), spec: 'netmap:eth0*' });
    await until(5000, 'an open port', async () => ((await netmap.inspect()).ports.length === 3 ? true : undefined));
    await backend.end();
    assert.equal(await held, abi.POLLERR);
    await until(5000, 'nothing left', async () => ((await netmap.inspect()).regions.length === 0 ? true : undefined));
    await assert.rejects(netmap.open('netmap:eth0'), { code: 'ENXIO' });
  } finally {
    for (const peer of [backend, user]) await peer.end();
    await netmap.close();
  }
});
