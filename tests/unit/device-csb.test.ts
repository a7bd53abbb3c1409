// The device at work: the CSB after CREATE, doorbells, interrupts, reset.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import {
  ENXIO,
  PTNET_IO_CSB_GH_BAL as GH_BAL,
  PTNET_IO_CSB_HG_BAL as HG_BAL,
  PTNET_IO_KICK_BASE as KICK,
  PTNET_IO_PTCTL as PTCTL,
  PTNET_IO_PTFEAT as PTFEAT,
  PTNET_IO_VNET_HDR_LEN,
} from '../../src/abi.js';
import { readCounters } from '../../src/netmap/host-port.js';
import type { OpenPort } from '../../src/netmap/register.js';
import type { PtnetDevice } from '../../src/ptnet/device.js';
import { NetmapRing } from '../../src/ring/ring.js';
import { DeviceWorld, RAM_GPA } from '../support/device-world.js';

const CREATE = 1;
const DELETE = 2;

let world: DeviceWorld;
let port: OpenPort;
let device: PtnetDevice;
/** Addresses of the two arrays. */
let atok: number;
let ktoa: number;

beforeEach(async () => {
  world = new DeviceWorld();
  port = await world.openExclusive('vale0:a', { txRings: 2, rxRings: 1, txSlots: 8, rxSlots: 6 });
  device = world.device(port);
  atok = world.ram + 64;
  ktoa = world.ram + 4096;
});

const control = (command: number): number => {
  device.ioWrite(PTCTL, 4, command);
  return device.ioRead(PTCTL, 4);
};
function create(): void {
  device.ioWrite(GH_BAL, 4, RAM_GPA + 64);
  device.ioWrite(HG_BAL, 4, RAM_GPA + 4096);
  assert.equal(control(CREATE), 0);
}
const ring = (dir: 'tx' | 'rx', i = 0): NetmapRing =>
  new NetmapRing(world.arena, port.info[dir][i].ring, port.info.numBufs);
const counters = () => readCounters(world.arena, port.info);

/** Puts a broadcast into the next slot of a tx ring, as a guest does, without telling anybody. */
function queueFrame(i = 0): void {
  const tx = ring('tx', i);
  tx.buf(tx.head).set(Uint8Array.from({ length: 60 }, (_, k) => (k < 6 ? 0xff : 2)));
  tx.setSlot(tx.head, 60);
  tx.advance(1);
  world.arena.store(atok + 64 * i + 4, tx.cur);
  world.arena.store(atok + 64 * i, tx.head);
}

describe('the CSB after CREATE', () => {
  test('has the positions of the host’s rings, both flags on, FORCE_READ, and nothing else', () => {
    const { u8 } = world.arena;
    u8.fill(0xee, world.ram, world.ram + 8192);
    create();
    for (const i of [0, 1]) {
      assert.deepEqual(world.entry(atok, i), [0, 0, 1, 1]);
      assert.deepEqual(world.entry(ktoa, i), [0, 7, 1, 0]);
    }
    assert.deepEqual(world.entry(atok, 2), [0, 0, 1, 1]);
    assert.deepEqual(world.entry(ktoa, 2), [0, 0, 1, 0]);
    // ktoa is zeroed first, the rest of atok's entries and the surroundings belong to the guest
    assert.ok(u8.subarray(ktoa + 16, ktoa + 64).every((byte) => byte === 0));
    assert.ok(u8.subarray(atok + 16, atok + 64).every((byte) => byte === 0xee));
    for (const [from, to] of [
      [world.ram, atok],
      [atok + 192, ktoa],
      [ktoa + 192, world.ram + 8192],
    ]) {
      assert.ok(u8.subarray(from, to).every((byte) => byte === 0xee));
    }
  });

  test('of rings that were used before continues where they were', async () => {
    const listener = await world.hostPort('vale0:listener');
    for (let i = 0; i < 3; i++) {
      ring('tx').setSlot(ring('tx').head, 60);
      ring('tx').advance(1);
    }
    world.arena.wasm.ringSync(port.tx[0].ptr, world.thread.ptr);
    await listener.send(Uint8Array.from({ length: 60 }, () => 0xff));
    world.arena.wasm.ringSync(port.rx[0].ptr, world.thread.ptr);
    create();
    assert.deepEqual(
      [world.entry(atok, 0), world.entry(ktoa, 0)],
      [
        [3, 3, 1, 1],
        [3, 2, 1, 0],
      ],
    );
    assert.deepEqual(
      [world.entry(atok, 2), world.entry(ktoa, 2)],
      [
        [0, 0, 1, 1],
        [0, 1, 1, 0],
      ],
    );
  });

  test('is made anew by the next CREATE, in the new place, and left alone after DELETE', () => {
    create();
    queueFrame();
    device.ioWrite(KICK, 4, 1);
    world.thread.service();
    assert.deepEqual(world.entry(ktoa, 0), [1, 0, 1, 0]);
    assert.equal(control(DELETE), 0);
    queueFrame();
    device.ioWrite(KICK, 4, 1);
    world.thread.service();
    assert.deepEqual(world.entry(ktoa, 0), [1, 0, 1, 0]);
    device.ioWrite(HG_BAL, 4, RAM_GPA + 8192);
    assert.equal(control(CREATE), 0);
    assert.deepEqual(world.entry(atok, 0), [1, 1, 1, 1], 'what was published before is forgotten');
    assert.deepEqual(world.entry(world.ram + 8192, 0), [1, 0, 1, 0]);
    assert.deepEqual(world.entry(ktoa, 0), [1, 0, 1, 0], 'the old array is not written any more');
  });
});

