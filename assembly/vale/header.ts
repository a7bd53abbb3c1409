// When a port's virtio-net header gets another length, what lies in its rx rings has the old one: it is dropped. The caller
// holds the lease lock, nobody syncs the ring, and senders look at the length again once they have the lock (deliver.ts).
// DIFF: netmap leaves such packets in the ring, and their receiver takes them for what they are not.
import {
  KRING_HWCUR,
  KRING_HWTAIL,
  KRING_LEASE_HEAD,
  KRING_LEASE_TAIL,
  KRING_LEASES,
  KRING_NSLOTS,
  KRING_RCUR,
  KRING_RHEAD,
  KRING_RING,
  KRING_RTAIL,
  LEASE_OPEN,
  LEASE_SIZE,
  LEASE_STATE,
  STAT_DROP_HEADER,
} from '../abi/arena';
import { NETMAP_RING_SLOT, NETMAP_SLOT_FLAGS, NETMAP_SLOT_SIZE, NS_MOREFRAG } from '../abi/netmap';
import { ringNext } from '../ring/wrap';
import { statAdd } from '../stats/counters';
import { leaseAdvance } from './lease';

/** Whether a sender still copies into slots that it has leased. */
export function leaseIsOpen(kr: usize): bool {
  const n = load<u32>(kr, KRING_NSLOTS);
  const leases: usize = load<u32>(kr, KRING_LEASES);
  const last = load<u32>(kr, KRING_LEASE_TAIL);
  for (let i = load<u32>(kr, KRING_LEASE_HEAD); i != last; i = ringNext(i, n)) {
    if (atomic.load<u32>(leases + <usize>i * LEASE_SIZE, LEASE_STATE) == LEASE_OPEN) return true;
  }
  return false;
}

/** Drops and counts all packets in the ring, when no lease is open. The application begins behind them. */
export function leaseDiscard(kr: usize): void {
  const n = load<u32>(kr, KRING_NSLOTS);
  const end = leaseAdvance(kr, n); // now: the next sender may have the lock before somebody publishes
  const slots: usize = load<u32>(kr, KRING_RING) + NETMAP_RING_SLOT;
  let packets: u64 = 0;
  for (let i = load<u32>(kr, KRING_RHEAD); i != end; i = ringNext(i, n)) {
    if ((load<u16>(slots + <usize>i * NETMAP_SLOT_SIZE, NETMAP_SLOT_FLAGS) & NS_MOREFRAG) == 0) packets++;
  }
  statAdd(kr, STAT_DROP_HEADER, packets);
  store<u32>(kr, end, KRING_HWTAIL);
  store<u32>(kr, end, KRING_RHEAD);
  store<u32>(kr, end, KRING_RCUR);
  store<u32>(kr, end, KRING_RTAIL);
  atomic.store<u32>(kr, end, KRING_HWCUR); // pairs with the load in leaseTake: the slots may be written again
}
