// Zero-copy monitors (netmap_zmon_parent_sync): slots that a watched ring gives back change buffers with slots of the
// monitor's rx ring, in the same region. The monitor sees a frame when it is no longer used: a sent one when the port
// has released it, a received one when the application has. A monitor without room gets the newest ones.
import {
  KRING_HWCUR,
  KRING_MAILTAIL,
  KRING_MODE,
  KRING_NBUFS,
  KRING_NSLOTS,
  KRING_RING,
  KRING_RUN,
  KRING_STOP,
  STAT_DELIVERED,
  STAT_DELIVERED_BYTES,
  STAT_DROP_NO_SPACE,
} from '../abi/arena';
import { NETMAP_RING_SLOT, NETMAP_SLOT_LEN, NETMAP_SLOT_SIZE, NS_BUF_CHANGED } from '../abi/netmap';
import { kringNotify } from '../ring/notify';
import { ringAdvance, ringDistance, ringNext } from '../ring/wrap';
import { statAddShared } from '../stats/counters';
import { leaseLock, leaseUnlock } from '../vale/lease';

/** Hands the slots [from, to) of a watched ring to the monitor's rx ring `dkr`; `clear` and `set` are flags. */
export function monitorSwap(kr: usize, dkr: usize, from: u32, to: u32, clear: u32, set: u32, self: usize): void {
  const n = load<u32>(kr, KRING_NSLOTS);
  let count = ringDistance(from, to, n);
  if (count == 0) return;
  if (!leaseLock(dkr, self)) {
    statAddShared(dkr, STAT_DROP_NO_SPACE, count);
    return;
  }
  const open =
    load<u32>(dkr, KRING_MODE) != 0 && load<u32>(dkr, KRING_RING) != 0 && load<u32>(dkr, KRING_STOP) == KRING_RUN;
  if (open) {
    const dn = load<u32>(dkr, KRING_NSLOTS);
    const tail = load<u32>(dkr, KRING_MAILTAIL);
    const room = dn - 1 - ringDistance(atomic.load<u32>(dkr, KRING_HWCUR), tail, dn);
    if (count > room) {
      statAddShared(dkr, STAT_DROP_NO_SPACE, count - room);
      from = ringAdvance(from, count - room, n);
      count = room;
    }
    const end = swapSlots(kr, dkr, from, count, tail, clear | NS_BUF_CHANGED, set);
    atomic.store<u32>(dkr, end, KRING_MAILTAIL); // pairs with the load in valeRxsync
    leaseUnlock(dkr);
    if (end != tail) kringNotify(dkr, self);
    return;
  }
  leaseUnlock(dkr);
}

/** Exchanges buffers and lengths of `count` slots from `k` with the monitor's from `j`. Returns the monitor's next slot. */
function swapSlots(kr: usize, dkr: usize, k: u32, count: u32, j: u32, clear: u32, set: u32): u32 {
  const n = load<u32>(kr, KRING_NSLOTS);
  const dn = load<u32>(dkr, KRING_NSLOTS);
  const bufLimit = load<u32>(kr, KRING_NBUFS) - 2;
  const slots: usize = load<u32>(kr, KRING_RING) + NETMAP_RING_SLOT;
  const dstSlots: usize = load<u32>(dkr, KRING_RING) + NETMAP_RING_SLOT;
  let bytes: u64 = 0;
  let frames: u32 = 0;
  for (let i: u32 = 0; i < count; i++, k = ringNext(k, n)) {
    const src = slots + <usize>k * NETMAP_SLOT_SIZE;
    const dst = dstSlots + <usize>j * NETMAP_SLOT_SIZE;
    const w = load<u64>(src); // both read once
    const v = load<u64>(dst);
    if (<u32>w - 2 >= bufLimit || <u32>v - 2 >= bufLimit) continue; // a buffer that is none is nobody's to give
    const flags = <u32>(w >> 48);
    store<u32>(dst, <u32>w);
    store<u32>(dst, (<u32>(w >> 32) & 0xffff) | (((flags & ~clear) | set) << 16), NETMAP_SLOT_LEN);
    store<u32>(src, <u32>v);
    store<u32>(src, (<u32>(v >> 32) & 0xffff) | ((flags | NS_BUF_CHANGED) << 16), NETMAP_SLOT_LEN);
    bytes += (w >> 32) & 0xffff;
    frames++;
    j = ringNext(j, dn);
  }
  statAddShared(dkr, STAT_DELIVERED, frames);
  statAddShared(dkr, STAT_DELIVERED_BYTES, bytes);
  return j;
}
