// The legacy requests: NIOCREGIF and NIOCGINFO with struct nmreq.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import * as abi from '../../src/abi.js';
import type { NetmapFile } from '../../src/ioctl/netmap-file.js';
import { IoctlWorld, named, SLOTS } from '../support/ioctl-world.js';

const { NIOCREGIF, NIOCGINFO } = abi;

interface Nmreq {
  readonly name?: string;
  readonly version?: number;
  readonly offset?: number;
  readonly memsize?: number;
  readonly txSlots?: number;
  readonly rxSlots?: number;
  readonly txRings?: number;
  readonly rxRings?: number;
  readonly ringid?: number;
  readonly cmd?: number;
  readonly arg1?: number;
  readonly arg2?: number;
  readonly arg3?: number;
  readonly flags?: number;
}
/** As in net/netmap.h, written down a second time. */
const WORDS: [keyof Nmreq, number][] = [
  ['version', 16],
  ['offset', 20],
  ['memsize', 24],
  ['txSlots', 28],
  ['rxSlots', 32],
  ['arg3', 48],
  ['flags', 52],
];
const HALVES: [keyof Nmreq, number][] = [
  ['txRings', 36],
  ['rxRings', 38],
  ['ringid', 40],
  ['cmd', 42],
  ['arg1', 44],
  ['arg2', 46],
];
const SLOT_COUNTS = { txSlots: 8, rxSlots: 8 };

let world: IoctlWorld;
beforeEach(async () => {
  world = await IoctlWorld.create();
});
afterEach(() => world.netmap.close());

function put(fields: Nmreq): number {
  const at = world.program.alloc(60);
  const { view, bytes } = world.program;
  bytes.set(new TextEncoder().encode(fields.name ?? '').subarray(0, 16), at);
  const values: Nmreq = { version: 14, ...fields };
  for (const [name, offset] of WORDS) view.setUint32(at + offset, Number(values[name] ?? 0), true);
  for (const [name, offset] of HALVES) view.setUint16(at + offset, Number(values[name] ?? 0), true);
  return at;
}

function take(at: number): Required<Nmreq> {
  const { view, bytes } = world.program;
  const name = new TextDecoder().decode(bytes.slice(at, at + 16)).replace(/\0.*/, '');
  const words = WORDS.map(([key, offset]) => [key, view.getUint32(at + offset, true)]);
  const halves = HALVES.map(([key, offset]) => [key, view.getUint16(at + offset, true)]);
  return { name, ...Object.fromEntries([...words, ...halves]) };
}

async function call(ioctl: number, fields: Nmreq, file: NetmapFile = world.file): Promise<Required<Nmreq>> {
  const at = put(fields);
  assert.equal(named(await file.ioctlAsync(ioctl, at)), '');
  return take(at);
}

