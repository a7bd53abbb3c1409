// Stands between an interface and its host stack: hostrings NAME [legacy]. What refuses it must leave the descriptor as it
// was; then it opens NIC and host rings, and passes frames on between them by exchanging buffers.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <net/netmap_user.h>
#include <sys/mman.h>

static volatile sig_atomic_t stopped;

static void stop(int number) {
  (void)number;
  stopped = 1;
}

static int attempt(int fd, const char *name, uint32_t mode, uint64_t flags, uint16_t ring, struct nmreq_register *out) {
  struct nmreq_register reg = {.nr_mode = mode, .nr_flags = flags, .nr_ringid = ring};
  struct nmreq_header header = {.nr_version = NETMAP_API, .nr_reqtype = NETMAP_REQ_REGISTER};
  snprintf(header.nr_name, sizeof header.nr_name, "%s", name);
  header.nr_body = (uintptr_t)&reg;
  int errors = ioctl(fd, NIOCCTRL, &header) < 0 ? errno : 0;
  if (out) *out = reg;
  return errors;
}

static unsigned long pass(struct netmap_ring *rx, struct netmap_ring *tx) {
  unsigned long passed = 0;
  for (; !nm_ring_empty(rx) && !nm_ring_empty(tx); passed++) {
    struct netmap_slot *in = &rx->slot[rx->head], *out = &tx->slot[tx->head];
    uint32_t index = out->buf_idx;
    out->buf_idx = in->buf_idx;
    in->buf_idx = index;
    out->len = in->len;
    in->flags |= NS_BUF_CHANGED;
    out->flags = NS_BUF_CHANGED;
    rx->head = rx->cur = nm_ring_next(rx, rx->head);
    tx->head = tx->cur = nm_ring_next(tx, tx->head);
  }
  return passed;
}

int main(int argc, char **argv) {
  const char *name = argv[1];
  signal(SIGTERM, stop);
  int fd = open("/dev/netmap", O_RDWR);
  printf("refused %d %d %d %d\n", attempt(fd, name, 99, 0, 0, NULL) == EINVAL,
         attempt(fd, name, NR_REG_ONE_SW, 0, 7, NULL) == EINVAL, attempt(fd, "vale7:x", NR_REG_SW, 0, 0, NULL) == EINVAL,
         attempt(fd, "eth77", NR_REG_NIC_SW, 0, 0, NULL) == ENXIO);

  struct nmreq_register reg = {0};
  uint32_t offset, memsize;
  if (argc > 2) {
    struct nmreq old = {.nr_version = 14, .nr_flags = NR_REG_NIC_SW};
    snprintf(old.nr_name, sizeof old.nr_name, "%s", name);
    if (ioctl(fd, NIOCREGIF, &old) < 0) return 1;
    offset = old.nr_offset;
    memsize = old.nr_memsize;
  } else {
    if (attempt(fd, name, NR_REG_NIC_SW, NR_EXCLUSIVE, 0, &reg) != 0) return 1;
    offset = (uint32_t)reg.nr_offset;
    memsize = (uint32_t)reg.nr_memsize;
    int second = open("/dev/netmap", O_RDWR);
    printf("rings %d %d and %d %d, busy %d\n", reg.nr_tx_rings, reg.nr_rx_rings, reg.nr_host_tx_rings,
           reg.nr_host_rx_rings, attempt(second, name, NR_REG_SW, 0, 0, NULL) == EBUSY);
    close(second);
  }
  void *memory = mmap(NULL, memsize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  struct netmap_if *nifp = NETMAP_IF(memory, offset);
  printf("%s has %u %u and %u %u\n", nifp->ni_name, nifp->ni_tx_rings, nifp->ni_rx_rings, nifp->ni_host_tx_rings,
         nifp->ni_host_rx_rings);
  fflush(stdout);

  unsigned long up = 0, down = 0;
  while (!stopped) {
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    if (poll(&waiting, 1, 1000) < 0) continue;
    if (waiting.revents & POLLERR) break;
    for (uint32_t i = 0; i < nifp->ni_rx_rings; i++) {
      up += pass(NETMAP_RXRING(nifp, i), NETMAP_TXRING(nifp, nifp->ni_tx_rings + i % nifp->ni_host_tx_rings));
    }
    for (uint32_t i = 0; i < nifp->ni_host_rx_rings; i++) {
      down += pass(NETMAP_RXRING(nifp, nifp->ni_rx_rings + i), NETMAP_TXRING(nifp, i % nifp->ni_tx_rings));
    }
    ioctl(fd, NIOCTXSYNC, NULL);
  }
  printf("%s, %lu up, %lu down\n", stopped ? "stopped" : "gone", up, down);
  return 0;
}
