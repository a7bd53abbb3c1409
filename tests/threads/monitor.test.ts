// A monitor that is open on the host, of a ring that a kernel loop has: who wakes whom.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { abi, Netmap, PtnetDriver } from '../../src/index.js';
import { mac } from './frames.js';
import { Peer } from './support.js';

const url = new URL('./port-worker.js', import.meta.url);
const [SENDER, RECEIVER] = ['netmap:p{1', 'netmap:p}1'];
const options = { shareRegion: true };
const frames = { count: 1, from: mac(1), to: mac(2) };
const { POLLIN } = abi;

describe('a monitor on the host of a ring that a guest has', () => {
  let netmap: Netmap;
  let peer: Peer;
  beforeEach(async () => {
    netmap = await Netmap.create();
    peer = new Peer(url);
  });
  afterEach(async () => {
    await peer.end();
    await netmap.close();
  });

  test('is woken by each frame, though the guest does not look', async () => {
    const guest = await netmap.createGuest();
    await guest.passthrough(RECEIVER, { ...options, loop: 'direct' });
    await peer.call('openGuest', { handle: guest.handle(peer.worker) });
    await peer.call('take', {}); // its thread does nothing from now on
    const sender = await netmap.open(SENDER, options);
    const monitor = await netmap.open(`${RECEIVER}/r`, options);
    for (let i = 0; i < 5; i++) {
      const ready = monitor.poll(POLLIN, { timeout: 5000 });
      await new Promise((resolve) => setTimeout(resolve, 20)); // it sleeps
      const start = performance.now();
      sender.trySend(new Uint8Array(60));
      sender.txsync();
      assert.equal(await ready, POLLIN);
      assert.ok(performance.now() - start < 2500, `frame ${i} was seen when the time was over`);
      assert.equal(monitor.recv().length, 1);
    }
  });

  test('leaves the guest of the same thread its notifications', async () => {
    const guest = await netmap.createGuest();
    await guest.passthrough(RECEIVER, { ...options, loop: 'direct' });
    const [driver] = PtnetDriver.probe(await guest.machine());
    const port = driver.open();
    await peer.call('openHost', { handle: netmap.handle(peer.worker), spec: SENDER, options });
    const monitor = await netmap.open(`${RECEIVER}/r`, options);
    for (let i = 0; i < 3; i++) {
      assert.equal(await monitor.poll(POLLIN, { timeout: 1 }), 0);
      const ready = port.poll(POLLIN, { timeout: 5000 });
      const start = performance.now();
      await peer.call('put', frames);
      assert.equal(await ready, POLLIN);
      assert.ok(performance.now() - start < 2500, `frame ${i} was seen when the time was over`);
      assert.equal(port.recv().length, 1);
      port.rxsync();
      monitor.rxsync();
      monitor.recv();
    }
  });
});
