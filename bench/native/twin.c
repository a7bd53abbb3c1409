// The native twin of ptnet's data path: one case a run, timed by itself. One translation unit, as asc compiles all of
// assembly/ into one module.
//
//   twin TASK SIZE BATCH WARMUP_MS TIME_MS     prints {"ns": per item, "digest": of what was delivered, "sum": …}
#include <stdio.h>
#include <time.h>

#include "coalesce.h"
#include "interface.h"
#include "program.h"
#include "segment.h"

static u32 batch, size, sum, seq;
static u64 sent, received;
static int receivers = 1; // VALE: ports that frames go to

static void app_advance(struct ring *ring, u32 count) {
  ring->head = ring->cur = ring_advance(ring->head, count, ring->num_slots);
}

static struct kring *rx_krings[PORTS]; // of the receivers, which are the ports after the first

static void host_sync(void) {
  ring_sync(&krings[0], self);
  for (int i = 0; i < receivers; i++) ring_sync(rx_krings[i], self);
}

static void guest_sync(void) {
  if (ptnet_txsync(&gkrings[0][0], NAF_FORCE_RECLAIM)) kick(&loops[0], 0, self);
  if (ptnet_rxsync(&gkrings[1][1], NAF_FORCE_READ)) kick(&loops[1], 1, self);
}

static void (*do_sync)(void) = host_sync;

/** The engine alone: the application only moves head and cur. */
static void run_transfer(void) {
  app_advance(krings[0].ring, batch);
  sent += batch;
  do_sync();
  for (int i = 0; i < receivers; i++) {
    struct ring *ring = rx_krings[i]->ring;
    received += ring_distance(ring->head, ring->tail, SLOTS);
    ring->head = ring->cur = ring->tail;
  }
}

/** With an application that writes and reads every slot and frame. */
static void run_program(void) {
  program_fill(krings[0].ring, batch, seq, size, 0);
  seq += batch;
  sent += batch;
  do_sync();
  for (int i = 0; i < receivers; i++) {
    struct drained d = program_drain(rx_krings[i]->ring);
    received += d.packets;
    sum += d.sum;
  }
}

enum { PROOF_SLOTS = 4096 };

/** Frames of varying length, then of the case's length, so that every slot is as the timed part wants it. */
static u32 prove_delivery(void) {
  u32 hash = FNV_BASIS;
  for (; seq < PROOF_SLOTS; seq += batch) {
    program_fill(krings[0].ring, batch, seq, size, seq < PROOF_SLOTS / 2 ? 7 : 0);
    do_sync();
    for (int i = 0; i < receivers; i++) hash = digest_ring(rx_krings[i]->ring, hash);
  }
  return hash;
}

static void run_fill(void) {
  struct ring *ring = krings[0].ring;
  u32 n = ring->num_slots, i = ring->head, word = size;
  for (u32 k = 0; k < batch; k++) {
    slot_set_len_flags(&ring->slot[i], word);
    i = i + 1 == n ? 0 : i + 1;
  }
  ring->head = ring->cur = i;
}

static u32 prove_fill(void) {
  u32 hash = FNV_BASIS;
  for (u32 k = 0; k < SLOTS / batch; k++) run_fill();
  for (u32 i = 0; i < SLOTS; i++) hash = (hash ^ (u32)(slot_word(&krings[0].ring->slot[i]) >> 32)) * FNV_PRIME;
  return hash;
}

static void run_read(void) {
  struct ring *ring = krings[0].ring;
  u32 n = ring->num_slots, i = ring->head, s = 0;
  for (u32 k = 0; k < batch; k++) {
    u64 w = slot_word(&ring->slot[i]);
    s += SLOT_IDX(w) + SLOT_LEN(w);
    i = i + 1 == n ? 0 : i + 1;
  }
  ring->head = ring->cur = i;
  sum += s;
}

static u32 prove_read(void) {
  prove_fill();
  sum = 0;
  for (u32 k = 0; k < SLOTS / batch; k++) run_read();
  return sum;
}

