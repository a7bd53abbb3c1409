// A port opened on the host, as the thread that opened it sees it.

import {
  EBUSY,
  EIO,
  KRING_HWCUR,
  KRING_LOOP,
  KRING_PEER,
  KRING_PORT,
  KRING_RING,
  KRING_STATS,
  KRING_STOP,
  KRING_STOPPED,
  NETMAP_RING_FLAGS,
  NR_NO_TX_POLL,
  NR_TIMESTAMP,
  PORT_HDR_LEN,
  PORT_KIND_MONITOR,
  PORT_KIND_PIPE,
  STAT_BAD_SLOT,
  STAT_BYTES,
  STAT_DELIVERED,
  STAT_DELIVERED_BYTES,
  STAT_DROP_BAD_SLOT,
  STAT_DROP_BUSY,
  STAT_DROP_FILTERED,
  STAT_DROP_FRAGS,
  STAT_DROP_GSO,
  STAT_DROP_HEADER,
  STAT_DROP_LOOKUP,
  STAT_DROP_NO_PORT,
  STAT_DROP_NO_SPACE,
  STAT_DROP_SELF,
  STAT_DROP_SHORT,
  STAT_DROP_TOO_LONG,
  STAT_INTERRUPTS,
  STAT_KICKS,
  STAT_PACKETS,
  STAT_REINITS,
} from '../abi.js';
import { netmapError } from '../errors.js';
import type { Arena } from '../memory/arena.js';
import { DATA_MODELS } from '../memory/data-model.js';
import { NetmapPort, type PortCounters } from '../ring/port.js';
import { NetmapIf, NetmapRing } from '../ring/ring.js';
import type { Thread } from '../threads/thread.js';
import { type PipeSent, readPipeSent } from './pipe-counters.js';
import type { PortInfo } from './register.js';

/** Drop reasons as they are reported, with their counters. */
const DROP_REASONS: Readonly<Record<string, number>> = {
  short: STAT_DROP_SHORT,
  self: STAT_DROP_SELF,
  noPort: STAT_DROP_NO_PORT,
  noSpace: STAT_DROP_NO_SPACE,
  badSlot: STAT_DROP_BAD_SLOT,
  tooLong: STAT_DROP_TOO_LONG,
  fragments: STAT_DROP_FRAGS,
  busy: STAT_DROP_BUSY,
  header: STAT_DROP_HEADER,
  gso: STAT_DROP_GSO,
  filtered: STAT_DROP_FILTERED,
  lookup: STAT_DROP_LOOKUP,
};

/** Reads the counters of a port's krings out of the arena. */
export function readCounters(arena: Arena, info: Pick<PortInfo, 'kind' | 'tx' | 'rx'>): PortCounters {
  const stat = (kring: number, index: number): number => arena.counter(kring + KRING_STATS + 8 * index);
  const sum = (krings: readonly number[], index: number): number => krings.reduce((n, k) => n + stat(k, index), 0);
  const tx = info.tx.map(({ kring }) => kring);
  const rx = info.rx.map(({ kring }) => kring);
  const all = [...tx, ...rx];
  const badSlots = sum(all, STAT_BAD_SLOT);
  return {
    ...(info.kind === PORT_KIND_PIPE
      ? pipeTraffic(arena, tx, rx, badSlots)
      : {
          txPackets: sum(tx, STAT_PACKETS),
          txBytes: sum(tx, STAT_BYTES),
          rxPackets: sum(rx, STAT_DELIVERED),
          rxBytes: sum(rx, STAT_DELIVERED_BYTES),
          drops: Object.fromEntries(Object.entries(DROP_REASONS).map(([reason, index]) => [reason, sum(all, index)])),
          badSlots,
        }),
    reinits: sum(all, STAT_REINITS),
    kicks: sum(all, STAT_KICKS),
    interrupts: sum(all, STAT_INTERRUPTS),
  };
}

