// When a program that takes packets is over: netmap's receivers end one second after traffic has stopped.

import type { ProgramControl } from '../control.js';

/** Milliseconds without traffic after which a program ends; when it was told to stop, the shorter one. */
const IDLE_LIMIT = 1000;
const DRAIN_LIMIT = 100;
/** How long (ms) a program sleeps before it looks whether something was said to it. */
export const LOOK_EVERY = 100;

export class Traffic {
  readonly #control: ProgramControl;
  readonly #endless: boolean;
  #first = -1;
  #last = -1;

  /** @param endless whether only a command ends the program */
  constructor(control: ProgramControl, endless = false) {
    this.#control = control;
    this.#endless = endless;
  }

  /** Packets are there: the first ones start the measurement. */
  arrived(): void {
    if (this.#first < 0) this.#first = performance.now();
  }

  /** Packets have been dealt with. */
  seen(): void {
    this.#last = performance.now();
  }

  /**
   * Whether to end, having found no packets. The clock runs from the last packet on; before the first one, from when
   * nobody is left who could send one.
   */
  isOver(): boolean {
    if (this.#endless && !this.#control.commanded) return false;
    if (this.#last < 0) {
      if (!this.#control.commanded) return false;
      this.#last = performance.now();
    }
    return performance.now() - this.#last >= (this.#control.stopped ? DRAIN_LIMIT : IDLE_LIMIT);
  }

  /** From the first packet to the last one. */
  get seconds(): number {
    return this.#first < 0 ? 0 : (this.#last - this.#first) / 1e3;
  }
}

/** Waits, but not longer than until the program is told to stop. */
export function waitFor(seconds: number, control: ProgramControl): void {
  const until = performance.now() + 1e3 * seconds;
  for (;;) {
    const left = until - performance.now();
    if (left <= 0 || control.stopped) return;
    control.sleep(Math.min(left, LOOK_EVERY));
  }
}
