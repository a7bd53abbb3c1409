// MSI-X of a PCI function (PCI Local Bus 3.0, 6.8.2): the table and the pending bits, as a memory BAR, and what becomes of
// an interrupt. The guest may write anything anywhere.

import type { AccessSize } from '../ptnet/device-registers.js';

/** Bytes of a table entry: message address (two words), message data, vector control. */
const ENTRY = 16;
const DATA = 8;
const CONTROL = 12;
/** Vector control: the entry is masked. */
const MASKED = 1;

/** Where the pending bits are in the BAR; the table is at 0. */
export const MSIX_PBA = 0x800;
export const MSIX_BAR_SIZE = 4096;
/** Message control, in the capability. */
export const MSIX_ENABLE = 0x8000;
export const MSIX_FUNCTION_MASK = 0x4000;

/** A message: a write of `data` to `address`. */
export type SendMessage = (address: number, data: number) => void;

export class MsixTable {
  readonly vectors: number;
  readonly #bytes: Uint8Array;
  readonly #words: DataView;
  readonly #send: SendMessage;
  #pending = 0;

  /**
   * @param vectors 1..32
   * @param send delivers a message. The high half of an address is given to it as a multiple of 2^32.
   */
  constructor(vectors: number, send: SendMessage) {
    this.vectors = vectors;
    this.#bytes = new Uint8Array(vectors * ENTRY);
    this.#words = new DataView(this.#bytes.buffer);
    this.#send = send;
    this.reset();
  }

  reset(): void {
    this.#bytes.fill(0);
    this.#pending = 0;
    for (let i = 0; i < this.vectors; i++) this.#bytes[i * ENTRY + CONTROL] = MASKED;
  }

  /** A read from the BAR; 0 where there is nothing. */
  read(offset: number, size: AccessSize): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.#byte(offset + i) << (8 * i);
    return value >>> 0;
  }

  /** A write to the BAR. Pending bits and reserved bits are read-only. */
  write(offset: number, size: AccessSize, value: number, control: number): void {
    for (let i = 0; i < size; i++) {
      const at = offset + i;
      if (at < 0 || at >= this.#bytes.length) continue;
      const field = at % ENTRY;
      const writable = field === 0 ? 0xfc : field === CONTROL ? MASKED : field > CONTROL ? 0 : 0xff;
      this.#bytes[at] = (value >>> (8 * i)) & writable;
    }
    this.flush(control);
  }

  /**
   * Vector `i` has an interrupt.
   * @param control the message control word now
   */
  raise(i: number, control: number): void {
    this.#pending |= 1 << i;
    this.flush(control);
  }

  /** Sends what is pending and not masked. To be called, too, when the guest may have changed message control. */
  flush(control: number): void {
    if (this.#pending === 0 || (control & (MSIX_ENABLE | MSIX_FUNCTION_MASK)) !== MSIX_ENABLE) return;
    for (let i = 0; i < this.vectors; i++) {
      const at = i * ENTRY;
      if ((this.#pending & (1 << i)) === 0 || this.#bytes[at + CONTROL] & MASKED) continue;
      this.#pending &= ~(1 << i);
      const high = this.#words.getUint32(at + 4, true);
      this.#send(this.#words.getUint32(at, true) + high * 2 ** 32, this.#words.getUint32(at + DATA, true));
    }
  }

  #byte(at: number): number {
    if (at >= 0 && at < this.#bytes.length) return this.#bytes[at];
    const bit = 8 * (at - MSIX_PBA);
    return bit >= 0 && bit < 32 ? (this.#pending >>> bit) & 0xff : 0;
  }
}
