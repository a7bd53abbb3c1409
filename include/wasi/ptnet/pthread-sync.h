// Mutexes, condition variables, read-write locks, barriers and spin locks.
#ifndef PTNET_PTHREAD_SYNC_H
#define PTNET_PTHREAD_SYNC_H

#define __NEED_pthread_mutex_t
#define __NEED_pthread_mutexattr_t
#define __NEED_pthread_cond_t
#define __NEED_pthread_condattr_t
#define __NEED_pthread_rwlock_t
#define __NEED_pthread_rwlockattr_t
#define __NEED_pthread_barrier_t
#define __NEED_pthread_barrierattr_t
#define __NEED_pthread_spinlock_t
#include <bits/alltypes.h>

#define PTHREAD_MUTEX_NORMAL 0
#define PTHREAD_MUTEX_DEFAULT 0
#define PTHREAD_MUTEX_RECURSIVE 1
#define PTHREAD_MUTEX_ERRORCHECK 2
#define PTHREAD_MUTEX_STALLED 0
#define PTHREAD_MUTEX_ROBUST 1
#define PTHREAD_PRIO_NONE 0
#define PTHREAD_PRIO_INHERIT 1
#define PTHREAD_PRIO_PROTECT 2
#define PTHREAD_PROCESS_PRIVATE 0
#define PTHREAD_PROCESS_SHARED 1
#define PTHREAD_BARRIER_SERIAL_THREAD (-1)
#define PTHREAD_MUTEX_INITIALIZER {{{0}}}
#define PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP {{{0, PTHREAD_MUTEX_RECURSIVE}}}
#define PTHREAD_COND_INITIALIZER {{{0}}}
#define PTHREAD_RWLOCK_INITIALIZER {{{0}}}

// The words of a mutex: the lock, its type, the thread that has it, how often that has locked it beyond once.
#define PTNET_MUTEX_TYPE __u.__i[1]
#define PTNET_MUTEX_OWNER __u.__vi[2]
#define PTNET_MUTEX_COUNT __u.__i[3]

static inline pthread_t pthread_self(void);

static inline int pthread_mutexattr_init(pthread_mutexattr_t *attr) {
  attr->__attr = PTHREAD_MUTEX_DEFAULT;
  return 0;
}

static inline int pthread_mutexattr_destroy(pthread_mutexattr_t *attr) {
  (void)attr;
  return 0;
}

static inline int pthread_mutexattr_settype(pthread_mutexattr_t *attr, int type) {
  if (type < PTHREAD_MUTEX_NORMAL || type > PTHREAD_MUTEX_ERRORCHECK) return EINVAL;
  attr->__attr = (unsigned)type;
  return 0;
}

static inline int pthread_mutexattr_gettype(const pthread_mutexattr_t *attr, int *type) {
  *type = (int)attr->__attr;
  return 0;
}

// There is one process, and all of it ends with a thread that fails: nothing is left locked by the dead.
static inline int pthread_mutexattr_setpshared(pthread_mutexattr_t *attr, int shared) {
  (void)attr;
  return shared == PTHREAD_PROCESS_PRIVATE || shared == PTHREAD_PROCESS_SHARED ? 0 : EINVAL;
}

static inline int pthread_mutexattr_setrobust(pthread_mutexattr_t *attr, int robust) {
  (void)attr;
  return robust == PTHREAD_MUTEX_STALLED ? 0 : robust == PTHREAD_MUTEX_ROBUST ? ENOTSUP : EINVAL;
}

static inline int pthread_mutexattr_setprotocol(pthread_mutexattr_t *attr, int protocol) {
  (void)attr;
  return protocol == PTHREAD_PRIO_NONE ? 0 : ENOTSUP;
}

static inline int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr) {
  memset(mutex, 0, sizeof *mutex);
  if (attr) mutex->PTNET_MUTEX_TYPE = (int)attr->__attr;
  return 0;
}

static inline int pthread_mutex_destroy(pthread_mutex_t *mutex) {
  return ptnet_load(mutex->__u.__vi) ? EBUSY : 0;
}

