// Regions in memory of a program's (NETMAP_REQ_OPT_EXTMEM), typed and as bytes.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import * as abi from '../../src/abi.js';
import { Netmap } from '../../src/index.js';
import { OPT_EXTMEM } from '../../src/ioctl/codec.js';
import { extmemPools } from '../../src/memory/extmem.js';
import type { GlobalPoolParams } from '../../src/memory/pools.js';
import { IoctlWorld, named, PROGRAM, SLOTS } from '../support/ioctl-world.js';
import type { HeaderFields } from '../support/program.js';

const { NETMAP_REQ_REGISTER: REGISTER, NETMAP_REQ_OPT_EXTMEM: EXTMEM } = abi;
const { EINVAL, EFAULT, ENOMEM, EBUSY, EOPNOTSUPP } = abi;
const ERRNOS: Record<string, number> = { EINVAL, EFAULT, ENOMEM, EBUSY, EOPNOTSUPP };
const PAGE = 4096;
const params = (changes: Partial<GlobalPoolParams> = {}): GlobalPoolParams => ({
  ...{ if_num: 1, if_size: 1024, ring_num: 2, ring_size: 512, buf_num: 4, buf_size: 128 },
  ...changes,
});

describe('pools that fill a range', () => {
  test('start with a page each, and buffers go on to the end', () => {
    const { layout, ifPool, ringPool, bufPool } = extmemPools(10 * PAGE + 5, params());
    assert.deepEqual(layout, { ifPoolOffset: 0, ringPoolOffset: PAGE, bufPoolOffset: 2 * PAGE, memsize: 10 * PAGE });
    assert.deepEqual([ifPool.objtotal, ringPool.objtotal, bufPool.objtotal], [4, 8, 8 * 32]);
  });

  test('have as many buffers as fit when a buffer does not divide what is left', () => {
    const { bufPool } = extmemPools(10 * PAGE, params({ buf_size: 2112 }));
    assert.equal(bufPool.objtotal, Math.floor((8 * PAGE) / 2112));
  });

  const refused: [what: string, code: string, size: number, changes: Partial<GlobalPoolParams>][] = [
    ['no memory', 'ENOMEM', 0, {}],
    ['less than a page', 'ENOMEM', PAGE - 1, {}],
    ['a netmap_if too many', 'ENOMEM', 10 * PAGE, { if_num: 40 }],
    ['rings that do not fit', 'ENOMEM', 10 * PAGE, { ring_num: 80 }],
    ['buffers that do not fit', 'ENOMEM', 10 * PAGE, { buf_num: 320 }],
    ['a number below 0', 'EINVAL', 10 * PAGE, { buf_num: -5 }],
    ['half an object', 'EINVAL', 10 * PAGE, { ring_num: 2.5 }],
    ['a size below 0', 'EINVAL', 10 * PAGE, { buf_size: -64 }],
    ['2^32 - 1 of everything', 'ENOMEM', 10 * PAGE, { if_num: 2 ** 32 - 1, if_size: 2 ** 32 - 1 }],
    ['pools that leave no page for buffers', 'ENOMEM', 2 * PAGE, {}],
    ['more netmap_ifs than a private region has', 'EINVAL', 1 << 20, { if_num: 101 }],
    ['netmap_ifs that are too large', 'EINVAL', 1 << 20, { if_size: 4097 }],
    ['one ring', 'EINVAL', 1 << 20, { ring_num: 1 }],
    ['rings that are too large', 'EINVAL', 1 << 24, { ring_size: 33 * PAGE }],
    ['buffers that are too large', 'EINVAL', 1 << 24, { buf_size: 65537 }],
    ['more buffers than a pool may have', 'EINVAL', 64 * 1_000_100, { buf_size: 64 }],
  ];
  for (const [what, code, size, changes] of refused) {
    test(`refuse ${what}: ${code}`, () => {
      assert.throws(() => extmemPools(size, params(changes)), { code });
    });
  }
});

