// The oracle: rings, krings and pipes as plain objects, the slow and obvious way. It is written from netmap's documented
// behaviour and from the DIFF notes in the code, never from the code's own arithmetic. See oracle.test.ts.

import type { Watch } from './oracle-monitor.js';

export interface Slot {
  bufIdx: number;
  len: number;
  flags: number;
  ptr: number;
}

/** What an application sees. */
export interface Ring {
  head: number;
  cur: number;
  tail: number;
  slots: Slot[];
}

export type Dir = 'tx' | 'rx';

/** A packet that the switch counts as dropped, by reason: the names that `counters()` reports. */
export type Drop =
  | 'short'
  | 'self'
  | 'noPort'
  | 'noSpace'
  | 'badSlot'
  | 'tooLong'
  | 'fragments'
  | 'busy'
  | 'header'
  | 'gso'
  | 'filtered'
  | 'lookup';

export const NS_BUF_CHANGED = 1;
export const NS_INDIRECT = 16;
export const NS_MOREFRAG = 32;
export const NS_TXMON = 64;

/** A region: its buffers, and how many objects of its other pools are left. */
export class Region {
  users = 0;
  /** The first buffer above which nothing was ever handed out or written: all zero. */
  high = 2;
  readonly numBufs: number;
  readonly bufSize: number;
  readonly ringBytes: number;
  freeIfs: number;
  freeRings: number;
  readonly #taken = new Set<number>();
  #lowest = 2; // none below it is free
  /** All buffers, one behind the other. */
  readonly data: Uint8Array;

  constructor(numBufs: number, bufSize: number, ifs: number, rings: number, ringBytes: number) {
    this.numBufs = numBufs;
    this.bufSize = bufSize;
    this.freeIfs = ifs;
    this.freeRings = rings;
    this.ringBytes = ringBytes;
    this.data = new Uint8Array(numBufs * bufSize);
  }

  get freeBufs(): number {
    return this.numBufs - 2 - this.#taken.size;
  }

  /** The lowest free buffer; 0 and 1 are nobody's. */
  take(): number {
    let i = this.#lowest;
    while (this.#taken.has(i)) i++;
    this.#taken.add(i);
    this.#lowest = i + 1;
    this.high = Math.max(this.high, i + 1);
    return i;
  }

  /** A buffer that is given back is zeroed. What is not handed out cannot be given back. */
  give(i: number): void {
    if (!this.#taken.delete(i)) return;
    this.bytes(i).fill(0);
    this.#lowest = Math.min(this.#lowest, i);
  }

  isTaken(i: number): boolean {
    return this.#taken.has(i);
  }

  /** Extra buffers: a list through the first word of each, as many as there are. Returns its first one and how many. */
  takeList(wanted: number): { head: number; granted: number } {
    const granted = Math.min(wanted, this.freeBufs);
    let head = 0;
    for (let k = 0; k < granted; k++) {
      const i = this.take();
      this.#link(i).setUint32(0, head, true);
      head = i;
    }
    return { head, granted };
  }

  /** Gives the list back as far as it names buffers that are handed out. */
  giveList(head: number): void {
    for (let i = head; this.isTaken(i); ) {
      const next = this.#link(i).getUint32(0, true);
      this.give(i);
      i = next;
    }
  }

  #link(i: number): DataView {
    return new DataView(this.data.buffer, i * this.bufSize, 4);
  }

  isBuffer(i: number): boolean {
    return i >= 2 && i < this.numBufs;
  }

  bytes(i: number): Uint8Array {
    this.high = Math.max(this.high, i + 1);
    return this.data.subarray(i * this.bufSize, (i + 1) * this.bufSize);
  }

  /** Whether slot's index and length are sound. */
  sound({ bufIdx, len }: Slot): boolean {
    return this.isBuffer(bufIdx) && len <= this.bufSize;
  }
}

/** Memory of a program's, from which a VALE port sends slots with NS_INDIRECT. */
export interface ProgramRange {
  readonly owner: object;
  readonly address: number;
  readonly length: number;
  readonly bytes: Uint8Array;
}

export class Kring {
  readonly region: Region;
  readonly dir: Dir;
  readonly index: number;
  readonly n: number;
  ring: Ring | undefined;
  users = 0;
  exclusive = false;
  /** Its port, or what that watches, is gone. */
  stopped = false;
  /** flags of the netmap_ring. */
  flags = 0;
  /** What the ring's kind does between prologue and finalize, and what comes before that when slots are released. */
  sync: PortSync = () => {};
  beforeRx: PortSync | undefined;
  /** Copy monitors, the newest first; the first zero-copy monitor. */
  watches: Watch[] = [];
  zmon: Kring | undefined;
  isMonitor = false;
  /** VALE ports, tx: the port's ranges. */
  ranges: ProgramRange[] | undefined;
  /** Copy monitors: the rx ring that this one watches. */
  pulls: Kring | undefined;
  /** Pipes: the kring at the other end. */
  peer: Kring | undefined;
  /** What runs this ring for a guest; told of every notification. */
  loop: { event: boolean } | undefined;
  rhead = 0;
  rcur = 0;
  rtail = 0;
  hwcur = 0;
  hwtail = 0;
  /** How far the other side (pipe peer, switch) has come. */
  mailTail = 0;
  packets = 0;
  bytes = 0;
  reinits = 0;
  badSlots = 0;
  /** Pipes, rx: of the peer's slots that were taken. */
  badTaken = 0;
  kicks = 0;
  interrupts = 0;
  delivered = 0;
  deliveredBytes = 0;
  readonly drops: Record<Drop, number> = {
    short: 0,
    self: 0,
    noPort: 0,
    noSpace: 0,
    badSlot: 0,
    tooLong: 0,
    fragments: 0,
    busy: 0,
    header: 0,
    gso: 0,
    filtered: 0,
    lookup: 0,
  };

