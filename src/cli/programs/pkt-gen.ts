// pkt-gen: sends or receives frames at full rate (netmap's program; ping and pong are in ping-pong.ts). Runs in a
// worker, on ports of the host or of a guest: the code is the same.

import { abi, type NetmapPort } from '../../index.js';
import type { ProgramControl } from '../control.js';
import { failure } from '../errors.js';
import { dumpSlots } from './dump.js';
import { Frame, type FrameSource, fixedFrame, macRange } from './frame.js';
import type { PktGenOptions, ProgramResult } from './options.js';
import { check, flush, Pace, Stall, wait } from './pace.js';
import { ping, pong } from './ping-pong.js';
import { FrameWriter, takeSlots } from './slots.js';
import { Traffic, waitFor } from './traffic.js';

const { POLLIN, POLLOUT } = abi;

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
