// NetmapPort: what an application sees of an open port, the same on the host and, through the driver, in a guest
// (the file descriptor and nmport_d of netmap(4)).
//
// Two ways to move frames: rings, slots and txsync/rxsync, which allocate nothing and run at full rate; and send(),
// recv() and async iteration, which copy each frame and cost about a microsecond.

import { EIO } from '../../assembly/abi/errno.js';
import { NS_MOREFRAG, POLLERR, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../../assembly/abi/netmap.js';
import { netmapError } from '../errors.js';
import { type Pollable, type PollOptions, pollMany, pollManySync, type Waiting } from './poll.js';
import type { NetmapIf, NetmapRing } from './ring.js';

/** Counters of a port. They count from the creation of the port beneath, not from this opening of it. */
export interface PortCounters {
  readonly txPackets: number;
  readonly txBytes: number;
  readonly rxPackets: number;
  readonly rxBytes: number;
  /** Packets sent by this port that somebody did not get, by reason; a broadcast counts once a destination. */
  readonly drops: Readonly<Record<string, number>>;
  /** Slots with an index or a length out of range. */
  readonly badSlots: number;
  /** Syncs refused because head or cur were illegal. */
  readonly reinits: number;
  /** Doorbells rung by the guest. */
  readonly kicks: number;
  /** Interrupts raised for the guest. */
  readonly interrupts: number;
}

const TX_EVENTS = POLLOUT | POLLWRNORM;
const RX_EVENTS = POLLIN | POLLRDNORM;
/** An open port: what a file descriptor of /dev/netmap and `nmport_d` are. */
export abstract class NetmapPort implements Pollable {
  /** Name as in ni_name or, for a guest's port, that of its interface. */
  abstract readonly name: string;
  abstract readonly memId: number;
  /** Bytes of virtio-net header before each frame: 0, 10 or 12. A pipe carries any as opaque bytes, and has 0. */
  abstract readonly vnetHdrLen: number;
  abstract readonly nifp: NetmapIf;
  /** The tx rings bound to this port. */
  abstract readonly txRings: readonly NetmapRing[];
  abstract readonly rxRings: readonly NetmapRing[];
  /** How this port's thread waits. For poll(). */
  abstract readonly waiting: Waiting;
  /** The largest packet offset of its slots (bytes), 0 without offsets. */
  get maxOffset(): number {
    return 0;
  }
  #open = true;

  get isOpen(): boolean {
    return this.#open;
  }

  /**
   * NIOCTXSYNC: sends the slots before head of every tx ring and takes sent ones back.
   * @returns 0, or a negative errno (-EIO: a ring was stopped). Never throws.
   */
  abstract txsync(): number;

  /** NIOCRXSYNC: releases the slots before head of every rx ring and shows received ones. Returns as txsync. */
  abstract rxsync(): number;

  /** Counters of the port, live. */
  abstract counters(): Promise<PortCounters>;

  protected abstract doClose(): Promise<void>;
  /** For poll(), as in Pollable. */
  abstract subscribe(on: boolean): boolean;
  /** The syncs that poll makes; a guest's do not force a doorbell. `wanted`: POLLOUT was asked for. */
  protected pollTxsync(_wanted = true): number {
    return this.txsync();
  }
  protected pollRxsync(): number {
    return this.rxsync();
  }

  /** Whether poll sends pending tx slots although POLLOUT was not asked for (without NR_NO_TX_POLL). */
  protected get pushesOnPoll(): boolean {
    return true;
  }

  /** Whether the port's rings are beyond its reach: in CSB mode, or gone. poll then says so without a sync. */
  protected get isDown(): boolean {
    return false;
  }

  /** Closes the port. Waits for it end with POLLERR. */
  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.doClose();
  }

  /** One look of poll(2): syncs and returns the ready events (POLLIN, POLLOUT, POLLERR), 0 when none is. */
  pollOnce(events: number): number {
    if (!this.#open || this.isDown) return POLLERR;
    let ready = 0;
    // POLLIN alone also pushes pending tx slots, as in netmap.
    const wanted = (events & TX_EVENTS) !== 0;
    const pushes = wanted || this.pushesOnPoll;
    if (pushes && this.txRings.length !== 0 && this.pollTxsync(wanted) < 0) ready |= POLLERR;
    if (events & TX_EVENTS && this.txRings.some((ring) => ring.cur !== ring.tail)) ready |= events & TX_EVENTS;
    if (events & RX_EVENTS) {
      if (this.rxRings.length !== 0 && this.pollRxsync() < 0) ready |= POLLERR;
      if (this.rxRings.some((ring) => ring.cur !== ring.tail)) ready |= events & RX_EVENTS;
    }
    return ready;
  }

  /**
   * Waits until one of `events` is ready (poll(2)).
   * @returns the ready events, 0 on timeout
   * @throws the signal's reason when it aborts
   */
  async poll(events: number, options?: PollOptions): Promise<number> {
    return (await pollMany([{ port: this, events }], options))[0];
  }

  /**
   * The same, blocking the thread; in workers only.
   * @param timeout milliseconds
   * @throws NetmapError EOPNOTSUPP on a thread that must not block
   */
  pollSync(events: number, timeout?: number): number {
    return pollManySync([{ port: this, events }], timeout)[0];
  }

  /**
   * Copies one frame into the first tx ring with room, split at the buffer size, and syncs. Waits while all are full.
   * @throws NetmapError EINVAL for an empty frame, EMSGSIZE for one that no ring can hold, EIO when the port is closed
   */
  async send(frame: Uint8Array, options: PollOptions = {}): Promise<void> {
    const until = performance.now() + (options.timeout ?? Infinity);
    while (!this.trySend(frame)) {
      const ready = await this.#waitForRoom({ ...options, timeout: Math.max(0, until - performance.now()) });
      if (ready & POLLERR) throw netmapError('EIO', 'the port is closed', { op: 'send', port: this.name });
      if (ready === 0) throw netmapError('ETIMEDOUT', 'no room in the ring', { op: 'send', port: this.name });
    }
    if (this.pollTxsync() === -EIO) throw netmapError('EIO', 'the port does not send', { op: 'send', port: this.name });
    this.waiting.service();
  }

  /** Waits for more free slots than there are now: a frame may need several. */
  async #waitForRoom(options: PollOptions): Promise<number> {
    for (const ring of this.txRings) ring.cur = ring.tail;
    try {
      return await this.poll(POLLOUT, options);
    } finally {
      // Whoever polls next is content with one slot.
      if (this.isOpen) for (const ring of this.txRings) ring.cur = ring.head;
    }
  }

  /** Queues one frame without a sync; false when no tx ring has room now. @throws as send */
  trySend(frame: Uint8Array): boolean {
    if (!this.isOpen) throw netmapError('EIO', 'the port is closed', { op: 'send', port: this.name });
    if (frame.length === 0) throw netmapError('EINVAL', 'an empty frame', { op: 'send', port: this.name });
    let fits = false;
    for (const ring of this.txRings) {
      const least = ring.bufSize - Math.min(this.maxOffset, ring.bufSize);
      const slots = Math.ceil(frame.length / least);
      fits ||= slots < ring.numSlots;
      let i = ring.head; // once: others may write it, and the tail
      if (ring.distance(i, ring.tail) < slots) continue;
      for (let at = 0; at < frame.length; at += least) {
        const part = frame.subarray(at, at + least);
        if (ring.room(i) < part.length) ring.setOffset(i, 0); // another opening, or the other end, wants more than this one
        const buf = ring.buf(i, part.length);
        buf.set(part.subarray(0, buf.length)); // all of it, unless somebody moves the packet at this moment
        ring.setSlot(i, part.length, at + part.length < frame.length ? NS_MOREFRAG : 0);
        i = ring.next(i);
      }
      ring.advance(slots);
      return true;
    }
    if (!fits) throw netmapError('EMSGSIZE', `no ring holds ${frame.length} bytes`, { op: 'send', port: this.name });
    return false;
  }

  /**
   * Takes what has been received: copies of whole frames, at most `limit` of them. Empty when there is nothing, or the
   * port is closed.
   */
  recv(limit = Infinity): Uint8Array[] {
    const frames: Uint8Array[] = [];
    if (!this.isOpen) return frames; // the rings' memory may be somebody else's
    for (const ring of this.rxRings) {
      let parts: Uint8Array[] = [];
      let taken = 0;
      let i = ring.head;
      const ready = ring.distance(i, ring.tail);
      for (let k = 1; k <= ready && frames.length < limit; i = ring.next(i), k++) {
        const { bufIdx, len, flags } = ring.slot(i);
        const offset = ring.offset(i); // once: others may write it
        const sound = bufIdx >= 2 && bufIdx < ring.numBufs && len <= ring.bufSize - offset;
        const at = ring.bufBase + bufIdx * ring.bufSize + offset;
        parts.push(sound ? ring.u8.slice(at, at + len) : new Uint8Array(0));
        if (flags & NS_MOREFRAG) continue;
        const frame = parts.length === 1 ? parts[0] : concat(parts);
        if (frame.length !== 0) frames.push(frame); // empty slots end an interrupted delivery
        parts = [];
        taken = k;
      }
      if (taken !== 0) ring.advance(taken);
    }
    return frames;
  }

  /** Batches of received frames, until the port is closed or the loop is left. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array[], void, undefined> {
    while (this.#open) {
      const ready = await this.poll(POLLIN);
      if (ready & POLLERR) return;
      const frames = this.recv();
      if (frames.length !== 0) yield frames;
    }
  }
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
