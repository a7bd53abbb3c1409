// Sends frames and exits in another thread than the first, at once: quits PORT FRAMES
#define NETMAP_WITH_LIBS
#include <net/netmap_user.h>

#include <pthread.h>
#include <unistd.h>

static struct nm_desc *port;
static uint32_t frames;

static void *quits(void *argument) {
  (void)argument;
  struct netmap_ring *ring = NETMAP_TXRING(port->nifp, port->first_tx_ring);
  for (uint32_t n = 0; n < frames; ioctl(port->fd, NIOCTXSYNC, NULL)) {
    uint32_t i = ring->head;
    for (uint32_t left = nm_ring_space(ring); left > 0 && n < frames; left--, n++, i = nm_ring_next(ring, i)) {
      uint8_t *frame = (uint8_t *)NETMAP_BUF(ring, ring->slot[i].buf_idx);
      memset(frame, 0xff, 14);
      memcpy(frame + 14, &n, 4);
      ring->slot[i].len = 60;
    }
    ring->head = ring->cur = i;
  }
  exit(5);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  frames = (uint32_t)atoi(argv[2]);
  port = nm_open(argv[1], NULL, 0, NULL);
  if (!port) return perror("nm_open"), 1;
  pthread_t thread;
  if (pthread_create(&thread, NULL, quits, NULL) != 0) return 3;
  for (;;) sleep(60);
}
