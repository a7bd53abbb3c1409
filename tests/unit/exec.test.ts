// What of exec needs no compiler: numbers of wasi-libc, the rewriting of modules, layouts.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as abi from '../../src/abi.js';
import { toWasiErrno, WASI } from '../../src/exec/errno.js';
import { exec } from '../../src/exec/exec.js';
import { fromWasiEvents, toWasiEvents, WASI_POLL } from '../../src/exec/poll.js';
import { ProcessControl } from '../../src/exec/process-control.js';
import { checkImports, checkLayout, PAGE, prepareModule } from '../../src/exec/program-module.js';
import { Fault, UserBytes } from '../../src/exec/user-bytes.js';
import { Netmap } from '../../src/index.js';

/** wasi-libc's numbers (errno.h), by the names that assembly/abi has. */
const WASI_ERRNO: Readonly<Record<string, number>> = {
  E2BIG: 1,
  EACCES: 2,
  EAGAIN: 6,
  EBADF: 8,
  EBUSY: 10,
  ECANCELED: 11,
  EEXIST: 20,
  EFAULT: 21,
  EINTR: 27,
  EINVAL: 28,
  EIO: 29,
  EMSGSIZE: 35,
  ENETDOWN: 38,
  ENOBUFS: 42,
  ENODEV: 43,
  ENOENT: 44,
  ENOMEM: 48,
  ENOSPC: 51,
  ENOSYS: 52,
  EOPNOTSUPP: 58,
  ENXIO: 60,
  EOVERFLOW: 61,
  EPERM: 63,
  EPIPE: 64,
  ESRCH: 71,
  ETIMEDOUT: 73,
};

describe('numbers of wasi-libc', () => {
  test('every errno has its own, whatever its sign', () => {
    for (const [name, number] of Object.entries(WASI_ERRNO)) {
      const ours = (abi as unknown as Record<string, number>)[name];
      assert.equal(toWasiErrno(ours), number, name);
      assert.equal(toWasiErrno(-ours), number, name);
    }
    assert.equal(toWasiErrno(0), 0);
    assert.equal(toWasiErrno(-9999), WASI.IO);
  });

  test('poll bits go both ways, and those that nobody asked for are left out', () => {
    assert.equal(fromWasiEvents(WASI_POLL.IN | WASI_POLL.OUT | 0x8f0), abi.POLLIN | abi.POLLOUT);
    assert.equal(fromWasiEvents(0), 0);
    assert.equal(toWasiEvents(abi.POLLOUT), 0x2);
    assert.equal(toWasiEvents(abi.POLLIN | abi.POLLERR), 0x1001);
  });
});

const text = (name: string): number[] => [name.length, ...new TextEncoder().encode(name)];
const section = (id: number, ...bytes: number[]): number[] => [id, bytes.length, ...bytes];
const module = (...sections: number[][]): Uint8Array =>
  Uint8Array.of(0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...sections.flat());
const VOID = section(1, 1, 0x60, 0, 0);
const START = [section(3, 1, 0), section(7, 1, ...text('_start'), 0, 0)];
const CODE = section(10, 1, 2, 0, 0x0b);
/** The stack begins at 2048. */
const STACK = section(6, 1, 0x7f, 1, 0x41, ...[0x80, 0x10], 0x0b);
/** Three bytes at 1024. */
const DATA = section(11, 1, 0, 0x41, ...[0x80, 0x08], 0x0b, 3, 7, 8, 9);

