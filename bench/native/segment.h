// assembly/packet/segment.ts, for TCP.
#pragma once
#include "headers.h"

enum { SEG_HEADER_SIZE = 480, SEGMENT_PROTOCOL = 7, SEGMENT_LIMIT = 8, SEGMENT_NO_ROOM = 9 };
enum { GSO_NONE = 0, GSO_TCPV4 = 1, GSO_UDP = 3, GSO_TCPV6 = 4, GSO_ECN = 0x80 };

struct segmenter {
  const struct iov *frag;
  u32 ofs, left, mss, count, l3_sum, l4_sum, id, seq, tcp_flags;
  struct packet packet;
  u8 header[SEG_HEADER_SIZE];
};

/** Takes what differs between segments out of the header, and sums the rest once. */
static void prepare_header(struct segmenter *s) {
  struct packet *packet = &s->packet;
  u8 *ip = s->header + packet->l3, *l4 = s->header + packet->l4;
  bool v4 = packet->l3_proto == TYPE_IPV4;
  if (v4) {
    s->id = be16(ip + 4);
    put_le16(ip + 2, 0);
    put_le16(ip + 4, 0);
    put_le16(ip + 10, 0);
    s->l3_sum = ~packet_checksum(ip, (u32)(l4 - ip)) & 0xffff;
  }
  s->seq = be32(l4 + 4);
  s->tcp_flags = l4[13];
  memset(l4 + 4, 0, 4);
  l4[13] = 0;
  put_le16(l4 + 16, 0);
  u64 sum = checksum_add(l4, packet->hdr_len - packet->l4, pseudo_sum(ip, v4, PROTO_TCP, 0));
  s->l4_sum = ~checksum_fold(sum) & 0xffff;
}

static int segment_prepare(const struct iov *iov, u32 n, const struct vnet *hdr, u32 limit, struct segmenter *s) {
  s->count = 0;
  u64 len = 0;
  for (u32 i = 0; i < n; i++) len += iov[i].len;
  u32 avail = len < SEG_HEADER_SIZE ? (u32)len : SEG_HEADER_SIZE;
  const struct iov *from = iov;
  for (u32 at = 0; at < avail; from++) {
    u32 m = min_u32(from->len, avail - at);
    packet_copy(s->header + at, from->addr, m);
    at += m;
  }
  struct packet *packet = &s->packet;
  int result = headers_parse(s->header, avail, (u32)len, packet);
  if (result < 0) return result;
  if ((hdr->gso_type & ~GSO_ECN) == GSO_UDP) not_in_the_bench();
  if (hdr->gso_type == GSO_NONE || result != PARSED_L4 || packet->l4_proto != PROTO_TCP ||
      packet->flags & (PACKET_F_ROUTED | PACKET_F_AUTH))
    return -SEGMENT_PROTOCOL;
  u32 hdr_len = packet->hdr_len, payload = packet->payload;
  if (hdr_len >= limit) return -SEGMENT_LIMIT;
  s->mss = min_u32(limit - hdr_len, hdr->gso_size == 0 ? ~0u : hdr->gso_size);
  s->left = payload;
  s->count = payload == 0 ? 1 : (payload + s->mss - 1) / s->mss;
  prepare_header(s);
  u32 skip = hdr_len;
  while (skip != 0 && skip >= iov->len) skip -= iov++->len;
  s->frag = iov;
  s->ofs = skip;
  return s->count;
}

/** Copies the next `len` bytes of payload, and returns their sum. */
static u64 copy_payload(struct segmenter *s, u8 *dst, u32 len) {
  const struct iov *frag = s->frag;
  u32 ofs = s->ofs, odd = 0;
  u64 sum = 0;
  while (len != 0) {
    u32 room = frag->len - ofs, m = min_u32(room, len);
    sum += checksum_copy(dst, frag->addr + ofs, m, 0) << (odd << 3);
    odd ^= m & 1;
    dst += m;
    len -= m;
    ofs += m;
    if (m == room) {
      frag++;
      ofs = 0;
    }
  }
  s->frag = frag;
  s->ofs = ofs;
  return sum;
}

static int segment_next(struct segmenter *s, u8 *dst, u32 dst_size) {
  u32 count = s->count;
  if (count == 0) return 0;
  u32 hdr_len = s->packet.hdr_len, l3 = s->packet.l3, l4 = s->packet.l4;
  u32 payload = min_u32(s->left, s->mss), len = hdr_len + payload;
  if (len > dst_size) return -SEGMENT_NO_ROOM;
  packet_copy(dst, s->header, hdr_len);
  u64 sum = copy_payload(s, dst + hdr_len, payload);
  s->left -= payload;
  s->count = count - 1;
  u8 *ip = dst + l3, *tcp = dst + l4;
  if (s->packet.l3_proto == TYPE_IPV4) {
    u32 total = __builtin_bswap16(len - l3), id = __builtin_bswap16(s->id);
    put_le16(ip + 2, total);
    put_le16(ip + 4, id);
    put_le16(ip + 10, checksum_fold((u64)s->l3_sum + total + id));
    s->id++;
  } else {
    put16(ip + 4, len - l3 - IPV6_LEN);
  }
  u32 seq = s->seq, sent = count == 1 ? s->tcp_flags : s->tcp_flags & ~(TH_FIN | TH_PUSH);
  put32(tcp + 4, seq);
  tcp[13] = sent;
  sum += s->l4_sum + (u64)__builtin_bswap32(seq) + (sent << 8) + __builtin_bswap16(len - l4);
  put_le16(tcp + 16, checksum_fold(sum));
  s->seq = seq + payload;
  s->tcp_flags &= ~TH_CWR;
  return len;
}
