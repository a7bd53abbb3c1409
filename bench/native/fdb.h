// Forwarding table and first two steps of the switch: assembly/vale/{fdb,gather,classify}.ts.
#pragma once
#include "ring.h"

#define MAC_MASK 0xffffffffffffull

static inline _Atomic u64 *fdb_bucket(_Atomic u64 *fdb, u64 mac) {
  return fdb + ((mac * 0x9e3779b97f4a7c15ull) >> (64 - FDB_BUCKETS_LOG2)) * FDB_WAYS;
}

static inline u32 fdb_lookup(_Atomic u64 *fdb, u64 mac) {
  _Atomic u64 *p = fdb_bucket(fdb, mac), *end = p + FDB_WAYS;
  do {
    u64 e = atomic_load(p);
    if (((e ^ mac) & MAC_MASK) == 0 && e != 0) return (u32)(e >> 48) - 1;
  } while (++p < end);
  return BROADCAST;
}

/** Learning: an address's own entry or a free one. No bench fills a bucket, so nothing is ever evicted here. */
COLD static _Atomic u64 *fdb_learn(struct bridge *bridge, u64 mac, u32 port, struct thread *self) {
  u32 free_ = 0;
  if (!atomic_compare_exchange_strong(&bridge->lock, &free_, self->id)) return NULL;
  _Atomic u64 *bucket = fdb_bucket(bridge->fdb, mac), *entry = NULL;
  for (int i = FDB_WAYS - 1; i >= 0; i--) {
    u64 e = atomic_load_explicit(&bucket[i], memory_order_relaxed);
    if (e == 0) entry = &bucket[i];
  }
  for (int i = 0; i < FDB_WAYS; i++) {
    u64 e = atomic_load_explicit(&bucket[i], memory_order_relaxed);
    if (e != 0 && ((e ^ mac) & MAC_MASK) == 0) entry = &bucket[i];
  }
  if (!entry) not_in_the_bench();
  atomic_store(entry, mac | ((u64)(port + 1) << 48));
  atomic_store(&bridge->lock, 0);
  return entry;
}

/** Gathers plain slots from `slot` to `end`. Returns the first one left, and adds their bytes. */
static inline struct slot *gather_plain(struct slot *slot, struct slot *end, struct entry *entry, u8 *bufbase,
                                        u32 bufsize, u32 limit, u32 plain, u64 *bytes) {
  u64 sum = 0;
  for (; slot != end; slot++, entry++) {
    u64 w = slot_word(slot);
    u32 len = w >> 32;
    if (SLOT_IDX(w) - 2 >= limit || len > plain) break;
    *entry = (struct entry){.addr = bufbase + (size_t)SLOT_IDX(w) * bufsize, .len = len, .frags = 1};
    sum += len;
  }
  *bytes += sum;
  return slot;
}

static u32 vale_gather(struct kring *kr, struct scratch *scratch, u32 head) {
  u32 n = kr->nslots, bufsize = kr->bufsize, limit = kr->nbufs - 2;
  struct slot *slots = kr->ring->slot, *ring_end = slots + n, *stop = slots + head;
  struct slot *slot = slots + atomic_load_explicit(&kr->hwcur, memory_order_relaxed);
  struct entry *entry = scratch->entries, *batch_end = entry + BATCH;
  u64 packets = 0, bytes = 0;
  u32 plain = min_u32(bufsize, 0xffff); // of len | flags << 16: a length in range, and no flag
  while (slot != stop) {
    struct slot *run_end = slot < stop ? stop : ring_end;
    struct slot *end = slot + min_u32((u32)(run_end - slot), (u32)(batch_end - entry));
    struct slot *left = gather_plain(slot, end, entry, kr->bufbase, bufsize, limit, plain, &bytes);
    packets += (u64)(left - slot);
    entry += left - slot;
    slot = left;
    if (slot == ring_end) slot = slots;
    if (entry >= batch_end) break;
    if (slot == stop) break;
    if (slot == slots && run_end == ring_end) continue;
    // One packet of several slots.
    struct entry *first = entry;
    u32 frags = 0;
    bool more = true;
    do {
      u64 w = slot_word(slot++);
      u32 len = SLOT_LEN(w), flags = SLOT_FLAGS(w);
      if (slot == ring_end) slot = slots;
      if (SLOT_IDX(w) - 2 >= limit || len > bufsize || flags & ~NS_MOREFRAG) not_in_the_bench();
      if (++frags > MAX_FRAGS) not_in_the_bench();
      *entry++ = (struct entry){.addr = kr->bufbase + (size_t)SLOT_IDX(w) * bufsize, .len = len, .frags = 1};
      bytes += len;
      more = flags & NS_MOREFRAG && slot != stop;
    } while (more);
    packets++;
    first->frags = frags;
  }
  atomic_store_explicit(&kr->hwcur, (u32)(slot - slots), memory_order_relaxed);
  stat_add(kr, STAT_PACKETS, packets);
  stat_add(kr, STAT_BYTES, bytes);
  return (u32)(entry - scratch->entries);
}