static void run_sync(void) {
  for (u32 k = 0; k < batch; k++) sum += ring_sync(&krings[0], self);
}

static u32 prove_sync(void) {
  run_sync();
  return sum + krings[0].ring->tail;
}

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

static u32 digest_word(u32 word, u32 hash) { return (hash ^ word) * FNV_PRIME; }

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

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e9 * t.tv_sec + t.tv_nsec;
}

/** The fastest of the slices of about a millisecond: the same statistic as in bench/harness.ts. */
static double measure(void (*run)(void), double warmup_ms, double time_ms) {
  u64 runs = 0;
  double start = now_ns(), best = 1e18;
  for (; now_ns() - start < 1e6 * warmup_ms; runs++) run();
  u64 per_slice = runs / warmup_ms;
  if (per_slice == 0) per_slice = 1;
  for (double end = now_ns() + 1e6 * time_ms; now_ns() < end;) {
    double t = now_ns();
    for (u64 i = 0; i < per_slice; i++) run();
    t = (now_ns() - t) / per_slice / batch;
    if (t < best) best = t;
  }
  return best;
}

struct task {
  const char *name;
  int ports; // of a switch; 0: a pipe
  bool guests;
  void (*run)(void);
  u32 (*prove)(void);
};

static const struct task tasks[] = {
    {"ring-fill", 0, false, run_fill, prove_fill},
    {"ring-read", 0, false, run_read, prove_read},
    {"ring-sync", 0, false, run_sync, prove_sync},
    {"pipe-transfer", 0, false, run_transfer, prove_delivery},
    {"pipe-program", 0, false, run_program, prove_delivery},
    {"vale-forward", 2, false, run_transfer, prove_delivery},
    {"vale-spread", 3, false, run_transfer, prove_delivery},
    {"checksum", 2, false, run_checksum, prove_checksum},
    {"copy", 2, false, run_copy, prove_copy},
    {"copy-and-checksum", 2, false, run_copy_checksum, prove_copy_checksum},
    {"segment-v4", 0, false, run_segment, prove_segment_v4},
    {"segment-v6", 0, false, run_segment, prove_segment_v6},
    {"coalesce-1", 0, false, run_coalesce, prove_coalesce_1},
    {"coalesce-8", 0, false, run_coalesce, prove_coalesce_8},
    {"interface-transmit", 2, true, run_transmit, prove_transmit},
    {"interface-offer", 2, true, run_offer, prove_offer},
    {"path-pipe", 0, true, run_program, prove_delivery},
    {"path-vale", 2, true, run_program, prove_delivery},
};

static void task_open(const struct task *task) {
  thread_make();
  if (task->ports == 0) {
    pipe_make();
  } else {
    receivers = task->ports - 1;
    vale_make(task->ports);
    for (int i = 0; i < task->ports; i++) learn(&bridge, &ports[i], 2 | (u64)(i + 1) << 40, self);
  }
  if (task->guests) {
    guests_make();
    do_sync = guest_sync;
  }
  for (int i = 0; i < receivers; i++) rx_krings[i] = &krings[2 * (i + 1) + 1];
  if (size <= STRIDE) frames_make(krings[0].ring, size, receivers);
}

int main(int argc, char **argv) {
  if (argc != 6) return 2;
  size = atoi(argv[2]);
  batch = atoi(argv[3]);
  for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
    const struct task *task = &tasks[i];
    if (strcmp(task->name, argv[1]) != 0) continue;
    task_open(task);
    u32 digest = task->prove();
    sum = seq = 0;
    double ns = measure(task->run, atof(argv[4]), atof(argv[5]));
    if (sent != received) return 3;
    if ((task->run == run_transmit || task->run == run_offer) && sum != 0) return 4;
    if (task->run == run_program && sum != (u32)(sent * (sent - 1) / 2 + sent * size)) return 4;
    printf("{\"ns\":%.4f,\"digest\":%u,\"sum\":%u}\n", ns, digest, sum);
    return 0;
  }
  return 2;
}
