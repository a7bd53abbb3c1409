// RFC 1071 checksum in JavaScript: 16-bit words as they lie in memory, two a turn.
import type { Memory } from './memory.js';

/** Adds `len` bytes (below 256 KiB) at an even address to a partial sum; a last odd byte is a low one. */
export function checksumAdd({ u16, u8 }: Memory, ptr: number, len: number, sum: number): number {
  const end = (ptr + len) >>> 1;
  let even = 0;
  let odd = 0;
  let i = ptr >>> 1;
  for (; i + 2 <= end; i += 2) {
    even += u16[i];
    odd += u16[i + 1];
  }
  if (i < end) even += u16[i];
  if (len & 1) odd += u8[ptr + len - 1];
  return sum + even + odd;
}

/**
 * Copies `len` bytes between even addresses and adds them. One loop over words: copyWithin goes byte by byte in shared
 * memory wherever the addresses differ modulo 8, and the sum comes on top.
 */
export function checksumCopy({ u16, u8 }: Memory, dst: number, src: number, len: number, sum: number): number {
  const end = (src + len) >>> 1;
  let even = 0;
  let odd = 0;
  let i = src >>> 1;
  let o = dst >>> 1;
  for (; i + 2 <= end; i += 2, o += 2) {
    const a = u16[i];
    const b = u16[i + 1];
    u16[o] = a;
    u16[o + 1] = b;
    even += a;
    odd += b;
  }
  if (i < end) {
    const a = u16[i];
    u16[o] = a;
    even += a;
  }
  if (len & 1) {
    const a = u8[src + len - 1];
    u8[dst + len - 1] = a;
    odd += a;
  }
  return sum + even + odd;
}

/** Folds a partial sum, below 2^32, to 16 bits and complements it. */
export function checksumFold(sum: number): number {
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** Checksum of `len` bytes at an even address. */
export function packetChecksum(mem: Memory, ptr: number, len: number): number {
  return checksumFold(checksumAdd(mem, ptr, len, 0));
}
