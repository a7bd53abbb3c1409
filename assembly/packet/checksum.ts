// RFC 1071 checksum. The one's complement sum does not depend on byte order, so words are added as they lie in memory
// and the folded result is stored the same way. A sum whose bytes start at an odd place of the data counts 256 times.
import { IOV_ADDR, IOV_LEN, IOV_SIZE } from '../abi/offload';

/**
 * What 32-bit lanes of words have added up to, exactly enough: `total` has lost the carries out of its lanes, each of which
 * counts 2^32, and that is 1 in a one's complement sum. How many they were follows from `eighths`, the sum of the rounded
 * averages of the upper halves of every eight words: for n words a lane, 8 times that is the upper half of the true sum, up
 * to an error of 1.5 n. HALF makes the shift round, so that the number of carries is right below 341 KiB.
 */
function settle(total: v128, eighths: v128): v128 {
  const upper = i32x4.shr_u(total, 16);
  const lower = i32x4.shr_u(i32x4.shl(total, 16), 16);
  const carries = i32x4.shr_s(i32x4.sub(i32x4.shl(eighths, 3), upper), 16);
  return i32x4.add(i32x4.add(lower, upper), carries);
}

/** What `eighths` begins with: eight times it is, nearly, half of a carry. */
const HALF: i32 = 0xfff;

/** The sum of the words in the lanes, with what is 2^16 or 2^32 for 1; lanes are below 2^31. */
function addLanes(lanes: v128): u64 {
  return <u64>i64x2.extract_lane(lanes, 0) + <u64>i64x2.extract_lane(lanes, 1);
}

function add8(a: v128, b: v128, c: v128, d: v128, e: v128, f: v128, g: v128, h: v128): v128 {
  const front = i32x4.add(i32x4.add(a, b), i32x4.add(c, d));
  return i32x4.add(front, i32x4.add(i32x4.add(e, f), i32x4.add(g, h)));
}

function average8(a: v128, b: v128, c: v128, d: v128, e: v128, f: v128, g: v128, h: v128): v128 {
  const front = i16x8.avgr_u(i16x8.avgr_u(a, b), i16x8.avgr_u(c, d));
  return i16x8.avgr_u(front, i16x8.avgr_u(i16x8.avgr_u(e, f), i16x8.avgr_u(g, h)));
}

/**
 * The sum of `len` bytes at `ptr`, below 2^60.
 *
 * The loop has 17 additions, averages and shifts for 128 bytes, where widening all words takes 32. It is left in the middle
 * and not only at its end because V8 loads first whatever it can, and has registers for eight vectors at a time. Two cache
 * lines are read in turns: their misses overlap.
 */
