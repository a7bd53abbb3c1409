// How long something that failed is left alone before it is tried again: longer each time, up to a limit.

import { setTimeout as sleep } from 'node:timers/promises';

const FIRST_MS = 100;
const LIMIT_MS = 10_000;
/** Time (ms) that something must have worked for a failure to be a new one. */
const SETTLED_MS = 10_000;

export class Backoff {
  #delay = FIRST_MS;
  #since = performance.now();

  /** It works now. */
  succeeded(): void {
    this.#since = performance.now();
  }

  /** Waits after a failure; up to half of the time is left to chance. @returns early when the signal aborts */
  async wait(signal: AbortSignal): Promise<void> {
    await sleep(this.failed(), undefined, { signal }).catch(() => {});
    this.succeeded();
  }

  /** For who waits in another way. @returns milliseconds */
  failed(): number {
    if (performance.now() - this.#since > SETTLED_MS) this.#delay = FIRST_MS;
    const ms = this.#delay * (0.5 + Math.random() / 2);
    this.#delay = Math.min(2 * this.#delay, LIMIT_MS);
    return ms;
  }
}
