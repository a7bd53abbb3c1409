// What a program's thread and those that started it share beside messages: signals that wait for the program's next
// system call, and how much of its output is on the way.

import { check } from '../errors.js';

/** Words of the shared line. */
const SIGNALS = 0; // bit n: signal n waits
const WAITER = 1; // address of the word in the program's memory that it sleeps on, 0 = none yet
const OUTPUT = 2; // bytes that were written and not taken yet
const HOST_STATE = 3; // of the host over the program's memory: see below, or a negative errno
const HOST_ARENA = 4;
const HOST_TOKEN = 5;
const EVENTS = 6; // counts signals, and output that was taken: what a write that waits for room sleeps on
const SIZE = 64;

const ASKED = 1;
const MADE = 2;

/** Bytes of output that may be on the way; more makes the program wait. */
const OUTPUT_LIMIT = 1 << 20;

export class ProcessControl {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(SIZE)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  /** Leaves a signal (1..31) for the program, and ends its sleep. `memory` is the one that it sleeps in. */
  raise(signal: number, memory: WebAssembly.Memory): void {
    Atomics.or(this.#words, SIGNALS, 1 << signal);
    Atomics.notify(this.#words, SIGNALS);
    this.#event();
    const waiter = Atomics.load(this.#words, WAITER) >>> 2;
    if (waiter === 0) return;
    memory.grow(0); // the program's kernel has made it larger, which this thread may not see by itself
    const i32 = new Int32Array(memory.buffer);
    Atomics.add(i32, waiter, 1);
    Atomics.notify(i32, waiter);
  }

  /** Takes `bytes` of output off the program's account. */
  outputTaken(bytes: number): void {
    Atomics.sub(this.#words, OUTPUT, bytes);
    this.#event();
  }

  #event(): void {
    Atomics.add(this.#words, EVENTS, 1);
    Atomics.notify(this.#words, EVENTS);
  }

  /** The host over the program's memory is there: where its arena is, and what the program joins it with. */
  giveHost(arena: number, token: number): void {
    Atomics.store(this.#words, HOST_ARENA, arena);
    Atomics.store(this.#words, HOST_TOKEN, token);
    this.#answerHost(MADE);
  }

  /** There will be none. */
  refuseHost(errno: number): void {
    this.#answerHost(-errno);
  }

  #answerHost(state: number): void {
    Atomics.store(this.#words, HOST_STATE, state);
    Atomics.notify(this.#words, HOST_STATE);
  }

  // The program's side.

  /** Waits for the host that was asked for with `ask`. @throws NetmapError with the errno of a refusal */
  waitForHost(ask: () => void): { arena: number; token: number } {
    Atomics.store(this.#words, HOST_STATE, ASKED);
    ask();
    Atomics.wait(this.#words, HOST_STATE, ASKED);
    check(Atomics.load(this.#words, HOST_STATE), 'open');
    return {
      arena: Atomics.load(this.#words, HOST_ARENA) >>> 0,
      token: Atomics.load(this.#words, HOST_TOKEN),
    };
  }

  get interrupted(): boolean {
    return Atomics.load(this.#words, SIGNALS) !== 0;
  }

  /** The lowest signal that waits, which is then taken; 0 if none does. */
  takeSignal(): number {
    const waiting = Atomics.load(this.#words, SIGNALS);
    if (waiting === 0) return 0;
    const signal = 31 - Math.clz32(waiting & -waiting);
    Atomics.and(this.#words, SIGNALS, ~(1 << signal));
    return signal;
  }

  /** Polls sleep on this word of the program's memory from now on. */
  set waiter(address: number) {
    Atomics.store(this.#words, WAITER, address);
  }

  /** Sleeps for `ms`; false if a signal has ended it. */
  sleep(ms: number): boolean {
    const until = performance.now() + ms;
    for (let left = ms; left > 0; left = until - performance.now()) {
      if (this.interrupted) return false;
      Atomics.wait(this.#words, SIGNALS, 0, left);
    }
    return !this.interrupted;
  }

  /** Puts `bytes` of output on the account, once there is room; false if a signal has come first. */
  waitForOutput(bytes: number): boolean {
    for (;;) {
      const seen = Atomics.load(this.#words, EVENTS);
      if (Atomics.load(this.#words, OUTPUT) < OUTPUT_LIMIT) {
        Atomics.add(this.#words, OUTPUT, bytes);
        return true;
      }
      if (this.interrupted) return false;
      Atomics.wait(this.#words, EVENTS, seen);
    }
  }
}
