// Waiting for words of memory, and locks made of that. For what needs them in programs with threads.
#ifndef PTNET_FUTEX_H
#define PTNET_FUTEX_H

#ifndef __wasm_atomics__
#error "programs with threads are compiled with -matomics -mbulk-memory"
#endif

#include <errno.h>
#include <stdint.h>
#include <time.h>

#define PTNET_IMPORT(name) __attribute__((import_module("ptnet"), import_name(#name)))
#define PTNET_FOREVER (-1)

// Sleeps while *word is `expected`; 0, which may be for nothing, ETIMEDOUT, or EINTR when a handler has run.
int ptnet_futex_wait(volatile int *word, int expected, int64_t nanoseconds) PTNET_IMPORT(futex_wait);

static inline void ptnet_futex_wake(volatile int *word, unsigned count) {
  __builtin_wasm_memory_atomic_notify((int *)word, count);
}

static inline int ptnet_load(volatile int *word) {
  return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static inline int ptnet_swap_if(volatile int *word, int before, int after) {
  return __atomic_compare_exchange_n(word, &before, after, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

// Nanoseconds until a time of a clock; 0 when it has passed, -1 when it is no time.
static inline int64_t ptnet_until(clockid_t clock, const struct timespec *time) {
  struct timespec now;
  if (time->tv_nsec < 0 || time->tv_nsec >= 1000000000) return -1;
  clock_gettime(clock, &now);
  int64_t left = (time->tv_sec - now.tv_sec) * 1000000000LL + (time->tv_nsec - now.tv_nsec);
  return left > 0 ? left : 0;
}

// A lock of one word: 0 = free, 1 = held, 2 = held, and somebody sleeps.
static inline int ptnet_try_lock(volatile int *lock) {
  return ptnet_swap_if(lock, 0, 1);
}

// False when the time has come first. Signals do not end it.
static inline int ptnet_lock_until(volatile int *lock, clockid_t clock, const struct timespec *time) {
  if (ptnet_try_lock(lock)) return 1;
  while (__atomic_exchange_n(lock, 2, __ATOMIC_SEQ_CST) != 0) {
    int64_t left = time ? ptnet_until(clock, time) : PTNET_FOREVER;
    if (left == 0) return 0;
    ptnet_futex_wait(lock, 2, left);
  }
  return 1;
}

static inline void ptnet_lock(volatile int *lock) {
  ptnet_lock_until(lock, CLOCK_REALTIME, 0);
}

static inline void ptnet_unlock(volatile int *lock) {
  if (__atomic_exchange_n(lock, 0, __ATOMIC_SEQ_CST) == 2) ptnet_futex_wake(lock, 1);
}

#endif
