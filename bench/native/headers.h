// assembly/packet/{headers,offload}.ts: TCP over IPv4 and IPv6 without tags and extension headers, the rest behind the
// same tests.
#pragma once
#include "checksum.h"
#include "packets.h"
#include "ring.h"

enum { PARSE_SHORT = 1, PARSE_VERSION = 3, PARSE_IP_LENGTH = 4, PARSE_L4_LENGTH = 6 };
enum { PARSED_L2 = 2, PARSED_L3 = 3, PARSED_L4 = 4 };
enum { CSUM_NONE, CSUM_GOOD, CSUM_BAD };
enum { PACKET_F_FRAGMENT = 1, PACKET_F_OPTIONS = 2, PACKET_F_ROUTED = 4, PACKET_F_AUTH = 8 };
enum { TYPE_VLAN = 0x8100, TYPE_QINQ = 0x88a8, TCP_MIN = 20 };

struct packet {
  int result;
  u32 flags, l3, l4, hdr_len, payload, end;
  u16 l3_proto;
  u8 l4_proto, vlans;
};

struct vnet {
  u8 flags, gso_type;
  u16 hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};
_Static_assert(sizeof(struct vnet) == 12, "virtio-net header");

struct iov {
  u8 *addr;
  u32 len;
};

static inline u32 le16(const u8 *p) {
  u16 w;
  memcpy(&w, p, 2);
  return w;
}
static inline u32 le32(const u8 *p) {
  u32 w;
  memcpy(&w, p, 4);
  return w;
}
static inline u64 le64(const u8 *p) {
  u64 w;
  memcpy(&w, p, 8);
  return w;
}
static inline void put_le16(u8 *p, u32 v) {
  u16 w = v;
  memcpy(p, &w, 2);
}

static int parse_l4(const u8 *frame, u32 l4, u32 avail, u32 end, u32 proto, u32 flags, struct packet *out) {
  out->flags = flags;
  out->l4 = l4;
  out->l4_proto = proto;
  out->hdr_len = l4;
  out->payload = end - l4;
  out->end = end;
  if (flags & PACKET_F_FRAGMENT) return PARSED_L3;
  u32 room = min_u32(end, avail) - l4;
  if (proto != PROTO_TCP) not_in_the_bench();
  if (room < TCP_MIN) return -PARSE_SHORT;
  u32 hdr_len = frame[l4 + 12] >> 4 << 2;
  if (hdr_len < TCP_MIN) return -PARSE_L4_LENGTH;
  if (hdr_len > room) return -PARSE_SHORT;
  out->hdr_len = l4 + hdr_len;
  out->payload = end - l4 - hdr_len;
  return PARSED_L4;
}

static int parse_ipv4(const u8 *frame, u32 l3, u32 avail, u32 len, struct packet *out) {
  if (avail - l3 < IPV4_LEN) return -PARSE_SHORT;
  const u8 *ip = frame + l3;
  u32 first = ip[0], hdr_len = (first & 15) << 2;
  if (first >> 4 != 4 || hdr_len < IPV4_LEN) return -PARSE_VERSION;
  if (avail - l3 < hdr_len) return -PARSE_SHORT;
  u32 total = be16(ip + 2);
  if (total < hdr_len || total > len - l3) return -PARSE_IP_LENGTH;
  u32 flags = hdr_len != IPV4_LEN ? PACKET_F_OPTIONS : 0;
  if (be16(ip + 6) & 0x3fff) flags |= PACKET_F_FRAGMENT;
  return parse_l4(frame, l3 + hdr_len, avail, l3 + total, ip[9], flags, out);
}

static bool is_extension(u32 proto) { return proto == 0 || proto == 60 || proto == 43 || proto == 44 || proto == 51; }

static int parse_ipv6(const u8 *frame, u32 l3, u32 avail, u32 len, struct packet *out) {
  if (avail - l3 < IPV6_LEN) return -PARSE_SHORT;
  const u8 *ip = frame + l3;
  if (ip[0] >> 4 != 6) return -PARSE_VERSION;
  u32 payload = be16(ip + 4), proto = ip[6], l4 = l3 + IPV6_LEN;
  if (payload > len - l4) return -PARSE_IP_LENGTH;
  if (is_extension(proto)) not_in_the_bench();
  return parse_l4(frame, l4, avail, l4 + payload, proto, 0, out);
}

static int parse_ether(const u8 *frame, u32 avail, u32 len, struct packet *out) {
  if (avail < ETHER_LEN) return -PARSE_SHORT;
  u32 type = be16(frame + 12), l3 = ETHER_LEN;
  if (type == TYPE_VLAN || type == TYPE_QINQ) not_in_the_bench();
  out->l3 = l3;
  out->l3_proto = type;
  out->hdr_len = l3;
  out->payload = len - l3;
  out->end = len;
  if (type == TYPE_IPV4) return parse_ipv4(frame, l3, avail, len, out);
  if (type == TYPE_IPV6) return parse_ipv6(frame, l3, avail, len, out);
  return PARSED_L2;
}

/** A frame of `len` bytes of which the first `avail` lie at `frame`. */
static int headers_parse(const u8 *frame, u32 avail, u32 len, struct packet *out) {
  *out = (struct packet){0};
  return out->result = parse_ether(frame, avail, len, out);
}

static u64 pseudo_sum(const u8 *ip, bool v4, u32 proto, u32 len) {
  u64 sum = ((u64)proto << 8) + __builtin_bswap16(len);
  if (v4) return sum + le32(ip + 12) + le32(ip + 16);
  for (const u8 *p = ip + 8; p < ip + 40; p += 4) sum += le32(p);
  return sum;
}

static u32 ipv4_checksum(const u8 *ip, u32 len) {
  if (len != IPV4_LEN) return packet_checksum(ip, len);
  return checksum_fold((u64)le32(ip) + le32(ip + 4) + le32(ip + 8) + le32(ip + 12) + le32(ip + 16));
}

static u32 offload_validate(const u8 *frame, const struct packet *packet) {
  if (packet->result < PARSED_L3) return CSUM_NONE;
  const u8 *ip = frame + packet->l3;
  bool v4 = packet->l3_proto == TYPE_IPV4;
  if (v4 && ipv4_checksum(ip, packet->l4 - packet->l3) != 0) return CSUM_BAD;
  if (packet->result != PARSED_L4 || packet->flags & PACKET_F_ROUTED) return CSUM_NONE;
  u32 len = packet->end - packet->l4;
  u64 pseudo = pseudo_sum(ip, v4, packet->l4_proto, len);
  return checksum_fold(checksum_add(frame + packet->l4, len, pseudo)) == 0 ? CSUM_GOOD : CSUM_BAD;
}
