// The buffers of a ring as the system takes them: struct iovec (address and size, 64 bits each), built once. Only the
// worker of a wire's ring changes it, so a slot keeps its buffer as long as the worker runs.

import type { NetmapRing } from '../../ring/ring.js';
import type { Libc } from '../ffi.js';

/** Bytes of a struct iovec. */
export const IOVEC_SIZE = 16;

/** Words (32 bits) of a struct iovec. */
const IOVEC_WORDS = IOVEC_SIZE / 4;

/** An array of struct iovec in memory that does not move. */
export class IovecTable {
  readonly #words: Uint32Array;
  /** Address of the first one. */
  readonly address: number;

  constructor(libc: Libc, length: number) {
    const buffer = new SharedArrayBuffer(length * IOVEC_SIZE);
    this.#words = new Uint32Array(buffer);
    this.address = libc.address(new Uint8Array(buffer));
  }

  /** Address of entry `i`. */
  at(i: number): number {
    return this.address + i * IOVEC_SIZE;
  }

  set(i: number, address: number, size: number): void {
    const w = i * IOVEC_WORDS;
    this.#words[w] = address % 2 ** 32;
    this.#words[w + 1] = Math.floor(address / 2 ** 32);
    this.#words[w + 2] = size;
  }

  /** Changes the size only. */
  resize(i: number, size: number): void {
    this.#words[i * IOVEC_WORDS + 2] = size;
  }
}

/** Addresses, in the process, of the packets in a ring's slots. */
export function slotAddresses(libc: Libc, ring: NetmapRing): number[] {
  const base = libc.address(ring.u8.subarray(0, 1)) - ring.u8.byteOffset;
  return Array.from({ length: ring.numSlots }, (_, i) => base + ring.bufAddress(i));
}

/** The buffers of all slots, twice one behind the other: packets go on behind the ring's end. `size`: bytes of each. */
export function slotVectors(libc: Libc, ring: NetmapRing, size = ring.bufSize): IovecTable {
  const table = new IovecTable(libc, 2 * ring.numSlots);
  for (const [i, address] of slotAddresses(libc, ring).entries()) {
    table.set(i, address, size);
    table.set(i + ring.numSlots, address, size);
  }
  return table;
}
