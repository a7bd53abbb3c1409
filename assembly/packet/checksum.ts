// RFC 1071 checksum. The one's complement sum does not depend on byte order, so words are added as they lie in memory
// and the folded result is stored the same way. A sum whose bytes start at an odd place of the data counts 256 times.
import { IOV_ADDR, IOV_LEN, IOV_SIZE } from '../abi/offload';

/** Adds `len` bytes at `ptr` to `sum` (32-bit partial sum of 16-bit words in memory order); an odd last byte is a low byte. */
export function checksumAdd(ptr: usize, len: u32, sum: u64): u64 {
  let acc0 = i32x4.splat(0);
  let acc1 = i32x4.splat(0);
  let acc2 = i32x4.splat(0);
  let acc3 = i32x4.splat(0);
  const end64 = ptr + (<usize>len & ~63);
  // Four accumulators, 64 bytes a turn: measured as fast as gcc's own vector loop.
  // A 32-bit lane takes 2 * 65535 a turn, so frames below 256 KiB cannot overflow it.
  while (ptr < end64) {
    acc0 = i32x4.add(acc0, i32x4.extadd_pairwise_i16x8_u(v128.load(ptr)));
    acc1 = i32x4.add(acc1, i32x4.extadd_pairwise_i16x8_u(v128.load(ptr, 16)));
    acc2 = i32x4.add(acc2, i32x4.extadd_pairwise_i16x8_u(v128.load(ptr, 32)));
    acc3 = i32x4.add(acc3, i32x4.extadd_pairwise_i16x8_u(v128.load(ptr, 48)));
    ptr += 64;
  }
  len &= 63;
  const end16 = ptr + (<usize>len & ~15);
  while (ptr < end16) {
    acc0 = i32x4.add(acc0, i32x4.extadd_pairwise_i16x8_u(v128.load(ptr)));
    ptr += 16;
  }
  acc0 = i32x4.add(i32x4.add(acc0, acc1), i32x4.add(acc2, acc3));
  sum += <u64>(<u32>i32x4.extract_lane(acc0, 0));
  sum += <u64>(<u32>i32x4.extract_lane(acc0, 1));
  sum += <u64>(<u32>i32x4.extract_lane(acc0, 2));
  sum += <u64>(<u32>i32x4.extract_lane(acc0, 3));
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
 * Copies `len` bytes (below 256 KiB) and adds them to `sum`. One pass is a quarter faster than two, and the source is read
 * once: what is summed is what was copied, whoever writes there meanwhile.
 */
export function checksumCopy(dst: usize, src: usize, len: u32, sum: u64): u64 {
  let acc0 = i32x4.splat(0);
  let acc1 = i32x4.splat(0);
  let acc2 = i32x4.splat(0);
  let acc3 = i32x4.splat(0);
  const end64 = src + (<usize>len & ~63);
  while (src < end64) {
    const a = v128.load(src);
    const b = v128.load(src, 16);
    const c = v128.load(src, 32);
    const d = v128.load(src, 48);
    v128.store(dst, a);
    v128.store(dst, b, 16);
    v128.store(dst, c, 32);
    v128.store(dst, d, 48);
    acc0 = i32x4.add(acc0, i32x4.extadd_pairwise_i16x8_u(a));
    acc1 = i32x4.add(acc1, i32x4.extadd_pairwise_i16x8_u(b));
    acc2 = i32x4.add(acc2, i32x4.extadd_pairwise_i16x8_u(c));
    acc3 = i32x4.add(acc3, i32x4.extadd_pairwise_i16x8_u(d));
    src += 64;
    dst += 64;
  }
  len &= 63;
  const end16 = src + (<usize>len & ~15);
  while (src < end16) {
    const a = v128.load(src);
    v128.store(dst, a);
    acc0 = i32x4.add(acc0, i32x4.extadd_pairwise_i16x8_u(a));
    src += 16;
    dst += 16;
  }
  acc0 = i32x4.add(i32x4.add(acc0, acc1), i32x4.add(acc2, acc3));
  sum += <u64>(<u32>i32x4.extract_lane(acc0, 0));
  sum += <u64>(<u32>i32x4.extract_lane(acc0, 1));
  sum += <u64>(<u32>i32x4.extract_lane(acc0, 2));
  sum += <u64>(<u32>i32x4.extract_lane(acc0, 3));
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
