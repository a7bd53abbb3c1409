// A cable between two pipes, each in an allocation of its own: src/cable, one direction.
#pragma once
#include "world.h"

static struct kring far_krings[4]; // the second pipe: tx and rx of its two ends
static struct port far_ports[2];

static void cable_make(void) {
  static struct region far;
  pipe_make();
  far = region_make();
  pipe_rings(&far_krings[0], &far_krings[1], &far_krings[2], &far_krings[3], &far, far_ports);
}

/** Copies the frames of an rx ring to a tx ring, each index and length read once and checked. */
static void cable_move(struct kring *from, struct kring *to) {
  struct ring *src = from->ring, *dst = to->ring;
  u32 n = from->nslots, m = to->nslots, r = src->head, t = dst->head, end = src->tail, room = dst->tail;
  if (r >= n || end >= n || t >= m || room >= m) return;
  u32 most = min_u32(from->bufsize, to->bufsize);
  for (; r != end && t != room; r = ring_next(r, n), t = ring_next(t, m)) {
    u64 w = slot_word(&src->slot[r]);
    u32 idx = slot_idx(&dst->slot[t]), len = SLOT_LEN(w);
    if (SLOT_IDX(w) - 2 >= from->nbufs - 2 || idx - 2 >= to->nbufs - 2) not_in_the_bench();
    if (len - 1 >= most || SLOT_FLAGS(w) & (NS_MOREFRAG | NS_INDIRECT)) not_in_the_bench();
    memcpy(to->bufbase + (size_t)idx * to->bufsize, from->bufbase + (size_t)SLOT_IDX(w) * from->bufsize, len);
    slot_set_len_flags(&dst->slot[t], len);
  }
  src->cur = src->head = r;
  dst->cur = dst->head = t;
}

static void cable_sync(void) {
  ring_sync(&krings[0], self);
  ring_sync(&krings[3], self);
  cable_move(&krings[3], &far_krings[0]);
  ring_sync(&far_krings[0], self);
  ring_sync(&far_krings[3], self);
}
