// Whether a wait spins before it sleeps. A spin in vain makes the next wait of the thread sleep at once, then the next three,
// seven and so on up to a limit; one that was not resets that. Where frames are rare a spin never helps, and on the core of
// the thread that would answer it keeps it from running: 30 µs a frame instead of 7 (npm run bench latency).

const MOST_SKIPPED = 255;

/** The spins of a thread. */
export class Spins {
  /** Waits that sleep at once: after the last spin, and of these so far. */
  #toSkip = 0;
  #skipped = 0;

  /** Counts a wait: true when it shall sleep at once. */
  skip(): boolean {
    if (this.#skipped >= this.#toSkip) return false;
    this.#skipped++;
    return true;
  }

  /** Says how a spin has ended: with what it waited for, or in vain. */
  ended(found: boolean): void {
    this.#toSkip = found ? 0 : Math.min(2 * this.#toSkip + 1, MOST_SKIPPED);
    this.#skipped = 0;
  }
}
