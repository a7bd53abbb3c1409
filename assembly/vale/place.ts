// Copying queued packets into the leased slots of an rx ring (the copy loop of nm_vale_flush): exactly len bytes a slot,
// into the buffer that the receiver's slot names, if that is one.
import {
  KRING_BUFBASE,
  KRING_BUFSIZE,
  KRING_NBUFS,
  KRING_NSLOTS,
  KRING_RING,
  LEASE_END,
  LEASE_START,
  SCRATCH_ADDR,
  SCRATCH_ENTRY_SIZE,
  SCRATCH_FRAGS,
  SCRATCH_LEN,
  SCRATCH_NEXT,
  SCRATCH_RUN_END,
  STAT_BAD_SLOT,
  STAT_DELIVERED,
  STAT_DELIVERED_BYTES,
  STAT_DROP_BAD_SLOT,
  STAT_DROP_NO_SPACE,
  STAT_DROP_TOO_LONG,
  STAT_FORWARDED,
} from '../abi/arena';
import {
  NETMAP_RING_SLOT,
  NETMAP_SLOT_FLAGS,
  NETMAP_SLOT_LEN,
  NETMAP_SLOT_SIZE,
  NS_MOREFRAG,
  NS_RFRAGS_SHIFT,
} from '../abi/netmap';
import { COPY_LONG, packetCopy } from '../packet/copy';
import { hasOffsets, slotOffset } from '../ring/offset';
import { ringNext } from '../ring/wrap';
import { statAdd, statAddShared } from '../stats/counters';
import { QUEUE_END } from './classify';
import { placeFragments, placeLong, placeShort } from './place-loops';

/** Copies one queue. Returns the slot after the last one used. */
export function copyUnicast(kr: usize, dkr: usize, scratch: usize, head: u32, packets: u32, lease: usize): u32 {
  const n = load<u32>(dkr, KRING_NSLOTS);
  const bufBase: usize = load<u32>(dkr, KRING_BUFBASE);
  const bufSize = load<u32>(dkr, KRING_BUFSIZE);
  const bufLimit = load<u32>(dkr, KRING_NBUFS) - 2;
  const ringSlots: usize = load<u32>(dkr, KRING_RING) + NETMAP_RING_SLOT;
  const ringEnd = ringSlots + <usize>n * NETMAP_SLOT_SIZE;
  const leaseEnd = ringSlots + <usize>load<u32>(lease, LEASE_END) * NETMAP_SLOT_SIZE;
  let slot = ringSlots + <usize>load<u32>(lease, LEASE_START) * NETMAP_SLOT_SIZE;
  const plainLimit = min<u32>(bufSize, 0xffff);
  const shortLimit = min<u32>(plainLimit, COPY_LONG - 1);
  const plainBufs = hasOffsets(dkr) ? 0 : bufLimit;
  let full = false;
  let delivered: u32 = 0;
  let refused: u32 = 0; // too long, or a bad slot of the receiver's
  let bytes: u64 = 0;
  while (head != QUEUE_END && !full) {
    let e = scratch + <usize>head * SCRATCH_ENTRY_SIZE;
    const runEnd = scratch + <usize>load<u32>(e, SCRATCH_RUN_END) * SCRATCH_ENTRY_SIZE;
    head = load<u32>(e, SCRATCH_NEXT);
    while (e < runEnd && !full) {
      // The usual packets, up to the end of the run, of the ring, or of the lease.
      const slotEnd = slot < leaseEnd ? leaseEnd : ringEnd;
      const end = e + min<usize>(runEnd - e, slotEnd - slot);
      let r = placeShort(e, end, slot - e, bufBase, bufSize, plainBufs, shortLimit);
      if (<usize>(<u32>r) == e) r = placeLong(e, end, slot - e, bufBase, bufSize, plainBufs, plainLimit);
      const taken = <usize>(<u32>r) - e;
      if (taken != 0) {
        delivered += <u32>taken / SCRATCH_ENTRY_SIZE;
        bytes += r >> 32;
        e += taken;
        slot += taken;
        if (slot == ringEnd) slot = ringSlots;
        full = slot == leaseEnd;
        continue;
      }
      const w = load<u64>(e); // SCRATCH_ADDR, SCRATCH_LEN, SCRATCH_FRAGS
      const size = <usize>(w >> 48) * SCRATCH_ENTRY_SIZE; // of its entries, and of its slots
      const placed = size > end - e ? 0 : placeFragments(e, size, slot - e, bufBase, bufSize, plainBufs, plainLimit);
      if (placed != 0) {
        delivered++;
        bytes += placed;
        e += size;
        slot += size;
        if (slot == ringEnd) slot = ringSlots;
        full = slot == leaseEnd;
        continue;
      }
      const len = <u32>(w >> 32) & 0xffff;
      const offset = slotOffset(dkr, slot);
      if (w >> 48 == 1 && len <= bufSize - offset) {
        const idx = load<u32>(slot); // the receiver's: read once
        if (idx - 2 < bufLimit) {
          packetCopy(bufBase + <usize>idx * bufSize + offset, <usize>(<u32>w), len);
          store<u32>(slot, len | (1 << (16 + NS_RFRAGS_SHIFT)), NETMAP_SLOT_LEN);
          delivered++;
          bytes += len;
        } else {
          store<u32>(slot, 0, NETMAP_SLOT_LEN);
          refused++;
          countReceiverFault(kr, dkr);
        }
        slot += NETMAP_SLOT_SIZE;
        if (slot == ringEnd) slot = ringSlots;
        e += SCRATCH_ENTRY_SIZE;
      } else {
        const r = copyFragments(dkr, e, <u32>(slot - ringSlots) / NETMAP_SLOT_SIZE, lease);
        if (r == COPY_NO_SPACE) {
          full = true;
          break;
        }
        if (r == COPY_REFUSED) {
          refused++;
          statAdd(kr, STAT_DROP_TOO_LONG, 1);
        } else {
          slot = ringSlots + <usize>(r & ~COPY_FAULT) * NETMAP_SLOT_SIZE;
          if (r & COPY_FAULT) {
            refused++;
            statAdd(kr, STAT_DROP_BAD_SLOT, 1);
          } else {
            delivered++;
            bytes += packetLength(e);
          }
        }
        e += size;
      }
      full = slot == leaseEnd;
    }
  }
  account(kr, dkr, packets, delivered, refused, bytes);
  return <u32>(slot - ringSlots) / NETMAP_SLOT_SIZE;
}

