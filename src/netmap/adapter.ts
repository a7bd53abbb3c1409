// Adapters (netmap_adapter): the kernel object behind a port, with its krings. Control thread only.

import {
  KLOOP_GUEST,
  KLOOP_PORT_GONE,
  KRING_HWCUR,
  KRING_HWTAIL,
  KRING_KIND,
  KRING_LEASES,
  KRING_LOOP,
  KRING_MODE,
  KRING_OFS_MASK,
  KRING_OFS_MAX,
  KRING_PEER,
  KRING_PORT,
  KRING_RING,
  KRING_RUN,
  KRING_SIZE,
  KRING_STOP,
  KRING_STOPPED,
  KRING_WAITERS,
  LEASE_SIZE,
  NETMAP_RING_SIZE,
  NETMAP_RING_SLOT,
  NETMAP_SLOT_PTR,
  NETMAP_SLOT_SIZE,
  NR_RX,
  NR_TX,
  PORT_HDR_LEN,
  PORT_ID,
  PORT_KIND,
  PORT_KIND_LINK,
  PORT_KIND_NIC,
  PORT_KIND_NULL,
  PORT_KIND_PIPE,
  PORT_KIND_VALE,
  PORT_MFS,
  PORT_NRX,
  PORT_NTX,
  PORT_RX,
  PORT_SIZE,
  PORT_TX,
} from '../abi.js';
import type { ArenaOwner } from '../memory/arena.js';
import { DATA_MODELS } from '../memory/data-model.js';
import type { Region } from '../memory/region.js';
import { describeBuffers, type Kring, pairBufs, resetIndices, slotBufs, writeRing } from './kring.js';

/** Ring and slot counts of an adapter. */
export interface Geometry {
  readonly txRings: number;
  readonly rxRings: number;
  readonly txSlots: number;
  readonly rxSlots: number;
  /** Host rings, which have as many slots as the others. Default 0. */
  readonly hostTxRings?: number;
  readonly hostRxRings?: number;
}

/** Longest frame of a port that no request says otherwise of. */
export const DEFAULT_MFS = 1514;
const MAX_SLOT_LEN = 65535;
/** How long (ms) a sender may take for the packets that it copies. */
const SENDER_LIMIT = 1000;

let nextId = 1;

export class Adapter {
  readonly name: string;
  readonly kind: number;
  readonly region: Region;
  readonly geometry: Geometry;
  /** Address of `struct port`. */
  readonly ptr: number;
  /** NIC rings. */
  readonly tx: Kring[];
  readonly rx: Kring[];
  readonly hostTx: Kring[];
  readonly hostRx: Kring[];
  /** Address of the `struct port` of the host rings, 0 = none. */
  readonly hostPtr: number;
  /** Who keeps the adapter: open ports, and pipes that hang on it. */
  users = 0;
  /** Bytes of header of a NIC, while no guest has negotiated another. */
  nicHdrLen = 0;
  readonly #arena: ArenaOwner;
  readonly #owned: number[] = [];
  readonly #mfs: number;

  /** @param mfs bytes of the longest frame, while it has no virtio-net header */
  constructor(
    arena: ArenaOwner,
    name: string,
    kind: number,
    region: Region,
    geometry: Geometry,
    mfs: number = DEFAULT_MFS,
  ) {
    this.#arena = arena;
    this.#mfs = mfs;
    this.name = name;
    this.kind = kind;
    this.region = region;
    this.geometry = geometry;
    try {
      this.ptr = this.#alloc(PORT_SIZE);
      const { txRings, rxRings, txSlots, rxSlots, hostTxRings = 0, hostRxRings = 0 } = geometry;
      this.hostPtr = hostTxRings + hostRxRings === 0 ? 0 : this.#alloc(PORT_SIZE);
      const tx = this.#makeKrings(NR_TX, txRings, hostTxRings, txSlots);
      const rx = this.#makeKrings(NR_RX, rxRings, hostRxRings, rxSlots);
      this.tx = tx.slice(0, txRings);
      this.rx = rx.slice(0, rxRings);
      this.hostTx = tx.slice(txRings);
      this.hostRx = rx.slice(rxRings);
    } catch (error) {
      this.free();
      throw error;
    }
    this.#fillPort(this.ptr, kind, this.tx, this.rx);
    if (this.hostPtr !== 0) this.#fillPort(this.hostPtr, PORT_KIND_LINK, this.hostTx, this.hostRx);
    region.addUser();
  }

  #fillPort(ptr: number, kind: number, tx: readonly Kring[], rx: readonly Kring[]): void {
    const set = (field: number, value: number): void => this.#arena.store(ptr + field, value);
    set(PORT_KIND, kind);
    set(PORT_ID, nextId++);
    set(PORT_NTX, tx.length);
    set(PORT_NRX, rx.length);
    set(PORT_TX, tx[0]?.ptr ?? 0);
    set(PORT_RX, rx[0]?.ptr ?? 0);
    set(PORT_MFS, this.#mfs);
  }

