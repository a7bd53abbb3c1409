// Pipe port: assembly/port/pipe.ts.
#pragma once
#include "ring.h"

// A slot as one vector: checked and stored from the register that it was loaded into.
typedef u64 slot_vector __attribute__((vector_size(16), may_alias));

/** Of the first word of a slot, without the flags that may be there. */
static inline bool is_plain(u64 w, u32 limit, u32 plain) { return SLOT_IDX(w) - 2 < limit && (u32)(w >> 32) <= plain; }

#ifdef SLOT_VECTORS
typedef u32 words_vector __attribute__((vector_size(16)));

/** Whether all four are in range, by vectors as in the Wasm: their first words, two to a vector, against the largest. */
static inline bool are_plain(u64 a, u64 b, u64 c, u64 d, u32 limit, u32 plain) {
  const words_vector two = {2, 0, 2, 0}, most = {limit - 1, plain, limit - 1, plain};
  slot_vector over = (slot_vector)((((words_vector)(slot_vector){a, b} - two) > most) |
                                   (((words_vector)(slot_vector){c, d} - two) > most));
  return (over[0] | over[1]) == 0;
}
#else
static inline bool are_plain(u64 a, u64 b, u64 c, u64 d, u32 limit, u32 plain) {
  return is_plain(a, limit, plain) && is_plain(b, limit, plain) && is_plain(c, limit, plain) && is_plain(d, limit, plain);
}
#endif

/**
 * Copies the usual slots, a packet each and no flags but `allowed`, from `slot` to `end` to the slots at `to`. Returns how
 * many, and adds their bytes. Four a turn, as in the Wasm. Flags that are allowed go along, and are cleared where they came
 * from.
 */
static inline u32 copy_slots(struct slot *slot, const struct slot *end, struct slot *to, u32 limit, u32 plain, u64 *bytes,
                             u16 allowed) {
  slot_vector *s = (slot_vector *)slot, *last = (slot_vector *)end, *d = (slot_vector *)to;
  const u64 rest = ~((u64)allowed << 48);
  u64 sum = 0;
  for (; last - s >= 4; s += 4, d += 4) {
    slot_vector v0 = s[0], v1 = s[1], v2 = s[2], v3 = s[3];
    u64 w0 = v0[0] & rest, w1 = v1[0] & rest, w2 = v2[0] & rest, w3 = v3[0] & rest;
    if (!are_plain(w0, w1, w2, w3, limit, plain)) break;
    d[0] = v0;
    d[1] = v1;
    d[2] = v2;
    d[3] = v3;
    if (allowed)
      for (int i = 0; i < 4; i++) slot_set_flags((struct slot *)&s[i], 0);
    sum += (w0 >> 32) + (w1 >> 32) + (w2 >> 32) + (w3 >> 32);
  }
  for (; s != last; s++, d++) {
    slot_vector v = *s;
    u64 w = v[0] & rest;
    if (!is_plain(w, limit, plain)) break;
    *d = v;
    if (allowed) slot_set_flags((struct slot *)s, 0);
    sum += w >> 32;
  }
  *bytes += sum;
  return (u32)(s - (slot_vector *)slot);
}

static inline u32 copy_run(struct slot *slot, const struct slot *end, struct slot *to, u32 limit, u32 plain, u64 *bytes) {
  // The flag tells only which loop to try: each reads and checks for itself.
  if (slot_flags(slot) & NS_BUF_CHANGED) return copy_slots(slot, end, to, limit, plain, bytes, NS_BUF_CHANGED);
  return copy_slots(slot, end, to, limit, plain, bytes, 0);
}

/** The first slot from `slot` to `end` whose first word is not that of the one at `to`. Mostly there is none. */
static inline struct slot *skip_same(struct slot *slot, const struct slot *end, const struct slot *to) {
  for (; end - slot >= 4; slot += 4, to += 4) {
    u64 other = (slot_word(slot) ^ slot_word(to)) | (slot_word(slot + 1) ^ slot_word(to + 1));
    other |= (slot_word(slot + 2) ^ slot_word(to + 2)) | (slot_word(slot + 3) ^ slot_word(to + 3));
    if (other) break;
  }
  while (slot != end && slot_word(slot) == slot_word(to)) slot++, to++;
  return slot;
}

/** Sender: shows the peer the complete packets up to rhead. */
static void pipe_txsync(struct kring *kr, struct thread *self) {
  kr->hwtail = atomic_load(&kr->mailtail);
  u32 n = kr->nslots, head = kr->rhead, k = kr->hwcur, end = head;
  if (k == head) return;
  do {
    u32 last = ring_prev(end, n);
    if ((slot_flags(&kr->ring->slot[last]) & NS_MOREFRAG) == 0) break;
    end = last;
  } while (end != k);
  atomic_store_explicit(&kr->hwcur, head, memory_order_relaxed);
  if (end == k) return;
  atomic_store(&kr->peer->mailtail, end);
  kring_notify(kr->peer, self);
}

