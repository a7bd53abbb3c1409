// The native twin of ptnet's data path: one case a run, timed by itself. One translation unit, as asc compiles all of
// assembly/ into one module.
//
//   twin TASK SIZE BATCH WARMUP_MS TIME_MS     prints {"ns": per item, "digest": of what was delivered, …}
//   twin ping SIZE 1 REST_MS 0                 for each COUNT on stdin: prints ns of each frame's way, a line each
//
// -DNETMAP_TABLE: netmap's forwarding table and buffer stride.
#include <stdio.h>

#include "cable.h"
#include "task-exchange.h"
#include "task-interface.h"
#include "task-offload.h"
#include "task-ping.h"

static void app_advance(struct ring *ring, u32 count) {
  ring->head = ring->cur = ring_advance(ring->head, count, ring->num_slots);
}

static struct kring *rx_krings[PORTS]; // of the receivers, which are the ports after the first

static void host_sync(void) {
  ring_sync(&krings[0], self);
  for (int i = 0; i < receivers; i++) ring_sync(rx_krings[i], self);
}

static void guest_sync(void) {
  ptnet_txsync(&gkrings[0][0], NAF_FORCE_RECLAIM, &loops[0], self);
  ptnet_rxsync(&gkrings[1][1], NAF_FORCE_READ, &loops[1], self);
}

static void (*do_sync)(void) = host_sync;

/** The engine alone: the application only moves head and cur. */
static void run_transfer(void) {
  app_advance(krings[0].ring, batch);
  sent += batch;
  do_sync();
  for (int i = 0; i < receivers; i++) {
    struct ring *ring = rx_krings[i]->ring;
    received += ring_distance(ring->head, ring->tail, SLOTS);
    ring->head = ring->cur = ring->tail;
  }
}

/** With an application that writes and reads every slot and frame. */
static void run_program(void) {
  program_fill(krings[0].ring, batch, seq, size, 0);
  seq += batch;
  sent += batch;
  do_sync();
  for (int i = 0; i < receivers; i++) {
    struct drained d = program_drain(rx_krings[i]->ring);
    received += d.packets;
    sum += d.sum;
  }
}

enum { FRAGMENTS = 4 };

/** Makes packets of `fragments` slots each of the `count` slots from `first` on. */
static void join_slots(struct ring *ring, u32 first, u32 count, u32 fragments) {
  for (u32 k = 0, i = first; k < count; k++, i = ring_next(i, SLOTS))
    if (k % fragments != fragments - 1) slot_set_flags(&ring->slot[i], NS_MOREFRAG);
}

/** Frames of varying length, then of the case's length, so that every slot is as the timed part wants it. */
static u32 prove(u32 fragments) {
  u32 hash = FNV_BASIS;
  for (; seq < PROOF_FRAMES; seq += batch) {
    u32 first = krings[0].ring->head;
    program_fill(krings[0].ring, batch, seq, size, seq < PROOF_FRAMES / 2 ? 7 : 0);
    if (fragments > 1) join_slots(krings[0].ring, first, batch, fragments);
    do_sync();
    for (int i = 0; i < receivers; i++) hash = digest_ring(rx_krings[i]->ring, hash);
  }
  for (u32 i = 0; fragments > 1 && i < SLOTS; i++)
    hash = digest_word(SLOT_FLAGS(slot_word(&rx_krings[0]->ring->slot[i])), hash);
  return hash;
}

static u32 prove_delivery(void) { return prove(1); }
static u32 prove_fragments(void) { return prove(FRAGMENTS); }

static void run_fill(void) {
  struct ring *ring = krings[0].ring;
  u32 n = ring->num_slots, i = ring->head, word = size;
  for (u32 left = batch; left != 0;) {
    u32 run = min_u32(left, n - i);
    for (struct slot *slot = &ring->slot[i], *end = slot + run; slot != end; slot++) slot_set_len_flags(slot, word);
    left -= run;
    i = i + run == n ? 0 : i + run;
  }
  ring->head = ring->cur = i;
}

static u32 prove_fill(void) {
  u32 hash = FNV_BASIS;
  for (u32 k = 0; k < SLOTS / batch; k++) run_fill();
  for (u32 i = 0; i < SLOTS; i++) hash = (hash ^ (u32)(slot_word(&krings[0].ring->slot[i]) >> 32)) * FNV_PRIME;
  return hash;
}

static void run_read(void) {
  struct ring *ring = krings[0].ring;
  u32 n = ring->num_slots, i = ring->head, s = 0;
  for (u32 left = batch; left != 0;) {
    u32 run = min_u32(left, n - i);
    for (struct slot *slot = &ring->slot[i], *end = slot + run; slot != end; slot++) {
      u64 w = slot_word(slot);
      s += SLOT_IDX(w) + SLOT_LEN(w);
    }
    left -= run;
    i = i + run == n ? 0 : i + run;
  }
  ring->head = ring->cur = i;
  sum += s;
}

static u32 prove_read(void) {
  prove_fill();
  sum = 0;
  for (u32 k = 0; k < SLOTS / batch; k++) run_read();
  return sum;
}

static void run_sync(void) {
  for (u32 k = 0; k < batch; k++) sum += ring_sync(&krings[0], self);
}

static u32 prove_sync(void) {
  run_sync();
  return sum + krings[0].ring->tail;
}

