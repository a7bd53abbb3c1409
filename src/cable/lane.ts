// One rx ring of a port, copied into one tx ring of a port in another memory. Neither ring is believed: every index,
// length and flag is read once, checked, and only then used. All that is kept between two looks is whether the rest of a
// packet is to be skipped, so a ring that its port has reset is taken as it is found.

import {
  NETMAP_MAX_FRAGS,
  NETMAP_RING_CUR,
  NETMAP_RING_HEAD,
  NS_INDIRECT,
  NS_MOREFRAG,
  NS_RFRAGS_SHIFT,
  NS_TXMON,
} from '../../assembly/abi/netmap.js';
import type { NetmapRing } from '../ring/ring.js';
import { type Copy, makeCopy } from './copy.js';
import type { Tally } from './counters.js';

/** What a lane waits for after a look: packets in the rx ring, or room in the tx ring; or its limit was reached. */
export const EMPTY = 0;
export const FULL = 1;
export const LIMIT = 2;

const MORE = NS_MOREFRAG << 16;
const INDIRECT = NS_INDIRECT << 16;
const TXMON = NS_TXMON << 16;
const RFRAGS = 0xff << (NS_RFRAGS_SHIFT + 16);
const LENGTH = 0xffff;
/** Flags of `len | flags << 16` that a whole frame in one slot does not have. */
const UNUSUAL = MORE | INDIRECT;
/** A slot without a frame, as receivers skip it. */
const NOTHING = 0;

/** What a packet's way to its slots ends with. */
type Drop = 'fragments' | 'tooLong';

/** How a lane passes packets on. */
export interface LaneOptions {
  /** Largest packet offsets of the two rings, bytes, if they have offsets. Default: the size of their buffers. */
  readonly srcOffset?: number;
  readonly dstOffset?: number;
  /** Keeps NS_TXMON, and the number of a packet's slots (NS_RFRAGS). */
  readonly marks?: boolean;
  /** Slots with NS_INDIRECT name packets anywhere in the source's memory. */
  readonly indirect?: boolean;
}

export class Lane {
  readonly src: NetmapRing;
  readonly dst: NetmapRing;
  /** EMPTY, FULL or LIMIT: after `move`. */
  waits = EMPTY;
  /** Slots that the last `move` has taken. */
  moved = 0;
  readonly #tally: Tally;
  readonly #copy: Copy;
  /** Largest frame that fits one slot on either side; 0 when the packets have offsets. */
  readonly #single: number;
  readonly #srcOffset: number;
  readonly #dstOffset: number;
  readonly #indirect: boolean;
  /** Bits of `len | flags << 16` that a frame in one slot keeps. */
  readonly #kept: number;
  /** Indices, while `move` runs. */
  #r = 0;
  #rEnd = 0;
  #t = 0;
  #tEnd = 0;
  #bytes = 0;
  /** The packet at #r: address and length of what is in each slot, and whether that is no buffer. */
  readonly #sources = new Uint32Array(NETMAP_MAX_FRAGS);
  readonly #lens = new Int32Array(NETMAP_MAX_FRAGS);
  readonly #isIndirect = new Uint8Array(NETMAP_MAX_FRAGS);
  #marks = 0;
  /** Where it goes to: address and length of each part, address 0 = the slot names no buffer. */
  readonly #targets = new Uint32Array(NETMAP_MAX_FRAGS);
  readonly #parts = new Int32Array(NETMAP_MAX_FRAGS);
  /** The packet's first slots were dropped, and the rest is to follow them. */
  #skips = false;
  #wasBad = false;

  constructor(src: NetmapRing, dst: NetmapRing, tally: Tally, options: LaneOptions = {}) {
    this.src = src;
    this.dst = dst;
    this.#tally = tally;
    this.#copy = makeCopy(dst, src);
    this.#srcOffset = options.srcOffset ?? src.bufSize;
    this.#dstOffset = options.dstOffset ?? dst.bufSize;
    this.#indirect = options.indirect ?? false;
    this.#kept = options.marks ? LENGTH | TXMON | RFRAGS : LENGTH;
    this.#single = src.offsetMask !== 0 || dst.offsetMask !== 0 ? 0 : Math.min(src.bufSize, dst.bufSize);
  }

