// Opening ports: what is refused is refused with netmap's errno, and leaves nothing behind.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  NR_ACCEPT_VNET_HDR,
  NR_EXCLUSIVE,
  NR_REG_NIC_SW,
  NR_REG_NULL,
  NR_REG_ONE_SW,
  NR_REG_PIPE_MASTER,
  NR_REG_PIPE_SLAVE,
  NR_REG_SW,
  PTNET_IO_VNET_HDR_LEN,
  PTNETMAP_PCI_NETIF_ID,
} from '../../src/abi.js';
import { type ErrnoCode, errnoName } from '../../src/errors.js';
import { Netmap, type NetmapOptions, type OpenOptions } from '../../src/index.js';

const small = { txSlots: 16, rxSlots: 16 };
const OPTIONS: NetmapOptions = {
  memorySize: 1 << 28,
  privatePools: { priv_buf_size: 128, priv_buf_num: 4, priv_ring_size: 512, priv_ring_num: 2 },
  pools: { if_size: 256, if_num: 10, ring_size: 512, ring_num: 12, buf_size: 128, buf_num: 64 },
};

let netmap: Netmap;
before(async () => {
  netmap = await Netmap.create(OPTIONS);
});
after(() => netmap.close());

/** An open that is refused: with this code, in the call `op`, naming a port; and nothing has changed. */
async function refused(spec: string, options: OpenOptions, code: ErrnoCode, on = netmap): Promise<void> {
  const state = await on.inspect();
  await assert.rejects(on.open(spec, options), (error: Error & Record<string, unknown>) => {
    assert.equal(error.name, 'NetmapError', String(error));
    assert.equal(error['code'], code, String(error));
    assert.equal(errnoName(error['errno'] as number), code);
    assert.ok((error['errno'] as number) > 0);
    assert.equal(typeof error['op'], 'string');
    assert.notEqual(error['op'], '');
    assert.equal(typeof error['port'], 'string');
    return true;
  });
  assert.deepEqual(await on.inspect(), state, `${spec} has left something behind`);
}

describe('a name is refused', () => {
  const rows: [string, ErrnoCode][] = [
    ['', 'EINVAL'],
    ['eth0', 'EINVAL'],
    ['netmap', 'EINVAL'],
    ['netmap:', 'EINVAL'],
    ['netmap:eth0', 'ENXIO'],
    ['netmap:eth0-', 'EINVAL'],
    ['netmap:eth0/q', 'EINVAL'],
    ['netmap:eth0@', 'EINVAL'],
    ['netmap:eth0@0', 'EINVAL'],
    ['netmap:eth0@conf:rings=2', 'ENXIO'],
    ['vale0:a@conf:foo=2', 'EINVAL'],
    ['vale0:a@offset=12', 'EOPNOTSUPP'],
    ['vale0:a@share=vale0:b', 'ENXIO'],
    ['vale0:a/t', 'EINVAL'],
    ['vale0:a/r', 'EINVAL'],
    ['netmap:p{1/z', 'EINVAL'],
    ['netmap:eth0/rt', 'ENXIO'],
    ['netmap:{1', 'EINVAL'],
    ['netmap:p{', 'EINVAL'],
    ['netmap:p{-1', 'EINVAL'],
    ['netmap:p{1}2', 'EINVAL'],
    ['vale0', 'EINVAL'],
    ['vale0:a/', 'EINVAL'],
    ['vale-0:a', 'EINVAL'],
    [`vale${'0'.repeat(12)}:a`, 'EINVAL'],
    [`vale0:${'a'.repeat(16)}`, 'EINVAL'],
    [`netmap:${'a'.repeat(64)}`, 'EINVAL'],
    ['vale0:a-7', 'EINVAL'],
    ['netmap:p{1-1', 'EINVAL'],
    ['vale0:a@7', 'EINVAL'],
    ['netmap:p{1@7', 'EINVAL'],
    ['netmap:eth0@7', 'EINVAL'],
  ];
  for (const [spec, code] of rows) test(`'${spec}' ${code}`, () => refused(spec, small, code));
});

