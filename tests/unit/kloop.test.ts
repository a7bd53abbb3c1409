// CSB_ENABLE, SYNC_KLOOP_START and SYNC_KLOOP_STOP: their errors, their order, and what is left alone.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import {
  EBUSY,
  EFAULT,
  EINVAL,
  EIO,
  ENXIO,
  KLOOP_OWNER,
  NR_EXCLUSIVE,
  NR_RX_RINGS_ONLY,
  NR_TX_RINGS_ONLY,
  POLLERR,
  POLLIN,
  THREAD_LOOPS,
  THREAD_MAX_LOOPS,
  THREAD_SIZE,
} from '../../src/abi.js';
import { KernelLoop, type LoopMode } from '../../src/kloop/loop.js';
import { HostPort } from '../../src/netmap/host-port.js';
import type { OpenPort } from '../../src/netmap/register.js';
import { NetmapRing } from '../../src/ring/ring.js';
import { DeviceWorld } from '../support/device-world.js';

let world: DeviceWorld;
let port: OpenPort;
let loop: KernelLoop;
let atok: number;
let ktoa: number;

beforeEach(async () => {
  world = new DeviceWorld();
  port = await world.openExclusive('vale0:a');
  loop = new KernelLoop(world.arena, port);
  atok = world.ram;
  ktoa = world.ram + 4096;
});

const start = (mode: LoopMode = 'direct', thread = world.thread.ptr): number =>
  loop.start({ mode, thread, guest: world.thread.ptr });

describe('CSB_ENABLE', () => {
  test('while the loop runs is EBUSY, also with addresses that are wrong', () => {
    assert.equal(loop.enableCsb(atok, ktoa), 0);
    assert.equal(start(), 0);
    assert.equal(loop.enableCsb(atok, ktoa), -EBUSY);
    assert.equal(loop.enableCsb(1, 1), -EBUSY);
    assert.equal(loop.stop(), 0);
    assert.equal(loop.enableCsb(atok, ktoa), 0);
  });

  test('of a port without rings is 0 and does nothing', async () => {
    const none = await world.open('vale0:b', { flags: NR_TX_RINGS_ONLY | NR_RX_RINGS_ONLY });
    const idle = new KernelLoop(world.arena, none);
    assert.equal(idle.enableCsb(1, 1), 0);
    assert.equal(idle.start({ mode: 'direct', thread: world.thread.ptr, guest: 0 }), -EINVAL, 'there is no CSB');
  });

  test('of a port that is not exclusive is EINVAL', async () => {
    const shared = new KernelLoop(world.arena, await world.open('vale0:b'));
    assert.equal(shared.enableCsb(atok, ktoa), -EINVAL);
  });

  test('of arrays that are not on a cache line is EINVAL', () => {
    for (const off of [1, 4, 32, 63, 0.5]) {
      assert.equal(loop.enableCsb(atok + off, ktoa), -EINVAL, `atok + ${off}`);
      assert.equal(loop.enableCsb(atok, ktoa + off), -EINVAL, `ktoa + ${off}`);
    }
  });

  test('of arrays that are not in the memory is EFAULT, and nothing is written', () => {
    const { length } = world.arena.u8;
    for (const address of [0, -64, length - 64, length, 2 ** 32, 2 ** 40]) {
      assert.equal(loop.enableCsb(address, ktoa), -EFAULT, `atok ${address}`);
      assert.equal(loop.enableCsb(atok, address), -EFAULT, `ktoa ${address}`);
    }
    assert.deepEqual(world.entry(atok, 0), [0, 0, 0, 0]);
    assert.equal(world.arena.wasm.ringSync(port.tx[0].ptr, world.thread.ptr), 0);
    assert.equal(loop.enableCsb(length - 256, length - 128), 0, 'the last bytes of the memory are in it');
  });

  test('again replaces the arrays', () => {
    assert.equal(loop.enableCsb(atok, ktoa), 0);
    world.arena.u8.fill(0xee, atok, ktoa + 4096);
    assert.equal(loop.enableCsb(atok + 8192, ktoa + 8192), 0);
    assert.deepEqual(world.entry(ktoa + 8192, 0), [0, 7, 1, 0]);
    assert.ok(world.arena.u8.subarray(atok, ktoa + 4096).every((byte) => byte === 0xee));
  });

  test('takes the rings from the host: syncs are EBUSY and poll is POLLERR until the loop is destroyed', async () => {
    const host = new HostPort(world.thread, port.info, { close: async () => {}, call: async () => {} });
    assert.deepEqual([host.txsync(), host.rxsync(), await host.poll(POLLIN, { timeout: 0 })], [0, 0, 0]);
    loop.enableCsb(atok, ktoa);
    assert.deepEqual([host.txsync(), host.rxsync()], [-EBUSY, -EBUSY]);
    assert.equal(await host.poll(POLLIN), POLLERR);
    assert.equal(start(), 0);
    assert.equal(loop.stop(), 0);
    assert.deepEqual([host.txsync(), host.rxsync()], [-EBUSY, -EBUSY], 'there is no way back but the end');
    loop.leaveCsb();
    assert.deepEqual([host.txsync(), host.rxsync()], [0, 0]);
  });
});