describe('fails, and nothing is written', () => {
  const rows: [string, string, number, Nmreq][] = [
    ['version 13', 'EINVAL', NIOCREGIF, { version: 13, name: 'vale0:a' }],
    ['version 0', 'EINVAL', NIOCGINFO, { version: 0, name: 'vale0:a' }],
    ['an interface that there is not', 'ENXIO', NIOCREGIF, { name: 'eth0' }],
    ['info of an interface that there is not', 'ENXIO', NIOCGINFO, { name: 'eth0' }],
    ['info of a mem id that there is not', 'EINVAL', NIOCGINFO, { arg2: 99 }],
    ['a mem id that there is not', 'EINVAL', NIOCREGIF, { name: 'vale0:a', arg2: 99 }],
    ['host rings of a port without', 'EINVAL', NIOCREGIF, { name: 'vale0:a', ringid: abi.NETMAP_SW_RING }],
    ['a ring that there is not', 'EINVAL', NIOCREGIF, { name: 'vale0:a', ringid: abi.NETMAP_HW_RING | 5 }],
    ['mode 15', 'EINVAL', NIOCREGIF, { name: 'vale0:a', flags: 15 }],
    ['command 3', 'EINVAL', NIOCREGIF, { name: 'vale0:a', cmd: 3 }],
    ['the list as a command of NIOCREGIF', 'EINVAL', NIOCREGIF, { name: 'vale0:a', cmd: 4 }],
    ['command 13', 'EINVAL', NIOCREGIF, { name: 'vale0:a', cmd: 13 }],
    ['passthrough: create', 'ENOMEM', NIOCREGIF, { name: 'vale0:a', cmd: 8 }],
    ['passthrough: delete', 'ENOMEM', NIOCREGIF, { name: 'vale0:a', cmd: 9 }],
    ['a list of an empty host', 'ENOENT', NIOCGINFO, { cmd: 4 }],
    ['attach: an interface that there is not', 'EINVAL', NIOCREGIF, { name: 'vale0:e9', cmd: 1 }],
    ['detach: what is not attached', 'ENXIO', NIOCREGIF, { name: 'vale0:e9', cmd: 2 }],
    ['a header of 11 bytes', 'EINVAL', NIOCREGIF, { name: 'vale0:a', cmd: 5, arg1: 11 }],
    ['the header of a port that there is not', 'ENXIO', NIOCREGIF, { name: 'vale0:a', cmd: 12 }],
    ['delif: an interface that there is not', 'ENXIO', NIOCREGIF, { name: 'per0', cmd: 7 }],
    ['newif: a VALE name', 'EINVAL', NIOCREGIF, { name: 'vale0:a', cmd: 6 }],
    ['polling of what is not attached', 'ENXIO', NIOCREGIF, { name: 'vale0:a', cmd: 10, arg1: 1 }],
    ['polling off of no VALE port', 'EINVAL', NIOCREGIF, { name: 'e0', cmd: 11 }],
  ];
  for (const [what, errno, ioctl, fields] of rows) {
    test(`${what}: ${errno}`, async () => {
      const before = await world.state();
      const at = put({ ...SLOT_COUNTS, ...fields });
      const bytes = world.program.snapshot();
      assert.equal(named(await world.file.ioctlAsync(ioctl, at)), errno);
      assert.deepEqual(world.program.bytes, bytes);
      assert.deepEqual(await world.state(), before);
    });
  }

  test('a request outside the memory: EFAULT', async () => {
    for (const at of [0, 65536 - 59, 2 ** 40]) {
      for (const ioctl of [NIOCREGIF, NIOCGINFO]) assert.equal(named(await world.file.ioctlAsync(ioctl, at)), 'EFAULT');
    }
  });
});

test('NIOCREGIF binds a port; ringid and flags come back as they were; any later version is accepted', async () => {
  const flags = abi.NR_EXCLUSIVE;
  const ringid = abi.NETMAP_NO_TX_POLL | abi.NETMAP_DO_RX_POLL;
  const asked = {
    name: 'vale0:a',
    version: 4711,
    txSlots: 16,
    rxSlots: 8,
    rxRings: 99,
    ringid,
    flags,
    arg1: 3,
    arg3: 2,
  };
  const got = await call(NIOCREGIF, asked);
  const { port } = world.file;
  assert.ok(port);
  const { offset, memsize, memId } = port.info;
  const expected = { ...asked, offset, memsize, txRings: 1, rxRings: 16, arg2: memId, arg3: 2, cmd: 0 };
  assert.deepEqual(got, expected);
  assert.equal(port.info.flags & 0xfffff, flags | abi.NR_NO_TX_POLL | abi.NR_DO_RX_POLL);
  const again = put({ name: 'vale0:b', ...SLOT_COUNTS });
  assert.equal(named(await world.file.ioctlAsync(NIOCREGIF, again)), 'EBUSY');
});

