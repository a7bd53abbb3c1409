// The memory of a program, as its system calls see it. Addresses and lengths come from the program: what does not lie in
// the memory is a Fault, which the call answers with EFAULT. The memory may grow at any time.

/** A program has named memory that it does not have. */
export class Fault extends Error {}

export class UserBytes {
  readonly memory: WebAssembly.Memory;
  #u8: Uint8Array;
  #view: DataView;

  constructor(memory: WebAssembly.Memory) {
    this.memory = memory;
    this.#u8 = new Uint8Array(memory.buffer);
    this.#view = new DataView(memory.buffer);
  }

  /** The bytes themselves, which the program may change meanwhile. @throws Fault */
  view(address: number, length: number): Uint8Array {
    const at = this.#check(address, length);
    return this.#u8.subarray(at, at + (length >>> 0));
  }

  /** A copy of the bytes. @throws Fault */
  copy(address: number, length: number): Uint8Array {
    return this.view(address, length).slice();
  }

  u8(address: number): number {
    return this.#u8[this.#check(address, 1)];
  }

  u16(address: number): number {
    const at = this.#check(address, 2);
    return this.#view.getUint16(at, true);
  }

  u32(address: number): number {
    const at = this.#check(address, 4);
    return this.#view.getUint32(at, true);
  }

  u64(address: number): bigint {
    const at = this.#check(address, 8);
    return this.#view.getBigUint64(at, true);
  }

  setU8(address: number, value: number): void {
    this.#u8[this.#check(address, 1)] = value;
  }

  setU16(address: number, value: number): void {
    const at = this.#check(address, 2);
    this.#view.setUint16(at, value, true);
  }

  setU32(address: number, value: number): void {
    const at = this.#check(address, 4);
    this.#view.setUint32(at, value, true);
  }

  setU64(address: number, value: bigint): void {
    const at = this.#check(address, 8);
    this.#view.setBigUint64(at, value, true);
  }

  /** The aligned word at an address, for atomic operations. @throws Fault */
  words(address: number): { i32: Int32Array; index: number } {
    const at = this.#check(address, 4);
    return { i32: new Int32Array(this.memory.buffer), index: at >>> 2 };
  }

  write(address: number, bytes: Uint8Array): void {
    this.view(address, bytes.length).set(bytes);
  }

  /** Text of `length` bytes. @throws Fault */
  text(address: number, length: number): string {
    return new TextDecoder().decode(this.copy(address, length));
  }

  /** The address as a number from 0 up, all `length` bytes of which are there. Wasm passes both with a sign. */
  #check(address: number, length: number): number {
    const at = address < 0 ? address + 2 ** 32 : address;
    const end = at + (length >>> 0);
    if (end > this.#u8.length) this.#grow();
    if (end > this.#u8.length) throw new Fault(`no memory at ${at}`);
    return at;
  }

  #grow(): void {
    if (this.#u8.length === this.memory.buffer.byteLength) return;
    this.#u8 = new Uint8Array(this.memory.buffer);
    this.#view = new DataView(this.memory.buffer);
  }
}