describe('START', () => {
  test('without CSB is EINVAL, also after a STOP', () => {
    assert.equal(start(), -EINVAL);
    assert.equal(loop.stop(), 0);
    assert.equal(start(), -EINVAL);
  });

  test('while the loop runs is EBUSY, in any mode', () => {
    loop.enableCsb(atok, ktoa);
    assert.equal(start(), 0);
    for (const mode of ['direct', 'notify', 'busy'] as const) assert.equal(start(mode), -EBUSY);
    assert.equal(loop.running, true);
    assert.equal(loop.thread, world.thread.ptr);
  });

  test('on a thread that serves as many loops as it can is ENXIO, and takes nothing', () => {
    loop.enableCsb(atok, ktoa);
    const full = world.arena.alloc(THREAD_SIZE, 'a thread');
    for (let i = 0; i < THREAD_MAX_LOOPS; i++) world.arena.store(full + THREAD_LOOPS + 4 * i, 64);
    assert.equal(start('direct', full), -ENXIO);
    assert.equal(loop.running, false);
    assert.equal(start(), 0);
  });
});

describe('STOP', () => {
  test('before START makes the next START return 0 without starting anything, once', () => {
    loop.enableCsb(atok, ktoa);
    assert.equal(loop.stop(), 0);
    assert.equal(loop.stop(), 0);
    assert.equal(start(), 0);
    assert.equal(loop.running, false);
    assert.equal(start(), 0);
    assert.equal(loop.running, true);
  });

  test('leaves no mark when it has stopped something; neither does the device’s DELETE when nothing runs', () => {
    loop.enableCsb(atok, ktoa);
    assert.equal(start(), 0);
    assert.equal(loop.stop(), 0);
    assert.equal(loop.halt(), 0);
    assert.equal(start(), 0);
    assert.equal(loop.running, true);
  });

  test('ends whoever waits for the end of START', async () => {
    loop.enableCsb(atok, ktoa);
    await loop.stopped();
    start();
    let ended = 0;
    const waits = [loop.stopped(), loop.stopped()].map((wait) => wait.then(() => ended++));
    await Promise.resolve();
    assert.equal(ended, 0);
    loop.stop();
    await Promise.all(waits);
    assert.equal(ended, 2);
  });

  test('takes the rings back: what is published afterwards is not looked at', () => {
    loop.enableCsb(atok, ktoa);
    start();
    world.thread.service();
    loop.stop();
    new NetmapRing(world.arena, port.tx[0].ring, port.info.numBufs).setSlot(0, 60);
    world.arena.store(atok + 4, 1);
    world.arena.store(atok, 1);
    world.arena.wasm.kloopKick(loop.ptr, 0, 0);
    world.thread.service();
    assert.deepEqual(world.entry(ktoa, 0), [0, 7, 1, 0]);
    assert.equal(start(), 0);
    world.thread.service();
    assert.deepEqual(world.entry(ktoa, 0), [1, 0, 1, 0], 'the CSB stayed valid');
  });

  test('waits for the thread that works on the rings; one that has died is taken off them', () => {
    loop.enableCsb(atok, ktoa);
    start();
    world.arena.store(loop.ptr + KLOOP_OWNER, 5);
    assert.equal(loop.stop(), -EIO);
    assert.equal(loop.running, false);
    loop.recover(6);
    assert.equal(world.arena.load(loop.ptr + KLOOP_OWNER), 5);
    loop.recover(5);
    assert.equal(world.arena.load(loop.ptr + KLOOP_OWNER), 0);
    assert.equal(start(), 0);
    assert.equal(loop.stop(), 0);
  });
});

test('a loop of rings of one direction serves those', async () => {
  const flags = NR_EXCLUSIVE | NR_TX_RINGS_ONLY;
  const one = await world.open('vale0:b', { txRings: 2, flags });
  const half = new KernelLoop(world.arena, one);
  assert.equal(half.enableCsb(atok, ktoa), 0);
  assert.equal(half.start({ mode: 'direct', thread: world.thread.ptr, guest: world.thread.ptr }), 0);
  world.thread.service();
  assert.deepEqual(world.entry(ktoa, 1), [0, 7, 1, 0]);
  assert.deepEqual(world.entry(ktoa, 2), [0, 0, 0, 0]);
});

test('moveTo hands a running loop to another thread, and leaves one that is stopped', () => {
  const other = world.arena.threadPtr(2);
  loop.enableCsb(atok, ktoa);
  loop.moveTo(other);
  assert.equal(loop.running, false);
  start();
  loop.moveTo(other);
  assert.equal(loop.thread, other);
  world.thread.service();
  assert.equal(world.arena.load(world.thread.ptr + THREAD_LOOPS), 0);
  assert.equal(world.arena.load(other + THREAD_LOOPS), loop.ptr);
  assert.equal(loop.stop(), 0);
});
