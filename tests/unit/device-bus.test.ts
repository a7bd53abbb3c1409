// A guest's bus: how many devices and rings, which functions, and what the memdev tells.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import {
  PTNET_IO_CSB_GH_BAL,
  PTNET_IO_CSB_HG_BAL,
  PTNET_IO_KICK_BASE,
  PTNET_IO_PTCTL,
  PTNETMAP_PTCTL_CREATE,
} from '../../src/abi.js';
import { GuestRecord } from '../../src/control/guest-record.js';
import { readCounters } from '../../src/netmap/host-port.js';
import type { OpenPort } from '../../src/netmap/register.js';
import type { PtnetDevice } from '../../src/ptnet/device.js';
import { PtnetMemdev } from '../../src/ptnet/memdev.js';
import { DeviceWorld, MAC, RAM_GPA } from '../support/device-world.js';

let world: DeviceWorld;
let port: OpenPort;

beforeEach(async () => {
  world = new DeviceWorld();
  port = await world.openExclusive('vale0:a', { txRings: 2, rxRings: 1 });
});

test('a port with more than 32 rings is refused, one with 32 has a doorbell for each', async () => {
  const { used } = world.arena.privates;
  for (const count of [17, 32]) {
    const pipe = await world.openExclusive('netmap:p{1@1', { txRings: count, rxRings: 33 - count });
    assert.throws(() => world.device(pipe), { name: 'NetmapError', code: 'EINVAL', op: 'passthrough' });
    await world.ports.close(pipe.fd);
  }
  assert.equal(world.arena.privates.used, used);
  const most = await world.openExclusive('vale1:a', { txRings: 16, rxRings: 16, txSlots: 2, rxSlots: 2 });
  const device = world.device(most);
  device.ioWrite(PTNET_IO_CSB_GH_BAL, 4, RAM_GPA);
  device.ioWrite(PTNET_IO_CSB_HG_BAL, 4, RAM_GPA + 4096);
  device.ioWrite(PTNET_IO_PTCTL, 4, PTNETMAP_PTCTL_CREATE);
  assert.equal(device.ioRead(PTNET_IO_PTCTL, 4), 0);
  device.ioWrite(PTNET_IO_KICK_BASE + 4 * 31, 4, 1);
  assert.equal(readCounters(world.arena, most.info).kicks, 1);
  world.thread.service();
  assert.deepEqual(world.entry(world.ram + 4096, 31), [0, 0, 1, 0]);
});

test('a guest’s bus has a function for each device, and a memdev for each region', async () => {
  const guest = new GuestRecord(world.arena, 1, world.thread.ptr, {});
  const add = (open: OpenPort): PtnetDevice => guest.addDevice(open, 'direct', MAC, () => world.thread.ptr);
  const devices = [
    add(port),
    add(await world.openExclusive('vale0:a{1')),
    add(await world.openExclusive('vale1:b', { txSlots: 4, rxSlots: 4 })),
  ];
  const { functions } = guest.info();
  assert.deepEqual(
    functions.map(({ deviceId, vectors }) => [deviceId, vectors]),
    [
      [0x000c, 0],
      [0x000d, 3],
      [0x000d, 2],
      [0x000c, 0],
      [0x000d, 2],
    ],
  );
  assert.deepEqual(guest.devices, devices);
  assert.ok(guest.functionAt(0) instanceof PtnetMemdev);
  assert.equal(guest.functionAt(4), devices[2]);
  for (const index of [-1, 5, 0.5]) assert.throws(() => guest.functionAt(index), { code: 'ENXIO' });
  const { used } = world.arena.privates;
  guest.stop();
  guest.free();
  assert.ok(world.arena.privates.used < used);
});

test('the memdev tells the geometry of its region, at any width, and ignores writes', () => {
  const { region } = port.adapter;
  const memdev = new PtnetMemdev(region);
  assert.deepEqual([memdev.vendorId, memdev.deviceId, memdev.classCode], [0x1b36, 0x000c, 0xff0000]);
  const { layout, pools } = region;
  const values = new Map([
    [0, layout.memsize],
    [8, port.info.memId],
    [68, pools.ifPool.objtotal],
    [72, pools.ifPool.objsize],
    [76, layout.ringPoolOffset],
    [80, pools.ringPool.objtotal],
    [84, pools.ringPool.objsize],
    [88, layout.bufPoolOffset],
    [92, pools.bufPool.objtotal],
    [96, pools.bufPool.objsize],
  ]);
  const file = new DataView(new ArrayBuffer(136));
  for (const [offset, value] of values) file.setUint32(offset, value, true);
  for (let offset = 0; offset < 132; offset++) {
    memdev.ioWrite(offset, 4, 0xffffffff);
    for (const [size, expected] of [
      [1, file.getUint8(offset)],
      [2, file.getUint16(offset, true)],
      [4, file.getUint32(offset, true)],
    ] as const) {
      assert.equal(memdev.ioRead(offset, size), expected, `${size} bytes at ${offset}`);
    }
  }
  const { base, size, barSize } = memdev.memoryBar;
  assert.deepEqual([base, size], [region.base, layout.memsize]);
  assert.ok(barSize >= size && barSize < 2 * size && Number.isInteger(Math.log2(barSize)));
});
