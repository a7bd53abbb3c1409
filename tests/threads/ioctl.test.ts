// Requests that block: SYNC_KLOOP_START in a worker, STOP and close in another thread.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import * as abi from '../../src/abi.js';
import { type IoctlWorld, SLOTS } from '../support/ioctl-world.js';
import { EXCLUSIVE, KloopProgram, PROMPT } from './ioctl-program.js';
import { until } from './support.js';

const { NETMAP_REQ_REGISTER: REGISTER, NETMAP_REQ_CSB_ENABLE: CSB_ENABLE } = abi;
const { NETMAP_REQ_SYNC_KLOOP_START: START, NETMAP_REQ_SYNC_KLOOP_STOP: STOP } = abi;

let program: KloopProgram;
let world: IoctlWorld;
beforeEach(async () => {
  program = await KloopProgram.create();
  world = program.world;
});
afterEach(() => program.close());

test('START blocks in a worker, and the loop runs there; STOP comes from the control thread', {
  timeout: 60_000,
}, async () => {
  const other = await world.netmap.open('netmap:p}1', SLOTS);
  const { peer, fd } = await program.bound();
  let ended: string | undefined;
  const run = program.ctrl(peer, START, { options: [program.eventfds()] }).then((result) => {
    ended = result;
  });
  await until(PROMPT, 'the loop', () => program.ktoa(abi.CSB_KTOA_KERN_NEED_KICK) === 1 || undefined);
  await program.exchange(other);
  assert.equal(ended, undefined);
  const control = world.open({ fd });
  assert.equal(await world.ctrl(CSB_ENABLE, { options: [program.csb()] }, control), 'EBUSY');
  assert.equal(await world.ctrl(START, {}, control), 'EBUSY');
  assert.equal(await world.ctrl(STOP, {}, control), '');
  await run;
  assert.equal(ended, '');
  assert.equal(await peer.call('ioctl', { request: abi.NIOCTXSYNC, argument: 0 }), -abi.EBUSY, 'CSB mode stays');
  assert.equal(await control.ioctlAsync(abi.NIOCTXSYNC), -abi.EBUSY);
});

test('a third thread starts the loop of a descriptor, a fourth stops it', { timeout: 60_000 }, async () => {
  const other = await world.netmap.open('netmap:p}1', SLOTS);
  const { fd } = await program.bound();
  const [starter, stopper] = [await program.thread(fd), await program.thread(fd)];
  for (let round = 0; round < 3; round++) {
    const run = program.ctrl(starter.peer, START, { options: [program.eventfds()] });
    await program.running(fd);
    if (round === 0) await program.exchange(other);
    assert.equal(await program.ctrl(stopper.peer, STOP), '');
    assert.equal(await run, '');
  }
});

test('START of a worker ends when the thread that has the descriptor closes it', { timeout: 60_000 }, async () => {
  const before = await world.state();
  const file = world.open();
  const options = [program.csb()];
  assert.equal(await world.ctrl(REGISTER, { name: 'vale0:a', body: EXCLUSIVE, options }, file), '');
  const { peer } = await program.thread(file.fd);
  const run = program.ctrl(peer, START, { options: [program.eventfds()] });
  await program.running(file.fd);
  await file.close();
  assert.equal(await run, '');
  assert.equal(await program.ctrl(peer, STOP), 'EBADF');
  await peer.end();
  await program.restored(before);
});

test('a busy loop in a worker needs no kicks', { timeout: 60_000 }, async () => {
  await world.netmap.open('netmap:p}1', SLOTS);
  const { peer, fd } = await program.bound();
  for (const sleepUs of [0, 500]) {
    const run = program.ctrl(peer, START, { body: { sleepUs } });
    const head = program.ktoa(abi.CSB_KTOA_HWCUR) + 2;
    program.publish(head);
    await until(PROMPT, 'the kernel takes the frames', () => program.ktoa(abi.CSB_KTOA_HWCUR) === head || undefined);
    assert.equal(program.ktoa(abi.CSB_KTOA_KERN_NEED_KICK), 0);
    assert.equal(await world.ctrl(STOP, {}, world.open({ fd })), '');
    assert.equal(await run, '');
  }
});

test('what a descriptor of a worker has is given back when it is closed', {
  timeout: 60_000,
}, async () => {
  const before = await world.state();
  const { peer } = await program.bound();
  assert.equal(await program.ctrl(peer, REGISTER, { name: 'p{1', body: EXCLUSIVE }), 'EBUSY');
  const at = world.program.request(abi.NETMAP_REQ_PORT_INFO_GET, { name: 'p{1' });
  assert.equal(await peer.call('ioctl', { request: abi.NIOCCTRL, argument: at }), 0);
  assert.equal(world.program.reply(at).body['txSlots'], 8);
  await peer.call('closeFile');
  assert.equal(await program.ctrl(peer, STOP), 'EBADF');
  await peer.call('close');
  await program.restored(before);
});
