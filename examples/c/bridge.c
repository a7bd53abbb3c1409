// Passes frames on between two ports, both ways: bridge -i PORT -i PORT. Buffers change places where the ports share a
// memory, else the bytes are copied.
#include "port.h"

static unsigned long pass(struct port *from, struct port *to) {
  struct netmap_ring *rx = NETMAP_RXRING(from->nifp, 0), *tx = NETMAP_TXRING(to->nifp, 0);
  int swaps = from->reg.nr_mem_id == to->reg.nr_mem_id;
  uint32_t i = rx->head, j = tx->head;
  uint32_t n = nm_ring_space(rx), room = nm_ring_space(tx);
  if (room < n) n = room;
  for (uint32_t k = 0; k < n; k++, i = nm_ring_next(rx, i), j = nm_ring_next(tx, j)) {
    struct netmap_slot *in = &rx->slot[i], *out = &tx->slot[j];
    if (swaps) {
      uint32_t index = out->buf_idx;
      out->buf_idx = in->buf_idx;
      in->buf_idx = index;
      in->flags |= NS_BUF_CHANGED;
    } else {
      memcpy(NETMAP_BUF(tx, out->buf_idx), NETMAP_BUF(rx, in->buf_idx), in->len);
    }
    out->len = in->len;
    out->flags = (uint16_t)((in->flags & NS_MOREFRAG) | (swaps ? NS_BUF_CHANGED : 0));
  }
  rx->head = rx->cur = i;
  tx->head = tx->cur = j;
  return n;
}

int main(int argc, char **argv) {
  const char *names[2] = {NULL, NULL};
  int given = 0;
  for (int option; (option = getopt(argc, argv, "i:")) != -1;) {
    if (option != 'i' || given == 2) return 2;
    names[given++] = optarg;
  }
  if (given != 2) {
    fprintf(stderr, "usage: bridge -i PORT -i PORT\n");
    return 2;
  }
  stop_on_signals();
  struct port ports[2] = {open_port(names[0]), open_port(names[1])};
  unsigned long forward = 0, back = 0;

  while (!stopped) {
    struct pollfd waiting[2];
    for (int i = 0; i < 2; i++) {
      // Whoever has frames for the other waits for room there, else for frames.
      struct netmap_ring *rx = NETMAP_RXRING(ports[i].nifp, 0), *others = NETMAP_RXRING(ports[1 - i].nifp, 0);
      waiting[i].fd = ports[i].fd;
      waiting[i].events = (short)((nm_ring_empty(rx) ? POLLIN : 0) | (nm_ring_empty(others) ? 0 : POLLOUT));
    }
    if (poll(waiting, 2, 1000) < 0) continue; // a signal, and stopped is set
    if ((waiting[0].revents | waiting[1].revents) & POLLERR) break;
    forward += pass(&ports[0], &ports[1]);
    back += pass(&ports[1], &ports[0]);
  }
  for (int i = 0; i < 2; i++) ioctl(ports[i].fd, NIOCTXSYNC, NULL);
  printf("passed on %lu and %lu frames\n", forward, back);
  return 0;
}
