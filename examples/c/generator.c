// Sends or receives with a thread for every ring, and reports rates: generator -i PORT -f tx|rx [-l LENGTH] [-n FRAMES]
// [-b BURST] [-a CPU] [-w SECONDS]. The first thread counts what the others have done, once a second.
#define NETMAP_WITH_LIBS
#include <net/netmap_user.h>

#include <err.h>
#include <net/ethernet.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <time.h>

struct worker {
  pthread_t thread;
  struct nm_desc *port;
  unsigned long long wanted, done; // frames; wanted 0 = until it is stopped
  int cpu;
  int ended;
};

static volatile sig_atomic_t stopped;
static int length = 60, burst = 256, sends, wait_seconds;
static sem_t ends;

static void stop(int number) {
  (void)number;
  stopped = 1;
}

static int pass(struct worker *self, struct netmap_ring *ring, uint32_t limit) {
  static const uint8_t header[14] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};
  uint32_t i = ring->head, n = nm_ring_space(ring);
  if (n > limit) n = limit;
  for (uint32_t k = 0; k < n; k++, i = nm_ring_next(ring, i)) {
    struct netmap_slot *slot = &ring->slot[i];
    if (!sends) continue;
    memcpy(NETMAP_BUF(ring, slot->buf_idx), header, sizeof header);
    slot->len = (uint16_t)length;
    slot->flags = 0;
  }
  ring->head = ring->cur = i;
  __atomic_fetch_add(&self->done, n, __ATOMIC_RELAXED);
  return (int)n;
}

static void *work(void *argument) {
  struct worker *self = (struct worker *)argument;
  struct nm_desc *port = self->port;
  struct pollfd waiting = {.fd = port->fd, .events = sends ? POLLOUT : POLLIN};
  if (self->cpu >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(self->cpu, &set);
    if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0) warnx("there is no processor %d", self->cpu);
  }
  while (!stopped && (self->wanted == 0 || self->done < self->wanted)) {
    if (poll(&waiting, 1, 1000) <= 0) continue;
    if (waiting.revents & POLLERR) break;
    int first = sends ? port->first_tx_ring : port->first_rx_ring, last = sends ? port->last_tx_ring : port->last_rx_ring;
    for (int ring = first; ring <= last; ring++) {
      uint32_t limit = (uint32_t)burst;
      if (self->wanted && self->wanted - self->done < limit) limit = (uint32_t)(self->wanted - self->done);
      pass(self, sends ? NETMAP_TXRING(port->nifp, ring) : NETMAP_RXRING(port->nifp, ring), limit);
    }
    if (sends) ioctl(port->fd, NIOCTXSYNC, NULL);
  }
  for (int ring = port->first_tx_ring; sends && !stopped && ring <= port->last_tx_ring; ring++) {
    while (!stopped && nm_tx_pending(NETMAP_TXRING(port->nifp, ring))) {
      ioctl(port->fd, NIOCTXSYNC, NULL);
      usleep(100);
    }
  }
  ioctl(port->fd, NIOCRXSYNC, NULL); // gives the last slots back
  __atomic_store_n(&self->ended, 1, __ATOMIC_SEQ_CST);
  sem_post(&ends);
  return NULL;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

// Waits for the workers, and says every second how fast they are.
static unsigned long long report(struct worker *workers, int count) {
  unsigned long long before = 0, sum = 0;
  double since = now();
  for (int left = count; left > 0;) {
    struct timespec second;
    clock_gettime(CLOCK_REALTIME, &second);
    second.tv_sec++;
    if (sem_timedwait(&ends, &second) == 0) left--;
    else if (errno == ETIMEDOUT) {
      double time = now();
      sum = 0;
      for (int i = 0; i < count; i++) sum += __atomic_load_n(&workers[i].done, __ATOMIC_RELAXED);
      printf("%.0f packets/s\n", (double)(sum - before) / (time - since));
      fflush(stdout);
      before = sum;
      since = time;
    }
  }
  sum = 0;
  for (int i = 0; i < count; i++) {
    pthread_join(workers[i].thread, NULL);
    sum += workers[i].done;
  }
  return sum;
}

int main(int argc, char **argv) {
  const char *name = NULL;
  unsigned long long frames = 0;
  int cpu = -1;
  for (int option; (option = getopt(argc, argv, "i:f:l:n:b:a:w:")) != -1;) {
    if (option == 'i') name = optarg;
    else if (option == 'f') sends = strcmp(optarg, "tx") == 0;
    else if (option == 'l') length = atoi(optarg);
    else if (option == 'n') frames = strtoull(optarg, NULL, 10);
    else if (option == 'b') burst = atoi(optarg);
    else if (option == 'a') cpu = atoi(optarg);
    else if (option == 'w') wait_seconds = atoi(optarg);
    else return 2;
  }
  if (!name || length < 14 || length > 1514 || burst < 1) errx(2, "usage: generator -i PORT -f tx|rx [-l LENGTH] …");
  signal(SIGINT, stop);
  signal(SIGTERM, stop);

  struct nm_desc *port = nm_open(name, NULL, 0, NULL);
  if (!port) err(1, "cannot open port '%s'", name);
  int count = sends ? port->last_tx_ring - port->first_tx_ring + 1 : port->last_rx_ring - port->first_rx_ring + 1;
  struct worker *workers = (struct worker *)calloc((size_t)count, sizeof *workers);
  printf("%s %d rings of %s\n", sends ? "sending on" : "receiving on", count, port->nifp->ni_name);
  fflush(stdout);
  if (wait_seconds > 0) sleep((unsigned)wait_seconds);
  if (count > 1) nm_close(port); // each thread opens its ring
  sem_init(&ends, 0, 0);
  double start = now();
  for (int i = 0; i < count; i++) {
    struct worker *worker = &workers[i];
    char ring[80];
    snprintf(ring, sizeof ring, "%s-%d", name, i);
    worker->port = count == 1 ? port : nm_open(ring, NULL, 0, NULL);
    if (!worker->port) err(1, "cannot open port '%s'", ring);
    worker->cpu = cpu < 0 ? -1 : cpu + i;
    worker->wanted = frames / (unsigned)count + (frames && (unsigned)i < frames % (unsigned)count ? 1 : 0);
    int error = pthread_create(&worker->thread, NULL, work, worker);
    if (error != 0) errx(1, "cannot start a thread: %s", strerror(error));
  }
  unsigned long long sum = report(workers, count);
  printf("%s %llu packets in %.2f s\n", sends ? "sent" : "received", sum, now() - start);
  for (int i = 0; i < count; i++) nm_close(workers[i].port);
  free(workers);
  return 0;
}
