// Third step of the switch (second pass of nm_vale_flush): each destination's queue is copied into its rx ring.
import {
  BRIDGE_ACTIVE,
  BRIDGE_PORTS,
  KRING_BUFBASE,
  KRING_BUFSIZE,
  KRING_MODE,
  KRING_NBUFS,
  KRING_NSLOTS,
  KRING_PORT,
  KRING_RING,
  KRING_RUN,
  KRING_STOP,
  LEASE_END,
  LEASE_START,
  PORT_BDG_INDEX,
  PORT_BRIDGE,
  PORT_HDR_LEN,
  PORT_NRX,
  PORT_RX,
  KRING_SIZE,
  QUEUE_HEAD,
  QUEUE_PACKETS,
  QUEUE_SLOTS,
  SCRATCH_ADDR,
  SCRATCH_BROADCAST,
  SCRATCH_DESTS,
  SCRATCH_ENTRY_SIZE,
  SCRATCH_FRAGS,
  SCRATCH_LEN,
  SCRATCH_NEXT,
  SCRATCH_QUEUE_SIZE,
  SCRATCH_QUEUES,
  SCRATCH_RUN_END,
  STAT_BAD_SLOT,
  STAT_DELIVERED,
  STAT_DELIVERED_BYTES,
  STAT_DROP_BAD_SLOT,
  STAT_DROP_BUSY,
  STAT_DROP_HEADER,
  STAT_DROP_NO_PORT,
  STAT_DROP_NO_SPACE,
  STAT_DROP_TOO_LONG,
  STAT_FORWARDED,
} from '../abi/arena';
import {
  NETMAP_RING_SLOT,
  NETMAP_SLOT_LEN,
  NETMAP_SLOT_SIZE,
  NM_BDG_MAXRINGS,
  NS_MOREFRAG,
  NS_RFRAGS_SHIFT,
} from '../abi/netmap';
import { frameCopy, packetCopy } from '../packet/copy';
import { ringNext } from '../ring/wrap';
import { statAdd, statAddShared } from '../stats/counters';
import { QUEUE_END, valeAddBroadcast, valeQueue } from './classify';
import { leaseComplete, leaseLock, leasePublish, leaseTake, leaseUnlock } from './lease';

/** Queues `count` classified packets by destination and delivers them. Counts go to the source's tx kring `kr`. */
export function valeDeliver(kr: usize, port: usize, scratch: usize, count: u32, self: usize): void {
  const bridge: usize = load<u32>(port, PORT_BRIDGE);
  const index = load<u32>(port, PORT_BDG_INDEX);
  let nDests = valeQueue(kr, index, scratch, count);
  const broadcast = scratch + SCRATCH_QUEUES + SCRATCH_BROADCAST * SCRATCH_QUEUE_SIZE;
  const anyBroadcast = load<u32>(broadcast, QUEUE_PACKETS) != 0;
  if (anyBroadcast) nDests = valeAddBroadcast(atomic.load<u32>(bridge, BRIDGE_ACTIVE), index, scratch, nDests);
  for (let i: u32 = 0; i < nDests; i++) {
    const q = load<u32>(scratch + SCRATCH_DESTS + ((<usize>i) << 2));
    const queue = scratch + SCRATCH_QUEUES + <usize>q * SCRATCH_QUEUE_SIZE;
    const dest: usize = atomic.load<u32>(bridge + ((<usize>(q / NM_BDG_MAXRINGS)) << 2), BRIDGE_PORTS);
    const ring = q & (NM_BDG_MAXRINGS - 1);
    // DIFF: netmap merges broadcast frames into the queues of all rings of a port; they belong to ring 0 alone.
    deliverQueue(kr, scratch, queue, ring == 0 && anyBroadcast ? broadcast : 0, dest, ring, self);
    store<u32>(queue, 0, QUEUE_PACKETS);
    store<u32>(queue, 0, QUEUE_SLOTS);
  }
  if (anyBroadcast) {
    store<u32>(broadcast, 0, QUEUE_PACKETS);
    store<u32>(broadcast, 0, QUEUE_SLOTS);
  }
}