describe('the option extmem of open', () => {
  let netmap: Netmap;
  const privatePools = { priv_buf_size: 128, priv_buf_num: 4, priv_ring_size: 512, priv_ring_num: 2 };
  beforeEach(async () => {
    netmap = await Netmap.create({ memorySize: 1 << 25, privatePools });
  });
  afterEach(() => netmap.close());

  test('makes the region in a reserved range, which is the program’s again after the last close', async () => {
    const range = netmap.reserve(1 << 16);
    const clean = await netmap.inspect();
    const bytes = new Uint8Array(netmap.memory.buffer, range.base, range.size).fill(0xab);
    const extmem = { base: range.base, size: range.size, pools: { buf_size: 256 } };
    const a = await netmap.open('vale0:a', { ...SLOTS, extmem });
    assert.equal(a.info.regionBase, range.base);
    assert.equal(a.info.memsize, range.size);
    const b = await netmap.open('vale0:b', { ...SLOTS, extmem });
    assert.equal(b.memId, a.memId, 'the same area is the same region');
    const frame = new Uint8Array(200).fill(0xff, 0, 6).fill(7, 6);
    await a.send(frame);
    b.rxsync();
    assert.deepEqual(b.recv(), [frame]);
    assert.throws(() => range.release(), { code: 'EBUSY' });
    assert.throws(() => range.take(), { code: 'EBUSY' });
    await a.close();
    await b.close();
    assert.equal(bytes.at(-1), 0xab, 'what no port has touched is as it was');
    assert.deepEqual(await netmap.inspect(), clean);
    const again = await netmap.open('vale0:a', { ...SLOTS, extmem: { base: range.base + PAGE, size: 1 << 15 } });
    await again.close();
    range.release();
    await assert.rejects(netmap.open('vale0:a', { ...SLOTS, extmem }), { code: 'EFAULT' });
  });

  test('has only whole bytes to reserve, at least one', async () => {
    const clean = await netmap.inspect();
    for (const size of [0, -1, -4096, 0.5, Number.NaN]) {
      assert.throws(() => netmap.reserve(size), { code: 'EINVAL' }, `${size}`);
    }
    assert.deepEqual(await netmap.inspect(), clean);
  });

  test('is for the port that it creates: one that is there keeps its region, and nothing is left', async () => {
    const range = netmap.reserve(1 << 16);
    const first = await netmap.open('vale0:a', SLOTS);
    const before = (await netmap.inspect()).regions;
    const second = await netmap.open('vale0:a', { ...SLOTS, extmem: range });
    assert.equal(second.memId, first.memId);
    await second.close();
    assert.deepEqual((await netmap.inspect()).regions, before);
    range.release();
  });

  test('serves pipes, null ports and monitors', async () => {
    const range = netmap.reserve(1 << 16);
    const master = await netmap.open('netmap:p{1', { ...SLOTS, extmem: range, extraBufs: 3 });
    assert.equal(master.info.regionBase, range.base);
    assert.equal(master.info.extraBufs, 3);
    const extra = await netmap.open('netmap:n', { extmem: range, mode: abi.NR_REG_NULL, extraBufs: 2 });
    assert.equal(extra.memId, master.memId);
    await master.close();
    assert.throws(() => range.release(), { code: 'EBUSY' }, 'the null port is open');
    await extra.close();
    range.release();
  });
});