test('modes come from the flags or, without, from the ring id; pipes from the mode', async () => {
  await world.netmap.addInterface('e0', { ...SLOTS, memId: 1, txRings: 2, rxRings: 2 });
  const rows: [Nmreq, string, tx: number[], rx: number[]][] = [
    [{ name: 'e0' }, 'e0', [0, 1], [0, 1]],
    [{ name: 'e0', ringid: abi.NETMAP_HW_RING | 1 }, 'e0', [1], [1]],
    [{ name: 'e0', ringid: abi.NETMAP_SW_RING }, 'e0', [2], [2]],
    [{ name: 'e0', ringid: abi.NETMAP_SW_RING, flags: abi.NR_REG_ALL_NIC }, 'e0', [0, 1], [0, 1]],
    [{ name: 'e0', ringid: 1, flags: abi.NR_REG_ONE_NIC }, 'e0', [1], [1]],
    [{ name: 'e0', flags: abi.NR_REG_NIC_SW }, 'e0', [0, 1, 2], [0, 1, 2]],
    [{ name: 'e0', flags: abi.NR_REG_ALL_NIC | abi.NR_RX_RINGS_ONLY }, 'e0', [], [0, 1]],
    [{ name: 'p', ringid: 7, flags: abi.NR_REG_PIPE_MASTER }, 'p{7', [0], [0]],
    [{ name: 'p', ringid: 4095, flags: abi.NR_REG_PIPE_SLAVE }, 'p}4095', [0], [0]],
    [{ name: '0123456789abcdef', ringid: 4095, flags: abi.NR_REG_PIPE_SLAVE }, '0123456789abcde}4095', [0], [0]],
  ];
  for (const [asked, name, tx, rx] of rows) {
    const file = world.open();
    const got = await call(NIOCREGIF, { ...asked, ...SLOT_COUNTS }, file);
    const { port } = file;
    assert.ok(port);
    assert.equal(port.name, name);
    assert.deepEqual(
      port.txRings.map((ring) => ring.ringId),
      tx,
      JSON.stringify(asked),
    );
    assert.deepEqual(
      port.rxRings.map((ring) => ring.ringId),
      rx,
      JSON.stringify(asked),
    );
    assert.deepEqual([got.ringid, got.flags], [asked.ringid ?? 0, asked.flags ?? 0]);
    await file.close();
  }
});

test('NIOCGINFO: a port, a region, the list of ports', async () => {
  const port = await world.netmap.open('vale0:a', SLOTS);
  const { memsize, memId } = port.info;
  assert.deepEqual(await call(NIOCGINFO, { name: 'vale0:a', txRings: 9, arg3: 5 }), {
    ...take(put({ name: 'vale0:a', ...SLOT_COUNTS, txRings: 1, rxRings: 1, arg3: 5 })),
    memsize,
    arg2: memId,
  });
  const region = await call(NIOCGINFO, { arg2: memId, txSlots: 9 });
  assert.deepEqual([region.memsize, region.arg2, region.txSlots], [memsize, memId, 9]);
  const listed = await call(NIOCGINFO, { cmd: abi.NETMAP_BDG_LIST });
  assert.deepEqual([listed.name, listed.arg1, listed.arg2], ['vale0:a', 0, 0]);
  const found = await call(NIOCGINFO, { cmd: abi.NETMAP_BDG_LIST, name: 'vale0:z' });
  assert.deepEqual([found.arg1, found.arg2], [0, abi.NM_BDG_NOPORT]);
});

test('commands: header length, interfaces, attaching', async () => {
  const state = async (): Promise<string[]> => (await world.netmap.valeList()).map(({ name }) => name);
  const made = await call(NIOCREGIF, { name: 'per0', cmd: abi.NETMAP_BDG_NEWIF, ...SLOT_COUNTS, rxRings: 99 });
  assert.deepEqual([made.txRings, made.rxRings, made.txSlots], [1, 16, 8]);
  assert.ok(made.arg2 > 1);
  await call(NIOCREGIF, { name: 'per0', cmd: abi.NETMAP_BDG_VNET_HDR, arg1: 12 });
  assert.equal((await call(NIOCREGIF, { name: 'per0', cmd: abi.NETMAP_VNET_HDR_GET })).arg1, 12);
  await world.netmap.addInterface('e0', { ...SLOTS, memId: 1 });
  await call(NIOCREGIF, { name: 'vale0:per0', cmd: abi.NETMAP_BDG_ATTACH });
  await call(NIOCREGIF, { name: 'vale0:e0', cmd: abi.NETMAP_BDG_ATTACH, arg1: abi.NETMAP_BDG_HOST });
  assert.deepEqual(await state(), ['vale0:per0', 'vale0:e0', 'vale0:e0^']);
  await call(NIOCREGIF, { name: 'vale0:e0', cmd: abi.NETMAP_BDG_DETACH });
  await call(NIOCREGIF, { name: 'vale0:per0', cmd: abi.NETMAP_BDG_DETACH });
  await call(NIOCREGIF, { name: 'per0', cmd: abi.NETMAP_BDG_DELIF });
  assert.deepEqual(await state(), []);
});
