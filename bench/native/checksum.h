// RFC 1071 checksum: assembly/packet/checksum.ts. Of the plain loops, over words of 16, 32 and 64 bits, the one over 32
// bits into a 64-bit sum is what gcc makes the best of at 60 and at 1500 bytes.
#pragma once
#include <string.h>

#include "layout.h"

static inline u64 checksum_add(const u8 *p, u32 len, u64 sum) {
  u32 i = 0;
  for (; i + 4 <= len; i += 4) {
    u32 w;
    memcpy(&w, p + i, 4);
    sum += w;
  }
  if (len & 2) {
    u16 w;
    memcpy(&w, p + i, 2);
    sum += w;
    i += 2;
  }
  if (len & 1) sum += p[i];
  return sum;
}

static inline u32 checksum_fold(u64 sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  u32 s = (u32)sum;
  s = (s & 0xffff) + (s >> 16);
  s = (s & 0xffff) + (s >> 16);
  return ~s & 0xffff;
}

static u32 packet_checksum(const u8 *p, u32 len) { return checksum_fold(checksum_add(p, len, 0)); }

/** Copies and adds, in one loop. */
static u64 checksum_copy(u8 *restrict dst, const u8 *restrict src, u32 len, u64 sum) {
  u32 i = 0;
  for (; i + 4 <= len; i += 4) {
    u32 w;
    memcpy(&w, src + i, 4);
    memcpy(dst + i, &w, 4);
    sum += w;
  }
  if (len & 2) {
    u16 w;
    memcpy(&w, src + i, 2);
    memcpy(dst + i, &w, 2);
    sum += w;
    i += 2;
  }
  if (len & 1) sum += dst[i] = src[i];
  return sum;
}
