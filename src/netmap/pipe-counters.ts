// What a ring of a pipe has sent. The receiver counts what it takes; what the sender has published and the receiver has not
// taken yet is counted when somebody asks, and costs nothing while packets flow.

import {
  KRING_BUFSIZE,
  KRING_BUSY,
  KRING_HWTAIL,
  KRING_MAILTAIL,
  KRING_NBUFS,
  KRING_NSLOTS,
  KRING_PEER,
  KRING_RING,
  KRING_STATS,
  KRING_SYNCS,
  NETMAP_RING_SLOT,
  NETMAP_SLOT_LEN,
  NETMAP_SLOT_SIZE,
  NS_MOREFRAG,
  STAT_BYTES,
  STAT_DROP_BAD_SLOT,
  STAT_PACKETS,
} from '../abi.js';
import type { Arena } from '../memory/arena.js';

/** Looks that are taken at a ring whose owner syncs it meanwhile, at most. */
const TRIES = 1000;

export interface PipeSent {
  readonly packets: number;
  readonly bytes: number;
  /** Slots with an index or a length out of range, among those that were taken. */
  readonly badSlots: number;
}

/**
 * @param tx address of the sender's kring
 * @returns packets and their bytes; exact while nobody writes to the rings, and packets of one slot at any time
 */
export function readPipeSent(arena: Arena, tx: number): PipeSent {
  const { taken, from, to } = readTaken(arena, arena.load(tx + KRING_PEER));
  const ring = arena.load(tx + KRING_RING);
  let { packets, bytes } = taken;
  if (ring === 0) return taken;
  const n = arena.load(tx + KRING_NSLOTS);
  const numBufs = arena.load(tx + KRING_NBUFS);
  const bufSize = arena.load(tx + KRING_BUFSIZE);
  for (let i = from; i !== to && i < n; i = i + 1 === n ? 0 : i + 1) {
    const slot = (ring + NETMAP_RING_SLOT + i * NETMAP_SLOT_SIZE) >>> 2;
    const index = arena.u32[slot];
    const word = arena.u32[slot + (NETMAP_SLOT_LEN >> 2)];
    const len = word & 0xffff;
    if (index >= 2 && index < numBufs && len <= bufSize) bytes += len;
    if (((word >>> 16) & NS_MOREFRAG) === 0) packets++;
  }
  return { packets, bytes, badSlots: taken.badSlots };
}

/** The counters of the receiver's kring and where they end, as they were between two syncs of it. */
function readTaken(arena: Arena, rx: number) {
  const stat = (index: number): number => arena.counter(rx + KRING_STATS + 8 * index);
  for (let tries = 1; ; tries++) {
    const syncs = arena.load(rx + KRING_SYNCS);
    const busy = arena.load(rx + KRING_BUSY);
    const taken = { packets: stat(STAT_PACKETS), bytes: stat(STAT_BYTES), badSlots: stat(STAT_DROP_BAD_SLOT) };
    const from = arena.load(rx + KRING_HWTAIL);
    const to = arena.load(rx + KRING_MAILTAIL);
    const isWhole = busy === 0 && arena.load(rx + KRING_BUSY) === 0 && arena.load(rx + KRING_SYNCS) === syncs;
    if (isWhole || tries === TRIES) return { taken, from, to };
  }
}
