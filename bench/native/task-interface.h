// The tasks of the suite interface.
#pragma once
#include "interface.h"
#include "tasks.h"

// Interfaces: a stack that sends frames, or whole packets, and one that reads them. While it proves, it keeps a digest.
static struct frame *tx_frames, *tx_packets;
static struct tx_queue tx_queue;
static struct rx_queue rx_queue;
static u32 digest;
static bool proving;

static void take_frames(const struct frame *got, u32 n) {
  for (u32 i = 0; i < n; i++) sum += got[i].len + got[i].data[got[i].len - 1];
  received += n;
  for (u32 i = 0; proving && i < n; i++) {
    const struct vnet *v = &got[i].metadata;
    u32 words[] = {digest, v->flags, v->gso_type, v->hdr_len, v->gso_size, v->csum_start, v->csum_offset};
    digest = FNV_BASIS;
    for (u32 k = 0; k < 7; k++) digest = digest_word(words[k], digest);
    digest = digest_frame(got[i].data, got[i].len, digest);
  }
}

static void take_packets(const struct frame *got, u32 n) {
  for (u32 i = 0; i < n; i++) sum += got[i].len + got[i].data[got[i].len - 1];
  received += n;
  for (u32 i = 0; proving && i < n; i++) digest = digest_frame(got[i].data, got[i].len, digest);
}

/** Stamps the next batch; what was sent is taken off the sum again by the receiver. */
static void stamp(struct frame *list) {
  for (u32 i = 0; i < batch; i++, sent++) sum -= list[i].len + (list[i].data[list[i].len - 1] = sent);
}

static void run_transmit(void) {
  stamp(tx_frames);
  transmit_batch(&tx_queue, tx_frames, batch, BUFS, self);
  rx_receive(&rx_queue, false, BUFS, take_frames, self);
}

static void run_offer(void) {
  stamp(tx_packets);
  for (u32 i = 0; i < batch; i++) offer_packet(&tx_queue, tx_packets[i].data, tx_packets[i].len, BUFS, self);
  push_packets(&tx_queue, self);
  rx_receive(&rx_queue, true, BUFS, take_packets, self);
}

static struct vnet metadata_of(u32 len) {
  if (len < ETHER_LEN + IPV4_LEN + TCP_MIN) return (struct vnet){0};
  struct vnet v = {.flags = VNET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
  if (len <= FULL_FRAME) return v;
  v.gso_type = VNET_GSO_TCPV4;
  v.hdr_len = headers_of(4);
  v.gso_size = FULL_FRAME - headers_of(4);
  return v;
}

static u32 prove_interface(void (*run)(void)) {
  u32 stride = (VNET_LEN + size + 63) & ~63u;
  u8 *memory = pages((size_t)2 * batch * stride);
  tx_frames = pages(batch * sizeof *tx_frames);
  tx_packets = pages(batch * sizeof *tx_packets);
  for (u32 i = 0; i < batch; i++) {
    tx_frames[i] = (struct frame){memory + (size_t)i * stride, size, metadata_of(size)};
    if (size > FULL_FRAME) tcp_packet(tx_frames[i].data, 4, 0, i, size, TH_ACK);
    else frame_make(tx_frames[i].data, size, 2, 1, i);
    tx_packets[i] = (struct frame){.data = memory + (size_t)(batch + i) * stride, .len = VNET_LEN + size};
    memcpy(tx_packets[i].data, &tx_frames[i].metadata, VNET_LEN);
    memcpy(tx_packets[i].data + VNET_LEN, tx_frames[i].data, size);
  }
  for (int i = 0; i < 2; i++) ports[i].hdrlen = VNET_LEN;
  tx_queue = (struct tx_queue){.gk = &gkrings[0][0], .loop = &loops[0]};
  tx_queue.caps = CAP_TXCSUM | CAP_TXCSUM6 | CAP_TSO4 | CAP_TSO6;
  tx_queue.min_space = (MAX_PACKET + STRIDE - 1) / STRIDE + 2;
  rx_queue.gk = &gkrings[1][1];
  rx_queue.loop = &loops[1];
  proving = true;
  for (u32 k = 0; k < 4; k++) run();
  proving = false;
  return digest;
}

static u32 prove_transmit(void) { return prove_interface(run_transmit); }
static u32 prove_offer(void) { return prove_interface(run_offer); }
