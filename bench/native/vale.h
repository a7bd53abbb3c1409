// Third step of the switch, and the port's syncs: assembly/vale/{lease,place,place-loops,deliver,switch}.ts.
#pragma once
#include "fdb.h"
#ifdef NETMAP_TABLE
#include "table.h"
#endif

static bool try_lock(struct kring *kr, struct thread *self) {
  u32 free_ = 0;
  return atomic_compare_exchange_strong(&kr->lock, &free_, self->id);
}

static bool lease_lock(struct kring *kr, struct thread *self) {
  u32 spins = self->spin_limit;
  while (!try_lock(kr, self)) {
    if (spins == 0) return false;
    spins--;
  }
  return true;
}

static void lease_unlock(struct kring *kr) { atomic_store(&kr->lock, 0); }

static struct lease *lease_take(struct kring *kr, u32 needed, struct thread *self) {
  u32 n = kr->nslots, start = kr->hwlease;
  u32 k = min_u32(needed, n - 1 - ring_distance(atomic_load(&kr->hwcur), start, n));
  if (k == 0) return NULL;
  u32 i = kr->lease_tail;
  if (ring_next(i, n) == atomic_load(&kr->lease_head)) return NULL;
  struct lease *lease = &kr->leases[i];
  lease->owner = self->id;
  lease->start = start;
  lease->end = ring_advance(start, k, n);
  atomic_store(&lease->state, LEASE_OPEN);
  kr->hwlease = ring_advance(start, k, n);
  kr->lease_tail = ring_next(i, n);
  return lease;
}

/** Moves the mailbox over the done leases; the lock is held. */
static u32 advance_leases(struct kring *kr, u32 n) {
  u32 tail = atomic_load_explicit(&kr->mailtail, memory_order_relaxed);
  u32 head = atomic_load_explicit(&kr->lease_head, memory_order_relaxed), last = kr->lease_tail;
  while (head != last) {
    struct lease *lease = &kr->leases[head];
    if (atomic_load(&lease->state) != LEASE_DONE) break;
    tail = lease->end;
    atomic_store(&kr->mailtail, tail);
    atomic_store_explicit(&lease->state, LEASE_FREE, memory_order_relaxed);
    head = ring_next(head, n);
    atomic_store(&kr->lease_head, head);
  }
  return tail;
}

static void lease_publish(struct kring *kr, struct thread *self) {
  u32 n = kr->nslots;
  for (;;) {
    if (!try_lock(kr, self)) return;
    u32 before = atomic_load_explicit(&kr->mailtail, memory_order_relaxed);
    u32 after = advance_leases(kr, n);
    lease_unlock(kr);
    if (after != before) kring_notify(kr, self);
    u32 head = atomic_load(&kr->lease_head);
    if (atomic_load(&kr->leases[head].state) != LEASE_DONE) return;
  }
}

static void lease_complete(struct kring *kr, struct lease *lease, u32 end, struct thread *self) {
  if (end != lease->end) not_in_the_bench(); // giveBack
  atomic_store(&lease->state, LEASE_DONE);
  lease_publish(kr, self);
}

static void account(struct kring *kr, struct kring *dkr, u32 packets, u32 delivered, u32 refused, u64 bytes) {
  stat_add(kr, STAT_FORWARDED, delivered);
  if (packets != delivered + refused) stat_add(kr, STAT_DROP_NO_SPACE, packets - delivered - refused);
  stat_add_shared(dkr, STAT_DELIVERED, delivered);
  stat_add_shared(dkr, STAT_DELIVERED_BYTES, bytes);
}

/**
 * Copies packets of one slot and at least 16 bytes from entry `e` to entry `end` into the slots at `slot`. Returns the
 * first entry left, and adds the bytes.
 */
static inline struct entry *place_plain(struct entry *e, struct entry *end, struct slot *slot, u8 *bufbase, u32 bufsize,
                                        u32 limit, u64 *bytes) {
  u64 sum = 0;
  for (; e != end; e++, slot++) {
    u32 len = e->len, idx = slot_idx(slot);
    if (e->frags != 1 || len < 16 || len > bufsize || idx - 2 >= limit) break;
    slot_set_len_flags(slot, len | (1u << (16 + NS_RFRAGS_SHIFT)));
    packet_copy(bufbase + (size_t)idx * bufsize, e->addr, len);
    sum += len;
  }
  *bytes += sum;
  return e;
}

enum { COPY_NO_SPACE = 0xffff };

/** Copies one packet of several slots, from slot j on. Returns the slot after it, or COPY_NO_SPACE. */
static u32 copy_fragments(struct kring *dkr, struct entry *e, u32 j, struct lease *lease) {
  u32 n = dkr->nslots, bufsize = dkr->bufsize, limit = dkr->nbufs - 2, frags = e->frags;
  struct slot *slots = dkr->ring->slot;
  if (frags == 1) not_in_the_bench(); // tiny frames, bad slots of the receiver
  if (frags > ring_distance(j, lease->end, n)) return COPY_NO_SPACE;
  for (u32 f = 0; f < frags; f++)
    if (e[f].len > bufsize) not_in_the_bench();
  for (u32 f = 0; f < frags; f++) {
    u32 idx = slot_idx(&slots[j]), len = e[f].len;
    if (idx - 2 >= limit) not_in_the_bench();
    packet_copy(dkr->bufbase + (size_t)idx * bufsize, e[f].addr, len);
    slot_set_len_flags(&slots[j], len | (frags << NS_RFRAGS_SHIFT | (f + 1 < frags ? NS_MOREFRAG : 0)) << 16);
    j = ring_next(j, n);
  }
  return j;
}

