// The memory of a program that makes requests. Everything in it is hostile and may change at any time: what is read is
// copied once, and only the copy is looked at.

import { netmapError } from '../errors.js';

/** What a program may be given as its memory. */
export type ProgramMemory = WebAssembly.Memory | ArrayBuffer | SharedArrayBuffer;

export interface UserMemory {
  /** A private copy of some bytes, each read once; undefined when they are not all in the memory. */
  read(address: number, length: number): Uint8Array | undefined;
  /** False, and nothing is written, when the bytes are not all in the memory. */
  write(address: number, bytes: Uint8Array): boolean;
}

const CSB_ALIGN = 64;

/** A window of a memory; addresses of the program count from its start. Address 0 is no address. */
export class MemoryWindow implements UserMemory {
  readonly base: number;
  readonly #memory: ProgramMemory;
  readonly #size: number;

  /**
   * @param size bytes of the window, default all that there is behind `base`, also when the memory grows
   * @throws NetmapError EINVAL when base is no multiple of 64
   */
  constructor(memory: ProgramMemory, base = 0, size = Infinity) {
    const valid = Number.isSafeInteger(base) && base >= 0 && base % CSB_ALIGN === 0 && size >= 0;
    if (!valid) {
      throw netmapError('EINVAL', `a window of ${size} bytes at ${base} has no aligned start`, { op: 'openDevice' });
    }
    this.#memory = memory;
    this.#size = size;
    this.base = base;
  }

  /** The byte behind the window, in the memory. */
  get end(): number {
    return Math.min(this.#buffer().byteLength, this.base + this.#size);
  }

  read(address: number, length: number): Uint8Array | undefined {
    // slice(): a copy that is not shared
    return this.#view(address, length)?.slice();
  }

  write(address: number, bytes: Uint8Array): boolean {
    const view = this.#view(address, bytes.length);
    view?.set(bytes);
    return view !== undefined;
  }

  #buffer(): ArrayBuffer | SharedArrayBuffer {
    const memory = this.#memory;
    return 'buffer' in memory ? memory.buffer : memory; // not instanceof: it may come from another realm
  }

  #view(address: number, length: number): Uint8Array | undefined {
    if (!(address > 0) || this.base + address + length > this.end) return undefined;
    return new Uint8Array(this.#buffer(), this.base + address, length);
  }
}
