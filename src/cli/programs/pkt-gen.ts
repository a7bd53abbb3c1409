// pkt-gen: sends or receives frames at full rate (netmap's program; ping and pong are in ping-pong.ts). Runs in a
// worker, on ports of the host or of a guest: the code is the same.

import { abi, type NetmapPort } from '../../index.js';
import type { ProgramControl } from '../control.js';
import { failure } from '../errors.js';
import { dumpSlots } from './dump.js';
import { Frame, type FrameSource, fixedFrame, macRange } from './frame.js';
import type { PktGenOptions, ProgramResult } from './options.js';
import { ping, pong } from './ping-pong.js';
import { FrameWriter, pendingSlots, takeSlots } from './slots.js';
import { LOOK_EVERY, Traffic, waitFor } from './traffic.js';

const { POLLERR, POLLIN, POLLOUT } = abi;
/** A sender that nobody takes packets from gives up after this time (ms), once all receivers have ended. */
const STALL_LIMIT = 1000;
/** How long (ms) a sender that was told to stop waits for its slots to be taken. */
const STOPPED_STALL_LIMIT = 100;
/** Looks at the ring after which a sender sleeps between them. */
const FLUSH_SPINS = 100;
/** Milliseconds that a paced sender may catch up with at once. */
const CATCH_UP = 100;

/**
 * @param mac source address, if the options have none
 * @throws NetmapError EINVAL (no rings, frames that do not fit), EIO (a sync failed)
 */
export function pktGen(
  options: PktGenOptions,
  port: NetmapPort,
  mac: readonly number[],
  control: ProgramControl,
): ProgramResult {
  if (options.fn === 'rx') return receive(options, port, control);
  if (options.fn === 'ping') return ping(options, port, mac, control);
  if (options.fn === 'pong') return pong(options, port, mac, control);
  return transmit(options, makeWriters(options, port, mac), port, control);
}

function makeWriters(options: PktGenOptions, port: NetmapPort, mac: readonly number[]): FrameWriter[] {
  const { srcMac, rubbish } = options;
  if (port.txRings.length === 0) throw failure('EINVAL', `port '${port.name}' was opened without tx rings`);
  const [{ bufSize }] = port.txRings;
  const frame: FrameSource = options.frame
    ? fixedFrame(Uint8Array.from(options.frame))
    : new Frame({ ...options, srcMac: srcMac ?? macRange(mac) });
  const size = frame.bytes.length;
  if (size > bufSize) throw failure('EINVAL', `a frame of ${size} bytes is more than the ${bufSize} of a buffer`);
  return port.txRings.map((ring) => new FrameWriter(ring, frame, rubbish));
}

function transmit(
  options: PktGenOptions,
  writers: readonly FrameWriter[],
  port: NetmapPort,
  control: ProgramControl,
): ProgramResult {
  const { count, burst, dump } = options;
  waitFor(options.wait, control);
  const started = performance.now();
  const pace = new Pace(options.rate, burst);
  const stall = new Stall(control);
  let sent = 0;
  let bytes = 0;
  while (sent < count && !control.stopped && !(count === Infinity && control.commanded)) {
    const budget = Math.min(count - sent, pace.budget(sent));
    if (budget === 0) {
      control.sleep(pace.delay(sent));
      continue;
    }
    let queued = 0;
    for (const writer of writers) {
      const { ring } = writer;
      const from = ring.head;
      const filled = writer.fill(Math.min(burst, budget - queued));
      queued += filled;
      bytes += writer.bytesOf(from, filled);
      if (dump) dumpSlots(ring, from, filled);
    }
    if (queued === 0) {
      if (wait(port, POLLOUT) === 0 && stall.isOver()) break;
      continue;
    }
    stall.moved();
    sent += queued;
    check(port, port.pollOnce(POLLOUT)); // as poll does it: a guest rings the doorbell only if the host wants it
    control.publish(sent, bytes);
  }
  flush(port, stall, control);
  return { packets: sent, bytes, seconds: Math.max(stall.lastMove - started, 0) / 1e3 };
}