  get krings(): Kring[] {
    return [...this.tx, ...this.hostTx, ...this.rx, ...this.hostRx];
  }

  /** Whether users of the port may settle the length of its header. */
  get negotiatesHeader(): boolean {
    return this.kind === PORT_KIND_VALE || this.nicHdrLen !== 0;
  }

  get hdrLen(): number {
    return this.#arena.load(this.ptr + PORT_HDR_LEN);
  }
  set hdrLen(length: number) {
    // netmap raises the frame size with a header; we also take it back without (DIFF).
    const { objsize } = this.region.pools.bufPool;
    const mfs = length === 0 ? this.#mfs : Math.max(this.#mfs, Math.min(objsize, MAX_SLOT_LEN));
    for (const port of this.hostPtr === 0 ? [this.ptr] : [this.ptr, this.hostPtr]) {
      this.#arena.store(port + PORT_HDR_LEN, length);
      this.#arena.store(port + PORT_MFS, mfs);
    }
  }

  /**
   * Changes the header's length while nobody syncs the rings of this port: what has come with the old one is dropped,
   * and counted. Takes as long as senders copy what they are at.
   * @param thread record of the thread in whose name senders are locked out
   * @returns false when a sender does not finish in time (it sleeps, or has died); then nothing has changed
   */
  changeHeader(length: number, thread: number): boolean {
    const before = this.hdrLen;
    if (length === before) return true;
    const { wasm } = this.#arena;
    const rings = this.rx.filter(({ ring }) => ring !== 0);
    const locked: number[] = [];
    const limit = performance.now() + SENDER_LIMIT;
    try {
      for (const { ptr } of rings) {
        while (wasm.leaseLock(ptr, thread) === 0) if (performance.now() > limit) return false;
        locked.push(ptr);
      }
      this.hdrLen = length;
      for (const { ptr } of rings) {
        while (wasm.leaseIsOpen(ptr) !== 0) {
          if (performance.now() <= limit) continue;
          this.hdrLen = before;
          return false;
        }
      }
      for (const { ptr } of rings) wasm.leaseDiscard(ptr);
      return true;
    } finally {
      for (const ptr of locked) {
        wasm.leaseUnlock(ptr);
        wasm.leasePublish(ptr, thread);
      }
    }
  }

  /** Bytes of the longest frame that a GSO packet is cut into on its way to this port. */
  get mfs(): number {
    return this.#arena.load(this.ptr + PORT_MFS);
  }

  /** Connects kring k of this end of a pipe with the peer's kring of the other direction. */
  pairWith(peer: Adapter): void {
    const link = (a: Kring, b: Kring): void => {
      a.peer = b;
      b.peer = a;
      this.#arena.store(a.ptr + KRING_PEER, b.ptr);
      this.#arena.store(b.ptr + KRING_PEER, a.ptr);
    };
    for (const [i, kring] of this.tx.entries()) link(kring, peer.rx[i]);
    for (const [i, kring] of this.rx.entries()) link(kring, peer.tx[i]);
  }

