// Leases on the rx ring of a VALE port: several senders copy into one ring at the same time. A sender leases a range of
// slots under a short lock, copies without it, and marks the lease done; done leases are published in order.
//
//   sender                                    receiver
//   lock; lease [hwlease, +k); unlock         rxsync: hwtail := mailbox
//   copy
//   lease.state := DONE                       (atomic)
//   trylock; publish done leases; unlock      mailbox := end of the last done lease
//
// A sender that finds the lock taken leaves its done lease to the holder, who looks again after unlocking: nobody waits
// for a lock in order to publish. If a thread dies, `leaseRecover` ends its leases as empty slots.
import {
  KRING_HWCUR,
  KRING_HWLEASE,
  KRING_LEASE_HEAD,
  KRING_LEASE_TAIL,
  KRING_LEASES,
  KRING_LOCK,
  KRING_MAILTAIL,
  KRING_NSLOTS,
  KRING_RING,
  LEASE_DONE,
  LEASE_END,
  LEASE_FREE,
  LEASE_OPEN,
  LEASE_OWNER,
  LEASE_SIZE,
  LEASE_START,
  LEASE_STATE,
  THREAD_ID,
  THREAD_SPIN_LIMIT,
} from '../abi/arena';
import { NETMAP_RING_SLOT, NETMAP_SLOT_LEN, NETMAP_SLOT_SIZE } from '../abi/netmap';
import { kringNotify } from '../ring/notify';
import { ringAdvance, ringDistance, ringNext, ringPrev } from '../ring/wrap';

function leaseAt(kr: usize, i: u32): usize {
  return <usize>load<u32>(kr, KRING_LEASES) + <usize>i * LEASE_SIZE;
}

function tryLock(kr: usize, self: usize): bool {
  return atomic.cmpxchg<u32>(kr, 0, load<u32>(self, THREAD_ID), KRING_LOCK) == 0;
}

/** Takes the lease lock; false when it stayed taken for the whole spin limit (its holder sleeps or has died). */
export function leaseLock(kr: usize, self: usize): bool {
  let spins = load<u32>(self, THREAD_SPIN_LIMIT);
  while (!tryLock(kr, self)) {
    if (spins == 0) return false;
    spins--;
  }
  return true;
}

export function leaseUnlock(kr: usize): void {
  atomic.store<u32>(kr, 0, KRING_LOCK);
}

/** Leases up to `needed` slots; the lock is held. Returns the lease's address, or 0 when the ring or the list is full. */
export function leaseTake(kr: usize, needed: u32, self: usize): usize {
  const n = load<u32>(kr, KRING_NSLOTS);
  const start = load<u32>(kr, KRING_HWLEASE);
  const free = n - 1 - ringDistance(atomic.load<u32>(kr, KRING_HWCUR), start, n);
  const k = min(needed, free);
  if (k == 0) return 0;
  const i = load<u32>(kr, KRING_LEASE_TAIL);
  // Leases that were given back whole take no slot, but an entry until the open one before them is done.
  if (ringNext(i, n) == atomic.load<u32>(kr, KRING_LEASE_HEAD)) return 0;
  const lease = leaseAt(kr, i);
  store<u32>(lease, load<u32>(self, THREAD_ID), LEASE_OWNER);
  store<u32>(lease, start, LEASE_START);
  store<u32>(lease, ringAdvance(start, k, n), LEASE_END);
  atomic.store<u32>(lease, LEASE_OPEN, LEASE_STATE);
  store<u32>(kr, ringAdvance(start, k, n), KRING_HWLEASE);
  store<u32>(kr, ringNext(i, n), KRING_LEASE_TAIL); // commits the lease: everything else can be derived from it
  return lease;
}

/** Ends a lease whose slots up to `end` (not included) were filled, and publishes what can be published. */
export function leaseComplete(kr: usize, lease: usize, end: u32, self: usize): void {
  const n = load<u32>(kr, KRING_NSLOTS);
  if (end != load<u32>(lease, LEASE_END)) giveBack(kr, lease, end, n, self);
  atomic.store<u32>(lease, LEASE_DONE, LEASE_STATE);
  leasePublish(kr, self);
}

