// Threads, signals, sleeps and event counters of programs: what include/wasi/pthread.h, signal.h, time.h and sys/eventfd.h
// are made of.

import type { AlarmTimes } from './alarm.js';
import { WASI } from './errno.js';
import { freeEventfd, takeEventfd } from './event-files.js';
import { FILE } from './file-table.js';
import { type Process, ThreadExit } from './process.js';

/** A thread that is to begin. */
export interface ThreadStart {
  readonly line: number;
  /** Place of its function in the table, which gets `record`. */
  readonly start: number;
  /** Address of its record: see RECORD. */
  readonly record: number;
  readonly stackTop: number;
  readonly tls: number;
}

/** struct ptnet_thread of include/wasi/pthread.h, as far as the host writes it. */
export const RECORD = { DONE: 0, ERRNO: 4, LINE: 8, SIZE: 12 } as const;

const EFD_SEMAPHORE = 1;
/** FDFLAGS_NONBLOCK of WASI, which O_NONBLOCK and EFD_NONBLOCK are. */
export const NONBLOCK = 4;
/** Above: flags of the table that a program does not see. */
export const SEMAPHORE_FLAG = 1 << 16;
const NS_PER_MS = 1e6;
const US_PER_MS = 1e3;
const MAX_SIGNAL = 31;
/** Threads that have ended give their lines back a moment later (ms). */
const LINE_PATIENCE = 1000;

export interface ThreadOptions {
  readonly tlsSize: number;
  /** How many there may be at a time beside the first one. */
  readonly maxThreads: number;
  /** What event counters lie in. */
  readonly eventfds: SharedArrayBuffer;
  /** How many there are. */
  readonly processors: number;
  /** Starts a worker for a thread. */
  readonly spawn: (start: ThreadStart) => void;
  /** Sets the alarm clock. */
  readonly alarm: (times: AlarmTimes) => void;
}

export function threadImports(
  process: Process,
  { tlsSize, maxThreads, eventfds, processors, spawn, alarm }: ThreadOptions,
): Record<string, (...args: never[]) => unknown> {
  const { bytes, control, files } = process;

  const create = (start: number, record: number, stackTop: number, tls: number): number => {
    bytes.view(record, RECORD.SIZE);
    if ((record & 3) !== 0) return WASI.INVAL;
    const line = control.takeLine(maxThreads, LINE_PATIENCE);
    if (line === undefined) return WASI.AGAIN;
    bytes.setU32(record + RECORD.LINE, line);
    control.forLine(line).blocked = control.blocked;
    spawn({ line, start, record: record >>> 0, stackTop: stackTop >>> 0, tls: tls >>> 0 });
    return WASI.SUCCESS;
  };

  const kill = (line: number, signal: number): number => {
    if (signal < 0 || signal > MAX_SIGNAL) return WASI.INVAL;
    if (!control.isLine(line)) return WASI.SRCH;
    if (signal !== 0) control.forLine(line).raise(signal);
    return WASI.SUCCESS;
  };

  const futexWait = (address: number, expected: number, timeout: bigint): number => {
    if ((address & 3) !== 0) return WASI.INVAL;
    const word = bytes.words(address);
    const ms = timeout < 0n ? Infinity : Number(timeout) / NS_PER_MS;
    const outcome = control.futexWait(word.i32, word.index, expected, ms);
    if (outcome === 'signal') return WASI.INTR;
    return outcome === 'timed-out' ? WASI.TIMEDOUT : WASI.SUCCESS;
  };

  const sleep = (nanoseconds: bigint): number =>
    control.sleep(Number(nanoseconds) / NS_PER_MS) ? WASI.SUCCESS : WASI.INTR;

  const eventfd = (initial: number, flags: number, result: number): number => {
    if ((flags & ~(EFD_SEMAPHORE | NONBLOCK)) !== 0) return WASI.INVAL;
    bytes.u32(result);
    const index = takeEventfd(eventfds, initial);
    if (index === undefined) return WASI.MFILE;
    const semaphore = flags & EFD_SEMAPHORE ? SEMAPHORE_FLAG : 0;
    const fd = files.add(FILE.EVENTFD, index, (flags & NONBLOCK) | semaphore);
    if (fd === undefined) {
      freeEventfd(eventfds, index);
      return WASI.MFILE;
    }
    bytes.setU32(result, fd);
    return WASI.SUCCESS;
  };

  const call = process.call.bind(process) as (run: never) => (...args: never[]) => number;
  return {
    thread_create: call(create as never),
    thread_kill: call(kill as never),
    thread_exit: () => {
      throw new ThreadExit();
    },
    thread_tls_size: () => tlsSize,
    sleep: process.sleepingCall(sleep as never),
    futex_wait: process.sleepingCall(futexWait as never),
    eventfd: call(eventfd as never),
    signals: (place: number) => {
      control.handlers = place;
    },
    signal_mask: (set: number) => {
      const before = control.blocked;
      control.blocked = set;
      return before;
    },
    signal_wait: (set: number, timeout: bigint) =>
      control.waitForSignal(set, timeout < 0n ? Infinity : Number(timeout) / NS_PER_MS),
    signal_raise: (signal: number) => {
      if (signal > 0 && signal <= MAX_SIGNAL) control.raise(signal);
      process.deliverSignals();
    },
    alarm: (first: bigint, every: bigint) =>
      alarm({ first: Number(first) / US_PER_MS, every: Number(every) / US_PER_MS }),
    processors: () => processors,
  };
}
