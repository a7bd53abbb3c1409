// The tasks of the suites checksum, segment and coalesce.
#pragma once
#include "coalesce.h"
#include "segment.h"
#include "tasks.h"

// Checksums and copies: from the sender's buffers to those of the receiver, around the ring.
static u32 frame_at;

static u8 *sender_buf(u32 i) { return regions[0].bufs + (size_t)(2 + SLOTS + i) * STRIDE; }
static u8 *receiver_buf(u32 i) { return regions[1].bufs + (size_t)(2 + i) * STRIDE; }

static void run_checksum(void) {
  for (u32 k = 0; k < batch; k++) sum += packet_checksum(sender_buf(frame_at + k), size);
  frame_at = (frame_at + batch) % SLOTS;
}

static void run_copy(void) {
  for (u32 k = 0; k < batch; k++) packet_copy(receiver_buf(frame_at + k), sender_buf(frame_at + k), size);
  frame_at = (frame_at + batch) % SLOTS;
}

static void run_copy_checksum(void) {
  for (u32 k = 0; k < batch; k++)
    sum += checksum_fold(checksum_copy(receiver_buf(frame_at + k), sender_buf(frame_at + k), size, 0));
  frame_at = (frame_at + batch) % SLOTS;
}

static u32 prove_frames(void (*run)(void)) {
  sum = 0;
  for (u32 k = 0; k < SLOTS / batch; k++) run();
  u32 hash = sum;
  for (u32 i = 0; i < SLOTS; i++) hash = digest_frame(receiver_buf(i), size, hash);
  return hash;
}

static u32 prove_checksum(void) { return prove_frames(run_checksum); }
static u32 prove_copy(void) { return prove_frames(run_copy); }
static u32 prove_copy_checksum(void) { return prove_frames(run_copy_checksum); }

// The packet lies in the first buffers behind a virtio-net header, its segments in buffers 64 …
enum { SEGMENTS_AT = 64 };
static struct iov pieces[64];
static u32 n_pieces;
static struct vnet gso;
static struct segmenter segmenter;

static void run_segment(void) {
  segment_prepare(pieces, n_pieces, &gso, FULL_FRAME, &segmenter);
  u32 n = 0;
  while (segment_next(&segmenter, sender_buf(SEGMENTS_AT + n), STRIDE) > 0) n++;
  sent += batch;
  received += n;
}

static u32 prove_segment(int version) {
  static u8 packet[0x10000];
  tcp_packet(packet, version, 0, 0, size, TH_ACK | TH_PUSH);
  for (u32 from = 0, used = sizeof gso; from < size; used = 0) {
    u32 n = min_u32(STRIDE - used, size - from);
    pieces[n_pieces] = (struct iov){sender_buf(n_pieces) + used, n};
    memcpy(pieces[n_pieces++].addr, packet + from, n);
    from += n;
  }
  gso = (struct vnet){.gso_type = version == 4 ? GSO_TCPV4 : GSO_TCPV6, .gso_size = FULL_FRAME - headers_of(version)};
  run_segment();
  u32 hash = FNV_BASIS;
  for (u32 i = 0; i < batch; i++) {
    u8 *frame = sender_buf(SEGMENTS_AT + i);
    u32 len = version == 4 ? ETHER_LEN + be16(frame + 16) : ETHER_LEN + IPV6_LEN + be16(frame + 18);
    hash = digest_frame(frame, len, hash);
  }
  return hash;
}

static u32 prove_segment_v4(void) { return prove_segment(4); }
static u32 prove_segment_v6(void) { return prove_segment(6); }

// Frames of flows that take turns; the headers that came are put back before each run.
static u32 n_flows;
static struct iov frames[LRO_FRAMES];
static u8 headers[8][128];
static struct lro lro;

static void run_coalesce(void) {
  for (u32 i = 0; i < n_flows; i++) packet_copy(frames[i].addr, headers[i], headers_of(4));
  sent += n_flows;
  received += coalesce_batch(&lro, frames, batch, LRO_MAX_LIMIT);
}

static u32 prove_coalesce(u32 flows) {
  n_flows = flows;
  for (u32 i = 0; i < batch; i++) {
    frames[i] = (struct iov){sender_buf(i), FULL_FRAME};
    memset(frames[i].addr, 0, FULL_FRAME);
    tcp_packet(frames[i].addr, 4, i % flows, i / flows, FULL_FRAME, TH_ACK | (i / flows == batch / flows - 1 ? TH_PUSH : 0));
    if (i < flows) memcpy(headers[i], frames[i].addr, headers_of(4));
  }
  run_coalesce();
  u32 hash = FNV_BASIS;
  for (u32 i = 0; i < lro.n_outs; i++) {
    struct out *out = &lro.outs[i];
    struct vnet *v = &out->vnet;
    u32 words[] = {out->len,   out->pieces, v->flags,      v->gso_type,
                   v->hdr_len, v->gso_size, v->csum_start, v->csum_offset};
    for (u32 k = 0; k < 8; k++) hash = digest_word(words[k], hash);
    for (u32 k = 0; k < out->pieces; k++) hash = digest_bytes(out->iov[k].addr, out->iov[k].len, hash);
  }
  return hash;
}

static u32 prove_coalesce_1(void) { return prove_coalesce(1); }
static u32 prove_coalesce_8(void) { return prove_coalesce(8); }