/** Copies `m` slots from slot `k` on of the sender's ring, and shows the application what ends with a packet's end. */
static void take_slots(struct kring *kr, struct kring *peer, u32 k, u32 m) {
  u32 n = kr->nslots, limit = kr->nbufs - 2, bufsize = kr->bufsize, plain = min_u32(bufsize, 0xffff);
  struct slot *txs = peer->ring->slot, *rxs = kr->ring->slot;
  u32 hwtail = n;
  u64 packets = 0, bytes = 0, bytes_before = 0, bad = 0, bad_before = 0;
  while (m != 0) {
    u32 run = min_u32(m, n - k);
    struct slot *tx = txs + k, *rx = rxs + k, *end = tx + run, *last_end = NULL;
    while (tx < end) {
      u32 taken = copy_run(tx, end, rx, limit, plain, &bytes);
      if (taken) {
        packets += taken;
        tx += taken;
        rx += taken;
      } else {
        u64 w = slot_word(tx);
        u32 len = SLOT_LEN(w), flags = SLOT_FLAGS(w);
        if (SLOT_IDX(w) - 2 < limit && len <= bufsize) {
          atomic_store_explicit(&rx->word, w, memory_order_relaxed);
          rx->ptr = tx->ptr;
          if (flags & NS_BUF_CHANGED) slot_set_flags(tx, flags & ~NS_BUF_CHANGED);
          bytes_before += len;
        } else {
          slot_set_len_flags(rx, (flags & NS_MOREFRAG) << 16);
          bad_before++;
        }
        tx++;
        rx++;
        if (flags & NS_MOREFRAG) continue;
        packets++;
      }
      bytes += bytes_before;
      bad += bad_before;
      bytes_before = bad_before = 0;
      last_end = tx;
    }
    m -= run;
    k = k + run == n ? 0 : k + run;
    if (last_end) {
      hwtail = (u32)(last_end - txs);
      if (hwtail == n) hwtail = 0;
    }
  }
  if (hwtail == n) return;
  kr->hwtail = hwtail;
  stat_add(kr, STAT_PACKETS, packets);
  stat_add(kr, STAT_BYTES, bytes);
  if (bad) stat_add(kr, STAT_DROP_BAD_SLOT, bad);
}

/** Copies `m` released slots from slot `k` on to the sender's ring, those that are not the same there. */
static void give_back(struct kring *kr, struct kring *peer, u32 k, u32 m) {
  u32 n = kr->nslots, limit = kr->nbufs - 2, bufsize = kr->bufsize, plain = min_u32(bufsize, 0xffff);
  struct slot *rxs = kr->ring->slot, *txs = peer->ring->slot;
  u64 bytes = 0, bad = 0;
  while (m != 0) {
    u32 run = min_u32(m, n - k);
    struct slot *rx = rxs + k, *end = rx + run;
    while (rx < end) {
      rx = skip_same(rx, end, txs + (rx - rxs));
      if (rx == end) break;
      struct slot *tx = txs + (rx - rxs);
      u32 taken = copy_run(rx, end, tx, limit, plain, &bytes);
      if (taken) {
        rx += taken;
        continue;
      }
      u64 w = slot_word(rx);
      u32 flags = SLOT_FLAGS(w);
      if (SLOT_IDX(w) - 2 < limit && SLOT_LEN(w) <= bufsize) {
        atomic_store_explicit(&tx->word, w, memory_order_relaxed);
        tx->ptr = rx->ptr;
        if (flags & NS_BUF_CHANGED) slot_set_flags(rx, flags & ~NS_BUF_CHANGED);
      } else {
        bad++;
      }
      rx++;
    }
    m -= run;
    k = k + run == n ? 0 : k + run;
  }
  if (bad) stat_add(kr, STAT_BAD_SLOT, bad);
}

/** Receiver: takes what the sender shows, and gives it back what the application has released. */
static void pipe_rxsync(struct kring *kr, struct thread *self) {
  struct kring *peer = kr->peer;
  u32 n = kr->nslots, tail = atomic_load(&kr->mailtail), hwtail = kr->hwtail;
  if (tail != hwtail) take_slots(kr, peer, hwtail, ring_distance(hwtail, tail, n));
  u32 head = kr->rhead, k = kr->hwcur;
  if (head == k) return;
  give_back(kr, peer, k, ring_distance(k, head, n));
  atomic_store_explicit(&kr->hwcur, head, memory_order_relaxed);
  atomic_store(&peer->mailtail, ring_prev(head, n));
  kring_notify(peer, self);
}
