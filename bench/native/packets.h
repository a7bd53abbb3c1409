// TCP packets as a kernel sends them: the twin of bench/packets.ts, byte for byte.
#pragma once
#include "layout.h"

enum { ETHER_LEN = 14, IPV4_LEN = 20, IPV6_LEN = 40, TCP_TS_LEN = 32, PROTO_TCP = 6, FULL_FRAME = 1514 };
enum { TYPE_IPV4 = 0x800, TYPE_IPV6 = 0x86dd };
enum { TH_FIN = 1, TH_PUSH = 8, TH_ACK = 0x10, TH_CWR = 0x80 };

static inline u32 be16(const u8 *p) { return (u32)p[0] << 8 | p[1]; }
static inline u32 be32(const u8 *p) { return be16(p) << 16 | be16(p + 2); }
static inline void put16(u8 *p, u32 v) { p[0] = v >> 8, p[1] = v; }
static inline void put32(u8 *p, u32 v) { put16(p, v >> 16), put16(p + 2, v); }

static u32 headers_of(int version) { return ETHER_LEN + (version == 4 ? IPV4_LEN : IPV6_LEN) + TCP_TS_LEN; }

static u64 make_sum(const u8 *p, u32 len, u64 sum) {
  for (u32 i = 0; i + 1 < len; i += 2) sum += be16(p + i);
  return len & 1 ? sum + (p[len - 1] << 8) : sum;
}

static u32 make_complement(u64 sum) {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

/** A frame with correct checksums; `frame` is all zeros. */
static void tcp_packet(u8 *frame, int version, u32 flow, u32 index, u32 size, u32 flags) {
  static const u8 macs[12] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
  u32 payload = size - headers_of(version), l4 = headers_of(version) - TCP_TS_LEN;
  u8 *ip = frame + ETHER_LEN, *tcp = frame + l4;
  for (int i = 0; i < 12; i++) frame[i] = macs[i];
  put16(frame + 12, version == 4 ? TYPE_IPV4 : TYPE_IPV6);
  if (version == 4) {
    put16(ip, 0x4500);
    put16(ip + 2, size - ETHER_LEN);
    put16(ip + 4, 1000 + index);
    put16(ip + 6, 0x4000);
    put16(ip + 8, 64 << 8 | PROTO_TCP);
    put32(ip + 12, 0x0a000001);
    put32(ip + 16, 0x0a000002);
    put16(ip + 10, make_complement(make_sum(ip, IPV4_LEN, 0)));
  } else {
    put16(ip, 0x6000);
    put16(ip + 4, size - l4);
    put16(ip + 6, PROTO_TCP << 8 | 64);
    put16(ip + 8, 0xfd00);
    ip[23] = 1;
    put16(ip + 24, 0xfd00);
    ip[39] = 2;
  }
  put16(tcp, 40000 + flow);
  put16(tcp + 2, 5201);
  put32(tcp + 4, 1000000 + index * payload);
  put32(tcp + 8, 77);
  put16(tcp + 12, (TCP_TS_LEN / 4) << 12 | flags);
  put16(tcp + 14, 512);
  put32(tcp + 20, 0x0101080a);
  put32(tcp + 24, 5000 + index);
  put32(tcp + 28, 4000);
  for (u32 i = l4 + TCP_TS_LEN, x = flow * 1000 + index; i < size; i++) {
    x = x * 1664525u + 1013904223u;
    frame[i] = x >> 24;
  }
  u8 *addresses = version == 4 ? ip + 12 : ip + 8;
  u64 pseudo = make_sum(addresses, (u32)(tcp - addresses), PROTO_TCP + size - l4);
  put16(tcp + 16, make_complement(make_sum(tcp, size - l4, pseudo)));
}
