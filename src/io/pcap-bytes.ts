// The bytes of a capture that have come and are not read yet: a window that moves over the file.

import { netmapError } from '../errors.js';

const NOTHING = new Uint8Array(0);

export class ByteWindow {
  #bytes: Uint8Array = NOTHING;
  /** What `#bytes` is the start of, if it is a copy: there may be room behind it. */
  #store: Uint8Array = NOTHING;
  #view: DataView = new DataView(NOTHING.buffer);
  /** Where the unread bytes start in `#bytes`, and in the file. */
  #at = 0;
  #offset = 0;
  /** Bytes that are to be passed over, and have not come yet. */
  #toSkip = 0;
  littleEndian = true;

  /** Adds bytes; they are read where they lie if nothing is left of those before. */
  push(chunk: Uint8Array): void {
    let rest = chunk;
    if (this.#toSkip > 0) {
      const n = Math.min(this.#toSkip, chunk.length);
      this.#toSkip -= n;
      this.#offset += n;
      rest = chunk.subarray(n);
    }
    if (rest.length === 0) return;
    const { left } = this;
    if (left === 0) {
      this.#bytes = rest;
      this.#store = NOTHING;
      this.#at = 0;
    } else {
      if (this.#store.length < this.#at + left + rest.length) {
        const larger = new Uint8Array(2 * (left + rest.length));
        larger.set(this.#bytes.subarray(this.#at));
        this.#store = larger;
        this.#at = 0;
      }
      // What was given out before lies in front of it, or in another buffer.
      this.#store.set(rest, this.#at + left);
      this.#bytes = this.#store.subarray(0, this.#at + left + rest.length);
    }
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
  }

  /** Unread bytes. */
  get left(): number {
    return this.#bytes.length - this.#at;
  }

  /** Whether bytes that are to be passed over have not come yet. */
  get isSkipping(): boolean {
    return this.#toSkip > 0;
  }

  /** Where in the file the unread bytes start. */
  get offset(): number {
    return this.#offset;
  }

  u16(at: number): number {
    return this.#view.getUint16(this.#at + at, this.littleEndian);
  }

  u32(at: number): number {
    return this.#view.getUint32(this.#at + at, this.littleEndian);
  }

  i64(at: number): bigint {
    return this.#view.getBigInt64(this.#at + at, this.littleEndian);
  }

  u8(at: number): number {
    return this.#bytes[this.#at + at];
  }

  /** A view. */
  slice(at: number, length: number): Uint8Array {
    const { buffer, byteOffset } = this.#bytes; // subarray of a Buffer is a Buffer
    return new Uint8Array(buffer, byteOffset + this.#at + at, length);
  }

  /** Passes over `length` bytes, also such as have not come yet. */
  skip(length: number): void {
    const here = Math.min(length, this.left);
    this.#at += here;
    this.#offset += here;
    this.#toSkip = length - here;
  }
}

/** A file that is no capture, or is damaged. */
export function damaged(message: string): Error {
  return netmapError('EINVAL', message, { op: 'readPcap' });
}

/** A file that ends too early. */
export function truncated(what: string, offset: number, wanted: number, left: number): Error {
  return damaged(`file is truncated: the ${what} at offset ${offset} has ${left} of ${wanted} bytes`);
}
