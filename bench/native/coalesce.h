// assembly/packet/{receive,coalesce,flow}.ts.
#pragma once
#include "headers.h"

enum { LRO_FLOWS = 16, LRO_FRAMES = 512, LRO_MAX_PIECES = 64, LRO_MAX_LIMIT = 65535 };
enum { VNET_NEEDS_CSUM = 1, VNET_DATA_VALID = 2, VNET_GSO_TCPV4 = 1, VNET_GSO_TCPV6 = 4 };
enum { VNET_F_MASK = 3, VNET_GSO_UDP = 3, VNET_GSO_ECN = 0x80, VNET_LEN = 12 };
enum { RX_CSUM = 1, RX_CSUM6 = 2, RX_LRO = 4, RX_ALL = 7 };
enum { TS_KIND = 0x0a080101 };

struct piece {
  u8 *addr;
  u32 len;
  struct piece *next;
};

struct out {
  struct iov *iov;
  u32 pieces, len;
  struct piece *first;
  struct vnet vnet;
};

struct flow {
  struct out *out;
  struct piece *last_piece;
  u8 *frame, *last_tcp;
  u32 l3, l4, hdr_len, l3_proto, mss, count, len, seq, ack, tsval, id, id_step;
};

struct lro {
  u32 frames, n_outs, limit, next_flow, caps;
  struct vnet vnet;
  struct packet packet;
  u32 hashes[LRO_FLOWS];
  struct flow flows[LRO_FLOWS];
  struct out outs[LRO_FRAMES];
  struct piece pieces[LRO_FRAMES];
  struct iov iov[LRO_FRAMES];
};

static inline u64 rotl64(u64 v, int n) { return v << n | v >> (64 - n); }

static u32 flow_hash(const u8 *frame, const struct packet *packet) {
  const u8 *ip = frame + packet->l3;
  u64 h = le32(frame + packet->l4);
  if (packet->l3_proto == TYPE_IPV4) {
    h ^= le64(ip + 12);
  } else {
    h ^= le64(ip + 8) ^ rotl64(le64(ip + 16), 17);
    h ^= rotl64(le64(ip + 24), 31) ^ rotl64(le64(ip + 32), 47);
  }
  return (u32)(h * 0x9e3779b97f4a7c15ull >> 32) | 1;
}

static bool same_flow(const struct flow *flow, const u8 *frame, const struct packet *packet) {
  const u8 *a = frame + packet->l3, *b = flow->frame + flow->l3;
  if (flow->l3_proto != packet->l3_proto || le32(flow->frame + flow->l4) != le32(frame + packet->l4)) return false;
  if (packet->l3_proto == TYPE_IPV4) return le64(a + 12) == le64(b + 12);
  return memcmp(a + 8, b + 8, 32) == 0;
}

static struct flow *flow_find(struct lro *lro, u32 hash, const u8 *frame, const struct packet *packet) {
  for (u32 i = 0; i < LRO_FLOWS; i++)
    if (lro->hashes[i] == hash && same_flow(&lro->flows[i], frame, packet)) return &lro->flows[i];
  return NULL;
}

static bool is_plain_segment(const u8 *frame, const struct packet *packet) {
  const u8 *tcp = frame + packet->l4;
  u32 hdr_len = packet->hdr_len - packet->l4;
  return packet->flags == 0 && packet->payload != 0 && (tcp[13] & ~TH_PUSH) == TH_ACK && (tcp[12] & 15) == 0 &&
         (hdr_len == TCP_MIN || (hdr_len == TCP_TS_LEN && le32(tcp + 20) == TS_KIND));
}

static void move_on(struct flow *flow, u8 *tcp, u32 payload, u32 seq) {
  flow->last_tcp = tcp;
  flow->count++;
  flow->len += payload;
  flow->seq = seq + payload;
  flow->ack = be32(tcp + 8);
  if (flow->hdr_len - flow->l4 == TCP_TS_LEN) flow->tsval = be32(tcp + 24);
  flow->id = (flow->id + flow->id_step) & 0xffff;
}

static void flow_open(struct lro *lro, u32 hash, u8 *frame, const struct packet *packet, struct out *out,
                      struct piece *piece) {
  u32 i = 0;
  while (i < LRO_FLOWS && lro->hashes[i] != 0) i++;
  if (i == LRO_FLOWS) not_in_the_bench(); // another flow has to end
  lro->hashes[i] = hash;
  lro->flows[i] = (struct flow){
      .out = out, .last_piece = piece, .frame = frame, .l3 = packet->l3, .l4 = packet->l4,
      .hdr_len = packet->hdr_len, .l3_proto = packet->l3_proto, .mss = packet->payload,
      .len = packet->hdr_len, .id_step = 1, .id = be16(frame + packet->l3 + 4)};
  u8 *tcp = frame + packet->l4;
  move_on(&lro->flows[i], tcp, packet->payload, be32(tcp + 4));
}

