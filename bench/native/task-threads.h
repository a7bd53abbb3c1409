// Two guests, a thread each, that poll without ever sleeping; each runs its own kernel loop. The twin of
// bench/threads/polled.ts, with the same proof: a window of frames at a time, until all are there.
#pragma once
#include <pthread.h>

#include "tasks.h"

static double now_ns(void);

LINE static _Atomic u64 sent_word; // frames that the sender has sent when it has stopped
LINE static _Atomic u64 received_word;
static _Atomic bool sender_done;

static u64 digest_of_thread, sum_of_thread;
static double seconds_ms, started_ns, ended_ns;

static void send_frames(u32 first, u32 count, u32 vary) {
  struct ring *ring = krings[0].ring;
  program_fill(ring, count, first, size, vary);
  if (ptnet_txsync(&gkrings[0][0], 0)) kick(&loops[0], 0, &threads[1]);
}

static void look(void) {
  if (ptnet_rxsync(&gkrings[1][1], 0)) kick(&loops[1], 1, &threads[2]);
}

static u32 room(void) {
  struct ring *ring = krings[0].ring;
  return ring_distance(ring->head, ring->tail, SLOTS);
}

static void *prove_receiver(void *unused) {
  struct ring *ring = krings[3].ring;
  u32 hash = FNV_BASIS;
  for (u64 got = 0; got < PROOF_FRAMES;) {
    look();
    got += ring_distance(ring->head, ring->tail, SLOTS);
    hash = digest_ring(ring, hash);
    look(); // gives the slots back
    atomic_store(&received_word, got);
  }
  digest_of_thread = hash;
  return unused;
}

static void *run_receiver(void *unused) {
  struct ring *ring = krings[3].ring;
  u64 packets = 0;
  u32 s = 0;
  for (u64 before = ~0ull; packets != before || !atomic_load(&sender_done);) {
    // A look shows what the kernel loop has published at the one before.
    before = atomic_load(&sender_done) ? packets : ~0ull;
    for (int i = 0; i < 64; i++) {
      look();
      struct drained d = program_drain(ring);
      packets += d.packets;
      s += d.sum;
    }
  }
  ended_ns = now_ns();
  sum_of_thread = s;
  atomic_store(&received_word, packets);
  return unused;
}

static void *run_sender(void *unused) {
  u64 seq = 0;
  started_ns = now_ns();
  while (now_ns() - started_ns < 1e6 * seconds_ms) {
    for (int i = 0; i < 64; i++) {
      u32 n = min_u32(batch, room());
      send_frames(seq, n, 0);
      seq += n;
    }
  }
  for (int i = 0; i < 3; i++) send_frames(seq, 0, 0); // nothing is left in the ring
  atomic_store(&sent_word, seq);
  atomic_store(&sender_done, true);
  return unused;
}

static void in_two_threads(void *(*sender)(void *), void *(*receiver)(void *)) {
  pthread_t threads_of[2];
  if (pthread_create(&threads_of[1], NULL, receiver, NULL) || pthread_create(&threads_of[0], NULL, sender, NULL)) abort();
  for (int i = 0; i < 2; i++) pthread_join(threads_of[i], NULL);
}

static void *prove_sender(void *unused) {
  for (u32 first = 0; first < PROOF_FRAMES; first += batch) {
    for (u32 seq = first; seq < first + batch;) {
      u32 n = min_u32(first + batch - seq, room());
      send_frames(seq, n, first < PROOF_FRAMES / 2 ? 7 : 0);
      seq += n;
    }
    while (atomic_load(&received_word) < first + batch) send_frames(first, 0, 0);
  }
  return unused;
}

/** Prints what it measured. A switch may drop; what arrives over a pipe is all that was sent. */
static int run_threads(bool lossless, double warmup_ms, double time_ms) {
  in_two_threads(prove_sender, prove_receiver);
  u32 digest = digest_of_thread;
  for (int turn = 0; turn < 2; turn++) {
    seconds_ms = turn == 0 ? warmup_ms : time_ms;
    atomic_store(&sender_done, false);
    in_two_threads(run_sender, run_receiver);
    u64 s = atomic_load(&sent_word), r = atomic_load(&received_word);
    if (lossless && (s != r || (u32)sum_of_thread != (u32)(s * (s - 1) / 2 + s * size))) return 4;
    double dropped = s == 0 ? 0 : 100.0 * (double)(s - r) / (double)s;
    if (turn == 1)
      printf("{\"ns\":%.4f,\"digest\":%u,\"dropped\":%.3f}\n", (ended_ns - started_ns) / r, digest, dropped);
  }
  return 0;
}
