// The alarm clock of a program, in the thread that started it: the program's own may be asleep.

import type { ProcessControl } from './process-control.js';

const SIGALRM = 14;

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
    this.#timer = setTimeout(() => {
      this.#control.raise(SIGALRM);
      this.set({ first: every, every });
    }, first);
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}
