// replay: sends the frames of a capture, which it reads a chunk at a time: as fast as the port takes them, at a rate, or
// with the distances in time that they were captured with.

import { closeSync, openSync, readSync } from 'node:fs';
import { abi, type CapturedFrame, CaptureReader, NetmapError, type NetmapPort, type NetmapRing } from '../../index.js';
import { fileError } from '../../io/capture-file.js';
import { LINKTYPE_ETHERNET } from '../../io/pcap-frame.js';
import type { ProgramControl } from '../control.js';
import { failure } from '../errors.js';
import type { ProgramResult, ReplayOptions } from './options.js';
import { check, flush, Pace, Stall } from './pace.js';
import { LOOK_EVERY } from './traffic.js';

const { NS_MOREFRAG, POLLOUT } = abi;
const CHUNK = 1 << 18;
const MAC_AT = 6;
/** Frames between two syncs, at the most. */
const BURST = 256;
/** A sleep may take this much longer (ms): the rest of the time is spent looking at the clock. */
const SLEEP_SLACK = 1.5;

/** @throws NetmapError EINVAL (no capture, a damaged one, other frames than Ethernet's), ENOENT, EIO (a sync failed) */
export function replay(options: ReplayOptions, port: NetmapPort, control: ProgramControl): ProgramResult {
  const [ring] = port.txRings;
  if (!ring) throw failure('EINVAL', `port '${port.name}' was opened without tx rings`);
  const stall = new Stall(control);
  const sender = new Sender(port, ring, stall, control);
  const times = options.realtime ? new Timeline(control) : undefined;
  const pace = new Pace(options.rate, BURST);
  const totals = { packets: 0, bytes: 0 };
  let tooLong = 0;
  const source = options.src && Uint8Array.from(options.src);
  const started = performance.now();
  for (const frame of framesOf(options.file)) {
    if (frame.interface.linkType !== LINKTYPE_ETHERNET) {
      throw failure('EINVAL', `${options.file}: frames of link type ${frame.interface.linkType} are no Ethernet`);
    }
    if (times && !times.isDue(frame)) {
      sender.push();
      times.wait(frame);
    }
    while (pace.budget(totals.packets) === 0 && !control.stopped) {
      sender.push();
      control.sleep(pace.delay(totals.packets));
    }
    if (control.stopped) break;
    const { data } = frame;
    if (sender.slotsOf(data.length) > ring.numSlots - 1) {
      tooLong++;
      continue;
    }
    if (data.length === 0) continue; // nothing was captured of it
    if (!sender.send(data, source)) break;
    totals.packets++;
    totals.bytes += data.length;
    times?.sent(frame);
    if (sender.queued >= BURST) sender.push();
    control.publish(totals.packets, totals.bytes);
  }
  sender.push();
  flush(port, stall, control);
  return {
    ...totals,
    seconds: Math.max(stall.lastMove - started, 0) / 1e3,
    ...(times && totals.packets !== 0 && { output: [times.text] }),
    ...(tooLong !== 0 && { drops: { tooLong } }),
  };
}

function* framesOf(path: string): Generator<CapturedFrame, void, undefined> {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    throw fileError(error, path, 'replay');
  }
  try {
    const reader = new CaptureReader();
    for (;;) {
      const chunk = new Uint8Array(CHUNK); // frames are read where they lie in it
      const length = readSync(fd, chunk);
      if (length === 0) break;
      reader.push(chunk.subarray(0, length));
      for (let frame = reader.next(); frame; frame = reader.next()) yield frame;
    }
    reader.end();
  } catch (error) {
    if (error instanceof NetmapError) throw failure('EINVAL', `${path}: ${error.message}`);
    throw fileError(error, path, 'replay');
  } finally {
    closeSync(fd);
  }
}

/** Puts frames into one tx ring, so that they stay in order. */
class Sender {
  readonly #port: NetmapPort;
  readonly #ring: NetmapRing;
  readonly #stall: Stall;
  readonly #control: ProgramControl;
  /** Frames since the last sync. */
  queued = 0;

  constructor(port: NetmapPort, ring: NetmapRing, stall: Stall, control: ProgramControl) {
    this.#port = port;
    this.#ring = ring;
    this.#stall = stall;
    this.#control = control;
  }

  slotsOf(length: number): number {
    return Math.ceil(length / this.#ring.bufSize);
  }

  /** Copies a frame in, waiting for room. @param source replaces its source address @returns false: nobody takes any more */
  send(data: Uint8Array, source: Uint8Array | null): boolean {
    const ring = this.#ring;
    const { bufSize } = ring;
    const slots = this.slotsOf(data.length);
    while (ring.space < slots) if (!this.#waitForRoom()) return false;
    let i = ring.head;
    for (let at = 0; at < data.length; at += bufSize) {
      const part = slots === 1 ? data : data.subarray(at, at + bufSize);
      const to = ring.bufAddress(i);
      ring.u8.set(part, to);
      if (at === 0 && source && data.length >= MAC_AT + source.length) ring.u8.set(source, to + MAC_AT);
      ring.setSlot(i, part.length, at + bufSize < data.length ? NS_MOREFRAG : 0);
      i = ring.next(i);
    }
    ring.advance(slots);
    this.queued++;
    return true;
  }

  /** Sends what was put in. */
  push(): void {
    if (this.queued === 0) return;
    check(this.#port, this.#port.pollOnce(POLLOUT));
    this.queued = 0;
    this.#stall.moved();
  }

  /** A frame of several slots waits for more room than there is. */
  #waitForRoom(): boolean {
    this.push();
    const ring = this.#ring;
    ring.cur = ring.tail;
    const ready = check(this.#port, this.#port.pollSync(POLLOUT, LOOK_EVERY));
    ring.cur = ring.head;
    if (ready !== 0) return true;
    return !this.#control.stopped && !this.#stall.isOver();
  }
}

/** When frames are due: as long after the first one as they were captured. */
class Timeline {
  readonly #control: ProgramControl;
  #first: { readonly seconds: number; readonly nanoseconds: number } | undefined;
  #origin = 0;
  #frames = 0;
  #late = 0;
  #latest = 0;

  constructor(control: ProgramControl) {
    this.#control = control;
  }

  /** Whether it is time; a frame that was captured before the one in front of it is due at once. */
  isDue(frame: CapturedFrame): boolean {
    return performance.now() >= this.#due(frame);
  }

  /** Sleeps as long as a sleep can be trusted, then looks at the clock. Ends early when the program is told to stop. */
  wait(frame: CapturedFrame): void {
    const due = this.#due(frame);
    while (!this.#control.stopped) {
      const left = due - performance.now();
      if (left <= 0) return;
      if (left > SLEEP_SLACK) this.#control.sleep(Math.min(left - SLEEP_SLACK, LOOK_EVERY));
    }
  }

  sent(frame: CapturedFrame): void {
    const late = Math.max(0, performance.now() - this.#due(frame));
    this.#frames++;
    this.#late += late;
    this.#latest = Math.max(this.#latest, late);
  }

  get text(): string {
    const us = (ms: number): string => (1e3 * ms).toFixed(1);
    return `later than captured: ${us(this.#late / this.#frames)} µs on average, ${us(this.#latest)} µs at the most`;
  }

  #due({ seconds, nanoseconds }: CapturedFrame): number {
    if (!this.#first) {
      this.#first = { seconds, nanoseconds };
      this.#origin = performance.now();
    }
    return this.#origin + 1e3 * (seconds - this.#first.seconds) + (nanoseconds - this.#first.nanoseconds) / 1e6;
  }
}