describe('the option as bytes', () => {
  let world: IoctlWorld;
  beforeEach(async () => {
    world = await IoctlWorld.create(true);
  });
  afterEach(() => world.netmap.close());
  const AREA = 8 * PAGE;
  const SIZE = 6 * PAGE;
  const fields = (changes: HeaderFields = {}): HeaderFields => ({
    name: 'vale0:a',
    body: { mode: abi.NR_REG_ALL_NIC, ...SLOTS },
    ...changes,
  });
  function option(values: Record<string, number | bigint> = {}): number {
    const at = world.program.option(EXTMEM);
    const { view } = world.program;
    const all = { base: AREA, size: SIZE, ...values };
    for (const [name, value] of Object.entries(all)) {
      const [offset, bytes] = OPT_EXTMEM[name as keyof typeof OPT_EXTMEM];
      if (bytes === 8) view.setBigUint64(at + offset, BigInt(value), true);
      else view.setUint32(at + offset, Number(value), true);
    }
    return at;
  }

  test('comes back with the defaults; offsets and memsize as they were', async () => {
    const at = option({ ring_num: 6, buf_size: 256 });
    const { body } = await world.get(REGISTER, fields({ options: [at] }));
    assert.equal(world.program.status(at), 0);
    const { base, size, ...pools } = world.program.struct(at, OPT_EXTMEM);
    assert.deepEqual([base, size], [AREA, SIZE]);
    assert.deepEqual(pools, { if_num: 2, if_size: 1024, ring_num: 6, ring_size: 512, buf_num: 4, buf_size: 256 });
    assert.equal(world.file.port?.info.regionBase, PROGRAM.base + AREA);
    assert.deepEqual([body['memsize'], body['offset']], [SIZE, 0]);
    const view = new DataView(world.netmap.memory.buffer);
    assert.equal(view.getUint32(PROGRAM.base + AREA + abi.NETMAP_IF_FLAGS, true), abi.NI_PRIV_MEM);
    await world.file.close();
    assert.deepEqual((await world.netmap.inspect()).regions, []);
  });

  const refused: [what: string, status: string, values: Record<string, number | bigint>][] = [
    ['an address that is none', 'EFAULT', { base: 0 }],
    ['an address within a page', 'EINVAL', { base: AREA + 64 }],
    ['an address outside of the program', 'EFAULT', { base: PROGRAM.size }],
    ['the last address there is', 'EFAULT', { base: 2n ** 64n - 4096n }],
    ['more than the program has', 'EFAULT', { size: PROGRAM.size }],
    ['2^64 - 1 bytes', 'EFAULT', { size: 2n ** 64n - 1n }],
    ['no bytes', 'ENOMEM', { size: 0 }],
    ['too many rings', 'ENOMEM', { ring_num: 48 }],
    ['2^32 - 1 buffers of 2^32 - 1 bytes', 'ENOMEM', { buf_num: 2 ** 32 - 1, buf_size: 2 ** 32 - 1 }],
    ['rings of 64 bytes', 'EINVAL', { ring_size: 64 }],
  ];
  for (const [what, errno, values] of refused) {
    test(`is refused with ${errno} in status and result: ${what}`, async () => {
      const before = await world.state();
      const at = option(values);
      const request = world.program.request(REGISTER, fields({ options: [at] }));
      const bytes = world.program.snapshot();
      assert.equal(named(await world.file.ioctlAsync(abi.NIOCCTRL, request)), errno);
      assert.equal(world.program.status(at), ERRNOS[errno]);
      new DataView(bytes.buffer).setUint32(at + abi.NMREQ_OPTION_STATUS, ERRNOS[errno], true);
      assert.deepEqual(world.program.bytes, bytes);
      assert.deepEqual(await world.state(), before);
      assert.equal(await world.ctrl(REGISTER, fields({ options: [option()] })), '');
    });
  }

  test('comes before the mem id and the mode, and is taken even if the request fails later', async () => {
    const body = { mode: abi.NR_REG_PIPE_MASTER, memId: 99, ...SLOTS };
    const bad = option({ size: 0 });
    assert.equal(await world.ctrl(REGISTER, fields({ body, options: [bad] })), 'ENOMEM');
    assert.equal(world.program.status(bad), ENOMEM);
    const good = option();
    assert.equal(await world.ctrl(REGISTER, fields({ body, options: [good] })), 'EINVAL');
    assert.equal(world.program.status(good), 0);
    assert.deepEqual((await world.netmap.inspect()).regions, []);
    await world.get(REGISTER, fields());
    assert.equal(await world.ctrl(REGISTER, fields({ options: [bad] })), 'EBUSY', 'a bound descriptor comes first');
    assert.equal(world.program.status(bad), EOPNOTSUPP);
  });

  test('an area that another region has a part of: EBUSY', async () => {
    await world.get(REGISTER, fields({ options: [option()] }));
    const before = await world.state();
    const other = world.open();
    for (const [base, size] of [
      [AREA + PAGE, SIZE],
      [AREA - PAGE, SIZE],
      [AREA, SIZE + PAGE],
    ]) {
      const at = option({ base, size });
      assert.equal(await world.ctrl(REGISTER, fields({ name: 'vale0:b', options: [at] }), other), 'EBUSY');
      assert.equal(world.program.status(at), EBUSY);
      assert.deepEqual(await world.state(), before);
    }
  });

  test('a program in another memory: EOPNOTSUPP', async () => {
    const apart = await IoctlWorld.create();
    const at = apart.program.option(EXTMEM);
    assert.equal(await apart.ctrl(REGISTER, fields({ options: [at] })), 'EOPNOTSUPP');
    assert.equal(apart.program.status(at), EOPNOTSUPP);
    await apart.netmap.close();
  });
});
