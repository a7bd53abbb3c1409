// pkt-gen -f ping and -f pong: one side sends a frame and waits until the other has sent it back.

import { abi, type NetmapPort } from '../../index.js';
import type { ProgramControl } from '../control.js';
import { failure } from '../errors.js';
import { Frame, macRange } from './frame.js';
import type { Latency, PktGenOptions, ProgramResult } from './options.js';
import { LOOK_EVERY, Traffic, waitFor } from './traffic.js';

const { POLLERR, POLLIN } = abi;
/** A ping that was not answered after this time (ms) is lost. */
const PATIENCE = 1000;
const ETHER_TYPE_AT = 12;
const UDP_SUM_AT = 40;
const SEQUENCE_AT = 42;
const MAC_SIZE = 6;

/** Sends one frame at a time; counts those that came back. @throws NetmapError EIO */
export function ping(
  options: PktGenOptions,
  port: NetmapPort,
  mac: readonly number[],
  control: ProgramControl,
): ProgramResult {
  const { count, wait, rate, srcMac } = options;
  const { bytes } = new Frame({ ...options, minSize: options.size, srcMac: srcMac ?? macRange(mac) });
  const view = new DataView(bytes.buffer);
  view.setUint16(UDP_SUM_AT, 0); // the sequence number changes: no checksum
  const times = new Times();
  waitFor(wait, control);
  const started = performance.now();
  let sent = 0;
  while (sent < count && !control.stopped && !(count === Infinity && control.commanded)) {
    view.setUint32(SEQUENCE_AT, sent++);
    const due = started + (1e3 * sent) / rate;
    const before = performance.now();
    send(port, bytes);
    const answered = awaitReply(port, view, before + PATIENCE, control);
    if (answered) times.add(performance.now() - before);
    else if (!control.stopped) times.lost++;
    control.publish(times.count, times.count * bytes.length);
    while (due > performance.now() && !control.stopped) control.sleep(Math.min(due - performance.now(), LOOK_EVERY));
  }
  const latency = times.latency();
  const seconds = (performance.now() - started) / 1e3;
  const result = { packets: times.count, bytes: times.count * bytes.length, seconds };
  return latency ? { ...result, latency } : result;
}

/** Sends back what comes, to where it came from. @throws NetmapError EIO */
export function pong(
  { count, wait, srcMac }: PktGenOptions,
  port: NetmapPort,
  mac: readonly number[],
  control: ProgramControl,
): ProgramResult {
  const own = srcMac ? new Frame({ ...PLAIN, srcMac }).bytes.slice(MAC_SIZE, 2 * MAC_SIZE) : Uint8Array.from(mac);
  const traffic = new Traffic(control);
  let packets = 0;
  let bytes = 0;
  waitFor(wait, control);
  while (packets < count) {
    const frames = take(port, LOOK_EVERY, count - packets);
    if (frames.length === 0) {
      if (traffic.isOver()) break;
      continue;
    }
    traffic.arrived();
    for (const frame of frames) {
      if (frame.length < 2 * MAC_SIZE) continue;
      frame.copyWithin(0, MAC_SIZE, 2 * MAC_SIZE);
      frame.set(own, MAC_SIZE);
      send(port, frame);
      packets++;
      bytes += frame.length;
    }
    traffic.seen();
    control.publish(packets, bytes);
  }
  return { packets, bytes, seconds: traffic.seconds };
}

/** A frame of which only the addresses matter. */
const NOWHERE = { firstIp: 0, lastIp: 0, firstPort: 0, lastPort: 0 };
const PLAIN = {
  ...{ size: 60, minSize: 60, dstMac: { first: 0, last: 0 }, src: NOWHERE, dst: NOWHERE },
  ...{ randomSrc: false, randomDst: false },
};

/** A ring that stays full is full of frames that nobody takes: this one is lost. */
function send(port: NetmapPort, frame: Uint8Array): void {
  port.trySend(frame);
  if (port.txsync() < 0) throw failure('EIO', `txsync of '${port.name}' failed`);
}

/** What has come, at most `limit` frames; waits for up to `timeout` ms. */
function take(port: NetmapPort, timeout: number, limit = Infinity): Uint8Array[] {
  const ready = port.pollOnce(POLLIN) || port.pollSync(POLLIN, timeout);
  if (ready & POLLERR) throw failure('EIO', `poll of '${port.name}' failed: the port is closed, or its ring stopped`);
  return port.recv(limit);
}

/** Whether the frame came back in time; what else comes is let go. */
function awaitReply(port: NetmapPort, sent: DataView, until: number, control: ProgramControl): boolean {
  for (;;) {
    const left = until - performance.now();
    if (left <= 0 || control.stopped) return false;
    for (const frame of take(port, Math.min(left, LOOK_EVERY))) {
      if (frame.length !== sent.byteLength) continue;
      let i = ETHER_TYPE_AT;
      while (i < SEQUENCE_AT + 4 && frame[i] === sent.getUint8(i)) i++;
      if (i === SEQUENCE_AT + 4) return true;
    }
  }
}

/** Round-trip times; percentiles come from a histogram whose steps are 1/32 of an octave. */
class Times {
  readonly #histogram = new Uint32Array(32 * 32);
  count = 0;
  lost = 0;
  #sum = 0;
  #min = Infinity;
  #max = 0;

  add(ms: number): void {
    const us = ms * 1e3;
    this.count++;
    this.#sum += us;
    this.#min = Math.min(this.#min, us);
    this.#max = Math.max(this.#max, us);
    this.#histogram[Math.min(Math.max(Math.round(32 * (Math.log2(us) + 4)), 0), this.#histogram.length - 1)]++;
  }

  #percentile(share: number): number {
    let seen = 0;
    for (const [i, n] of this.#histogram.entries()) {
      seen += n;
      if (seen >= share * this.count) return Math.min(Math.max(2 ** (i / 32 - 4), this.#min), this.#max);
    }
    return this.#max;
  }

  latency(): Latency | undefined {
    const { count, lost } = this;
    if (count === 0) return undefined;
    const round = (us: number): number => Number(us.toFixed(3));
    const [p50, p99] = [0.5, 0.99].map((share) => round(this.#percentile(share)));
    return { min: round(this.#min), avg: round(this.#sum / count), p50, p99, max: round(this.#max), lost };
  }
}
