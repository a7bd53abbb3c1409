// Application half of the CSB protocol, used by the guest driver. The order of the accesses is drawn in kernel.ts.
import {
  CSB_ATOK_APPL_NEED_KICK,
  CSB_ATOK_CUR,
  CSB_ATOK_HEAD,
  CSB_ATOK_SYNC_FLAGS,
  CSB_KTOA_HWCUR,
  CSB_KTOA_HWTAIL,
  CSB_KTOA_KERN_NEED_KICK,
} from '../abi/csb';

/** Submits or releases slots: everything written before is visible to a kernel that sees the new head. */
export function csbApplPublish(atok: usize, cur: u32, head: u32): void {
  store<u32>(atok, cur, CSB_ATOK_CUR); // in this order, as the next store is atomic
  // DIFF: seq-cst, so it is also the store-load barrier before csbKernWantsKick that upstream lacks (lost kicks on TSO).
  atomic.store<u32>(atok, head, CSB_ATOK_HEAD);
}

export function csbApplNeedIrq(atok: usize, on: u32): void {
  atomic.store<u32>(atok, on, CSB_ATOK_APPL_NEED_KICK);
}

/** Interrupts are no longer wanted. Only the guest writes the word, and mostly they were not. */
export function csbApplNoIrq(atok: usize): void {
  if (load<u32>(atok, CSB_ATOK_APPL_NEED_KICK) != 0) csbApplNeedIrq(atok, 0);
}

/** The doorbell that follows makes them visible. */
export function csbApplSyncFlags(atok: usize, flags: u32): void {
  store<u32>(atok, flags, CSB_ATOK_SYNC_FLAGS);
}

/** hwtail is to be loaded before hwcur (csbHwcur). */
export function csbHwtail(ktoa: usize): u32 {
  return atomic.load<u32>(ktoa, CSB_KTOA_HWTAIL); // pairs with csbKernPublish
}

export function csbHwcur(ktoa: usize): u32 {
  return atomic.load<u32>(ktoa, CSB_KTOA_HWCUR);
}

export function csbKernWantsKick(ktoa: usize): bool {
  return atomic.load<u32>(ktoa, CSB_KTOA_KERN_NEED_KICK) != 0;
}
