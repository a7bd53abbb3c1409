// Second step of the switch on a bridge whose destinations a function of the user's decides (the lookup callback of
// netmap's bdg_ops). It stands in the instance's function table, which its thread fills (src/vale/lookups.ts): entry 0 is
// JavaScript that catches what a lookup throws, around valeLookup; the entries after it are the lookups.
import {
  LOOKUP_LEARN,
  LOOKUP_MAX_DEST,
  PORT_BDG_INDEX,
  PORT_HDR_LEN,
  SCRATCH_ADDR,
  SCRATCH_DEST,
  SCRATCH_ENTRY_SIZE,
  SCRATCH_FRAGS,
  SCRATCH_LEN,
  STAT_DROP_FILTERED,
  STAT_DROP_LOOKUP,
  STAT_DROP_SHORT,
  THREAD_LOOKUP_AT,
  THREAD_LOOKUPS,
} from '../abi/arena';
import { ETHER_HDR_LEN } from '../abi/ether';
import { NM_BDG_NOPORT } from '../abi/netmap';
import { statAdd } from '../stats/counters';
import { valeClassify } from './classify';

const GUARD: u32 = 0; // entry of the function table

/** As valeClassify, by the user's lookup. A thread that has not loaded it drops the packets, and counts them. */
export function valeAsk(kr: usize, port: usize, scratch: usize, count: u32, ring: u32, self: usize, lookup: u32): void {
  if (lookup > load<u32>(self, THREAD_LOOKUPS)) valeLookupFailed(kr, scratch, 0, count, count);
  else call_indirect<void>(GUARD, kr, port, scratch, count, ring, self, lookup);
}

/**
 * Asks the lookup for up to `limit` packets from entry `from` on. Returns the entry after them. When the lookup throws or
 * traps, THREAD_LOOKUP_AT says which entry it was asked about; those before it are done.
 */
export function valeLookup(
  kr: usize,
  port: usize,
  scratch: usize,
  from: u32,
  count: u32,
  limit: u32,
  ring: u32,
  self: usize,
  lookup: u32,
): u32 {
  const hdrLen = load<u32>(port, PORT_HDR_LEN);
  const index = load<u32>(port, PORT_BDG_INDEX);
  let i = from;
  for (let n: u32 = 0; n < limit && i < count; n++) {
    const e = scratch + <usize>i * SCRATCH_ENTRY_SIZE;
    const w = load<u64>(e); // SCRATCH_ADDR, SCRATCH_LEN, SCRATCH_FRAGS
    const frags = <u32>(w >> 48);
    let p = <usize>(<u32>w) + hdrLen;
    let usable = (<i32>(w >> 32) & 0xffff) - <i32>hdrLen;
    if (usable == 0 && frags > 1) {
      // the port header alone in the first slot
      p = load<u32>(e + SCRATCH_ENTRY_SIZE, SCRATCH_ADDR);
      usable = load<u16>(e + SCRATCH_ENTRY_SIZE, SCRATCH_LEN);
    }
    let dest: u32 = NM_BDG_NOPORT;
    if (usable >= ETHER_HDR_LEN) {
      store<u32>(self, i, THREAD_LOOKUP_AT);
      const answer = <u32>call_indirect<i32>(lookup, p, usable, hdrLen, index, ring);
      if (answer == LOOKUP_LEARN) {
        valeClassify(kr, port, e, frags, ring, self);
        i += frags;
        continue;
      }
      if (answer > <u32>LOOKUP_MAX_DEST) statAdd(kr, STAT_DROP_LOOKUP, 1);
      else if ((answer & 0xff) == NM_BDG_NOPORT) statAdd(kr, STAT_DROP_FILTERED, 1);
      else dest = answer;
    } else {
      statAdd(kr, STAT_DROP_SHORT, 1);
    }
    store<u32>(e, dest, SCRATCH_DEST);
    i += frags;
  }
  return i;
}

/** Drops up to `limit` packets from entry `from` on, as the lookup has failed. Returns the entry after them. */
export function valeLookupFailed(kr: usize, scratch: usize, from: u32, count: u32, limit: u32): u32 {
  let i = from;
  let n: u32 = 0;
  for (; n < limit && i < count; n++) {
    const e = scratch + <usize>i * SCRATCH_ENTRY_SIZE;
    store<u32>(e, NM_BDG_NOPORT, SCRATCH_DEST);
    i += <u32>load<u16>(e, SCRATCH_FRAGS);
  }
  statAdd(kr, STAT_DROP_LOOKUP, n);
  return i;
}