// What locking says before it waits: 0 = it has to, -1 = the thread has it now once more, or an error.
static inline int ptnet_mutex_again(pthread_mutex_t *mutex) {
  if (mutex->PTNET_MUTEX_TYPE == PTHREAD_MUTEX_NORMAL || mutex->PTNET_MUTEX_OWNER != (int)pthread_self()) return 0;
  if (mutex->PTNET_MUTEX_TYPE == PTHREAD_MUTEX_ERRORCHECK) return EDEADLK;
  mutex->PTNET_MUTEX_COUNT++;
  return -1;
}

static inline int pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock, const struct timespec *time) {
  int again = ptnet_mutex_again(mutex);
  if (again != 0) return again < 0 ? 0 : again;
  if (!ptnet_try_lock(mutex->__u.__vi)) {
    if (time && ptnet_until(clock, time) < 0) return EINVAL;
    if (!ptnet_lock_until(mutex->__u.__vi, clock, time)) return ETIMEDOUT;
  }
  mutex->PTNET_MUTEX_OWNER = (int)pthread_self();
  return 0;
}

static inline int pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *time) {
  return pthread_mutex_clocklock(mutex, CLOCK_REALTIME, time);
}

static inline int pthread_mutex_lock(pthread_mutex_t *mutex) {
  return pthread_mutex_clocklock(mutex, CLOCK_REALTIME, NULL);
}

static inline int pthread_mutex_trylock(pthread_mutex_t *mutex) {
  int again = ptnet_mutex_again(mutex);
  if (again != 0) return again < 0 ? 0 : EBUSY;
  if (!ptnet_try_lock(mutex->__u.__vi)) return EBUSY;
  mutex->PTNET_MUTEX_OWNER = (int)pthread_self();
  return 0;
}

static inline int pthread_mutex_unlock(pthread_mutex_t *mutex) {
  if (mutex->PTNET_MUTEX_TYPE != PTHREAD_MUTEX_NORMAL) {
    if (mutex->PTNET_MUTEX_OWNER != (int)pthread_self()) return EPERM;
    if (mutex->PTNET_MUTEX_COUNT > 0) {
      mutex->PTNET_MUTEX_COUNT--;
      return 0;
    }
  }
  mutex->PTNET_MUTEX_OWNER = 0;
  ptnet_unlock(mutex->__u.__vi);
  return 0;
}

// The words of a condition variable: how often it was signalled, its clock.
static inline int pthread_condattr_init(pthread_condattr_t *attr) {
  attr->__attr = 0;
  return 0;
}

static inline int pthread_condattr_destroy(pthread_condattr_t *attr) {
  (void)attr;
  return 0;
}

static inline int pthread_condattr_setpshared(pthread_condattr_t *attr, int shared) {
  (void)attr;
  return shared == PTHREAD_PROCESS_PRIVATE || shared == PTHREAD_PROCESS_SHARED ? 0 : EINVAL;
}

static inline int pthread_condattr_setclock(pthread_condattr_t *attr, clockid_t clock) {
  if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC) return EINVAL;
  attr->__attr = clock == CLOCK_MONOTONIC;
  return 0;
}

static inline int pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attr) {
  memset(condition, 0, sizeof *condition);
  if (attr) condition->__u.__i[1] = (int)attr->__attr;
  return 0;
}

static inline int pthread_cond_destroy(pthread_cond_t *condition) {
  (void)condition;
  return 0;
}

static inline int pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock,
                                         const struct timespec *time) {
  int64_t left = time ? ptnet_until(clock, time) : PTNET_FOREVER;
  if (time && left < 0) return EINVAL;
  int seen = ptnet_load(condition->__u.__vi);
  int error = pthread_mutex_unlock(mutex);
  if (error != 0) return error;
  int outcome = left == 0 ? ETIMEDOUT : ptnet_futex_wait(condition->__u.__vi, seen, left);
  pthread_mutex_lock(mutex);
  return outcome == ETIMEDOUT && ptnet_load(condition->__u.__vi) == seen ? ETIMEDOUT : 0;
}

static inline int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                         const struct timespec *time) {
  return pthread_cond_clockwait(condition, mutex, condition->__u.__i[1] ? CLOCK_MONOTONIC : CLOCK_REALTIME, time);
}

static inline int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex) {
  return pthread_cond_clockwait(condition, mutex, CLOCK_REALTIME, NULL);
}

static inline int pthread_cond_broadcast(pthread_cond_t *condition) {
  __atomic_fetch_add(condition->__u.__vi, 1, __ATOMIC_SEQ_CST);
  ptnet_futex_wake(condition->__u.__vi, ~0U);
  return 0;
}

