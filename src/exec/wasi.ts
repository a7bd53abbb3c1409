// The functions of wasi_snapshot_preview1 that a program of netmap uses. wasi-libc builds open, read, write, poll, the
// sleeps and the clocks on them.

import { WASI } from './errno.js';
import { FILE_TYPE, type OpenFile } from './files.js';
import { pollOneoff } from './poll-oneoff.js';
import { type Process, ProgramExit } from './process.js';

export interface WasiOptions {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Opens a device by its name in /dev: its number in the table. @throws SystemError ENOENT, EMFILE */
  readonly openDevice: (name: string) => number;
}

const CLOCK_REALTIME = 0;
const CLOCKS = 4;
const NS_PER_MS = 1e6;
/** Bytes that one read or write passes at most. */
const MAX_TRANSFER = 1 << 16;
const MAX_IOVECS = 1024;
const IOVEC_SIZE = 8;
const FDSTAT_SIZE = 24;
const FDFLAGS = 0x1f;
const RIGHTS = 2n ** 29n - 1n - (1n << 2n) - (1n << 5n); // all but seek and tell: terminals are told by that

function nanoseconds(clock: number): bigint {
  const ms = clock === CLOCK_REALTIME ? performance.timeOrigin + performance.now() : performance.now();
  return BigInt(Math.round(ms * NS_PER_MS));
}

