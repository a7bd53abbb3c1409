// Views of the shared structures for applications: struct netmap_if, struct netmap_ring, struct netmap_slot.
//
// Hot loops keep `ring.i32` and `ring.slotBase` in locals and write a slot's `len | flags << 16` as one word: about
// half a nanosecond a slot (npm run bench ring). The accessors are for everything else.

import {
  NETMAP_IF_BUFS_HEAD,
  NETMAP_IF_FLAGS,
  NETMAP_IF_HOST_RX_RINGS,
  NETMAP_IF_HOST_TX_RINGS,
  NETMAP_IF_NAME,
  NETMAP_IF_RING_OFS,
  NETMAP_IF_RING_OFS_SIZE,
  NETMAP_IF_RX_RINGS,
  NETMAP_IF_TX_RINGS,
  NETMAP_IFNAMSIZ,
  NETMAP_RING_BUF_OFS,
  NETMAP_RING_CUR,
  NETMAP_RING_DIR,
  NETMAP_RING_FLAGS,
  NETMAP_RING_HEAD,
  NETMAP_RING_NR_BUF_SIZE,
  NETMAP_RING_NUM_SLOTS,
  NETMAP_RING_OFFSET_MASK,
  NETMAP_RING_RINGID,
  NETMAP_RING_SLOT,
  NETMAP_RING_TAIL,
} from '../../assembly/abi/netmap.js';
import { netmapError } from '../errors.js';

/** The typed arrays through which a thread sees the memory that a region lies in. */
export interface MemoryViews {
  readonly i32: Int32Array;
  readonly u8: Uint8Array;
  /** They are others after each growth of the memory, which is not shared: `i32` and `u8` are to be asked for again. */
  readonly grows?: boolean;
  readonly wasm: RingWasm;
  /** The memory itself, where the holder of the views has it: cables then copy long frames faster. */
  readonly memory?: WebAssembly.Memory | undefined;
}

/** What applications use of the Wasm module over that memory. */
export interface RingWasm {
  slotsSwap(rxRing: number, txRing: number, limit: number, rxSlots: number, txSlots: number): number;
  slotsCopy(
    rxRing: number,
    txRing: number,
    limit: number,
    rxSlots: number,
    txSlots: number,
    rxBase: number,
    txBase: number,
    rxSize: number,
    txSize: number,
    rxBufs: number,
    txBufs: number,
  ): number;
}

/** What of the structures depends on the data model; without it, that of 64-bit machines. Bytes. */
export interface StructLayout {
  /** An entry of `ring_ofs`. */
  readonly ringOfsSize: number;
  /** Where a ring has its `offset_mask`. */
  readonly offsetMask: number;
}

const LP64: StructLayout = { ringOfsSize: NETMAP_IF_RING_OFS_SIZE, offsetMask: NETMAP_RING_OFFSET_MASK };

/** A slot as an object, for code that is not hot. Fields are those of struct netmap_slot. */
export interface NetmapSlot {
  bufIdx: number;
  len: number;
  flags: number;
}

/** struct netmap_ring: indices, slots and buffers of one ring. All addresses are bytes in the region's memory. */
export class NetmapRing {
  /**
   * View of the memory as 32-bit words. In an emulator's memory (a RAM window) it is another one after each growth: keep
   * it in a local, and no longer than until the emulator runs.
   */
  declare readonly i32: Int32Array;
  /** View of the memory as bytes; as `i32`. */
  declare readonly u8: Uint8Array;
  /** The Wasm module over the memory. */
  readonly wasm: RingWasm;
  /** The memory, if the port has it. */
  readonly memory: WebAssembly.Memory | undefined;
  /** Address of the ring. */
  readonly ptr: number;
  /** num_slots. One slot always stays unused. */
  readonly numSlots: number;
  /** nr_buf_size: bytes of a buffer. */
  readonly bufSize: number;
  /** Address of buffer 0: buffer i is at `bufBase + i * bufSize`. */
  readonly bufBase: number;
  /** Number of buffers in the region; indices from 2 on are valid. */
  readonly numBufs: number;
  /** Index in `i32` of slot 0. Slot i is at `slotBase + 4 * i`: buf_idx, len | flags << 16, ptr (two words). */
  readonly slotBase: number;
  /**
   * Low bits of offset_mask: a packet starts at `ptr & offsetMask` in its buffer; 0 = at its start. `bufAddress`, `buf`,
   * `room`, and `send` and `recv` of the port, heed it.
   */
  readonly offsetMask: number;
  readonly #w: number;

