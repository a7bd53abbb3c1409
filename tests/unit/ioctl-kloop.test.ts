// CSB_ENABLE, SYNC_KLOOP_START and SYNC_KLOOP_STOP as bytes, awaited in one thread.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import * as abi from '../../src/abi.js';
import type { EventFd } from '../../src/ioctl/eventfd.js';
import type { NetmapFile } from '../../src/ioctl/netmap-file.js';
import { IoctlWorld, named, SLOTS } from '../support/ioctl-world.js';
import { i32s, u64s } from '../support/program.js';

const { NETMAP_REQ_REGISTER: REGISTER, NETMAP_REQ_CSB_ENABLE: CSB_ENABLE, NETMAP_REQ_OPT_CSB: CSB } = abi;
const { NETMAP_REQ_SYNC_KLOOP_START: START, NETMAP_REQ_SYNC_KLOOP_STOP: STOP } = abi;
const { NETMAP_REQ_OPT_SYNC_KLOOP_EVENTFDS: EVENTFDS, NETMAP_REQ_OPT_SYNC_KLOOP_MODE: MODE } = abi;
const EXCLUSIVE = { mode: abi.NR_REG_ALL_NIC, flags: abi.NR_EXCLUSIVE, ...SLOTS };

let world: IoctlWorld;
let atok: number;
let ktoa: number;
const eventfds = new Map<number, EventFd>();

beforeEach(async () => {
  eventfds.clear();
  world = await IoctlWorld.create(true, { eventfds });
  for (let fd = 10; fd < 14; fd++) eventfds.set(fd, world.netmap.eventfd(new Int32Array(new SharedArrayBuffer(8))));
  [atok, ktoa] = [world.program.alloc(128), world.program.alloc(128)];
});
afterEach(() => world.netmap.close());

const csb = (a = atok, k = ktoa): number => world.program.option(CSB, { rest: u64s(a, k) });
const fds = (...numbers: number[]): number =>
  world.program.option(EVENTFDS, { nroSize: 24 + 4 * numbers.length, rest: i32s(...numbers) });
const modeOption = (bits: number): number => world.program.option(MODE, { rest: i32s(bits, 0) });

async function bind(name = 'p{1', file = world.file): Promise<void> {
  await world.get(REGISTER, { name, body: EXCLUSIVE }, file);
}
async function bindCsb(): Promise<void> {
  await bind();
  assert.equal(await world.ctrl(CSB_ENABLE, { options: [csb()] }), '');
}

/** Starts the loop; resolves when it runs, with what START comes to. */
async function start(options: readonly number[] = [], sleepUs = 0): Promise<{ ended: Promise<string> }> {
  const ended = world.ctrl(START, { options, body: { sleepUs } });
  for (let tries = 0; (await world.ctrl(CSB_ENABLE, { options: [csb()] })) !== 'EBUSY'; tries++) {
    assert.ok(tries < 100, 'it does not start');
  }
  return { ended };
}

describe('CSB_ENABLE', () => {
  test('without the option: EINVAL; of a descriptor that is not bound: 0, and nothing is done', async () => {
    assert.equal(await world.ctrl(CSB_ENABLE), 'EINVAL');
    const option = csb(1, 1);
    assert.equal(await world.ctrl(CSB_ENABLE, { options: [option] }), '');
    assert.equal(world.program.status(option), 0);
  });

  test('ignores options that it does not know', async () => {
    await bind();
    const options = [csb(), world.program.option(99)];
    assert.equal(await world.ctrl(CSB_ENABLE, { options }), '');
    assert.deepEqual(
      options.map((option) => world.program.status(option)),
      [0, abi.EOPNOTSUPP],
    );
  });

  test('of a port that is not exclusive: EINVAL', async () => {
    await world.get(REGISTER, { name: 'vale0:a', body: { ...EXCLUSIVE, flags: 0 } });
    assert.equal(await world.ctrl(CSB_ENABLE, { options: [csb()] }), 'EINVAL');
    assert.equal(world.file.ioctl(abi.NIOCTXSYNC), 0, 'syncs are still accepted');
  });

  test("arrays in the host's own state: EFAULT, and it is not touched", async () => {
    const everything = world.netmap.openDevice({ fd: world.file.fd }); // the same descriptor, and all of the memory
    await bind();
    const option = csb();
    world.program.view.setBigUint64(option + 24, 4096n, true);
    const at = world.program.request(CSB_ENABLE, { optionsAt: world.program.base + option });
    assert.equal(named(await everything.ioctlAsync(abi.NIOCCTRL, world.program.base + at)), 'EFAULT');
    assert.equal(world.program.status(option), abi.EFAULT);
    assert.equal(await everything.ioctlAsync(abi.NIOCTXSYNC), 0, 'another object of a descriptor syncs too');
    assert.equal(world.file.ioctl(abi.NIOCTXSYNC), 0);
    await everything.close();
    assert.equal(world.file.ioctl(abi.NIOCTXSYNC), 0, 'which is still open');
  });

  test('while the loop runs: EBUSY; again afterwards: the new arrays', async () => {
    await bindCsb();
    const { ended } = await start();
    assert.equal(await world.ctrl(STOP), '');
    assert.equal(await ended, '');
    const [a, k] = [world.program.alloc(128), world.program.alloc(128)];
    assert.equal(await world.ctrl(CSB_ENABLE, { options: [csb(a, k)] }), '');
    assert.equal(world.program.view.getUint32(k + 4, true), 7);
  });
});

