// Syncs, kernel loop and doorbell: assembly/{sync,kloop,csb}, and the part of the hypervisor that src/control/window.ts and
// src/threads/thread.ts play in direct mode.
#pragma once
#include "pipe.h"
#include "vale.h"

static void kring_sync(struct kring *kr, struct thread *self) {
  u32 kind = kr->kind;
  stat_add(kr, STAT_SYNCS, 1);
  if (kr->dir == NR_TX) {
    if (kind == KIND_PIPE) pipe_txsync(kr, self);
    else if (kind == KIND_VALE) vale_txsync(kr, self);
  } else {
    if (kind == KIND_PIPE) pipe_rxsync(kr, self);
    else if (kind == KIND_VALE) vale_rxsync(kr);
  }
}

/** Lets go of the ring, and then wakes whoever came in vain. */
static void ring_release(struct kring *kr, struct thread *self) {
  kring_release(kr);
  if (atomic_load(&kr->contended) == 0) return;
  atomic_store(&kr->contended, 0);
  kring_notify(kr, self);
}

static int ring_sync(struct kring *kr, struct thread *self) {
  int error = kring_acquire(kr, self->id);
  if (error == -EBUSY_) {
    atomic_store(&kr->contended, 1);
    error = kring_acquire(kr, self->id);
  }
  if (error) return error;
  struct ring *ring = kr->ring;
  if (!ring) not_in_the_bench();
  u32 head = ring->head, cur = ring->cur;
  if (!(kr->dir == NR_TX ? tx_prologue(kr, head, cur) : rx_prologue(kr, head, cur))) not_in_the_bench(); // reinit
  kring_sync(kr, self);
  kring_finalize(kr);
  ring_release(kr, self);
  return 0;
}

/** Result bits of an activation. */
enum { MORE = 1, MOVED = 2 };
enum { MAX_ROUNDS = 64, DOORBELLS = 32 };

static void kern_publish(struct ktoa *ktoa, u32 hwcur, u32 hwtail) {
  atomic_store_explicit(&ktoa->hwcur, hwcur, memory_order_relaxed);
  atomic_store(&ktoa->hwtail, hwtail);
}

static void raise_irq(struct kloop *loop, struct kring *kr, u32 vector) {
  stat_add(kr, STAT_INTERRUPTS, 1);
  atomic_fetch_or(&loop->irq_pending, 1u << vector);
  atomic_store(&loop->guest->attention, 1);
  thread_wake(loop->guest);
}

/** The end of the packet that slot `i` may be in the middle of. */
static u32 whole_packets(struct kring *kr, u32 i, u32 head, u32 n) {
  while (i != head && SLOT_FLAGS(slot_word(&kr->ring->slot[ring_prev(i, n)])) & NS_MOREFRAG) i = ring_next(i, n);
  return i;
}

static u32 tx_activation(struct kloop *loop, struct kring *kr, struct atok *atok, struct ktoa *ktoa, u32 vector,
                         struct thread *self) {
  u32 n = kr->nslots, mode = loop->mode, budget = loop->budget, result = 0;
  bool irqs = loop->irqs_on != 0, more = false;
  if (mode != MODE_DIRECT) atomic_store(&ktoa->kern_need_kick, 0);
  u32 head = atomic_load(&atok->head), cur = atomic_load(&atok->cur);
  for (;;) {
    u32 rhead = kr->rhead, cut = head;
    if (head < n && ring_distance(rhead, head, n) > budget) cut = whole_packets(kr, ring_advance(rhead, budget, n), head, n);
    if (!tx_prologue(kr, cut, cur)) not_in_the_bench();
    u32 moved = ring_distance(rhead, cut, n);
    if (moved) result |= MOVED;
    budget -= min_u32(moved, budget);
    kring_sync(kr, self);
    u32 hwtail = kr->hwtail;
    kern_publish(ktoa, atomic_load_explicit(&kr->hwcur, memory_order_relaxed), hwtail);
    if (kr->rtail != hwtail) {
      kr->rtail = hwtail;
      more = true;
    }
    if (more && irqs && atomic_load(&atok->appl_need_kick)) {
      raise_irq(loop, kr, vector);
      more = false;
    }
    if (budget == 0) {
      result |= MORE;
      break;
    }
    head = atomic_load(&atok->head);
    cur = atomic_load(&atok->cur);
    if (head == kr->rhead) {
      if (mode != MODE_NOTIFY) break;
      atomic_store(&ktoa->kern_need_kick, 1);
      head = atomic_load(&atok->head);
      cur = atomic_load(&atok->cur);
      if (head == kr->rhead) break;
      atomic_store(&ktoa->kern_need_kick, 0);
      continue;
    }
    if (kr->rhead == hwtail) break;
  }
  if (more && irqs && atomic_load(&atok->appl_need_kick)) raise_irq(loop, kr, vector);
  return result;
}

