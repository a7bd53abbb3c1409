// The bare cost of waking a thread: a word to and fro between two threads that sleep in futex(2) meanwhile.
//
//   futex REST_US     for each COUNT on stdin: prints ns from before the wake-up until the other thread runs, a line each
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/** Ways of one part. */
enum { MOST = 1 << 16 };

static _Alignas(64) _Atomic uint32_t words[2][16];

static void post(int i, uint32_t value) {
  atomic_store(&words[i][0], value);
  syscall(SYS_futex, &words[i][0], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void await(int i, uint32_t before) {
  while (atomic_load(&words[i][0]) == before) syscall(SYS_futex, &words[i][0], FUTEX_WAIT_PRIVATE, before, NULL, NULL, 0);
}

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e9 * t.tv_sec + t.tv_nsec;
}

static double sent, *ways;

static void *answer(void *unused) {
  for (uint32_t i = 0;; i++) {
    await(0, i);
    ways[i % MOST] = now_ns() - sent;
    post(1, i + 1);
  }
  return unused;
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  pthread_t other;
  ways = calloc(MOST, sizeof *ways);
  if (!ways || pthread_create(&other, NULL, answer, NULL)) return 1;
  uint32_t i = 0;
  for (uint32_t count; scanf("%u", &count) == 1 && count <= MOST;) {
    uint32_t first = i;
    for (; i != first + count; i++) {
      usleep(atoi(argv[1]));
      sent = now_ns();
      post(0, i + 1);
      await(1, i);
    }
    for (; first != i; first++) printf("%.0f\n", ways[first % MOST]);
    fflush(stdout);
  }
  return 0; // the other thread sleeps
}
