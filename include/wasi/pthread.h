// Threads of programs that `ptnet exec` runs, each in a worker. Programs that use them are compiled with
// -matomics -mbulk-memory -ftls-model=local-exec.
#ifndef PTNET_WASI_PTHREAD_H
#define PTNET_WASI_PTHREAD_H

#ifndef PTNET_HEAP_H
#define PTNET_HEAP_GROWS
#include <ptnet/heap.h>
#endif
#include <ptnet/futex.h>

#define __NEED_pthread_t
#define __NEED_pthread_once_t
#define __NEED_pthread_key_t
#define __NEED_pthread_attr_t
#include <bits/alltypes.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <ptnet/pthread-sync.h>

#define PTHREAD_CREATE_JOINABLE 0
#define PTHREAD_CREATE_DETACHED 1
#define PTHREAD_EXPLICIT_SCHED 1
#define PTHREAD_INHERIT_SCHED 0
#define PTHREAD_SCOPE_SYSTEM 0
#define PTHREAD_SCOPE_PROCESS 1
#define PTHREAD_CANCEL_ENABLE 0
#define PTHREAD_CANCEL_DISABLE 1
#define PTHREAD_CANCEL_DEFERRED 0
#define PTHREAD_CANCEL_ASYNCHRONOUS 1
#define PTHREAD_CANCELED ((void *)-1)
#define PTHREAD_ONCE_INIT 0
#define PTHREAD_KEYS_MAX 64
#define PTHREAD_STACK_MIN 16384
#define PTHREAD_THREADS_MAX 63
#define PTHREAD_DESTRUCTOR_ITERATIONS 4
#define PTNET_STACK 262144

struct ptnet_cleanup {
  void (*function)(void *);
  void *argument;
  struct ptnet_cleanup *next;
};

// The host writes the first three words.
struct ptnet_thread {
  volatile int done;
  int error; // errno
  int line;  // its number
  volatile int detached;
  void *(*start)(void *);
  void *argument;
  void *result;
  void *memory; // stack and thread-local variables
  struct ptnet_thread *next;
  struct ptnet_cleanup *cleanups;
  void *values[PTHREAD_KEYS_MAX];
  char name[16];
};

__attribute__((weak)) struct ptnet_thread ptnet_first_thread;
// Threads that have not been given back; guarded by the lock.
__attribute__((weak)) struct ptnet_thread *ptnet_threads;
__attribute__((weak)) volatile int ptnet_threads_lock;
__attribute__((weak)) volatile int ptnet_running;
__attribute__((weak, tls_model("local-exec"))) _Thread_local struct ptnet_thread *ptnet_self;

__attribute__((weak)) volatile int ptnet_key_used[PTHREAD_KEYS_MAX];
__attribute__((weak)) void (*ptnet_key_destructors[PTHREAD_KEYS_MAX])(void *);

int ptnet_thread_create(void (*start)(struct ptnet_thread *), struct ptnet_thread *thread, void *stack, void *variables)
    PTNET_IMPORT(thread_create);
_Noreturn void ptnet_thread_exit(void) PTNET_IMPORT(thread_exit);
int ptnet_thread_kill(int line, int signal) PTNET_IMPORT(thread_kill);
size_t ptnet_thread_tls_size(void) PTNET_IMPORT(thread_tls_size);

static inline struct ptnet_thread *ptnet_current(void) {
  return ptnet_self ? ptnet_self : &ptnet_first_thread;
}

static inline pthread_t pthread_self(void) {
  return (pthread_t)ptnet_current();
}

static inline int pthread_equal(pthread_t a, pthread_t b) {
  return a == b;
}

static inline void ptnet_run_destructors(struct ptnet_thread *thread) {
  for (struct ptnet_cleanup *at = thread->cleanups; at; at = thread->cleanups) {
    thread->cleanups = at->next;
    at->function(at->argument);
  }
  for (int round = 0, again = 1; again && round < PTHREAD_DESTRUCTOR_ITERATIONS; round++) {
    again = 0;
    for (int key = 0; key < PTHREAD_KEYS_MAX; key++) {
      void *value = thread->values[key];
      void (*destructor)(void *) = ptnet_key_destructors[key];
      thread->values[key] = NULL;
      if (!value || !destructor || !ptnet_key_used[key]) continue;
      destructor(value);
      again = 1;
    }
  }
}

