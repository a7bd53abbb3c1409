// Frames, and the digest of everything delivered. The twin of those in bench/program.ts, byte for byte: the digests are
// compared.
#pragma once
#include <string.h>

#include "layout.h"

enum { SEQ_OFS = 16, HEADER = 14, PROOF_FRAMES = 4096 };

/** Ethernet header from port `src` (1, 2 …) to port `dst`, then a payload that depends on `seed`. */
static void frame_make(u8 *buf, u32 len, u32 dst, u32 src, u32 seed) {
  u8 header[HEADER] = {2, 0, 0, 0, 0, dst, 2, 0, 0, 0, 0, src, 0x88, 0xb5};
  memcpy(buf, header, HEADER);
  for (u32 i = HEADER, x = seed; i < len; i++) {
    x = x * 1664525u + 1013904223u;
    buf[i] = x >> 24;
  }
}

enum { FNV_PRIME = 16777619 };
static const u32 FNV_BASIS = 2166136261u;

static u32 digest_bytes(const u8 *p, u32 len, u32 hash) {
  for (u32 i = 0; i < len; i++) hash = (hash ^ p[i]) * FNV_PRIME;
  return hash;
}

/** FNV-1a over length and bytes of a frame. */
static u32 digest_frame(const u8 *p, u32 len, u32 hash) { return digest_bytes(p, len, (hash ^ len) * FNV_PRIME); }
