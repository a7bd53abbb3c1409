// Whole packets into and out of a wire, for backends whose outside gives and takes them in memory of its own.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { NS_MOREFRAG, POLLERR, POLLIN } from '../../abi.js';
import type { NetmapPort } from '../../ring/port.js';
import type { NetmapRing } from '../../ring/ring.js';
import type { DropReason } from './counters.js';

/** Bytes of an Ethernet header: no packet is shorter. */
export const MIN_PACKET = 14;

/** Why a packet of this length is refused. */
export function oversizedOrRunt(length: number): 'oversized' | 'runt' {
  return length < MIN_PACKET ? 'runt' : 'oversized';
}

/** Bytes from which on a copy between unlike alignments is worth a detour, and up to which the detour is there. */
const LONG = 192;
const scratch = new Uint8Array(16384);

/**
 * Copies `length` bytes from `start` of one view to `at` of another, one of them over shared memory. Engines do that byte by
 * byte unless both lie alike in words of 8 bytes; slots start at such a word, so long packets go through a buffer that
 * does, too.
 */
export function copyPacket(to: Uint8Array, at: number, from: Uint8Array, start: number, length: number): void {
  const bytes = from.subarray(start, start + length);
  const areAlike = ((to.byteOffset + at) & 7) === ((from.byteOffset + start) & 7);
  if (areAlike || length < LONG || length > scratch.length) {
    to.set(bytes, at);
    return;
  }
  scratch.set(bytes);
  to.set(scratch.subarray(0, length), at);
}

/** Puts packets that came from outside into a wire, several to a sync. */
export class Injector {
  readonly #wire: NetmapPort;
  readonly #ring: NetmapRing;
  /** Bytes of the longest packet: half of the ring's slots, full. */
  readonly maxPacket: number;
  /** What was taken so far. */
  packets = 0;
  bytes = 0;
  /** Where the next packet goes, and how many slots there are: the ring learns of both at the next sync. */
  #next: number;
  #space: number;
  #isFlushing = false;

  constructor(wire: NetmapPort, ring = 0) {
    this.#wire = wire;
    this.#ring = wire.txRings[ring];
    this.maxPacket = (this.#ring.numSlots >>> 1) * this.#ring.bufSize;
    this.#next = this.#ring.head;
    this.#space = this.#ring.distance(this.#next, this.#ring.tail);
  }

  /** Copies a packet. @returns why it was not taken: its length, or a wire that takes nothing at the moment, or is gone */
  push(packet: Uint8Array): DropReason | undefined {
    return this.pushFrom(packet, 0, packet.length);
  }

  /** The same for `length` bytes of `source` from `start` on. */
  pushFrom(source: Uint8Array, start: number, length: number): DropReason | undefined {
    const ring = this.#ring;
    const { bufSize } = ring;
    if (length < MIN_PACKET || length > this.maxPacket) return oversizedOrRunt(length);
    const slots = length <= bufSize ? 1 : Math.ceil(length / bufSize);
    if (this.#space < slots) this.flush();
    if (this.#space < slots) return 'noRoom';
    let i = this.#next;
    for (let at = 0; at < length; at += bufSize) {
      const size = Math.min(bufSize, length - at);
      copyPacket(ring.u8, ring.bufAddress(i), source, start + at, size);
      ring.setSlot(i, size, at + size < length ? NS_MOREFRAG : 0);
      i = ring.next(i);
    }
    this.#next = i;
    this.#space -= slots;
    this.packets++;
    this.bytes += length;
    return undefined;
  }

  /** Sends what was put in, and what else the thread finds to be received, when it has looked at all of that. */
  flushSoon(): void {
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    setImmediate(() => {
      this.#isFlushing = false;
      this.flush();
    });
  }

  /** Sends what was put in. The wire takes all of it, and drops what finds no room. @returns false: it is gone */
  flush(): boolean {
    const ring = this.#ring;
    ring.cur = this.#next; // first: head is never beyond it
    ring.head = this.#next;
    const isThere = this.#wire.txsync() >= 0;
    this.#next = ring.head; // as it was, unless the sync has repaired the ring
    this.#space = isThere ? ring.distance(this.#next, ring.tail) : 0; // guests may write both
    return isThere;
  }
}

/** Takes the packets that an interface has transmitted out of its wire. */
export class Drainer {
  readonly #wire: NetmapPort;
  #staging = new Uint8Array(65536);

  constructor(wire: NetmapPort) {
    this.#wire = wire;
  }

  /**
   * Gives each packet that is there, at most `limit`, to `take`, as bytes that are valid until it returns, with the flags of
   * its last slot; where it answers false, the packet stays, and the turn ends.
   * @returns how many were taken
   */
  drain(take: (packet: Uint8Array, flags: number) => boolean, limit = Infinity): number {
    let taken = 0;
    for (const ring of this.#wire.rxRings) {
      const { i32, slotBase } = ring;
      let count = 0;
      let from = ring.head; // once: guests may write it, and the tail
      const ready = ring.distance(from, ring.tail);
      for (let i = from, slots = 1; slots <= ready && taken < limit; slots++) {
        const flags = i32[slotBase + (i << 2) + 1] >>> 16;
        i = ring.next(i);
        if (flags & NS_MOREFRAG) continue;
        if (!take(this.#packet(ring, from, slots - count), flags)) break;
        from = i;
        count = slots;
        taken++;
      }
      if (count !== 0) ring.advance(count);
    }
    return taken;
  }

  #packet(ring: NetmapRing, first: number, slots: number): Uint8Array {
    if (slots === 1) return ring.buf(first, ring.i32[ring.slotBase + (first << 2) + 1] & 0xffff);
    let length = 0;
    for (let i = first, k = 0; k < slots; k++, i = ring.next(i)) {
      const part = ring.buf(i, ring.slot(i).len);
      if (length + part.length > this.#staging.length) {
        const larger = new Uint8Array(2 * this.#staging.length + part.length);
        larger.set(this.#staging);
        this.#staging = larger;
      }
      this.#staging.set(part, length);
      length += part.length;
    }
    return this.#staging.subarray(0, length);
  }
}

/** Does something about what an interface has transmitted. @returns what to wait for before the next turn, if anything */
type Turn = () => Promise<void> | undefined | void;

/**
 * Has a turn whenever an interface has transmitted something; the thread's other events have theirs in between.
 * Resolves when the signal aborts, or the interface is gone.
 */
async function whileUp(wire: NetmapPort, signal: AbortSignal, turn: Turn): Promise<void> {
  while (!signal.aborted) {
    const ready = await wire.poll(POLLIN, { signal }).catch(() => POLLERR);
    if (ready & POLLERR) return;
    await turn();
    await nextTurn();
  }
}

/** The same for a backend that is asked to end: what was transmitted until then has its turn, too. */
export async function transmitUntil(wire: NetmapPort, signal: AbortSignal, turn: Turn): Promise<void> {
  await whileUp(wire, signal, turn);
  if (wire.rxsync() >= 0) await turn();
}

/** Throws away what an interface transmits until the signal aborts. @param count is told how many packets */
export function discard(wire: NetmapPort, signal: AbortSignal, count: (packets: number) => void): Promise<void> {
  const drainer = new Drainer(wire);
  return whileUp(wire, signal, () => count(drainer.drain(() => true)));
}
