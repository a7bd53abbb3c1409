// One activation of a ring by the kernel loop (netmap_sync_kloop_tx_ring, netmap_sync_kloop_rx_ring): sync what the CSB
// asks for, publish, interrupt if wanted; stop only after kicks are enabled again and a last look found nothing.
//
// DIFF: an activation handles a bounded number of slots and then reports that more is to be done, so that no guest can
// pin a thread. DIFF: bad indices in the CSB leave the ring header alone; hwcur and hwtail are published again, and only
// a valid head is ever accepted.
import {
  KLOOP_ATOK,
  KLOOP_ATTENTION,
  KLOOP_BUDGET,
  KLOOP_GUEST,
  KLOOP_IRQ_PENDING,
  KLOOP_IRQS_ON,
  KLOOP_KTOA,
  KLOOP_MODE,
  KLOOP_MODE_BUSY,
  KLOOP_MODE_DIRECT,
  KLOOP_MODE_NOTIFY,
  KLOOP_NTX,
  KLOOP_RX,
  KLOOP_TX,
  KRING_HWCUR,
  KRING_HWTAIL,
  KRING_NSLOTS,
  KRING_RHEAD,
  KRING_RING,
  KRING_RTAIL,
  KRING_SIZE,
  STAT_INTERRUPTS,
  STAT_REINITS,
  THREAD_ID,
  THREAD_ATTENTION,
} from '../abi/arena';
import { CSB_ENTRY_SIZE } from '../abi/csb';
import { NETMAP_RING_SLOT, NETMAP_SLOT_FLAGS, NETMAP_SLOT_SIZE, NS_MOREFRAG } from '../abi/netmap';
import { csbApplNeedKick, csbCur, csbHead, csbKernNeedKick, csbKernPublish } from '../csb/kernel';
import { kringContend, kringRelease, rxPrologue, txPrologue } from '../ring/kring';
import { threadWakeBy } from '../ring/notify';
import { ringAdvance, ringDistance, ringNext, ringPrev } from '../ring/wrap';
import { statAdd } from '../stats/counters';
import { kringSync } from '../sync/sync';

/** Result bits of an activation. */
export const ACTIVATION_MORE: u32 = 1; // the budget ended it: activate again
export const ACTIVATION_MOVED: u32 = 2; // slots moved

/** Sets vector `i` pending and wakes the guest's thread. */
function raise(loop: usize, kr: usize, vector: u32, self: usize): void {
  statAdd(kr, STAT_INTERRUPTS, 1);
  atomic.or<u32>(loop, 1 << vector, KLOOP_IRQ_PENDING);
  const guest: usize = load<u32>(loop, KLOOP_GUEST);
  atomic.or<u32>(guest, load<u32>(loop, KLOOP_ATTENTION), THREAD_ATTENTION);
  threadWakeBy(guest, self);
}

export function kloopTxRing(loop: usize, i: u32, self: usize): u32 {
  const kr: usize = <usize>load<u32>(loop, KLOOP_TX) + <usize>i * KRING_SIZE;
  if (kringContend(kr, load<u32>(self, THREAD_ID)) != 0) return 0; // held: there will be an event
  const atok: usize = <usize>load<u32>(loop, KLOOP_ATOK) + <usize>i * CSB_ENTRY_SIZE;
  const ktoa: usize = <usize>load<u32>(loop, KLOOP_KTOA) + <usize>i * CSB_ENTRY_SIZE;
  const result = txActivation(loop, kr, atok, ktoa, i, self);
  kringRelease(kr);
  return result;
}

/** The end of the packet that slot `i` may be in the middle of: a switch would send the part before `i` by itself. */
function packetEnd(kr: usize, i: u32, head: u32, n: u32): u32 {
  const slots: usize = load<u32>(kr, KRING_RING) + NETMAP_RING_SLOT;
  while (i != head) {
    if ((load<u16>(slots + <usize>ringPrev(i, n) * NETMAP_SLOT_SIZE, NETMAP_SLOT_FLAGS) & NS_MOREFRAG) == 0) break;
    i = ringNext(i, n);
  }
  return i;
}

