// Event descriptors of programs, as SYNC_KLOOP_EVENTFDS names them: kicks that a kernel loop waits for, and interrupts
// that it raises.

import type { Thread } from '../threads/thread.js';

/** What a kernel loop needs of an event descriptor; several threads may have an object each for the same one. */
export interface EventDescriptor {
  /** Signals it: a kick by a program, or an interrupt by a kernel loop. May be called in any thread. */
  signal(): void;
  /** Changes with every signal. */
  count(): number;
  /** From now on signals also wake this thread of the arena; 0: none. */
  connect(threadId: number): void;
}

/** The descriptors of a program, by number; a Map is one. */
export interface EventDescriptors {
  get(fd: number): EventDescriptor | undefined;
}

/** An event descriptor of two words in shared memory: how often it was signalled, and the thread that waits for it. */
export class EventFd implements EventDescriptor {
  readonly #thread: Thread;
  readonly #words: Int32Array;
  readonly #index: number;

  constructor(thread: Thread, words: Int32Array, index: number) {
    this.#thread = thread;
    this.#words = words;
    this.#index = index;
  }

  /** Adds 1, and wakes whoever waits for the first word (Atomics.wait) or is connected. */
  signal(): void {
    Atomics.add(this.#words, this.#index, 1);
    Atomics.notify(this.#words, this.#index);
    this.#thread.wakeThread(Atomics.load(this.#words, this.#index + 1));
  }

  count(): number {
    return Atomics.load(this.#words, this.#index);
  }

  connect(threadId: number): void {
    Atomics.store(this.#words, this.#index + 1, threadId);
  }
}
