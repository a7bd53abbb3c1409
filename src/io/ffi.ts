// The few calls of the C library that the Linux back ends need, through the foreign-function interface that the runtime
// has: Deno.dlopen, bun:ffi, and in Node the package koffi, an optional peer dependency. Results are counts or negative
// errnos; control calls turn them into exceptions (check, errors.ts).

import { netmapError } from '../errors.js';

export const O_RDWR = 2;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;
export const POLLIN = 1;
export const POLLOUT = 4;
const EFD_CLOEXEC = O_CLOEXEC;
const EFD_NONBLOCK = O_NONBLOCK;
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAX_ADDRESS = 2 ** 53;
const POLLFD_SIZE = 8;
/** Descriptors of one `poll`. */
const POLL_MAX = 2;

/** The functions of the C library: result and parameters. Byte counts fit 32 bits here, and runtimes call such functions faster. */
const SIGNATURES = {
  open: ['i32', 'usize', 'i32', 'i32'],
  close: ['i32', 'i32'],
  ioctl: ['i32', 'i32', 'usize', 'usize'],
  read: ['i32', 'i32', 'usize', 'usize'],
  write: ['i32', 'i32', 'usize', 'usize'],
  readv: ['i32', 'i32', 'usize', 'i32'],
  writev: ['i32', 'i32', 'usize', 'i32'],
  poll: ['i32', 'usize', 'usize', 'i32'],
  eventfd: ['i32', 'i32', 'i32'],
  socket: ['i32', 'i32', 'i32', 'i32'],
  bind: ['i32', 'i32', 'usize', 'i32'],
  setsockopt: ['i32', 'i32', 'i32', 'i32', 'usize', 'i32'],
  getsockopt: ['i32', 'i32', 'i32', 'i32', 'usize', 'usize'],
  recvmmsg: ['i32', 'i32', 'usize', 'i32', 'i32', 'usize'],
  sendmmsg: ['i32', 'i32', 'usize', 'i32', 'i32'],
  if_nametoindex: ['i32', 'usize'],
  mmap: ['usize', 'usize', 'usize', 'i32', 'i32', 'i32', 'usize'],
  munmap: ['i32', 'usize', 'usize'],
} as const;

/** The functions as an FFI declares them; addresses and sizes are plain numbers. */
type Calls = Record<keyof typeof SIGNATURES, (...args: number[]) => number>;

/** Calls of the C library. Memory is passed as an address: see {@link Libc.address}. */
export interface Libc {
  /**
   * Address of a view's first byte. The view must stay referenced while the address is used, and lie over memory that
   * does not move: a SharedArrayBuffer, a WebAssembly memory, or an ArrayBuffer that nobody transfers.
   */
  address(view: Uint8Array): number;
  /** open(2). @returns a descriptor or -errno */
  open(path: string, flags: number): number;
  close(fd: number): number;
  /** ioctl(2) with a pointer. @returns the result or -errno */
  ioctl(fd: number, request: number, arg: Uint8Array): number;
  /** ioctl(2) with a value. @returns the result or -errno */
  ioctlValue(fd: number, request: number, value: number): number;
  /** read(2) of up to `size` bytes to `address`. @returns bytes or -errno */
  read(fd: number, address: number, size: number): number;
  write(fd: number, address: number, size: number): number;
  /** readv(2) with `count` pairs of address and size (64 bits each) at `iov`. @returns bytes or -errno */
  readv(fd: number, iov: number, count: number): number;
  writev(fd: number, iov: number, count: number): number;
  /** Waits up to `timeout` ms until `fd` is readable. @returns 1, 0 on timeout, or -errno */
  waitReadable(fd: number, timeout: number): number;
  /** Waits until `fd` has `events` (or an error), or `other` is readable; `timeout` ms, for ever by default. @returns how many are, or -errno */
  waitEither(fd: number, events: number, other: number, timeout?: number): number;
  /** eventfd(2), non-blocking. @returns a descriptor or -errno */
  eventfd(): number;
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: Uint8Array): number;
  setsockopt(fd: number, level: number, option: number, value: Uint8Array): number;
  /** Fills `value`. @returns 0 or -errno */
  getsockopt(fd: number, level: number, option: number, value: Uint8Array): number;
  /** recvmmsg(2) into `count` structs mmsghdr at `vector`. @returns messages or -errno */
  recvmmsg(fd: number, vector: number, count: number, flags: number): number;
  sendmmsg(fd: number, vector: number, count: number, flags: number): number;
  /**
   * mmap(2) of a descriptor's memory, shared, to read and write.
   * @returns its address, or -errno
   */
  map(fd: number, size: number): number;
  unmap(address: number, size: number): number;
  /** Memory that was mapped; not to be touched after `unmap`. */
  view(address: number, size: number): ArrayBuffer;
  /** if_nametoindex(3). @returns the index or -errno */
  interfaceIndex(name: string): number;
}