static u32 rx_activation(struct kloop *loop, struct kring *kr, struct atok *atok, struct ktoa *ktoa, u32 vector,
                         struct thread *self) {
  u32 n = kr->nslots, mode = loop->mode, budget = loop->budget, result = 0, done = 0, dry = 0;
  bool irqs = loop->irqs_on != 0, some = false;
  if (mode != MODE_DIRECT) atomic_store(&ktoa->kern_need_kick, 0);
  u32 head = atomic_load(&atok->head), cur = atomic_load(&atok->cur);
  for (;;) {
    u32 rhead = kr->rhead;
    if (!rx_prologue(kr, head, cur)) not_in_the_bench();
    kring_sync(kr, self);
    u32 hwtail = kr->hwtail, rtail = kr->rtail;
    kern_publish(ktoa, atomic_load_explicit(&kr->hwcur, memory_order_relaxed), hwtail);
    u32 moved = ring_distance(rhead, head, n) + ring_distance(rtail, hwtail, n);
    if (moved) result |= MOVED;
    done += moved;
    if (rtail != hwtail) {
      kr->rtail = hwtail;
      some = true;
      dry = 0;
    } else {
      dry++;
    }
    if (some && irqs && atomic_load(&atok->appl_need_kick)) {
      raise_irq(loop, kr, vector);
      some = false;
    }
    if (done >= budget) {
      result |= MORE;
      break;
    }
    head = atomic_load(&atok->head);
    cur = atomic_load(&atok->cur);
    if (head != kr->rhead) continue;
    if (hwtail == head) break;
    if (mode != MODE_NOTIFY) break;
    if (hwtail != ring_prev(head, n) && dry < 2) continue;
    atomic_store(&ktoa->kern_need_kick, 1);
    head = atomic_load(&atok->head);
    cur = atomic_load(&atok->cur);
    if (head == kr->rhead) break;
    atomic_store(&ktoa->kern_need_kick, 0);
  }
  if (some && irqs && atomic_load(&atok->appl_need_kick)) raise_irq(loop, kr, vector);
  return result;
}

static bool take(struct kring *kr, u32 tid) {
  if (kring_acquire(kr, tid) == 0) return true;
  atomic_store(&kr->contended, 1);
  return kring_acquire(kr, tid) == 0;
}

static u32 run_ring(struct kloop *loop, u32 vector, struct thread *self) {
  bool tx = vector < loop->ntx;
  struct kring *kr = tx ? loop->tx + vector : loop->rx + (vector - loop->ntx);
  if (!take(kr, self->id)) return 0;
  struct atok *atok = loop->atok + vector;
  struct ktoa *ktoa = loop->ktoa + vector;
  u32 result = tx ? tx_activation(loop, kr, atok, ktoa, vector, self) : rx_activation(loop, kr, atok, ktoa, vector, self);
  kring_release(kr);
  return result;
}

/** The bit of ring `i` of a loop in its event word. */
static inline u32 ring_event(u32 i) { return 1u << min_u32(i, EVENT_REST); }

/** The next pass has these events of the loop. */
static void again(struct kloop *loop, u32 events, struct thread *self) {
  atomic_fetch_or(&loop->event, events);
  self->due = true;
}

