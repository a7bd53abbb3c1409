// The trust boundary: assembly/ring, assembly/stats, and the frame copy of assembly/packet/copy.ts.
#pragma once
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "layout.h"

static inline u32 ring_next(u32 i, u32 n) { return i + 1 == n ? 0 : i + 1; }
static inline u32 ring_prev(u32 i, u32 n) { return (i == 0 ? n : i) - 1; }
static inline u32 ring_distance(u32 from, u32 to, u32 n) { return to >= from ? to - from : to - from + n; }
static inline u32 ring_advance(u32 i, u32 k, u32 n) { return i + k >= n ? i + k - n : i + k; }
static inline u32 min_u32(u32 a, u32 b) { return a < b ? a : b; }

static inline void stat_add(struct kring *kr, int stat, u64 n) {
  u64 v = atomic_load_explicit(&kr->stats[stat], memory_order_relaxed);
  atomic_store_explicit(&kr->stats[stat], v + n, memory_order_relaxed);
}
static inline void stat_add_shared(struct kring *kr, int stat, u64 n) { atomic_fetch_add(&kr->stats[stat], n); }

/** A path that no workload of the benches takes: its test stands where ours does, its body is left out. */
COLD static void not_in_the_bench(void) { abort(); }

COLD static void futex_wake(struct thread *t) {
  syscall(SYS_futex, &t->seq, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void thread_wake(struct thread *t) {
  atomic_fetch_add(&t->seq, 1);
  if (atomic_load(&t->sleepers) == 0) return;
  atomic_store(&t->sleepers, 0);
  atomic_fetch_add(&t->seq, 1);
  futex_wake(t);
}

static void kring_notify(struct kring *kr, struct thread *self) {
  struct kloop *loop = atomic_load(&kr->loop);
  u64 waiters = atomic_load(&kr->watchers);
  if (loop) {
    if ((atomic_load(&loop->event) & kr->event) == 0) {
      atomic_fetch_or(&loop->event, kr->event);
      waiters |= atomic_load(&kr->waiters);
    }
    if (loop->thread == self) self->due = true;
  } else {
    waiters |= atomic_load(&kr->waiters);
  }
  while (waiters != 0) {
    thread_wake(&self->threads[__builtin_ctzll(waiters)]);
    waiters &= waiters - 1;
  }
}

static void kring_release(struct kring *kr) {
  kr->syncs++;
  atomic_store(&kr->busy, 0);
}

static int kring_acquire(struct kring *kr, u32 tid) {
  u32 free_ = 0;
  if (!atomic_compare_exchange_strong(&kr->busy, &free_, tid)) return -EBUSY_;
  u32 stop = atomic_load(&kr->stop);
  if (stop == RUN) return 0;
  kring_release(kr);
  return stop == LOCKED ? -EBUSY_ : -EIO_;
}

static bool indices_valid(u32 head, u32 cur, u32 lo, u32 hi, u32 n) {
  if (head >= n || cur >= n) return false;
  u32 space = ring_distance(lo, hi, n), to_cur = ring_distance(lo, cur, n);
  return to_cur <= space && ring_distance(lo, head, n) <= to_cur;
}

static bool tx_prologue(struct kring *kr, u32 head, u32 cur) {
  if (!indices_valid(head, cur, kr->rhead, kr->rtail, kr->nslots)) return false;
  kr->rhead = head;
  kr->rcur = cur;
  return true;
}

static bool rx_prologue(struct kring *kr, u32 head, u32 cur) {
  if (!indices_valid(head, cur, kr->hwcur, kr->hwtail, kr->nslots)) return false;
  kr->rhead = head;
  kr->rcur = cur;
  return true;
}

static void kring_finalize(struct kring *kr) {
  kr->rtail = kr->hwtail;
  kr->ring->tail = kr->hwtail;
}

// Exactly `len` bytes, the last 64 (32, 16 …) overlapping what was copied before them. The fixed sizes let the compiler
// choose the widest moves that the machine has.
static inline void copy_fixed(u8 *dst, const u8 *src, u32 len, u32 size) {
  u8 head[64], tail[64];
  memcpy(head, src, size);
  memcpy(tail, src + len - size, size);
  memcpy(dst, head, size);
  memcpy(dst + len - size, tail, size);
}

static void copy_short(u8 *dst, const u8 *src, u32 len) {
  if (len >= 16) copy_fixed(dst, src, len, 16);
  else if (len >= 8) copy_fixed(dst, src, len, 8);
  else if (len >= 4) copy_fixed(dst, src, len, 4);
  else
    for (u32 i = 0; i < len; i++) dst[i] = src[i];
}

static inline void packet_copy(u8 *restrict dst, const u8 *restrict src, u32 len) {
  if (len > 64) {
    const u8 *last = src + len - 64;
    u8 *last_dst = dst + len - 64;
    while (src < last) {
      memcpy(dst, src, 64);
      src += 64;
      dst += 64;
    }
    memcpy(last_dst, last, 64);
  } else if (len >= 32) {
    copy_fixed(dst, src, len, 32);
  } else {
    copy_short(dst, src, len);
  }
}