static bool continues_v4(struct flow *flow, const u8 *ip, const u8 *first) {
  if (le16(ip) != le16(first) || le16(ip + 6) != le16(first + 6) || ip[8] != first[8]) return false;
  u32 id = be16(ip + 4);
  if (id == flow->id) return true;
  if (flow->count != 1 || be16(ip + 6) != 0x4000 || id != ((flow->id - 1) & 0xffff)) return false;
  flow->id = id;
  flow->id_step = 0;
  return true;
}

static bool flow_continues(struct flow *flow, const u8 *frame, const struct packet *packet, u32 limit) {
  const u8 *first = flow->frame;
  u32 l3 = packet->l3, l4 = packet->l4, hdr_len = packet->hdr_len, payload = packet->payload;
  if (flow->l3 != l3 || flow->hdr_len != hdr_len || payload > flow->mss || flow->count >= LRO_MAX_PIECES ||
      flow->len + payload > limit)
    return false;
  const u8 *tcp = frame + l4;
  if (be32(tcp + 4) != flow->seq) return false;
  if ((int32_t)(be32(tcp + 8) - flow->ack) < 0) return false;
  if (hdr_len - l4 == TCP_TS_LEN && (int32_t)(be32(tcp + 24) - flow->tsval) < 0) return false;
  if (le64(frame) != le64(first) || le16(frame + 8) != le16(first + 8)) return false;
  for (u32 i = 10; i < l3; i += 4)
    if (le32(frame + i) != le32(first + i)) return false;
  if (packet->l3_proto == TYPE_IPV4) return continues_v4(flow, frame + l3, first + l3);
  return le32(frame + l3) == le32(first + l3) && frame[l3 + 7] == first[l3 + 7];
}

static bool flow_append(struct flow *flow, u8 *frame, const struct packet *packet, struct piece *piece) {
  if (flow->count == 1) flow->last_piece->len = packet->hdr_len + flow->mss; // without padding
  flow->last_piece->next = piece;
  *piece = (struct piece){.addr = frame + packet->hdr_len, .len = packet->payload};
  flow->last_piece = piece;
  u8 *tcp = frame + packet->l4;
  move_on(flow, tcp, packet->payload, flow->seq);
  return packet->payload < flow->mss || tcp[13] & TH_PUSH;
}

/** Makes the first frame's headers those of the whole packet, and writes its virtio-net header. */
static void flow_finish(struct flow *flow) {
  struct out *out = flow->out;
  u8 *ip = flow->frame + flow->l3, *tcp = flow->frame + flow->l4, *last = flow->last_tcp;
  bool v4 = flow->l3_proto == TYPE_IPV4;
  if (v4) {
    put16(ip + 2, flow->len - flow->l3);
    put_le16(ip + 10, 0);
    put_le16(ip + 10, ipv4_checksum(ip, IPV4_LEN));
  } else {
    put16(ip + 4, flow->len - flow->l3 - IPV6_LEN);
  }
  memmove(tcp + 8, last + 8, 4);
  tcp[13] = last[13];
  memmove(tcp + 14, last + 14, 2);
  if (flow->hdr_len - flow->l4 == TCP_TS_LEN) memmove(tcp + 24, last + 24, 8); // and the echo
  put_le16(tcp + 16, ~checksum_fold(pseudo_sum(ip, v4, PROTO_TCP, flow->len - flow->l4)));
  out->pieces = flow->count;
  out->len = flow->len;
  out->vnet = (struct vnet){.flags = VNET_NEEDS_CSUM, .gso_type = v4 ? VNET_GSO_TCPV4 : VNET_GSO_TCPV6,
                            .hdr_len = flow->hdr_len, .gso_size = flow->mss, .csum_start = flow->l4,
                            .csum_offset = 16};
}

static void flow_close(struct lro *lro, struct flow *flow) {
  lro->hashes[flow - lro->flows] = 0;
  if (flow->count > 1) flow_finish(flow);
}

static struct out *add_out(struct lro *lro, struct piece *piece, u8 *frame, u32 len, const struct vnet *vnet,
                           u32 verdict) {
  *piece = (struct piece){.addr = frame, .len = len};
  struct out *out = &lro->outs[lro->n_outs++];
  *out = (struct out){.pieces = 1, .len = len, .first = piece};
  if (!vnet || verdict == CSUM_GOOD) out->vnet.flags = verdict == CSUM_GOOD ? VNET_DATA_VALID : 0;
  else out->vnet = *vnet;
  return out;
}

