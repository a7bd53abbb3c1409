// How many ports, bridges, pipes and objects there can be; what happens at the limit; and that nothing is ever lost.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NR_REG_NULL } from '../../src/abi.js';
import { type Inspection, Netmap, type NetmapOptions } from '../../src/index.js';
import type { HostPort } from '../../src/netmap/host-port.js';

const small = { txSlots: 16, rxSlots: 16 };
const privatePools = { priv_if_size: 128, priv_buf_size: 64, priv_buf_num: 4, priv_ring_size: 512, priv_ring_num: 2 };

async function withHost(options: NetmapOptions, use: (netmap: Netmap) => Promise<void>): Promise<void> {
  const netmap = await Netmap.create({ memorySize: 1 << 28, privatePools, ...options });
  try {
    await use(netmap);
  } finally {
    await netmap.close();
  }
}

/** An open that fails and leaves everything as it was. */
async function refused(netmap: Netmap, code: string, spec: string, options = {}): Promise<void> {
  const before = await netmap.inspect();
  await assert.rejects(netmap.open(spec, options), { name: 'NetmapError', code });
  assert.deepEqual(await netmap.inspect(), before);
}

async function closeAll(ports: readonly HostPort[]): Promise<void> {
  for (const port of ports) await port.close();
}

/** Sends a broadcast; returns who has got it. */
async function broadcast(from: HostPort, ports: readonly HostPort[]): Promise<number> {
  await from.send(Uint8Array.from({ length: 60 }, (_, i) => (i < 6 ? 0xff : 2)));
  return ports.filter((port) => {
    port.rxsync();
    const { length } = port.recv();
    port.rxsync();
    return length > 0;
  }).length;
}

describe('limits', () => {
  test('a bridge has 252 ports, a frame reaches 251 of them, and the 253rd port is refused with ENOMEM', () =>
    withHost({}, async (netmap) => {
      const ports: HostPort[] = [];
      for (let i = 0; i < 252; i++) ports.push(await netmap.open(`vale0:${i}`, small));
      await refused(netmap, 'ENOMEM', 'vale0:252', small);
      await refused(netmap, 'ENOMEM', 'vale0:252{1', small);
      assert.equal(await broadcast(ports[0], ports), 251);
      await ports[100].close();
      const again = await netmap.open('vale0:again', small);
      const { bridges } = await netmap.inspect();
      assert.equal(bridges[0].ports.find(({ name }) => name === 'vale0:again')?.index, 100);
      assert.equal(await broadcast(again, ports.toSpliced(100, 1)), 251);
      await closeAll([...ports, again]);
    }));

  test('there are 8 bridges, the ninth is refused with ENOMEM, and a bridge goes with its last port', () =>
    withHost({}, async (netmap) => {
      const ports: HostPort[] = [];
      for (let i = 0; i < 8; i++) ports.push(await netmap.open(`vale${i}:a`, small));
      await refused(netmap, 'ENOMEM', 'vale8:a', small);
      await refused(netmap, 'ENOMEM', 'vale8:a{1', small);
      ports.push(await netmap.open('vale0:b', small));
      await ports[3].close();
      ports.push(await netmap.open('vale8:a', small));
      await closeAll(ports);
      assert.deepEqual((await netmap.inspect()).bridges, []);
    }));

  test('maxBridges sets another number', () =>
    withHost({ maxBridges: 1 }, async (netmap) => {
      await netmap.open('vale0:a', small);
      await refused(netmap, 'ENOMEM', 'vale1:a', small);
    }));

  test('a port has 64 pipes, and the 65th is refused with EINVAL', () =>
    withHost({ pools: { if_num: 100, ring_num: 300, ring_size: 512, buf_size: 64 } }, async (netmap) => {
      const ports: HostPort[] = [];
      for (let i = 0; i < 64; i++) ports.push(await netmap.open(`netmap:p{${i}@1`, { txSlots: 4, rxSlots: 4 }));
      await refused(netmap, 'EINVAL', 'netmap:p{64', { txSlots: 4, rxSlots: 4 });
      await refused(netmap, 'EINVAL', 'netmap:p}64', { txSlots: 4, rxSlots: 4 });
      ports.push(await netmap.open('netmap:p}63'));
      await ports[0].close();
      ports.push(await netmap.open('netmap:p{64', { txSlots: 4, rxSlots: 4 }));
      await closeAll(ports);
      assert.deepEqual((await netmap.inspect()).regions, []);
    }));

  test('a private region has room for two pipes on its port, and then is empty', () =>
    withHost({}, async (netmap) => {
      const ports = [await netmap.open('vale0:a', { txSlots: 32, rxSlots: 32 })];
      let error: { code?: string } | undefined;
      for (let i = 0; !error; i++) {
        const before = await netmap.inspect();
        try {
          ports.push(await netmap.open(`vale0:a{${i}`));
        } catch (refusal) {
          error = refusal as { code: string };
          assert.deepEqual(await netmap.inspect(), before);
        }
      }
      assert.equal(error.code, 'ENOMEM');
      assert.ok(ports.length >= 3, `${ports.length - 1} pipes`);
      await closeAll(ports);
    }));
});

