// First step of the switch (nm_vale_preflush): slots of a tx ring -> scratch array. Each slot is read once, checked, and
// remembered as an address and a length; packets with a bad slot or too many fragments stop here.
import {
  KRING_BUFBASE,
  KRING_BUFSIZE,
  KRING_HWCUR,
  KRING_NBUFS,
  KRING_NSLOTS,
  KRING_RING,
  SCRATCH_ENTRY_SIZE,
  SCRATCH_FRAGS,
  STAT_BAD_SLOT,
  STAT_BYTES,
  STAT_DROP_BAD_SLOT,
  STAT_DROP_FRAGS,
  STAT_PACKETS,
} from '../abi/arena';
import {
  NETMAP_MAX_FRAGS,
  NETMAP_RING_SLOT,
  NETMAP_SLOT_FLAGS,
  NETMAP_SLOT_SIZE,
  NM_BDG_BATCH,
  NS_BUF_CHANGED,
  NS_MOREFRAG,
} from '../abi/netmap';
import { hasOffsets, slotOffset } from '../ring/offset';
import { statAdd } from '../stats/counters';
import { indirectAddress, isIndirect } from './indirect';

/**
 * Gathers packets from hwcur up to `head` (not included), a batch at the most; moves hwcur past them.
 * Returns the number of entries written. A packet cut off by `head` goes out with the fragments seen so far.
 */
export function valeGather(kr: usize, scratch: usize, head: u32): u32 {
  const n = load<u32>(kr, KRING_NSLOTS);
  const bufBase: usize = load<u32>(kr, KRING_BUFBASE);
  const bufSize = load<u32>(kr, KRING_BUFSIZE);
  const bufLimit = load<u32>(kr, KRING_NBUFS) - 2;
  const slots: usize = load<u32>(kr, KRING_RING) + NETMAP_RING_SLOT;
  const ringEnd = slots + <usize>n * NETMAP_SLOT_SIZE;
  const stop = slots + <usize>head * NETMAP_SLOT_SIZE;
  const batchEnd = scratch + NM_BDG_BATCH * SCRATCH_ENTRY_SIZE;
  let slot = slots + <usize>load<u32>(kr, KRING_HWCUR) * NETMAP_SLOT_SIZE;
  let entry = scratch; // next free entry
  let packets: u64 = 0;
  let bytes: u64 = 0;

  const plainLimit = min<u32>(bufSize, 0xffff); // of len | flags << 16: a length in range, and no flag
  const plainBufs = hasOffsets(kr) ? 0 : bufLimit;
  while (slot != stop && entry < batchEnd) {
    // The usual slots: a packet each, no flags. Up to the end of the ring, of the batch, or of what was submitted.
    const runEnd = slot < stop ? stop : ringEnd;
    const end = slot + min<usize>(runEnd - slot, batchEnd - entry);
    const r = gatherPlain(slot, end, entry - slot, bufBase, bufSize, plainBufs, plainLimit);
    const taken = <usize>(<u32>r) - slot;
    packets += taken / NETMAP_SLOT_SIZE;
    bytes += r >> 32;
    entry += taken;
    slot += taken;
    if (slot == ringEnd) slot = slots;
    if (entry >= batchEnd || slot == stop) break;
    if (slot == slots && runEnd == ringEnd) continue;
    // The usual packet of several slots.
    const fragsEnd = slot + min<usize>(runEnd - slot, NETMAP_MAX_FRAGS * NETMAP_SLOT_SIZE);
    const f = gatherFragments(slot, fragsEnd, entry - slot, bufBase, bufSize, plainBufs, plainLimit);
    if (f != 0) {
      const size = <usize>(<u32>f) - slot;
      store<u16>(entry, <u16>(size / NETMAP_SLOT_SIZE), SCRATCH_FRAGS);
      packets++;
      bytes += f >> 32;
      entry += size;
      slot += size;
      if (slot == ringEnd) slot = slots;
      continue;
    }
    // Anything else: other flags, packets that wrap or are cut off, bad slots. One packet of them.
    const first = entry;
    let frags: u32 = 0;
    let bad: u32 = 0;
    let more = true;
    do {
      const w = load<u64>(slot); // read again, as it was not used before
      const len = <u32>(w >> 32) & 0xffff;
      const flags = <u32>(w >> 48);
      let data: usize = 0; // where the bytes are, 0 = nowhere
      if (isIndirect(kr, flags)) {
        data = indirectAddress(kr, slot, len);
      } else {
        const offset = slotOffset(kr, slot);
        if (<u32>w - 2 < bufLimit && len <= bufSize - offset) data = bufBase + <usize>(<u32>w) * bufSize + offset;
      }
      if (flags & NS_BUF_CHANGED) store<u16>(slot, flags & ~NS_BUF_CHANGED, NETMAP_SLOT_FLAGS);
      slot += NETMAP_SLOT_SIZE;
      if (slot == ringEnd) slot = slots;
      frags++;
      if (data == 0) {
        bad++;
      } else if (frags <= <u32>NETMAP_MAX_FRAGS) {
        store<u64>(entry, <u64>data | ((<u64>len) << 32) | ((<u64>1) << 48));
        entry += SCRATCH_ENTRY_SIZE;
        bytes += len;
      }
      more = (flags & NS_MOREFRAG) != 0 && slot != stop;
    } while (more);
    packets++;
    if (bad != 0 || frags > <u32>NETMAP_MAX_FRAGS) {
      countDrop(kr, bad);
      entry = first;
    } else {
      store<u16>(first, frags, SCRATCH_FRAGS);
    }
  }
  store<u32>(kr, <u32>(slot - slots) / NETMAP_SLOT_SIZE, KRING_HWCUR);
  statAdd(kr, STAT_PACKETS, packets);
  statAdd(kr, STAT_BYTES, bytes);
  return <u32>(entry - scratch) / SCRATCH_ENTRY_SIZE;
}

