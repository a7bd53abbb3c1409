// A range of the host's memory that programs may be linked to. Control thread only.

import { netmapError } from '../errors.js';
import type { ArenaOwner } from '../memory/arena.js';
import type { Region } from '../memory/region.js';

/** A range that belongs to nobody else until it is released. One program at a time runs in it. */
export class MemoryReservation {
  /** Address, a multiple of 4096. */
  readonly base: number;
  readonly size: number;
  readonly #arena: ArenaOwner;
  readonly #regions: () => readonly Region[];
  #taken = false;
  #released = false;

  /** @throws NetmapError EINVAL (the size), ENOMEM */
  constructor(arena: ArenaOwner, regions: () => readonly Region[], size: number) {
    if (!Number.isSafeInteger(size) || size < 1) {
      throw netmapError('EINVAL', `${size} is no number of bytes`, { op: 'reserve' });
    }
    this.#arena = arena;
    this.#regions = regions;
    this.size = size;
    this.base = arena.allocRegion(size, 'a program');
    arena.reserved.set(this.base, size);
  }

  /** A program is about to run in it. @throws NetmapError EBUSY when there is one, EINVAL after the release */
  take(): void {
    if (this.#released) throw netmapError('EINVAL', 'the range was released', { op: 'exec' });
    this.#checkFree('exec');
    this.#taken = true;
    this.#arena.wasm.memZero(this.base, this.size);
  }

  /** The program has ended. */
  giveBack(): void {
    this.#taken = false;
  }

  /** Gives the memory back. @throws NetmapError EBUSY while a program runs in it, or a port has its region there */
  release(): void {
    if (this.#released) return;
    this.#checkFree('release');
    this.#arena.reserved.delete(this.base);
    this.#arena.freeRegion(this.base);
    this.#released = true;
  }

  #checkFree(op: string): void {
    if (this.#taken) throw netmapError('EBUSY', 'a program runs in this range', { op });
    const region = this.#regions().find(({ base }) => base >= this.base && base < this.base + this.size);
    if (region) throw netmapError('EBUSY', `region ${region.memId} lies in this range (extmem)`, { op });
  }
}