describe('regions', () => {
  test('ports with one mem id share its pools; the region stays until the last of them is closed', () =>
    withHost({}, async (netmap) => {
      const a = await netmap.open('vale0:a', small);
      assert.equal(a.memId, 2);
      const b = await netmap.open('vale0:b@2', small);
      assert.equal(b.memId, 2);
      assert.equal((await netmap.inspect()).regions.length, 1);
      await a.close();
      const [{ memId, free }] = (await netmap.inspect()).regions;
      assert.deepEqual([memId, free.buf], [2, b.info.numBufs - 2 - 32]);
      await b.close();
      assert.deepEqual((await netmap.inspect()).regions, []);
      await refused(netmap, 'EINVAL', 'vale0:c@2', small);
    }));

  test('the global region has mem id 1, exists while it is used, and runs out of each kind of object', async () => {
    const pools = { if_size: 128, if_num: 32, ring_size: 512, ring_num: 16, buf_size: 64, buf_num: 512 };
    const cases = [
      { pools: { ...pools, ring_num: 8 }, fit: 4 },
      { pools: { ...pools, buf_num: 128 }, fit: 3 },
      { pools: { ...pools, if_num: 32, ring_num: 1024, buf_num: 4096 }, fit: 32 },
    ];
    for (const { pools: some, fit } of cases) {
      await withHost({ pools: some }, async (netmap) => {
        const ports: HostPort[] = [];
        for (let i = 0; i < fit; i++) ports.push(await netmap.open(`vale0:${i}@1`, small));
        await refused(netmap, 'ENOMEM', 'vale0:more@1', small);
        assert.equal((await netmap.inspect()).bridges[0].ports.length, fit);
        await closeAll(ports);
        assert.equal((await netmap.inspect()).memory.regions, 0);
      });
    }
  });

  test('a ring or a nifp that is larger than the objects of its pool is refused with ENOMEM', () =>
    withHost({ pools: { if_size: 128, ring_size: 512, buf_size: 64 } }, async (netmap) => {
      await refused(netmap, 'ENOMEM', 'vale0:a@1', { txSlots: 17, rxSlots: 16 });
      await refused(netmap, 'ENOMEM', 'vale0:a@1', { txRings: 8, ...small });
    }));

  test('an arena without room for another region refuses with ENOMEM', () =>
    withHost({ memorySize: 4 << 20, privatePools: {} }, async (netmap) => {
      await refused(netmap, 'ENOMEM', 'vale0:a');
      await refused(netmap, 'ENOMEM', 'vale0:a@1');
      await refused(netmap, 'ENOMEM', 'netmap:p{1');
    }));

  test('a guest’s RAM comes from the same room', () =>
    withHost({ memorySize: 4 << 20 }, async (netmap) => {
      const before = await netmap.inspect();
      await assert.rejects(netmap.createGuest({ ramSize: 1 << 24 }), { code: 'ENOMEM' });
      for (const ramSize of [0, 4095, 0.5, Number.NaN, 2 ** 31]) {
        await assert.rejects(netmap.createGuest({ ramSize }), { code: 'EINVAL' });
      }
      assert.deepEqual(await netmap.inspect(), before);
    }));

  test('private memory that runs out in the middle of a pipe takes its new parent back off the bridge', () =>
    withHost({ privateRange: { base: 64, size: 960 << 10 } }, async (netmap) => {
      const ports = [await netmap.open('vale0:a', small), await netmap.open('vale0:b', small)];
      await refused(netmap, 'ENOMEM', 'vale0:c{1', { txRings: 256, rxRings: 256, ...small });
      ports.push(await netmap.open('vale0:a-0', small)); // shows the switch its ports anew
      assert.equal(await broadcast(ports[0], ports), 1);
      assert.deepEqual(Object.values((await ports[0].counters()).drops).filter(Boolean), []);
      await closeAll(ports);
    }));
});

