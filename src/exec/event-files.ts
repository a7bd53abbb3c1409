// eventfd(2) of programs: counters that threads share. A kernel loop of the program takes them for kicks and interrupts.

import { POLLIN, POLLOUT } from '../abi.js';
import type { EventDescriptor } from '../ioctl/eventfd.js';
import { SystemError, WASI } from './errno.js';
import type { ProcessControl } from './process-control.js';

/** Words of a counter. */
const VALUE = 0; // 64 bits
const SIGNALS = 2; // counts what was added
const STATE = 3; // 1 = in use
const WORDS = 8;
const MAX_EVENTFDS = 256;
const FULL = 2n ** 64n - 2n;
/** Bytes of what is read and written. */
const SIZE = 8;

export const EVENTFDS_SIZE = 4 * WORDS * MAX_EVENTFDS;

/** Takes a counter that nobody uses; undefined: there is none. */
export function takeEventfd(buffer: SharedArrayBuffer, initial: number): number | undefined {
  const words = new Int32Array(buffer);
  for (let index = 0; index < MAX_EVENTFDS; index++) {
    const at = index * WORDS;
    if (Atomics.compareExchange(words, at + STATE, 0, 1) !== 0) continue;
    Atomics.store(new BigUint64Array(buffer), (at + VALUE) >>> 1, BigInt(initial >>> 0));
    words[at + SIGNALS] = 0;
    return index;
  }
  return undefined;
}

/** Nobody uses it any more. */
export function freeEventfd(buffer: SharedArrayBuffer, index: number): void {
  Atomics.store(new Int32Array(buffer), index * WORDS + STATE, 0);
}

export interface EventfdModes {
  /** A read takes 1. */
  readonly isSemaphore: boolean;
  /** Whether a read or a write that cannot be done now fails with EAGAIN. */
  readonly nonblocking: () => boolean;
}

/** A counter, as one thread uses it. */
export class EventCounter implements EventDescriptor {
  readonly #control: ProcessControl;
  readonly #words: Int32Array;
  readonly #values: BigUint64Array;
  readonly #at: number;
  readonly #modes: EventfdModes;

  constructor(control: ProcessControl, buffer: SharedArrayBuffer, index: number, modes: EventfdModes) {
    this.#control = control;
    this.#words = new Int32Array(buffer);
    this.#values = new BigUint64Array(buffer);
    this.#at = index * WORDS;
    this.#modes = modes;
  }

  get #value(): bigint {
    return Atomics.load(this.#values, this.#at >>> 1);
  }

  /** The ready events among `events`. */
  ready(events: number): number {
    const value = this.#value;
    return (value > 0n ? events & POLLIN : 0) | (value < FULL ? events & POLLOUT : 0);
  }

  /** @throws SystemError EINVAL, EAGAIN, EINTR */
  read(into: Uint8Array): number {
    if (into.length < SIZE) throw new SystemError(WASI.INVAL);
    for (;;) {
      const value = this.#value;
      const taken = this.#modes.isSemaphore && value > 0n ? 1n : value;
      if (value === 0n) this.#wait(POLLIN);
      else if (this.#exchange(value, value - taken)) {
        new DataView(into.buffer, into.byteOffset).setBigUint64(0, taken, true);
        this.#control.wakeAll();
        return SIZE;
      }
    }
  }

  /** @throws SystemError EINVAL, EAGAIN, EINTR */
  write(bytes: Uint8Array): void {
    if (bytes.length < SIZE) throw new SystemError(WASI.INVAL);
    const added = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
    if (added > FULL) throw new SystemError(WASI.INVAL);
    while (!this.#add(added)) this.#wait(POLLOUT, added);
  }

  /** Adds 1, if there is room, and wakes whoever waits. */
  signal(): void {
    this.#add(1n);
  }

  count(): number {
    return Atomics.load(this.#words, this.#at + SIGNALS);
  }

  /** A signal wakes all threads of the program, and so the one that runs the loop. */
  connect(): void {}

  /** Nobody uses it any more. */
  free(): void {
    Atomics.store(this.#words, this.#at + STATE, 0);
  }

  #exchange(before: bigint, after: bigint): boolean {
    return Atomics.compareExchange(this.#values, this.#at >>> 1, before, after) === before;
  }

  #add(added: bigint): boolean {
    let value = this.#value;
    while (value + added <= FULL && !this.#exchange(value, value + added)) value = this.#value;
    if (value + added > FULL) return false;
    Atomics.add(this.#words, this.#at + SIGNALS, 1);
    this.#control.wakeAll();
    return true;
  }

  #wait(event: number, added = 1n): void {
    if (this.#modes.nonblocking()) throw new SystemError(WASI.AGAIN);
    const isReady = (): boolean => (event === POLLIN ? this.#value > 0n : this.#value + added <= FULL);
    if (!this.#control.sleep(Infinity, isReady)) throw new SystemError(WASI.INTR);
  }
}
