// The trust boundary: ring indices written by an application are read once, checked against the kring's trusted copies,
// and only then used (netmap's nm_txsync_prologue, nm_rxsync_prologue, netmap_ring_reinit, nm_kr_tryget).
import {
  KRING_BUFSIZE,
  KRING_BUSY,
  KRING_CONTENDED,
  KRING_HWCUR,
  KRING_HWTAIL,
  KRING_LOCKED,
  KRING_NBUFS,
  KRING_NSLOTS,
  KRING_RCUR,
  KRING_RHEAD,
  KRING_RING,
  KRING_RTAIL,
  KRING_RUN,
  KRING_STOP,
  KRING_SYNCS,
  STAT_BAD_SLOT,
  STAT_REINITS,
} from '../abi/arena';
import { EBUSY, EIO } from '../abi/errno';
import {
  NETMAP_RING_CUR,
  NETMAP_RING_HEAD,
  NETMAP_RING_SLOT,
  NETMAP_RING_TAIL,
  NETMAP_SLOT_BUF_IDX,
  NETMAP_SLOT_LEN,
  NETMAP_SLOT_SIZE,
} from '../abi/netmap';
import { statAdd } from '../stats/counters';
import { ringDistance } from './wrap';

/**
 * Takes the ring for thread `tid`: 0, -EBUSY when somebody else syncs it (or it is briefly locked), -EIO when it is
 * stopped for good. Taking the ring before reading the stop word, and stopping before waiting for the ring, is what
 * lets the control thread know when nobody works on it any more.
 */
export function kringAcquire(kr: usize, tid: u32): i32 {
  if (atomic.cmpxchg<u32>(kr, 0, tid, KRING_BUSY) != 0) return -EBUSY;
  const stop = atomic.load<u32>(kr, KRING_STOP);
  if (stop == KRING_RUN) return 0;
  kringRelease(kr);
  return stop == KRING_LOCKED ? -EBUSY : -EIO;
}

/**
 * The same, for whoever would miss what the sync of the thread that has the ring brings: that thread, or who has locked it,
 * wakes the ring's waiters and its kernel loop afterwards. Pairs with `release` in assembly/sync.
 */
export function kringContend(kr: usize, tid: u32): i32 {
  const error = kringAcquire(kr, tid);
  if (error != -EBUSY) return error;
  atomic.store<u32>(kr, 1, KRING_CONTENDED);
  return kringAcquire(kr, tid);
}

export function kringRelease(kr: usize): void {
  store<u32>(kr, load<u32>(kr, KRING_SYNCS) + 1, KRING_SYNCS);
  atomic.store<u32>(kr, 0, KRING_BUSY);
}

/** lo <= head <= cur <= hi in ring order, and both indices in range. DIFF: netmap lets some cur >= n pass. */
export function indicesValid(head: u32, cur: u32, lo: u32, hi: u32, n: u32): bool {
  if (head >= n || cur >= n) return false;
  const space = ringDistance(lo, hi, n);
  const toCur = ringDistance(lo, cur, n);
  return toCur <= space && ringDistance(lo, head, n) <= toCur;
}

/** Accepts head and cur of a tx ring. False: nothing has changed. */
export function txPrologue(kr: usize, head: u32, cur: u32): bool {
  if (!indicesValid(head, cur, load<u32>(kr, KRING_RHEAD), load<u32>(kr, KRING_RTAIL), load<u32>(kr, KRING_NSLOTS))) {
    return false;
  }
  store<u32>(kr, head, KRING_RHEAD);
  store<u32>(kr, cur, KRING_RCUR);
  return true;
}

/** Accepts head and cur of an rx ring. False: nothing has changed (DIFF: netmap stores before it checks). */
export function rxPrologue(kr: usize, head: u32, cur: u32): bool {
  if (!indicesValid(head, cur, load<u32>(kr, KRING_HWCUR), load<u32>(kr, KRING_HWTAIL), load<u32>(kr, KRING_NSLOTS))) {
    return false;
  }
  store<u32>(kr, head, KRING_RHEAD);
  store<u32>(kr, cur, KRING_RCUR);
  return true;
}

/** Shows the application what the sync has achieved. */
export function kringFinalize(kr: usize): void {
  const tail = load<u32>(kr, KRING_HWTAIL);
  store<u32>(kr, tail, KRING_RTAIL);
  store<u32>(load<u32>(kr, KRING_RING), tail, NETMAP_RING_TAIL);
}

/**
 * After a failed prologue: repairs slots with a bad index or length and puts the application's indices back to the
 * kernel's. DIFF: netmap resets the indices only when one of them is out of range, so that an application with illegal
 * but in-range ones stays stuck; we always reset.
 */
export function kringReinit(kr: usize): void {
  const ring: usize = load<u32>(kr, KRING_RING);
  const nslots = load<u32>(kr, KRING_NSLOTS);
  const nbufs = load<u32>(kr, KRING_NBUFS);
  const bufSize = load<u32>(kr, KRING_BUFSIZE);
  let slot = ring + NETMAP_RING_SLOT;
  let bad: u32 = 0;
  for (let i: u32 = 0; i < nslots; i++, slot += NETMAP_SLOT_SIZE) {
    if (load<u32>(slot, NETMAP_SLOT_BUF_IDX) - 2 >= nbufs - 2) {
      store<u32>(slot, 0, NETMAP_SLOT_BUF_IDX);
      store<u16>(slot, 0, NETMAP_SLOT_LEN);
      bad++;
    } else if (<u32>load<u16>(slot, NETMAP_SLOT_LEN) > bufSize) {
      store<u16>(slot, 0, NETMAP_SLOT_LEN);
      bad++;
    }
  }
  if (bad != 0) statAdd(kr, STAT_BAD_SLOT, bad);
  statAdd(kr, STAT_REINITS, 1);
  const hwcur = load<u32>(kr, KRING_HWCUR);
  store<u32>(kr, hwcur, KRING_RHEAD);
  store<u32>(kr, hwcur, KRING_RCUR);
  store<u32>(ring, hwcur, NETMAP_RING_HEAD);
  store<u32>(ring, hwcur, NETMAP_RING_CUR);
  kringFinalize(kr);
}