static inline int pthread_cond_signal(pthread_cond_t *condition) {
  __atomic_fetch_add(condition->__u.__vi, 1, __ATOMIC_SEQ_CST);
  ptnet_futex_wake(condition->__u.__vi, 1);
  return 0;
}

// The word of a read-write lock: readers, or -1 for a writer.
static inline int pthread_rwlock_init(pthread_rwlock_t *lock, const pthread_rwlockattr_t *attr) {
  (void)attr;
  memset(lock, 0, sizeof *lock);
  return 0;
}

static inline int pthread_rwlock_destroy(pthread_rwlock_t *lock) {
  return ptnet_load(lock->__u.__vi) ? EBUSY : 0;
}

static inline int pthread_rwlock_tryrdlock(pthread_rwlock_t *lock) {
  int readers = ptnet_load(lock->__u.__vi);
  for (; readers >= 0; readers = ptnet_load(lock->__u.__vi)) {
    if (ptnet_swap_if(lock->__u.__vi, readers, readers + 1)) return 0;
  }
  return EBUSY;
}

static inline int pthread_rwlock_trywrlock(pthread_rwlock_t *lock) {
  return ptnet_swap_if(lock->__u.__vi, 0, -1) ? 0 : EBUSY;
}

static inline int pthread_rwlock_rdlock(pthread_rwlock_t *lock) {
  while (pthread_rwlock_tryrdlock(lock) != 0) ptnet_futex_wait(lock->__u.__vi, -1, PTNET_FOREVER);
  return 0;
}

static inline int pthread_rwlock_wrlock(pthread_rwlock_t *lock) {
  while (pthread_rwlock_trywrlock(lock) != 0) {
    int held = ptnet_load(lock->__u.__vi);
    if (held != 0) ptnet_futex_wait(lock->__u.__vi, held, PTNET_FOREVER);
  }
  return 0;
}

static inline int pthread_rwlock_unlock(pthread_rwlock_t *lock) {
  if (ptnet_swap_if(lock->__u.__vi, -1, 0) || __atomic_sub_fetch(lock->__u.__vi, 1, __ATOMIC_SEQ_CST) == 0) {
    ptnet_futex_wake(lock->__u.__vi, ~0U);
  }
  return 0;
}

// The words of a barrier: rounds that are over, threads that it waits for, threads that have come.
static inline int pthread_barrier_init(pthread_barrier_t *barrier, const pthread_barrierattr_t *attr, unsigned count) {
  (void)attr;
  if (count == 0) return EINVAL;
  memset(barrier, 0, sizeof *barrier);
  barrier->__u.__i[1] = (int)count;
  return 0;
}

static inline int pthread_barrier_destroy(pthread_barrier_t *barrier) {
  (void)barrier;
  return 0;
}

static inline int pthread_barrier_wait(pthread_barrier_t *barrier) {
  int round = ptnet_load(barrier->__u.__vi);
  if (__atomic_add_fetch(&barrier->__u.__vi[2], 1, __ATOMIC_SEQ_CST) == barrier->__u.__i[1]) {
    __atomic_store_n(&barrier->__u.__vi[2], 0, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(barrier->__u.__vi, 1, __ATOMIC_SEQ_CST);
    ptnet_futex_wake(barrier->__u.__vi, ~0U);
    return PTHREAD_BARRIER_SERIAL_THREAD;
  }
  while (ptnet_load(barrier->__u.__vi) == round) ptnet_futex_wait(barrier->__u.__vi, round, PTNET_FOREVER);
  return 0;
}

static inline int pthread_spin_init(pthread_spinlock_t *lock, int shared) {
  (void)shared;
  *lock = 0;
  return 0;
}

static inline int pthread_spin_destroy(pthread_spinlock_t *lock) {
  (void)lock;
  return 0;
}

static inline int pthread_spin_trylock(pthread_spinlock_t *lock) {
  return ptnet_try_lock(lock) ? 0 : EBUSY;
}

static inline int pthread_spin_lock(pthread_spinlock_t *lock) {
  while (!ptnet_try_lock(lock)) {
  }
  return 0;
}

static inline int pthread_spin_unlock(pthread_spinlock_t *lock) {
  __atomic_store_n(lock, 0, __ATOMIC_SEQ_CST);
  return 0;
}

#endif
