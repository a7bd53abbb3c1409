// Threads as a program finds them. Prints what is not as it should be, and at last how many checks there were.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static volatile int checks, failures;
static void check(int ok, const char *what, int line) {
  __atomic_fetch_add(&checks, 1, __ATOMIC_SEQ_CST);
  if (ok) return;
  __atomic_fetch_add(&failures, 1, __ATOMIC_SEQ_CST);
  printf("line %d: %s (errno %d)\n", line, what, errno);
}
#define CHECK(what) check(what, #what, __LINE__)
#define FAILS(call, error) check((call) == -1 && errno == (error), #call, __LINE__)

#define THREADS 6
#define ROUNDS 2000

static struct timespec in_milliseconds(clockid_t clock, long ms) {
  struct timespec time;
  clock_gettime(clock, &time);
  time.tv_nsec += ms % 1000 * 1000000;
  time.tv_sec += ms / 1000 + time.tv_nsec / 1000000000;
  time.tv_nsec %= 1000000000;
  return time;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long sum, turn;
static int plain = 5;
static __thread int own = 3;
static __thread char scratch[300];
_Thread_local long long global_own = 11;

// Everybody adds under the lock, allocates, prints into memory, and has variables of its own.
static void *adder(void *argument) {
  CHECK(own == 3 && global_own == 11 && scratch[299] == 0);
  own = (int)(long)argument;
  memset(scratch, own, sizeof scratch);
  void *blocks[8] = {0};
  for (int i = 0; i < ROUNDS; i++) {
    pthread_mutex_lock(&mutex);
    sum++;
    pthread_mutex_unlock(&mutex);
    size_t size = 16 + (size_t)(i * 37 % 900);
    free(blocks[i % 8]);
    blocks[i % 8] = memset(malloc(size), own, size);
    if (((char *)blocks[i % 8])[size - 1] != own) CHECK(!"blocks overlap");
  }
  for (int i = 0; i < 8; i++) free(blocks[i]);
  CHECK(own == (int)(long)argument && scratch[299] == own);
  return (void *)(long)(own * 2);
}

static void adding(void) {
  pthread_t threads[THREADS];
  for (long i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, adder, (void *)i) == 0);
  own = 77;
  for (long i = 0; i < THREADS; i++) {
    void *result;
    CHECK(pthread_join(threads[i], &result) == 0 && (long)result == i * 2);
  }
  CHECK(sum == THREADS * ROUNDS && own == 77 && plain == 5);
}

// Taking turns by a condition variable.
static void *player(void *argument) {
  for (int i = 0; i < 200; i++) {
    pthread_mutex_lock(&mutex);
    while (turn % 3 != (long)argument) pthread_cond_wait(&changed, &mutex);
    turn++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
  }
  return NULL;
}

static void turns(void) {
  pthread_t threads[3];
  for (long i = 0; i < 3; i++) pthread_create(&threads[i], NULL, player, (void *)i);
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  CHECK(turn == 600);
  struct timespec soon = in_milliseconds(CLOCK_REALTIME, 30);
  pthread_mutex_lock(&mutex);
  CHECK(pthread_cond_timedwait(&changed, &mutex, &soon) == ETIMEDOUT);
  CHECK(pthread_mutex_trylock(&mutex) == EBUSY);
  pthread_mutex_unlock(&mutex);
}

static sem_t ping, pong;
static pthread_mutex_t held;
static void *partner(void *argument) {
  (void)argument;
  struct timespec soon = in_milliseconds(CLOCK_REALTIME, 20), far = in_milliseconds(CLOCK_REALTIME, 60000);
  CHECK(pthread_mutex_trylock(&held) == EBUSY && pthread_mutex_timedlock(&held, &soon) == ETIMEDOUT);
  CHECK(pthread_mutex_unlock(&held) == EPERM);
  for (int i = 0; i < ROUNDS; i++) {
    CHECK(sem_wait(&ping) == 0);
    sem_post(&pong);
  }
  sem_post(&pong);
  CHECK(pthread_mutex_timedlock(&held, &far) == 0 && pthread_mutex_unlock(&held) == 0);
  return NULL;
}