describe('a module', () => {
  test('with a memory of its own gets a shared one, and its data lies in it', async () => {
    const own = module(VOID, START[0], section(5, 1, 0, 2), STACK, START[1], CODE, DATA);
    const { bytes, initial, layout } = prepareModule(own, 100);
    assert.equal(initial, 2);
    assert.deepEqual(layout, { data: { start: 1024, end: 1027 }, stackTop: 2048, growsHeap: undefined });
    const compiled = await WebAssembly.compile(bytes);
    checkImports(compiled);
    const memory = new WebAssembly.Memory({ initial, maximum: 100, shared: true });
    const { exports } = await WebAssembly.instantiate(compiled, { env: { memory } });
    assert.deepEqual([...new Uint8Array(memory.buffer).subarray(1024, 1028)], [7, 8, 9, 0]);
    assert.equal(typeof exports['_start'], 'function');
  });

  test('that imports a memory, with other imports around it, gets a shared one', async () => {
    const wasi = (name: string): number[] => [...text('wasi_snapshot_preview1'), ...text(name), 0, 0];
    const memoryImport = [...text('env'), ...text('memory'), 2, 1, 3, 9];
    const imports = section(2, 3, ...wasi('a'), ...memoryImport, ...wasi('b'));
    const importing = module(VOID, imports, START[0], section(7, 1, ...text('_start'), 0, 2), CODE);
    const { bytes, initial } = prepareModule(importing, 50);
    assert.equal(initial, 3);
    const compiled = await WebAssembly.compile(bytes);
    checkImports(compiled);
    assert.deepEqual(
      WebAssembly.Module.imports(compiled).map(({ name }) => name),
      ['memory', 'a', 'b'],
    );
  });

  test('is refused without a memory, with too large a one, without a start, and cut anywhere', async () => {
    assert.throws(() => prepareModule(module(VOID, ...START, CODE), 100), /EINVAL: the module has no memory/);
    const own = module(VOID, START[0], section(5, 1, 0, 2), STACK, START[1], CODE, DATA);
    assert.throws(() => prepareModule(own, 1), /wants 2 pages of memory, and may have 1/);
    for (let length = 0; length < own.length; length++) {
      // Where a section ends, what is left may be a module.
      if (WebAssembly.validate(Uint8Array.from(own.subarray(0, length)))) continue;
      assert.throws(() => prepareModule(own.subarray(0, length), 100), /EINVAL: this is no WebAssembly module/);
    }
    const library = await WebAssembly.compile(prepareModule(module(section(5, 1, 0, 1)), 100).bytes);
    assert.throws(() => checkImports(library), /EINVAL: the module has no function _start/);
  });

  test('with names tells whether it has a heap', () => {
    const names = (name: string): number[] => section(0, ...text('name'), 1, 3 + name.length, 1, 0, ...text(name));
    const withName = (name: string): Uint8Array =>
      module(VOID, START[0], section(5, 1, 0, 2), START[1], CODE, names(name));
    assert.equal(prepareModule(withName('sbrk'), 9).layout.growsHeap, true);
    assert.equal(prepareModule(withName('main'), 9).layout.growsHeap, false);
  });

  test('has thread-local variables that do not go on to data outside of its memory', () => {
    const name = text('__tls_base');
    const names = section(0, ...text('name'), 7, 2 + name.length, 1, 0, ...name);
    const far = [0, 0x41, ...[0x80, 0x80, 0x80, 0x80, 0x04], 0x0b, 1, 7]; // at 1 GiB
    const data = section(11, 2, 0, 0x41, ...[0x80, 0x10], 0x0b, 1, 7, ...far);
    const prepared = prepareModule(module(VOID, START[0], section(5, 1, 0, 1), STACK, START[1], CODE, data, names), 9);
    assert.deepEqual(prepared.locals, { global: 0, base: 2048, size: PAGE, addsAddresses: false });
  });
});

