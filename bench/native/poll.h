// Sleeping and poll(2): src/threads/thread.ts, src/ring/poll.ts and spins.ts, and the loop of src/kloop/loop-worker.ts.
#pragma once
#include <time.h>

#include "kloop.h"

enum { SPIN_US = 20, SPIN_CHECK = 32, MOST_SKIPPED = 255, SPIN_PASSES = 400, SAFETY_MS = 3000 };

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e9 * t.tv_sec + t.tv_nsec;
}

/** Blocks until an event after `seen`, or for a time. */
static void thread_sleep(struct thread *t, u32 seen, double ms) {
  struct timespec timeout = {.tv_sec = (time_t)(ms / 1e3), .tv_nsec = (long)(ms * 1e6) % 1000000000};
  atomic_store(&t->sleepers, 1);
  syscall(SYS_futex, &t->seq, FUTEX_WAIT_PRIVATE, seen, &timeout, NULL, 0);
}

/** What poll(2) is asked for: whether it is there. Looking syncs. */
typedef bool (*looker)(void);

static bool spin(looker look, struct thread *self) {
  double until = 0;
  for (u32 i = 0;; i++) {
    if (look()) return true;
    if (i % SPIN_CHECK != 0) continue;
    double now = now_ns();
    if (until == 0) until = now + 1e3 * SPIN_US;
    else if (now >= until) return false;
    thread_service(self);
  }
}

static _Thread_local u32 to_skip, skipped;

/** As in ours: a spin in vain makes the next waits sleep at once. */
static bool skip_spin(void) {
  if (skipped >= to_skip) return false;
  skipped++;
  return true;
}

static void spin_ended(bool found) {
  to_skip = found ? 0 : min_u32(2 * to_skip + 1, MOST_SKIPPED);
  skipped = 0;
}

static bool spin_or_skip(looker look, struct thread *self) {
  if (skip_spin()) return look();
  if (look()) return true;
  bool found = spin(look, self);
  spin_ended(found);
  return found;
}

static bool poll_sync(looker look, double timeout_ms, struct thread *self) {
  if (spin_or_skip(look, self)) return true;
  double until = now_ns() + 1e6 * timeout_ms;
  for (;;) {
    u32 seen = atomic_load(&self->seq);
    thread_service(self);
    double left = until - now_ns();
    bool ready = look();
    if (ready || left <= 0) return ready;
    thread_sleep(self, seen, left / 1e6);
  }
}

static _Atomic bool loops_end;

/** The thread that runs the kernel loops in notify mode. */
static void *run_loops(void *unused) {
  u32 idle = 0, limit = 0;
  while (!atomic_load(&loops_end)) {
    u32 seen = atomic_load(&loop_thread->seq);
    if (kloop_pass(loop_thread) != 0) {
      if (idle != 0) spin_ended(true);
      idle = 0;
      continue;
    }
    if (idle == 0) limit = skip_spin() ? 0 : SPIN_PASSES;
    if (++idle <= limit) continue;
    idle = 0;
    if (limit != 0) spin_ended(false);
    thread_sleep(loop_thread, seen, SAFETY_MS);
  }
  return unused;
}
