// C programs in the worker of their own: the three examples against each other and against programs here, in a memory of
// their own and in the host's; libc as they find it; signals; ends; hostile ones.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { exec, SIGINT, SIGKILL, SIGTERM } from '../../src/exec/exec.js';
import { Netmap, PtnetDriver } from '../../src/index.js';
import {
  ATTACK,
  assertClean,
  EXAMPLE,
  FIXTURE,
  FRAMES,
  frame,
  hostsMemory,
  onHost,
  ownMemory,
  program,
  Running,
  receive,
  skip,
} from './exec-support.js';
import { sleep } from './support.js';

for (const [where, start] of [
  ['a memory of its own', ownMemory],
  ["the host's memory", hostsMemory],
] as const) {
  describe(`C programs in ${where}`, { skip }, () => {
    test('send and receive over a pipe: every frame, in order', () =>
      onHost(async (netmap) => {
        const receiver = await start(netmap, 'receiver', '-i', 'netmap:p}1', '-n', `${FRAMES}`);
        await receiver.ready();
        const sender = await start(netmap, 'sender', '-i', 'netmap:p{1', '-n', `${FRAMES}`, '-l', '1514');
        assert.deepEqual([await sender.ended(), await receiver.ended()], [{ code: 0 }, { code: 0 }]);
        assert.equal(sender.out, `sent ${FRAMES} frames\n`);
        assert.equal(receiver.out, `receiving on p}1\nreceived ${FRAMES} frames, 0 damaged, 0 gaps\n`);
      }));

    test('a bridge with slot exchange loses nothing between two pipes', () =>
      onHost(async (netmap) => {
        const receiver = await start(netmap, 'receiver', '-i', 'netmap:q}1', '-n', `${FRAMES}`);
        const bridge = await start(netmap, 'bridge', '-i', 'netmap:p}1', '-i', 'netmap:q{1');
        await Promise.all([receiver.ready(), bridge.ready()]);
        while ((await netmap.inspect()).ports.length < 3) await sleep(5);
        const sender = await start(netmap, 'sender', '-i', 'netmap:p{1', '-n', `${FRAMES}`);
        assert.deepEqual([await sender.ended(), await receiver.ended()], [{ code: 0 }, { code: 0 }]);
        assert.match(receiver.out, new RegExp(`received ${FRAMES} frames, 0 damaged, 0 gaps`));
        bridge.kill(SIGTERM);
        assert.deepEqual(await bridge.ended(), { code: 0 });
        assert.equal(bridge.out, `passed on ${FRAMES} and 0 frames\n`);
      }));

    test('talk to a TypeScript program over VALE, both ways', () =>
      onHost(async (netmap) => {
        const port = await netmap.open('vale0:ts');
        const sender = await start(netmap, 'sender', '-i', 'vale0:c', '-n', '500', '-l', '300');
        const frames = await receive(port, 500);
        for (const [i, bytes] of frames.entries()) assert.deepEqual(bytes, frame(i, 300));
        assert.deepEqual(await sender.ended(), { code: 0 });
        const receiver = await start(netmap, 'receiver', '-i', 'vale0:d', '-n', '500');
        await receiver.ready();
        for (let i = 0; i < 500; i++) await port.send(frame(i, 60 + i));
        assert.deepEqual(await receiver.ended(), { code: 0 });
        assert.match(receiver.out, /received 500 frames, 0 damaged, 0 gaps/);
        await port.close();
      }));

    test('a C program on the host reaches a guest', () =>
      onHost(async (netmap) => {
        const guest = await netmap.createGuest();
        await guest.passthrough('vale0:guest');
        const [driver] = PtnetDriver.probe(await guest.machine());
        const port = driver.open();
        const sender = await start(netmap, 'sender', '-i', 'vale0:c', '-n', '500');
        const frames = await receive(port, 500);
        assert.deepEqual(frames[499], frame(499));
        assert.deepEqual(await sender.ended(), { code: 0 });
        await port.close();
        await guest.close();
      }));

    test('signals stop it: its handler runs, and poll ends at once', () =>
      onHost(async (netmap) => {
        for (const signal of [SIGINT, SIGTERM]) {
          const receiver = await start(netmap, 'receiver', '-i', 'vale0:c');
          await receiver.ready();
          receiver.kill(signal);
          assert.deepEqual(await receiver.ended(), { code: 0 });
          assert.match(receiver.out, /received 0 frames/);
        }
        const sender = await start(netmap, 'sender', '-i', 'vale0:c');
        await sender.ready();
        sender.kill(SIGKILL);
        assert.deepEqual(await sender.ended(), { code: 128 + SIGKILL });
      }));

    test('a port that is not there is an error of the program', () =>
      onHost(async (netmap) => {
        const receiver = await start(netmap, 'receiver', '-i', 'netmap:eth77');
        assert.deepEqual(await receiver.ended(), { code: 1 });
        assert.equal(receiver.err, "cannot open port 'netmap:eth77': No such device or address\n");
      }));
  });
}

