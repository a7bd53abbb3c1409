// Forwarding table of a bridge: which port a MAC address was last seen on.
//
// DIFF: netmap has one entry a hash bucket and evicts a live address on a collision. Here a bucket is one cache line of
// 8 entries (mac | (port + 1) << 48, 0 = free), found by one multiplication; an entry is one 64-bit word, so a lookup
// needs no lock. When a bucket is full, the port that holds most of it gives up an entry, so a port that floods
// addresses evicts its own and nobody else's.
import {
  BRIDGE_FDB,
  BRIDGE_FDB_FULL,
  BRIDGE_LOCK,
  FDB_BUCKET_SHIFT,
  FDB_BUCKETS_LOG2,
  FDB_WAYS,
  THREAD_ID,
} from '../abi/arena';
import { NM_BDG_BROADCAST } from '../abi/netmap';

export const MAC_MASK: u64 = 0xffffffffffff;
const HASH: u64 = 0x9e3779b97f4a7c15; // 2^64 / golden ratio

/** Address of the bucket of `mac` (48 bits, first byte lowest). */
export function fdbBucket(fdb: usize, mac: u64): usize {
  return fdb + ((<usize>((mac * HASH) >> (64 - FDB_BUCKETS_LOG2))) << FDB_BUCKET_SHIFT);
}

/** Port index of `mac`, or NM_BDG_BROADCAST when it is not known. */
export function fdbLookup(fdb: usize, mac: u64): u32 {
  let p = fdbBucket(fdb, mac);
  const end = p + FDB_WAYS * 8;
  do {
    const e = atomic.load<u64>(p);
    if (((e ^ mac) & MAC_MASK) == 0 && e != 0) return <u32>(e >> 48) - 1;
    p += 8;
  } while (p < end);
  return NM_BDG_BROADCAST;
}

/**
 * Notes that `mac` is on port `port`. Returns the address of its entry, or 0 when it was not learned (another thread is
 * learning at this moment, or the bucket is full of other ports' addresses).
 */
export function fdbLearn(bridge: usize, mac: u64, port: u32, self: usize): usize {
  if (atomic.cmpxchg<u32>(bridge, 0, load<u32>(self, THREAD_ID), BRIDGE_LOCK) != 0) return 0;
  const bucket = fdbBucket(load<u32>(bridge, BRIDGE_FDB), mac);
  const entry = fdbPlace(bucket, mac, port);
  if (entry != 0) atomic.store<u64>(entry, mac | ((<u64>(port + 1)) << 48));
  else store<u64>(bridge, load<u64>(bridge, BRIDGE_FDB_FULL) + 1, BRIDGE_FDB_FULL);
  atomic.store<u32>(bridge, 0, BRIDGE_LOCK);
  return entry;
}

/** The entry to write `mac` into: its own, else a free one, else one of the port with most entries, if it has two. */
function fdbPlace(bucket: usize, mac: u64, port: u32): usize {
  let free: usize = 0;
  for (let i: usize = 0; i < <usize>FDB_WAYS; i++) {
    const e = load<u64>(bucket + i * 8);
    if (e == 0) {
      if (free == 0) free = bucket + i * 8;
    } else if (((e ^ mac) & MAC_MASK) == 0) {
      return bucket + i * 8;
    }
  }
  if (free != 0) return free;
  let victim: usize = 0;
  let most: u32 = 1;
  for (let i: usize = 0; i < <usize>FDB_WAYS; i++) {
    const holder = <u32>(load<u64>(bucket + i * 8) >> 48);
    let count: u32 = holder == port + 1 ? 1 : 0; // at equal counts the newcomer's own port gives way
    for (let j: usize = 0; j < <usize>FDB_WAYS; j++) count += <u32>(load<u64>(bucket + j * 8) >> 48) == holder ? 1 : 0;
    if (count > most) {
      most = count;
      victim = bucket + i * 8;
    }
  }
  return victim;
}

/** Forgets every address on port `port`, or all of them when `port` is NM_BDG_BROADCAST. Control thread only. */
export function fdbPurge(fdb: usize, size: u32, port: u32): void {
  for (let p = fdb, end = fdb + size; p < end; p += 8) {
    const e = atomic.load<u64>(p);
    if (e == 0) continue;
    if (port == NM_BDG_BROADCAST || <u32>(e >> 48) - 1 == port) atomic.store<u64>(p, 0);
  }
}
