// The guest driver: assembly/ptnet, and the guest's half of assembly/csb.
#pragma once
#include "kloop.h"

static void fetch(struct gkring *gk) {
  gk->hwtail = atomic_load(&gk->ktoa->hwtail);
  gk->hwcur = atomic_load(&gk->ktoa->hwcur);
}

static void guest_prologue(struct gkring *gk) {
  u32 head = gk->ring->head, cur = gk->ring->cur;
  if (!indices_valid(head, cur, gk->rhead, gk->rtail, gk->nslots)) not_in_the_bench();
  gk->rhead = head;
  gk->rcur = cur;
}

static void arm(struct gkring *gk) {
  if (gk->rcur != gk->hwtail || gk->irq_off) return;
  atomic_store(&gk->atok->appl_need_kick, 1);
  fetch(gk);
  if (gk->rcur != gk->hwtail) atomic_store(&gk->atok->appl_need_kick, 0);
}

static void guest_finalize(struct gkring *gk) {
  gk->rtail = gk->hwtail;
  gk->ring->tail = gk->hwtail;
}

static void appl_publish(struct atok *atok, u32 cur, u32 head) {
  atomic_store_explicit(&atok->cur, cur, memory_order_relaxed);
  atomic_store(&atok->head, head);
}

static void no_irq(struct atok *atok) {
  if (atomic_load_explicit(&atok->appl_need_kick, memory_order_relaxed) != 0) atomic_store(&atok->appl_need_kick, 0);
}

/** The end of a sync whose doorbell was rung. */
static void guest_kicked(struct gkring *gk) {
  fetch(gk);
  arm(gk);
  guest_finalize(gk);
}

/** txsync of a guest's ring, with the doorbell of its loop. */
static void ptnet_txsync(struct gkring *gk, u32 flags, struct kloop *loop, struct thread *self) {
  guest_prologue(gk);
  struct atok *atok = gk->atok;
  struct ktoa *ktoa = gk->ktoa;
  u32 head = gk->rhead, cur = gk->rcur;
  no_irq(atok);
  u32 hwcur = atomic_load(&ktoa->hwcur);
  appl_publish(atok, cur, head);
  bool full = cur == gk->hwtail, reclaim = (flags & NAF_FORCE_RECLAIM) != 0;
  if (((head != hwcur || full) && atomic_load(&ktoa->kern_need_kick)) || reclaim) {
    atomic_store_explicit(&atok->sync_flags, flags, memory_order_relaxed);
    doorbell(loop, 0, self);
    guest_kicked(gk);
    return;
  }
  if (full) fetch(gk);
  arm(gk);
  guest_finalize(gk);
}

static void ptnet_rxsync(struct gkring *gk, u32 flags, struct kloop *loop, struct thread *self) {
  guest_prologue(gk);
  struct atok *atok = gk->atok;
  struct ktoa *ktoa = gk->ktoa;
  u32 head = gk->rhead, cur = gk->rcur;
  no_irq(atok);
  fetch(gk);
  bool release = head != gk->hwcur;
  if (release) appl_publish(atok, cur, head);
  if ((release || cur == gk->hwtail) && atomic_load(&ktoa->kern_need_kick)) {
    atomic_store_explicit(&atok->sync_flags, flags, memory_order_relaxed);
    doorbell(loop, 1, self);
    guest_kicked(gk);
    return;
  }
  arm(gk);
  guest_finalize(gk);
}
