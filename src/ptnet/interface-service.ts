// When an interface works: on interrupts of the host, and when its owner lets packets come again. One activation at a time;
// between two of them the thread's other events have their turn.

import type { PtnetMachine } from './driver-machine.js';

export class InterfaceService {
  readonly #machine: PtnetMachine;
  readonly #isGone: () => boolean;
  readonly #isRunning: () => boolean;
  readonly #activate: () => boolean;
  #working = false;
  #askedAgain = false;

  /**
   * @param isGone whether the host has taken the machine or the port away
   * @param activate one activation of all queues; true when some queue has used up its budget
   */
  constructor(machine: PtnetMachine, isGone: () => boolean, isRunning: () => boolean, activate: () => boolean) {
    this.#machine = machine;
    this.#isGone = isGone;
    this.#isRunning = isRunning;
    this.#activate = activate;
  }

  /** Works when the host interrupts, until the signal aborts, or the host has taken it all away: then it resolves with true. */
  async serve(signal: AbortSignal): Promise<boolean> {
    const { waiting } = this.#machine;
    while (!signal.aborted && !this.#isGone()) {
      const seen = waiting.seq();
      waiting.service();
      const more = this.#isRunning() && this.#work();
      try {
        await waiting.sleepAsync(seen, more ? 0 : Infinity, signal);
      } catch {
        return false; // taken down
      }
    }
    return !signal.aborted;
  }

  /** Works on what has come meanwhile, and goes on with it as a timer's business. */
  resume(): void {
    if (this.#isRunning() && this.#work()) setTimeout(() => this.resume(), 0);
  }

  #work(): boolean {
    if (this.#working) {
      this.#askedAgain = true; // by a handler, which gets it when it has returned
      return false;
    }
    this.#working = true;
    this.#askedAgain = false;
    try {
      return this.#activate();
    } finally {
      this.#working = false;
      if (this.#askedAgain) setTimeout(() => this.resume(), 0);
    }
  }
}

/** A stack's errors are not the interface's, which would stop serving its rings. */
export function shielded<T extends unknown[]>(handler: (...args: T) => void): (...args: T) => void {
  return (...args) => {
    try {
      handler(...args);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  };
}
