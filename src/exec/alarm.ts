// The alarm clock of a program, in the thread that started it: the program's own may be asleep.

import type { ProcessControl } from './process-control.js';

const SIGALRM = 14;
/** The longest time of a timer (ms); it takes a longer one for none. */
const LONGEST = 2 ** 31 - 1;

/** Milliseconds; 0: never. */
export interface AlarmTimes {
  readonly first: number;
  readonly every: number;
}

export class Alarm {
  readonly #control: ProcessControl;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param control of the program's first thread */
  constructor(control: ProcessControl) {
    this.#control = control;
  }

  /** Rings after `first`, and then every `every`; what was set before is forgotten. */
  set({ first, every }: AlarmTimes): void {
    this.clear();
    if (!(first > 0)) return;
    this.#timer = setTimeout(
      () => {
        if (first > LONGEST) return this.set({ first: first - LONGEST, every });
        this.#control.raise(SIGALRM);
        this.set({ first: every, every });
      },
      Math.min(first, LONGEST),
    );
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}
