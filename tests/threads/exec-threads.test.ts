// C programs with threads: what pthread.h, semaphore.h and eventfd(2) promise, kernel loops in a thread, ends.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SIGINT, SIGKILL } from '../../src/exec/exec.js';
import { abi, moveSlots, type Netmap, type NetmapPort } from '../../src/index.js';
import { assertClean, FIXTURE, FRAMES, onHost, program, Running, receive, skip, THREADED } from './exec-support.js';
import { sleep } from './support.js';

const RING_FRAMES = Math.ceil(FRAMES / 4);

const start = (netmap: Netmap, name: string, ...args: string[]): Promise<Running> =>
  Running.start(netmap, program(FIXTURE(name), ...THREADED), args);

/** Sends back what comes, until `count` frames have. */
async function echo(port: NetmapPort, count: number): Promise<void> {
  for (let n = 0; n < count; ) {
    assert.ok((await port.poll(abi.POLLIN, { timeout: 20_000 })) & abi.POLLIN, `${n} of ${count} frames have come`);
    for (const frame of port.recv()) {
      await port.send(frame);
      n++;
    }
  }
}

describe('C programs with threads', { skip }, () => {
  for (const level of ['-O2', '-O0']) {
    test(`find what pthread.h, semaphore.h and eventfd promise, compiled with ${level}`, () =>
      onHost(async (netmap) => {
        const running = await Running.start(netmap, program(FIXTURE('threads'), ...THREADED, level), []);
        const { code, reason } = await running.ended();
        assert.equal(code, 0, `${reason} ${running.out}`);
        assert.match(running.out, /^[1-9]\d+ checks, 0 failures\n$/);
      }));
  }

  test('find the same in the memory of the host', () =>
    onHost(async (netmap) => {
      const reservation = netmap.reserve(8 << 20);
      const flags = [`-Wl,--global-base=${reservation.base}`, '-include', 'ptnet/heap.h', '-DPTNET_HEAP_SIZE=4194304'];
      const module = program(FIXTURE('threads'), ...THREADED, ...flags);
      const running = await Running.start(netmap, module, [], { reservation });
      const { code, reason } = await running.ended();
      assert.equal(code, 0, `${reason} ${running.out}`);
      assert.match(running.out, /, 0 failures\n$/);
      const greedy = program(FIXTURE('threads'), ...THREADED, flags[0]);
      await assert.rejects(Running.start(netmap, greedy, [], { reservation }), /its heap would take all memory/);
      reservation.release();
    }));

  test('print whole lines', () =>
    onHost(async (netmap) => {
      const running = await start(netmap, 'threads', 'print');
      assert.deepEqual(await running.ended(), { code: 0 });
      const lines = running.out.trimEnd().split('\n').sort();
      const expected = ['a', 'b', 'c', 'd'].flatMap((who) =>
        Array.from({ length: 50 }, (_, i) => `${who} ${i} some words that make the line longer`),
      );
      assert.deepEqual(lines, expected.sort());
    }));

  for (const events of [[], ['events']]) {
    test(`one runs the kernel loop of a port, ${events.length ? 'with event counters' : 'which polls'}`, () =>
      onHost(async (netmap) => {
        const port = await netmap.open('netmap:p}1');
        const running = await start(netmap, 'kloop', 'p{1', '3000', ...events);
        await Promise.all([echo(port, 3000), running.ended()]);
        assert.deepEqual(await running.ended(), { code: 0 }, running.err);
        assert.deepEqual(running.out.split('\n'), [
          'sync -1 1',
          'second start -1 1',
          'loop ended 0, received 3000, wrong 0',
          '',
        ]);
        await port.close();
      }));
  }

  test('each opens a ring, while the first one has them all open: every frame of every ring arrives', () =>
    onHost(async (netmap) => {
      const rings = 4;
      const counts = { txRings: rings, rxRings: rings, ends: { waits: true } }; // the wire drops nothing
      const [left, right] = [await netmap.addInterface('eth0', counts), await netmap.addInterface('eth1', counts)];
      const receiver = await start(netmap, 'perring', 'netmap:eth1', 'rx', `${RING_FRAMES}`);
      await receiver.saying('rings\n');
      const sender = await start(netmap, 'perring', 'netmap:eth0', 'tx', `${RING_FRAMES}`);
      const programs = Promise.all([sender.ended(), receiver.ended()]);
      let passed = 0;
      while (passed < rings * RING_FRAMES) {
        const ready = await left.wire.poll(abi.POLLIN, { timeout: 20_000 });
        assert.ok(ready & abi.POLLIN, `${passed} frames have come: ${sender.out} ${receiver.out}`);
        for (const [i, ring] of left.wire.rxRings.entries()) passed += moveSlots(ring, right.wire.txRings[i], 512);
        right.wire.txsync();
      }
      for (let isOver = false; !isOver; ) {
        right.wire.txsync();
        isOver = await Promise.race([programs.then(() => true), sleep(5).then(() => false)]);
      }
      assert.deepEqual(await programs, [{ code: 0 }, { code: 0 }]);
      const lines = Array.from({ length: rings }, (_, ring) => `ring ${ring}: ${RING_FRAMES} frames, 0 wrong`);
      const expected = [`${rings} rings`, ...lines, ''];
      assert.deepEqual([sender.out.split('\n'), receiver.out.split('\n')], [expected, expected]);
      for (const nic of [left, right]) await nic.close();
    }));

  for (const medium of ['a pipe', 'an interface'] as const) {
    test(`what one has sent before it calls exit arrives: ${medium}`, () =>
      onHost(async (netmap) => {
        const slots = { rxSlots: 128, txSlots: 128 };
        const nic = await netmap.addInterface('eth0', { ...slots, ends: { waits: true } });
        const [port, name, frames] =
          medium === 'a pipe'
            ? [await netmap.open('netmap:p}1', slots), 'netmap:p{1', 220] // nearly what two rings hold
            : [nic.wire, 'netmap:eth0', 250]; // the port's own and the wire's, and none is left in the program's
        const running = await start(netmap, 'quits', name, `${frames}`);
        await running.ready();
        await sleep(300); // the rings are full, and the program wants to end
        const numbers = (await receive(port, frames)).map((frame) => new DataView(frame.buffer).getUint32(14, true));
        assert.deepEqual(numbers, [...numbers.keys()]);
        assert.deepEqual(await running.ended(), { code: 5 });
        await port.close();
        await nic.close();
      }));
  }

  const endings: [how: string, code: number, reason?: RegExp][] = [
    ['return', 7],
    ['exit', 5],
    ['trap', 134, /unreachable/],
  ];
  for (const [how, code, reason] of endings) {
    test(`end with all threads: ${how}`, () =>
      onHost(async (netmap) => {
        const running = await start(netmap, 'ends', how, 'vale0:a');
        const ending = await running.ended();
        assert.equal(ending.code, code, `${running.out}${running.err}`);
        assert.match(running.out, /^acts\n/);
        if (reason) assert.match(ending.reason ?? '', reason);
        else assert.equal(ending.reason, undefined);
      }));
  }

  test('are ended by signals: with a handler, without, at once, and when the first thread has ended', () =>
    onHost(async (netmap) => {
      for (const [how, signal, code] of [
        ['handler', SIGINT, 6],
        ['none', SIGINT, 130],
        ['none', SIGKILL, 137],
        ['last', SIGINT, 130],
      ] as const) {
        const running = await start(netmap, 'ends', how, 'vale0:a');
        await running.saying('acts\n');
        running.kill(signal);
        assert.deepEqual(await running.ended(), { code }, how);
        assert.equal(running.out, how === 'handler' ? 'acts\nsignal 2\n' : 'acts\n');
        await assertClean(netmap);
      }
    }));

  test('are refused without what their threads are known by', () =>
    onHost(async (netmap) => {
      const module = program(FIXTURE('threads'), ...THREADED, '-Wl,-s');
      await assert.rejects(Running.start(netmap, module, []), /the program makes threads, and has no names/);
    }));
});
