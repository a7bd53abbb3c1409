// The application: what it sends and what it reads, by rings. The twin of bench/program.ts.
#pragma once
#include "frames.h"
#include "world.h"

static u8 *slot_buf(struct ring *ring, u32 i) {
  return (u8 *)ring + ring->buf_ofs + (size_t)slot_idx(&ring->slot[i]) * ring->nr_buf_size;
}

/** Puts a frame into every buffer of a tx ring; frames go to ports 2 … 1 + ndst in turn. */
static void frames_make(struct ring *ring, u32 len, u32 ndst) {
  for (u32 i = 0; i < ring->num_slots; i++) frame_make(slot_buf(ring, i), len, 2 + i % ndst, 1, i);
}

/** Sends `count` frames: writes slot and sequence number of each. Lengths are smaller by `seq & vary`. In runs, as ours. */
static void program_fill(struct ring *ring, u32 count, u32 seq, u32 len, u32 vary) {
  u8 *base = (u8 *)ring + ring->buf_ofs;
  u32 n = ring->num_slots, size = ring->nr_buf_size, i = ring->head;
  for (u32 left = count; left != 0;) {
    u32 run = min_u32(left, n - i);
    for (struct slot *slot = &ring->slot[i], *end = slot + run; slot != end; slot++, seq++) {
      slot_set_len_flags(slot, len - (seq & vary));
      *(volatile u32 *)(base + (size_t)slot_idx(slot) * size + SEQ_OFS) = seq;
    }
    left -= run;
    i = i + run == n ? 0 : i + run;
  }
  ring->head = ring->cur = i;
}

struct drained {
  u32 packets, sum;
};

/** Receives: reads slot and sequence number of each frame, and releases them. */
static struct drained program_drain(struct ring *ring) {
  u8 *base = (u8 *)ring + ring->buf_ofs;
  u32 n = ring->num_slots, size = ring->nr_buf_size, tail = ring->tail, i = ring->head;
  struct drained d = {ring_distance(i, tail, n), 0};
  while (i != tail) {
    u32 next = i < tail ? tail : n;
    for (struct slot *slot = &ring->slot[i], *end = &ring->slot[next]; slot != end; slot++) {
      u64 w = slot_word(slot);
      d.sum += SLOT_LEN(w) + *(volatile u32 *)(base + (size_t)SLOT_IDX(w) * size + SEQ_OFS);
    }
    i = next == n ? 0 : next;
  }
  ring->head = ring->cur = tail;
  return d;
}

/** The same of programs that write and read slots only: the number is in `ptr`. The twins of bench/threads/slots.ts. */
static void slots_fill(struct ring *ring, u32 count, u32 seq, u32 len, u32 vary) {
  u32 n = ring->num_slots, i = ring->head;
  for (u32 left = count; left != 0;) {
    u32 run = min_u32(left, n - i);
    for (struct slot *slot = &ring->slot[i], *end = slot + run; slot != end; slot++, seq++) {
      slot_set_len_flags(slot, len - (seq & vary));
      *(volatile u32 *)&slot->ptr = seq;
    }
    left -= run;
    i = i + run == n ? 0 : i + run;
  }
  ring->head = ring->cur = i;
}

static struct drained slots_drain(struct ring *ring) {
  u32 n = ring->num_slots, tail = ring->tail, i = ring->head;
  struct drained d = {ring_distance(i, tail, n), 0};
  while (i != tail) {
    u32 next = i < tail ? tail : n;
    for (struct slot *slot = &ring->slot[i], *end = &ring->slot[next]; slot != end; slot++)
      d.sum += SLOT_LEN(slot_word(slot)) + *(volatile u32 *)&slot->ptr;
    i = next == n ? 0 : next;
  }
  ring->head = ring->cur = tail;
  return d;
}

static u32 digest_slots(struct ring *ring, u32 hash) {
  for (u32 i = ring->head; i != ring->tail; i = i + 1 == ring->num_slots ? 0 : i + 1) {
    hash = (hash ^ SLOT_LEN(slot_word(&ring->slot[i]))) * FNV_PRIME;
    hash = (hash ^ (u32)ring->slot[i].ptr) * FNV_PRIME;
  }
  ring->head = ring->cur = ring->tail;
  return hash;
}

/** FNV-1a over every frame received, which is then released. */
static u32 digest_ring(struct ring *ring, u32 hash) {
  for (u32 i = ring->head; i != ring->tail; i = i + 1 == ring->num_slots ? 0 : i + 1)
    hash = digest_frame(slot_buf(ring, i), SLOT_LEN(slot_word(&ring->slot[i])), hash);
  ring->head = ring->cur = ring->tail;
  return hash;
}
