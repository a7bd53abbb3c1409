// A netmap_ring in a memory of its own, with nobody behind it: the test is the port.
import { abi, NetmapRing } from '../../src/index.js';

const {
  NETMAP_RING_BUF_OFS,
  NETMAP_RING_NR_BUF_SIZE,
  NETMAP_RING_NUM_SLOTS,
  NETMAP_RING_OFFSET_MASK,
  NETMAP_RING_SLOT,
  NETMAP_RING_TAIL,
} = abi;
const RING = 4096;
const SLOT = 16;

export interface FakeGeometry {
  readonly slots: number;
  readonly bufSize: number;
  /** Where buffers begin behind the slots: a multiple of 4 unless words are not to be copied. */
  readonly skew?: number;
  readonly shared?: boolean;
  /** offset_mask. */
  readonly offsetMask?: number;
  /** Pages that the memory may grow by. */
  readonly grows?: number;
}

export class FakeRing {
  readonly memory: WebAssembly.Memory;
  readonly ring: NetmapRing;
  readonly u8: Uint8Array;

  constructor({ slots, bufSize, skew = 0, shared = false, offsetMask = 0, grows = 0 }: FakeGeometry) {
    const buffers = RING + NETMAP_RING_SLOT + slots * SLOT + 64 + skew;
    const numBufs = slots + 2;
    const pages = Math.ceil((buffers + numBufs * bufSize + 4096) / 65536);
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages + grows, shared });
    const { buffer } = this.memory;
    this.u8 = new Uint8Array(buffer);
    const i32 = new Int32Array(buffer);
    const set = (field: number, value: number): void => {
      i32[(RING + field) >>> 2] = value;
    };
    set(NETMAP_RING_BUF_OFS, buffers - RING);
    set(NETMAP_RING_NUM_SLOTS, slots);
    set(NETMAP_RING_NR_BUF_SIZE, bufSize);
    set(NETMAP_RING_OFFSET_MASK, offsetMask);
    // A ring's own words do not move frames: nothing here calls the Wasm.
    const wasm = { slotsSwap: () => 0, slotsCopy: () => 0 };
    this.ring = new NetmapRing({ i32, u8: this.u8, wasm, memory: this.memory }, RING, numBufs);
    for (let i = 0; i < slots; i++) this.ring.setBufIdx(i, 2 + i);
  }

  set tail(value: number) {
    this.ring.i32[(RING + NETMAP_RING_TAIL) >>> 2] = value;
  }

  /** Puts a slot with its bytes before the tail, as a port does that has received it. False if the ring is full. */
  arrive(bytes: Uint8Array, flags: number, len = bytes.length, bufIdx?: number): boolean {
    const { ring } = this;
    const i = ring.tail;
    if (ring.next(i) === ring.head) return false;
    const own = 2 + i;
    ring.setBufIdx(i, bufIdx ?? own);
    ring.setSlot(i, len, flags);
    ring.u8.set(bytes, ring.bufBase + own * ring.bufSize);
    this.tail = ring.next(i);
    return true;
  }
}