/** Waits until all sent slots were taken, for as long as some are. */
function flush(port: NetmapPort, stall: Stall, control: ProgramControl): void {
  let before = -1;
  for (let looks = 0; ; looks++) {
    if (port.txsync() < 0) throw failure('EIO', `txsync of '${port.name}' failed`);
    const pending = port.txRings.reduce((n, ring) => n + pendingSlots(ring), 0);
    if (pending === 0 || pending < before) stall.moved();
    if (pending === 0 || stall.isOver(true)) return;
    before = pending;
    if (looks > FLUSH_SPINS) control.sleep(0.2);
  }
}

function receive(options: PktGenOptions, port: NetmapPort, control: ProgramControl): ProgramResult {
  const { count, burst, dump } = options;
  if (port.rxRings.length === 0) throw failure('EINVAL', `port '${port.name}' was opened without rx rings`);
  const traffic = new Traffic(control);
  const totals = { packets: 0, bytes: 0 };
  waitFor(options.wait, control);
  while (totals.packets < count) {
    let taken = 0;
    for (const ring of port.rxRings) {
      const from = ring.head;
      const slots = takeSlots(ring, Math.min(burst, count - totals.packets), totals);
      if (dump) dumpSlots(ring, from, slots);
      taken += slots;
    }
    if (taken !== 0) {
      control.publish(totals.packets, totals.bytes);
      traffic.seen();
      if (port.rxsync() < 0) throw failure('EIO', `rxsync of '${port.name}' failed`);
    } else if (options.endIfEmpty && totals.packets === 0 && check(port, port.pollOnce(POLLIN)) === 0) {
      break;
    } else if (wait(port, POLLIN) !== 0) {
      traffic.arrived();
    } else if (traffic.isOver()) {
      break;
    }
  }
  return { ...totals, seconds: traffic.seconds };
}

/** Looks, and then waits for a short time (a look of its own is cheap). Returns the ready events. */
function wait(port: NetmapPort, events: number): number {
  return check(port, port.pollOnce(events) || port.pollSync(events, LOOK_EVERY));
}

/** The events of a poll. @throws NetmapError EIO */
function check(port: NetmapPort, ready: number): number {
  if (ready & POLLERR) throw failure('EIO', `poll of '${port.name}' failed: the port is closed, or its ring stopped`);
  return ready;
}

/** How many packets a sender may send now so that it keeps its rate. */
class Pace {
  readonly #rate: number;
  readonly #burst: number;
  readonly #depth: number;
  #origin = performance.now();

  constructor(rate: number, burst: number) {
    this.#rate = rate / 1e3;
    this.#burst = Math.min(burst, Math.max(1, Math.floor(rate / 1e3)));
    this.#depth = Math.max(this.#burst, this.#rate * CATCH_UP);
  }

  budget(sent: number): number {
    if (this.#rate === Infinity) return Infinity;
    const now = performance.now();
    const due = (now - this.#origin) * this.#rate - sent + 1; // the first packet is due at once
    if (due < 1) return 0;
    // Who was held up for long does not send it all at once.
    if (due > this.#depth) this.#origin += (due - this.#depth) / this.#rate;
    return Math.floor(Math.min(due, this.#depth));
  }

  /** Milliseconds until the next burst is due. */
  delay(sent: number): number {
    const due = (sent + this.#burst - 1) / this.#rate + this.#origin;
    return Math.min(Math.max(due - performance.now(), 0), LOOK_EVERY);
  }
}

/** How long a sender has not got rid of anything. */
class Stall {
  readonly #control: ProgramControl;
  #since = -1;
  /** When it last got rid of something. */
  lastMove = 0;

  constructor(control: ProgramControl) {
    this.#control = control;
  }

  moved(): void {
    this.#since = -1;
    this.lastMove = performance.now();
  }

  /** Whether it is pointless to wait on. While there are receivers, a sender that is not `ending` waits for ever. */
  isOver(ending = false): boolean {
    if (!ending && !this.#control.commanded) return false;
    const now = performance.now();
    if (this.#since < 0) this.#since = now;
    return now - this.#since >= (this.#control.stopped ? STOPPED_STALL_LIMIT : STALL_LIMIT);
  }
}