interface Binding {
  readonly calls: Calls;
  readonly address: (view: Uint8Array) => number;
  readonly view: (address: number, size: number) => ArrayBuffer;
  readonly errno: () => number;
}

/** Sonames of the C library: glibc, musl. */
const SONAMES = ['libc.so.6', 'libc.so'];
const PACKAGE: string = 'koffi';

let loaded: Promise<Libc> | undefined;

/**
 * The C library of this process.
 * @throws NetmapError EOPNOTSUPP when this is not Linux, or Node without the package koffi
 */
export function loadLibc(): Promise<Libc> {
  loaded ??= load();
  return loaded;
}

async function load(): Promise<Libc> {
  const { Deno: deno, Bun: bun } = globalThis as { Deno?: DenoFfi; Bun?: object };
  const platform = typeof process === 'undefined' ? 'browser' : process.platform;
  if (platform !== 'linux') throw unsupported(`Linux only, this is ${platform}`);
  if (deno) return wrap(firstOf((soname) => denoBinding(deno, soname)));
  if (bun) {
    const ffi = (await import(['bun', 'ffi'].join(':'))) as BunFfi;
    return wrap(firstOf((soname) => bunBinding(ffi, soname)));
  }
  let koffi: Koffi;
  try {
    koffi = ((await import(PACKAGE)) as { default: Koffi }).default;
  } catch (error) {
    throw unsupported(`the optional package koffi cannot be loaded: npm install koffi (${String(error)})`);
  }
  return wrap(firstOf((soname) => koffiBinding(koffi, soname)));
}

function unsupported(message: string): Error {
  return netmapError('EOPNOTSUPP', message, { op: 'ffi' });
}

function firstOf(bind: (soname: string) => Binding): Binding {
  let why: unknown;
  for (const soname of SONAMES) {
    try {
      return bind(soname);
    } catch (error) {
      why = error;
    }
  }
  throw unsupported(`no C library: ${String(why)}`);
}

