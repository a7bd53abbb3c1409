// Krings and the netmap_rings that they have: what is written into them when they are made. Control thread only.

import {
  KRING_BUFBASE,
  KRING_BUFSIZE,
  KRING_DIR,
  KRING_HWCUR,
  KRING_HWLEASE,
  KRING_HWTAIL,
  KRING_INDEX,
  KRING_MAILTAIL,
  KRING_MONITORS,
  KRING_NBUFS,
  KRING_NSLOTS,
  KRING_RCUR,
  KRING_RHEAD,
  KRING_RTAIL,
  MONITOR_NEXT,
  MONITOR_TAIL,
  NETMAP_RING_BUF_OFS,
  NETMAP_RING_CUR,
  NETMAP_RING_DIR,
  NETMAP_RING_HEAD,
  NETMAP_RING_NR_BUF_SIZE,
  NETMAP_RING_NUM_SLOTS,
  NETMAP_RING_RINGID,
  NETMAP_RING_SLOT,
  NETMAP_RING_TAIL,
  NETMAP_SLOT_LEN,
  NR_TX,
} from '../abi.js';
import type { ArenaOwner } from '../memory/arena.js';
import type { Region } from '../memory/region.js';

/** A kring as the control thread knows it; its state is in the arena at `ptr`. */
export interface Kring {
  readonly ptr: number;
  readonly dir: number;
  /** Among the NIC rings, or among the host rings, of its direction. */
  readonly index: number;
  /** ringid: host rings continue after the NIC rings. */
  readonly ringId: number;
  readonly nslots: number;
  /** Address of the netmap_ring, 0 while no port has it open. */
  ring: number;
  /** Open ports that have it bound. */
  users: number;
  exclusive: boolean;
  /** Pipes: the kring at the other end. */
  peer?: Kring;
}

/** Tells a kring its place and the buffers of its region: what syncs check slots against. */
export function describeBuffers(arena: ArenaOwner, region: Region, kring: Kring): void {
  const set = (field: number, value: number): void => arena.store(kring.ptr + field, value);
  set(KRING_NSLOTS, kring.nslots);
  set(KRING_NBUFS, region.bufs.objtotal);
  set(KRING_BUFBASE, region.bufBase);
  set(KRING_BUFSIZE, region.pools.bufPool.objsize);
  set(KRING_DIR, kring.dir);
  set(KRING_INDEX, kring.index);
}

/** Writes the header and the slots of a netmap_ring, one buffer a slot. */
export function writeRing(
  arena: ArenaOwner,
  region: Region,
  kring: Kring,
  ring: number,
  bufs: readonly number[],
): void {
  const bufSize = region.pools.bufPool.objsize;
  const { i32, u32 } = arena;
  const w = ring >>> 2;
  i32[w + (NETMAP_RING_BUF_OFS >> 2)] = region.bufBase - ring;
  i32[w + (NETMAP_RING_NUM_SLOTS >> 2)] = kring.nslots;
  i32[w + (NETMAP_RING_NR_BUF_SIZE >> 2)] = bufSize;
  i32[w + (NETMAP_RING_RINGID >> 2)] = kring.ringId | (kring.dir << (8 * (NETMAP_RING_DIR - NETMAP_RING_RINGID)));
  const slots = (ring + NETMAP_RING_SLOT) >>> 2;
  for (let i = 0; i < bufs.length; i++) {
    u32[slots + 4 * i] = bufs[i];
    u32[slots + 4 * i + (NETMAP_SLOT_LEN >> 2)] = bufSize & 0xffff;
  }
}

/** All slots are the application's (tx), or the kernel's (rx); monitors of the ring start there. */
export function resetIndices(arena: ArenaOwner, kring: Kring): void {
  const tail = kring.dir === NR_TX ? kring.nslots - 1 : 0;
  for (const field of [KRING_RHEAD, KRING_RCUR, KRING_HWCUR, KRING_HWLEASE]) arena.store(kring.ptr + field, 0);
  for (const field of [KRING_RTAIL, KRING_HWTAIL, KRING_MAILTAIL]) arena.store(kring.ptr + field, tail);
  for (let m = arena.load(kring.ptr + KRING_MONITORS); m !== 0; m = arena.load(m + MONITOR_NEXT)) {
    arena.store(m + MONITOR_TAIL, tail);
  }
  arena.store(kring.ring + NETMAP_RING_HEAD, 0);
  arena.store(kring.ring + NETMAP_RING_CUR, 0);
  arena.store(kring.ring + NETMAP_RING_TAIL, tail);
}

/** The buffers that a ring's slots name. */
export function slotBufs(arena: ArenaOwner, kring: Kring): number[] {
  const slots = (kring.ring + NETMAP_RING_SLOT) >>> 2;
  return Array.from({ length: kring.nslots }, (_, i) => arena.u32[slots + 4 * i]);
}

/** The buffers that a pipe's pair of rings holds: the receiver's where it has taken a slot, and not given it back. */
export function pairBufs(arena: ArenaOwner, tx: Kring): number[] {
  const rx = tx.peer;
  if (!rx || rx.ring === 0 || tx.ring === 0) return [];
  const n = tx.nslots;
  const from = arena.load(rx.ptr + KRING_HWCUR);
  const pending = (arena.load(rx.ptr + KRING_HWTAIL) - from + n) % n;
  const txBufs = slotBufs(arena, tx);
  const rxBufs = slotBufs(arena, rx);
  return txBufs.map((index, i) => ((i - from + n) % n < pending ? rxBufs[i] : index));
}