describe('a mode is refused: host rings on ports that have none, pipe modes, and what is no mode', () => {
  for (const suffix of ['^', '^0', '*']) {
    test(`vale0:a${suffix}`, () => refused(`vale0:a${suffix}`, small, 'EINVAL'));
    test(`netmap:p{1${suffix}`, () => refused(`netmap:p{1${suffix}`, small, 'EINVAL'));
  }
  const modes = [NR_REG_SW, NR_REG_NIC_SW, NR_REG_PIPE_MASTER, NR_REG_PIPE_SLAVE, NR_REG_ONE_SW, 0, 9, -1, 1.5];
  for (const mode of modes) test(`mode ${mode}`, () => refused('vale0:a', { ...small, mode }, 'EINVAL'));
});

describe('a count is refused', () => {
  for (const name of ['txRings', 'rxRings', 'txSlots', 'rxSlots', 'extraBufs'] as const) {
    for (const value of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '8' as unknown as number]) {
      test(`${name} ${value}`, async () => {
        for (const spec of ['vale0:a', 'netmap:p{1', 'vale0:a@1'])
          await refused(spec, { ...small, [name]: value }, 'EINVAL');
        await refused('netmap:n@1', { mode: NR_REG_NULL, [name]: value }, 'EINVAL');
      });
    }
  }
  test('ring sizes whose objects fill pages only in clusters above 4 MiB', () =>
    refused('vale0:a', { txSlots: 4083, rxSlots: 4083 }, 'EINVAL'));
});

describe('counts that netmap adjusts', () => {
  const rows: [string, OpenOptions, number[]][] = [
    ['0 is the default', { txRings: 0, rxRings: 0, txSlots: 0, rxSlots: 0 }, [1, 1, 1024, 1024]],
    ['more than the maximum is the maximum', { txRings: 99, rxRings: 17, ...small }, [16, 16, 16, 16]],
    ['slots above 4096 are 4096', { txSlots: 5000, rxSlots: 1 }, [1, 1, 4096, 1]],
  ];
  for (const [name, options, expected] of rows) {
    test(`VALE: ${name}`, async () => {
      const port = await netmap.open('vale0:a', options);
      const { txRings, rxRings, info } = port;
      assert.deepEqual([txRings.length, rxRings.length, info.txSlots, info.rxSlots], expected);
      await port.close();
    });
  }

  test('pipe: 0 slots are the parent’s, rings are 1..256, counts are the master’s', async () => {
    const parent = await netmap.open('vale0:a', { txSlots: 32, rxSlots: 16 });
    const slave = await netmap.open('vale0:a}1', { txRings: 3, rxRings: 0 });
    assert.deepEqual([slave.txRings.length, slave.rxRings.length], [1, 3]);
    assert.deepEqual([slave.info.txSlots, slave.info.rxSlots], [16, 32]);
    const master = await netmap.open('vale0:a{1');
    assert.deepEqual([master.txRings.length, master.rxRings.length], [3, 1]);
    assert.deepEqual([master.info.txSlots, master.info.rxSlots], [32, 16]);
    for (const port of [slave, master, parent]) await port.close();
  });
});

test('@conf sets counts where the options say nothing, @share the region', async () => {
  const a = await netmap.open('vale0:a@conf:rings=2,slots=8', { txSlots: 16 });
  const { txRings, rxRings, info } = a;
  assert.deepEqual([txRings.length, rxRings.length, info.txSlots, info.rxSlots], [2, 2, 16, 8]);
  const b = await netmap.open('vale0:b@share=vale0:a@conf:slots=4');
  assert.deepEqual([b.memId, b.info.rxSlots], [a.memId, 4]);
  for (const port of [a, b]) await port.close();
});