describe('START fails', () => {
  test('for reasons that come in order', async () => {
    const long = { sleepUs: 1_000_001 };
    assert.equal(await world.ctrl(START, { body: long }), 'EINVAL');
    assert.equal(await world.ctrl(START), 'ENXIO');
    await bind();
    assert.equal(await world.ctrl(START), 'EINVAL', 'there is no CSB');
    assert.equal(await world.ctrl(CSB_ENABLE, { options: [csb()] }), '');
    assert.equal(await world.ctrl(START, { body: long }), 'EINVAL');
    const { ended } = await start();
    assert.equal(await world.ctrl(START, { options: [modeOption(4)] }), 'EBUSY');
    assert.equal(await world.ctrl(STOP), '');
    assert.equal(await ended, '');
  });

  const rows: [string, string, () => number[], number[]][] = [
    ['mode bits that there are not', 'EINVAL', () => [modeOption(4)], [abi.EINVAL]],
    ['direct mode without event descriptors', 'EINVAL', () => [modeOption(1)], [abi.EINVAL]],
    ['mode before event descriptors', 'EINVAL', () => [fds(10), modeOption(8)], [abi.EOPNOTSUPP, abi.EINVAL]],
    ['too few event descriptors', 'EINVAL', () => [fds(10, 11)], [abi.EINVAL]],
    ['too many event descriptors', 'EINVAL', () => [fds(10, 11, 12, 13, 10, 11)], [abi.EINVAL]],
    ['no event descriptors', 'EINVAL', () => [fds()], [abi.EINVAL]],
    ['direct mode, and a ring without kicks', 'EINVAL', () => [modeOption(2), fds(10, 11, -1, 13)], [0, abi.EINVAL]],
    ['a descriptor for kicks that there is not', 'EBADF', () => [fds(99, -1, 12, -1)], [abi.EBADF]],
    ['a descriptor for interrupts that there is not', 'EBADF', () => [fds(10, 99, 12, 13)], [abi.EBADF]],
  ];
  for (const [what, errno, make, statuses] of rows) {
    test(`${what}: ${errno}`, async () => {
      await bindCsb();
      const options = make();
      assert.equal(await world.ctrl(START, { options }), errno);
      assert.deepEqual(
        options.map((option) => world.program.status(option)),
        statuses,
      );
      const { ended } = await start();
      await world.ctrl(STOP);
      assert.equal(await ended, '', 'it can be started then');
    });
  }

  test('nothing when there is no table: the option has status EOPNOTSUPP, and the request ends at once', async () => {
    const bare = world.open();
    await bind('vale0:a', bare);
    assert.equal(await world.ctrl(CSB_ENABLE, { options: [csb()] }, bare), '');
    const options = [fds(10, 11, 12, 13)];
    assert.equal(await world.ctrl(START, { options }, bare), '');
    assert.equal(world.program.status(options[0]), abi.EOPNOTSUPP);
    const wrong = [fds(10)];
    assert.equal(await world.ctrl(START, { options: wrong }, bare), 'EINVAL', 'the size is looked at first');
  });
});

describe('STOP', () => {
  test('of a descriptor that is not bound: ENXIO', async () => {
    assert.equal(await world.ctrl(STOP), 'ENXIO');
  });

  test('before START makes the next START end at once; also before there is a CSB', async () => {
    await bind();
    assert.equal(await world.ctrl(STOP), '');
    assert.equal(await world.ctrl(START), 'EINVAL');
    assert.equal(await world.ctrl(CSB_ENABLE, { options: [csb()] }), '');
    const options = [fds(10, 11, 12, 13), modeOption(0)];
    assert.equal(await world.ctrl(START, { options }), '');
    assert.deepEqual(
      options.map((option) => world.program.status(option)),
      [0, 0],
    );
    const { ended } = await start();
    await world.ctrl(STOP);
    assert.equal(await ended, '');
  });

  test('START and STOP again and again', async () => {
    await bindCsb();
    for (let i = 0; i < 20; i++) {
      const ended = world.ctrl(START, { options: i % 2 ? [fds(10, 11, 12, 13)] : [] });
      if (i % 3) await Promise.resolve();
      assert.equal(await world.ctrl(STOP), '');
      assert.equal(await ended, '');
      world.program.reset();
      [atok, ktoa] = [world.program.alloc(128), world.program.alloc(128)];
      assert.equal(await world.ctrl(CSB_ENABLE, { options: [csb()] }), '');
    }
  });
});

