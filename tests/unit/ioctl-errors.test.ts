// REGISTER and VALE_ATTACH in a host with interfaces, bridges and monitors: what else they are refused for, and that the
// host is then as it was. The others are in ioctl-register.test.ts and ioctl-requests.test.ts.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import * as abi from '../../src/abi.js';
import { IoctlWorld, named, SLOTS } from '../support/ioctl-world.js';
import { type HeaderFields, u64s } from '../support/program.js';

const { NETMAP_REQ_REGISTER: REGISTER, NETMAP_REQ_VALE_ATTACH: ATTACH, NETMAP_REQ_VALE_DETACH: DETACH } = abi;
const ALL = { mode: abi.NR_REG_ALL_NIC, ...SLOTS };
const RX = { ...ALL, flags: abi.NR_MONITOR_RX };

let world: IoctlWorld;
beforeEach(async () => {
  world = await IoctlWorld.create(true);
  const { netmap } = world;
  for (const name of ['e0', 'e1']) await netmap.addInterface(name, { ...SLOTS, memId: 1 });
  for (const name of ['per0', 'per1']) await netmap.newInterface(name, SLOTS);
  for (const name of ['e1', 'per1']) await netmap.valeAttach(`vale1:${name}`);
  await netmap.open('vale2:open', SLOTS);
  await netmap.open('vale2:alone/x', SLOTS);
  await netmap.open('netmap:per0-0/Tx', SLOTS);
});
afterEach(() => world.netmap.close());

const rows: [what: string, errno: string, type: number, fields: HeaderFields][] = [
  ['an attached NIC', 'EBUSY', REGISTER, { name: 'e1', body: ALL }],
  ['the host rings of an attached NIC', 'EBUSY', REGISTER, { name: 'e1', body: { ...ALL, mode: abi.NR_REG_SW } }],
  ['a pipe on an attached NIC', 'EBUSY', REGISTER, { name: 'e1{1', body: ALL }],
  ['a NIC as a port of a bridge', 'EINVAL', REGISTER, { name: 'vale0:e0', body: ALL }],
  ['a persistent port as a port of a bridge', 'EINVAL', REGISTER, { name: 'vale0:per0', body: ALL }],
  ['an attached one as a port of its bridge', 'EINVAL', REGISTER, { name: 'vale1:per1', body: ALL }],
  ['a NIC in mode DEFAULT', 'EINVAL', REGISTER, { name: 'e0', body: { ...ALL, mode: abi.NR_REG_DEFAULT } }],
  ['a NIC ring that there is not', 'EINVAL', REGISTER, { name: 'e0', body: { ...ALL, mode: 4, ringId: 1 } }],
  ['a host ring that there is not', 'EINVAL', REGISTER, { name: 'e0', body: { ...ALL, mode: 8, ringId: 1 } }],
  ['host rings of a persistent port', 'EINVAL', REGISTER, { name: 'per0', body: { ...ALL, mode: abi.NR_REG_SW } }],
  ['host rings of a pipe', 'EINVAL', REGISTER, { name: 'per0{1', body: { ...ALL, mode: abi.NR_REG_NIC_SW } }],
  ['what somebody has alone', 'EBUSY', REGISTER, { name: 'vale2:alone', body: ALL }],
  ['what somebody has, alone', 'EBUSY', REGISTER, { name: 'vale2:open', body: { ...ALL, flags: abi.NR_EXCLUSIVE } }],
  ['one direction that somebody has alone', 'EBUSY', REGISTER, { name: 'per0', body: ALL }],
  ['a monitor of what is not open', 'EINVAL', REGISTER, { name: 'e0', body: RX }],
  ['a monitor of what does not exist', 'EINVAL', REGISTER, { name: 'vale2:none', body: RX }],
  ['a monitor of an interface that does not exist', 'ENXIO', REGISTER, { name: 'e9', body: RX }],
  [
    'a monitor of the host rings of a port without',
    'EINVAL',
    REGISTER,
    { name: 'vale2:open', body: { ...RX, mode: 2 } },
  ],
  ['a null port of a region that there is not', 'EINVAL', REGISTER, { name: 'n', body: { mode: 7, memId: 99 } }],
  ['a pipe in a bridge with a bad name', 'EINVAL', REGISTER, { name: 'vale-x:a{1', body: ALL }],
  ['a pipe of a pipe', 'EINVAL', REGISTER, { name: 'q{1{', body: ALL }],
  ['attach: a port that is open', 'EBUSY', ATTACH, { name: 'vale3:per0', body: ALL }],
  ['attach: an ephemeral port', 'EINVAL', ATTACH, { name: 'vale3:open', body: ALL }],
  ['attach: a port that is there already', 'EBUSY', ATTACH, { name: 'vale2:open', body: ALL }],
  ['attach: a pipe', 'EINVAL', ATTACH, { name: 'vale3:per0{1', body: ALL }],
  ['attach: a NIC in mode SW', 'EINVAL', ATTACH, { name: 'vale3:e0', body: { ...ALL, mode: abi.NR_REG_SW } }],
  ['attach: a NIC in mode NULL', 'EINVAL', ATTACH, { name: 'vale3:e0', body: { ...ALL, mode: abi.NR_REG_NULL } }],
  ['detach: a bad name', 'EINVAL', DETACH, { name: 'vale1' }],
  ['detach: an interface that is on no bridge', 'ENXIO', DETACH, { name: 'vale1:per0' }],
];

