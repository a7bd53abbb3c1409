// A thread runs the kernel loop of a port while this one sends and receives through the CSB: kloop PORT FRAMES
// [events]. With `events`, kicks and interrupts are event counters; without, the loop polls, and so does this.
#include <errno.h>
#include <fcntl.h>
#include <net/netmap_user.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static struct nm_csb_atok atok[2] __attribute__((aligned(64)));
static struct nm_csb_ktoa ktoa[2] __attribute__((aligned(64)));
static struct {
  struct nmreq_opt_sync_kloop_eventfds option;
  struct {
    int32_t ioeventfd, irqfd;
  } rings[2];
} events;
static struct nmreq_register reg = {.nr_mode = NR_REG_ALL_NIC, .nr_flags = NR_EXCLUSIVE};
static char *name;
static int fd, uses_events;
static sem_t ended;
static int outcome;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int request(int type, void *body, void *option) {
  struct nmreq_header header = {.nr_version = NETMAP_API, .nr_reqtype = (uint16_t)type};
  snprintf(header.nr_name, sizeof header.nr_name, "%s", name);
  header.nr_body = (uintptr_t)body;
  header.nr_options = (uintptr_t)option;
  return ioctl(fd, NIOCCTRL, &header);
}

static void *run_loop(void *argument) {
  struct nmreq_sync_kloop_start start = {.sleep_us = uses_events ? 0 : 50};
  (void)argument;
  outcome = request(NETMAP_REQ_SYNC_KLOOP_START, &start, uses_events ? &events : NULL);
  if (outcome < 0) outcome = -errno;
  sem_post(&ended);
  return NULL;
}

// Publishes a ring of the CSB, and kicks if the kernel wants to be told.
static void publish(int ring, struct netmap_ring *r) {
  __atomic_store_n(&atok[ring].cur, r->cur, __ATOMIC_SEQ_CST);
  __atomic_store_n(&atok[ring].head, r->head, __ATOMIC_SEQ_CST);
  if (uses_events && __atomic_load_n(&ktoa[ring].kern_need_kick, __ATOMIC_SEQ_CST)) {
    if (eventfd_write(events.rings[ring].ioeventfd, 1) < 0) fail("kick");
  }
}

// Waits until the kernel has moved a ring's tail.
static void await(int ring, struct netmap_ring *r) {
  for (;;) {
    uint32_t tail = __atomic_load_n(&ktoa[ring].hwtail, __ATOMIC_SEQ_CST);
    if (tail != r->tail) {
      r->tail = tail;
      return;
    }
    if (!uses_events) {
      usleep(50);
      continue;
    }
    __atomic_store_n(&atok[ring].appl_need_kick, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&ktoa[ring].hwtail, __ATOMIC_SEQ_CST) == r->tail) {
      struct pollfd waiting = {.fd = events.rings[ring].irqfd, .events = POLLIN};
      if (poll(&waiting, 1, 20000) != 1) fail("no interrupt");
      eventfd_t value;
      if (eventfd_read(waiting.fd, &value) < 0) fail("interrupt");
    }
    __atomic_store_n(&atok[ring].appl_need_kick, 0, __ATOMIC_SEQ_CST);
  }
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  name = argv[1];
  unsigned long frames = strtoul(argv[2], NULL, 10), sent = 0, received = 0, wrong = 0;
  uses_events = argc > 3;
  fd = open("/dev/netmap", O_RDWR);
  struct nmreq_opt_csb csb = {.nro_opt = {.nro_reqtype = NETMAP_REQ_OPT_CSB}};
  csb.csb_atok = (uintptr_t)atok;
  csb.csb_ktoa = (uintptr_t)ktoa;
  if (request(NETMAP_REQ_REGISTER, &reg, NULL) < 0) fail("REGISTER");
  if (request(NETMAP_REQ_CSB_ENABLE, NULL, &csb) < 0) fail("CSB_ENABLE");
  if (csb.nro_opt.nro_status != 0) return 3;
  char *memory = mmap(NULL, reg.nr_memsize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  struct netmap_if *nifp = NETMAP_IF(memory, reg.nr_offset);
  struct netmap_ring *tx = NETMAP_TXRING(nifp, 0), *rx = NETMAP_RXRING(nifp, 0);
  printf("sync %d %d\n", ioctl(fd, NIOCTXSYNC, NULL), errno == EBUSY);
  if (uses_events) {
    events.option.nro_opt.nro_reqtype = NETMAP_REQ_OPT_SYNC_KLOOP_EVENTFDS;
    events.option.nro_opt.nro_size = sizeof events;
    for (int i = 0; i < 2; i++) events.rings[i].ioeventfd = eventfd(0, 0);
    for (int i = 0; i < 2; i++) events.rings[i].irqfd = eventfd(0, 0);
  }
  pthread_t loop;
  sem_init(&ended, 0, 0);
  if (pthread_create(&loop, NULL, run_loop, NULL) != 0) fail("pthread_create");

  // Sends frames with numbers; the program at the other end sends each back.
  while (received < frames) {
    uint32_t i = tx->head;
    for (; i != tx->tail && sent < frames && sent - received < 64; i = nm_ring_next(tx, i), sent++) {
      memset(NETMAP_BUF(tx, tx->slot[i].buf_idx), 0, 60);
      memcpy(NETMAP_BUF(tx, tx->slot[i].buf_idx) + 14, &sent, sizeof sent);
      tx->slot[i].len = 60;
      tx->slot[i].flags = 0;
    }
    tx->head = tx->cur = i;
    publish(0, tx);
    await(1, rx);
    for (i = rx->head; i != rx->tail; i = nm_ring_next(rx, i), received++) {
      unsigned long number;
      memcpy(&number, NETMAP_BUF(rx, rx->slot[i].buf_idx) + 14, sizeof number);
      wrong += number != received;
    }
    rx->head = rx->cur = i;
    publish(1, rx);
    tx->tail = __atomic_load_n(&ktoa[0].hwtail, __ATOMIC_SEQ_CST);
  }
  struct nmreq_sync_kloop_start again = {0};
  int second = request(NETMAP_REQ_SYNC_KLOOP_START, &again, NULL);
  printf("second start %d %d\n", second, errno == EBUSY);
  struct timespec now, later;
  clock_gettime(CLOCK_REALTIME, &now);
  later = (struct timespec){now.tv_sec + 10, now.tv_nsec};
  if (request(NETMAP_REQ_SYNC_KLOOP_STOP, NULL, NULL) < 0) fail("STOP");
  if (sem_timedwait(&ended, &later) < 0) fail("the loop goes on");
  pthread_join(loop, NULL);
  printf("loop ended %d, received %lu, wrong %lu\n", outcome, received, wrong);
  return wrong != 0 || outcome != 0;
}
