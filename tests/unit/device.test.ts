// The device model, register by register: what a guest's driver, or a hostile guest, may do to a ptnet device.
import assert from 'node:assert/strict';
import { before, beforeEach, describe, test } from 'node:test';
import {
  EFAULT,
  EINVAL,
  ENXIO,
  PTNET_IO_CSB_GH_BAH as GH_BAH,
  PTNET_IO_CSB_GH_BAL as GH_BAL,
  PTNET_IO_VNET_HDR_LEN as HDR_LEN,
  PTNET_IO_CSB_HG_BAH as HG_BAH,
  PTNET_IO_CSB_HG_BAL as HG_BAL,
  PTNET_IO_KICK_BASE as KICK,
  KLOOP_PASSES,
  PORT_HDR_LEN,
  PTNET_IO_PTCTL as PTCTL,
  PTNET_IO_PTFEAT as PTFEAT,
  PTNET_IO_MAC_HI,
  PTNET_IO_MAC_LO,
  PTNET_IO_NIFP_OFS,
} from '../../src/abi.js';
import { readCounters } from '../../src/netmap/host-port.js';
import type { OpenPort } from '../../src/netmap/register.js';
import type { PtnetDevice } from '../../src/ptnet/device.js';
import { DeviceWorld, RAM_GPA } from '../support/device-world.js';

const CREATE = 1;
const DELETE = 2;
const SIZES = [1, 2, 4] as const;

let world: DeviceWorld;
let port: OpenPort;
let device: PtnetDevice;

/** A fresh device of a VALE port with two tx rings and one rx ring. */
async function fresh(): Promise<void> {
  world = new DeviceWorld();
  const neighbour = await world.open('vale0:z'); // so that the port's region is not the first one
  port = await world.openExclusive('vale0:a', { txRings: 2, rxRings: 1, txSlots: 8, rxSlots: 6 });
  await world.ports.close(neighbour.fd);
  device = world.device(port);
}

const read32 = (offset: number): number => device.ioRead(offset, 4);
function control(command: number): number {
  device.ioWrite(PTCTL, 4, command);
  return read32(PTCTL);
}
function mapCsb(atok = RAM_GPA, ktoa = RAM_GPA + 4096): void {
  device.ioWrite(GH_BAH, 4, 0);
  device.ioWrite(GH_BAL, 4, atok);
  device.ioWrite(HG_BAH, 4, 0);
  device.ioWrite(HG_BAL, 4, ktoa);
}

describe('reads', () => {
  before(fresh);

  test('tell identity, geometry, address and memory of the port', () => {
    assert.deepEqual([device.vendorId, device.deviceId, device.classCode], [0x1b36, 0x000d, 0x020000]);
    assert.equal(device.vectors, 3);
    const registers: [number, number][] = [
      [0, 0],
      [4, 0],
      [8, 0x54aabbcc],
      [12, 0x0250],
      [16, 0],
      [20, 0],
      [24, port.info.offset],
      [28, 2],
      [32, 1],
      [36, 8],
      [40, 6],
      [44, 0],
      [48, port.info.memId],
      [52, 0],
      [56, 0],
      [60, 0],
      [64, 0],
    ];
    for (const [offset, value] of registers) assert.equal(read32(offset), value, `register ${offset}`);
    assert.deepEqual([PTNET_IO_MAC_LO, PTNET_IO_MAC_HI, PTNET_IO_NIFP_OFS], [8, 12, 24]);
    for (let offset = 68; offset < 256; offset += 4) assert.equal(read32(offset), 0, `register ${offset}`);
  });

  test('of any width at any offset give the bytes of the registers, and 0 outside', () => {
    const file = new DataView(new ArrayBuffer(264));
    for (let offset = 0; offset < 256; offset += 4) file.setUint32(offset, read32(offset), true);
    for (let offset = 0; offset < 260; offset++) {
      assert.equal(device.ioRead(offset, 1), file.getUint8(offset), `8 bits at ${offset}`);
      assert.equal(device.ioRead(offset, 2), file.getUint16(offset, true), `16 bits at ${offset}`);
      assert.equal(device.ioRead(offset, 4), file.getUint32(offset, true), `32 bits at ${offset}`);
    }
    for (const offset of [-1, 256, 1e6, 0.5, Number.NaN]) assert.equal(device.ioRead(offset, 1), 0);
    for (const size of [0, 3, 8, -1, Number.NaN]) assert.equal(device.ioRead(8, size as 4), 0);
  });
});

