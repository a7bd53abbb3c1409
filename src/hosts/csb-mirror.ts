// The CSB of a guest whose RAM the kernel loop cannot see: the loop works on a mirror in the host's memory, and words are
// copied in before it runs and out after. Guest addresses are checked against its RAM at every use.

import {
  CSB_ATOK_APPL_NEED_KICK,
  CSB_ATOK_CUR,
  CSB_ATOK_HEAD,
  CSB_ATOK_SYNC_FLAGS,
  CSB_ENTRY_SIZE,
  CSB_KTOA_HWCUR,
  CSB_KTOA_HWTAIL,
  CSB_KTOA_KERN_NEED_KICK,
} from '../abi.js';

/** RAM of a guest, by guest-physical address. */
export interface GuestRam {
  /** Bytes. */
  readonly size: number;
  /** A word at an address that is a multiple of 4, and inside. */
  load(address: number): number;
  store(address: number, value: number): void;
}

export class CsbMirror {
  readonly #ram: GuestRam;
  readonly #views: { readonly i32: Int32Array };
  readonly #rings: number;
  readonly #concurrent: boolean;
  /** Addresses of the mirrors in the host's memory. */
  readonly #atok: number;
  readonly #ktoa: number;
  /** Addresses that the guest has programmed, 0 = none. */
  #guestAtok = 0;
  #guestKtoa = 0;
  /** The kernel loop runs: CREATE has succeeded, and nothing has stopped it since. */
  running = false;

  /**
   * @param views of the host's memory
   * @param base address of a page there, for both arrays
   * @param concurrent the loop runs in another thread. Its flags may then change at any time, so the guest always sees
   *   kicks as wanted, and the loop always sees interrupts as wanted.
   */
  constructor(ram: GuestRam, views: { readonly i32: Int32Array }, base: number, rings: number, concurrent: boolean) {
    this.#ram = ram;
    this.#views = views;
    this.#rings = rings;
    this.#concurrent = concurrent;
    this.#atok = base;
    this.#ktoa = base + CSB_ENTRY_SIZE * rings;
  }

  /** Takes the guest's address of an array over. False: it is none that the guest may use, and there is no array now. */
  setAtok(address: number): boolean {
    this.#guestAtok = this.#accept(address);
    return this.#guestAtok !== 0;
  }

  setKtoa(address: number): boolean {
    this.#guestKtoa = this.#accept(address);
    return this.#guestKtoa !== 0;
  }

  /** What the guest has written, for the loop. */
  copyIn(): void {
    if (!this.running || !this.#inside(this.#guestAtok)) return;
    for (let i = 0; i < this.#rings; i++) {
      const from = this.#guestAtok + i * CSB_ENTRY_SIZE;
      const to = this.#atok + i * CSB_ENTRY_SIZE;
      // As the guest publishes: a head is never newer than the cur that the loop sees with it.
      const head = this.#ram.load(from + CSB_ATOK_HEAD);
      this.#put(to + CSB_ATOK_CUR, this.#ram.load(from + CSB_ATOK_CUR));
      this.#put(to + CSB_ATOK_HEAD, head);
      this.#put(to + CSB_ATOK_SYNC_FLAGS, this.#ram.load(from + CSB_ATOK_SYNC_FLAGS));
      const wanted = this.#concurrent ? 1 : this.#ram.load(from + CSB_ATOK_APPL_NEED_KICK);
      this.#put(to + CSB_ATOK_APPL_NEED_KICK, wanted);
    }
  }

  /** What the loop has written, for the guest. */
  copyOut(): void {
    if (!this.running || !this.#inside(this.#guestKtoa)) return;
    for (let i = 0; i < this.#rings; i++) {
      const from = this.#ktoa + i * CSB_ENTRY_SIZE;
      const to = this.#guestKtoa + i * CSB_ENTRY_SIZE;
      const hwtail = this.#get(from + CSB_KTOA_HWTAIL);
      this.#ram.store(to + CSB_KTOA_HWCUR, this.#get(from + CSB_KTOA_HWCUR));
      this.#ram.store(to + CSB_KTOA_HWTAIL, hwtail);
      const wanted = this.#concurrent ? 1 : this.#get(from + CSB_KTOA_KERN_NEED_KICK);
      this.#ram.store(to + CSB_KTOA_KERN_NEED_KICK, wanted);
    }
  }

  /** After CREATE: the entries as CSB_ENABLE has made them, ktoa's with their padding. */
  created(): void {
    this.running = true;
    if (!this.#inside(this.#guestAtok) || !this.#inside(this.#guestKtoa)) return;
    for (let i = 0; i < this.#rings; i++) {
      const at = i * CSB_ENTRY_SIZE;
      for (let word = 0; word < CSB_ENTRY_SIZE; word += 4) {
        this.#ram.store(this.#guestKtoa + at + word, this.#get(this.#ktoa + at + word));
      }
      for (let word = 0; word <= CSB_ATOK_SYNC_FLAGS; word += 4) {
        this.#ram.store(this.#guestAtok + at + word, this.#get(this.#atok + at + word));
      }
    }
  }

  #accept(address: number): number {
    return address % CSB_ENTRY_SIZE === 0 && this.#inside(address) ? address : 0;
  }

  #inside(address: number): boolean {
    return address > 0 && address + this.#rings * CSB_ENTRY_SIZE <= this.#ram.size;
  }

  #get(address: number): number {
    return Atomics.load(this.#views.i32, address >>> 2);
  }

  #put(address: number, value: number): void {
    Atomics.store(this.#views.i32, address >>> 2, value);
  }
}
