// The interface's queues: src/ptnet/interface-{tx,rx,receive,header}.ts. What JavaScript needs a staging copy for (shared
// memory at addresses that differ modulo 8) is copied directly here.
#pragma once
#include "coalesce.h"
#include "ptnet.h"

enum { MAX_PACKET = 65536, QUEUE_LIMIT = 4096, BUDGET = 512, TX_BATCH = 64, RX_MEMORY = 4 * (MAX_PACKET + VNET_LEN) };
enum { CAP_TXCSUM = 1, CAP_TXCSUM6 = 2, CAP_TSO4 = 4, CAP_TSO6 = 8 };

/** A frame with its metadata, or a whole packet. */
struct frame {
  u8 *data;
  u32 len;
  struct vnet metadata;
};

struct queue_counters {
  u64 packets, bytes, multicasts;
};

struct tx_queue {
  struct gkring *gk;
  struct kloop *loop;
  struct queue_counters counters;
  u32 min_space, n, next, unpublished, caps;
  const struct frame *waiting[QUEUE_LIMIT];
};

struct rx_queue {
  struct gkring *gk;
  struct kloop *loop;
  struct queue_counters counters;
  struct lro lro;
  struct frame frames[BUDGET];
  LINE u8 memory[RX_MEMORY];
};

static u32 ring_space(const struct ring *ring) { return ring_distance(ring->head, ring->tail, ring->num_slots); }

static u8 *ring_buf(struct gkring *gk, u32 i, u32 nbufs) {
  u32 idx = slot_idx(&gk->ring->slot[i]);
  if (idx - 2 >= nbufs - 2) not_in_the_bench();
  return (u8 *)gk->ring + gk->ring->buf_ofs + (size_t)idx * gk->ring->nr_buf_size;
}

static bool metadata_valid(const struct vnet *m, u32 len) {
  u32 type = m->gso_type & ~VNET_GSO_ECN;
  if (m->flags & ~VNET_F_MASK || !(type == 0 || type == 1 || type == 3 || type == 4)) return false;
  if (m->gso_type != 0 && m->gso_size == 0) return false;
  return (!(m->flags & 1) || m->csum_start + m->csum_offset + 2u <= len) && m->hdr_len <= len;
}

/** All capabilities are on: this only finds that out. */
static bool capable(u32 caps, const u8 *frame, const struct vnet *m) {
  if (!(m->flags & VNET_NEEDS_CSUM) && m->gso_type == 0) return true;
  u32 type = be16(frame + 12), gso = m->gso_type & ~VNET_GSO_ECN;
  if (type == TYPE_VLAN || type == TYPE_QINQ) not_in_the_bench();
  if (!(caps & (type == TYPE_IPV6 ? CAP_TXCSUM6 : CAP_TXCSUM))) return false;
  return (gso != VNET_GSO_TCPV4 || caps & CAP_TSO4) && (gso != VNET_GSO_TCPV6 || caps & CAP_TSO6);
}

static void count_packet(struct queue_counters *counters, const u8 *data, u32 len) {
  counters->packets++;
  counters->bytes += len;
  if (data[0] & 1) counters->multicasts++;
}

static void tx_publish(struct tx_queue *q, struct thread *self) {
  ptnet_txsync(q->gk, 0, q->loop, self);
}

static bool tx_reclaim(struct tx_queue *q, struct thread *self) {
  struct ring *ring = q->gk->ring;
  ring->cur = ring->tail;
  tx_publish(q, self);
  bool enough = ring_space(ring) >= q->min_space;
  if (enough) ring->cur = ring->head;
  return enough;
}

/** Copies `data` into slots, after `used` bytes that are in the first buffer. */
static void tx_put(struct tx_queue *q, const u8 *data, u32 len, u32 used, u32 nbufs) {
  struct ring *ring = q->gk->ring;
  u32 size = ring->nr_buf_size, i = ring->head;
  for (u32 from = 0; from < len; used = 0) {
    u32 n = min_u32(size - used, len - from);
    packet_copy(ring_buf(q->gk, i, nbufs) + used, data + from, n);
    from += n;
    slot_set_len_flags(&ring->slot[i], (used + n) | (from == len ? 0 : NS_MOREFRAG << 16));
    i = ring_next(i, ring->num_slots);
  }
  ring->head = ring->cur = i;
}