describe('writes', () => {
  beforeEach(fresh);

  test('to registers that are read-only, deprecated or unused change nothing', () => {
    const snapshot = (): number[] => Array.from({ length: 64 }, (_, i) => read32(4 * i));
    const before = snapshot();
    for (const offset of [8, 12, 16, 20, 24, 28, 32, 36, 40, 48, 68, 72, 124]) {
      for (const size of SIZES) {
        for (let lane = 0; lane + size <= 4; lane++) device.ioWrite(offset + lane, size, 0xffffffff);
      }
    }
    for (const offset of [-4, 256, 260, 1e9, Number.NaN]) device.ioWrite(offset, 4, 0xffffffff);
    for (const size of [0, 3, 8]) device.ioWrite(PTFEAT, size as 4, 1);
    assert.deepEqual(snapshot(), before);
    assert.deepEqual(world.asked, []);
  });

  test('to PTFEAT: the device keeps what it supports of what is wanted, which is VNET_HDR', () => {
    const rows: [number, 1 | 2 | 4, number, number][] = [
      [0, 4, 0xffffffff, 1],
      [0, 4, 2, 0],
      [0, 4, 1, 1],
      [0, 1, 0, 0],
      [0, 1, 3, 1],
      [1, 1, 0xff, 1], // the other bytes stay as last written
      [0, 2, 0x100, 0],
      [3, 1, 1, 0],
    ];
    for (const [offset, size, value, expected] of rows) {
      device.ioWrite(offset, size, value);
      assert.equal(read32(PTFEAT), expected, `${size} bytes at ${offset}: ${value}`);
    }
  });

  test('to VNET_HDR_LEN: 0, 10 and 12 are taken over by the port, other lengths are not stored', () => {
    let current = 0;
    for (const length of [12, 11, 10, 14, 0xffffffff, 0, 1, 12, -12, 0]) {
      device.ioWrite(HDR_LEN, 4, length);
      if ([0, 10, 12].includes(length)) current = length;
      assert.equal(read32(HDR_LEN), current);
      assert.equal(port.adapter.hdrLen, current);
      assert.equal(world.arena.load(port.adapter.ptr + PORT_HDR_LEN), current);
    }
    device.ioWrite(HDR_LEN, 1, 10);
    assert.equal(read32(HDR_LEN), 10);
  });

  test('a pipe has no headers: PTFEAT acknowledges nothing, VNET_HDR_LEN stays 0', async () => {
    device = world.device(await world.openExclusive('vale0:a{1'));
    device.ioWrite(PTFEAT, 4, 1);
    assert.equal(read32(PTFEAT), 0);
    for (const length of [10, 12]) {
      device.ioWrite(HDR_LEN, 4, length);
      assert.equal(read32(HDR_LEN), 0);
    }
  });

  test('to the low halves of the CSB addresses ask for 64 bytes a ring at the whole address', () => {
    device.ioWrite(GH_BAL, 4, 0x1040);
    device.ioWrite(GH_BAH, 4, 7);
    device.ioWrite(GH_BAL, 4, 0x2080);
    device.ioWrite(HG_BAH, 2, 0xffff);
    device.ioWrite(HG_BAL, 4, 0xffffffc0);
    assert.deepEqual(world.asked, [
      [0x1040, 192],
      [7 * 2 ** 32 + 0x2080, 192],
      [0xffff * 2 ** 32 + 0xffffffc0, 192],
    ]);
  });

  test('to the high halves alone do nothing', () => {
    mapCsb();
    assert.equal(control(CREATE), 0);
    const asked = world.asked.length;
    device.ioWrite(GH_BAH, 4, 1);
    device.ioWrite(HG_BAH, 4, 1);
    assert.equal(world.asked.length, asked);
    assert.equal(device.loop.running, true);
  });

  test('to a low half in parts map at each part, the last time with the whole address', () => {
    device.ioWrite(GH_BAL, 2, 0x1040);
    device.ioWrite(GH_BAL + 2, 2, 0x0002);
    device.ioWrite(GH_BAL + 3, 1, 0x03);
    assert.deepEqual(
      world.asked.map(([gpa]) => gpa),
      [0x1040, 0x21040, 0x3021040],
    );
  });

  for (const low of [GH_BAL, HG_BAL]) {
    test(`to the low half at ${low}: the loop is stopped, and 0 unmaps`, () => {
      mapCsb();
      assert.equal(control(CREATE), 0);
      device.ioWrite(low, 4, RAM_GPA + 8192);
      assert.equal(device.loop.running, false, 'a write performs DELETE');
      assert.equal(control(CREATE), 0);
      device.ioWrite(low, 4, 0);
      assert.equal(device.loop.running, false);
      assert.equal(control(CREATE), ENXIO);
    });

    test(`to the low half at ${low}: what the translator refuses, or puts at an odd place, is unmapped`, () => {
      mapCsb();
      const answers = [undefined, world.ram + 32, world.ram + 1, world.ram + 0.5, Number.NaN];
      for (const answer of answers) {
        world.translate = () => answer;
        device.ioWrite(low, 4, RAM_GPA);
        assert.equal(control(CREATE), ENXIO, String(answer));
      }
      world.translate = () => world.ram;
      device.ioWrite(low, 4, RAM_GPA);
      assert.equal(control(CREATE), 0);
    });
  }

  test('an address outside the memory, though the translator gave it, ends in EFAULT', () => {
    const { length } = world.arena.u8;
    for (const address of [length, length - 128, -64, 2 ** 40]) {
      world.translate = () => address;
      mapCsb();
      assert.equal(control(CREATE), EFAULT, String(address));
      assert.equal(device.loop.running, false);
    }
  });
});

