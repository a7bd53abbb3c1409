// C programs with network interfaces, in either memory: one between an interface and its host stack, and one that asks for
// what there is to be asked for.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SIGKILL, SIGTERM } from '../../src/exec/exec.js';
import { abi, type HostPort, type Netmap } from '../../src/index.js';
import { ATTACK, FIXTURE, frame, onHost, program, Running, receive, skip } from './exec-support.js';
import { size } from './support.js';

const COUNT = size('PTNET_EXEC_NIC_FRAMES', 5000);
/** Frames that may be under way: NIC and host rings drop what finds no room. */
const WINDOW = 200;

const ownMemory = (netmap: Netmap, name: string, ...args: string[]): Promise<Running> =>
  Running.start(netmap, program(FIXTURE(name)), args);
const hostsMemory = (netmap: Netmap, name: string, ...args: string[]): Promise<Running> => {
  const reservation = netmap.reserve(4 << 20);
  const flags = [`-Wl,--global-base=${reservation.base}`, '-include', 'ptnet/heap.h'];
  return Running.start(netmap, program(FIXTURE(name), ...flags), args, { reservation });
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
          const running = await start(netmap, 'hostrings', 'eth0', ...more);
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
        const running = await start(netmap, 'hostrings', 'eth0');
        await running.ready();
        await nic.wire.send(frame(1));
        await receive(nic.stack, 1);
        await nic.close();
        assert.deepEqual(await running.ended(), { code: 0 });
        assert.match(running.out, /gone, 1 up, 0 down/);
      }));
  });
}

test('options, kernel loops and memory: the same answers in either memory', { skip }, () =>
  onHost(async (netmap) => {
    const nic = await netmap.addInterface('eth0');
    const outputs: string[] = [];
    for (const start of [ownMemory, hostsMemory]) {
      const running = await start(netmap, 'options', 'vale0:a', 'eth0');
      assert.deepEqual(await running.ended(), { code: 0 });
      outputs.push(running.out);
    }
    const [own, hosts] = outputs.map((text) => text.split('\n'));
    assert.deepEqual(own, hosts);
    assert.deepEqual(own.slice(0, 8), [
      'offsets EINVAL status EINVAL, at most 1048576',
      'offsets EINVAL status EINVAL, at most 64',
      'offsets EINVAL status EINVAL, at most 64',
      'offsets EINVAL status EINVAL, at most 64',
      'offsets ok status ok, at most 64',
      'offsets EBUSY status EOPNOTSUPP, at most 64',
      'offsets EINVAL status EINVAL, at most 1048576',
      'offsets EINVAL status EINVAL, at most 64',
    ]);
    assert.ok(own.includes('start after it ok'));
    assert.equal(own.at(-2), 'pools of nothing ENXIO');
    await nic.close();
  }),
);

test('a program that destroys its memory, with host rings in it, harms nobody else', { skip }, () =>
  onHost(async (netmap) => {
    const [nic, other] = [await netmap.addInterface('eth0'), await netmap.addInterface('eth1')];
    const port = await netmap.open('netmap:eth1');
    for (let seed = 1; seed <= 3; seed++) {
      const running = await Running.start(netmap, program(FIXTURE('scribble')), [
        'eth0',
        `${seed}`,
        `${abi.NR_REG_NIC_SW}`,
      ]);
      await running.ready();
      const until = performance.now() + ATTACK;
      for (let i = 0; performance.now() < until; i++) {
        await port.send(frame(i));
        assert.deepEqual(await receive(other.wire, 1), [frame(i)]);
        nic.wire.trySend(frame(i));
        nic.stack.trySend(frame(i));
        for (const end of [nic.wire, nic.stack]) {
          end.txsync();
          end.rxsync();
          end.recv();
        }
      }
      running.kill(SIGKILL);
      assert.notEqual((await running.ended()).code, 0);
    }
    await port.close();
    for (const one of [nic, other]) await one.close();
  }),
);
