// RFC 1071 checksum. The one's complement sum does not depend on byte order, so words are added as they lie in memory
// and the folded result is stored the same way. A sum whose bytes start at an odd place of the data counts 256 times.
import { IOV_ADDR, IOV_LEN, IOV_SIZE } from '../abi/offload';

/**
 * What 32-bit lanes of words have added up to, exactly enough: `total` has lost the carries out of its lanes, each of which
 * counts 2^32, and that is 1 in a one's complement sum. How many they were follows from `eighths`, the sum of the rounded
 * averages of the upper halves of every eight words: for n words a lane, 8 times that is the upper half of the true sum, up
 * to an error of 1.5 n. Half of a carry is 32768, so that the next whole number of carries is right below 341 KiB.
 */
function settle(total: v128, eighths: v128): v128 {
  const upper = i32x4.shr_u(total, 16);
  const missing = i32x4.sub(i32x4.shl(eighths, 3), upper);
  const carries = i32x4.shr_s(i32x4.add(missing, i32x4.splat(0x8000)), 16);
  return i32x4.add(i32x4.add(v128.and(total, i32x4.splat(0xffff)), upper), carries);
}

function addLanes(lanes: v128, sum: u64): u64 {
  const lo = <u64>i64x2.extract_lane(lanes, 0);
  const hi = <u64>i64x2.extract_lane(lanes, 1);
  return sum + (lo & 0xffffffff) + (lo >> 32) + (hi & 0xffffffff) + (hi >> 32);
}

/**
 * Adds `len` bytes (below 256 KiB) at `ptr` to `sum`, a partial sum of 16-bit words in memory order; an odd last byte is a
 * low byte.
 */
export function checksumAdd(ptr: usize, len: u32, sum: u64): u64 {
  let t = i32x4.splat(0);
  if (len >= 128) {
    // 17 additions, averages and shifts for 128 bytes, where widening all words takes 32: a third faster at 1500 bytes, and
    // as fast as gcc's loop of 256-bit vectors (measured against -march=x86-64-v3).
    let e = i32x4.splat(0);
    const end = ptr + (<usize>len & ~127);
    do {
      const a = v128.load(ptr);
      const b = v128.load(ptr, 16);
      const c = v128.load(ptr, 32);
      const d = v128.load(ptr, 48);
      const s = i32x4.add(i32x4.add(a, b), i32x4.add(c, d));
      const x = i16x8.avgr_u(i16x8.avgr_u(a, b), i16x8.avgr_u(c, d));
      const f = v128.load(ptr, 64);
      const g = v128.load(ptr, 80);
      const h = v128.load(ptr, 96);
      const i = v128.load(ptr, 112);
      t = i32x4.add(t, i32x4.add(s, i32x4.add(i32x4.add(f, g), i32x4.add(h, i))));
      const y = i16x8.avgr_u(i16x8.avgr_u(f, g), i16x8.avgr_u(h, i));
      e = i32x4.add(e, i32x4.shr_u(i16x8.avgr_u(x, y), 16));
      ptr += 128;
    } while (ptr < end);
    t = settle(t, e);
  }
  const end16 = ptr + (<usize>len & 112);
  while (ptr < end16) {
    t = i32x4.add(t, i32x4.extadd_pairwise_i16x8_u(v128.load(ptr)));
    ptr += 16;
  }
  sum = addLanes(t, sum);
  if (len & 8) {
    const w = load<u64>(ptr);
    sum += (w & 0xffffffff) + (w >> 32);
    ptr += 8;
  }
  if (len & 4) {
    sum += load<u32>(ptr);
    ptr += 4;
  }
  if (len & 2) {
    sum += load<u16>(ptr);
    ptr += 2;
  }
  if (len & 1) sum += load<u8>(ptr);
  return sum;
}

/** Folds a partial sum to 16 bits and complements it: the value to store, in memory order. */
export function checksumFold(sum: u64): u32 {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  let s = <u32>sum;
  s = (s & 0xffff) + (s >> 16);
  s = (s & 0xffff) + (s >> 16);
  return ~s & 0xffff;
}