/**
 * Gathers plain slots from `slot` to `end` into entries `delta` behind them. Returns the first slot left, and bytes << 32.
 * A loop of its own, without calls: all it works with stays in registers.
 */
function gatherPlain(
  slot: usize,
  end: usize,
  delta: usize,
  bufBase: usize,
  bufSize: u32,
  bufLimit: u32,
  plainLimit: u32,
): u64 {
  let bytes: u64 = 0;
  while (slot != end) {
    const w = load<u64>(slot); // buf_idx, len and flags: read once
    const len = w >> 32;
    if (<u32>w - 2 >= bufLimit) break;
    if (<u32>len > plainLimit) break;
    store<u64>(slot + delta, <u64>(bufBase + <usize>(<u32>w) * bufSize) | (len << 32) | ((<u64>1) << 48));
    slot += NETMAP_SLOT_SIZE;
    bytes += len;
  }
  return (bytes << 32) | <u64>slot;
}

/**
 * Gathers one packet of slots without other flags than NS_MOREFRAG, from `slot` on, as gatherPlain does. Returns the slot
 * after it, and bytes << 32; 0 if something is wrong with it or if it does not end before `end`.
 */
function gatherFragments(
  slot: usize,
  end: usize,
  delta: usize,
  bufBase: usize,
  bufSize: u32,
  bufLimit: u32,
  plainLimit: u32,
): u64 {
  let bytes: u64 = 0;
  while (slot != end) {
    const w = load<u64>(slot); // buf_idx, len and flags: read once
    const more = w & ((<u64>NS_MOREFRAG) << 48);
    const len = (w ^ more) >> 32;
    if (<u32>w - 2 >= bufLimit) return 0;
    if (<u32>len > plainLimit) return 0;
    store<u64>(slot + delta, <u64>(bufBase + <usize>(<u32>w) * bufSize) | (len << 32) | ((<u64>1) << 48));
    slot += NETMAP_SLOT_SIZE;
    bytes += len;
    if (more == 0) return (bytes << 32) | <u64>slot;
  }
  return 0;
}

function countDrop(kr: usize, bad: u32): void {
  if (bad != 0) {
    statAdd(kr, STAT_BAD_SLOT, bad);
    statAdd(kr, STAT_DROP_BAD_SLOT, 1);
  } else {
    statAdd(kr, STAT_DROP_FRAGS, 1);
  }
}