function txActivation(loop: usize, kr: usize, atok: usize, ktoa: usize, vector: u32, self: usize): u32 {
  const n = load<u32>(kr, KRING_NSLOTS);
  const mode = load<u32>(loop, KLOOP_MODE);
  const irqs = load<u32>(loop, KLOOP_IRQS_ON) != 0;
  let budget = load<u32>(loop, KLOOP_BUDGET);
  let result: u32 = 0;
  let more = false; // the guest has not been told yet of the new tail
  if (mode != KLOOP_MODE_DIRECT) csbKernNeedKick(ktoa, 0);
  let head = csbHead(atok);
  let cur = csbCur(atok);
  for (;;) {
    const rhead = load<u32>(kr, KRING_RHEAD);
    let cut = head;
    if (head < n && ringDistance(rhead, head, n) > budget) cut = packetEnd(kr, ringAdvance(rhead, budget, n), head, n);
    if (!txPrologue(kr, cut, cur)) {
      statAdd(kr, STAT_REINITS, 1);
      csbKernPublish(ktoa, load<u32>(kr, KRING_HWCUR), load<u32>(kr, KRING_HWTAIL));
      if (mode != KLOOP_MODE_BUSY) csbKernNeedKick(ktoa, 1);
      break;
    }
    const moved = ringDistance(rhead, cut, n);
    if (moved != 0) result |= ACTIVATION_MOVED;
    budget -= min(moved, budget);
    kringSync(kr, self);
    const hwtail = load<u32>(kr, KRING_HWTAIL);
    csbKernPublish(ktoa, load<u32>(kr, KRING_HWCUR), hwtail);
    if (load<u32>(kr, KRING_RTAIL) != hwtail) {
      store<u32>(kr, hwtail, KRING_RTAIL);
      more = true;
    }
    if (more && irqs && csbApplNeedKick(atok)) {
      raise(loop, kr, vector, self);
      more = false;
    }
    if (budget == 0) {
      result |= ACTIVATION_MORE; // kicks stay as they are: we come back by ourselves
      break;
    }
    head = csbHead(atok);
    cur = csbCur(atok);
    if (head == load<u32>(kr, KRING_RHEAD)) {
      if (mode != KLOOP_MODE_NOTIFY) break;
      csbKernNeedKick(ktoa, 1); // seq-cst: the look at head comes after it
      head = csbHead(atok);
      cur = csbCur(atok);
      if (head == load<u32>(kr, KRING_RHEAD)) break;
      csbKernNeedKick(ktoa, 0);
      continue;
    }
    if (load<u32>(kr, KRING_RHEAD) == hwtail) break; // no free slot: the port will notify, kicks stay off
  }
  if (more && irqs && csbApplNeedKick(atok)) raise(loop, kr, vector, self);
  return result;
}

export function kloopRxRing(loop: usize, i: u32, self: usize): u32 {
  const kr: usize = <usize>load<u32>(loop, KLOOP_RX) + <usize>i * KRING_SIZE;
  if (kringContend(kr, load<u32>(self, THREAD_ID)) != 0) return 0; // held: there will be an event
  const vector = load<u32>(loop, KLOOP_NTX) + i;
  const atok: usize = <usize>load<u32>(loop, KLOOP_ATOK) + <usize>vector * CSB_ENTRY_SIZE;
  const ktoa: usize = <usize>load<u32>(loop, KLOOP_KTOA) + <usize>vector * CSB_ENTRY_SIZE;
  const result = rxActivation(loop, kr, atok, ktoa, vector, self);
  kringRelease(kr);
  return result;
}

function rxActivation(loop: usize, kr: usize, atok: usize, ktoa: usize, vector: u32, self: usize): u32 {
  const n = load<u32>(kr, KRING_NSLOTS);
  const mode = load<u32>(loop, KLOOP_MODE);
  const irqs = load<u32>(loop, KLOOP_IRQS_ON) != 0;
  const budget = load<u32>(loop, KLOOP_BUDGET);
  let done: u32 = 0; // slots released and received
  let result: u32 = 0;
  let some = false; // the guest has not been told yet of the new tail
  let dry: u32 = 0;
  if (mode != KLOOP_MODE_DIRECT) csbKernNeedKick(ktoa, 0);
  let head = csbHead(atok);
  let cur = csbCur(atok);
  for (;;) {
    const rhead = load<u32>(kr, KRING_RHEAD);
    if (!rxPrologue(kr, head, cur)) {
      statAdd(kr, STAT_REINITS, 1);
      csbKernPublish(ktoa, load<u32>(kr, KRING_HWCUR), load<u32>(kr, KRING_HWTAIL));
      if (mode != KLOOP_MODE_BUSY) csbKernNeedKick(ktoa, 1);
      break;
    }
    kringSync(kr, self);
    const hwtail = load<u32>(kr, KRING_HWTAIL);
    csbKernPublish(ktoa, load<u32>(kr, KRING_HWCUR), hwtail);
    const rtail = load<u32>(kr, KRING_RTAIL);
    const moved = ringDistance(rhead, head, n) + ringDistance(rtail, hwtail, n);
    if (moved != 0) result |= ACTIVATION_MOVED;
    done += moved;
    if (rtail != hwtail) {
      store<u32>(kr, hwtail, KRING_RTAIL);
      some = true;
      dry = 0;
    } else {
      dry++;
    }
    if (some && irqs && csbApplNeedKick(atok)) {
      raise(loop, kr, vector, self);
      some = false;
    }
    if (done >= budget) {
      result |= ACTIVATION_MORE;
      break;
    }
    head = csbHead(atok);
    cur = csbCur(atok);
    if (head != load<u32>(kr, KRING_RHEAD)) continue; // slots to give back
    if (hwtail == head) break; // the guest has nothing: the port will notify, kicks stay off
    // Direct: the thread that looks is the one that waits, and what comes from now on wakes it. Busy: it looks again anyway.
    if (mode != KLOOP_MODE_NOTIFY) break;
    if (hwtail != ringPrev(head, n) && dry < 2) continue;
    // Full, or nothing more from the port, and the guest holds packets. DIFF: netmap enables kicks only when the ring is
    // full, so that a sender that waits for a part of it, and the switch, learn of released slots too late or never.
    csbKernNeedKick(ktoa, 1); // seq-cst: the look at head comes after it
    head = csbHead(atok);
    cur = csbCur(atok);
    if (head == load<u32>(kr, KRING_RHEAD)) break;
    csbKernNeedKick(ktoa, 0);
  }
  if (some && irqs && csbApplNeedKick(atok)) raise(loop, kr, vector, self);
  return result;
}
