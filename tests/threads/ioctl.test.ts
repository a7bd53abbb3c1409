// Requests that block: SYNC_KLOOP_START in a worker, STOP in another thread, and workers that die meanwhile.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import * as abi from '../../src/abi.js';
import type { HostPort } from '../../src/index.js';
import { IoctlWorld, named, SLOTS } from '../support/ioctl-world.js';
import { i32s, u64s } from '../support/program.js';
import type { Attach } from './ioctl-worker.js';
import { Peer, sleep, until } from './support.js';

const { NETMAP_REQ_REGISTER: REGISTER, NETMAP_REQ_CSB_ENABLE: CSB_ENABLE } = abi;
const { NETMAP_REQ_SYNC_KLOOP_START: START, NETMAP_REQ_SYNC_KLOOP_STOP: STOP } = abi;
const EXCLUSIVE = { mode: abi.NR_REG_ALL_NIC, flags: abi.NR_EXCLUSIVE, ...SLOTS };
/** Kicks must not wait for the loop's safety timeout of 3 s. */
const PROMPT = 1500;

let world: IoctlWorld;
let words: [number, Int32Array][];
let atok: number;
let ktoa: number;
const peers: Peer[] = [];

beforeEach(async () => {
  world = await IoctlWorld.create(true);
  words = [10, 11, 12, 13].map((fd) => [fd, new Int32Array(new SharedArrayBuffer(8))]);
  [atok, ktoa] = [world.program.alloc(128), world.program.alloc(128)];
});
afterEach(async () => {
  for (const peer of peers.splice(0)) await peer.end();
  await world.netmap.close();
});

async function thread(fd?: number): Promise<{ peer: Peer; fd: number }> {
  const peer = new Peer(new URL('./ioctl-worker.js', import.meta.url));
  peers.push(peer);
  const args: Attach = { handle: world.netmap.handle(peer.worker), words, ...(fd === undefined ? {} : { fd }) };
  const { fd: own } = await peer.call<{ fd: number }>('attach', args);
  return { peer, fd: own };
}

async function ctrl(peer: Peer, ...request: Parameters<typeof world.program.request>): Promise<string> {
  const argument = world.program.request(...request);
  return named(await peer.call<number>('ioctl', { request: abi.NIOCCTRL, argument }));
}

const csb = (): number => world.program.option(abi.NETMAP_REQ_OPT_CSB, { rest: u64s(atok, ktoa) });
const eventfds = (): number =>
  world.program.option(abi.NETMAP_REQ_OPT_SYNC_KLOOP_EVENTFDS, { nroSize: 40, rest: i32s(10, 11, 12, 13) });

/** Waits until the loop of a descriptor runs: a START that could not succeed anyway is then refused as a second one. */
async function running(fd: number): Promise<void> {
  const file = world.open({ fd });
  await until(PROMPT, 'the loop', async () => {
    const bad = world.program.option(abi.NETMAP_REQ_OPT_SYNC_KLOOP_MODE, { rest: i32s(4, 0) });
    return (await world.ctrl(START, { options: [bad] }, file)) === 'EBUSY' || undefined;
  });
}

/** Binds p{1 with a CSB in a worker. */
async function bound(): Promise<{ peer: Peer; fd: number }> {
  const made = await thread();
  assert.equal(await ctrl(made.peer, REGISTER, { name: 'p{1', body: EXCLUSIVE, options: [csb()] }), '');
  return made;
}

const ktoaWord = (at: number): number =>
  Atomics.load(new Int32Array(world.program.bytes.buffer), (world.program.base + ktoa + at) >>> 2);
function publish(head: number): void {
  const view = new Int32Array(world.program.bytes.buffer);
  Atomics.store(view, (world.program.base + atok + 4) >>> 2, head);
  Atomics.store(view, (world.program.base + atok) >>> 2, head);
}

/** Frames from the program, each kicked if the kernel wants a kick, and one that comes back with an interrupt. */
async function exchange(other: HostPort, first: number): Promise<void> {
  const kick = world.netmap.eventfd(words[0][1]);
  for (let head = first + 1; head <= first + 4; head++) {
    await sleep(2); // the loop goes to sleep
    publish(head);
    if (ktoaWord(8) !== 0) kick.signal();
    await until(PROMPT, `the kernel takes frame ${head}`, () => ktoaWord(0) === head || undefined);
  }
  assert.equal(other.rxsync(), 0);
  const before = Atomics.load(words[3][1], 0);
  await sleep(2);
  other.txRings[0].advance(1);
  assert.equal(other.txsync(), 0);
  await until(PROMPT, 'the interrupt', () => Atomics.load(words[3][1], 0) !== before || undefined);
  assert.equal(ktoaWord(64 + 4), 1);
}

