// Pipe port: assembly/port/pipe.ts.
#pragma once
#include "ring.h"

// A slot as one vector: checked and stored from the register that it was loaded into.
typedef u64 slot_vector __attribute__((vector_size(16), may_alias));

static inline bool is_plain(slot_vector v, u32 limit, u32 plain) {
  return SLOT_IDX(v[0]) - 2 < limit && (u32)(v[0] >> 32) <= plain;
}

/**
 * Copies the usual slots, a packet each and no flags, from `slot` to `end` to the slots at `to`. Returns how many, and
 * adds their bytes. Four a turn, as in the Wasm.
 */
static inline u32 copy_plain(const struct slot *slot, const struct slot *end, struct slot *to, u32 limit, u32 plain,
                             u64 *bytes) {
  const slot_vector *s = (const slot_vector *)slot, *last = (const slot_vector *)end;
  slot_vector *d = (slot_vector *)to;
  u64 sum = 0;
  for (; last - s >= 4; s += 4, d += 4) {
    slot_vector v0 = s[0], v1 = s[1], v2 = s[2], v3 = s[3];
    if (!is_plain(v0, limit, plain) || !is_plain(v1, limit, plain)) break;
    if (!is_plain(v2, limit, plain) || !is_plain(v3, limit, plain)) break;
    d[0] = v0;
    d[1] = v1;
    d[2] = v2;
    d[3] = v3;
    sum += (v0[0] >> 32) + (v1[0] >> 32) + (v2[0] >> 32) + (v3[0] >> 32);
  }
  for (; s != last; s++, d++) {
    slot_vector v = *s;
    if (!is_plain(v, limit, plain)) break;
    *d = v;
    sum += v[0] >> 32;
  }
  *bytes += sum;
  return (u32)(s - (const slot_vector *)slot);
}

/** The same for slots that may also have NS_BUF_CHANGED: the flag goes along, and is cleared where it came from. */
static inline u32 copy_changed(struct slot *slot, const struct slot *end, struct slot *to, u32 limit, u32 plain,
                               u64 *bytes) {
  slot_vector *s = (slot_vector *)slot, *last = (slot_vector *)end, *d = (slot_vector *)to;
  const slot_vector rest = {~((u64)NS_BUF_CHANGED << 48), ~0ull};
  u64 sum = 0;
  for (; last - s >= 4; s += 4, d += 4) {
    slot_vector v0 = s[0], v1 = s[1], v2 = s[2], v3 = s[3];
    slot_vector p0 = v0 & rest, p1 = v1 & rest, p2 = v2 & rest, p3 = v3 & rest;
    if (!is_plain(p0, limit, plain) || !is_plain(p1, limit, plain)) break;
    if (!is_plain(p2, limit, plain) || !is_plain(p3, limit, plain)) break;
    d[0] = v0;
    d[1] = v1;
    d[2] = v2;
    d[3] = v3;
    for (int i = 0; i < 4; i++) slot_set_flags((struct slot *)&s[i], 0);
    sum += (p0[0] >> 32) + (p1[0] >> 32) + (p2[0] >> 32) + (p3[0] >> 32);
  }
  for (; s != last; s++, d++) {
    slot_vector v = *s, p = v & rest;
    if (!is_plain(p, limit, plain)) break;
    *d = v;
    slot_set_flags((struct slot *)s, 0);
    sum += p[0] >> 32;
  }
  *bytes += sum;
  return (u32)(s - (slot_vector *)slot);
}

static inline u32 copy_run(struct slot *slot, const struct slot *end, struct slot *to, u32 limit, u32 plain, u64 *bytes) {
  if (SLOT_FLAGS(slot_word(slot)) & NS_BUF_CHANGED) return copy_changed(slot, end, to, limit, plain, bytes);
  return copy_plain(slot, end, to, limit, plain, bytes);
}

static void pipe_txsync(struct kring *kr, struct thread *self) {
  kr->hwtail = atomic_load(&kr->mailtail);
  u32 n = kr->nslots, head = kr->rhead, k = kr->hwcur;
  u32 m = ring_distance(k, head, n);
  if (m == 0) return;
  struct kring *peer = kr->peer;
  u32 limit = kr->nbufs - 2, bufsize = kr->bufsize, plain = min_u32(bufsize, 0xffff);
  struct slot *txs = kr->ring->slot, *rxs = peer->ring->slot;
  u32 published = n;
  u64 packets = 0, bytes = 0, bad = 0;
  while (m != 0) {
    u32 run = min_u32(m, n - k);
    struct slot *tx = txs + k, *rx = rxs + k, *end = tx + run, *last_end = NULL;
    while (tx < end) {
      u32 taken = copy_run(tx, end, rx, limit, plain, &bytes);
      if (taken) {
        packets += taken;
        tx += taken;
        rx += taken;
        last_end = tx;
        continue;
      }
      u64 w = slot_word(tx);
      u32 len = SLOT_LEN(w), flags = SLOT_FLAGS(w);
      if (SLOT_IDX(w) - 2 < limit && len <= bufsize) {
        atomic_store_explicit(&rx->word, w, memory_order_relaxed);
        rx->ptr = tx->ptr;
        if (flags & NS_BUF_CHANGED) slot_set_flags(tx, flags & ~NS_BUF_CHANGED);
        bytes += len;
      } else {
        slot_set_len_flags(rx, (flags & NS_MOREFRAG) << 16);
        bad++;
      }
      tx++;
      rx++;
      bool last = (flags & NS_MOREFRAG) == 0;
      packets += last;
      last_end = last ? tx : last_end;
    }
    m -= run;
    k = k + run == n ? 0 : k + run;
    if (last_end) {
      published = (u32)(last_end - txs);
      if (published == n) published = 0;
    }
  }
  atomic_store_explicit(&kr->hwcur, head, memory_order_relaxed);
  stat_add(kr, STAT_PACKETS, packets);
  stat_add(kr, STAT_BYTES, bytes);
  if (bad) stat_add(kr, STAT_BAD_SLOT, bad);
  if (published != n) {
    atomic_store(&peer->mailtail, published);
    kring_notify(peer, self);
  }
}

static void pipe_rxsync(struct kring *kr, struct thread *self) {
  kr->hwtail = atomic_load(&kr->mailtail);
  u32 n = kr->nslots, head = kr->rhead, k = kr->hwcur;
  u32 m = ring_distance(k, head, n);
  if (m == 0) return;
  struct kring *peer = kr->peer;
  u32 limit = kr->nbufs - 2, bufsize = kr->bufsize, plain = min_u32(bufsize, 0xffff);
  struct slot *rxs = kr->ring->slot, *txs = peer->ring->slot;
  u64 bytes = 0, bad = 0;
  while (m != 0) {
    u32 run = min_u32(m, n - k);
    struct slot *rx = rxs + k, *tx = txs + k, *end = rx + run;
    while (rx < end) {
      u32 taken = copy_run(rx, end, tx, limit, plain, &bytes);
      if (taken) {
        rx += taken;
        tx += taken;
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
      tx++;
    }
    m -= run;
    k = k + run == n ? 0 : k + run;
  }
  atomic_store_explicit(&kr->hwcur, head, memory_order_relaxed);
  if (bad) stat_add(kr, STAT_BAD_SLOT, bad);
  atomic_store(&peer->mailtail, ring_prev(head, n));
  kring_notify(peer, self);
}