/** RFC 1071 checksum of `len` bytes (below 256 KiB) at `ptr`, to be stored as a 16-bit word in memory order. */
export function packetChecksum(ptr: usize, len: u32): u32 {
  return checksumFold(checksumAdd(ptr, len, 0));
}

/**
 * Copies `len` bytes (below 256 KiB) and adds them to `sum`. One pass is a third faster than two, and the source is read
 * once: what is summed is what was copied, whoever writes there meanwhile.
 */
export function checksumCopy(dst: usize, src: usize, len: u32, sum: u64): u64 {
  let t = i32x4.splat(0);
  if (len >= 128) {
    let e = i32x4.splat(0);
    const end = src + (<usize>len & ~127);
    do {
      const a = v128.load(src);
      const b = v128.load(src, 16);
      const c = v128.load(src, 32);
      const d = v128.load(src, 48);
      v128.store(dst, a);
      v128.store(dst, b, 16);
      v128.store(dst, c, 32);
      v128.store(dst, d, 48);
      const s = i32x4.add(i32x4.add(a, b), i32x4.add(c, d));
      const x = i16x8.avgr_u(i16x8.avgr_u(a, b), i16x8.avgr_u(c, d));
      const f = v128.load(src, 64);
      const g = v128.load(src, 80);
      const h = v128.load(src, 96);
      const i = v128.load(src, 112);
      v128.store(dst, f, 64);
      v128.store(dst, g, 80);
      v128.store(dst, h, 96);
      v128.store(dst, i, 112);
      t = i32x4.add(t, i32x4.add(s, i32x4.add(i32x4.add(f, g), i32x4.add(h, i))));
      const y = i16x8.avgr_u(i16x8.avgr_u(f, g), i16x8.avgr_u(h, i));
      e = i32x4.add(e, i32x4.shr_u(i16x8.avgr_u(x, y), 16));
      src += 128;
      dst += 128;
    } while (src < end);
    t = settle(t, e);
  }
  const end16 = src + (<usize>len & 112);
  while (src < end16) {
    const a = v128.load(src);
    v128.store(dst, a);
    t = i32x4.add(t, i32x4.extadd_pairwise_i16x8_u(a));
    src += 16;
    dst += 16;
  }
  sum = addLanes(t, sum);
  if (len & 8) {
    const w = load<u64>(src);
    store<u64>(dst, w);
    sum += (w & 0xffffffff) + (w >> 32);
    src += 8;
    dst += 8;
  }
  if (len & 4) {
    const w = load<u32>(src);
    store<u32>(dst, w);
    sum += w;
    src += 4;
    dst += 4;
  }
  if (len & 2) {
    const w = load<u16>(src);
    store<u16>(dst, w);
    sum += w;
    src += 2;
    dst += 2;
  }
  if (len & 1) {
    const w = load<u8>(src);
    store<u8>(dst, w);
    sum += w;
  }
  return sum;
}

/**
 * Adds the bytes of the `n` pieces at `iov` from byte `from` of the whole on.
 * DIFF: netmap adds up the sums of the pieces as if each began at an even place; after a piece of odd length, the sum of
 * the next has its bytes exchanged, which is what 256 times it is.
 */
export function checksumAddIov(iov: usize, n: u32, from: u32, sum: u64): u64 {
  const end = iov + <usize>n * IOV_SIZE;
  let odd: u32 = 0;
  for (; iov < end; iov += IOV_SIZE) {
    let len = load<u32>(iov, IOV_LEN);
    if (from >= len) {
      from -= len;
      continue;
    }
    len -= from;
    sum += checksumAdd(<usize>load<u32>(iov, IOV_ADDR) + from, len, 0) << (odd << 3);
    from = 0;
    odd ^= len & 1;
  }
  return sum;
}

/** RFC 1624, equation 3: the checksum after a word of the data has changed; all in memory order. */
export function checksumUpdate16(check: u32, before: u32, after: u32): u32 {
  return checksumFold(<u64>(~check & 0xffff) + (~before & 0xffff) + (after & 0xffff));
}

/** The same for two words, such as an address. */
export function checksumUpdate32(check: u32, before: u32, after: u32): u32 {
  return checksumFold(<u64>(~check & 0xffff) + <u64>~before + after);
}