describe('doorbells', () => {
  test('run the loop: frames leave, the CSB follows, interrupts are raised for those who want them', async () => {
    const listener = await world.hostPort('vale0:listener');
    create();
    world.thread.service();
    world.arena.store(atok + 8, 0); // ring 0 wants none
    queueFrame(0);
    queueFrame(1);
    device.ioWrite(KICK + 4, 4, 1);
    world.thread.service();
    listener.rxsync();
    assert.equal(listener.recv().length, 1, 'a doorbell is that of a ring');
    device.ioWrite(KICK, 4, 1);
    world.thread.service();
    listener.rxsync();
    assert.equal(listener.recv().length, 1);
    assert.deepEqual(
      [world.entry(ktoa, 0), world.entry(ktoa, 1)],
      [
        [1, 0, 1, 0],
        [1, 0, 1, 0],
      ],
    );
    assert.equal(device.takeInterrupts(), 0b010);
    assert.equal(device.takeInterrupts(), 0);
    await listener.send(Uint8Array.from({ length: 60 }, () => 0xff));
    world.thread.service();
    assert.equal(device.takeInterrupts(), 0b100);
    assert.deepEqual(world.entry(ktoa, 2), [0, 1, 1, 0]);
    const { kicks, interrupts } = counters();
    assert.deepEqual([kicks, interrupts], [2, 2]);
  });

  test('are counted for the rings that there are, and ignored for others', () => {
    create();
    for (let offset = KICK; offset < 256; offset += 4) device.ioWrite(offset, 4, 0);
    assert.equal(counters().kicks, 3);
    for (const [offset, size] of [
      [KICK, 1],
      [KICK + 3, 1],
      [KICK + 4, 2],
    ] as const) {
      device.ioWrite(offset, size, 1);
    }
    assert.equal(counters().kicks, 6);
    device.ioWrite(KICK + 2, 4, 1); // crosses into the next one
    assert.equal(counters().kicks, 8);
  });

  test('before CREATE are no harm, and every ring is looked at once when the loop starts', async () => {
    const listener = await world.hostPort('vale0:listener');
    device.ioWrite(KICK, 4, 1);
    world.thread.service();
    create();
    queueFrame();
    world.thread.service();
    listener.rxsync();
    assert.equal(listener.recv().length, 1);
  });
});

test('bad indices in the CSB are refused, counted, and answered with the positions that hold', () => {
  create();
  world.thread.service();
  for (const [head, cur] of [
    [8, 8],
    [0xffffffff, 0],
    [3, 2],
    [0, 8],
  ]) {
    world.arena.store(atok + 4, cur);
    world.arena.store(atok, head);
    world.arena.store(ktoa + 4, 99); // scribbled over by the guest
    device.ioWrite(KICK, 4, 1);
    world.thread.service();
    assert.deepEqual(world.entry(ktoa, 0), [0, 7, 1, 0]);
  }
  assert.equal(counters().reinits, 4);
  assert.deepEqual([ring('tx').head, ring('tx').tail], [0, 7], 'the ring itself is the guest’s');
});

test('a reset stops the loop, and forgets features, result, CSB, header length and half-written registers', () => {
  create();
  device.ioWrite(PTFEAT, 4, 1);
  device.ioWrite(PTNET_IO_VNET_HDR_LEN, 4, 12);
  control(77);
  device.reset();
  assert.equal(device.loop.running, false);
  assert.deepEqual(
    [PTFEAT, PTCTL, PTNET_IO_VNET_HDR_LEN].map((offset) => device.ioRead(offset, 4)),
    [0, 0, 0],
  );
  assert.equal(port.adapter.hdrLen, 0);
  assert.equal(control(CREATE), ENXIO);
  device.ioWrite(GH_BAL, 1, 0x40);
  assert.deepEqual(world.asked.at(-1), [0x40, 192]);
  create();
});

test('PtnetDevice.stop leaves CSB mode: the host can sync the rings again', async () => {
  create();
  device.stop();
  device.free();
  assert.equal(world.arena.wasm.ringSync(port.tx[0].ptr, world.thread.ptr), 0);
  await world.ports.close(port.fd);
  assert.equal((await world.open('vale0:a')).fd, port.fd + 1);
});