test('a layout keeps to its range: data and stack, and no heap', () => {
  const good = { data: { start: 4096, end: 5000 }, stackTop: 8192, growsHeap: false };
  checkLayout(good, 4096, 4096);
  checkLayout({ ...good, data: { start: Infinity, end: 0 } }, 4096, 4096);
  const refused: [object, RegExp][] = [
    [{ data: undefined }, /does not tell where its data lies/],
    [{ data: { start: 4095, end: 5000 } }, /the data lies at 4095\.\.5000/],
    [{ data: { start: 5000, end: 8193 } }, /the data lies at 5000\.\.8193/],
    [{ stackTop: undefined }, /does not tell where its stack is/],
    [{ stackTop: 8193 }, /the stack begins at 8193/],
    [{ stackTop: 4096 }, /the stack begins at 4096/],
    [{ stackTop: 4999 }, /the stack lies below the data/],
    [{ growsHeap: undefined }, /has no names/],
    [{ growsHeap: true }, /its heap would take all memory/],
  ];
  for (const [wrong, message] of refused) {
    assert.throws(() => checkLayout({ ...good, ...wrong }, 4096, 4096), message);
  }
});

test('addresses of a program are checked against its memory, which may grow', () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 3, shared: true });
  const bytes = new UserBytes(memory);
  bytes.setU32(PAGE - 4, 0xffffffff);
  assert.equal(bytes.u32(PAGE - 4), 0xffffffff);
  for (const at of [PAGE - 3, PAGE, -1, -4, 2 ** 31, 2 ** 32, 2 ** 32 + 4]) {
    assert.throws(() => bytes.u32(at), Fault);
    assert.throws(() => bytes.setU32(at, 1), Fault);
  }
  assert.throws(() => bytes.view(8, -1), Fault);
  assert.throws(() => bytes.write(PAGE - 1, new Uint8Array(2)), Fault);
  memory.grow(1);
  bytes.setU64(PAGE + 8, 5n);
  assert.equal(bytes.u64(PAGE + 8), 5n);
});

test('signals wait for the program, the lowest first, and end its sleep', () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const sender = new ProcessControl(memory);
  const program = new ProcessControl(memory, sender.buffer);
  assert.equal(program.takeSignal(), 0);
  sender.raise(15);
  sender.raise(2);
  assert.equal(program.interrupted, true);
  assert.deepEqual([program.takeSignal(), program.takeSignal(), program.takeSignal()], [2, 15, 0]);
  program.waiter = 64;
  sender.raise(31);
  assert.equal(new Int32Array(memory.buffer)[16], 1);
  assert.equal(program.takeSignal(), 31);
  assert.equal(program.interrupted, false);
});

test('a netmap_if has the width of its reader', async () => {
  const netmap = await Netmap.create();
  const wide = await netmap.open('vale0:a', { txRings: 2, rxRings: 1 });
  const narrow = await netmap.open('vale0:a', { dataModel: 'wasm32' });
  const i32 = new Int32Array(netmap.memory.buffer);
  const entries = (nifp: number, size: number): number[] =>
    Array.from({ length: 5 }, (_, i) => i32[(nifp + abi.NETMAP_IF_RING_OFS + size * i) >>> 2]);
  const rings = [...wide.txRings, undefined, ...wide.rxRings, undefined];
  for (const [{ nifp }, size] of [
    [wide, 8],
    [narrow, 4],
  ] as const) {
    assert.deepEqual(
      entries(nifp.ptr, size),
      rings.map((ring) => (ring ? ring.ptr - nifp.ptr : 0)),
    );
  }
  await netmap.close();
});

test('exec refuses signals and sizes that are none, and a host without shared memory', async () => {
  const own = module(VOID, START[0], section(5, 1, 0, 2), START[1], CODE);
  const unshared = await Netmap.create({ shared: false, memorySize: 1 << 24 });
  await assert.rejects(exec(unshared, own), /not shared/);
  await unshared.close();
  const netmap = await Netmap.create();
  for (const maxMemory of [0, NaN, 2 ** 33])
    await assert.rejects(exec(netmap, own, { maxMemory }), /EINVAL: maxMemory/);
  const running = await exec(netmap, own);
  for (const signal of [0, 32, 1.5, -1]) assert.throws(() => running.kill(signal), /there is no signal/);
  assert.deepEqual(await running.ended, { code: 0 });
  await netmap.close();
});
