// What threads of C programs share, without a compiler: descriptors, event counters, signals, and their modules.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { POLLIN, POLLOUT } from '../../src/abi.js';
import { Alarm } from '../../src/exec/alarm.js';
import { SystemError, WASI } from '../../src/exec/errno.js';
import { EVENTFDS_SIZE, EventCounter, takeEventfd } from '../../src/exec/event-files.js';
import { FILE, FILES_SIZE, type FileEntry, FileTable } from '../../src/exec/file-table.js';
import type { OpenFile } from '../../src/exec/files.js';
import { Process } from '../../src/exec/process.js';
import { ProcessControl } from '../../src/exec/process-control.js';
import { threadImports } from '../../src/exec/thread-imports.js';
import { findThreadLocals, globalFor, initialValues } from '../../src/exec/thread-locals.js';
import { threadModule, threadTemplate } from '../../src/exec/thread-module.js';
import { UserBytes } from '../../src/exec/user-bytes.js';
import { readGlobals } from '../../src/exec/wasm-binary.js';

const memory = (): WebAssembly.Memory => new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });

describe('descriptors', () => {
  const buffer = new SharedArrayBuffer(FILES_SIZE);
  const log: string[] = [];
  const thread = (name: string): FileTable =>
    new FileTable(buffer, ({ kind, value }: FileEntry, fd): OpenFile => {
      log.push(`${name} makes ${fd}: ${kind} ${value}`);
      return { type: 0, close: () => log.push(`${name} closes`), giveUp: () => log.push(`${name} gives up`) };
    });
  const [a, b] = [thread('a'), thread('b')];

  test('are the lowest free numbers, and threads make their objects when they need them', () => {
    assert.deepEqual([a.add(FILE.STDIN, 0), a.add(FILE.NETMAP, 7), b.add(FILE.EVENTFD, 3, 4)], [0, 1, 2]);
    assert.equal(a.get(1), a.get(1));
    assert.notEqual(a.get(1), b.get(1));
    assert.deepEqual(log.splice(0), ['a makes 1: 5 7', 'b makes 1: 5 7']);
    assert.deepEqual([a.get(-1), a.get(3), a.get(99999)], [undefined, undefined, undefined]);
    assert.equal(a.flags(2), 4);
    b.setFlags(2, 0);
    assert.equal(a.flags(2), 0);
  });

  test('are closed once; others give their objects up, also when the number has a new file', () => {
    assert.deepEqual([a.remove(1), b.remove(1)], [true, false]);
    assert.equal(b.add(FILE.NETMAP, 8), 1);
    a.get(1);
    assert.deepEqual(log.splice(0), ['a makes 1: 5 8']);
    assert.equal(b.remove(1), true);
    assert.equal(a.get(1), undefined);
    assert.deepEqual(log.splice(0), ['a gives up']);
  });

  test('are limited; standard input is read once by all', () => {
    const table = new FileTable(new SharedArrayBuffer(FILES_SIZE), () => ({ type: 0, close: () => {} }));
    for (let fd = 0; fd < 1024; fd++) assert.equal(table.add(FILE.STDOUT, 0), fd);
    assert.equal(table.add(FILE.STDOUT, 0), undefined);
    assert.deepEqual([table.takeInput(6, 10), table.takeInput(6, 10), table.takeInput(6, 10)], [0, 6, 10]);
    table.closeAll();
    assert.equal(table.add(FILE.STDOUT, 0), 0);
  });
});

