// Two guests, a thread each. Without `loop_thread` they poll and never sleep, and each runs its own kernel loop; with it they
// sleep in poll(2), and that thread runs the loops. The twin of bench/threads/polled.ts and ptnet.ts, with the same proof: a
// window of frames at a time, until all are there.
#pragma once
#include <pthread.h>

#include "poll.h"
#include "tasks.h"

/** Looks between two looks at the clock; how long (ms) a poll may sleep; how long nothing comes when some were dropped. */
enum { LOOKS = 64, WAIT_MS = 100, QUIET_MS = 100 };

LINE static _Atomic u64 sent_word; // frames that the sender has sent when it has stopped
LINE static _Atomic u64 received_word;
static _Atomic bool sender_done;

static bool slots_only; // the programs leave the frames alone
static u64 digest_of_thread, sum_of_thread;
static double seconds_ms, started_ns, ended_ns;

static bool can_send(void) {
  ptnet_txsync(&gkrings[0][0], 0, &loops[0], &threads[1]);
  return krings[0].ring->cur != krings[0].ring->tail;
}

static bool can_receive(void) {
  ptnet_rxsync(&gkrings[1][1], NAF_FORCE_READ, &loops[1], &threads[2]);
  return krings[3].ring->cur != krings[3].ring->tail;
}

/** Sends up to `count` frames. Returns how many. */
static u32 send_frames(u32 first, u32 count, u32 vary) {
  struct ring *ring = krings[0].ring;
  u32 n = min_u32(count, ring_distance(ring->head, ring->tail, SLOTS));
  if (slots_only) slots_fill(ring, n, first, size, vary);
  else program_fill(ring, n, first, size, vary);
  if (loop_thread && n == 0 && count != 0) poll_sync(can_send, WAIT_MS, &threads[1]);
  else can_send();
  return n;
}

static u32 arrived(void) {
  struct ring *ring = krings[3].ring;
  return ring_distance(ring->head, ring->tail, SLOTS);
}

static void *prove_receiver(void *unused) {
  u32 hash = FNV_BASIS;
  for (u64 got = 0; got < PROOF_FRAMES;) {
    can_receive();
    got += arrived();
    hash = slots_only ? digest_slots(krings[3].ring, hash) : digest_ring(krings[3].ring, hash);
    can_receive(); // gives the slots back
    atomic_store(&received_word, got);
  }
  digest_of_thread = hash;
  return unused;
}

static void *run_receiver(void *unused) {
  u64 packets = 0;
  u32 s = 0;
  for (bool done = false;;) {
    if (!done) {
      done = atomic_load(&sender_done);
      ended_ns = now_ns();
    }
    u64 before = packets;
    for (u32 i = 0; i < LOOKS; i++) {
      if (loop_thread && !done) poll_sync(can_receive, WAIT_MS, &threads[2]);
      else can_receive();
      struct drained d = slots_only ? slots_drain(krings[3].ring) : program_drain(krings[3].ring);
      packets += d.packets;
      s += d.sum;
      if (loop_thread && d.packets == 0) break;
    }
    if (!done) continue;
    double now = now_ns();
    if (packets != before) ended_ns = now;
    if (packets == atomic_load(&sent_word) || now - ended_ns > 1e6 * QUIET_MS) break;
  }
  sum_of_thread = s;
  atomic_store(&received_word, packets);
  return unused;
}

static void *run_sender(void *unused) {
  u64 seq = 0;
  started_ns = now_ns();
  while (now_ns() - started_ns < 1e6 * seconds_ms)
    for (u32 i = 0; i < LOOKS; i++) seq += send_frames(seq, batch, 0);
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
    for (u32 seq = first; seq < first + batch;)
      seq += send_frames(seq, first + batch - seq, first < PROOF_FRAMES / 2 ? 7 : 0);
    while (atomic_load(&received_word) < first + batch) send_frames(first, 0, 0);
  }
  return unused;
}

/** Proof, warm-up and run; prints what it measured. A switch may drop; what arrives over a pipe is all that was sent. */
static int prove_and_run(bool lossless, double warmup_ms, double time_ms) {
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

static int run_threads(bool lossless, double warmup_ms, double time_ms) {
  pthread_t runs_loops;
  if (loop_thread && pthread_create(&runs_loops, NULL, run_loops, NULL)) abort();
  int result = prove_and_run(lossless, warmup_ms, time_ms);
  if (loop_thread) {
    atomic_store(&loops_end, true);
    thread_wake(loop_thread);
    pthread_join(runs_loops, NULL);
  }
  return result;
}