describe('refused, and the host is as it was', () => {
  for (const [what, errno, type, fields] of rows) {
    test(`${what}: ${errno}`, async () => {
      const before = await world.state();
      const at = world.program.request(type, fields);
      const bytes = world.program.snapshot();
      assert.equal(named(await world.file.ioctlAsync(abi.NIOCCTRL, at)), errno);
      assert.deepEqual(world.program.bytes, bytes, 'nothing has been written');
      assert.deepEqual(await world.state(), before);
    });
  }

  test('offsets of a zero-copy monitor: EOPNOTSUPP, in its status too', async () => {
    const before = await world.state();
    const option = world.program.option(abi.NETMAP_REQ_OPT_OFFSETS, { rest: u64s(8, 0, 0, 0) });
    const fields = { name: 'vale2:open', body: { ...ALL, flags: abi.NR_ZCOPY_MON }, options: [option] };
    assert.equal(await world.ctrl(REGISTER, fields), 'EOPNOTSUPP');
    assert.equal(world.program.status(option), abi.EOPNOTSUPP);
    assert.deepEqual(await world.state(), before);
  });

  test('the ninth bridge: ENOMEM, by REGISTER and by ATTACH', async () => {
    for (let i = 3; i <= 8; i++) {
      const body = { ...ALL, txSlots: 2, rxSlots: 2, memId: 1 };
      assert.equal(await world.ctrl(REGISTER, { name: `vale${i}:a`, body }, world.open()), '', `bridge ${i}`);
    }
    const before = await world.state();
    assert.equal(await world.ctrl(REGISTER, { name: 'vale9:a', body: ALL }), 'ENOMEM');
    assert.equal(await world.ctrl(ATTACH, { name: 'vale9:e0', body: ALL }), 'ENOMEM');
    assert.deepEqual(await world.state(), before);
  });

  test('NIOCTXSYNC and NIOCRXSYNC without a port: ENXIO; any other ioctl: EOPNOTSUPP', async () => {
    for (const sync of [abi.NIOCTXSYNC, abi.NIOCRXSYNC, abi.NIOCTXSYNC_BSD, abi.NIOCRXSYNC_BSD]) {
      assert.equal(await world.file.ioctlAsync(sync), -abi.ENXIO);
    }
    for (const other of [0, 1, 0xc1106996, 0x8004667e, -1]) {
      assert.equal(await world.file.ioctlAsync(other), -abi.EOPNOTSUPP);
    }
    await world.file.close();
    assert.equal(await world.file.ioctlAsync(abi.NIOCTXSYNC), -abi.EBADF);
  });
});