  /**
   * @param numBufs buffers in the region, from the registration or the device: never from shared memory
   * @param layout of the region's data model
   */
  constructor(views: MemoryViews, ptr: number, numBufs: number, layout = LP64) {
    const { i32, u8 } = views;
    if (views.grows) {
      Object.defineProperties(this, { i32: { get: () => views.i32 }, u8: { get: () => views.u8 } });
    } else {
      this.i32 = i32;
      this.u8 = u8;
    }
    this.wasm = views.wasm;
    this.memory = views.memory;
    this.ptr = ptr;
    this.#w = ptr >>> 2;
    this.numSlots = i32[this.#w + (NETMAP_RING_NUM_SLOTS >> 2)];
    this.bufSize = i32[this.#w + (NETMAP_RING_NR_BUF_SIZE >> 2)];
    this.bufBase = (ptr + i32[this.#w + (NETMAP_RING_BUF_OFS >> 2)]) >>> 0;
    this.numBufs = numBufs;
    this.slotBase = (ptr + NETMAP_RING_SLOT) >>> 2;
    this.offsetMask = i32[this.#w + (layout.offsetMask >> 2)];
    Object.freeze(this);
  }

  /** First slot that the application owns. */
  get head(): number {
    return this.i32[this.#w + (NETMAP_RING_HEAD >> 2)];
  }
  set head(value: number) {
    this.i32[this.#w + (NETMAP_RING_HEAD >> 2)] = value;
  }

  /** Wake-up point: the port is ready while cur != tail. */
  get cur(): number {
    return this.i32[this.#w + (NETMAP_RING_CUR >> 2)];
  }
  set cur(value: number) {
    this.i32[this.#w + (NETMAP_RING_CUR >> 2)] = value;
  }

  /** First slot that the kernel owns. */
  get tail(): number {
    return this.i32[this.#w + (NETMAP_RING_TAIL >> 2)];
  }

  /** NR_TIMESTAMP, NR_FORWARD. */
  get flags(): number {
    return this.i32[this.#w + (NETMAP_RING_FLAGS >> 2)];
  }
  set flags(value: number) {
    this.i32[this.#w + (NETMAP_RING_FLAGS >> 2)] = value;
  }

  get ringId(): number {
    return this.i32[this.#w + (NETMAP_RING_RINGID >> 2)] & 0xffff;
  }

  /** 1 for tx, 0 for rx: what netmap writes, though its header says the opposite. */
  get dir(): number {
    return (this.i32[this.#w + (NETMAP_RING_DIR >> 2)] >>> 16) & 0xffff;
  }

  /** Slots from head to tail: free ones of a tx ring, received ones of an rx ring. */
  get space(): number {
    return this.distance(this.head, this.tail);
  }

  /** Slots from `head` to `tail`, wherever they were read; 0 if one is no index of the ring, which the next sync repairs. */
  distance(head: number, tail: number): number {
    const { numSlots } = this;
    if (head >>> 0 >= numSlots || tail >>> 0 >= numSlots) return 0;
    return tail < head ? tail - head + numSlots : tail - head;
  }

  /** The slot after i. */
  next(i: number): number {
    return i + 1 === this.numSlots ? 0 : i + 1;
  }

  /** Moves head and cur on by `count` slots. */
  advance(count: number): void {
    let i = this.head + count;
    if (i >= this.numSlots) i -= this.numSlots;
    this.cur = i; // first: head must never be seen beyond cur, by a thread that syncs at this moment
    this.head = i;
  }

  slot(i: number): NetmapSlot {
    const w = this.slotBase + (i << 2);
    const lenFlags = this.i32[w + 1];
    return { bufIdx: this.i32[w] >>> 0, len: lenFlags & 0xffff, flags: lenFlags >>> 16 };
  }

  /** Writes length (bytes) and flags (NS_*) of slot i. */
  setSlot(i: number, len: number, flags = 0): void {
    this.i32[this.slotBase + (i << 2) + 1] = len | (flags << 16);
  }

  /** Where slot i's packet starts in its buffer, bytes; cropped to the buffer. */
  offset(i: number): number {
    if (this.offsetMask === 0) return 0;
    return Math.min((this.i32[this.slotBase + (i << 2) + 2] & this.offsetMask) >>> 0, this.bufSize);
  }

  /** Sets it, in the bits of `offsetMask`; larger ones than were asked for at the open are cropped by the host. */
  setOffset(i: number, offset: number): void {
    const w = this.slotBase + (i << 2) + 2;
    this.i32[w] = (this.i32[w] & ~this.offsetMask) | (offset & this.offsetMask);
  }

  /** Bytes of a packet that slot i's buffer holds. */
  room(i: number): number {
    return this.bufSize - this.offset(i);
  }

  /** Gives slot i another buffer; the flags must say NS_BUF_CHANGED. */
  setBufIdx(i: number, bufIdx: number): void {
    this.i32[this.slotBase + (i << 2)] = bufIdx;
  }

  /**
   * Address of the packet in slot i's buffer.
   * @throws NetmapError EFAULT if the slot's index is out of range (somebody has scribbled on the ring)
   */
  bufAddress(i: number): number {
    return this.#address(i, this.offset(i));
  }

  #address(i: number, offset: number): number {
    const idx = this.i32[this.slotBase + (i << 2)] >>> 0;
    if (idx < 2 || idx >= this.numBufs)
      throw netmapError('EFAULT', `slot ${i} names buffer ${idx}`, { op: 'bufAddress' });
    return this.bufBase + idx * this.bufSize + offset;
  }

  /** The first `len` bytes of the packet in slot i's buffer: a view, valid until the slot is released. */
  buf(i: number, len = this.bufSize): Uint8Array {
    const offset = this.offset(i); // once: others may write it
    const at = this.#address(i, offset);
    return this.u8.subarray(at, at + Math.min(len, this.bufSize - offset));
  }
}

/** struct netmap_if: the directory of the rings of one open port. */
export class NetmapIf {
  readonly #views: MemoryViews;
  readonly ptr: number;
  readonly #entry: number;

  /** @param layout of the data model that it was written for */
  constructor(views: MemoryViews, ptr: number, layout = LP64) {
    this.#views = views;
    this.ptr = ptr;
    this.#entry = layout.ringOfsSize;
  }

  get name(): string {
    const bytes = this.#views.u8.slice(this.ptr + NETMAP_IF_NAME, this.ptr + NETMAP_IF_NAME + NETMAP_IFNAMSIZ);
    const end = bytes.indexOf(0);
    return String.fromCharCode(...bytes.subarray(0, end < 0 ? bytes.length : end));
  }

  /** NI_PRIV_MEM. */
  get flags(): number {
    return this.#word(NETMAP_IF_FLAGS);
  }
  get txRings(): number {
    return this.#word(NETMAP_IF_TX_RINGS);
  }
  get rxRings(): number {
    return this.#word(NETMAP_IF_RX_RINGS);
  }
  get hostTxRings(): number {
    return this.#word(NETMAP_IF_HOST_TX_RINGS);
  }
  get hostRxRings(): number {
    return this.#word(NETMAP_IF_HOST_RX_RINGS);
  }
  /** First extra buffer, 0 = none; the first word of each names the next. Who takes some gives others back in their place. */
  get bufsHead(): number {
    return this.#word(NETMAP_IF_BUFS_HEAD);
  }
  set bufsHead(index: number) {
    this.#views.i32[(this.ptr + NETMAP_IF_BUFS_HEAD) >>> 2] = index;
  }

  /** ring_ofs[i]: distance of ring i from this struct in bytes, 0 = not bound. Order: tx, host tx, rx, host rx. */
  ringOfs(i: number): number {
    return this.#word(NETMAP_IF_RING_OFS + i * this.#entry);
  }

  #word(offset: number): number {
    return this.#views.i32[(this.ptr + offset) >>> 2];
  }
}