/** What a pipe's end receives is what its peer has sent. Nothing is dropped. */
function pipeTraffic(arena: Arena, tx: readonly number[], rx: readonly number[], badSlots: number) {
  const sum = (krings: readonly number[], of: keyof PipeSent): number =>
    krings.reduce((n, kring) => n + readPipeSent(arena, kring)[of], 0);
  const senders = rx.map((kring) => arena.load(kring + KRING_PEER));
  return {
    txPackets: sum(tx, 'packets'),
    txBytes: sum(tx, 'bytes'),
    rxPackets: sum(senders, 'packets'),
    rxBytes: sum(senders, 'bytes'),
    drops: Object.fromEntries(Object.keys(DROP_REASONS).map((reason) => [reason, 0])),
    badSlots: badSlots + sum(tx, 'badSlots'),
  };
}

/** What a port asks the control thread for. */
export interface PortControl {
  /** Gives the port back. */
  close(port: HostPort): Promise<void>;
  /** Another operation on it. @throws NetmapError that the control thread answers with */
  call(op: string, args: object): Promise<unknown>;
}

/** A port of the host, as `Netmap.open` gives it. */
export class HostPort extends NetmapPort {
  readonly name: string;
  readonly memId: number;
  readonly info: PortInfo;
  readonly nifp: NetmapIf;
  readonly txRings: readonly NetmapRing[];
  readonly rxRings: readonly NetmapRing[];
  readonly waiting: Thread;
  readonly #control: PortControl;
  readonly #tx: readonly number[];
  readonly #rx: readonly number[];
  /** The kring whose released frames may be forwarded to the NIC, 0 = none: the first host rx ring. */
  readonly #forwarding: number;
  #waits = 0;

  constructor(thread: Thread, info: PortInfo, control: PortControl) {
    super();
    const { arena } = thread;
    this.waiting = thread;
    this.info = info;
    this.name = info.name;
    this.memId = info.memId;
    const layout = DATA_MODELS[info.dataModel];
    this.nifp = new NetmapIf(arena, info.regionBase + info.offset, layout);
    this.txRings = info.tx.map(({ ring }) => new NetmapRing(arena, ring, info.numBufs, layout));
    this.rxRings = info.rx.map(({ ring }) => new NetmapRing(arena, ring, info.numBufs, layout));
    this.#tx = info.tx.map(({ kring }) => kring);
    this.#rx = info.rx.map(({ kring }) => kring);
    this.#forwarding = info.forwardsDown;
    this.#control = control;
  }

  override get vnetHdrLen(): number {
    const [ring] = [...this.#tx, ...this.#rx];
    if (!this.isOpen || ring === undefined) return this.info.hdrLen;
    const { arena } = this.waiting;
    return arena.load(arena.load(ring + KRING_PORT) + PORT_HDR_LEN);
  }

  override txsync(): number {
    return this.#sync(this.#tx);
  }

  override rxsync(): number {
    const result = this.#sync(this.#rx);
    if (result !== -EBUSY && this.isOpen) this.#stamp();
    return result;
  }

  override get maxOffset(): number {
    return this.info.maxOffset;
  }

  protected override get pushesOnPoll(): boolean {
    return (this.info.flags & NR_NO_TX_POLL) === 0;
  }

  protected override get isDown(): boolean {
    return this.#areDown(this.#tx) || this.#areDown(this.#rx);
  }

  #areDown(krings: readonly number[]): boolean {
    const { u32 } = this.waiting.arena;
    for (const kring of krings) {
      if (u32[(kring + KRING_LOOP) >>> 2] !== 0 || u32[(kring + KRING_RING) >>> 2] === 0) return true;
      if (u32[(kring + KRING_STOP) >>> 2] === KRING_STOPPED) return true;
    }
    return false;
  }

  /** A monitor sends nothing: who waits until it does, or has given it slots, learns so. */
  protected override pollTxsync(wanted = true): number {
    if (this.info.kind !== PORT_KIND_MONITOR) return this.txsync();
    return wanted || this.txRings.some((ring) => ring.head !== 0) ? -EIO : 0;
  }

