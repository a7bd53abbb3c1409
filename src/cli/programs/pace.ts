// How programs send at a rate, wait for their ports, and give up when nobody takes what they have sent.

import { abi, type NetmapPort } from '../../index.js';
import type { ProgramControl } from '../control.js';
import { failure } from '../errors.js';
import { pendingSlots } from './slots.js';
import { LOOK_EVERY } from './traffic.js';

const { POLLERR } = abi;
/** A sender that nobody takes packets from gives up after this time (ms), once all receivers have ended. */
const STALL_LIMIT = 1000;
/** How long (ms) a sender that was told to stop waits for its slots to be taken. */
const STOPPED_STALL_LIMIT = 100;
/** Looks at the ring after which a sender sleeps between them. */
const FLUSH_SPINS = 100;
/** Milliseconds that a paced sender may catch up with at once. */
const CATCH_UP = 100;

/** Waits until all sent slots were taken, for as long as some are. */
export function flush(port: NetmapPort, stall: Stall, control: ProgramControl): void {
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

/** Looks, and then waits for a short time (a look of its own is cheap). Returns the ready events. */
export function wait(port: NetmapPort, events: number): number {
  return check(port, port.pollOnce(events) || port.pollSync(events, LOOK_EVERY));
}

/** The events of a poll. @throws NetmapError EIO */
export function check(port: NetmapPort, ready: number): number {
  if (ready & POLLERR) throw failure('EIO', `poll of '${port.name}' failed: the port is closed, or its ring stopped`);
  return ready;
}

/** How many packets a sender may send now so that it keeps its rate. */
export class Pace {
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
export class Stall {
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