static u64 last_source(struct port *port) {
  _Atomic u64 *entry = port->last_src_entry;
  u64 src = port->last_src;
  return entry && atomic_load(entry) == (src | ((u64)(port->index + 1) << 48)) ? src : ~0ull;
}

COLD static u64 learn(struct bridge *bridge, struct port *port, u64 src, struct thread *self) {
  port->last_src_entry = fdb_learn(bridge, src, port->index, self);
  port->last_src = src;
  return port->last_src_entry ? src : ~0ull;
}

/** Packets of one slot with the addresses of the last header go where that went. Returns the first that is not one. */
static inline struct entry *classify_same(struct entry *e, struct entry *end, u32 hdrlen, u64 last8, u32 last4,
                                          u32 dest) {
  for (; e != end; e++) {
    if (e->frags != 1 || e->len < 14 + hdrlen) break;
    u64 first8;
    u32 next4;
    memcpy(&first8, e->addr + hdrlen, 8);
    memcpy(&next4, e->addr + hdrlen + 8, 4);
    if (first8 != last8 || next4 != last4) break;
    e->dest = dest;
  }
  return e;
}

__attribute__((unused)) static void vale_classify(struct kring *kr, struct port *port, struct scratch *scratch, u32 count, u32 ring,
                          struct thread *self) {
  struct bridge *bridge = atomic_load_explicit(&port->bridge, memory_order_relaxed);
  _Atomic u64 *fdb = bridge->fdb;
  u32 hdrlen = port->hdrlen, ring_bits = ring << 8, last_dest = NOPORT, last4 = 0;
  u64 last_src = last_source(port), last8 = 0, short_ = 0;
  bool seen = false;
  struct entry *end = scratch->entries + count;
  for (struct entry *e = scratch->entries; e < end;) {
    u32 frags = e->frags;
    u8 *p = e->addr + hdrlen;
    int usable = (int)e->len - (int)hdrlen;
    if (usable == 0 && frags > 1) {
      p = e[1].addr;
      usable = e[1].len;
    }
    u32 dest = NOPORT;
    if (usable >= 14) {
      u64 first8;
      u32 next4;
      memcpy(&first8, p, 8);
      memcpy(&next4, p + 8, 4);
      if (first8 != last8 || next4 != last4 || !seen) {
        last8 = first8;
        last4 = next4;
        seen = true;
        u64 src = first8 >> 48 | (u64)next4 << 16, dst = first8 & MAC_MASK;
        if (src != last_src && (src & 1) == 0) last_src = learn(bridge, port, src, self);
        last_dest = ((dst & 1) ? BROADCAST : fdb_lookup(fdb, dst)) | ring_bits;
      }
      dest = last_dest;
    } else {
      short_++;
    }
    e->dest = dest;
    e += frags;
    if (seen) e = classify_same(e, end, hdrlen, last8, last4, last_dest);
  }
  if (short_) stat_add(kr, STAT_DROP_SHORT, short_);
}

/** Appends the run [run, end) to its destination's queue; returns 1 when that queue is new to the list. */
static u32 append_run(struct scratch *scratch, u32 n_dests, u32 dest, struct entry *run, struct entry *end, u32 packets) {
  u32 port = dest & 0xff, ring = (dest >> 8) & (MAX_RINGS - 1);
  u32 q = port == BROADCAST ? BROADCAST_QUEUE : port * MAX_RINGS + ring;
  struct queue *queue = &scratch->queues[q];
  u32 first = (u32)(run - scratch->entries), last = (u32)(end - scratch->entries), before = queue->packets;
  run->run_end = last;
  run->next = QUEUE_END;
  queue->packets = before + packets;
  queue->slots += last - first;
  if (before != 0) {
    scratch->entries[queue->tail].next = first;
    queue->tail = first;
    return 0;
  }
  queue->head = first;
  queue->tail = first;
  if (q == BROADCAST_QUEUE) return 0;
  scratch->dests[n_dests] = q;
  return 1;
}

static u32 vale_queue(struct kring *kr, u32 index, struct scratch *scratch, u32 count) {
  struct entry *end = scratch->entries + count, *e = scratch->entries;
  u32 n_dests = 0;
  u64 self = 0, no_port = 0;
  while (e < end) {
    struct entry *run = e;
    u32 dest = e->dest, packets = 0;
    do {
      u32 frags = e->frags;
      e++;
      if (frags != 1) e += frags - 1;
      packets++;
    } while (e < end && e->dest == dest);
    u32 port = dest & 0xff;
    if (port == index) self += packets;
    else if (port >= NOPORT) no_port += dest != NOPORT ? packets : 0;
    else n_dests += append_run(scratch, n_dests, dest, run, e, packets);
  }
  if (self) stat_add(kr, STAT_DROP_SELF, self);
  if (no_port) stat_add(kr, STAT_DROP_NO_PORT, no_port);
  return n_dests;
}
