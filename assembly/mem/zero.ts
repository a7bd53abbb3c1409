// Freed memory is zeroed before another owner sees it. Pages that are zero already are only read, so that a large,
// hardly used region does not take up real memory by being freed.
import { NETMAP_PAGE_SIZE } from '../abi/netmap';

/** Zeroes `len` bytes at `ptr`; both multiples of 64. */
export function memZero(ptr: usize, len: u32): void {
  // Counts down: the end of the range may be the end of a memory of 4 GiB, which is no address.
  while (len != 0) {
    const chunk = min<usize>(NETMAP_PAGE_SIZE, len);
    let seen = v128.splat<u64>(0);
    for (let i: usize = 0; i < chunk; i += 64) {
      seen = v128.or(seen, v128.or(v128.load(ptr + i), v128.load(ptr + i, 16)));
      seen = v128.or(seen, v128.or(v128.load(ptr + i, 32), v128.load(ptr + i, 48)));
    }
    if (v128.any_true(seen)) memory.fill(ptr, 0, chunk);
    ptr += chunk;
    len -= <u32>chunk;
  }
}