  constructor(region: Region, dir: Dir, index: number, n: number) {
    this.region = region;
    this.dir = dir;
    this.index = index;
    this.n = n;
  }

  /** Packet offsets: bits of a slot's ptr, 0 = none, and the largest one. */
  mask = 0n;
  maxOffset = 0;

  /** Where in its buffer a slot's packet starts; larger offsets are cropped. */
  offset({ ptr }: Slot): number {
    return Math.min(Number(BigInt(ptr) & this.mask), this.maxOffset);
  }

  /** Bytes that the slot's buffer has behind its offset. */
  room(slot: Slot): number {
    return this.region.bufSize - this.offset(slot);
  }

  sound(slot: Slot): boolean {
    return this.region.isBuffer(slot.bufIdx) && slot.len <= this.room(slot);
  }

  /** What a slot's buffer has from its offset on. */
  data(slot: Slot): Uint8Array {
    return this.region.bytes(slot.bufIdx).subarray(this.offset(slot));
  }

  /** A fresh ring: a tx ring is all the application's but one slot, an rx ring is empty. */
  makeRing(bufs: readonly number[]): void {
    const tail = this.dir === 'tx' ? this.n - 1 : 0;
    const len = this.region.bufSize;
    this.ring = { head: 0, cur: 0, tail, slots: bufs.map((bufIdx) => ({ bufIdx, len, flags: 0, ptr: 0 })) };
    this.rhead = this.rcur = this.hwcur = 0;
    this.rtail = this.hwtail = this.mailTail = tail;
    this.flags = 0;
    for (const watch of this.watches) watch.seen = tail;
  }

  /** The slots from `from` up to, not including, `to`. */
  range(from: number, to: number): number[] {
    const indices: number[] = [];
    for (let i = from; i !== to; i = this.next(i)) indices.push(i);
    return indices;
  }

  next(i: number): number {
    return (i + 1) % this.n;
  }

  prev(i: number): number {
    return (i + this.n - 1) % this.n;
  }

  get shown(): Ring {
    if (!this.ring) throw new Error('the oracle synced a ring that does not exist');
    return this.ring;
  }