test('event counters count, are bounded, and tell what they are ready for', () => {
  const buffer = new SharedArrayBuffer(EVENTFDS_SIZE);
  const counter = (initial: number, isSemaphore = false): EventCounter => {
    const index = takeEventfd(buffer, initial) as number;
    return new EventCounter(new ProcessControl(memory()), buffer, index, { isSemaphore, nonblocking: () => true });
  };
  const fails = (run: () => unknown, errno: number): void =>
    assert.throws(run, (error) => error instanceof SystemError && error.errno === errno);
  const bytes = (value: bigint): Uint8Array => new Uint8Array(BigUint64Array.of(value).buffer);
  const read = (from: EventCounter): bigint => {
    const into = new Uint8Array(8);
    assert.equal(from.read(into), 8);
    return new BigUint64Array(into.buffer)[0];
  };
  const plain = counter(0xffffffff);
  assert.equal(plain.ready(POLLIN | POLLOUT), POLLIN | POLLOUT);
  assert.equal(read(plain), 0xffffffffn);
  fails(() => read(plain), WASI.AGAIN);
  assert.equal(plain.ready(POLLIN | POLLOUT), POLLOUT);
  const before = plain.count();
  plain.signal();
  plain.write(bytes(5n));
  assert.equal(plain.count(), before + 2);
  assert.equal(read(plain), 6n);
  plain.write(bytes(2n ** 64n - 2n));
  assert.equal(plain.ready(POLLIN | POLLOUT), POLLIN);
  fails(() => plain.write(bytes(1n)), WASI.AGAIN);
  fails(() => plain.write(bytes(2n ** 64n - 1n)), WASI.INVAL);
  fails(() => plain.write(new Uint8Array(7)), WASI.INVAL);
  const tokens = counter(2, true);
  assert.deepEqual([read(tokens), read(tokens), tokens.ready(POLLIN)], [1n, 1n, 0]);
  let taken = 2;
  while (takeEventfd(buffer, 0) !== undefined) taken++;
  assert.equal(taken, 256);
  tokens.free();
  assert.notEqual(takeEventfd(buffer, 0), undefined);
});

test('an event counter that gets no number is free again', () => {
  const shared = memory();
  const control = new ProcessControl(shared);
  const files = new FileTable(new SharedArrayBuffer(FILES_SIZE), () => ({ type: 0, close: () => {} }));
  const eventfds = new SharedArrayBuffer(EVENTFDS_SIZE);
  const none = (): void => {};
  const options = { tlsSize: 0, maxThreads: 1, eventfds, processors: 1, spawn: none, alarm: none };
  const { eventfd } = threadImports(new Process(new UserBytes(shared), control, files), options);
  while (files.add(FILE.STDOUT, 0) !== undefined);
  assert.equal((eventfd as (initial: number, flags: number, result: number) => number)(0, 0, 64), WASI.MFILE);
  assert.equal(takeEventfd(eventfds, 0), 0);
});

test('an alarm does not ring before its time, however long that is', async () => {
  const control = new ProcessControl(memory());
  const alarm = new Alarm(control);
  const rung = async (): Promise<number> => {
    await new Promise((resolve) => setTimeout(resolve, 30));
    return control.takeSignal();
  };
  alarm.set({ first: 2 ** 31, every: 0 });
  assert.equal(await rung(), 0);
  alarm.set({ first: 1, every: 2 ** 40 });
  assert.deepEqual([await rung(), await rung()], [14, 0]);
  alarm.clear();
});

test('signals can be blocked, are for one thread or for the process, and lines are given back', () => {
  const first = new ProcessControl(memory());
  assert.deepEqual([first.takeLine(2, 0), first.takeLine(2, 0), first.takeLine(2, 0)], [1, 2, undefined]);
  const second = first.forLine(1);
  second.blocked = 1 << 10;
  second.raise(10);
  assert.deepEqual([second.interrupted, second.takeSignal(), first.interrupted], [false, 0, false]);
  assert.equal(second.waitForSignal(1 << 12, 5), 0);
  assert.equal(second.waitForSignal(1 << 10, 0), 10); // 0 ms: one look
  assert.equal(second.waitForSignal(1 << 10, 0), 0);
  first.raise(12);
  assert.equal(second.waitForSignal(1 << 12, 5), 12);
  assert.equal(first.interrupted, false);
  second.blocked = -1;
  second.raise(9);
  assert.equal(second.interrupted, true);
  second.freeLine();
  assert.deepEqual([first.isLine(1), first.isLine(2), first.isLine(64), first.isLine(-1)], [false, true, false, false]);
  assert.equal(first.takeLine(2, 0), 1);
  assert.equal(first.forLine(1).interrupted, false);
});

