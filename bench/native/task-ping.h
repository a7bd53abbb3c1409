// Two guests, a thread each, that send one frame to and fro: the twin of bench/threads/ping.ts. Without a rest before each
// frame they poll; with one they sleep in poll(2).
#pragma once
#include "task-threads.h"

enum { PING_WAIT_MS = 10000 };

static double rest_ms, frame_sent_ns, *ways;
static u32 frames_of_part;
static pthread_barrier_t part_starts;

// POLLIN alone also pushes what is to be sent, as in ours.
static bool ping_look(u32 g) {
  ptnet_txsync(&gkrings[g][0], 0, &loops[g], &threads[g + 1]);
  ptnet_rxsync(&gkrings[g][1], NAF_FORCE_READ, &loops[g], &threads[g + 1]);
  struct ring *ring = krings[2 * g + 1].ring;
  return ring->cur != ring->tail;
}
static bool look_first(void) { return ping_look(0); }
static bool look_second(void) { return ping_look(1); }

static void ping_send(u32 g, u32 seq) {
  struct ring *ring = krings[2 * g].ring;
  *(volatile u32 *)(slot_buf(ring, ring->head) + SEQ_OFS) = seq;
  slot_set_len_flags(&ring->slot[ring->head], size);
  ring->head = ring->cur = ring_next(ring->head, ring->num_slots);
  ptnet_txsync(&gkrings[g][0], 0, &loops[g], &threads[g + 1]);
}

static void ping_receive(u32 g, u32 seq) {
  struct ring *ring = krings[2 * g + 1].ring;
  looker look = g == 0 ? look_first : look_second;
  while (ring->head == ring->tail) {
    if (rest_ms == 0) look();
    else if (!poll_sync(look, PING_WAIT_MS, &threads[g + 1])) abort();
  }
  if (*(volatile u32 *)(slot_buf(ring, ring->head) + SEQ_OFS) != seq) abort();
  ring->head = ring->cur = ring_next(ring->head, ring->num_slots);
}

static void ping_first(void) {
  static u32 seq;
  for (u32 i = 0; i < frames_of_part; i++, seq++) {
    if (rest_ms > 0) usleep((useconds_t)(1000 * rest_ms));
    frame_sent_ns = now_ns();
    ping_send(0, seq);
    ping_receive(0, seq);
    if (rest_ms == 0) ways[i] = (now_ns() - frame_sent_ns) / 2;
  }
}

static void *ping_second(void *unused) {
  for (u32 seq = 0;;) {
    pthread_barrier_wait(&part_starts);
    for (u32 i = 0, count = frames_of_part; i < count; i++, seq++) {
      ping_receive(1, seq);
      if (rest_ms > 0) ways[i] = now_ns() - frame_sent_ns;
      ping_send(1, seq);
    }
  }
  return unused;
}

/** For each count that it reads: plays as many frames, and prints ns of each one's way, a line each. */
static int run_ping(double rest) {
  pthread_t second, runs_loops;
  rest_ms = rest;
  frames_make(krings[2].ring, size, 1);
  if (loop_thread && pthread_create(&runs_loops, NULL, run_loops, NULL)) return 1;
  if (pthread_barrier_init(&part_starts, NULL, 2) || pthread_create(&second, NULL, ping_second, NULL)) return 1;
  while (scanf("%u", &frames_of_part) == 1) {
    u32 count = frames_of_part;
    if (!(ways = calloc(count, sizeof *ways))) return 1;
    pthread_barrier_wait(&part_starts);
    ping_first();
    for (u32 i = 0; i < count; i++) printf("%.0f\n", ways[i]);
    fflush(stdout);
    free(ways);
  }
  return 0; // the other threads sleep
}