/** Copies the unicast and the broadcast queue, in the order in which the packets were sent. */
export function copyMerged(kr: usize, dkr: usize, scratch: usize, u: u32, b: u32, packets: u32, lease: usize): u32 {
  const leaseEnd = load<u32>(lease, LEASE_END);
  let j = load<u32>(lease, LEASE_START);
  let uEnd = runEndOf(scratch, u);
  let uNext = nextRunOf(scratch, u);
  let bEnd = runEndOf(scratch, b);
  let bNext = nextRunOf(scratch, b);
  let delivered: u32 = 0;
  let refused: u32 = 0;
  let bytes: u64 = 0;
  while ((u != QUEUE_END || b != QUEUE_END) && j != leaseEnd) {
    const i = min(u, b); // QUEUE_END is larger than any index
    const e = scratch + <usize>i * SCRATCH_ENTRY_SIZE;
    const after = i + <u32>load<u16>(e, SCRATCH_FRAGS);
    if (i == u) {
      u = after == uEnd ? uNext : after;
      if (after == uEnd) {
        uEnd = runEndOf(scratch, u);
        uNext = nextRunOf(scratch, u);
      }
    } else {
      b = after == bEnd ? bNext : after;
      if (after == bEnd) {
        bEnd = runEndOf(scratch, b);
        bNext = nextRunOf(scratch, b);
      }
    }
    const r = copyFragments(dkr, e, j, lease);
    if (r == COPY_NO_SPACE) break;
    if (r == COPY_REFUSED) {
      refused++;
      statAdd(kr, STAT_DROP_TOO_LONG, 1);
      continue;
    }
    j = r & ~COPY_FAULT;
    if (r & COPY_FAULT) {
      refused++;
      statAdd(kr, STAT_DROP_BAD_SLOT, 1);
    } else {
      delivered++;
      bytes += packetLength(e);
    }
  }
  account(kr, dkr, packets, delivered, refused, bytes);
  return j;
}

function runEndOf(scratch: usize, run: u32): u32 {
  return run == QUEUE_END ? QUEUE_END : load<u32>(scratch + <usize>run * SCRATCH_ENTRY_SIZE, SCRATCH_RUN_END);
}

