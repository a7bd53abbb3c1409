// What the control plane does for the Wasm side: regions, ports, a bridge, guests. Rings and buffers lie in their region
// as ptnet places them (ring objects of five pages, buffers every 2112 bytes, rx rings made first), so that both sides
// meet the same cache sets.
#pragma once
#include <sys/mman.h>

#include "ptnet.h"

#ifdef NETMAP_TABLE
enum { STRIDE = 2048 };
#else
enum { STRIDE = 2112 };
#endif
enum { SLOTS = 1024, RING_OBJECT = 5 * 4096, RINGS = 8, EXTRA_BUFS = 256, BUFS = RINGS * SLOTS + EXTRA_BUFS + 2 };

struct region {
  u8 *rings, *bufs;
  u32 next_ring, next_buf;
};

static void *pages(size_t bytes) {
  void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) abort();
  return p;
}

static struct region region_make(void) {
  u8 *base = pages(RINGS * RING_OBJECT + (size_t)BUFS * STRIDE + 4096);
  return (struct region){.rings = base, .bufs = base + RINGS * RING_OBJECT, .next_buf = 2};
}

static struct thread threads[4];
static struct thread *const self = &threads[1];
/** Whose thread each of two guests is: of one by default. */
static struct thread *guest_threads[2] = {&threads[1], &threads[1]};
/** Who runs their kernel loops: the guests themselves (direct mode), or a thread that does nothing else (notify mode). */
static struct thread *loop_thread;

static void thread_make(void) {
  for (int id = 1; id <= 3; id++) {
    threads[id].id = id;
    threads[id].spin_limit = 1 << 17;
    threads[id].threads = threads;
    threads[id].scratch = pages(sizeof(struct scratch));
  }
}

/** `share`: the ring whose buffers this one names too. */
static void ring_make(struct kring *kr, struct region *region, int dir, const struct ring *share) {
  struct ring *ring = (struct ring *)(region->rings + (size_t)region->next_ring++ * RING_OBJECT);
  ring->buf_ofs = region->bufs - (u8 *)ring;
  ring->num_slots = SLOTS;
  ring->nr_buf_size = STRIDE;
  ring->dir = dir;
  for (u32 i = 0; i < SLOTS; i++) {
    u64 idx = share ? slot_idx(&share->slot[i]) : region->next_buf++;
    atomic_store(&ring->slot[i].word, idx | (u64)STRIDE << 32);
  }
  ring->tail = dir == NR_TX ? SLOTS - 1 : 0;
  kr->ring = ring;
  kr->bufbase = region->bufs;
  kr->nslots = SLOTS;
  kr->nbufs = BUFS;
  kr->bufsize = STRIDE;
  kr->dir = dir;
  kr->mode = 1;
  kr->rtail = kr->hwtail = ring->tail;
  atomic_store(&kr->mailtail, ring->tail);
}

static void port_make(struct port *port, struct kring *tx, struct kring *rx, u32 kind) {
  port->kind = tx->kind = rx->kind = kind;
  port->ntx = port->nrx = 1;
  port->tx = tx;
  port->rx = rx;
  port->mfs = 1514;
  tx->port = rx->port = port;
}

enum { PORTS = 3 };
static struct kring krings[2 * PORTS]; // tx and rx of each port
static struct port ports[PORTS];
static struct bridge bridge;
static struct region regions[PORTS];

/** A pipe: tx and rx of its two ends. */
static void pipe_rings(struct kring *atx, struct kring *arx, struct kring *btx, struct kring *brx, struct region *region,
                       struct port *ends) {
  ring_make(arx, region, NR_RX, NULL);
  ring_make(btx, region, NR_TX, arx->ring);
  ring_make(atx, region, NR_TX, NULL);
  ring_make(brx, region, NR_RX, atx->ring);
  atx->peer = brx, brx->peer = atx, arx->peer = btx, btx->peer = arx;
  port_make(&ends[0], atx, arx, KIND_PIPE);
  port_make(&ends[1], btx, brx, KIND_PIPE);
}

static void pipe_make(void) {
  regions[0] = region_make();
  pipe_rings(&krings[0], &krings[1], &krings[2], &krings[3], &regions[0], ports);
}

static void vale_make(int count) {
  bridge.fdb = pages(sizeof(u64) * FDB_WAYS << FDB_BUCKETS_LOG2);
  for (int i = 0; i < count; i++) {
    struct kring *tx = &krings[2 * i], *rx = tx + 1;
    regions[i] = region_make();
    ring_make(rx, &regions[i], NR_RX, NULL);
    ring_make(tx, &regions[i], NR_TX, NULL);
    rx->leases = pages(SLOTS * sizeof(struct lease));
    port_make(&ports[i], tx, rx, KIND_VALE);
    ports[i].index = i;
    atomic_store(&ports[i].bridge, &bridge);
    atomic_store(&bridge.ports[i], &ports[i]);
  }
}

// Two guests, one ptnet device each.
static struct atok atoks[2][64];
static struct ktoa ktoas[2][64];
static struct gkring gkrings[2][2];
static struct kloop loops[2];

static void guests_make(void) {
  for (int g = 0; g < 2; g++) {
    struct kloop *loop = &loops[g];
    struct thread *guest = guest_threads[g], *owner = loop_thread ? loop_thread : guest;
    loop->mode = loop_thread ? MODE_NOTIFY : MODE_DIRECT;
    loop->ntx = loop->nrx = 1;
    loop->atok = atoks[g];
    loop->ktoa = ktoas[g];
    loop->thread = owner;
    loop->guest = guest;
    guest->devices[guest->ndevices++] = loop;
    loop->budget = 4096;
    loop->irqs_on = 1;
    loop->tx = &krings[2 * g];
    loop->rx = loop->tx + 1;
    for (int i = 0; i < 2; i++) {
      struct kring *kr = &krings[2 * g + i];
      kr->event = ring_event(i);
      atomic_store(&kr->loop, loop);
      atomic_fetch_or(&kr->waiters, 1ull << owner->id);
      atomic_store(&atoks[g][i].appl_need_kick, 1);
      atomic_store(&ktoas[g][i].kern_need_kick, 1);
      kern_publish(&ktoas[g][i], kr->hwcur, kr->hwtail);
      gkrings[g][i] = (struct gkring){.ring = kr->ring, .atok = &atoks[g][i], .ktoa = &ktoas[g][i], .nslots = SLOTS};
      fetch(&gkrings[g][i]);
      guest_finalize(&gkrings[g][i]);
    }
    atomic_store(&loop->event, EVENT_ALL);
    atomic_store(&loop->state, LOOP_RUNNING);
    u32 n = atomic_load(&owner->nloops);
    atomic_store(&owner->loops[n], loop);
    atomic_store(&owner->nloops, n + 1);
  }
}
