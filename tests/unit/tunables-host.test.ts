// What tunables do to a host and to its guests.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DEFAULT_TUNABLES, Netmap, type NetmapOptions } from '../../src/index.js';

const HDR = 'dev.netmap.ptnet_vnet_hdr';
const BRIDGES = 'dev.netmap.max_bridges';
const slots = { txSlots: 16, rxSlots: 16 };

async function withHost(options: NetmapOptions, use: (netmap: Netmap) => Promise<void>): Promise<void> {
  const netmap = await Netmap.create({ memorySize: 1 << 27, ...options });
  try {
    await use(netmap);
  } finally {
    await netmap.close();
  }
}

describe('a host', () => {
  test('has as many bridges as max_bridges says', () =>
    withHost({ tunables: { [BRIDGES]: 1 } }, async (netmap) => {
      await netmap.open('vale0:a', slots);
      await assert.rejects(netmap.open('vale1:a', slots), { code: 'ENOMEM' });
    }));

  test('obeys maxBridges first', () =>
    withHost({ tunables: { [BRIDGES]: 1 }, maxBridges: 2 }, async (netmap) => {
      await netmap.open('vale0:a', slots);
      await netmap.open('vale1:a', slots);
      await assert.rejects(netmap.open('vale2:a', slots), { code: 'ENOMEM' });
    }));

  test('makes private regions as priv_* says, but for what privatePools says', () => {
    const tunables = { 'dev.netmap.priv_buf_size': 4096, 'dev.netmap.priv_buf_num': 5000 };
    return withHost({ tunables, privatePools: { priv_buf_num: 6000 } }, async (netmap) => {
      const port = await netmap.open('vale0:a', slots);
      assert.equal(port.txRings[0].bufSize, 4096);
      const [{ free }] = (await netmap.inspect()).regions;
      assert.equal(free.buf, 6000 - 2 - 32);
    });
  });

  test('makes the global region as if_*, ring_* and buf_* say, but for what pools says', () => {
    const tunables = {
      'dev.netmap.if_num': 16,
      'dev.netmap.ring_num': 40,
      'dev.netmap.ring_size': 4096,
      'dev.netmap.buf_num': 2000,
      'dev.netmap.buf_size': 2048,
    };
    return withHost({ tunables, pools: { buf_num: 1000 } }, async (netmap) => {
      const port = await netmap.open('vale0:a@1', slots);
      assert.equal(port.txRings[0].bufSize, 2048);
      const [{ memId, free, memsize }] = (await netmap.inspect()).regions;
      assert.equal(memId, 1);
      assert.equal(free.if, 16 - 1);
      assert.equal(free.buf, 1000 - 2 - 32);
      assert.equal(memsize, 16 * 1024 + 40 * 4096 + 1000 * 2048);
    });
  });

  test('refuses bad ones with EINVAL', async () => {
    await assert.rejects(Netmap.create({ tunables: { [BRIDGES]: 0 } }), {
      code: 'EINVAL',
      message: `EINVAL: options: ${BRIDGES}='0' is not a whole number within 1..65535`,
    });
  });
});

describe('a guest', () => {
  test("has the host's tunables", () =>
    withHost({ tunables: { [HDR]: 0 } }, async (netmap) => {
      const { tunables } = await (await netmap.createGuest()).machine();
      assert.deepEqual(tunables, { ...DEFAULT_TUNABLES, [HDR]: 0 });
    }));

  test('has its own, where they are given', () =>
    withHost({ tunables: { [HDR]: 0, ptnet_gso: 0 } }, async (netmap) => {
      const guest = await netmap.createGuest({ tunables: { ptnet_gso: 1, [HDR]: undefined } });
      const { tunables } = await guest.machine();
      assert.deepEqual(tunables, { ...DEFAULT_TUNABLES, [HDR]: 0, ptnet_gso: 1 });
    }));

  test('without any, the defaults', () =>
    withHost({}, async (netmap) => {
      const { tunables } = await (await netmap.createGuest()).machine();
      assert.deepEqual(tunables, DEFAULT_TUNABLES);
    }));

  test('is refused with bad ones, and nothing is left of it', () =>
    withHost({}, async (netmap) => {
      const before = await netmap.inspect();
      await assert.rejects(netmap.createGuest({ tunables: { ptnet_gso: 2 } }), { code: 'EINVAL' });
      assert.deepEqual(await netmap.inspect(), before);
    }));
});
