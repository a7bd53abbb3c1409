// What random commands hardly reach, on the host and on the oracle: full buckets of the forwarding table, packets of as
// many slots as are allowed, and syncs of more than a batch.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Netmap } from '../../src/index.js';
import { BROADCAST, MACS } from './addresses.js';
import type { Command, Frame } from './commands.js';
import { makeHost, World } from './world.js';

const BUCKET = MACS.slice(0, 11); // one bucket's addresses, three more than it has room for
const BUF_SIZE = 128;

const open = (name: string, slots: number): Command => ({
  op: 'open',
  name,
  config: { txSlots: slots, rxSlots: slots },
  dirs: 'both',
  exclusive: false,
  ring: undefined,
  sameRegionAs: undefined,
});
const send = (endpoint: number, frames: readonly Frame[], sizes: readonly number[] = [60]): Command => ({
  op: 'send',
  at: { endpoint, dir: 'tx', ring: 0, slot: 0 },
  frames,
  sizes,
  spoiled: [],
});
const receive = (endpoint: number): Command => ({ op: 'receive', endpoint, most: 9999 });

/** A generator of its own, so that a failure repeats. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
}

describe('the switch and the oracle agree at the limits', () => {
  let netmap: Netmap;
  before(async () => {
    netmap = await makeHost('shared');
  });
  after(() => netmap.close());

  async function play(commands: readonly Command[]): Promise<Record<string, number>> {
    const world = new World(netmap, 'shared');
    await world.run(commands);
    const { ports } = await netmap.inspect();
    const { drops } = ports[0].counters;
    await world.close();
    return { ...drops };
  }

  test('a bucket full of nine ports’ addresses: the ninth is not learned, and counted', async () => {
    const world = new World(netmap, 'shared');
    const ports = Array.from({ length: 9 }, (_, i) => i);
    await world.run(ports.map((i) => open(`vale0:p${i}`, 8)));
    await world.run(ports.map((i) => send(i, [{ dst: BROADCAST, src: BUCKET[i], body: i }])));
    const { bridges } = await netmap.inspect();
    assert.equal(bridges[0].fdb.length, 8);
    assert.equal(bridges[0].fdbFull, 1);
    await world.close();
  });

  test('a port that floods a bucket evicts its own addresses once it has half of it', async () => {
    const world = new World(netmap, 'shared');
    await world.run([open('vale0:a', 8), open('vale0:b', 8)]);
    await world.run(BUCKET.slice(0, 4).map((src) => send(0, [{ dst: BROADCAST, src, body: 1 }])));
    await world.run(BUCKET.slice(4).map((src) => send(1, [{ dst: BROADCAST, src, body: 1 }])));
    const { bridges } = await netmap.inspect();
    assert.equal(bridges[0].fdb.filter(({ port }) => port === 'vale0:a').length, 4);
    await world.close();
  });

  test('addresses of one bucket wander between ten ports', async () => {
    const next = random(7);
    const commands = Array.from({ length: 300 }, () =>
      send(next(10), [{ dst: BUCKET[next(11)], src: BUCKET[next(11)], body: next(256) }]),
    );
    await play([...Array.from({ length: 10 }, (_, i) => open(`vale0:p${i}`, 4)), ...commands]);
  });

  test('a packet of 64 slots passes, one of 65 is dropped', async () => {
    const frame: Frame = { dst: BROADCAST, src: MACS[0], body: 3 };
    const drops = await play([
      open('vale0:a', 200),
      open('vale0:b', 200),
      send(0, [frame], [63 * BUF_SIZE]),
      send(0, [frame, frame], [64 * BUF_SIZE, 60]),
      receive(1),
      receive(1),
      send(0, [frame, frame, frame], [65 * BUF_SIZE, 60, 64 * BUF_SIZE]),
    ]);
    assert.equal(drops['fragments'], 1);
  });

  test('a packet cut off by head goes out with the slots seen so far', async () => {
    const cut: Command = {
      op: 'send',
      at: { endpoint: 0, dir: 'tx', ring: 0, slot: 0 },
      frames: [{ dst: BROADCAST, src: MACS[0], body: 9 }],
      sizes: [3 * BUF_SIZE],
      spoiled: [{ slot: 2, len: 20, flags: 32 }],
    };
    const drops = await play([open('vale0:a', 8), open('vale0:b', 8), cut, receive(1)]);
    assert.equal(
      Object.values(drops).reduce((sum, n) => sum + n),
      0,
    );
  });

  for (const seed of [1, 2, 3]) {
    test(`one sync of several batches (${seed})`, async () => {
      const next = random(seed);
      const frames = Array.from({ length: 3000 }, () => ({
        dst: next(4) === 0 ? BROADCAST : MACS[next(4)],
        src: MACS[next(2)],
        body: next(256),
      }));
      const sizes = Array.from({ length: 101 }, () => 14 + next(next(8) === 0 ? 5 * BUF_SIZE : 100));
      await play([
        open('vale0:a', 4096),
        open('vale0:b', 4096),
        open('vale0:c', 1000),
        send(1, [{ dst: BROADCAST, src: MACS[2], body: 0 }]),
        send(2, [{ dst: BROADCAST, src: MACS[3], body: 0 }]),
        send(0, frames, sizes),
        receive(1),
        receive(2),
        receive(1),
        receive(2),
        send(0, frames.slice(0, 1500), sizes),
      ]);
    });
  }
});
