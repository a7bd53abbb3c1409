// Copy monitors (netmap_monitor_parent_tx, _rx): the frames of a watched ring are copied into the rx rings of its
// monitors. A monitor that has no room gets the newest ones; the watched ring never waits for it.
import {
  KRING_BUFBASE,
  KRING_BUFSIZE,
  KRING_MODE,
  KRING_MONITORS,
  KRING_NBUFS,
  KRING_NSLOTS,
  KRING_RING,
  KRING_RUN,
  KRING_STOP,
  LEASE_END,
  LEASE_START,
  MONITOR_NEXT,
  MONITOR_RING,
  MONITOR_TAIL,
  STAT_BAD_SLOT,
  STAT_DELIVERED,
  STAT_DELIVERED_BYTES,
  STAT_DROP_NO_SPACE,
} from '../abi/arena';
import { NETMAP_RING_SLOT, NETMAP_SLOT_LEN, NETMAP_SLOT_SIZE, NS_BUF_CHANGED, NS_TXMON } from '../abi/netmap';
import { packetCopy } from '../packet/copy';
import { slotOffset } from '../ring/offset';
import { ringAdvance, ringDistance, ringNext } from '../ring/wrap';
import { statAddShared } from '../stats/counters';
import { leaseComplete, leaseLock, leasePublish, leaseTake, leaseUnlock } from '../vale/lease';

/** Shows the slots [from, to) of a tx ring to its monitors: what is about to be sent. */
export function monitorTx(kr: usize, from: u32, to: u32, self: usize): void {
  if (from == to) return;
  for (let m: usize = atomic.load<u32>(kr, KRING_MONITORS); m != 0; m = atomic.load<u32>(m, MONITOR_NEXT)) {
    copyTo(kr, load<u32>(m, MONITOR_RING), from, to, NS_TXMON, self);
  }
}

/** Shows each monitor of an rx ring what has been received since it looked last, up to `tail`. */
export function monitorRx(kr: usize, tail: u32, self: usize): void {
  for (let m: usize = atomic.load<u32>(kr, KRING_MONITORS); m != 0; m = atomic.load<u32>(m, MONITOR_NEXT)) {
    const from = load<u32>(m, MONITOR_TAIL);
    if (from == tail) continue;
    store<u32>(m, tail, MONITOR_TAIL);
    copyTo(kr, load<u32>(m, MONITOR_RING), from, tail, 0, self);
  }
}

function copyTo(kr: usize, dkr: usize, from: u32, to: u32, mark: u32, self: usize): void {
  const n = load<u32>(kr, KRING_NSLOTS);
  const count = ringDistance(from, to, n);
  if (!leaseLock(dkr, self)) {
    statAddShared(dkr, STAT_DROP_NO_SPACE, count);
    return;
  }
  const open =
    load<u32>(dkr, KRING_MODE) != 0 && load<u32>(dkr, KRING_RING) != 0 && load<u32>(dkr, KRING_STOP) == KRING_RUN;
  const lease = open ? leaseTake(dkr, count, self) : 0;
  leaseUnlock(dkr);
  if (lease == 0) {
    leasePublish(dkr, self); // somebody may have left a done lease to us while we held the lock
    if (open) statAddShared(dkr, STAT_DROP_NO_SPACE, count);
    return;
  }
  const dn = load<u32>(dkr, KRING_NSLOTS);
  const room = ringDistance(load<u32>(lease, LEASE_START), load<u32>(lease, LEASE_END), dn);
  if (room != count) statAddShared(dkr, STAT_DROP_NO_SPACE, count - room);
  leaseComplete(dkr, lease, copySlots(kr, dkr, ringAdvance(from, count - room, n), to, mark, lease), self);
}

/** Copies the slots [from, to), as much of each as the monitor's buffers hold. Returns the slot after the last filled. */
function copySlots(kr: usize, dkr: usize, from: u32, to: u32, mark: u32, lease: usize): u32 {
  const n = load<u32>(kr, KRING_NSLOTS);
  const bufBase: usize = load<u32>(kr, KRING_BUFBASE);
  const bufSize = load<u32>(kr, KRING_BUFSIZE);
  const bufLimit = load<u32>(kr, KRING_NBUFS) - 2;
  const slots: usize = load<u32>(kr, KRING_RING) + NETMAP_RING_SLOT;
  const dn = load<u32>(dkr, KRING_NSLOTS);
  const dstBase: usize = load<u32>(dkr, KRING_BUFBASE);
  const dstSize = load<u32>(dkr, KRING_BUFSIZE);
  const dstLimit = load<u32>(dkr, KRING_NBUFS) - 2;
  const dstSlots: usize = load<u32>(dkr, KRING_RING) + NETMAP_RING_SLOT;
  let j = load<u32>(lease, LEASE_START);
  let bytes: u64 = 0;
  let frames: u32 = 0;
  let bad: u32 = 0;
  for (let k = from; k != to; k = ringNext(k, n)) {
    const src = slots + <usize>k * NETMAP_SLOT_SIZE;
    const w = load<u64>(src); // buf_idx, len and flags: read once
    const srcOffset = slotOffset(kr, src);
    const dst = dstSlots + <usize>j * NETMAP_SLOT_SIZE;
    const idx = load<u32>(dst); // the monitor's: read once
    let len = <u32>(w >> 32) & 0xffff;
    if (<u32>w - 2 >= bufLimit || len > bufSize - srcOffset) continue; // the port itself counts it
    if (idx - 2 >= dstLimit) {
      bad++;
      len = 0;
    }
    const offset = slotOffset(dkr, dst);
    len = min(len, dstSize - offset);
    if (len != 0) {
      packetCopy(dstBase + <usize>idx * dstSize + offset, bufBase + <usize>(<u32>w) * bufSize + srcOffset, len);
    }
    const flags = (<u32>(w >> 48) & ~(NS_TXMON | NS_BUF_CHANGED)) | mark;
    store<u32>(dst, len | (flags << 16), NETMAP_SLOT_LEN);
    j = ringNext(j, dn);
    frames++;
    bytes += len;
  }
  if (bad != 0) statAddShared(dkr, STAT_BAD_SLOT, bad);
  statAddShared(dkr, STAT_DELIVERED, frames);
  statAddShared(dkr, STAT_DELIVERED_BYTES, bytes);
  return j;
}