describe('PTCTL', () => {
  beforeEach(fresh);

  test('CREATE without both CSB arrays is ENXIO', () => {
    assert.equal(control(CREATE), ENXIO);
    device.ioWrite(GH_BAL, 4, RAM_GPA);
    assert.equal(control(CREATE), ENXIO);
    device.ioWrite(HG_BAL, 4, RAM_GPA + 4096);
    assert.equal(control(CREATE), 0);
  });

  test('CREATE while running and DELETE while stopped are 0 and do nothing', () => {
    mapCsb();
    assert.equal(control(DELETE), 0);
    assert.equal(control(CREATE), 0);
    assert.equal(device.loop.running, true);
    const passes = world.arena.load(device.loop.ptr + KLOOP_PASSES);
    assert.equal(control(CREATE), 0);
    assert.equal(world.arena.load(device.loop.ptr + KLOOP_PASSES), passes);
    assert.equal(control(DELETE), 0);
    assert.equal(device.loop.running, false);
    assert.equal(control(DELETE), 0);
    assert.equal(control(CREATE), 0);
  });

  test('other commands are EINVAL and change nothing', () => {
    mapCsb();
    assert.equal(control(CREATE), 0);
    for (const command of [0, 3, 0x10001, 0xffffffff]) assert.equal(control(command), EINVAL);
    assert.equal(device.loop.running, true);
  });

  test('a port that is not opened exclusively is EINVAL', async () => {
    device = world.device(await world.open('vale0:b'));
    mapCsb();
    assert.equal(control(CREATE), EINVAL);
  });

  test('a write of 8 or 16 bits is a command too', () => {
    mapCsb();
    device.ioWrite(PTCTL, 1, CREATE);
    assert.equal(device.loop.running, true);
    device.ioWrite(PTCTL, 2, DELETE);
    assert.equal(device.loop.running, false);
  });

  test('counters of an idle device stay 0', () => {
    const { kicks, interrupts } = readCounters(world.arena, port.info);
    assert.deepEqual([kicks, interrupts], [0, 0]);
    assert.equal(read32(KICK), 0);
  });
});
