// A C program between a network interface and its host stack, in either memory.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SIGTERM } from '../../src/exec/exec.js';
import type { HostPort, Netmap } from '../../src/index.js';
import { FIXTURE, frame, onHost, program, Running, receive, skip } from './exec-support.js';
import { size } from './support.js';

const COUNT = size('PTNET_EXEC_NIC_FRAMES', 5000);
/** Frames that may be under way: NIC and host rings drop what finds no room. */
const WINDOW = 200;

const ownMemory = (netmap: Netmap, ...args: string[]): Promise<Running> =>
  Running.start(netmap, program(FIXTURE('hostrings')), args);
const hostsMemory = (netmap: Netmap, ...args: string[]): Promise<Running> => {
  const reservation = netmap.reserve(4 << 20);
  const flags = [`-Wl,--global-base=${reservation.base}`, '-include', 'ptnet/heap.h'];
  return Running.start(netmap, program(FIXTURE('hostrings'), ...flags), args, { reservation });
};

/** Sends numbered frames from one end to the other, all of them and in order. */
async function cross(from: HostPort, to: HostPort): Promise<void> {
  for (let sent = 0; sent < COUNT; sent += WINDOW) {
    const count = Math.min(WINDOW, COUNT - sent);
    for (let i = 0; i < count; i++) await from.send(frame(sent + i));
    const frames = await receive(to, count);
    for (const [i, bytes] of frames.entries()) assert.deepEqual(bytes, frame(sent + i));
  }
}

for (const [where, start] of [
  ['a memory of its own', ownMemory],
  ["the host's memory", hostsMemory],
] as const) {
  describe(`a C program with host rings, in ${where}`, { skip }, () => {
    for (const [how, ...more] of [['NIOCCTRL'], ['the legacy request', 'legacy']]) {
      test(`${how}: passes frames on between wire and host stack`, () =>
        onHost(async (netmap) => {
          const nic = await netmap.addInterface('eth0', { txRings: 2, rxRings: 2 });
          const running = await start(netmap, 'eth0', ...more);
          await running.ready();
          while (!running.out.includes('has')) await new Promise((resolve) => setTimeout(resolve, 2));
          await Promise.all([cross(nic.wire, nic.stack), cross(nic.stack, nic.wire)]);
          running.kill(SIGTERM);
          assert.deepEqual(await running.ended(), { code: 0 });
          assert.deepEqual(running.out.split('\n'), [
            'refused 1 1 1 1',
            ...(more.length === 0 ? ['rings 2 2 and 1 1, busy 1'] : []),
            'eth0 has 2 2 and 1 1',
            `stopped, ${COUNT} up, ${COUNT} down`,
            '',
          ]);
          await nic.close();
        }));
    }

    test('an interface that goes is POLLERR for it, no more', () =>
      onHost(async (netmap) => {
        const nic = await netmap.addInterface('eth0');
        const running = await start(netmap, 'eth0');
        await running.ready();
        await nic.wire.send(frame(1));
        await receive(nic.stack, 1);
        await nic.close();
        assert.deepEqual(await running.ended(), { code: 0 });
        assert.match(running.out, /gone, 1 up, 0 down/);
      }));
  });
}