static void semaphores(void) {
  pthread_mutexattr_t attr;
  pthread_mutexattr_init(&attr);
  CHECK(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE) == 0);
  pthread_mutex_init(&held, &attr);
  CHECK(pthread_mutex_lock(&held) == 0 && pthread_mutex_lock(&held) == 0 && pthread_mutex_trylock(&held) == 0);
  CHECK(sem_init(&ping, 0, 0) == 0 && sem_init(&pong, 0, 0) == 0);
  struct timespec soon = in_milliseconds(CLOCK_REALTIME, 30), before = in_milliseconds(CLOCK_REALTIME, 0), after;
  FAILS(sem_timedwait(&ping, &soon), ETIMEDOUT);
  clock_gettime(CLOCK_REALTIME, &after);
  CHECK((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 >= 29);
  FAILS(sem_trywait(&ping), EAGAIN);
  pthread_t thread;
  pthread_create(&thread, NULL, partner, NULL);
  for (int i = 0; i < ROUNDS; i++) {
    sem_post(&ping);
    CHECK(sem_wait(&pong) == 0);
  }
  CHECK(sem_wait(&pong) == 0);
  int value = -1;
  CHECK(sem_getvalue(&pong, &value) == 0 && value == 0);
  for (int i = 0; i < 3; i++) CHECK(pthread_mutex_unlock(&held) == 0);
  CHECK(pthread_mutex_unlock(&held) == EPERM);
  CHECK(pthread_join(thread, NULL) == 0);
}

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static volatile int destroyed, onces, handled;
static void count_once(void) { onces++; }
static void destroy(void *value) { destroyed += *(int *)value; }
static void deeper(void) { pthread_exit("gone"); }
static void *keeper(void *argument) {
  pthread_once(&once, count_once);
  CHECK(pthread_getspecific(key) == NULL && pthread_setspecific(key, argument) == 0);
  CHECK(close(123) == -1 && errno == EBADF);
  errno = 0;
  sem_post(&ping);
  struct timespec nap = {0, 50000000};
  nanosleep(&nap, NULL);
  CHECK(errno == 0); // the other thread has had errors meanwhile
  deeper();
  return NULL;
}

static void keys(void) {
  pthread_t thread;
  int seven = 7;
  CHECK(pthread_key_create(&key, destroy) == 0);
  CHECK(pthread_create(&thread, NULL, keeper, &seven) == 0);
  sem_wait(&ping);
  for (int i = 0; i < 20; i++) {
    CHECK(close(200) == -1 && errno == EBADF);
    usleep(1000);
  }
  void *result = NULL;
  CHECK(pthread_join(thread, &result) == 0 && result && strcmp(result, "gone") == 0);
  pthread_once(&once, count_once);
  CHECK(destroyed == 7 && onces == 1 && pthread_getspecific(key) == NULL);
  CHECK(pthread_join(pthread_self(), NULL) == EDEADLK);
}

static volatile pthread_t handler_ran_in;
static void on_signal(int number) {
  handled += number;
  handler_ran_in = pthread_self();
}

static void *sleeper(void *argument) {
  struct pollfd none;
  sem_post(&ping);
  if (argument) CHECK(poll(&none, 0, 60000) == -1 && errno == EINTR);
  else CHECK(sem_wait(&pong) == -1 && errno == EINTR);
  return NULL;
}

static void signals(void) {
  struct sigaction action = {.sa_handler = on_signal};
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  for (long way = 0; way < 2; way++) {
    pthread_t thread;
    handled = 0;
    pthread_create(&thread, NULL, sleeper, (void *)way);
    sem_wait(&ping);
    CHECK(pthread_kill(thread, SIGUSR1) == 0);
    CHECK(pthread_join(thread, NULL) == 0 && handled == SIGUSR1 && handler_ran_in == thread);
  }
  sigset_t set, before;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  handled = 0;
  CHECK(pthread_sigmask(SIG_BLOCK, &set, &before) == 0 && raise(SIGUSR1) == 0);
  usleep(1000);
  CHECK(handled == 0);
  int number = 0;
  CHECK(sigwait(&set, &number) == 0 && number == SIGUSR1);
  struct timespec nap = {0, 10000000};
  FAILS(sigtimedwait(&set, NULL, &nap), EAGAIN);
  struct timespec none = {0, 0};
  FAILS(sigtimedwait(&set, NULL, &none), EAGAIN);
  CHECK(raise(SIGUSR1) == 0 && sigtimedwait(&set, NULL, &none) == SIGUSR1);
  CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0 && raise(SIGUSR1) == 0 && handled == SIGUSR1);
}

static pthread_barrier_t barrier;
static pthread_rwlock_t shared_lock = PTHREAD_RWLOCK_INITIALIZER;
static volatile int serial, writes;
static void *meeter(void *argument) {
  for (int i = 0; i < 50; i++) {
    if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD) __atomic_fetch_add(&serial, 1, __ATOMIC_SEQ_CST);
    pthread_rwlock_wrlock(&shared_lock);
    writes++;
    pthread_rwlock_unlock(&shared_lock);
    pthread_rwlock_rdlock(&shared_lock);
    pthread_rwlock_unlock(&shared_lock);
  }
  sem_post(&ping);
  return argument;
}

