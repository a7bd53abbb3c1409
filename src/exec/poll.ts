// poll(2): struct pollfd of wasi-libc, whose bits are not ours.

import { POLLERR, POLLIN, POLLOUT } from '../abi.js';
import type { HostPort } from '../netmap/host-port.js';
import { pollManySync } from '../ring/poll.js';
import { WASI } from './errno.js';
import type { EventCounter } from './event-files.js';
import type { Process } from './process.js';

/** struct pollfd: fd, events (u16), revents (u16). */
const SIZE = 8;
const EVENTS = 4;
const REVENTS = 6;
const MAX_FILES = 4096;

/** Events as wasi-libc numbers them. */
export const WASI_POLL = { IN: 0x1, OUT: 0x2, ERR: 0x1000, NVAL: 0x4000 } as const;

export function fromWasiEvents(events: number): number {
  return (events & WASI_POLL.IN ? POLLIN : 0) | (events & WASI_POLL.OUT ? POLLOUT : 0);
}

export function toWasiEvents(events: number): number {
  const ready = (events & POLLIN ? WASI_POLL.IN : 0) | (events & POLLOUT ? WASI_POLL.OUT : 0);
  return ready | (events & POLLERR ? WASI_POLL.ERR : 0);
}

/** What can be waited for, and the events that are wanted of it. */
export interface Waited {
  readonly source: HostPort | EventCounter;
  readonly events: number;
}

/** Waits for ports and event counters; 0 events of each when the time is over or a signal has come. */
export function waitForFiles({ control }: Process, wanted: readonly Waited[], timeout: number): number[] {
  const ports = wanted.flatMap(({ source, events }) => ('pollOnce' in source ? [{ port: source, events }] : []));
  const counted = (): number[] => wanted.map(({ source, events }) => ('ready' in source ? source.ready(events) : 0));
  const isCounted = (): boolean => counted().some((events) => events !== 0);
  if (ports.length === 0) {
    control.sleep(timeout, isCounted);
    return counted();
  }
  const patience = isCounted() ? 0 : timeout;
  const found = pollManySync(ports, patience, () => control.interrupted || isCounted());
  let next = 0;
  return counted().map((events, i) => ('pollOnce' in wanted[i].source ? found[next++] : events));
}

/** @returns an error number of WASI; EINTR when a signal has come first */
export function poll(process: Process, files: number, count: number, timeout: number, result: number): number {
  const number = count >>> 0;
  if (number > MAX_FILES) return WASI.INVAL;
  const { bytes } = process;
  const at = bytes.view(files, number * SIZE).byteOffset;
  bytes.u32(result);
  const revents = new Array<number>(number).fill(0);
  const wanted: Waited[] = [];
  const places: number[] = [];
  for (let i = 0; i < number; i++) {
    const fd = bytes.u32(at + SIZE * i) | 0;
    if (fd < 0) continue;
    const events = bytes.u16(at + SIZE * i + EVENTS);
    const file = process.file(fd);
    const source = file?.counter ?? file?.port?.();
    if (!file) revents[i] = WASI_POLL.NVAL;
    else if (source) places[wanted.push({ source, events: fromWasiEvents(events) }) - 1] = i;
    else if (file.device) revents[i] = WASI_POLL.ERR;
    else revents[i] = events & (WASI_POLL.IN | WASI_POLL.OUT); // standard input and output never wait
  }
  const isReady = revents.some((events) => events !== 0);
  const found = waitForFiles(process, wanted, isReady ? 0 : timeout < 0 ? Infinity : timeout);
  for (const [k, events] of found.entries()) revents[places[k]] = toWasiEvents(events);
  const ready = revents.filter((events) => events !== 0).length;
  if (ready === 0 && process.control.interrupted) return WASI.INTR;
  for (const [i, events] of revents.entries()) bytes.setU16(at + SIZE * i + REVENTS, events);
  bytes.setU32(result, ready);
  return WASI.SUCCESS;
}
