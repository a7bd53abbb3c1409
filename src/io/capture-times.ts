// When the frames of a capture are due: as long after the first one as they were captured, or one after the other at a
// rate. For threads that may block.

import type { CapturedFrame } from './pcap-frame.js';

/** A sleep may take this much longer (ms): the rest of the time is spent looking at the clock. */
const SLEEP_SLACK = 1.5;
/** Milliseconds between two looks whether to go on waiting. */
const LOOK_EVERY = 50;
/** What counts as in time (ms). */
const IN_TIME = 0.05;

/** What a sender that keeps times can do. */
export interface Waiter {
  readonly stopped: boolean;
  /** Sleeps for so many milliseconds, or less. */
  sleep(ms: number): void;
}

export class CaptureTimes {
  readonly #waiter: Waiter;
  readonly #rate: number;
  #first: { readonly seconds: number; readonly nanoseconds: number } | undefined;
  #origin = 0;
  #asked = 0;
  #frames = 0;
  #inTime = 0;
  #latest = 0;

  /** @param rate frames a second; without one, the times of the capture */
  constructor(waiter: Waiter, rate?: number) {
    this.#waiter = waiter;
    this.#rate = rate ?? 0;
  }

  /** When the next frame is due, on the clock of `performance.now()`. For each frame once. */
  due({ seconds, nanoseconds }: CapturedFrame): number {
    if (!this.#first) {
      this.#first = { seconds, nanoseconds };
      this.#origin = performance.now();
    }
    if (this.#rate !== 0) return this.#origin + (1e3 * this.#asked++) / this.#rate;
    return this.#origin + 1e3 * (seconds - this.#first.seconds) + (nanoseconds - this.#first.nanoseconds) / 1e6;
  }

  /** Sleeps as long as a sleep can be trusted, then looks at the clock. Ends early when the sender is stopped. */
  wait(due: number): void {
    while (!this.#waiter.stopped) {
      const left = due - performance.now();
      if (left <= 0) return;
      if (left > SLEEP_SLACK) this.#waiter.sleep(Math.min(left - SLEEP_SLACK, LOOK_EVERY));
    }
  }

  /** A frame has been sent. */
  sent(due: number): void {
    const late = performance.now() - due;
    this.#frames++;
    if (late <= IN_TIME) this.#inTime++;
    this.#latest = Math.max(this.#latest, late);
  }

  /** How well the times were kept. */
  get text(): string {
    const latest = (1e3 * this.#latest).toFixed(1);
    return `${this.#inTime} of ${this.#frames} frames within ${1e3 * IN_TIME} µs of their time, the latest ${latest} µs after it`;
  }
}
