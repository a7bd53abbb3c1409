// poll_oneoff, on which wasi-libc builds select(2) and the sleeps: waits for ports of netmap, event counters and times.

import { POLLERR, POLLIN, POLLOUT } from '../abi.js';
import { WASI } from './errno.js';
import { type Waited, waitForFiles } from './poll.js';
import type { Process } from './process.js';

/** Kinds of subscriptions and of events. */
const CLOCK = 0;
const READ = 1;
const WRITE = 2;

const SUBSCRIPTION_SIZE = 48;
const EVENT_SIZE = 32;
const MAX_SUBSCRIPTIONS = 4096;
const ABSOLUTE = 1;
const CLOCK_REALTIME = 0;
const NS_PER_MS = 1e6;

interface Event {
  readonly userdata: bigint;
  readonly type: number;
  readonly errno: number;
}

interface Subscription {
  readonly userdata: bigint;
  readonly type: number;
  readonly source: Waited['source'];
}

/** What the program waits for. */
interface Wanted {
  readonly files: Subscription[];
  readonly timers: { readonly userdata: bigint; readonly timeout: number }[];
  /** What can be said without waiting. */
  readonly ready: Event[];
}

/** @returns an error number of WASI; EINTR when a signal has come first */
export function pollOneoff(
  process: Process,
  subscriptions: number,
  events: number,
  count: number,
  result: number,
): number {
  const number = count >>> 0;
  if (number === 0 || number > MAX_SUBSCRIPTIONS) return WASI.INVAL;
  const { bytes, control } = process;
  const target = bytes.view(events, number * EVENT_SIZE).byteOffset;
  bytes.u32(result);
  const { files, timers, ready } = read(process, subscriptions, number);
  const timeout = timers.reduce((least, timer) => Math.min(least, timer.timeout), Infinity);
  const patience = ready.length > 0 ? 0 : timeout;
  ready.push(...pollFiles(process, files, patience));
  if (ready.length === 0) {
    if (control.interrupted) return WASI.INTR;
    // The wait has ended without anything else.
    for (const { userdata, timeout: time } of timers) {
      if (time <= timeout) ready.push({ userdata, type: CLOCK, errno: WASI.SUCCESS });
    }
  }
  for (const [i, { userdata, type, errno }] of ready.entries()) {
    const at = target + EVENT_SIZE * i;
    bytes.write(at, new Uint8Array(EVENT_SIZE));
    bytes.setU64(at, userdata);
    bytes.setU16(at + 8, errno);
    bytes.setU8(at + 10, type);
  }
  bytes.setU32(result, ready.length);
  return WASI.SUCCESS;
}

function read(process: Process, subscriptions: number, count: number): Wanted {
  const { bytes } = process;
  const wanted: Wanted = { files: [], timers: [], ready: [] };
  for (let i = 0; i < count; i++) {
    const at = (subscriptions >>> 0) + SUBSCRIPTION_SIZE * i;
    const userdata = bytes.u64(at);
    const type = bytes.u8(at + 8);
    if (type === CLOCK) {
      wanted.timers.push({ userdata, timeout: timeoutOf(process, at) });
      continue;
    }
    const say = (errno: number): void => void wanted.ready.push({ userdata, type, errno });
    const file = process.file(bytes.u32(at + 16));
    const source = file?.counter ?? file?.port?.();
    if (type !== READ && type !== WRITE) say(WASI.INVAL);
    else if (!file) say(WASI.BADF);
    else if (source) wanted.files.push({ userdata, type, source });
    else if (file.device)
      say(WASI.IO); // POLLERR of a descriptor without a port
    else say(WASI.SUCCESS); // standard input and output never wait
  }
  return wanted;
}

/** Milliseconds until a timer ends. */
function timeoutOf({ bytes }: Process, at: number): number {
  const ms = Number(bytes.u64(at + 24)) / NS_PER_MS;
  if ((bytes.u16(at + 40) & ABSOLUTE) === 0) return ms;
  const now = performance.now() + (bytes.u32(at + 16) === CLOCK_REALTIME ? performance.timeOrigin : 0);
  return Math.max(0, ms - now);
}

function pollFiles(process: Process, subscriptions: readonly Subscription[], timeout: number): Event[] {
  const wanted = new Map<Waited['source'], number>();
  for (const { source, type } of subscriptions) {
    wanted.set(source, (wanted.get(source) ?? 0) | (type === READ ? POLLIN : POLLOUT));
  }
  const requests = [...wanted].map(([source, events]) => ({ source, events }));
  const ready = waitForFiles(process, requests, timeout);
  const found = new Map([...wanted.keys()].map((source, i) => [source, ready[i]]));
  return subscriptions.flatMap(({ userdata, type, source }): Event[] => {
    const events = found.get(source) ?? 0;
    if (events & POLLERR) return [{ userdata, type, errno: WASI.IO }];
    return events & (type === READ ? POLLIN : POLLOUT) ? [{ userdata, type, errno: WASI.SUCCESS }] : [];
  });
}