/** Activates the rings of a loop that `events` names, tx first. */
static u32 activate(struct kloop *loop, u32 events, struct thread *self) {
  u32 free_ = 0;
  if (!atomic_compare_exchange_strong(&loop->owner, &free_, self->id)) {
    again(loop, events, self);
    return MORE;
  }
  u32 result = 0;
  if (atomic_load(&loop->state) == LOOP_RUNNING) {
    u32 more = 0;
    for (u32 i = 0; i < (u32)loop->ntx + loop->nrx; i++) {
      u32 bit = ring_event(i);
      if ((events & bit) == 0) continue;
      u32 r = run_ring(loop, i, self);
      if (r & MORE) more |= bit;
      result |= r;
    }
    if (more) again(loop, more, self);
    loop->passes++;
  }
  atomic_store(&loop->owner, 0);
  return result;
}

static bool kloop_run(struct kloop *loop, struct thread *self) {
  if (atomic_load(&loop->state) != LOOP_RUNNING) return false;
  bool busy = loop->mode == MODE_BUSY;
  u32 events = EVENT_ALL;
  if (!busy) {
    if (atomic_load(&loop->event) == 0) return false;
    events = atomic_exchange(&loop->event, 0);
  }
  u32 result = activate(loop, events, self);
  return busy ? result != 0 : true;
}

/** Odd in a pass: for the control thread, which waits for passes that may have seen a loop that is no more. */
static void count_pass(struct thread *self) {
  u32 passes = atomic_load_explicit(&self->passes, memory_order_relaxed);
  atomic_store(&self->passes, passes + 1);
}

static u32 kloop_pass(struct thread *self) {
  u32 n = atomic_load(&self->nloops), worked = 0;
  if (n == 0) return 0;
  self->due = false; // this pass looks at all of them
  count_pass(self);
  for (u32 i = 0; i < n; i++) {
    struct kloop *loop = atomic_load(&self->loops[i]);
    if (loop && kloop_run(loop, self)) worked++;
  }
  count_pass(self);
  return worked;
}

static void deliver_interrupts(struct thread *self) {
  for (u32 i = 0; i < self->ndevices; i++) {
    struct kloop *loop = self->devices[i];
    if (atomic_load_explicit(&loop->irq_pending, memory_order_relaxed) == 0) continue;
    for (u32 pending = atomic_exchange(&loop->irq_pending, 0); pending; pending &= pending - 1) loop->interrupts++;
  }
}

static void thread_service(struct thread *self) {
  int rounds = 0;
  for (; rounds < MAX_ROUNDS; rounds++) {
    u32 worked = atomic_load_explicit(&self->nloops, memory_order_relaxed) == 0 ? 0 : kloop_pass(self);
    if (atomic_load_explicit(&self->attention, memory_order_relaxed) != 0) {
      atomic_store(&self->attention, 0);
      deliver_interrupts(self);
    } else if (worked == 0) {
      break;
    }
  }
  if (rounds == MAX_ROUNDS) thread_wake(self);
}

static struct kring *ring_of(struct kloop *loop, u32 i) {
  if (i < loop->ntx) return loop->tx + i;
  i -= loop->ntx;
  return i < loop->nrx ? loop->rx + i : NULL;
}

static void kick(struct kloop *loop, u32 i, struct thread *self) {
  struct kring *kr = ring_of(loop, i);
  if (!kr) return;
  stat_add_shared(kr, STAT_KICKS, 1);
  atomic_fetch_or(&loop->event, ring_event(i));
  if (loop->thread == self) self->due = true;
  else if (loop->thread) thread_wake(loop->thread);
}

/** Activates the ring at once if its loop runs in this thread; an event that others have set stays. True: that was all. */
static bool activate_kicked(struct kloop *loop, u32 i, struct thread *self) {
  if (loop->mode != MODE_DIRECT || loop->thread != self) {
    kick(loop, i, self);
    return false;
  }
  struct kring *kr = ring_of(loop, i);
  if (!kr) return true;
  stat_add_shared(kr, STAT_KICKS, 1);
  activate(loop, ring_event(i), self);
  return !self->due;
}

/** The guest writes a doorbell register: the loop runs here and now, and what others left to the thread not every time. */
static void doorbell(struct kloop *loop, u32 i, struct thread *self) {
  if (++self->doorbells % DOORBELLS != 0) {
    bool done = activate_kicked(loop, i, self);
    if (done && atomic_load_explicit(&self->attention, memory_order_relaxed) == 0) return;
  } else {
    kick(loop, i, self);
  }
  thread_service(self);
}