describe('the loop', () => {
  /** The other end of the pipe, opened by a typed call. */
  const peer = () => world.netmap.open('netmap:p}1', SLOTS);
  const word = (at: number): number => world.program.view.getUint32(at, true);
  const publish = (head: number): void => {
    Atomics.store(new Uint32Array(world.program.bytes.buffer), (world.program.base + atok + 4) >>> 2, head);
    Atomics.store(new Uint32Array(world.program.bytes.buffer), (world.program.base + atok) >>> 2, head);
  };
  async function until(what: string, holds: () => boolean): Promise<void> {
    const limit = performance.now() + 5000;
    while (!holds()) {
      assert.ok(performance.now() < limit, what);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  for (const [what, options] of [
    ['busy', () => []],
    ['busy with interrupts', () => [fds(-1, 11, 12, 13)]],
    ['event descriptors', () => [fds(10, 11, 12, 13)]],
    ['direct', () => [fds(10, 11, 12, 13), modeOption(3)]],
    ['direct in one direction', () => [fds(10, 11, 12, 13), modeOption(1)]],
  ] as [string, () => number[]][]) {
    test(`moves frames and raises interrupts: ${what}`, async () => {
      const other = await peer();
      await bindCsb();
      const made = options();
      const { ended } = await start(made, 100);
      const [ring] = world.file.port?.txRings ?? assert.fail();
      for (let head = 1; head <= 3; head++) {
        ring.setSlot(head - 1, 60, 0);
        publish(head);
        if (word(ktoa + 8) !== 0) eventfds.get(10)?.signal();
        await until('the kernel takes the frame', () => word(ktoa) === head);
        assert.equal(other.rxsync(), 0);
        assert.equal(other.rxRings[0].tail, head);
      }
      // What comes the other way: hwtail of the rx ring moves, and there is an interrupt if there is a descriptor.
      const [tx] = other.txRings;
      tx.setSlot(0, 60, 0);
      tx.advance(1);
      assert.equal(other.txsync(), 0);
      await until('the kernel shows the frame', () => word(ktoa + 64 + 4) === 1);
      if (made.length !== 0) await until('the interrupt', () => (eventfds.get(13)?.count() ?? 0) > 0);
      assert.equal(await world.ctrl(STOP), '');
      assert.equal(await ended, '');
      publish(4);
      await new Promise((resolve) => setTimeout(resolve, 5));
      assert.equal(word(ktoa), 3, 'nobody touches the CSB any more');
    });
  }

  test('ends when the descriptor is closed, and everything is given back', async () => {
    const other = await peer();
    const before = await world.state();
    for (let i = 0; i < 3; i++) {
      const file: NetmapFile = world.open({ eventfds });
      await bind('p{1', file);
      assert.equal(await world.ctrl(CSB_ENABLE, { options: [csb()] }, file), '');
      const ended = world.ctrl(START, { options: [fds(10, 11, 12, 13)] }, file);
      await new Promise((resolve) => setTimeout(resolve, 2));
      await file.close();
      assert.equal(await ended, '');
    }
    assert.deepEqual(await world.state(), before);
    await other.close();
  });

  test("of another's descriptor ends with the object that runs it", async () => {
    await bindCsb();
    const other = world.open({ fd: world.file.fd, eventfds });
    const ended = world.ctrl(START, { options: [fds(10, 11, 12, 13)] }, other);
    await new Promise((resolve) => setTimeout(resolve, 2));
    assert.equal(await world.ctrl(START), 'EBUSY');
    await other.close();
    assert.equal(await ended, '');
    const { ended: again } = await start();
    await world.ctrl(STOP);
    assert.equal(await again, '');
  });

  test('ends when the host is closed', async () => {
    await bindCsb();
    const { ended } = await start([fds(10, 11, 12, 13)]);
    await world.netmap.close();
    assert.equal(await ended, '');
    assert.equal(await world.ctrl(STOP), 'EBADF');
  });
});
