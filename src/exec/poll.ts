// poll(2): struct pollfd of wasi-libc, whose bits are not ours.

import { POLLERR, POLLIN, POLLOUT } from '../abi.js';
import { type PollRequest, pollManySync } from '../ring/poll.js';
import { WASI } from './errno.js';
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

/** Waits for ports; 0 events of each when the time is over or a signal has come. */
export function waitForPorts(process: Process, requests: readonly PollRequest[], timeout: number): number[] {
  const { control } = process;
  if (requests.length > 0) return pollManySync(requests, timeout, () => control.interrupted);
  control.sleep(timeout);
  return [];
}

/** @returns an error number of WASI; EINTR when a signal has come first */
export function poll(process: Process, files: number, count: number, timeout: number, result: number): number {
  const number = count >>> 0;
  if (number > MAX_FILES) return WASI.INVAL;
  const { bytes } = process;
  const at = bytes.view(files, number * SIZE).byteOffset;
  bytes.u32(result);
  const revents = new Array<number>(number).fill(0);
  const requests: PollRequest[] = [];
  const places: number[] = [];
  for (let i = 0; i < number; i++) {
    const fd = bytes.u32(at + SIZE * i) | 0;
    if (fd < 0) continue;
    const events = bytes.u16(at + SIZE * i + EVENTS);
    const file = process.file(fd);
    if (!file) revents[i] = WASI_POLL.NVAL;
    else if (!file.device)
      revents[i] = events & (WASI_POLL.IN | WASI_POLL.OUT); // standard input and output never wait
    else if (!file.device.port) revents[i] = WASI_POLL.ERR;
    else places[requests.push({ port: file.device.port, events: fromWasiEvents(events) }) - 1] = i;
  }
  const isReady = revents.some((events) => events !== 0);
  const found = waitForPorts(process, requests, isReady ? 0 : timeout < 0 ? Infinity : timeout);
  for (const [k, events] of found.entries()) revents[places[k]] = toWasiEvents(events);
  const ready = revents.filter((events) => events !== 0).length;
  if (ready === 0 && process.control.interrupted) return WASI.INTR;
  for (const [i, events] of revents.entries()) bytes.setU16(at + SIZE * i + REVENTS, events);
  bytes.setU32(result, ready);
  return WASI.SUCCESS;
}
