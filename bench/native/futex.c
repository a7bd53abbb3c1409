// The bare cost of waking a thread: a word to and fro between two threads that sleep in futex(2) meanwhile.
//
//   futex COUNT REST_US     prints ns from before the wake-up until the other thread runs, COUNT times, a line each
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Alignas(64) _Atomic uint32_t words[2][16];
static int count;

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
  for (int i = 0; i < count; i++) {
    await(0, i);
    ways[i] = now_ns() - sent;
    post(1, i + 1);
  }
  return unused;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  count = atoi(argv[1]);
  ways = calloc(count, sizeof *ways);
  pthread_t other;
  if (!ways || pthread_create(&other, NULL, answer, NULL)) return 1;
  for (int i = 0; i < count; i++) {
    usleep(atoi(argv[2]));
    sent = now_ns();
    post(0, i + 1);
    await(1, i);
  }
  pthread_join(other, NULL);
  for (int i = 0; i < count; i++) printf("%.0f\n", ways[i]);
  return 0;
}