static void meetings(void) {
  CHECK(pthread_barrier_init(&barrier, NULL, 4) == 0);
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  CHECK(pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0);
  CHECK(pthread_attr_setstacksize(&attr, 1 << 16) == 0 && pthread_attr_setstacksize(&attr, 1) == EINVAL);
  for (int i = 0; i < 4; i++) {
    pthread_t thread;
    CHECK(pthread_create(&thread, &attr, meeter, NULL) == 0 && pthread_join(thread, NULL) == EINVAL);
  }
  for (int i = 0; i < 4; i++) sem_wait(&ping);
  CHECK(serial == 50 && writes == 200);
}

static int events[2];
static void *ringer(void *argument) {
  (void)argument;
  for (int i = 0; i < 500; i++) {
    eventfd_t value;
    CHECK(eventfd_read(events[0], &value) == 0 && value == 1);
    CHECK(eventfd_write(events[1], 2) == 0);
  }
  return NULL;
}

static void event_counters(void) {
  events[0] = eventfd(0, 0);
  events[1] = eventfd(0, EFD_NONBLOCK);
  CHECK(events[0] >= 3 && events[1] > events[0]);
  eventfd_t value;
  FAILS(eventfd_read(events[1], &value), EAGAIN);
  struct pollfd waiting[2] = {{.fd = events[0], .events = POLLIN}, {.fd = events[1], .events = POLLIN | POLLOUT}};
  CHECK(poll(waiting, 2, 1000) == 1 && waiting[0].revents == 0 && waiting[1].revents == POLLOUT);
  pthread_t thread;
  pthread_create(&thread, NULL, ringer, NULL);
  waiting[1].events = POLLIN;
  for (int i = 0; i < 500; i++) {
    CHECK(eventfd_write(events[0], 1) == 0);
    CHECK(poll(&waiting[1], 1, 60000) == 1 && eventfd_read(events[1], &value) == 0 && value == 2);
  }
  pthread_join(thread, NULL);
  CHECK(eventfd_write(events[1], ~0ULL - 1) == 0);
  FAILS(eventfd_write(events[1], 1), EAGAIN);
  FAILS(eventfd_write(events[1], ~0ULL), EINVAL);
  FAILS(read(events[1], &value, 4), EINVAL);
  int tokens = eventfd(2, EFD_SEMAPHORE);
  CHECK(eventfd_read(tokens, &value) == 0 && value == 1 && eventfd_read(tokens, &value) == 0 && value == 1);
  CHECK(fcntl(tokens, F_SETFL, O_NONBLOCK) == 0 && (fcntl(tokens, F_GETFL) & O_NONBLOCK));
  FAILS(eventfd_read(tokens, &value), EAGAIN);
  FAILS(eventfd(0, 0x40), EINVAL);
  for (int i = 0; i < 2; i++) CHECK(close(events[i]) == 0);
  CHECK(close(tokens) == 0);
  FAILS(eventfd_write(tokens, 1), EBADF);
}

static void *printer(void *argument) {
  for (int i = 0; i < 50; i++) printf("%s %d %s\n", (char *)argument, i, "some words that make the line longer");
  return NULL;
}

static void affinity(void) {
  cpu_set_t set;
  CHECK(pthread_getaffinity_np(pthread_self(), sizeof set, &set) == 0 && CPU_COUNT(&set) >= 1 && CPU_ISSET(0, &set));
  CPU_ZERO(&set);
  CHECK(pthread_setaffinity_np(pthread_self(), sizeof set, &set) == EINVAL);
  CPU_SET(0, &set);
  CHECK(pthread_setaffinity_np(pthread_self(), sizeof set, &set) == 0);
  FAILS(sched_setaffinity(0, 1, &set), EINVAL);
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "print") == 0) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, printer, (char *[]){"a", "b", "c", "d"}[i]);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    return 0;
  }
  adding();
  turns();
  semaphores();
  keys();
  signals();
  meetings();
  event_counters();
  affinity();
  for (int i = 0; i < 100; i++) { // more than there can be at a time
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, player, (void *)3) == 0);
    if (i == 0) {
      pthread_detach(thread);
      continue;
    }
    pthread_detach(thread);
    if (i == 10) break;
  }
  printf("%d checks, %d failures\n", checks, failures);
  exit(failures != 0); // threads that wait end with it
}