function deliverQueue(
  kr: usize,
  scratch: usize,
  queue: usize,
  broadcast: usize,
  dest: usize,
  ring: u32,
  self: usize,
): void {
  let packets: u32 = load<u32>(queue, QUEUE_PACKETS);
  let slots = load<u32>(queue, QUEUE_SLOTS);
  const unicastHead = packets != 0 ? load<u32>(queue, QUEUE_HEAD) : QUEUE_END;
  let broadcastHead = QUEUE_END;
  if (broadcast != 0) {
    packets += load<u32>(broadcast, QUEUE_PACKETS);
    slots += load<u32>(broadcast, QUEUE_SLOTS);
    broadcastHead = load<u32>(broadcast, QUEUE_HEAD);
  }
  const nrx = dest != 0 ? load<u32>(dest, PORT_NRX) : 0;
  if (nrx == 0) {
    statAdd(kr, STAT_DROP_NO_PORT, packets);
    return;
  }
  if (load<u32>(dest, PORT_HDR_LEN) != load<u32>(load<u32>(kr, KRING_PORT), PORT_HDR_LEN)) {
    statAdd(kr, STAT_DROP_HEADER, packets);
    return;
  }
  const dkr: usize = <usize>load<u32>(dest, PORT_RX) + <usize>(ring % nrx) * KRING_SIZE;
  if (!leaseLock(dkr, self)) {
    statAdd(kr, STAT_DROP_BUSY, packets);
    return;
  }
  // Mode, stop and ring are looked at inside the lock: a closing port takes it once after changing them.
  if (
    load<u32>(dkr, KRING_MODE) == 0 ||
    load<u32>(dkr, KRING_RING) == 0 ||
    atomic.load<u32>(dkr, KRING_STOP) != KRING_RUN
  ) {
    leaseUnlock(dkr);
    leasePublish(dkr, self);
    statAdd(kr, STAT_DROP_NO_PORT, packets);
    return;
  }
  const lease = leaseTake(dkr, slots, self);
  leaseUnlock(dkr);
  if (lease == 0) {
    leasePublish(dkr, self); // somebody may have left a done lease to us while we held the lock
    statAdd(kr, STAT_DROP_NO_SPACE, packets);
    return;
  }
  const end =
    broadcastHead == QUEUE_END
      ? copyUnicast(kr, dkr, scratch, unicastHead, packets, lease)
      : copyMerged(kr, dkr, scratch, unicastHead, broadcastHead, packets, lease);
  leaseComplete(dkr, lease, end, self);
}

/** Copies one queue. Returns the slot after the last one used. */
function copyUnicast(kr: usize, dkr: usize, scratch: usize, head: u32, packets: u32, lease: usize): u32 {
  const n = load<u32>(dkr, KRING_NSLOTS);
  const bufBase: usize = load<u32>(dkr, KRING_BUFBASE);
  const bufSize = load<u32>(dkr, KRING_BUFSIZE);
  const bufLimit = load<u32>(dkr, KRING_NBUFS) - 2;
  const ringSlots: usize = load<u32>(dkr, KRING_RING) + NETMAP_RING_SLOT;
  const ringEnd = ringSlots + <usize>n * NETMAP_SLOT_SIZE;
  const leaseEnd = ringSlots + <usize>load<u32>(lease, LEASE_END) * NETMAP_SLOT_SIZE;
  let slot = ringSlots + <usize>load<u32>(lease, LEASE_START) * NETMAP_SLOT_SIZE;
  let full = false;
  let delivered: u32 = 0;
  let refused: u32 = 0; // too long, or a bad slot of the receiver's
  let bytes: u64 = 0;
  while (head != QUEUE_END && !full) {
    let e = scratch + <usize>head * SCRATCH_ENTRY_SIZE;
    const runEnd = scratch + <usize>load<u32>(e, SCRATCH_RUN_END) * SCRATCH_ENTRY_SIZE;
    head = load<u32>(e, SCRATCH_NEXT);
    while (e < runEnd && !full) {
      const w = load<u64>(e); // SCRATCH_ADDR, SCRATCH_LEN, SCRATCH_FRAGS
      const len = <u32>(w >> 32) & 0xffff;
      if (w >> 48 == 1 && len <= bufSize) {
        const idx = load<u32>(slot); // the receiver's: read once
        if (idx - 2 < bufLimit) {
          frameCopy(bufBase + <usize>idx * bufSize, <usize>(<u32>w), len);
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
          slot = ringSlots + <usize>r * NETMAP_SLOT_SIZE;
          delivered++;
          bytes += packetLength(e);
        }
        e += <usize>(w >> 48) * SCRATCH_ENTRY_SIZE;
      }
      full = slot == leaseEnd;
    }
  }
  account(kr, dkr, packets, delivered, refused, bytes);
  return <u32>(slot - ringSlots) / NETMAP_SLOT_SIZE;
}

/** Copies the unicast and the broadcast queue, in the order in which the packets were sent. */
function copyMerged(kr: usize, dkr: usize, scratch: usize, u: u32, b: u32, packets: u32, lease: usize): u32 {
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
    j = r;
    delivered++;
    bytes += packetLength(e);
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

/**
 * Copies one packet of any number of slots into the leased range, from slot j on. Returns the slot after it, or
 * COPY_NO_SPACE, or COPY_REFUSED when a fragment does not fit a buffer; then nothing was used.
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
  for (let f: u32 = 0; f < frags; f++) {
    if (<u32>load<u16>(e + <usize>f * SCRATCH_ENTRY_SIZE, SCRATCH_LEN) > bufSize) return COPY_REFUSED;
  }
  for (let f: u32 = 0; f < frags; f++) {
    const src = e + <usize>f * SCRATCH_ENTRY_SIZE;
    const slot = ringSlots + <usize>j * NETMAP_SLOT_SIZE;
    const idx = load<u32>(slot); // the receiver's: read once
    let len = <u32>load<u16>(src, SCRATCH_LEN);
    if (idx - 2 < bufLimit) {
      packetCopy(bufBase + <usize>idx * bufSize, load<u32>(src, SCRATCH_ADDR), len);
    } else {
      len = 0;
      statAddShared(dkr, STAT_BAD_SLOT, 1);
    }
    const more: u32 = f + 1 < frags ? NS_MOREFRAG : 0;
    store<u32>(slot, len | (((frags << NS_RFRAGS_SHIFT) | more) << 16), NETMAP_SLOT_LEN);
    j = ringNext(j, n);
  }
  return j;
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
