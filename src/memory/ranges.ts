// Address ranges of an arena: first fit, neighbours merge when freed. Kept by the control thread, outside the memory that
// it hands out, so nothing that is written there can confuse it.

import { netmapError } from '../errors.js';

interface Range {
  start: number;
  end: number;
}

export class RangeAllocator {
  readonly start: number;
  readonly end: number;
  readonly #align: number;
  #free: Range[];
  readonly #used = new Map<number, number>();

  /** Hands out multiples of `align` bytes between `start` and `end`. */
  constructor(start: number, end: number, align: number) {
    this.start = Math.ceil(start / align) * align;
    this.end = Math.floor(end / align) * align;
    this.#align = align;
    this.#free = [{ start: this.start, end: this.end }];
  }

  /** Bytes that are handed out. */
  get used(): number {
    let sum = 0;
    for (const size of this.#used.values()) sum += size;
    return sum;
  }

  /**
   * Address of `size` free bytes.
   * @throws NetmapError ENOMEM when no free range is large enough
   */
  alloc(size: number, what: string): number {
    const bytes = Math.ceil(size / this.#align) * this.#align;
    const i = this.#free.findIndex(({ start, end }) => end - start >= bytes);
    if (i < 0) throw netmapError('ENOMEM', `no ${size} bytes left in the arena for ${what}`, { op: 'alloc' });
    const range = this.#free[i];
    const address = range.start;
    range.start += bytes;
    if (range.start === range.end) this.#free.splice(i, 1);
    this.#used.set(address, bytes);
    return address;
  }

  /** Takes a range back and returns its size in bytes. The caller has zeroed it. */
  free(address: number): number {
    const size = this.#used.get(address);
    if (size === undefined) throw netmapError('EINVAL', `address ${address} is not allocated`, { op: 'free' });
    this.#used.delete(address);
    const end = address + size;
    let i = this.#free.findIndex((range) => range.start > address);
    if (i < 0) i = this.#free.length;
    this.#free.splice(i, 0, { start: address, end });
    this.#merge(i);
    if (i > 0) this.#merge(i - 1);
    return size;
  }

  /** Size of the allocation at `address`, in bytes. */
  sizeOf(address: number): number {
    return this.#used.get(address) ?? 0;
  }

  #merge(i: number): void {
    const next = this.#free[i + 1];
    if (!next || this.#free[i].end !== next.start) return;
    this.#free[i].end = next.end;
    this.#free.splice(i + 1, 1);
  }
}
