// As traffic generators do: the first thread opens all rings and keeps the descriptor; each of the others opens one ring,
// with the memory of the first descriptor, and sends or receives numbered frames on it: perring PORT tx|rx FRAMES
#define NETMAP_WITH_LIBS
#include <net/netmap_user.h>

#include <poll.h>
#include <pthread.h>

enum { FRAME = 60, RINGS = 8, PATIENCE = 20000 };

struct worker {
  pthread_t thread;
  struct nm_desc *port;
  uint32_t ring, done, wrong;
};

static int sends;
static uint32_t frames;

static void send_some(struct worker *self, struct netmap_ring *ring) {
  uint32_t i = ring->head;
  for (uint32_t n = nm_ring_space(ring); n > 0 && self->done < frames; n--, i = nm_ring_next(ring, i)) {
    uint8_t *frame = (uint8_t *)NETMAP_BUF(ring, ring->slot[i].buf_idx);
    memset(frame, 0xff, 14);
    memcpy(frame + 14, &self->done, 4);
    memcpy(frame + 18, &self->ring, 4);
    ring->slot[i].len = FRAME;
    ring->slot[i].flags = 0;
    self->done++;
  }
  ring->head = ring->cur = i;
}

static void receive_some(struct worker *self, struct netmap_ring *ring) {
  uint32_t i = ring->head;
  for (uint32_t n = nm_ring_space(ring); n > 0; n--, i = nm_ring_next(ring, i)) {
    uint8_t *frame = (uint8_t *)NETMAP_BUF(ring, ring->slot[i].buf_idx);
    uint32_t said[2];
    memcpy(said, frame + 14, sizeof said);
    if (ring->slot[i].len != FRAME || said[0] != self->done || said[1] != self->ring) self->wrong++;
    self->done++;
  }
  ring->head = ring->cur = i;
}

static void *work(void *argument) {
  struct worker *self = (struct worker *)argument;
  struct nm_desc *port = self->port;
  struct pollfd waiting = {.fd = port->fd, .events = sends ? POLLOUT : POLLIN};
  while (self->done < frames) {
    if (poll(&waiting, 1, PATIENCE) <= 0 || (waiting.revents & POLLERR)) return NULL;
    if (sends) send_some(self, NETMAP_TXRING(port->nifp, port->first_tx_ring));
    else receive_some(self, NETMAP_RXRING(port->nifp, port->first_rx_ring));
  }
  if (!sends) return NULL;
  struct netmap_ring *ring = NETMAP_TXRING(port->nifp, port->first_tx_ring);
  for (int left = PATIENCE; left > 0 && nm_tx_pending(ring); left--) {
    ioctl(port->fd, NIOCTXSYNC, NULL);
    usleep(1000);
  }
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  sends = strcmp(argv[2], "tx") == 0;
  frames = (uint32_t)atoi(argv[3]);
  struct nm_desc *all = nm_open(argv[1], NULL, 0, NULL);
  if (!all) return perror("nm_open"), 1;
  uint32_t count = sends ? all->req.nr_tx_rings : all->req.nr_rx_rings;
  if (count > RINGS) return 2;
  struct worker workers[RINGS] = {0};
  for (uint32_t i = 0; i < count; i++) {
    char name[80];
    snprintf(name, sizeof name, "%s-%u", argv[1], (unsigned)i);
    workers[i].ring = i;
    workers[i].port = nm_open(name, NULL, NM_OPEN_NO_MMAP, all);
    if (!workers[i].port) return perror(name), 1;
    int first = sends ? workers[i].port->first_tx_ring : workers[i].port->first_rx_ring;
    struct netmap_ring *same = sends ? NETMAP_TXRING(all->nifp, i) : NETMAP_RXRING(all->nifp, i);
    struct netmap_if *nifp = workers[i].port->nifp;
    if ((sends ? NETMAP_TXRING(nifp, first) : NETMAP_RXRING(nifp, first)) != same) printf("ring %u is another\n", i);
  }
  printf("%u rings\n", count);
  fflush(stdout);
  for (uint32_t i = 0; i < count; i++) {
    if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) return 3;
  }
  for (uint32_t i = 0; i < count; i++) {
    pthread_join(workers[i].thread, NULL);
    printf("ring %u: %u frames, %u wrong\n", i, workers[i].done, workers[i].wrong);
    nm_close(workers[i].port);
  }
  nm_close(all);
  return 0;
}