/** The fastest of the slices of about a millisecond: the same statistic as in bench/harness.ts. */
static double measure(void (*run)(void), double warmup_ms, double time_ms) {
  u64 runs = 0;
  double start = now_ns(), best = 1e18;
  for (; now_ns() - start < 1e6 * warmup_ms; runs++) run();
  u64 per_slice = runs / warmup_ms;
  if (per_slice == 0) per_slice = 1;
  for (double end = now_ns() + 1e6 * time_ms; now_ns() < end;) {
    double t = now_ns();
    for (u64 i = 0; i < per_slice; i++) run();
    t = (now_ns() - t) / per_slice / batch;
    if (t < best) best = t;
  }
  return best;
}

enum { CABLE = -1 };

struct task {
  const char *name;
  int ports; // of a switch; 0: a pipe, CABLE: two pipes with a cable between them
  bool guests;
  void (*run)(void);
  u32 (*prove)(void);
};

static const struct task tasks[] = {
    {"ring-fill", 0, false, run_fill, prove_fill},
    {"ring-read", 0, false, run_read, prove_read},
    {"ring-sync", 0, false, run_sync, prove_sync},
    {"pipe-transfer", 0, false, run_transfer, prove_delivery},
    {"pipe-program", 0, false, run_program, prove_delivery},
    {"exchange-forward", 0, false, run_exchange, prove_exchange},
    {"exchange-keep", 0, false, run_keep, prove_keep},
    {"vale-forward", 2, false, run_transfer, prove_delivery},
    {"vale-spread", 3, false, run_transfer, prove_delivery},
    {"vale-fragments", 2, false, run_transfer, prove_fragments},
    {"checksum", 2, false, run_checksum, prove_checksum},
    {"copy", 2, false, run_copy, prove_copy},
    {"copy-and-checksum", 2, false, run_copy_checksum, prove_copy_checksum},
    {"segment-v4", 0, false, run_segment, prove_segment_v4},
    {"segment-v6", 0, false, run_segment, prove_segment_v6},
    {"coalesce-1", 0, false, run_coalesce, prove_coalesce_1},
    {"coalesce-8", 0, false, run_coalesce, prove_coalesce_8},
    {"interface-transmit", 2, true, run_transmit, prove_transmit},
    {"interface-offer", 2, true, run_offer, prove_offer},
    {"cable", CABLE, false, run_transfer, prove_delivery},
    {"path-pipe", 0, true, run_program, prove_delivery},
    {"path-vale", 2, true, run_program, prove_delivery},
    {"threads-pipe", 0, true, NULL, NULL},
    {"threads-slots", 0, true, NULL, NULL},
    {"threads-vale", 2, true, NULL, NULL},
    {"notify-pipe", 0, true, NULL, NULL},
    {"notify-vale", 2, true, NULL, NULL},
    {"ping", 0, true, NULL, NULL},
    {"ping, loop thread", 0, true, NULL, NULL},
};

static void learn_port(struct port *port, u64 mac) {
#ifdef NETMAP_TABLE
  table_learn(mac, port->index);
#else
  learn(&bridge, port, mac, self);
#endif
}

static void task_open(const struct task *task) {
  thread_make();
  if (task->ports == CABLE) {
    cable_make();
    do_sync = cable_sync;
  } else if (task->ports == 0) {
    pipe_make();
    if (task->run == run_exchange || task->run == run_keep) exchange_make();
  } else {
    receivers = task->ports - 1;
    vale_make(task->ports);
    for (int i = 0; i < task->ports; i++) learn_port(&ports[i], 2 | (u64)(i + 1) << 40);
  }
  if (task->guests) {
    guests_make();
    do_sync = guest_sync;
  }
  for (int i = 0; i < receivers; i++) rx_krings[i] = &krings[2 * (i + 1) + 1];
  if (task->ports == CABLE) rx_krings[0] = &far_krings[3];
  if (size <= STRIDE) frames_make(krings[0].ring, size, receivers);
}

int main(int argc, char **argv) {
  if (argc != 6) return 2;
  size = atoi(argv[2]);
  batch = atoi(argv[3]);
  for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
    const struct task *task = &tasks[i];
    if (strcmp(task->name, argv[1]) != 0) continue;
    bool in_threads = task->run == NULL;
    if (in_threads) guest_threads[1] = &threads[2];
    if (strncmp(task->name, "notify", 6) == 0 || strcmp(task->name, "ping, loop thread") == 0) loop_thread = &threads[3];
    slots_only = strcmp(task->name, "threads-slots") == 0;
    task_open(task);
    if (strncmp(task->name, "ping", 4) == 0) return run_ping(atof(argv[4]));
    if (in_threads) return run_threads(task->ports == 0, atof(argv[4]), atof(argv[5]));
    u32 digest = task->prove();
    sum = seq = 0;
    sent = received = 0;
    double ns = measure(task->run, atof(argv[4]), atof(argv[5]));
    if (sent != received) return 3;
    if ((task->run == run_transmit || task->run == run_offer) && sum != 0) return 4;
    bool sums = task->run == run_program || task->run == run_exchange || task->run == run_keep;
    if (sums && sum != (u32)(sent * (sent - 1) / 2 + sent * size)) return 4;
    printf("{\"ns\":%.4f,\"digest\":%u,\"sum\":%u}\n", ns, digest, sum);
    return 0;
  }
  return 2;
}
