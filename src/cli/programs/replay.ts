// replay: sends the frames of a capture, which it reads a chunk at a time: as fast as the port takes them, at a rate, or
// with the distances in time that they were captured with.

import { abi, type NetmapPort, type NetmapRing } from '../../index.js';
import { readCaptureFile } from '../../io/capture-file.js';
import { CaptureTimes } from '../../io/capture-times.js';
import { LINKTYPE_ETHERNET } from '../../io/pcap-frame.js';
import type { ProgramControl } from '../control.js';
import { failure } from '../errors.js';
import type { ProgramResult, ReplayOptions } from './options.js';
import { check, flush, Pace, Stall } from './pace.js';
import { LOOK_EVERY } from './traffic.js';

const { NS_MOREFRAG, POLLOUT } = abi;
const MAC_AT = 6;
/** Frames between two syncs, at the most. */
const BURST = 256;

/** @throws NetmapError EINVAL (no capture, a damaged one, other frames than Ethernet's), ENOENT, EIO (a sync failed) */
export function replay(options: ReplayOptions, port: NetmapPort, control: ProgramControl): ProgramResult {
  const [ring] = port.txRings;
  if (!ring) throw failure('EINVAL', `port '${port.name}' was opened without tx rings`);
  const stall = new Stall(control);
  const sender = new Sender(port, ring, stall, control);
  const times = options.realtime ? new CaptureTimes(control) : undefined;
  const pace = new Pace(options.rate, BURST);
  const totals = { packets: 0, bytes: 0 };
  let tooLong = 0;
  const source = options.src && Uint8Array.from(options.src);
  const started = performance.now();
  for (const frame of readCaptureFile(options.file, 'replay')) {
    if (frame.interface.linkType !== LINKTYPE_ETHERNET) {
      throw failure('EINVAL', `${options.file}: frames of link type ${frame.interface.linkType} are no Ethernet`);
    }
    const due = times?.due(frame) ?? 0;
    if (performance.now() < due) {
      sender.push();
      times?.wait(due);
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
    times?.sent(due);
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