test('START blocks in a worker, and the loop runs there; STOP comes from the control thread', {
  timeout: 60_000,
}, async () => {
  const other = await world.netmap.open('netmap:p}1', SLOTS);
  const { peer, fd } = await bound();
  let ended: string | undefined;
  const run = ctrl(peer, START, { options: [eventfds()] }).then((result) => {
    ended = result;
  });
  await until(PROMPT, 'the loop', () => ktoaWord(8) === 1 || undefined);
  await exchange(other, 0);
  assert.equal(ended, undefined);
  const control = world.open({ fd });
  assert.equal(await world.ctrl(CSB_ENABLE, { options: [csb()] }, control), 'EBUSY');
  assert.equal(await world.ctrl(START, {}, control), 'EBUSY');
  assert.equal(await world.ctrl(STOP, {}, control), '');
  await run;
  assert.equal(ended, '');
  assert.equal(await peer.call('ioctl', { request: abi.NIOCTXSYNC, argument: 0 }), -abi.EBUSY, 'CSB mode stays');
  assert.equal(await control.ioctlAsync(abi.NIOCTXSYNC), -abi.EBUSY);
});

test('a third thread starts the loop of a descriptor, a fourth stops it', { timeout: 60_000 }, async () => {
  const other = await world.netmap.open('netmap:p}1', SLOTS);
  const { fd } = await bound();
  const [starter, stopper] = [await thread(fd), await thread(fd)];
  for (let round = 0; round < 3; round++) {
    const run = ctrl(starter.peer, START, { options: [eventfds()] });
    await running(fd);
    if (round === 0) await exchange(other, 0);
    assert.equal(await ctrl(stopper.peer, STOP), '');
    assert.equal(await run, '');
  }
});

test('START of a worker ends when the thread that has the descriptor closes it', { timeout: 60_000 }, async () => {
  const before = await world.state();
  const file = world.open();
  const options = [csb()];
  assert.equal(await world.ctrl(REGISTER, { name: 'vale0:a', body: EXCLUSIVE, options }, file), '');
  const { peer } = await thread(file.fd);
  const run = ctrl(peer, START, { options: [eventfds()] });
  await running(file.fd);
  await file.close();
  assert.equal(await run, '');
  assert.equal(await ctrl(peer, STOP), 'EBADF');
  await peers.splice(0)[0].end();
  await until(
    PROMPT,
    'the end',
    async () => JSON.stringify(await world.state()) === JSON.stringify(before) || undefined,
  );
});

test('a busy loop in a worker needs no kicks', { timeout: 60_000 }, async () => {
  await world.netmap.open('netmap:p}1', SLOTS);
  const { peer, fd } = await bound();
  for (const sleepUs of [0, 500]) {
    const run = ctrl(peer, START, { body: { sleepUs } });
    const head = ktoaWord(0) + 2;
    publish(head);
    await until(PROMPT, 'the kernel takes the frames', () => ktoaWord(0) === head || undefined);
    assert.equal(ktoaWord(8), 0);
    assert.equal(await world.ctrl(STOP, {}, world.open({ fd })), '');
    assert.equal(await run, '');
  }
});

test('a worker that is killed in START: its descriptor is closed, nothing is left', { timeout: 60_000 }, async () => {
  await world.netmap.open('netmap:p}1', SLOTS);
  const before = await world.state();
  for (let round = 0; round < 4; round++) {
    const { peer, fd } = await bound();
    const run = ctrl(peer, START, { options: round % 2 ? [eventfds()] : [] });
    run.catch(() => {});
    await running(fd);
    peers.splice(0);
    await peer.end();
    await assert.rejects(run);
    await until(
      PROMPT,
      'the end',
      async () => JSON.stringify(await world.state()) === JSON.stringify(before) || undefined,
    );
    assert.equal(await world.ctrl(STOP, {}, world.open({ fd })), 'EBADF');
    world.program.reset();
    [atok, ktoa] = [world.program.alloc(128), world.program.alloc(128)];
  }
});

test('a thread that is killed in START of another thread’s descriptor: that stays, and can be started again', {
  timeout: 60_000,
}, async () => {
  const { peer, fd } = await bound();
  const starter = await thread(fd);
  const run = ctrl(starter.peer, START);
  run.catch(() => {});
  await running(fd);
  await starter.peer.end();
  await assert.rejects(run);
  await until(
    PROMPT,
    'the end of the loop',
    async () => (await ctrl(peer, CSB_ENABLE, { options: [csb()] })) === '' || undefined,
  );
  const again = ctrl(peer, START);
  await running(fd);
  assert.equal(await world.ctrl(STOP, {}, world.open({ fd })), '');
  assert.equal(await again, '');
});

test('what a descriptor of a worker has is given back when it is closed', {
  timeout: 60_000,
}, async () => {
  const before = await world.state();
  const { peer } = await bound();
  assert.equal(await ctrl(peer, REGISTER, { name: 'p{1', body: EXCLUSIVE }), 'EBUSY');
  const at = world.program.request(abi.NETMAP_REQ_PORT_INFO_GET, { name: 'p{1' });
  assert.equal(await peer.call('ioctl', { request: abi.NIOCCTRL, argument: at }), 0);
  assert.equal(world.program.reply(at).body['txSlots'], 8);
  await peer.call('closeFile');
  assert.equal(await ctrl(peer, STOP), 'EBADF');
  await peer.call('close');
  await until(
    PROMPT,
    'the end',
    async () => JSON.stringify(await world.state()) === JSON.stringify(before) || undefined,
  );
});