/** What is known of the frame's checksum, by its header or by summing. */
static u32 judge(const u8 *frame, const struct packet *packet, const struct vnet *vnet, u32 caps) {
  if (!(caps & (packet->l3_proto == TYPE_IPV4 ? RX_CSUM : RX_CSUM6))) return CSUM_NONE;
  if (!vnet) return offload_validate(frame, packet);
  if (vnet->gso_type != 0) return CSUM_NONE;
  if (!(vnet->flags & VNET_F_MASK)) return offload_validate(frame, packet);
  if (packet->result >= PARSED_L3) not_in_the_bench(); // IP packets whose header speaks of checksums
  return CSUM_NONE;
}

static void coalesce_add(struct lro *lro, u8 *frame, u32 len, const struct vnet *vnet) {
  if (lro->frames >= LRO_FRAMES) not_in_the_bench();
  struct piece *piece = &lro->pieces[lro->frames++];
  struct packet *packet = &lro->packet;
  int result = headers_parse(frame, len, len, packet);
  u32 verdict = judge(frame, packet, vnet, lro->caps);
  bool is_tcp = packet->l4_proto == PROTO_TCP;
  if (result != PARSED_L4 || !is_tcp) {
    if (result < 0 || (result == PARSED_L3 && is_tcp)) not_in_the_bench(); // all flows have to end
    add_out(lro, piece, frame, len, vnet, verdict);
    return;
  }
  bool plain = verdict == CSUM_GOOD && lro->caps & RX_LRO && is_plain_segment(frame, packet);
  u32 hash = flow_hash(frame, packet);
  struct flow *flow = flow_find(lro, hash, frame, packet);
  if (flow) {
    if (plain && flow_continues(flow, frame, packet, lro->limit)) {
      if (flow_append(flow, frame, packet, piece)) flow_close(lro, flow);
      return;
    }
    flow_close(lro, flow);
  }
  struct out *out = add_out(lro, piece, frame, len, vnet, verdict);
  if (plain && !(frame[packet->l4 + 13] & TH_PUSH)) flow_open(lro, hash, frame, packet, out, piece);
}

static void coalesce_reset(struct lro *lro, u32 limit, u32 caps) {
  lro->frames = lro->n_outs = lro->next_flow = 0;
  lro->limit = min_u32(limit, LRO_MAX_LIMIT);
  lro->caps = caps;
  memset(lro->hashes, 0, sizeof lro->hashes);
}

/** Adds a packet of `len` bytes with its virtio-net header in front. */
static void receive_add(struct lro *lro, u8 *packet, u32 len) {
  if (len < VNET_LEN + ETHER_LEN) not_in_the_bench();
  struct vnet *v = &lro->vnet;
  memcpy(v, packet, VNET_LEN);
  u32 type = v->gso_type & ~VNET_GSO_ECN;
  bool known = type == 0 || type == VNET_GSO_TCPV4 || type == VNET_GSO_UDP || type == VNET_GSO_TCPV6;
  if (!known || v->flags & ~VNET_F_MASK) not_in_the_bench();
  if (v->gso_type != 0 && v->gso_size == 0) not_in_the_bench();
  if (v->flags & VNET_NEEDS_CSUM && v->csum_start + v->csum_offset + 2u > len - VNET_LEN) not_in_the_bench();
  coalesce_add(lro, packet + VNET_LEN, len - VNET_LEN, v);
}

static u32 coalesce_flush(struct lro *lro) {
  for (u32 i = 0; i < LRO_FLOWS; i++)
    if (lro->hashes[i]) flow_close(lro, &lro->flows[i]);
  struct iov *iov = lro->iov;
  for (u32 i = 0; i < lro->n_outs; i++) {
    lro->outs[i].iov = iov;
    for (struct piece *piece = lro->outs[i].first; piece; piece = piece->next)
      *iov++ = (struct iov){piece->addr, piece->len};
  }
  return lro->n_outs;
}

static u32 coalesce_batch(struct lro *lro, const struct iov *frames, u32 n, u32 limit) {
  if (n > LRO_FRAMES) not_in_the_bench();
  coalesce_reset(lro, limit, RX_ALL);
  for (u32 i = 0; i < n; i++) coalesce_add(lro, frames[i].addr, frames[i].len, NULL);
  return coalesce_flush(lro);
}
