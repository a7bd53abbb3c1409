// Kernel half of the CSB protocol: what the kernel loop reads from atok and writes to ktoa. Every word is read once, at
// addresses that the embedder has checked; what is read is hostile until a prologue accepts it. Accesses are seq-cst, but for the
// first store of a pair: the second one, an atomic, is what makes both visible.
//
//   App                          Kern
//   store cur                    load head
//   store head                   load cur      a head is never newer than the cur seen with it
//   ---                          ---
//   load hwtail                  store hwcur
//   load hwcur                   store hwtail  an hwtail is never newer than the hwcur seen with it
import {
  CSB_ATOK_APPL_NEED_KICK,
  CSB_ATOK_CUR,
  CSB_ATOK_HEAD,
  CSB_ATOK_SYNC_FLAGS,
  CSB_KTOA_HWCUR,
  CSB_KTOA_HWTAIL,
  CSB_KTOA_KERN_NEED_KICK,
} from '../abi/csb';
import { KRING_HWCUR, KRING_HWTAIL, KRING_RCUR, KRING_RHEAD } from '../abi/arena';
import { NAF_FORCE_READ } from '../abi/netmap';

export function csbHead(atok: usize): u32 {
  return atomic.load<u32>(atok, CSB_ATOK_HEAD); // pairs with csbApplPublish; load before csbCur
}

export function csbCur(atok: usize): u32 {
  return atomic.load<u32>(atok, CSB_ATOK_CUR);
}

export function csbApplNeedKick(atok: usize): bool {
  return atomic.load<u32>(atok, CSB_ATOK_APPL_NEED_KICK) != 0;
}

export function csbKernPublish(ktoa: usize, hwcur: u32, hwtail: u32): void {
  store<u32>(ktoa, hwcur, CSB_KTOA_HWCUR); // in this order, as the next store is atomic
  atomic.store<u32>(ktoa, hwtail, CSB_KTOA_HWTAIL); // pairs with csbHwtail
}

/** Turns kicks on or off. A seq-cst store: the re-check that follows it cannot be ordered before it. */
export function csbKernNeedKick(ktoa: usize, on: u32): void {
  atomic.store<u32>(ktoa, on, CSB_KTOA_KERN_NEED_KICK);
}

/** CSB_ENABLE for one ring: both entries as the guest must find them after CREATE. */
export function csbInit(kr: usize, atok: usize, ktoa: usize): void {
  atomic.store<u32>(atok, load<u32>(kr, KRING_RHEAD), CSB_ATOK_HEAD);
  atomic.store<u32>(atok, load<u32>(kr, KRING_RCUR), CSB_ATOK_CUR);
  atomic.store<u32>(atok, 1, CSB_ATOK_APPL_NEED_KICK);
  atomic.store<u32>(atok, NAF_FORCE_READ, CSB_ATOK_SYNC_FLAGS);
  csbKernPublish(ktoa, load<u32>(kr, KRING_HWCUR), load<u32>(kr, KRING_HWTAIL));
  csbKernNeedKick(ktoa, 1);
}
