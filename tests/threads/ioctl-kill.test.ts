// Workers that are killed while they block in SYNC_KLOOP_START.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import * as abi from '../../src/abi.js';
import { type IoctlWorld, SLOTS } from '../support/ioctl-world.js';
import { KloopProgram, PROMPT } from './ioctl-program.js';
import { until } from './support.js';

const { NETMAP_REQ_CSB_ENABLE: CSB_ENABLE } = abi;
const { NETMAP_REQ_SYNC_KLOOP_START: START, NETMAP_REQ_SYNC_KLOOP_STOP: STOP } = abi;

let program: KloopProgram;
let world: IoctlWorld;
beforeEach(async () => {
  program = await KloopProgram.create();
  world = program.world;
});
afterEach(() => program.close());

test('a worker that is killed in START: its descriptor is closed, nothing is left', { timeout: 60_000 }, async () => {
  await world.netmap.open('netmap:p}1', SLOTS);
  const before = await world.state();
  for (let round = 0; round < 4; round++) {
    const { peer, fd } = await program.bound();
    const run = program.ctrl(peer, START, { options: round % 2 ? [program.eventfds()] : [] });
    run.catch(() => {});
    await program.running(fd);
    await peer.end();
    await assert.rejects(run);
    await program.restored(before);
    assert.equal(await world.ctrl(STOP, {}, world.open({ fd })), 'EBADF');
    program.reset();
  }
});

test('a thread that is killed in START of another thread’s descriptor: that stays, and can be started again', {
  timeout: 60_000,
}, async () => {
  const { peer, fd } = await program.bound();
  const starter = await program.thread(fd);
  const run = program.ctrl(starter.peer, START);
  run.catch(() => {});
  await program.running(fd);
  await starter.peer.end();
  await assert.rejects(run);
  await until(
    PROMPT,
    'the end of the loop',
    async () => (await program.ctrl(peer, CSB_ENABLE, { options: [program.csb()] })) === '' || undefined,
  );
  const again = program.ctrl(peer, START);
  await program.running(fd);
  assert.equal(await world.ctrl(STOP, {}, world.open({ fd })), '');
  assert.equal(await again, '');
});