static void transmit_batch(struct tx_queue *q, const struct frame *frames, u32 count, u32 nbufs, struct thread *self) {
  for (u32 i = 0; i < count; i++) {
    if (frames[i].len < ETHER_LEN || frames[i].len > MAX_PACKET) not_in_the_bench();
    if (!metadata_valid(&frames[i].metadata, frames[i].len)) not_in_the_bench();
    if (!capable(q->caps, frames[i].data, &frames[i].metadata)) not_in_the_bench();
  }
  for (u32 i = 0; i < count; i++) {
    if (q->n - q->next >= QUEUE_LIMIT) not_in_the_bench();
    q->waiting[q->n++] = &frames[i];
  }
  u32 sent = 0;
  while (q->next != q->n) {
    if (ring_space(q->gk->ring) < q->min_space && !tx_reclaim(q, self)) not_in_the_bench();
    const struct frame *frame = q->waiting[q->next++];
    memcpy(ring_buf(q->gk, q->gk->ring->head, nbufs), &frame->metadata, VNET_LEN);
    tx_put(q, frame->data, frame->len, VNET_LEN, nbufs);
    count_packet(&q->counters, frame->data, frame->len);
    if (++sent % TX_BATCH == 0) tx_publish(q, self);
  }
  if (sent % TX_BATCH != 0) tx_publish(q, self);
  q->n = q->next = 0;
}

static void push_packets(struct tx_queue *q, struct thread *self) {
  if (q->unpublished == 0) return;
  q->unpublished = 0;
  tx_publish(q, self);
}

static void offer_packet(struct tx_queue *q, const u8 *packet, u32 len, u32 nbufs, struct thread *self) {
  if (len < VNET_LEN + ETHER_LEN || len > MAX_PACKET + VNET_LEN) not_in_the_bench();
  if (ring_space(q->gk->ring) < q->min_space && !tx_reclaim(q, self)) not_in_the_bench();
  tx_put(q, packet, len, 0, nbufs);
  count_packet(&q->counters, packet + VNET_LEN, len - VNET_LEN);
  if (++q->unpublished == TX_BATCH) push_packets(q, self);
}

static void rx_sync(struct rx_queue *q, struct thread *self) {
  ptnet_rxsync(q->gk, 0, q->loop, self);
}

/** Slot after the packet at head, or -1. */
static int packet_end(const struct ring *ring) {
  for (u32 i = ring->head, tail = ring->tail; i != tail;) {
    u32 more = SLOT_FLAGS(slot_word(&ring->slot[i])) & NS_MOREFRAG;
    i = ring_next(i, ring->num_slots);
    if (!more) return (int)i;
  }
  return -1;
}

/** Copies whole packets out of the ring into the batch. */
static u32 rx_collect(struct rx_queue *q, u32 limit, u32 nbufs) {
  struct ring *ring = q->gk->ring;
  u32 n = 0;
  for (u32 used = 0; n < limit && ring->head != ring->tail; n++) {
    int end = packet_end(ring);
    if (end < 0 || used + MAX_PACKET + VNET_LEN > RX_MEMORY) break;
    u8 *to = q->memory + used;
    u32 length = 0;
    for (u32 i = ring->head; i != (u32)end; i = ring_next(i, ring->num_slots)) {
      u32 len = SLOT_LEN(slot_word(&ring->slot[i]));
      if (len > ring->nr_buf_size || length + len > MAX_PACKET + VNET_LEN) not_in_the_bench();
      packet_copy(to + length, ring_buf(q->gk, i, nbufs), len);
      length += len;
    }
    receive_add(&q->lro, to, length);
    count_packet(&q->counters, to + VNET_LEN, length - VNET_LEN);
    used += (length + 7) & ~7u;
    ring->head = ring->cur = (u32)end;
  }
  return n;
}

/** The packets of the batch: each behind its header, or with its header as metadata. All capabilities are on. */
static u32 rx_finish(struct rx_queue *q, bool whole) {
  u32 n = coalesce_flush(&q->lro);
  for (u32 i = 0; i < n; i++) {
    struct out *out = &q->lro.outs[i];
    if (out->pieces != 1) not_in_the_bench(); // to be put together
    u8 *at = out->iov->addr - VNET_LEN;
    memcpy(at, &out->vnet, VNET_LEN);
    if (whole) {
      q->frames[i] = (struct frame){.data = at, .len = VNET_LEN + out->len};
      continue;
    }
    if (be16(at + VNET_LEN + 12) == TYPE_VLAN) not_in_the_bench(); // into the metadata
    q->frames[i] = (struct frame){.data = at + VNET_LEN, .len = out->len};
    if (at[0] | at[1]) memcpy(&q->frames[i].metadata, at, VNET_LEN);
  }
  return n;
}

static void rx_receive(struct rx_queue *q, bool whole, u32 nbufs, void (*handler)(const struct frame *, u32),
                       struct thread *self) {
  for (u32 taken = 0; taken < BUDGET;) {
    rx_sync(q, self);
    coalesce_reset(&q->lro, LRO_MAX_LIMIT, RX_ALL);
    u32 n = rx_collect(q, BUDGET - taken, nbufs);
    if (n == 0) return;
    taken += n;
    rx_sync(q, self);
    handler(q->frames, rx_finish(q, whole));
  }
}