describe('exclusive opens', () => {
  test('a ring in use is not given exclusively, an exclusive one not at all', async () => {
    const shared = await netmap.open('vale0:a', small);
    await refused('vale0:a/x', small, 'EBUSY');
    const second = await netmap.open('vale0:a', small);
    await shared.close();
    await second.close();
    const alone = await netmap.open('vale0:a', { ...small, flags: NR_EXCLUSIVE });
    await refused('vale0:a', small, 'EBUSY');
    await refused('vale0:a/x', small, 'EBUSY');
    await alone.close();
    await (await netmap.open('vale0:a/x', small)).close();
  });

  test('of one ring or direction leave the others free', async () => {
    const rings = { txRings: 2, rxRings: 2, ...small };
    const first = await netmap.open('vale0:a-0/x', rings);
    const second = await netmap.open('vale0:a-1/x', rings);
    await refused('vale0:a', rings, 'EBUSY');
    await first.close();
    const tx = await netmap.open('vale0:a-0/xT', rings);
    const rx = await netmap.open('vale0:a-0/xR', rings);
    await refused('vale0:a-0/T', rings, 'EBUSY');
    for (const port of [second, tx, rx]) await port.close();
  });

  test('of one end of a pipe leave the other end free', async () => {
    const parent = await netmap.open('vale0:p', small);
    const master = await netmap.open('vale0:p{1/x');
    await refused('vale0:p{1', {}, 'EBUSY');
    const slave = await netmap.open('vale0:p}1');
    for (const port of [master, slave, parent]) await port.close();
  });
});

test('a port whose frames carry headers is opened by those only who accept them', async () => {
  const guest = await netmap.createGuest();
  await guest.passthrough('vale0:a-0', { txRings: 2, rxRings: 2, ...small });
  const { functions } = await guest.machine();
  functions.find(({ deviceId }) => deviceId === PTNETMAP_PCI_NETIF_ID)?.ioWrite(PTNET_IO_VNET_HDR_LEN, 4, 12);
  await refused('vale0:a-1', { shareRegion: true }, 'EIO');
  const port = await netmap.open('vale0:a-1', { shareRegion: true, flags: NR_ACCEPT_VNET_HDR });
  assert.equal(port.info.hdrLen, 12);
  await port.close();
  await guest.close();
});

describe('a host is not created', () => {
  const rows: [string, NetmapOptions, ErrnoCode][] = [
    ['with a memory below 1 MiB', { memorySize: 65536 }, 'EINVAL'],
    ['with a memory above 4 GiB', { memorySize: 2 ** 32 + 1 }, 'EINVAL'],
    ['with a size that is no number', { memorySize: Number.NaN }, 'EINVAL'],
    ['without room for its own state', { memorySize: 1 << 20 }, 'ENOMEM'],
    [
      'with ranges that overlap',
      { privateRange: { base: 0, size: 4096 }, regionRange: { base: 4095, size: 9 } },
      'EINVAL',
    ],
    ['with a range outside the memory', { memorySize: 1 << 20, regionRange: { base: 1 << 20, size: 1 } }, 'EINVAL'],
    ['with an empty range', { regionRange: { base: 1 << 28, size: 0 } }, 'EINVAL'],
    ['with a negative range', { privateRange: { base: -64, size: 1 << 20 } }, 'EINVAL'],
    ['with a buffer size of 0', { pools: { buf_size: 0 } }, 'EINVAL'],
    ['with too many rings in a private pool', { privatePools: { priv_ring_num: 1025 } }, 'EINVAL'],
    ['with a negative number of loop workers', { threads: -1 }, 'EINVAL'],
    ['with half a loop worker', { threads: 0.5 }, 'EINVAL'],
    ['with loop workers over unshared memory', { shared: false, threads: 1 }, 'EINVAL'],
  ];
  for (const [name, options, code] of rows) {
    test(name, async () => {
      await assert.rejects(Netmap.create(options), { name: 'NetmapError', code });
    });
  }
});

test('a host that is closed refuses everything with ENXIO, and closing it again does nothing', async () => {
  const host = await Netmap.create(OPTIONS);
  const port = await host.open('vale0:a', small);
  await host.close();
  assert.equal(port.isOpen, false);
  await host.close();
  for (const call of [() => host.open('vale0:a'), () => host.inspect(), () => host.createGuest()]) {
    await assert.rejects(call(), { code: 'ENXIO' });
  }
  assert.throws(() => host.handle(), { code: 'ENXIO' });
});