describe('null ports', () => {
  const options = { mode: NR_REG_NULL };

  test('need a region, are never shared, and have exactly what was asked for', () =>
    withHost({ pools: { ring_size: 512, buf_size: 64 } }, async (netmap) => {
      await refused(netmap, 'EINVAL', 'netmap:n', options);
      await refused(netmap, 'EINVAL', 'netmap:n@2', options);
      await refused(netmap, 'EINVAL', 'netmap:n@1', { ...options, txRings: 1 });
      const empty = await netmap.open('netmap:n@1', { ...options, extraBufs: 3 });
      assert.deepEqual([empty.txRings.length, empty.rxRings.length, empty.info.extraBufs], [0, 0, 3]);
      assert.equal(empty.txsync(), 0);
      const port = await netmap.open('netmap:n@1', { ...options, txRings: 2, txSlots: 4, rxRings: 1, rxSlots: 8 });
      assert.notEqual(port.name, empty.name);
      assert.deepEqual([port.txRings.length, port.rxRings.length], [2, 1]);
      assert.deepEqual([port.txRings[1].numSlots, port.rxRings[0].numSlots], [4, 8]);
      const [ring] = port.txRings;
      ring.advance(3);
      assert.equal(port.txsync(), 0);
      assert.deepEqual([ring.head, ring.tail], [3, 3]); // nothing ever drains
      await empty.close();
      await port.close();
    }));
});

test('extra buffers that were swapped into rings, and the rings’ own in their place, are all freed', () =>
  withHost({}, async (netmap) => {
    const keeper = await netmap.open('vale0:keeper', small);
    const free = (inspection: Inspection): number => inspection.regions[0].free.buf;
    const before = free(await netmap.inspect());
    const port = await netmap.open(`vale0:a@${keeper.memId}`, { ...small, extraBufs: 4 });
    const [ring] = port.rxRings;
    const word = (index: number): number => (ring.bufBase + index * ring.bufSize) >>> 2;
    const first = port.nifp.bufsHead;
    const second = ring.i32[word(first)];
    const mine = ring.slot(5).bufIdx;
    ring.setBufIdx(5, second); // the second of the list for the buffer of slot 5
    ring.i32[word(mine)] = ring.i32[word(second)];
    ring.i32[word(first)] = mine;
    await port.close();
    assert.equal(free(await netmap.inspect()), before);
    await keeper.close();
  }));

test('3000 opens and closes in random order leave nothing behind', () =>
  withHost({ pools: { ring_size: 512, buf_size: 64, buf_num: 1024, ring_num: 64 } }, async (netmap) => {
    let seed = 12345;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % below;
    };
    const clean = await netmap.inspect();
    const specs = ['vale0:a', 'vale0:b', 'vale1:a', 'vale0:a{1', 'vale0:a}1', 'vale0:b{2', 'vale1:x@1', 'vale1:y@1/x'];
    const more = ['vale0:a-1', 'vale0:b/T', 'vale1:a/R', 'netmap:p{1@1', 'netmap:p}1', 'vale0:a/x', 'netmap:none'];
    const names = [...specs, ...more];
    const open: HostPort[] = [];
    let [opened, refusals] = [0, 0];
    while (opened < 3000) {
      if (open.length > 12 || random(3) === 0) {
        const [port] = open.splice(random(open.length), 1);
        await port?.close();
        continue;
      }
      const config = { txRings: 1 + random(2), rxRings: 1 + random(2), ...small, extraBufs: random(3) };
      try {
        open.push(await netmap.open(names[random(names.length)], config));
        opened++;
      } catch (error) {
        refusals++;
        assert.match(String((error as { code: string }).code), /^(EBUSY|EINVAL|ENOMEM|ENXIO)$/);
      }
    }
    assert.ok(refusals > 100);
    await closeAll(open);
    assert.deepEqual(await netmap.inspect(), clean);
  }));
