// Counters of a kring: 64-bit, written by the thread that holds the ring, readable live by anybody.
import { KRING_STATS } from '../abi/arena';

/** Adds n to counter `stat` (STAT_*); the caller holds the ring. */
export function statAdd(kr: usize, stat: u32, n: u64): void {
  const p = kr + KRING_STATS + ((<usize>stat) << 3);
  store<u64>(p, load<u64>(p) + n);
}

/** The same where several threads may add at once. */
export function statAddShared(kr: usize, stat: u32, n: u64): void {
  atomic.add<u64>(kr + KRING_STATS + ((<usize>stat) << 3), n);
}