static u32 copy_unicast(struct kring *kr, struct kring *dkr, struct scratch *scratch, u32 head, u32 packets,
                        struct lease *lease) {
  u32 bufsize = dkr->bufsize, limit = dkr->nbufs - 2;
  struct slot *slots = dkr->ring->slot, *ring_end = slots + dkr->nslots;
  struct slot *slot = slots + lease->start, *lease_end = slots + lease->end;
  bool full = false;
  u32 delivered = 0, refused = 0;
  u64 bytes = 0;
  while (head != QUEUE_END && !full) {
    struct entry *e = &scratch->entries[head], *run_end = &scratch->entries[e->run_end];
    head = e->next;
    while (e < run_end && !full) {
      struct slot *slot_end = slot < lease_end ? lease_end : ring_end;
      struct entry *end = e + min_u32((u32)(run_end - e), (u32)(slot_end - slot));
      struct entry *left = place_plain(e, end, slot, dkr->bufbase, bufsize, limit, &bytes);
      if (left == e) {
        u32 after = copy_fragments(dkr, e, (u32)(slot - slots), lease);
        full = after == COPY_NO_SPACE;
        if (full) break;
        for (end = e + e->frags; e != end; e++) bytes += e->len;
        slot = slots + after;
        delivered++;
        full = slot == lease_end;
        continue;
      }
      delivered += left - e;
      slot += left - e;
      e = left;
      if (slot == ring_end) slot = slots;
      full = slot == lease_end;
    }
  }
  account(kr, dkr, packets, delivered, refused, bytes);
  return (u32)(slot - slots);
}

static void deliver_queue(struct kring *kr, struct scratch *scratch, struct queue *queue, struct port *dest, u32 ring,
                          struct thread *self) {
  u32 packets = queue->packets, slots = queue->slots;
  u32 head = packets ? queue->head : QUEUE_END;
  u32 nrx = dest ? dest->nrx : 0;
  if (nrx == 0) {
    stat_add(kr, STAT_DROP_NO_PORT, packets);
    return;
  }
  if (dest->hdrlen != kr->port->hdrlen) {
    stat_add(kr, STAT_DROP_HEADER, packets);
    return;
  }
  struct kring *dkr = dest->rx + ring % nrx;
  if (!lease_lock(dkr, self)) {
    stat_add(kr, STAT_DROP_BUSY, packets);
    return;
  }
  if (dkr->mode == 0 || !dkr->ring || atomic_load(&dkr->stop) != RUN) {
    lease_unlock(dkr);
    lease_publish(dkr, self);
    stat_add(kr, STAT_DROP_NO_PORT, packets);
    return;
  }
  struct lease *lease = lease_take(dkr, slots, self);
  lease_unlock(dkr);
  if (!lease) {
    lease_publish(dkr, self);
    stat_add(kr, STAT_DROP_NO_SPACE, packets);
    return;
  }
  lease_complete(dkr, lease, copy_unicast(kr, dkr, scratch, head, packets, lease), self);
}

static void vale_deliver(struct kring *kr, struct port *port, struct scratch *scratch, u32 count, struct thread *self) {
  struct bridge *bridge = atomic_load_explicit(&port->bridge, memory_order_relaxed);
  u32 n_dests = vale_queue(kr, port->index, scratch, count);
  if (scratch->queues[BROADCAST_QUEUE].packets != 0) not_in_the_bench(); // copyMerged
  for (u32 i = 0; i < n_dests; i++) {
    u32 q = scratch->dests[i];
    struct queue *queue = &scratch->queues[q];
    struct port *dest = atomic_load(&bridge->ports[q / MAX_RINGS]);
    deliver_queue(kr, scratch, queue, dest, q & (MAX_RINGS - 1), self);
    queue->packets = 0;
    queue->slots = 0;
  }
}

static void vale_txsync(struct kring *kr, struct thread *self) {
  u32 head = kr->rhead;
  struct port *port = kr->port;
  bool attached = atomic_load(&port->bridge) != NULL;
  while (atomic_load_explicit(&kr->hwcur, memory_order_relaxed) != head) {
    u32 count = vale_gather(kr, self->scratch, head);
    if (!attached) {
      stat_add(kr, STAT_DROP_NO_PORT, count);
      continue;
    }
#ifdef NETMAP_TABLE
    table_classify(port, self->scratch, count, kr->index);
#else
    vale_classify(kr, port, self->scratch, count, kr->index, self);
#endif
    vale_deliver(kr, port, self->scratch, count, self);
  }
  kr->hwtail = ring_prev(head, kr->nslots);
}

/** Slots that the receiver gives back. Returns how many name no buffer. */
static inline u32 take_back(struct slot *slot, struct slot *end, u32 limit) {
  u32 bad = 0;
  for (; slot != end; slot++) {
    u64 w = slot_word(slot);
    u32 flags = SLOT_FLAGS(w);
    if (flags & NS_BUF_CHANGED) slot_set_flags(slot, flags & ~NS_BUF_CHANGED);
    if (SLOT_IDX(w) - 2 >= limit) bad++;
  }
  return bad;
}

static void vale_rxsync(struct kring *kr) {
  kr->hwtail = atomic_load(&kr->mailtail);
  u32 head = kr->rhead, limit = kr->nbufs - 2;
  struct slot *slots = kr->ring->slot, *ring_end = slots + kr->nslots, *stop = slots + head;
  struct slot *slot = slots + atomic_load_explicit(&kr->hwcur, memory_order_relaxed);
  u64 bad = 0;
  if (slot > stop) {
    bad = take_back(slot, ring_end, limit);
    slot = slots;
  }
  bad += take_back(slot, stop, limit);
  if (bad) stat_add(kr, STAT_BAD_SLOT, bad);
  atomic_store(&kr->hwcur, head);
}