export function wasiImports(process: Process, options: WasiOptions): Record<string, (...args: never[]) => unknown> {
  const { bytes } = process;
  const encode = (texts: readonly string[]): Uint8Array[] => texts.map((text) => new TextEncoder().encode(`${text}\0`));
  const args = encode(options.args);
  const env = encode(Object.entries(options.env).map(([name, value]) => `${name}=${value}`));

  const sizes = (texts: readonly Uint8Array[]) => (count: number, size: number) => {
    bytes.setU32(count, texts.length);
    bytes.setU32(
      size,
      texts.reduce((sum, text) => sum + text.length, 0),
    );
    return WASI.SUCCESS;
  };
  const strings = (texts: readonly Uint8Array[]) => (pointers: number, buffer: number) => {
    let at = buffer >>> 0;
    for (const [i, text] of texts.entries()) {
      bytes.setU32((pointers >>> 0) + 4 * i, at);
      bytes.write(at, text);
      at += text.length;
    }
    return WASI.SUCCESS;
  };
  const withFile = (fd: number, run: (file: OpenFile) => number): number => {
    const file = process.file(fd);
    return file ? run(file) : WASI.BADF;
  };
  /** The pieces of a read or a write, cut at what one call may pass. */
  const pieces = (iovecs: number, count: number): Uint8Array[] => {
    const found: Uint8Array[] = [];
    let left = MAX_TRANSFER;
    const number = Math.min(count >>> 0, MAX_IOVECS);
    const first = bytes.view(iovecs, IOVEC_SIZE * number).byteOffset;
    for (let at = first; at < first + IOVEC_SIZE * number && left > 0; at += IOVEC_SIZE) {
      const length = Math.min(bytes.u32(at + 4), left);
      if (length === 0) continue;
      found.push(bytes.view(bytes.u32(at), length));
      left -= length;
    }
    return found;
  };

  const read = (fd: number, iovecs: number, count: number, result: number): number =>
    withFile(fd, (file) => {
      if (!file.read) return WASI.INVAL;
      let sum = 0;
      for (const piece of pieces(iovecs, count)) {
        const got = file.read(piece);
        sum += got;
        if (got < piece.length || file.counter) break;
      }
      bytes.setU32(result, sum);
      return WASI.SUCCESS;
    });

  const write = (fd: number, iovecs: number, count: number, result: number): number =>
    withFile(fd, (file) => {
      if (!file.write) return WASI.INVAL;
      const parts = pieces(iovecs, count);
      const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
      let at = 0;
      for (const part of parts) {
        whole.set(part, at);
        at += part.length;
      }
      bytes.setU32(result, whole.length);
      file.write(whole);
      return WASI.SUCCESS;
    });

  const pathOpen = (
    folder: number,
    _follow: number,
    path: number,
    length: number,
    _how: number,
    _rights: bigint,
    _inherited: bigint,
    _flags: number,
    result: number,
  ): number =>
    withFile(folder, (file) => {
      if (file.path === undefined) return WASI.NOTDIR;
      bytes.u32(result); // a fault is noticed before anything is opened
      bytes.setU32(result, options.openDevice(bytes.text(path, length)));
      return WASI.SUCCESS;
    });

  const stat = (fd: number, result: number): number =>
    withFile(fd, ({ type }) => {
      bytes.write(result, new Uint8Array(FDSTAT_SIZE));
      bytes.setU8(result, type);
      bytes.setU16(result + 2, process.files.flags(fd) & FDFLAGS);
      bytes.setU64(result + 8, RIGHTS);
      bytes.setU64(result + 16, RIGHTS);
      return WASI.SUCCESS;
    });

  const call = process.call.bind(process) as <Args extends readonly never[]>(
    run: (...args: Args) => number,
  ) => (...args: Args) => number;
  const plain = {
    args_sizes_get: sizes(args),
    args_get: strings(args),
    environ_sizes_get: sizes(env),
    environ_get: strings(env),
    clock_res_get: (clock: number, result: number) => {
      if (clock >>> 0 >= CLOCKS) return WASI.INVAL;
      bytes.setU64(result, BigInt(NS_PER_MS) / 1000n);
      return WASI.SUCCESS;
    },
    clock_time_get: (clock: number, _precision: bigint, result: number) => {
      if (clock >>> 0 >= CLOCKS) return WASI.INVAL;
      bytes.setU64(result, nanoseconds(clock));
      return WASI.SUCCESS;
    },
    fd_close: (fd: number) =>
      withFile(fd, (file) => {
        if (!process.files.remove(fd)) return WASI.BADF;
        file.close();
        return WASI.SUCCESS;
      }),
    fd_fdstat_get: stat,
    fd_fdstat_set_flags: (fd: number, flags: number) =>
      withFile(fd, () => {
        process.files.setFlags(fd, (process.files.flags(fd) & ~FDFLAGS) | (flags & FDFLAGS));
        return WASI.SUCCESS;
      }),
    fd_seek: (fd: number) => withFile(fd, () => WASI.SPIPE),
    fd_prestat_get: (fd: number, result: number) =>
      withFile(fd, ({ path }) => {
        if (path === undefined) return WASI.BADF;
        bytes.setU32(result, 0);
        bytes.setU32(result + 4, path.length);
        return WASI.SUCCESS;
      }),
    fd_prestat_dir_name: (fd: number, buffer: number, length: number) =>
      withFile(fd, ({ type, path }) => {
        if (type !== FILE_TYPE.DIRECTORY || path === undefined) return WASI.NOTDIR;
        bytes.write(buffer, new TextEncoder().encode(path).subarray(0, length >>> 0));
        return WASI.SUCCESS;
      }),
    path_open: pathOpen,
    random_get: (buffer: number, length: number) => {
      const random = new Uint8Array(Math.min(length >>> 0, MAX_TRANSFER));
      const target = bytes.view(buffer, length);
      for (let at = 0; at < target.length; at += random.length) {
        crypto.getRandomValues(random);
        target.set(random.subarray(0, target.length - at), at);
      }
      return WASI.SUCCESS;
    },
    sched_yield: () => WASI.SUCCESS,
  };
  const wrapped = Object.entries(plain).map(([name, run]) => [name, call(run as (...args: never[]) => number)]);
  return {
    ...(Object.fromEntries(wrapped) as Record<string, (...args: never[]) => unknown>),
    fd_read: process.sleepingCall(read as (...args: never[]) => number),
    fd_write: process.sleepingCall(write as (...args: never[]) => number),
    poll_oneoff: process.sleepingCall(((subscriptions: number, events: number, count: number, result: number) =>
      pollOneoff(process, subscriptions, events, count, result)) as (...args: never[]) => number),
    proc_exit: (code: number) => {
      throw new ProgramExit(code);
    },
  };
}
