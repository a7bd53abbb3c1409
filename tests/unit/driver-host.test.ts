// The ptnet driver against the host's own devices, in direct mode.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Netmap, type NetmapPort, PtnetDriver } from '../../src/index.js';

describe('against the host', () => {
  const small = { txSlots: 8, rxSlots: 8 };
  let netmap: Netmap;
  before(async () => {
    const privatePools = { priv_buf_size: 128, priv_buf_num: 4, priv_ring_size: 512, priv_ring_num: 2 };
    netmap = await Netmap.create({ memorySize: 1 << 25, privatePools });
  });
  after(() => netmap.close());

  async function exchange(from: NetmapPort, to: NetmapPort): Promise<void> {
    const sent = Uint8Array.from({ length: 200 }, (_, i) => (i < 6 ? 0xff : i + 2));
    await from.send(sent, { timeout: 1000 });
    const [received] = (await to[Symbol.asyncIterator]().next()).value as Uint8Array[];
    assert.deepEqual(received, sent);
    to.rxsync();
  }

  test('attach, open, close, detach, and all of it again', async () => {
    const clean = await netmap.inspect();
    const guest = await netmap.createGuest();
    await guest.passthrough('vale0:g', { ...small, mac: [2, 0, 0, 0, 0, 9] });
    const outside = await netmap.open('vale0:h', small);
    const machine = await guest.machine();
    for (let round = 0; round < 3; round++) {
      const [driver] = PtnetDriver.probe(machine);
      assert.deepEqual([...driver.mac], [2, 0, 0, 0, 0, 9]);
      for (let open = 0; open < 2; open++) {
        const port = driver.open();
        await exchange(port, outside);
        await exchange(outside, port);
        await port.close();
        assert.deepEqual([port.txsync(), port.rxsync()], [-5, -5]);
      }
      driver.detach();
    }
    const { guests } = await netmap.inspect();
    assert.ok(guests[0].devices[0].kicks > 0);
    await guest.close();
    await outside.close();
    assert.deepEqual(await netmap.inspect(), clean);
  });

  test('two ports of a guest: between each other, and one open while the other is not', async () => {
    const guest = await netmap.createGuest({ ramSize: 6 * 4096 });
    await guest.passthrough('vale0:a', small);
    await guest.passthrough('vale0:b', small);
    const [a, b] = PtnetDriver.probe(await guest.machine());
    assert.deepEqual([a.name, b.name], ['ptnet0', 'ptnet1']);
    const [first, second] = [a.open(), b.open()];
    await exchange(first, second);
    await exchange(second, first);
    await second.close();
    await first.send(
      Uint8Array.from({ length: 60 }, () => 0xff),
      { timeout: 1000 },
    );
    const again = b.open();
    assert.equal((await again[Symbol.asyncIterator]().next()).value?.length, 1, 'the switch kept it for the port');
    await guest.close();
  });

  test('RAM for one device does not do for two', async () => {
    const guest = await netmap.createGuest({ ramSize: 3 * 4096 });
    await guest.passthrough('vale0:a', small);
    await guest.passthrough('vale0:b', small);
    const machine = await guest.machine();
    assert.throws(() => PtnetDriver.probe(machine), { code: 'ENOMEM' });
    await guest.close();
  });

  test('a passthrough that is refused leaves nothing behind', async () => {
    const guest = await netmap.createGuest();
    const host = await netmap.open('vale0:h', small);
    const state = await netmap.inspect();
    const rows: [string, object, string][] = [
      ['vale0:h', small, 'EBUSY'],
      ['netmap:none', {}, 'ENXIO'],
      ['vale0:', { txSlots: 0.5 }, 'EINVAL'],
      ['vale0:g', { ...small, loop: 'notify' }, 'EINVAL'],
      ['vale0:g', { ...small, loop: 'fast' }, 'EINVAL'],
      ['vale0:g', { ...small, mac: [1, 2, 3] }, 'EINVAL'],
    ];
    for (const [spec, options, code] of rows) {
      await assert.rejects(guest.passthrough(spec, options), { name: 'NetmapError', code });
      assert.deepEqual(await netmap.inspect(), state, `${spec} ${JSON.stringify(options)}`);
    }
    await host.close();
    await guest.close();
    await assert.rejects(guest.passthrough('vale0:g', small), { code: 'ENXIO' });
    await assert.rejects(guest.machine(), { code: 'ENXIO' });
  });

  test('one ring of each direction is opened, if it is there', async () => {
    const guest = await netmap.createGuest();
    await guest.passthrough('vale0:g', { ...small, txRings: 1, rxRings: 2 });
    const [driver] = PtnetDriver.probe(await guest.machine());
    const port = driver.open({ ring: 1 });
    assert.deepEqual([port.txRings[0].ringId, port.rxRings[0].ringId], [0, 1]);
    await port.close();
    for (const ring of [2, -1, 0.5, Number.NaN]) {
      assert.throws(() => driver.open({ ring }), { code: 'EINVAL' }, `${ring}`);
    }
    await guest.close();
  });

  test('a machine of a guest that is gone rings no doorbells, and takes nobody’s interrupts', async () => {
    const guest = await netmap.createGuest();
    await guest.passthrough('vale0:g', small);
    const stale = await guest.machine();
    const [driver] = PtnetDriver.probe(stale);
    driver.open();
    await guest.close();
    const next = await netmap.createGuest();
    await next.passthrough('vale0:g', small);
    const [live] = PtnetDriver.probe(await next.machine());
    const port = live.open();
    const outside = await netmap.open('vale0:h', small);
    await exchange(outside, port);
    assert.ok(live.interrupts > 0);
    const { guests } = await netmap.inspect();
    for (const { deviceId, ioWrite } of stale.functions)
      if (deviceId === 0x000d) ioWrite.call(stale.functions[1], 128, 4, 1);
    assert.deepEqual((await netmap.inspect()).guests, guests);
    await next.close();
    await outside.close();
  });
});
