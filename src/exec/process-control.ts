// What the threads of a program and those that started it share beside messages: for each thread a line with the signals
// that wait for its next system call and the words that it sleeps on, and how much output of all is on the way.

import { check } from '../errors.js';

/** Words of the process. */
const OUTPUT = 0; // bytes that were written and not taken yet
const EVENTS = 1; // counts signals, and output that was taken: what a write that waits for room sleeps on
const THREADS = 2; // threads beside the first one
const OWNER = 3; // thread of the host that the program's descriptors belong to
const HANDLERS = 4; // place in the function table of what delivers signals, 0 = none
const PROCESS_WORDS = 16;

/** Words of a line. */
const STATE = 0;
const SIGNALS = 1; // bit n: signal n waits
const PULSE = 2; // counts what may end a sleep
const WAITER = 3; // address of the word that it sleeps on while it waits for ports, 0 = none yet
const FUTEX = 4; // address of the program's word that it sleeps on, 0 = none
const HOST_STATE = 5; // of the host over the program's memory: see below, or a negative errno
const HOST_ARENA = 6;
const HOST_TOKEN = 7;
const BLOCKED = 8; // signals that wait although they have come
const LINE_WORDS = 16;

const NEVER_BLOCKED = (1 << 9) | (1 << 19); // SIGKILL and SIGSTOP

const FREE = 0;
const TAKEN = 1;

const ASKED = 1;
const MADE = 2;

/** Threads of a program, the first one among them. */
export const MAX_PROGRAM_THREADS = 64;
const SIZE = 4 * (PROCESS_WORDS + MAX_PROGRAM_THREADS * LINE_WORDS);

/** Bytes of output that may be on the way; more makes the program wait. */
const OUTPUT_LIMIT = 1 << 20;
/** A signal may come between a look and a sleep on a word of the program's own: such a sleep looks again after this (ms). */
const FUTEX_LOOK = 20;

export class ProcessControl {
  readonly buffer: SharedArrayBuffer;
  readonly memory: WebAssembly.Memory;
  /** The thread whose line this object is for; 0: the first. */
  readonly line: number;
  readonly #words: Int32Array;
  readonly #at: number;

  /** @param memory the program's */
  constructor(memory: WebAssembly.Memory, buffer: SharedArrayBuffer = new SharedArrayBuffer(SIZE), line = 0) {
    this.memory = memory;
    this.buffer = buffer;
    this.line = line;
    this.#words = new Int32Array(buffer);
    this.#at = PROCESS_WORDS + line * LINE_WORDS;
  }

  /** The same process, for the line of another thread. */
  forLine(line: number): ProcessControl {
    return new ProcessControl(this.memory, this.buffer, line);
  }

  #load(word: number): number {
    return Atomics.load(this.#words, this.#at + word);
  }

  #store(word: number, value: number): void {
    Atomics.store(this.#words, this.#at + word, value);
  }