// Ends the calling thread. The program goes on while others run, also when it was the first one.
_Noreturn static inline void pthread_exit(void *result) {
  struct ptnet_thread *self = ptnet_current();
  self->result = result;
  ptnet_run_destructors(self);
  if (self == &ptnet_first_thread) {
    for (int left = ptnet_load(&ptnet_running); left > 0; left = ptnet_load(&ptnet_running)) {
      ptnet_futex_wait(&ptnet_running, left, PTNET_FOREVER);
    }
    exit(0);
  }
  __atomic_fetch_sub(&ptnet_running, 1, __ATOMIC_SEQ_CST);
  ptnet_futex_wake(&ptnet_running, 1);
  ptnet_thread_exit();
}

__attribute__((weak)) void ptnet_thread_main(struct ptnet_thread *self) {
  ptnet_self = self;
  ptnet_errno_address = &self->error;
  pthread_exit(self->start(self->argument));
}

// Gives back the memory of detached threads that have ended, and of `joined`.
static inline void ptnet_give_back(struct ptnet_thread *joined) {
  struct ptnet_thread *dead = NULL;
  ptnet_lock(&ptnet_threads_lock);
  for (struct ptnet_thread **at = &ptnet_threads; *at;) {
    struct ptnet_thread *thread = *at;
    if (thread != joined && !(thread->detached && ptnet_load(&thread->done))) {
      at = &thread->next;
      continue;
    }
    *at = thread->next;
    thread->next = dead;
    dead = thread;
  }
  ptnet_unlock(&ptnet_threads_lock);
  while (dead) {
    struct ptnet_thread *next = dead->next;
    free(dead->memory);
    free(dead);
    dead = next;
  }
}

// What attributes say: __i[0] = detached, __i[1] = bytes of stack, 0 = the default.
static inline int pthread_create(pthread_t *made, const pthread_attr_t *attr, void *(*start)(void *), void *argument) {
  size_t stack = attr && attr->__u.__i[1] ? (size_t)attr->__u.__i[1] : PTNET_STACK;
  ptnet_give_back(NULL);
  struct ptnet_thread *thread = (struct ptnet_thread *)calloc(1, sizeof *thread);
  void *memory = NULL;
  stack = (stack + 63) & ~(size_t)63;
  if (!thread || posix_memalign(&memory, 64, stack + ptnet_thread_tls_size()) != 0) {
    free(thread);
    return EAGAIN;
  }
  thread->start = start;
  thread->argument = argument;
  thread->memory = memory;
  thread->detached = attr ? attr->__u.__i[0] : 0;
  ptnet_lock(&ptnet_threads_lock);
  thread->next = ptnet_threads;
  ptnet_threads = thread;
  ptnet_unlock(&ptnet_threads_lock);
  __atomic_fetch_add(&ptnet_running, 1, __ATOMIC_SEQ_CST);
  *made = (pthread_t)thread;
  char *top = (char *)memory + stack;
  int error = ptnet_thread_create(ptnet_thread_main, thread, top, top);
  if (error == 0) return 0;
  __atomic_fetch_sub(&ptnet_running, 1, __ATOMIC_SEQ_CST);
  ptnet_give_back(thread);
  return error;
}

static inline int pthread_detach(pthread_t id) {
  struct ptnet_thread *thread = (struct ptnet_thread *)id;
  return __atomic_exchange_n(&thread->detached, 1, __ATOMIC_SEQ_CST) ? EINVAL : 0;
}

static inline int pthread_timedjoin_np(pthread_t id, void **result, const struct timespec *time) {
  struct ptnet_thread *thread = (struct ptnet_thread *)id;
  if (thread == ptnet_current()) return EDEADLK;
  if (thread->detached || thread == &ptnet_first_thread) return EINVAL;
  while (!ptnet_load(&thread->done)) {
    int64_t left = time ? ptnet_until(CLOCK_REALTIME, time) : PTNET_FOREVER;
    if (time && left < 0) return EINVAL;
    if (left == 0) return ETIMEDOUT;
    ptnet_futex_wait(&thread->done, 0, left);
  }
  if (result) *result = thread->result;
  ptnet_give_back(thread);
  return 0;
}