/** Unused slots: the newest lease just shrinks; in the middle of others they become empty slots. */
function giveBack(kr: usize, lease: usize, end: u32, n: u32, self: usize): void {
  if (leaseLock(kr, self)) {
    const newest = leaseAt(kr, ringPrev(load<u32>(kr, KRING_LEASE_TAIL), n)) == lease;
    if (newest) {
      store<u32>(lease, end, LEASE_END);
      store<u32>(kr, end, KRING_HWLEASE);
    }
    leaseUnlock(kr);
    if (newest) return;
  }
  emptySlots(kr, end, load<u32>(lease, LEASE_END), n);
}

function emptySlots(kr: usize, from: u32, to: u32, n: u32): void {
  const slots: usize = load<u32>(kr, KRING_RING) + NETMAP_RING_SLOT;
  for (; from != to; from = ringNext(from, n)) store<u32>(slots + <usize>from * NETMAP_SLOT_SIZE, 0, NETMAP_SLOT_LEN);
}

/** Publishes the done leases at the head of the list and wakes the receiver. */
export function leasePublish(kr: usize, self: usize): void {
  const n = load<u32>(kr, KRING_NSLOTS);
  for (;;) {
    if (!tryLock(kr, self)) return; // the holder looks again after unlocking
    const before = load<u32>(kr, KRING_MAILTAIL);
    const after = leaseAdvance(kr, n);
    leaseUnlock(kr);
    if (after != before) kringNotify(kr, self);
    // Pairs with `state := DONE; trylock` of others: either they got the lock, or we see their lease here.
    const head = atomic.load<u32>(kr, KRING_LEASE_HEAD);
    if (atomic.load<u32>(leaseAt(kr, head), LEASE_STATE) != LEASE_DONE) return;
  }
}

/** Moves the mailbox over the done leases; the lock is held. Returns the new mailbox value. */
export function leaseAdvance(kr: usize, n: u32): u32 {
  let tail = load<u32>(kr, KRING_MAILTAIL);
  let head = load<u32>(kr, KRING_LEASE_HEAD);
  const last = load<u32>(kr, KRING_LEASE_TAIL);
  while (head != last) {
    const lease = leaseAt(kr, head);
    if (atomic.load<u32>(lease, LEASE_STATE) != LEASE_DONE) break;
    tail = load<u32>(lease, LEASE_END);
    atomic.store<u32>(kr, tail, KRING_MAILTAIL); // pairs with the load in valeRxsync
    store<u32>(lease, LEASE_FREE, LEASE_STATE);
    head = ringNext(head, n);
    atomic.store<u32>(kr, head, KRING_LEASE_HEAD);
  }
  return tail;
}

/** Control thread: ends what thread `tid`, now dead, held of this ring. */
export function leaseRecover(kr: usize, tid: u32, self: usize): void {
  const n = load<u32>(kr, KRING_NSLOTS);
  const held = atomic.load<u32>(kr, KRING_LOCK) == tid;
  const last = load<u32>(kr, KRING_LEASE_TAIL);
  if (held) {
    // The dead thread may have stopped between any two stores of a critical section: derive what they should be.
    let head = load<u32>(kr, KRING_LEASE_HEAD);
    while (head != last && load<u32>(leaseAt(kr, head), LEASE_STATE) == LEASE_FREE) head = ringNext(head, n);
    atomic.store<u32>(kr, head, KRING_LEASE_HEAD);
    store<u32>(
      kr,
      head == last ? load<u32>(kr, KRING_MAILTAIL) : load<u32>(leaseAt(kr, ringPrev(last, n)), LEASE_END),
      KRING_HWLEASE,
    );
  }
  for (let i = load<u32>(kr, KRING_LEASE_HEAD); i != last; i = ringNext(i, n)) {
    const lease = leaseAt(kr, i);
    if (load<u32>(lease, LEASE_OWNER) != tid || load<u32>(lease, LEASE_STATE) != LEASE_OPEN) continue;
    emptySlots(kr, load<u32>(lease, LEASE_START), load<u32>(lease, LEASE_END), n);
    atomic.store<u32>(lease, LEASE_DONE, LEASE_STATE);
  }
  if (held) leaseUnlock(kr);
  leasePublish(kr, self);
  kringNotify(kr, self); // the dead thread may have moved the mailbox without waking anybody
}