  /** What has been forwarded from the host ring is sent at once. */
  protected override pollRxsync(): number {
    const result = this.rxsync();
    if (this.#forwarding === 0) return result;
    const { u32 } = this.waiting.arena;
    const pending = this.info.tx.some(({ kring }, i) => u32[(kring + KRING_HWCUR) >>> 2] !== this.txRings[i].head);
    return pending ? Math.min(result, this.txsync()) : result;
  }

  /** DIFF: netmap stamps every rxsync unless told otherwise (no_timestamp); here a ring asks for it, as a clock costs. */
  #stamp(): void {
    const { i32 } = this.waiting.arena;
    for (const { ring } of this.info.rx) {
      if ((i32[(ring + NETMAP_RING_FLAGS) >>> 2] & NR_TIMESTAMP) === 0) continue;
      const us = Math.round((performance.timeOrigin + performance.now()) * 1000);
      const { ts, tsWord } = DATA_MODELS[this.info.dataModel];
      this.#putTime(ring + ts, tsWord, Math.floor(us / 1e6));
      this.#putTime(ring + ts + tsWord, tsWord, us % 1e6);
    }
  }

  /** A word of a struct timeval. DIFF: the seconds of i386 are unsigned, and good until 2106. */
  #putTime(at: number, size: number, value: number): void {
    const { i32 } = this.waiting.arena;
    i32[at >>> 2] = value;
    if (size === 8) i32[(at + 4) >>> 2] = Math.floor(value / 2 ** 32);
  }

  /** @throws NetmapError ENXIO when the port is closed: its counters may be somebody else's */
  override async counters(): Promise<PortCounters> {
    if (!this.isOpen) throw netmapError('ENXIO', 'the port is closed', { op: 'counters', port: this.name });
    return readCounters(this.waiting.arena, this.info);
  }

  /**
   * Lets slots with NS_INDIRECT of this VALE port name packets in a range of the arena's memory, in bytes: of the port's
   * own region, or of memory that the host does not hand out (`privateRange`, `regionRange`). Programs that have the same
   * port open share their ranges, 16 in all. The range goes with the port.
   * @throws NetmapError EINVAL (the range), EOPNOTSUPP (not a VALE port), ENOSPC (16 already), ENXIO (closed)
   */
  async registerRange(address: number, length: number): Promise<void> {
    await this.#callRange('registerRange', address, length);
  }

  /**
   * Takes a range back that this port has registered. Once it has resolved, nothing is read from it any more.
   * @throws NetmapError EINVAL (no such range), ENXIO (closed)
   */
  async unregisterRange(address: number, length: number): Promise<void> {
    await this.#callRange('unregisterRange', address, length);
  }

  async #callRange(op: string, address: number, length: number): Promise<void> {
    if (!this.isOpen) throw netmapError('ENXIO', 'the port is closed', { op, port: this.name });
    await this.#control.call(op, { fd: this.info.fd, address, length });
  }

  /** In CSB mode, syncs are refused with -EBUSY: the kernel loop makes them. */
  #sync(krings: readonly number[]): number {
    if (!this.isOpen) return -EIO;
    const { arena, ptr } = this.waiting;
    let result = 0;
    for (const kring of krings) {
      if (arena.u32[(kring + KRING_LOOP) >>> 2] !== 0) return -EBUSY;
      if (kring === this.#forwarding) arena.wasm.ringForward(kring, this.#tx[0], this.info.nicTxRings, ptr);
      if (arena.wasm.ringSync(kring, ptr) === -EIO) result = -EIO;
    }
    if (!arena.shared) this.waiting.serveLocalWaits();
    return result;
  }

  override subscribe(on: boolean): boolean {
    this.#waits += on ? 1 : -1;
    const changes = this.#waits === (on ? 1 : 0) && this.isOpen;
    if (changes) this.#watch(on);
    return changes;
  }

  #watch(on: boolean): void {
    for (const kring of [...this.#tx, ...this.#rx, ...this.info.watched]) this.waiting.watch(kring, on);
  }

  protected override async doClose(): Promise<void> {
    if (this.#waits !== 0) this.#watch(false); // now: later the rings may be somebody else's
    this.waiting.wake(); // waits of this port end with POLLERR
    await this.#control.close(this);
  }
}
