// Semaphores of programs that `ptnet exec` runs.
#ifndef PTNET_WASI_SEMAPHORE_H
#define PTNET_WASI_SEMAPHORE_H

#define sem_t ptnet_libc_sem_t
#define sem_init ptnet_libc_sem_init
#define sem_destroy ptnet_libc_sem_destroy
#define sem_getvalue ptnet_libc_sem_getvalue
#define sem_post ptnet_libc_sem_post
#define sem_trywait ptnet_libc_sem_trywait
#define sem_timedwait ptnet_libc_sem_timedwait
#define sem_wait ptnet_libc_sem_wait
#include_next <semaphore.h>
#undef sem_t
#undef sem_init
#undef sem_destroy
#undef sem_getvalue
#undef sem_post
#undef sem_trywait
#undef sem_timedwait
#undef sem_wait
#include <limits.h>
#include <ptnet/futex.h>

typedef ptnet_libc_sem_t sem_t;

#ifndef SEM_VALUE_MAX
#define SEM_VALUE_MAX 0x7fffffff
#endif

static inline int ptnet_sem_error(int error) {
  if (error == 0) return 0;
  errno = error;
  return -1;
}

static inline int sem_init(sem_t *semaphore, int shared, unsigned value) {
  (void)shared; // there is one process
  if (value > SEM_VALUE_MAX) return ptnet_sem_error(EINVAL);
  semaphore->__val[0] = (int)value;
  return 0;
}

static inline int sem_destroy(sem_t *semaphore) {
  (void)semaphore;
  return 0;
}

static inline int sem_getvalue(sem_t *semaphore, int *value) {
  *value = ptnet_load(semaphore->__val);
  return 0;
}

static inline int sem_post(sem_t *semaphore) {
  int value = ptnet_load(semaphore->__val);
  for (; value < SEM_VALUE_MAX; value = ptnet_load(semaphore->__val)) {
    if (!ptnet_swap_if(semaphore->__val, value, value + 1)) continue;
    ptnet_futex_wake(semaphore->__val, 1);
    return 0;
  }
  return ptnet_sem_error(EOVERFLOW);
}

static inline int sem_trywait(sem_t *semaphore) {
  int value = ptnet_load(semaphore->__val);
  for (; value > 0; value = ptnet_load(semaphore->__val)) {
    if (ptnet_swap_if(semaphore->__val, value, value - 1)) return 0;
  }
  return ptnet_sem_error(EAGAIN);
}

static inline int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *time) {
  int before = errno;
  while (sem_trywait(semaphore) != 0) {
    int64_t left = time ? ptnet_until(clock, time) : PTNET_FOREVER;
    if (time && left < 0) return ptnet_sem_error(EINVAL);
    if (left == 0) return ptnet_sem_error(ETIMEDOUT);
    if (ptnet_futex_wait(semaphore->__val, 0, left) == EINTR) return ptnet_sem_error(EINTR);
  }
  errno = before;
  return 0;
}

static inline int sem_timedwait(sem_t *semaphore, const struct timespec *time) {
  return sem_clockwait(semaphore, CLOCK_REALTIME, time);
}

static inline int sem_wait(sem_t *semaphore) {
  return sem_clockwait(semaphore, CLOCK_REALTIME, NULL);
}

#endif
