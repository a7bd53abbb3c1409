// Index arithmetic on a ring of n slots: indices are 0..n-1, distances are taken modulo n.

export function ringNext(i: u32, n: u32): u32 {
  const j = i + 1;
  return j == n ? 0 : j;
}

export function ringPrev(i: u32, n: u32): u32 {
  return (i == 0 ? n : i) - 1;
}

/** How many slots lie in [from, to) going forward. */
export function ringDistance(from: u32, to: u32, n: u32): u32 {
  return to >= from ? to - from : to - from + n;
}

/** i + k, for k <= n. */
export function ringAdvance(i: u32, k: u32, n: u32): u32 {
  const j = i + k;
  return j >= n ? j - n : j;
}
