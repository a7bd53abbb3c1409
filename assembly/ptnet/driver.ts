// Guest half: txsync and rxsync of a ring over the CSB (the ptnet driver in netmap mode). The guest's krings lie in the
// guest's own RAM; the rings are the host's, reached through the memory BAR. A sync returns 1 when the doorbell must be
// rung, and ends with ptnetKicked after that: a host in the same thread has answered by then.
import {
  GKRING_ATOK,
  GKRING_HWCUR,
  GKRING_HWTAIL,
  GKRING_IRQ_OFF,
  GKRING_KTOA,
  GKRING_NSLOTS,
  GKRING_RCUR,
  GKRING_REINITS,
  GKRING_RHEAD,
  GKRING_RING,
  GKRING_RTAIL,
} from '../abi/arena';
import { NAF_FORCE_RECLAIM, NETMAP_RING_CUR, NETMAP_RING_HEAD, NETMAP_RING_TAIL } from '../abi/netmap';
import {
  csbApplNeedIrq,
  csbApplNoIrq,
  csbApplPublish,
  csbApplSyncFlags,
  csbHwcur,
  csbHwtail,
  csbKernWantsKick,
} from '../csb/application';
import { indicesValid } from '../ring/kring';

function fetch(gk: usize): void {
  const ktoa: usize = load<u32>(gk, GKRING_KTOA);
  const tail = csbHwtail(ktoa);
  store<u32>(gk, tail, GKRING_HWTAIL);
  store<u32>(gk, csbHwcur(ktoa), GKRING_HWCUR);
}

/** Accepts the application's head and cur, or resets them to what the driver last accepted. */
function prologue(gk: usize, lo: u32, hi: u32): bool {
  const ring: usize = load<u32>(gk, GKRING_RING);
  const head = load<u32>(ring, NETMAP_RING_HEAD);
  const cur = load<u32>(ring, NETMAP_RING_CUR);
  if (indicesValid(head, cur, lo, hi, load<u32>(gk, GKRING_NSLOTS))) {
    store<u32>(gk, head, GKRING_RHEAD);
    store<u32>(gk, cur, GKRING_RCUR);
    return true;
  }
  const rhead = load<u32>(gk, GKRING_RHEAD);
  store<u32>(gk, rhead, GKRING_RCUR);
  store<u32>(ring, rhead, NETMAP_RING_HEAD);
  store<u32>(ring, rhead, NETMAP_RING_CUR);
  store<u32>(gk, load<u32>(gk, GKRING_REINITS) + 1, GKRING_REINITS);
  return false;
}

/** cur == tail: would block. Asks for an interrupt and looks once more, unless notifications are off. */
function arm(gk: usize, atok: usize): void {
  if (load<u32>(gk, GKRING_RCUR) != load<u32>(gk, GKRING_HWTAIL) || load<u32>(gk, GKRING_IRQ_OFF) != 0) return;
  csbApplNeedIrq(atok, 1); // seq-cst: the look at hwtail comes after it
  fetch(gk);
  if (load<u32>(gk, GKRING_RCUR) != load<u32>(gk, GKRING_HWTAIL)) csbApplNeedIrq(atok, 0);
}

function finalize(gk: usize): void {
  const tail = load<u32>(gk, GKRING_HWTAIL);
  store<u32>(gk, tail, GKRING_RTAIL);
  store<u32>(load<u32>(gk, GKRING_RING), tail, NETMAP_RING_TAIL);
}

export function ptnetTxsync(gk: usize, flags: u32): u32 {
  if (!prologue(gk, load<u32>(gk, GKRING_RHEAD), load<u32>(gk, GKRING_RTAIL))) return 0;
  const atok: usize = load<u32>(gk, GKRING_ATOK);
  const ktoa: usize = load<u32>(gk, GKRING_KTOA);
  const head = load<u32>(gk, GKRING_RHEAD);
  const cur = load<u32>(gk, GKRING_RCUR);
  csbApplNoIrq(atok);
  const hwcur = csbHwcur(ktoa);
  csbApplPublish(atok, cur, head);
  const full = cur == load<u32>(gk, GKRING_HWTAIL);
  const reclaim = (flags & NAF_FORCE_RECLAIM) != 0;
  if (((head != hwcur || full) && csbKernWantsKick(ktoa)) || reclaim) {
    csbApplSyncFlags(atok, flags);
    return 1;
  }
  if (full) fetch(gk);
  arm(gk, atok);
  finalize(gk);
  return 0;
}

export function ptnetRxsync(gk: usize, flags: u32): u32 {
  if (!prologue(gk, load<u32>(gk, GKRING_RHEAD), load<u32>(gk, GKRING_RTAIL))) return 0;
  const atok: usize = load<u32>(gk, GKRING_ATOK);
  const ktoa: usize = load<u32>(gk, GKRING_KTOA);
  const head = load<u32>(gk, GKRING_RHEAD);
  const cur = load<u32>(gk, GKRING_RCUR);
  csbApplNoIrq(atok);
  fetch(gk);
  const release = head != load<u32>(gk, GKRING_HWCUR);
  if (release) csbApplPublish(atok, cur, head);
  if ((release || cur == load<u32>(gk, GKRING_HWTAIL)) && csbKernWantsKick(ktoa)) {
    csbApplSyncFlags(atok, flags);
    return 1;
  }
  arm(gk, atok);
  finalize(gk);
  return 0;
}

/** The end of a sync whose doorbell was rung. Only now is an interrupt asked for, if the answer is not there yet. */
export function ptnetKicked(gk: usize): void {
  fetch(gk);
  arm(gk, load<u32>(gk, GKRING_ATOK));
  finalize(gk);
}

/** After CREATE: takes over what the host put into the CSB ("sync from CSB"). */
export function ptnetSyncFromCsb(gk: usize, head: u32, cur: u32): void {
  const ring: usize = load<u32>(gk, GKRING_RING);
  store<u32>(gk, head, GKRING_RHEAD);
  store<u32>(gk, cur, GKRING_RCUR);
  store<u32>(ring, head, NETMAP_RING_HEAD);
  store<u32>(ring, cur, NETMAP_RING_CUR);
  fetch(gk);
  finalize(gk);
}