describe('thread-local variables', () => {
  const segments = [
    { start: 1024, bytes: Uint8Array.of(1, 2, 3) },
    { start: 1040, bytes: Uint8Array.of(9) },
  ];
  const padded = (value: number): number[] => [0x80 | (value & 0x7f), 0x80 | ((value >> 7) & 0x7f), 0x80, 0x80, 0];
  const behind = (value: number): number[] => [0x23, 0x81, 0x80, 0x80, 0x80, 0, 0x41, ...padded(value), 0x6a];
  const before = (value: number): number[] => [
    0x41,
    ...padded(value),
    0x21,
    7,
    0x23,
    0x81,
    0x80,
    0x80,
    0x80,
    0,
    0x21,
    8,
  ];

  test('lie where the code looks for them, whichever way it was linked', () => {
    for (const code of [behind, before]) {
      const absolute = findThreadLocals(1, 1024, segments, Uint8Array.from([0x23, ...code(1028), 0x23]));
      assert.deepEqual(absolute, { global: 1, base: 1024, size: 16, addsAddresses: true });
      assert.deepEqual([globalFor(absolute, 1024), globalFor(absolute, 5120)], [0, 4096]);
      const relative = findThreadLocals(1, 1024, segments, Uint8Array.from(code(4)));
      assert.equal(relative.addsAddresses, false);
      assert.equal(globalFor(relative, 5120), 5120);
      assert.deepEqual([...initialValues(relative, segments)], [1, 2, 3, ...new Array(13).fill(0)]);
    }
    assert.equal(findThreadLocals(1, 1024, segments, Uint8Array.of(0x23)).addsAddresses, false);
  });

  test('globals are changed in place, beside others of all types', () => {
    const section = Uint8Array.of(
      ...[4, 0x7f, 1, 0x41, 0x90, 0x10, 0x0b],
      ...[0x7c, 0, 0x44, 1, 2, 3, 4, 5, 6, 7, 8, 0x0b],
      ...[0x7e, 1, 0x42, 0x80, 0x01, 0x0b],
      ...[0x7f, 0, 0x41, 0x7f, 0x0b],
    );
    const { values } = readGlobals(section);
    assert.deepEqual(values, [2064, undefined, undefined, 0xffffffff]);
    const changed = readGlobals(readGlobals(section).with(new Map([[3, 0x87654321]])));
    assert.deepEqual(changed.values, [2064, undefined, undefined, 0x87654321]);
  });

  test('a thread runs over the data that is there, with a stack of its own', async () => {
    const text = (name: string): number[] => [name.length, ...new TextEncoder().encode(name)];
    const section = (id: number, ...bytes: number[]): number[] => [id, bytes.length, ...bytes];
    const bytes = Uint8Array.of(
      ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      ...section(1, 1, 0x60, 0, 1, 0x7f),
      ...section(2, 1, ...text('env'), ...text('memory'), 2, 3, 1, 1),
      ...section(3, 1, 0),
      ...section(6, 1, 0x7f, 1, 0x41, 0x10, 0x0b),
      ...section(7, 1, ...text('stack'), 0, 0),
      ...section(10, 1, 4, 0, 0x23, 0, 0x0b),
      ...section(11, 1, 0, 0x41, 0, 0x0b, 1, 42),
    );
    const shared = memory();
    const template = threadTemplate(bytes, 0, undefined);
    const { exports } = await WebAssembly.instantiate(await WebAssembly.compile(threadModule(template, 512, 0)), {
      env: { memory: shared },
    });
    assert.equal((exports['stack'] as () => number)(), 512);
    assert.equal(new Uint8Array(shared.buffer)[0], 0);
    assert.throws(
      () => threadTemplate(bytes, undefined, undefined),
      /EINVAL: the program makes threads, and has no names/,
    );
  });
});