function nextRunOf(scratch: usize, run: u32): u32 {
  return run == QUEUE_END ? QUEUE_END : load<u32>(scratch + <usize>run * SCRATCH_ENTRY_SIZE, SCRATCH_NEXT);
}

const COPY_NO_SPACE: u32 = 0xffffffff;
const COPY_REFUSED: u32 = 0xfffffffe;
const COPY_FAULT: u32 = 0x10000; // above any slot index

/**
 * Copies one packet of any number of slots into the leased range, from slot j on. Returns the slot after it, or
 * COPY_NO_SPACE, or COPY_REFUSED when a fragment does not fit a buffer; then nothing was used. COPY_FAULT is added when
 * the receiver has put a bad index into one of the slots: they are used up then, and all empty.
 */
function copyFragments(dkr: usize, e: usize, j: u32, lease: usize): u32 {
  const n = load<u32>(dkr, KRING_NSLOTS);
  const bufBase: usize = load<u32>(dkr, KRING_BUFBASE);
  const bufSize = load<u32>(dkr, KRING_BUFSIZE);
  const bufLimit = load<u32>(dkr, KRING_NBUFS) - 2;
  const ringSlots: usize = load<u32>(dkr, KRING_RING) + NETMAP_RING_SLOT;
  const frags = <u32>load<u16>(e, SCRATCH_FRAGS);
  const leaseEnd = load<u32>(lease, LEASE_END);
  const left = leaseEnd >= j ? leaseEnd - j : leaseEnd - j + n;
  if (frags > left) return COPY_NO_SPACE;
  for (let f: u32 = 0, k = j; f < frags; f++, k = ringNext(k, n)) {
    const room = bufSize - slotOffset(dkr, ringSlots + <usize>k * NETMAP_SLOT_SIZE);
    if (<u32>load<u16>(e + <usize>f * SCRATCH_ENTRY_SIZE, SCRATCH_LEN) > room) return COPY_REFUSED;
  }
  const start = j;
  let faults: u32 = 0;
  for (let f: u32 = 0; f < frags; f++) {
    const src = e + <usize>f * SCRATCH_ENTRY_SIZE;
    const slot = ringSlots + <usize>j * NETMAP_SLOT_SIZE;
    const idx = load<u32>(slot); // the receiver's: read once
    const len = <u32>load<u16>(src, SCRATCH_LEN);
    const offset = slotOffset(dkr, slot); // may have changed meanwhile
    if (idx - 2 < bufLimit && len <= bufSize - offset) {
      packetCopy(bufBase + <usize>idx * bufSize + offset, load<u32>(src, SCRATCH_ADDR), len);
    } else {
      faults++;
    }
    const more: u32 = f + 1 < frags ? NS_MOREFRAG : 0;
    store<u32>(slot, len | (((frags << NS_RFRAGS_SHIFT) | more) << 16), NETMAP_SLOT_LEN);
    j = ringNext(j, n);
  }
  if (faults == 0) return j;
  statAddShared(dkr, STAT_BAD_SLOT, faults);
  for (let k = start; k != j; k = ringNext(k, n)) {
    store<u32>(ringSlots + <usize>k * NETMAP_SLOT_SIZE, 0, NETMAP_SLOT_LEN);
  }
  return j | COPY_FAULT;
}

function packetLength(e: usize): u64 {
  const frags = <u32>load<u16>(e, SCRATCH_FRAGS);
  let bytes: u64 = 0;
  for (let f: u32 = 0; f < frags; f++) bytes += load<u16>(e + <usize>f * SCRATCH_ENTRY_SIZE, SCRATCH_LEN);
  return bytes;
}

function countReceiverFault(kr: usize, dkr: usize): void {
  statAddShared(dkr, STAT_BAD_SLOT, 1);
  statAdd(kr, STAT_DROP_BAD_SLOT, 1);
}

function account(kr: usize, dkr: usize, packets: u32, delivered: u32, refused: u32, bytes: u64): void {
  statAdd(kr, STAT_FORWARDED, delivered);
  if (packets != delivered + refused) statAdd(kr, STAT_DROP_NO_SPACE, packets - delivered - refused);
  statAddShared(dkr, STAT_DELIVERED, delivered);
  statAddShared(dkr, STAT_DELIVERED_BYTES, bytes);
}