  /** Leaves a signal (1..31) for the thread, and ends its sleep. */
  raise(signal: number): void {
    Atomics.or(this.#words, this.#at + SIGNALS, 1 << signal);
    this.#event();
    if (this.line === 0)
      this.wakeAll(); // others may wait for signals of the process
    else this.wake();
  }

  /** Ends what the thread sleeps on; its waits look again. */
  wake(): void {
    Atomics.add(this.#words, this.#at + PULSE, 1);
    Atomics.notify(this.#words, this.#at + PULSE);
    const waiter = this.#load(WAITER) >>> 2;
    const futex = this.#load(FUTEX) >>> 2;
    if (waiter === 0 && futex === 0) return;
    this.memory.grow(0); // somebody has made it larger, which this thread may not see by itself
    const i32 = new Int32Array(this.memory.buffer);
    if (futex !== 0) Atomics.notify(i32, futex);
    if (waiter === 0) return;
    Atomics.add(i32, waiter, 1);
    Atomics.notify(i32, waiter);
  }

  /** Ends the sleeps of all threads. */
  wakeAll(): void {
    for (let line = 0; line < MAX_PROGRAM_THREADS; line++) {
      const state = Atomics.load(this.#words, PROCESS_WORDS + line * LINE_WORDS + STATE);
      if (line === 0 || state !== FREE) this.forLine(line).wake();
    }
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

  /** The host over the program's memory is there: where its arena is, and what the thread joins it with. */
  giveHost(arena: number, token: number): void {
    this.#store(HOST_ARENA, arena);
    this.#store(HOST_TOKEN, token);
    this.#answerHost(MADE);
  }

  /** There will be none. */
  refuseHost(errno: number): void {
    this.#answerHost(-errno);
  }

  #answerHost(state: number): void {
    this.#store(HOST_STATE, state);
    Atomics.notify(this.#words, this.#at + HOST_STATE);
  }

  /** The worker of the thread has ended: its line is free. */
  freeLine(): void {
    for (const word of [SIGNALS, WAITER, FUTEX, HOST_STATE, BLOCKED]) this.#store(word, 0);
    this.#store(STATE, FREE);
    Atomics.sub(this.#words, THREADS, 1);
    Atomics.notify(this.#words, THREADS);
  }

  // The program's side.

  /** Takes one of `most` lines for a new thread; undefined when none is free for `patience` ms. */
  takeLine(most: number, patience: number): number | undefined {
    const until = performance.now() + patience;
    for (;;) {
      const threads = Atomics.load(this.#words, THREADS);
      for (let line = 1; line <= most; line++) {
        const at = PROCESS_WORDS + line * LINE_WORDS + STATE;
        if (Atomics.compareExchange(this.#words, at, FREE, TAKEN) !== FREE) continue;
        Atomics.add(this.#words, THREADS, 1);
        return line;
      }
      const left = until - performance.now();
      if (left <= 0) return undefined;
      Atomics.wait(this.#words, THREADS, threads, left);
    }
  }

  /** Whether `line` is a thread's. */
  isLine(line: number): boolean {
    if (line === 0) return true;
    const isNumber = line > 0 && line < MAX_PROGRAM_THREADS;
    return isNumber && Atomics.load(this.#words, PROCESS_WORDS + line * LINE_WORDS + STATE) === TAKEN;
  }

  get hasThreads(): boolean {
    return Atomics.load(this.#words, THREADS) > 0;
  }

  /** Waits until no other thread is left. */
  waitForThreads(): void {
    for (let left = Atomics.load(this.#words, THREADS); left > 0; left = Atomics.load(this.#words, THREADS)) {
      Atomics.wait(this.#words, THREADS, left);
    }
  }

  /** Waits for the host that was asked for with `ask`. @throws NetmapError with the errno of a refusal */
  waitForHost(ask: () => void): { arena: number; token: number } {
    this.#store(HOST_STATE, ASKED);
    ask();
    Atomics.wait(this.#words, this.#at + HOST_STATE, ASKED);
    check(this.#load(HOST_STATE), 'open');
    return { arena: this.#load(HOST_ARENA) >>> 0, token: this.#load(HOST_TOKEN) };
  }

  get owner(): number {
    return Atomics.load(this.#words, OWNER);
  }

  set owner(thread: number) {
    Atomics.store(this.#words, OWNER, thread);
  }

  get handlers(): number {
    return Atomics.load(this.#words, HANDLERS);
  }

  set handlers(place: number) {
    Atomics.store(this.#words, HANDLERS, place);
  }

  get interrupted(): boolean {
    return (this.#load(SIGNALS) & ~this.#load(BLOCKED)) !== 0;
  }

  /** Signals, by their bits, that do not interrupt the thread for now. */
  get blocked(): number {
    return this.#load(BLOCKED);
  }

  set blocked(set: number) {
    this.#store(BLOCKED, set & ~NEVER_BLOCKED);
  }

  /** The lowest signal that waits, and is not blocked, which is then taken; 0 if none does. */
  takeSignal(): number {
    return this.#take(~this.#load(BLOCKED));
  }

  /** Waits for a signal of a set, of this thread or of the process, for `ms` at most, and takes it; 0: none has come. */
  waitForSignal(set: number, ms: number): number {
    let taken = 0;
    this.#pause(ms, () => {
      taken ||= this.#take(set) || this.forLine(0).#take(set);
      return taken !== 0;
    });
    return taken;
  }

  #take(set: number): number {
    const waiting = this.#load(SIGNALS) & set;
    if (waiting === 0) return 0;
    const signal = 31 - Math.clz32(waiting & -waiting);
    const before = Atomics.and(this.#words, this.#at + SIGNALS, ~(1 << signal));
    return before & (1 << signal) ? signal : 0; // else another thread has taken it
  }

  /** Polls sleep on this word of the program's memory from now on. */
  set waiter(address: number) {
    this.#store(WAITER, address);
  }

  /** Sleeps for `ms`, or until `isOver`, which a wake-up makes it look at; false if a signal has ended it. */
  sleep(ms: number, isOver: () => boolean = () => false): boolean {
    this.#pause(ms, () => this.interrupted || isOver());
    return !this.interrupted;
  }

  #pause(ms: number, isOver: () => boolean): void {
    const until = performance.now() + ms;
    for (;;) {
      const seen = this.#load(PULSE);
      if (isOver()) return; // also when there is no time to wait
      const left = until - performance.now();
      if (left <= 0) return;
      Atomics.wait(this.#words, this.#at + PULSE, seen, left);
    }
  }

  /**
   * Sleeps on a word of the program's memory while it is `expected`, for `ms` at most.
   * @returns why it has ended: 'signal', 'timed-out', or 'ok', which may be for nothing
   */
  futexWait(i32: Int32Array, index: number, expected: number, ms: number): 'ok' | 'timed-out' | 'signal' {
    const until = performance.now() + ms;
    this.#store(FUTEX, index << 2);
    try {
      for (;;) {
        if (this.interrupted) return 'signal';
        const left = until - performance.now();
        if (left <= 0) return Atomics.load(i32, index) === expected ? 'timed-out' : 'ok';
        if (Atomics.wait(i32, index, expected, Math.min(left, FUTEX_LOOK)) !== 'timed-out') {
          return this.interrupted ? 'signal' : 'ok';
        }
      }
    } finally {
      this.#store(FUTEX, 0);
    }
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
