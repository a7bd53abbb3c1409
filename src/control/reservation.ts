// A range of the host's memory that programs may be linked to. Control thread only.

import { netmapError } from '../errors.js';
import type { ArenaOwner } from '../memory/arena.js';

/** A range that belongs to nobody else until it is released. One program at a time runs in it. */
export class MemoryReservation {
  /** Address, a multiple of 4096. */
  readonly base: number;
  readonly size: number;
  readonly #arena: ArenaOwner;
  #taken = false;
  #released = false;

  /** @throws NetmapError ENOMEM */
  constructor(arena: ArenaOwner, size: number) {
    this.#arena = arena;
    this.size = size;
    this.base = arena.allocRegion(size, 'a program');
  }

  /** A program is about to run in it. @throws NetmapError EBUSY when there is one, EINVAL after the release */
  take(): void {
    if (this.#released) throw netmapError('EINVAL', 'the range was released', { op: 'exec' });
    if (this.#taken) throw netmapError('EBUSY', 'a program runs in this range', { op: 'exec' });
    this.#taken = true;
    this.#arena.wasm.memZero(this.base, this.size);
  }

  /** The program has ended. */
  giveBack(): void {
    this.#taken = false;
  }

  /** Gives the memory back. @throws NetmapError EBUSY while a program runs in it */
  release(): void {
    if (this.#taken) throw netmapError('EBUSY', 'a program runs in this range', { op: 'release' });
    if (!this.#released) this.#arena.freeRegion(this.base);
    this.#released = true;
  }
}
