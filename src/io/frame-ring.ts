// A ring of frames between two threads, in a SharedArrayBuffer: one thread lets the operating system write frames
// straight into it, the other takes them out where they lie.
//
//   words 0 .. 15    head: bytes taken   tail: bytes given   stop   (a cache line apart)
//   then             records: length (u32), 4 bytes of padding, frame, padding to 8 bytes
//
// A frame lies in one piece: where too little is left before the end, a length of WRAP says that the next record is at
// the start. head = tail means empty, so a record is only placed where tail cannot catch up with head.

const HEAD = 0;
const TAIL = 16;
const STOP = 32;
const CONTROL = 48 * 4;
const RECORD_HEADER = 8;
const WRAP = 0xffffffff;

const align8 = (n: number): number => (n + 7) & ~7;

/** What both ends of a ring share. */
export class FrameRing {
  readonly buffer: SharedArrayBuffer;
  /** Bytes of records. */
  readonly capacity: number;
  /** Bytes that the longest frame has. */
  readonly maxFrame: number;
  /** All of the buffer. */
  readonly u8: Uint8Array;
  readonly #words: Int32Array;
  readonly #u32: Uint32Array;
  /** Own copies of the index that this end moves. */
  #head: number;
  #tail: number;

  /** Makes a ring. @param capacity bytes, at least twice the longest frame; rounded down to a multiple of 8 */
  static create(capacity: number, maxFrame: number): FrameRing {
    return new FrameRing(new SharedArrayBuffer(CONTROL + (capacity & ~7)), maxFrame);
  }

  /** The ring in a buffer that another thread has made. */
  constructor(buffer: SharedArrayBuffer, maxFrame: number) {
    this.buffer = buffer;
    this.capacity = buffer.byteLength - CONTROL;
    this.maxFrame = maxFrame;
    this.u8 = new Uint8Array(buffer);
    this.#words = new Int32Array(buffer, 0, CONTROL / 4);
    this.#u32 = new Uint32Array(buffer);
    this.#head = this.#words[HEAD];
    this.#tail = this.#words[TAIL];
  }

  /** Producer: offset in the buffer of room for the longest frame, or -1 while there is none. */
  reserve(): number {
    const need = RECORD_HEADER + align8(this.maxFrame);
    const head = Atomics.load(this.#words, HEAD);
    const tail = this.#tail;
    if (tail < head) return head - tail > need ? this.#at(tail) : -1;
    const left = this.capacity - tail;
    if (left > need || (left === need && head !== 0)) return this.#at(tail);
    if (head <= need) return -1;
    this.#u32[(CONTROL + tail) >>> 2] = WRAP;
    this.#tail = 0;
    return this.#at(0);
  }

  #at(position: number): number {
    return CONTROL + position + RECORD_HEADER;
  }

  /** Producer: gives the frame of `length` bytes that is in the reserved room, and wakes the consumer. */
  commit(length: number): void {
    this.#u32[(CONTROL + this.#tail) >>> 2] = length;
    const next = this.#tail + RECORD_HEADER + align8(length);
    this.#tail = next === this.capacity ? 0 : next;
    Atomics.store(this.#words, TAIL, this.#tail);
    Atomics.notify(this.#words, TAIL);
  }

  /** Producer: blocks until the consumer has taken something, the ring is stopped, or `timeout` ms have passed. */
  waitForRoom(timeout: number): void {
    const head = Atomics.load(this.#words, HEAD);
    if (this.stopped || this.reserve() >= 0) return;
    Atomics.wait(this.#words, HEAD, head, timeout);
  }

  /** Consumer: the oldest frame, where it lies; the same one until `shift`. Undefined when there is none. */
  peek(): Uint8Array | undefined {
    if (this.#head === Atomics.load(this.#words, TAIL)) return undefined;
    let length = this.#u32[(CONTROL + this.#head) >>> 2];
    if (length === WRAP) {
      this.#head = 0;
      length = this.#u32[CONTROL >>> 2];
    }
    const at = this.#at(this.#head);
    return this.u8.subarray(at, at + length);
  }

  /**
   * Consumer: forgets the frame that `peek` has shown. Its room is the producer's once `release` is called.
   * @returns its length
   */
  shift(): number {
    const length = this.#u32[(CONTROL + this.#head) >>> 2];
    const next = this.#head + RECORD_HEADER + align8(length);
    this.#head = next === this.capacity ? 0 : next;
    return length;
  }

  /** Consumer: gives the room of all shifted frames back. */
  release(): void {
    if (this.#words[HEAD] === this.#head) return;
    Atomics.store(this.#words, HEAD, this.#head);
    Atomics.notify(this.#words, HEAD);
  }

  /** Consumer: resolves when there is a frame, or the ring is stopped. Undefined when that is so already. */
  whenFilled(): Promise<unknown> | undefined {
    const wait = Atomics.waitAsync(this.#words, TAIL, this.#head);
    return wait.async && !this.stopped ? wait.value : undefined;
  }

  get stopped(): boolean {
    return Atomics.load(this.#words, STOP) !== 0;
  }

  /** Either end: no more frames; wakes both. */
  stop(): void {
    Atomics.store(this.#words, STOP, 1);
    Atomics.notify(this.#words, HEAD);
    Atomics.notify(this.#words, TAIL);
  }
}