function sumOf(ptr: usize, len: u32): u64 {
  let t = i32x4.splat(0);
  if (len >= 64) {
    let e = i32x4.splat(HALF);
    if (len >= 128) {
      const last = ptr + (<usize>len & ~127) - 128;
      while (true) {
        const a = v128.load(ptr);
        const b = v128.load(ptr, 64);
        const c = v128.load(ptr, 16);
        const d = v128.load(ptr, 80);
        const f = v128.load(ptr, 32);
        const g = v128.load(ptr, 96);
        const h = v128.load(ptr, 48);
        const i = v128.load(ptr, 112);
        t = i32x4.add(t, add8(a, b, c, d, f, g, h, i));
        e = i32x4.add(e, i32x4.shr_u(average8(a, b, c, d, f, g, h, i), 16));
        if (ptr >= last) {
          ptr += 128;
          break;
        }
        const j = v128.load(ptr, 128);
        const k = v128.load(ptr, 192);
        const l = v128.load(ptr, 144);
        const m = v128.load(ptr, 208);
        const n = v128.load(ptr, 160);
        const o = v128.load(ptr, 224);
        const p = v128.load(ptr, 176);
        const q = v128.load(ptr, 240);
        t = i32x4.add(t, add8(j, k, l, m, n, o, p, q));
        e = i32x4.add(e, i32x4.shr_u(average8(j, k, l, m, n, o, p, q), 16));
        ptr += 256;
        if (ptr > last) break;
      }
    }
    if (len & 64) {
      const a = v128.load(ptr);
      const b = v128.load(ptr, 16);
      const c = v128.load(ptr, 32);
      const d = v128.load(ptr, 48);
      t = i32x4.add(t, i32x4.add(i32x4.add(a, b), i32x4.add(c, d)));
      e = i32x4.add(e, i32x4.shr_u(i16x8.avgr_u(i16x8.avgr_u(a, b), i16x8.avgr_u(c, d)), 17));
      ptr += 64;
    }
    t = settle(t, e);
  }
  if (len & 32) {
    const a = i32x4.extadd_pairwise_i16x8_u(v128.load(ptr));
    t = i32x4.add(t, i32x4.add(a, i32x4.extadd_pairwise_i16x8_u(v128.load(ptr, 16))));
    ptr += 32;
  }
  if (len & 16) {
    t = i32x4.add(t, i32x4.extadd_pairwise_i16x8_u(v128.load(ptr)));
    ptr += 16;
  }
  if (len & 8) {
    t = i32x4.add(t, i32x4.extadd_pairwise_i16x8_u(v128.load64_zero(ptr)));
    ptr += 8;
  }
  let sum = addLanes(t);
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

/** One's complement sum of the halves: whatever is lost above bit 63 comes back below. */
function foldHalves(sum: u64): u32 {
  return <u32>((sum + rotl<u64>(sum, 32)) >> 32);
}

/**
 * Adds `len` bytes (below 256 KiB) at `ptr` to `sum`, a partial sum of 16-bit words in memory order; an odd last byte is a
 * low byte.
 */
export function checksumAdd(ptr: usize, len: u32, sum: u64): u64 {
  return sum + foldHalves(sumOf(ptr, len));
}

/** Folds a partial sum to 16 bits and complements it: the value to store, in memory order. */
export function checksumFold(sum: u64): u32 {
  const s = foldHalves(sum);
  return ~((s + rotl<u32>(s, 16)) >> 16) & 0xffff;
}

/** RFC 1071 checksum of `len` bytes (below 256 KiB) at `ptr`, to be stored as a 16-bit word in memory order. */
export function packetChecksum(ptr: usize, len: u32): u32 {
  return checksumFold(inline.always(sumOf(ptr, len)));
}

/**
 * Copies `len` bytes (below 256 KiB) and adds them to `sum`. One pass is a third faster than two, and the source is read
 * once: what is summed is what was copied, whoever writes there meanwhile. The loops are those of sumOf, but for the order:
 * each store follows its load.
 */
export function checksumCopy(dst: usize, src: usize, len: u32, sum: u64): u64 {
  let t = i32x4.splat(0);
  if (len >= 64) {
    let e = i32x4.splat(HALF);
    if (len >= 128) {
      const last = src + (<usize>len & ~127) - 128;
      while (true) {
        const a = v128.load(src);
        v128.store(dst, a);
        const b = v128.load(src, 16);
        v128.store(dst, b, 16);
        const c = v128.load(src, 32);
        v128.store(dst, c, 32);
        const d = v128.load(src, 48);
        v128.store(dst, d, 48);
        const f = v128.load(src, 64);
        v128.store(dst, f, 64);
        const g = v128.load(src, 80);
        v128.store(dst, g, 80);
        const h = v128.load(src, 96);
        v128.store(dst, h, 96);
        const i = v128.load(src, 112);
        v128.store(dst, i, 112);
        t = i32x4.add(t, add8(a, b, c, d, f, g, h, i));
        e = i32x4.add(e, i32x4.shr_u(average8(a, b, c, d, f, g, h, i), 16));
        if (src >= last) {
          src += 128;
          dst += 128;
          break;
        }
        const j = v128.load(src, 128);
        v128.store(dst, j, 128);
        const k = v128.load(src, 144);
        v128.store(dst, k, 144);
        const l = v128.load(src, 160);
        v128.store(dst, l, 160);
        const m = v128.load(src, 176);
        v128.store(dst, m, 176);
        const n = v128.load(src, 192);
        v128.store(dst, n, 192);
        const o = v128.load(src, 208);
        v128.store(dst, o, 208);
        const p = v128.load(src, 224);
        v128.store(dst, p, 224);
        const q = v128.load(src, 240);
        v128.store(dst, q, 240);
        t = i32x4.add(t, add8(j, k, l, m, n, o, p, q));
        e = i32x4.add(e, i32x4.shr_u(average8(j, k, l, m, n, o, p, q), 16));
        src += 256;
        dst += 256;
        if (src > last) break;
      }
    }
    if (len & 64) {
      const a = v128.load(src);
      v128.store(dst, a);
      const b = v128.load(src, 16);
      v128.store(dst, b, 16);
      const c = v128.load(src, 32);
      v128.store(dst, c, 32);
      const d = v128.load(src, 48);
      v128.store(dst, d, 48);
      t = i32x4.add(t, i32x4.add(i32x4.add(a, b), i32x4.add(c, d)));
      e = i32x4.add(e, i32x4.shr_u(i16x8.avgr_u(i16x8.avgr_u(a, b), i16x8.avgr_u(c, d)), 17));
      src += 64;
      dst += 64;
    }
    t = settle(t, e);
  }
  if (len & 32) {
    const a = v128.load(src);
    v128.store(dst, a);
    const b = v128.load(src, 16);
    v128.store(dst, b, 16);
    t = i32x4.add(t, i32x4.add(i32x4.extadd_pairwise_i16x8_u(a), i32x4.extadd_pairwise_i16x8_u(b)));
    src += 32;
    dst += 32;
  }
  if (len & 16) {
    const a = v128.load(src);
    v128.store(dst, a);
    t = i32x4.add(t, i32x4.extadd_pairwise_i16x8_u(a));
    src += 16;
    dst += 16;
  }
  if (len & 8) {
    const a = v128.load64_zero(src);
    v128.store64_lane(dst, a, 0);
    t = i32x4.add(t, i32x4.extadd_pairwise_i16x8_u(a));
    src += 8;
    dst += 8;
  }
  let words = addLanes(t);
  if (len & 4) {
    const w = load<u32>(src);
    store<u32>(dst, w);
    words += w;
    src += 4;
    dst += 4;
  }
  if (len & 2) {
    const w = load<u16>(src);
    store<u16>(dst, w);
    words += w;
    src += 2;
    dst += 2;
  }
  if (len & 1) {
    const w = load<u8>(src);
    store<u8>(dst, w);
    words += w;
  }
  return sum + foldHalves(words);
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