describe('exec', { skip }, () => {
  test('a C program runs in a guest, behind a passed-through port', () =>
    onHost(async (netmap) => {
      const guest = await netmap.createGuest();
      await guest.passthrough('netmap:p}1');
      const receiver = await Running.start(
        netmap,
        program(EXAMPLE('receiver')),
        ['-i', 'netmap:ptnet0', '-n', `${FRAMES}`],
        { guest },
      );
      await receiver.ready();
      const sender = await ownMemory(netmap, 'sender', '-i', 'netmap:p{1', '-n', `${FRAMES}`);
      assert.deepEqual([await sender.ended(), await receiver.ended()], [{ code: 0 }, { code: 0 }]);
      assert.match(receiver.out, new RegExp(`receiving on ptnet0\nreceived ${FRAMES} frames, 0 damaged, 0 gaps`));
      const stray = await Running.start(netmap, program(EXAMPLE('receiver')), ['-i', 'vale0:a'], { guest });
      assert.deepEqual(await stray.ended(), { code: 1 });
      assert.match(stray.err, /No such device or address/);
      await guest.close();
    }));

  test('libc: memory, clocks, sleeps, input, arguments, select, poll, error numbers', () =>
    onHost(async (netmap) => {
      const stdin = new TextEncoder().encode('a line\n');
      const running = await Running.start(netmap, program(FIXTURE('libc')), ['one'], { stdin, env: { WHERE: 'here' } });
      assert.deepEqual(await running.ended(), { code: 7 });
      assert.equal(running.err, 'to standard error\n');
      assert.deepEqual(running.out.split('\n'), [
        'arguments 2 one here',
        'unbound 1 1000',
        'option -1 1 1',
        'register 0, rings 1 1, slots 1024, extra 3',
        'vale7:libc has extra buffers: 1',
        'again -1 1',
        'info 0, slots 1024, memory 1',
        'damaged 0',
        'slept 1',
        'select 0 1',
        'year 1',
        'nothing 0',
        'room 1 1',
        'read a line',
        'end 1',
        'other file -1, other device -1 44',
        'closed 0 -1',
        '',
      ]);
    }));

  test('a program without handlers is ended by a signal, asleep or at its next call', () =>
    onHost(async (netmap) => {
      for (const how of ['sleep', 'loop']) {
        const running = await Running.start(netmap, program(FIXTURE('deaf')), [how]);
        while (running.out === '') await sleep(5);
        running.kill(SIGINT);
        assert.deepEqual(await running.ended(), { code: 128 + SIGINT });
      }
    }));

  test('a trap is an end like others: its ports are closed', () =>
    onHost(async (netmap) => {
      const running = await Running.start(netmap, program(FIXTURE('trap')), []);
      const { code, reason } = await running.ended();
      assert.equal(code, 134);
      assert.match(reason ?? '', /unreachable/);
    }));

  test('programs end when their host is closed', async () => {
    const netmap = await Netmap.create();
    const running = await ownMemory(netmap, 'receiver', '-i', 'vale0:a');
    await running.ready();
    await netmap.close();
    const { code, reason } = await running.ended();
    assert.equal(code, 1);
    assert.match(reason ?? '', /EIO: the port is closed or stopped/);
  });

  test('several ports, tens of programs: nothing is left', () =>
    onHost(async (netmap) => {
      for (let round = 0; round < 3; round++) {
        const bridges: Running[] = [];
        for (let i = 0; i < 5; i++) {
          bridges.push(await ownMemory(netmap, 'bridge', '-i', `vale0:a${i}`, '-i', `vale1:a${i}`));
        }
        while ((await netmap.inspect()).ports.length < 10) await sleep(5);
        for (const bridge of bridges) bridge.kill(SIGTERM);
        for (const bridge of bridges) assert.deepEqual(await bridge.ended(), { code: 0 });
        await assertClean(netmap);
      }
    }));

  test('what is no program is refused before anything runs', () =>
    onHost(async (netmap) => {
      const refuse = (module: Uint8Array, message: RegExp) =>
        assert.rejects(exec(netmap, module), (error: Error & { code?: string }) => {
          assert.equal(error.code, 'EINVAL');
          assert.match(error.message, message);
          return true;
        });
      await refuse(new TextEncoder().encode('#!/bin/sh'), /no WebAssembly module/);
      await refuse(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0), /no memory/);
      await refuse(program(FIXTURE('stranger')), /'env.strange', which is not provided/);
    }));

  test('a program for the memory of the host must keep to its range', () =>
    onHost(async (netmap) => {
      const reservation = netmap.reserve(1 << 20);
      const base = `-Wl,--global-base=${reservation.base}`;
      const heap = ['-include', 'ptnet/heap.h'];
      const refused: [RegExp, string[]][] = [
        [/the data lies at 1024\.\.\d+: link with --global-base=\d+/, heap],
        [/its heap would take all memory: compile with -include ptnet\/heap\.h/, [base]],
        [/has no names to tell whether it has a heap: link without --strip/, [base, ...heap, '-Wl,-s']],
        [/the data lies at 65536/, [base, ...heap, '-Wl,--stack-first']],
        [/the stack begins at \d+: link with/, [base, ...heap, '-Wl,-z,stack-size=2097152']],
        [/the data lies at/, [`-Wl,--global-base=${reservation.base - 64}`, ...heap]],
        [
          /link without --shared-memory/,
          [base, ...heap, '-Wl,--import-memory,--shared-memory,--no-check-features,--max-memory=4294967296'],
        ],
      ];
      for (const [message, flags] of refused) {
        const module = program(EXAMPLE('sender'), '-DPTNET_HEAP_SIZE=65536', ...flags);
        await assert.rejects(exec(netmap, module, { reservation }), message);
      }
      const fits = program(EXAMPLE('receiver'), base, ...heap, '-DPTNET_HEAP_SIZE=65536');
      const running = await Running.start(netmap, fits, ['-i', 'vale0:a'], { reservation });
      await running.ready();
      await assert.rejects(exec(netmap, fits, { reservation }), /EBUSY: a program runs in this range/);
      assert.throws(() => reservation.release(), /EBUSY/);
      running.kill(SIGINT);
      assert.deepEqual(await running.ended(), { code: 0 });
      reservation.release();
      await assert.rejects(exec(netmap, fits, { reservation }), /EINVAL: the range was released/);
      assert.equal((await netmap.inspect()).memory.regions, 0);
    }));

  test('wild addresses in every call are EFAULT', () =>
    onHost(async (netmap) => {
      const running = await Running.start(netmap, program(FIXTURE('wild')), ['vale0:wild']);
      assert.deepEqual([await running.ended(), running.out], [{ code: 0 }, 'all refused\n']);
    }));

  test('a program that destroys its memory harms nobody else', () =>
    onHost(async (netmap) => {
      const ends = [await netmap.open('netmap:n{1'), await netmap.open('netmap:n}1')];
      for (let seed = 1; seed <= 4; seed++) {
        const running = await Running.start(netmap, program(FIXTURE('scribble')), ['vale0:scribble', `${seed}`]);
        await running.ready();
        const until = performance.now() + ATTACK;
        for (let i = 0; performance.now() < until; i++) {
          await ends[0].send(frame(i));
          assert.deepEqual(await receive(ends[1], 1), [frame(i)]);
        }
        running.kill(SIGKILL);
        assert.notEqual((await running.ended()).code, 0);
      }
      for (const port of ends) await port.close();
    }));
});
