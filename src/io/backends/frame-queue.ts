// A queue of a TAP or macvtap device: one packet a call, straight into the buffers of a wire's tx ring, and out of those of
// its rx ring.

import { readvSync, writevSync } from 'node:fs';
import { EAGAIN } from '../../abi.js';
import type { NetmapRing } from '../../ring/ring.js';
import { type Libc, POLLIN, POLLOUT } from '../ffi.js';
import { MAX_PACKET } from '../tun.js';
import { IovecTable, slotAddresses, slotVectors } from './slot-table.js';

const MAX_HEADER = 12;

/** Where a packet goes on that is longer than the buffer of its first slot. */
export const OVERFLOW_SIZE = MAX_PACKET + MAX_HEADER;

/** Calls of one queue. Results are bytes or negative errnos. */
export interface FrameQueue {
  /** The rest of the packet that `read` has read. */
  readonly overflow: Uint8Array;
  /** Reads a packet into slot i, and what does not fit into `overflow`. */
  read(i: number): number;
  /** Reads a packet into `slots` slots from i on; what does not fit is lost. */
  readLong(i: number, slots: number): number;
  /** Writes a packet of one slot. */
  write(i: number, length: number): number;
  /** Writes the packet of `slots` slots from i on. Their lengths have been set. */
  writeLong(i: number, slots: number): number;
  /** Tells how long the part of a packet in slot i is. */
  resize(i: number, length: number): void;
  /** Waits until there is a packet, or the worker is to end. @returns 0: nothing yet, maybe the device is gone; below 0: it is broken */
  waitReadable(): number;
  waitWritable(): number;
}

/** Through the foreign-function interface. `wake` is an event descriptor: readable when the worker is to end. */
export class FfiQueue implements FrameQueue {
  readonly overflow = new Uint8Array(new SharedArrayBuffer(OVERFLOW_SIZE));
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #wake: number;
  readonly #timeout: number;
  readonly #numSlots: number;
  /** The slots of the ring, and for each slot itself with the overflow behind it. */
  readonly #slots: IovecTable;
  readonly #pairs: IovecTable;
  readonly #addresses: readonly number[];

  /** @param timeout ms after which a wait for packets ends, -1: never */
  constructor(libc: Libc, fd: number, wake: number, ring: NetmapRing, timeout = -1) {
    this.#libc = libc;
    this.#fd = fd;
    this.#wake = wake;
    this.#timeout = timeout;
    this.#numSlots = ring.numSlots;
    this.#slots = slotVectors(libc, ring);
    this.#addresses = slotAddresses(libc, ring);
    this.#pairs = pairsOf(libc, this.#addresses, ring.bufSize, this.overflow);
  }

  read(i: number): number {
    return this.#libc.readv(this.#fd, this.#pairs.at(2 * i), 2);
  }

  readLong(i: number, slots: number): number {
    return this.#libc.readv(this.#fd, this.#slots.at(i), slots);
  }

  resize(i: number, length: number): void {
    this.#slots.resize(i, length);
    this.#slots.resize(i + this.#numSlots, length);
  }

  write(i: number, length: number): number {
    return this.#libc.write(this.#fd, this.#addresses[i], length);
  }

  writeLong(i: number, slots: number): number {
    return this.#libc.writev(this.#fd, this.#slots.at(i), slots);
  }

  waitReadable(): number {
    return this.#libc.waitEither(this.#fd, POLLIN, this.#wake, this.#timeout);
  }

  waitWritable(): number {
    return this.#libc.waitEither(this.#fd, POLLOUT, this.#wake);
  }
}

function pairsOf(libc: Libc, addresses: readonly number[], size: number, overflow: Uint8Array): IovecTable {
  const table = new IovecTable(libc, 2 * addresses.length);
  const rest = libc.address(overflow);
  for (const [i, address] of addresses.entries()) {
    table.set(2 * i, address, size);
    table.set(2 * i + 1, rest, overflow.length);
  }
  return table;
}

/** Longest nap (ms) of a queue that cannot wait for its device. */
const NAP_MAX = 2;
const NAP_MIN = 0.05;

/** Through node:fs, where Node has no koffi. Nothing waits for the device: it is asked again and again, with naps. */
export class FsQueue implements FrameQueue {
  readonly overflow = new Uint8Array(OVERFLOW_SIZE);
  readonly #fd: number;
  readonly #ring: NetmapRing;
  readonly #pairs: Uint8Array[][];
  readonly #lengths: Int32Array;
  readonly #nap = new Int32Array(new SharedArrayBuffer(4));
  #napMs = NAP_MIN;

  constructor(fd: number, ring: NetmapRing) {
    this.#fd = fd;
    this.#ring = ring;
    this.#pairs = Array.from({ length: ring.numSlots }, (_, i) => [ring.buf(i), this.overflow]);
    this.#lengths = new Int32Array(ring.numSlots);
  }

  read(i: number): number {
    return this.#call(readvSync, this.#pairs[i]);
  }

  readLong(i: number, slots: number): number {
    return this.#call(readvSync, this.#views(i, slots, this.#ring.bufSize));
  }

  resize(i: number, length: number): void {
    this.#lengths[i] = length;
  }

  write(i: number, length: number): number {
    this.resize(i, length);
    return this.writeLong(i, 1);
  }

  writeLong(i: number, slots: number): number {
    return this.#call(writevSync, this.#views(i, slots));
  }

  waitReadable(): number {
    Atomics.wait(this.#nap, 0, 0, this.#napMs);
    this.#napMs = Math.min(2 * this.#napMs, NAP_MAX);
    return 0;
  }

  waitWritable(): number {
    return this.waitReadable();
  }

  #views(i: number, slots: number, length?: number): Uint8Array[] {
    const ring = this.#ring;
    return Array.from({ length: slots }, (_, k) => {
      const j = (i + k) % ring.numSlots;
      return ring.buf(j, length ?? this.#lengths[j]);
    });
  }

  #call(call: (fd: number, views: Uint8Array[]) => number, views: Uint8Array[]): number {
    try {
      const n = call(this.#fd, views);
      this.#napMs = NAP_MIN;
      return n;
    } catch (error) {
      const { errno = -EAGAIN } = error as NodeJS.ErrnoException;
      return errno; // negative already
    }
  }
}