static inline int pthread_join(pthread_t id, void **result) {
  return pthread_timedjoin_np(id, result, NULL);
}

static inline int pthread_tryjoin_np(pthread_t id, void **result) {
  if (!ptnet_load(&((struct ptnet_thread *)id)->done)) return EBUSY;
  return pthread_join(id, result);
}

// The handler runs in that thread, at its next system call.
static inline int pthread_kill(pthread_t id, int signal) {
  struct ptnet_thread *thread = (struct ptnet_thread *)id;
  return ptnet_load(&thread->done) ? ESRCH : ptnet_thread_kill(thread->line, signal);
}

// Nothing here can end another thread.
static inline int pthread_cancel(pthread_t id) {
  (void)id;
  return ENOSYS;
}

static inline void pthread_testcancel(void) {}

static inline int pthread_setcancelstate(int state, int *before) {
  if (before) *before = PTHREAD_CANCEL_ENABLE;
  return state == PTHREAD_CANCEL_ENABLE || state == PTHREAD_CANCEL_DISABLE ? 0 : EINVAL;
}

static inline int pthread_setcanceltype(int type, int *before) {
  if (before) *before = PTHREAD_CANCEL_DEFERRED;
  return type == PTHREAD_CANCEL_DEFERRED ? 0 : type == PTHREAD_CANCEL_ASYNCHRONOUS ? ENOTSUP : EINVAL;
}

#define pthread_cleanup_push(routine, value)                                                                           \
  do {                                                                                                                 \
    struct ptnet_cleanup ptnet_pushed = {routine, value, ptnet_current()->cleanups};                                   \
    ptnet_current()->cleanups = &ptnet_pushed;
#define pthread_cleanup_pop(execute)                                                                                   \
  ptnet_current()->cleanups = ptnet_pushed.next;                                                                       \
  if (execute) ptnet_pushed.function(ptnet_pushed.argument);                                                           \
  }                                                                                                                    \
  while (0)

static inline int pthread_once(pthread_once_t *once, void (*function)(void)) {
  if (ptnet_swap_if(once, 0, 1)) {
    function();
    __atomic_store_n(once, 2, __ATOMIC_SEQ_CST);
    ptnet_futex_wake(once, ~0U);
  }
  while (ptnet_load(once) != 2) ptnet_futex_wait(once, 1, PTNET_FOREVER);
  return 0;
}

static inline int pthread_key_create(pthread_key_t *key, void (*destructor)(void *)) {
  for (unsigned i = 0; i < PTHREAD_KEYS_MAX; i++) {
    if (!ptnet_swap_if(&ptnet_key_used[i], 0, 1)) continue;
    ptnet_key_destructors[i] = destructor;
    ptnet_first_thread.values[i] = NULL;
    ptnet_lock(&ptnet_threads_lock);
    for (struct ptnet_thread *thread = ptnet_threads; thread; thread = thread->next) thread->values[i] = NULL;
    ptnet_unlock(&ptnet_threads_lock);
    *key = i;
    return 0;
  }
  return EAGAIN;
}

static inline int pthread_key_delete(pthread_key_t key) {
  if (key >= PTHREAD_KEYS_MAX || !ptnet_key_used[key]) return EINVAL;
  ptnet_key_used[key] = 0;
  return 0;
}

static inline int pthread_setspecific(pthread_key_t key, const void *value) {
  if (key >= PTHREAD_KEYS_MAX || !ptnet_key_used[key]) return EINVAL;
  ptnet_current()->values[key] = (void *)value;
  return 0;
}

static inline void *pthread_getspecific(pthread_key_t key) {
  return key < PTHREAD_KEYS_MAX ? ptnet_current()->values[key] : NULL;
}

static inline int pthread_setname_np(pthread_t id, const char *name) {
  if (strlen(name) >= sizeof ptnet_first_thread.name) return ERANGE;
  strcpy(((struct ptnet_thread *)id)->name, name);
  return 0;
}

static inline int pthread_getname_np(pthread_t id, char *name, size_t size) {
  const char *own = ((struct ptnet_thread *)id)->name;
  if (strlen(own) >= size) return ERANGE;
  strcpy(name, own);
  return 0;
}

#include <ptnet/pthread-attr.h>

#endif
