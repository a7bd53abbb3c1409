// Frames that change rings by exchange of their buffers, and buffers that are kept in exchange for extra ones: what
// bench/suites/exchange.ts does.
#pragma once
#include "tasks.h"

enum { EXCHANGE_PROOF = 16 };

static struct kring second[4]; // another pipe in the region of the first: tx and rx of its two ends
static struct port second_ports[2];
static u32 shelf[EXTRA_BUFS];

static void exchange_make(void) {
  struct kring *atx = &second[0], *arx = &second[1], *btx = &second[2], *brx = &second[3];
  pipe_rings(atx, arx, btx, brx, &regions[0], second_ports);
  for (u32 k = 0; k < EXTRA_BUFS; k++) shelf[k] = regions[0].next_buf++;
}

static u32 set_buffer(struct slot *slot, u32 idx, u32 len) {
  u32 before = slot_idx(slot);
  *(volatile u32 *)slot = idx;
  slot_set_len_flags(slot, len | NS_BUF_CHANGED << 16);
  return before;
}

static void swap_slots(struct ring *rx, struct ring *tx, u32 limit) {
  u32 r = rx->head, t = tx->head;
  u32 n = min_u32(ring_distance(r, rx->tail, SLOTS), min_u32(ring_distance(t, tx->tail, SLOTS), limit));
  for (u32 k = 0; k < n; k++, r = ring_next(r, SLOTS), t = ring_next(t, SLOTS)) {
    u64 w = slot_word(&rx->slot[r]);
    set_buffer(&rx->slot[r], set_buffer(&tx->slot[t], SLOT_IDX(w), SLOT_LEN(w)), 0);
  }
  rx->head = rx->cur = r;
  tx->head = tx->cur = t;
}

static void send_batch(void) {
  program_fill(krings[0].ring, batch, seq, size, 0);
  seq += batch;
  sent += batch;
  ring_sync(&krings[0], self);
}

static void run_exchange(void) {
  send_batch();
  ring_sync(&krings[3], self);
  swap_slots(krings[3].ring, second[0].ring, batch);
  ring_sync(&second[0], self);
  ring_sync(&second[3], self);
  ring_sync(&krings[3], self);
  struct drained d = program_drain(second[3].ring);
  received += d.packets;
  sum += d.sum;
}

static void run_keep(void) {
  send_batch();
  ring_sync(&krings[3], self);
  struct ring *ring = krings[3].ring;
  u8 *numbers = (u8 *)ring + ring->buf_ofs + SEQ_OFS;
  u32 k = 0;
  for (u32 i = ring->head; i != ring->tail; i = ring_next(i, SLOTS), k++) {
    u64 w = slot_word(&ring->slot[i]);
    sum += SLOT_LEN(w) + *(volatile u32 *)(numbers + (size_t)SLOT_IDX(w) * STRIDE);
    shelf[k] = set_buffer(&ring->slot[i], shelf[k], SLOT_LEN(w));
  }
  received += k;
  ring->head = ring->cur = ring->tail;
}

static u32 prove_exchange(void) {
  for (int i = 0; i < EXCHANGE_PROOF; i++) run_exchange();
  return sum;
}

static u32 prove_keep(void) {
  for (int i = 0; i < EXCHANGE_PROOF; i++) run_keep();
  return sum;
}