  notify(): void {
    if (this.loop) this.loop.event = true;
  }
}

/** Walking from lo to hi, one must meet head, and then cur. */
export function legal(kr: Kring, head: number, cur: number, lo: number, hi: number): boolean {
  const path = [...kr.range(lo, hi), hi];
  const h = path.indexOf(head);
  return h >= 0 && path.indexOf(cur) >= h;
}

/** A failed prologue: slots that make no sense are emptied, and the indices are always put back (DIFF). */
export function reinit(kr: Kring): void {
  const ring = kr.shown;
  for (const slot of ring.slots) {
    if (kr.region.sound(slot)) continue;
    if (!kr.region.isBuffer(slot.bufIdx)) slot.bufIdx = 0;
    slot.len = 0;
    kr.badSlots++;
  }
  kr.reinits++;
  ring.head = ring.cur = kr.rhead = kr.rcur = kr.hwcur;
  ring.tail = kr.rtail = kr.hwtail;
}

/** What a kring's kind does between prologue and finalize. */
export type PortSync = (kr: Kring) => void;

/** One ring of NIOCTXSYNC or NIOCRXSYNC: a bad tx ring sends nothing, a bad rx ring still receives. */
export function ringSync(kr: Kring, sync: PortSync): void {
  const ring = kr.shown;
  const [lo, hi] = kr.dir === 'tx' ? [kr.rhead, kr.rtail] : [kr.hwcur, kr.hwtail];
  if (legal(kr, ring.head, ring.cur, lo, hi)) {
    kr.rhead = ring.head;
    kr.rcur = ring.cur;
  } else {
    reinit(kr);
    if (kr.dir === 'tx') return;
  }
  sync(kr);
  ring.tail = kr.rtail = kr.hwtail;
}

/** Only whole packets are shown to the peer, who takes their slots when it syncs. */
function pipeTxsync(kr: Kring): void {
  const peer = kr.peer as Kring;
  kr.hwtail = kr.mailTail;
  const ends = kr.range(kr.hwcur, kr.rhead).filter((k) => !(kr.shown.slots[k].flags & NS_MOREFRAG));
  kr.hwcur = kr.rhead;
  if (ends.length === 0) return;
  peer.mailTail = kr.next(ends[ends.length - 1]);
  peer.notify();
}

/** Slots are copied from the sender, payload never; released ones go back to it, with buffers that the receiver has put in. */
function pipeRxsync(kr: Kring): void {
  take(kr, kr.peer as Kring);
  giveBack(kr, kr.peer as Kring);
}

function take(kr: Kring, peer: Kring): void {
  let [bytes, bad] = [0, 0]; // of a packet whose end has not come yet
  for (const k of kr.range(kr.hwtail, kr.mailTail)) {
    const from = peer.shown.slots[k];
    const to = kr.shown.slots[k];
    const { flags } = from;
    if (peer.sound(from)) {
      Object.assign(to, from);
      bytes += from.len;
      from.flags &= ~NS_BUF_CHANGED;
    } else {
      // DIFF: the receiver keeps its buffer, and finds an empty slot
      to.len = 0;
      to.flags = flags & NS_MOREFRAG;
      bad++;
    }
    if (flags & NS_MOREFRAG) continue;
    kr.packets++;
    kr.bytes += bytes;
    kr.badTaken += bad;
    [bytes, bad] = [0, 0];
    kr.hwtail = kr.next(k); // DIFF: the sender may have made an end something else since it was shown
  }
}

function giveBack(kr: Kring, peer: Kring): void {
  if (kr.hwcur === kr.rhead) return;
  for (const k of kr.range(kr.hwcur, kr.rhead)) {
    const from = kr.shown.slots[k];
    const to = peer.shown.slots[k];
    // DIFF: netmap writes each
    const same = from.bufIdx === to.bufIdx && from.len === to.len && from.flags === to.flags;
    if (same && kr.mask === 0n) continue;
    if (kr.sound(from)) {
      Object.assign(to, from);
      from.flags &= ~NS_BUF_CHANGED;
    } else {
      kr.badSlots++; // DIFF: the sender keeps the buffer that it has
    }
  }
  kr.hwcur = kr.rhead;
  peer.mailTail = kr.prev(kr.rhead);
  peer.notify();
}

/** What a ring of a pipe has sent: what the peer has taken, and what it has been shown. */
export function pipeSent(tx: Kring): { packets: number; bytes: number } {
  const rx = tx.peer as Kring;
  let { packets, bytes } = rx;
  for (const k of rx.range(rx.hwtail, rx.mailTail)) {
    const slot = tx.shown.slots[k];
    if (tx.region.sound(slot)) bytes += slot.len;
    if (!(slot.flags & NS_MOREFRAG)) packets++;
  }
  return { packets, bytes };
}

export function pipeSync(kr: Kring): void {
  if (kr.dir === 'tx') pipeTxsync(kr);
  else pipeRxsync(kr);
}

/** Buffers that a pair of a pipe's rings holds: the receiver's where it has taken a slot, else the sender's. */
export function pairBufs(tx: Kring): number[] {
  const rx = tx.peer as Kring;
  const waiting = new Set(rx.range(rx.hwcur, rx.hwtail));
  return tx.shown.slots.map(({ bufIdx }, k) => (waiting.has(k) ? rx.shown.slots[k].bufIdx : bufIdx));
}
