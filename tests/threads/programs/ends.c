// Ends in different ways while threads wait, poll and compute: ends HOW PORT.
#define NETMAP_WITH_LIBS
#include <net/netmap_user.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>

static pthread_mutex_t never = PTHREAD_MUTEX_INITIALIZER;
static struct nm_desc *port;
static const char *how;

static void *waits(void *argument) {
  pthread_mutex_lock(&never);
  return argument;
}
static void *polls(void *argument) {
  struct pollfd waiting = {.fd = port->fd, .events = POLLIN};
  for (;;) poll(&waiting, 1, -1);
  return argument;
}
static void *computes(void *argument) {
  for (volatile int i = 0;; i++) {
  }
  return argument;
}
static void *acts(void *argument) {
  usleep(20000);
  printf("acts\n");
  fflush(stdout);
  if (strcmp(how, "trap") == 0) __builtin_trap();
  if (strcmp(how, "exit") == 0) exit(5);
  return argument;
}
static void on_signal(int number) {
  printf("signal %d\n", number);
  exit(6);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  how = argv[1];
  port = nm_open(argv[2], NULL, 0, NULL);
  if (!port) return perror("nm_open"), 1;
  if (strcmp(how, "handler") == 0) signal(SIGINT, on_signal);
  pthread_mutex_lock(&never);
  void *(*const bodies[])(void *) = {waits, polls, computes, acts};
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) {
    if (pthread_create(&threads[i], NULL, bodies[i], NULL) != 0) return 3;
  }
  pthread_join(threads[3], NULL);
  if (strcmp(how, "return") == 0) return 7;
  if (strcmp(how, "last") == 0) {
    for (int i = 0; i < 3; i++) pthread_detach(threads[i]);
    pthread_exit(NULL); // the others go on
  }
  pthread_join(threads[0], NULL);
  return 0;
}