  /**
   * One look at both rings: copies packets, at most about `slots` slots and `bytes` bytes, and advances head and cur of
   * both. Both ports are to be synced before. False if nothing has changed that the ports should know.
   */
  move(slots: number, bytes: number): boolean {
    this.moved = 0;
    this.waits = EMPTY;
    const { src, dst } = this;
    const r = src.head;
    const t = dst.head;
    this.#rEnd = src.tail;
    this.#tEnd = dst.tail;
    const n = src.numSlots;
    const m = dst.numSlots;
    if (t >>> 0 >= m || this.#tEnd >>> 0 >= m) this.waits = FULL;
    if (this.waits === FULL || r >>> 0 >= n || this.#rEnd >>> 0 >= n) return this.#bad();
    this.#wasBad = false;
    this.#r = r;
    this.#t = t;
    this.#bytes = 0;
    do this.#plain(slots, bytes);
    while (this.waits === EMPTY && this.#r !== this.#rEnd && this.#unusual(slots));
    this.#tally.bytes += this.#bytes;
    return this.#publish(r, t);
  }

  /** Somebody has scribbled on a ring: its port's sync repairs it. Once; who insists is not waited upon. */
  #bad(): boolean {
    this.#tally.badRings++;
    const first = !this.#wasBad;
    this.#wasBad = true;
    return first;
  }

  /** Copies frames of one slot each, up to the first slot that is anything else, in a loop of its own. */
  #plain(slots: number, bytes: number): void {
    const { src, dst } = this;
    if (this.#skips) return;
    const s = src.i32;
    const d = dst.i32;
    const { slotBase: sSlots, bufBase: sBufs, bufSize: sSize, numSlots: sNum } = src;
    const { slotBase: dSlots, bufBase: dBufs, bufSize: dSize, numSlots: dNum } = dst;
    const sLimit = src.numBufs - 2;
    const dLimit = dst.numBufs - 2;
    const single = this.#single;
    const copy = this.#copy;
    const kept = this.#kept;
    const rEnd = this.#rEnd;
    const tEnd = this.#tEnd;
    let r = this.#r;
    let t = this.#t;
    let frames = 0;
    let sum = 0;
    let left = slots - this.moved;
    const most = bytes - this.#bytes;
    while (r !== rEnd) {
      if (left <= 0 || sum >= most) {
        this.waits = LIMIT;
        break;
      }
      const w = sSlots + (r << 2);
      const from = s[w];
      const word = s[w + 1];
      const len = word & 0xffff;
      if ((word & UNUSUAL) !== 0 || (from - 2) >>> 0 >= sLimit || (len - 1) >>> 0 >= single) break;
      if (t === tEnd) {
        this.waits = FULL;
        break;
      }
      const slot = dSlots + (t << 2);
      const to = d[slot];
      if ((to - 2) >>> 0 >= dLimit) break;
      copy(dBufs + to * dSize, sBufs + from * sSize, len);
      d[slot + 1] = word & kept;
      sum += len;
      frames++;
      left--;
      r = r + 1 === sNum ? 0 : r + 1;
      t = t + 1 === dNum ? 0 : t + 1;
    }
    this.#r = r;
    this.#t = t;
    this.#bytes += sum;
    this.#tally.frames += frames;
    this.moved += frames;
  }

  /** Takes the packet at #r, whatever it is like. False if it has to wait. */
  #unusual(slots: number): boolean {
    if (this.moved >= slots) {
      this.waits = LIMIT;
      return false;
    }
    const { src, dst } = this;
    const { numSlots: n } = src;
    const most = Math.min(NETMAP_MAX_FRAGS, n - 1);
    let count = 0;
    let sound = true;
    let total = 0;
    let need = 0;
    let more = true;
    for (let i = this.#r; more && count < most && i !== this.#rEnd; i = i + 1 === n ? 0 : i + 1, count++) {
      const word = src.i32[src.slotBase + (i << 2) + 1];
      const len = word & LENGTH;
      more = (word & MORE) !== 0;
      const at = this.#source(i, word, len);
      sound &&= at !== 0;
      if (count === 0) this.#marks = word & this.#kept & ~LENGTH;
      this.#sources[count] = at;
      this.#lens[count] = len;
      this.#isIndirect[count] = word & INDIRECT ? 1 : 0;
      total += len;
      need += Math.ceil(len / dst.bufSize);
    }
    if (more && count < most && !this.#skips) return false; // its end has not come yet
    if (this.#skips || more) {
      if (!this.#skips) this.#tally.drops.fragments++;
      this.#skips = more;
    } else if (!sound) {
      this.#tally.drops.badSlot++;
    } else if (total === 0) {
      this.#tally.drops.empty++;
    } else if (need > NETMAP_MAX_FRAGS) {
      this.#tally.drops.fragments++;
    } else if (need > dst.numSlots - 1) {
      this.#tally.drops.tooLong++;
    } else if (!this.#send(count, total, need)) {
      return false;
    }
    this.moved += count;
    this.#r = (this.#r + count) % n;
    return true;
  }

  /** Address of what is in slot i of the source; 0 if that does not lie where it may. */
  #source(i: number, word: number, len: number): number {
    const { src } = this;
    const w = src.slotBase + (i << 2);
    if (word & INDIRECT) {
      const at = src.i32[w + 2] >>> 0;
      const inside = this.#indirect && src.i32[w + 3] === 0 && at + len <= memoryOf(src).byteLength;
      return inside ? at : 0;
    }
    const from = src.i32[w];
    const offset = Math.min(src.offset(i), this.#srcOffset); // once: others may write it
    if ((from - 2) >>> 0 >= src.numBufs - 2 || len > src.bufSize - offset) return 0;
    return src.bufBase + from * src.bufSize + offset;
  }

  /** Copies a sound packet of `count` slots, all of it or nothing. False if there is no room for it now. */
  #send(count: number, total: number, need: number): boolean {
    const { dst } = this;
    const { numSlots: m } = dst;
    if ((this.#tEnd - this.#t + m) % m < need) {
      this.waits = FULL;
      return false;
    }
    const parts = this.#plan(count);
    if (parts === 0) {
      this.waits = FULL;
      return false;
    }
    if (typeof parts === 'string') {
      this.#tally.drops[parts]++;
    } else if (this.#targets.subarray(0, parts).every((at) => at !== 0)) {
      this.#copyPacket(count, parts);
      this.#tally.frames++;
      this.#bytes += total;
    } else {
      // The slots are passed on empty: the port counts and repairs them as it does with anybody's.
      for (let k = 0; k < parts; k++) this.#put(NOTHING);
      this.#tally.drops.badBuffer++;
    }
    return true;
  }

  /**
   * Finds the packet's places in the next slots of the destination. Slots that are larger than the room there are split,
   * and empty ones left out. How many slots it takes; 0: more than are free now.
   */
  #plan(count: number): number | Drop {
    const { dst } = this;
    const { numSlots: m } = dst;
    let k = 0;
    let t = this.#t;
    for (let i = 0; i < count; i++) {
      for (let left = this.#lens[i]; left > 0; k++) {
        if (k === NETMAP_MAX_FRAGS) return 'fragments';
        if (k === m - 1) return 'tooLong';
        if (t === this.#tEnd) return 0;
        const to = dst.i32[dst.slotBase + (t << 2)];
        const offset = Math.min(dst.offset(t), this.#dstOffset); // once: others may write it
        const part = Math.min(left, dst.bufSize - offset);
        this.#targets[k] = (to - 2) >>> 0 < dst.numBufs - 2 ? dst.bufBase + to * dst.bufSize + offset : 0;
        this.#parts[k] = part;
        left -= part;
        t = t + 1 === m ? 0 : t + 1;
      }
    }
    return k;
  }

  #copyPacket(count: number, parts: number): void {
    const marks = (this.#marks & TXMON) | (this.#marks & RFRAGS ? parts << (NS_RFRAGS_SHIFT + 16) : 0);
    let k = 0;
    for (let i = 0; i < count; i++) {
      for (let at = 0; at < this.#lens[i]; at += this.#parts[k], k++) {
        const part = this.#parts[k];
        this.#copyPart(this.#targets[k], this.#sources[i] + at, part, this.#isIndirect[i] !== 0);
        this.#put(part | marks | (k + 1 < parts ? MORE : 0));
      }
    }
  }

  /** What lies behind the memory that the views show has come since they were made. */
  #copyPart(to: number, from: number, len: number, isIndirect: boolean): void {
    if (isIndirect) this.dst.u8.set(new Uint8Array(memoryOf(this.src), from, len), to);
    else this.#copy(to, from, len);
  }

  /** Writes length and flags of the next slot. */
  #put(word: number): void {
    const { dst } = this;
    dst.i32[dst.slotBase + (this.#t << 2) + 1] = word;
    this.#t = this.#t + 1 === dst.numSlots ? 0 : this.#t + 1;
  }

  /**
   * Tells both ports how far the lane is. cur asks for what it waits for, more packets or more room, as an application's
   * does; where it does not wait, cur is head, so that nobody wakes it.
   */
  #publish(oldR: number, oldT: number): boolean {
    const { src, dst } = this;
    const waitsForPackets = this.waits === EMPTY;
    let changed = set(src, NETMAP_RING_CUR, waitsForPackets ? this.#rEnd : this.#r);
    if (this.#r !== oldR) changed = set(src, NETMAP_RING_HEAD, this.#r) || changed;
    // Other lanes may share the tx ring: who does not use it leaves it alone.
    if (this.waits === FULL) changed = set(dst, NETMAP_RING_CUR, this.#tEnd) || changed;
    else if (this.#t !== oldT) changed = set(dst, NETMAP_RING_CUR, this.#t) || changed;
    if (this.#t !== oldT) changed = set(dst, NETMAP_RING_HEAD, this.#t) || changed;
    return changed || this.moved !== 0;
  }
}

function set(ring: NetmapRing, field: number, value: number): boolean {
  const w = (ring.ptr + field) >>> 2;
  if (ring.i32[w] === value) return false;
  ring.i32[w] = value;
  return true;
}

/** The memory of a ring as it is now: it may have grown. */
function memoryOf({ memory, u8 }: NetmapRing): ArrayBufferLike {
  if (!memory || !(u8.buffer instanceof SharedArrayBuffer)) return u8.buffer;
  memory.grow(0); // this thread's view does not grow by itself
  return memory.buffer;
}
