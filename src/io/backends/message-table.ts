// An array of struct mmsghdr, as recvmmsg(2) and sendmmsg(2) take it, in memory that does not move.

import type { Libc } from '../ffi.js';

/** Bytes of a struct mmsghdr with addresses of 64 bits. */
const SIZE = 64;
const WORDS = SIZE / 4;
// Words of its fields.
const IOV = 4;
const IOV_LENGTH = 6;
const CONTROL = 8;
const CONTROL_LENGTH = 10;
const FLAGS = 12;
const LENGTH = 14;

export class MessageTable {
  readonly #words: Uint32Array;
  /** Address of the first one. */
  readonly address: number;

  constructor(libc: Libc, count: number) {
    this.#words = new Uint32Array(new SharedArrayBuffer(count * SIZE));
    this.address = libc.address(new Uint8Array(this.#words.buffer));
  }

  /** Address of message `i`. */
  at(i: number): number {
    return this.address + i * SIZE;
  }

  /** The `count` pieces of message i. */
  setVector(i: number, iov: number, count: number): void {
    this.#setAddress(i * WORDS + IOV, iov);
    this.#words[i * WORDS + IOV_LENGTH] = count;
  }

  /** Where ancillary data of message i goes. */
  setControl(i: number, control: number, size: number): void {
    this.#setAddress(i * WORDS + CONTROL, control);
    this.#words[i * WORDS + CONTROL_LENGTH] = size;
  }

  /** Bytes of ancillary data: room before a call, and what there is after it. */
  controlLength(i: number): number {
    return this.#words[i * WORDS + CONTROL_LENGTH];
  }
  setControlLength(i: number, size: number): void {
    this.#words[i * WORDS + CONTROL_LENGTH] = size;
  }

  /** MSG_* of message i after it was received. */
  flags(i: number): number {
    return this.#words[i * WORDS + FLAGS];
  }

  /** Bytes that were received, or sent. */
  length(i: number): number {
    return this.#words[i * WORDS + LENGTH];
  }

  #setAddress(w: number, address: number): void {
    this.#words[w] = address % 2 ** 32;
    this.#words[w + 1] = Math.floor(address / 2 ** 32);
  }
}