function wrap({ calls, address, view, errno }: Binding): Libc {
  const result = (value: number): number => (value < 0 ? -errno() : value);
  const text = (value: string): number => address(new TextEncoder().encode(`${value}\0`));
  const pollFds = new Uint8Array(new SharedArrayBuffer(POLL_MAX * POLLFD_SIZE));
  const pollView = new DataView(pollFds.buffer);
  const pollAddress = address(pollFds);
  const watch = (i: number, fd: number, events: number): void => {
    pollView.setInt32(i * POLLFD_SIZE, fd, true);
    pollView.setUint32(i * POLLFD_SIZE + 4, events, true); // and no revents
  };
  const length = new Int32Array(new SharedArrayBuffer(4));
  const lengthAddress = address(new Uint8Array(length.buffer));
  return {
    address,
    open: (path, flags) => result(calls.open(text(path), flags, 0)),
    close: (fd) => result(calls.close(fd)),
    ioctl: (fd, request, arg) => result(calls.ioctl(fd, request, address(arg))),
    ioctlValue: (fd, request, value) => result(calls.ioctl(fd, request, value)),
    read: (fd, at, size) => result(calls.read(fd, at, size)),
    write: (fd, at, size) => result(calls.write(fd, at, size)),
    readv: (fd, iov, count) => result(calls.readv(fd, iov, count)),
    writev: (fd, iov, count) => result(calls.writev(fd, iov, count)),
    waitReadable: (fd, timeout) => {
      watch(0, fd, POLLIN);
      return result(calls.poll(pollAddress, 1, timeout));
    },
    waitEither: (fd, events, other, timeout = -1) => {
      watch(0, fd, events);
      watch(1, other, POLLIN);
      return result(calls.poll(pollAddress, 2, timeout));
    },
    eventfd: () => result(calls.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
    socket: (domain, type, protocol) => result(calls.socket(domain, type, protocol)),
    bind: (fd, to) => result(calls.bind(fd, address(to), to.length)),
    setsockopt: (fd, level, option, value) => result(calls.setsockopt(fd, level, option, address(value), value.length)),
    getsockopt: (fd, level, option, value) => {
      length[0] = value.length;
      return result(calls.getsockopt(fd, level, option, address(value), lengthAddress));
    },
    recvmmsg: (fd, vector, count, flags) => result(calls.recvmmsg(fd, vector, count, flags, 0)),
    sendmmsg: (fd, vector, count, flags) => result(calls.sendmmsg(fd, vector, count, flags)),
    map: (fd, size) => {
      const at = calls.mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
      return at < 0 || at > MAX_ADDRESS ? -errno() : at; // MAP_FAILED is all ones
    },
    unmap: (at, size) => result(calls.munmap(at, size)),
    view,
    interfaceIndex: (name) => calls.if_nametoindex(text(name)) || -errno(),
  };
}

interface Koffi {
  load(name: string): { func(name: string, result: string, parameters: string[]): (...args: number[]) => number };
  address(view: Uint8Array): bigint;
  view(address: bigint, size: number): ArrayBuffer;
  errno(): number;
}

const KOFFI_TYPES = { i32: 'int', usize: 'uintptr_t' };

function koffiBinding(koffi: Koffi, soname: string): Binding {
  const lib = koffi.load(soname);
  const entries = Object.entries(SIGNATURES).map(([name, [result, ...parameters]]) => [
    name,
    lib.func(
      name,
      KOFFI_TYPES[result],
      parameters.map((type) => KOFFI_TYPES[type]),
    ),
  ]);
  const calls = Object.fromEntries(entries) as Calls;
  return {
    calls,
    address: (view) => Number(koffi.address(view)),
    view: (address, size) => koffi.view(BigInt(address), size),
    errno: () => koffi.errno(),
  };
}

type Numeric = (...args: (number | bigint)[]) => number | bigint;

interface DenoFfi {
  dlopen(
    name: string,
    symbols: Record<string, { parameters: string[]; result: string }>,
  ): { symbols: Record<string, Numeric> };
  UnsafePointer: {
    of(view: Uint8Array): object | null;
    value(pointer: object | null): number | bigint;
    create(at: bigint): object | null;
  };
  UnsafePointerView: new (pointer: object) => { getInt32(): number; getArrayBuffer(size: number): ArrayBuffer };
}

function denoBinding(deno: DenoFfi, soname: string): Binding {
  const entries = Object.entries(SIGNATURES).map(([name, [result, ...parameters]]) => [name, { parameters, result }]);
  const errnoLocation = { __errno_location: { parameters: [], result: 'usize' } };
  const { symbols } = deno.dlopen(soname, { ...Object.fromEntries(entries), ...errnoLocation });
  const calls = Object.fromEntries(
    // Called as they are: a function around them would cost as much as the call.
    Object.entries(SIGNATURES).map(([name, [result]]) => [
      name,
      result === 'i32' ? symbols[name] : (...args: number[]) => Number(symbols[name](...args)),
    ]),
  );
  const errno = (): number => {
    const pointer = deno.UnsafePointer.create(BigInt(symbols['__errno_location']()));
    return pointer ? new deno.UnsafePointerView(pointer).getInt32() : 0;
  };
  const address = (view: Uint8Array): number => Number(deno.UnsafePointer.value(deno.UnsafePointer.of(view)));
  const view = (at: number, size: number): ArrayBuffer =>
    new deno.UnsafePointerView(deno.UnsafePointer.create(BigInt(at)) ?? {}).getArrayBuffer(size);
  return { calls: calls as unknown as Calls, address, view, errno };
}

interface BunFfi {
  dlopen(
    name: string,
    symbols: Record<string, { args: string[]; returns: string }>,
  ): { symbols: Record<string, Numeric> };
  ptr(view: Uint8Array): number;
  toArrayBuffer(address: number, offset: number, size: number): ArrayBuffer;
  read: { i32(at: number, offset: number): number };
}

function bunBinding(ffi: BunFfi, soname: string): Binding {
  // 64-bit parameters of Bun take numbers, and its u64_fast results are numbers when they fit.
  const bunType = (type: string): string => (type === 'usize' ? 'u64' : type);
  const bunResult = (type: string): string => (type === 'usize' ? 'u64_fast' : type);
  const entries = Object.entries(SIGNATURES).map(([name, [result, ...parameters]]) => [
    name,
    { args: parameters.map(bunType), returns: bunResult(result) },
  ]);
  const errnoLocation = { __errno_location: { args: [], returns: 'u64_fast' } };
  const { symbols } = ffi.dlopen(soname, { ...Object.fromEntries(entries), ...errnoLocation });
  const errno = (): number => ffi.read.i32(Number(symbols['__errno_location']()), 0);
  return {
    calls: symbols as unknown as Calls,
    address: (view) => Number(ffi.ptr(view)),
    view: (address, size) => ffi.toArrayBuffer(address, 0, size),
    errno,
  };
}
