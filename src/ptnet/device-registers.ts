// Register files as a hypervisor forwards accesses to them: 8, 16 or 32 bits wide, at any offset. All registers are 32
// bits, little-endian; a narrower write keeps the register's other bytes as last written.

/** Bytes of an access. */
export type AccessSize = 1 | 2 | 4;

/** What a device does on a 32-bit access; offsets are multiples of 4 within `size`. */
export interface Register32 {
  read(offset: number): number;
  write(offset: number, value: number): void;
}

export class RegisterFile {
  readonly size: number;
  readonly #registers: Register32;
  readonly #written = new Map<number, number>();

  constructor(size: number, registers: Register32) {
    this.size = size;
    this.#registers = registers;
  }

  /** Reads `size` bytes; an access that crosses a register reads both. Outside the file all bits are 0. */
  read(offset: number, size: AccessSize): number {
    if (!isAccess(size)) return 0;
    let value = 0;
    for (let i = 0; i < size; ) {
      const at = offset + i;
      const lane = at & 3;
      const bytes = Math.min(size - i, 4 - lane);
      const word = this.#valid(at) ? this.#registers.read(at & ~3) >>> 0 : 0;
      value |= ((word >>> (8 * lane)) & mask(bytes)) << (8 * i);
      i += bytes;
    }
    return value >>> 0;
  }

  /** Writes `size` bytes; outside the file nothing happens. */
  write(offset: number, size: AccessSize, value: number): void {
    if (!isAccess(size)) return;
    for (let i = 0; i < size; ) {
      const at = offset + i;
      const lane = at & 3;
      const bytes = Math.min(size - i, 4 - lane);
      if (this.#valid(at)) {
        const word = at & ~3;
        const bits = mask(bytes) << (8 * lane);
        const part = (value >>> (8 * i)) << (8 * lane);
        const merged = (((this.#written.get(word) ?? 0) & ~bits) | (part & bits)) >>> 0;
        this.#written.set(word, merged);
        this.#registers.write(word, merged);
      }
      i += bytes;
    }
  }

  /** Forgets what was written (device reset). */
  reset(): void {
    this.#written.clear();
  }

  #valid(offset: number): boolean {
    return Number.isInteger(offset) && offset >= 0 && offset < this.size;
  }
}

function isAccess(size: number): size is AccessSize {
  return size === 1 || size === 2 || size === 4;
}

function mask(bytes: number): number {
  return bytes === 4 ? 0xffffffff : (1 << (8 * bytes)) - 1;
}