  /**
   * Gives a kring its netmap_ring, with buffers of its own or with those of `shareWith`'s ring.
   * @throws NetmapError ENOMEM, and then nothing is taken
   */
  makeRing(kring: Kring, shareWith?: Kring): void {
    const { region } = this;
    const bytes = NETMAP_RING_SIZE + kring.nslots * NETMAP_SLOT_SIZE;
    const ring = region.allocRing(bytes);
    let bufs: number[];
    try {
      bufs = shareWith ? slotBufs(this.#arena, shareWith) : region.allocBufs(kring.nslots);
    } catch (error) {
      region.freeRing(ring);
      throw error;
    }
    writeRing(this.#arena, region, kring, ring, bufs);
    kring.ring = ring;
    resetIndices(this.#arena, kring);
    this.#arena.store(kring.ptr + KRING_RING, ring);
  }

  /** Frees a ring and its buffers (`bufs`: which; the caller knows for pipes). */
  freeRing(kring: Kring, bufs?: readonly number[]): void {
    if (kring.ring === 0) return;
    for (const index of bufs ?? slotBufs(this.#arena, kring)) this.region.freeBuf(index);
    this.region.freeRing(kring.ring);
    kring.ring = 0;
    this.#arena.store(kring.ptr + KRING_OFS_MAX, 0);
    Atomics.store(this.#arena.u64, (kring.ptr + KRING_OFS_MASK) >>> 3, 0n);
    this.#arena.store(kring.ptr + KRING_RING, 0);
  }

  /** The buffers of a pipe's pair of rings, by its tx ring at this end. */
  pairBufs(tx: Kring): number[] {
    return pairBufs(this.#arena, tx);
  }

  /** Mask and maximum of a ring's packet offsets; mask 0 = none. */
  offsets({ ptr }: Kring): { mask: bigint; max: number } {
    return { mask: this.#arena.u64[(ptr + KRING_OFS_MASK) >>> 3], max: this.#arena.load(ptr + KRING_OFS_MAX) };
  }

  /** A pipe's ring has the offsets of its peer. */
  setOffsets(kring: Kring, mask: bigint, max: number): void {
    for (const { ptr, ring } of kring.peer ? [kring, kring.peer] : [kring]) {
      this.#arena.store(ptr + KRING_OFS_MAX, max);
      Atomics.store(this.#arena.u64, (ptr + KRING_OFS_MASK) >>> 3, mask);
      if (ring === 0) continue;
      const at = ring + DATA_MODELS[this.region.dataModel].offsetMask; // aligned to 4 bytes
      this.#arena.store(at, Number(mask & 0xffffffffn));
      this.#arena.store(at + 4, Number(mask >> 32n));
    }
  }

  /**
   * Writes an offset into the slots of a ring, and leaves the other bits of ptr alone. Packets that the peer of a pipe has
   * still to take, or that nobody has read yet, stay where they are in their buffers.
   */
  writeOffsets(kring: Kring, offset: bigint): void {
    const { mask } = this.offsets(kring);
    const { dir, nslots: n, ptr, peer } = kring;
    const sent = dir === NR_TX;
    const from = this.#arena.load(sent && peer ? peer.ptr + KRING_HWTAIL : ptr + KRING_HWCUR);
    const packets = (this.#arena.load(ptr + (sent ? KRING_HWCUR : KRING_HWTAIL)) - from + n) % n;
    const slots = (kring.ring + NETMAP_RING_SLOT + NETMAP_SLOT_PTR) >>> 3;
    for (let i = 0; i < n; i++) {
      if ((i - from + n) % n < packets) continue;
      const at = slots + 2 * i;
      this.#arena.u64[at] = (this.#arena.u64[at] & ~mask) | offset;
    }
  }

  setMode(kring: Kring, on: boolean): void {
    this.#arena.store(kring.ptr + KRING_MODE, on ? 1 : 0);
    this.#arena.store(kring.ptr + KRING_STOP, on ? KRING_RUN : KRING_STOPPED);
    if (!on) this.#wakeWaiters(kring);
  }

  /** Stops all rings for good. Guests that have them learn it: their loops say so, and their threads wake up. */
  stop(): void {
    for (const kring of this.krings) this.setMode(kring, false);
    for (const loop of new Set(this.krings.map(({ ptr }) => this.#arena.load(ptr + KRING_LOOP)))) {
      if (loop === 0) continue;
      this.#arena.store(loop + KLOOP_PORT_GONE, 1);
      const guest = this.#arena.load(loop + KLOOP_GUEST);
      if (guest !== 0) this.#arena.wasm.threadWake(guest);
    }
  }

  /** Waits of other threads for a ring that has been stopped end with POLLERR. */
  #wakeWaiters({ ptr }: Kring): void {
    const waiters = Atomics.load(this.#arena.u64, (ptr + KRING_WAITERS) >>> 3);
    for (let id = 0n, left = waiters; left !== 0n; id++, left >>= 1n) {
      if (left & 1n) this.#arena.wasm.threadWake(this.#arena.threadPtr(Number(id)));
    }
  }

  /** Gives the private memory back and leaves the region; true when that was its last user, and the region is gone too. */
  destroy(): boolean {
    this.free();
    const last = this.region.dropUser();
    if (last) this.region.destroy();
    return last;
  }

  protected free(): void {
    for (const address of this.#owned.splice(0)) this.#arena.free(address);
  }

  #alloc(size: number): number {
    const address = this.#arena.alloc(size, `port ${this.name}`);
    this.#owned.push(address);
    return address;
  }

  /** The NIC rings and then the host rings of a direction, one behind the other. */
  #makeKrings(dir: number, nic: number, host: number, nslots: number): Kring[] {
    if (nic + host === 0) return [];
    const base = this.#alloc((nic + host) * KRING_SIZE);
    const copiedInto = dir === NR_RX && this.kind !== PORT_KIND_PIPE && this.kind !== PORT_KIND_NULL;
    return Array.from({ length: nic + host }, (_, ringId) => {
      const isHost = ringId >= nic;
      const index = isHost ? ringId - nic : ringId;
      const ptr = base + ringId * KRING_SIZE;
      const kring: Kring = { ptr, dir, index, ringId, nslots, ring: 0, users: 0, exclusive: false };
      const set = (field: number, value: number): void => this.#arena.store(kring.ptr + field, value);
      describeBuffers(this.#arena, this.region, kring);
      set(KRING_KIND, isHost && this.kind === PORT_KIND_NIC ? PORT_KIND_LINK : this.kind);
      set(KRING_PORT, isHost ? this.hostPtr : this.ptr);
      set(KRING_STOP, KRING_STOPPED);
      if (copiedInto) set(KRING_LEASES, this.#alloc(nslots * LEASE_SIZE));
      return kring;
    });
  }
}
