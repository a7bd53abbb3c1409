// Sends numbered frames: sender -i PORT [-n FRAMES] [-l LENGTH]
#include "port.h"

int main(int argc, char **argv) {
  const char *name = NULL;
  unsigned long count = 0; // 0 = until it is stopped
  int length = MIN_LENGTH;
  for (int option; (option = getopt(argc, argv, "i:n:l:")) != -1;) {
    if (option == 'i') name = optarg;
    else if (option == 'n') count = strtoul(optarg, NULL, 10);
    else if (option == 'l') length = atoi(optarg);
    else return 2;
  }
  if (!name || length < MIN_LENGTH || length > 1514) {
    fprintf(stderr, "usage: sender -i PORT [-n FRAMES] [-l LENGTH]\n");
    return 2;
  }
  stop_on_signals();
  struct port port = open_port(name);
  struct netmap_ring *ring = NETMAP_TXRING(port.nifp, 0);
  unsigned long sent = 0;

  while (!stopped && (count == 0 || sent < count)) {
    if (wait_for(&port, POLLOUT) < 0) fail("lost port", name);
    uint32_t i = ring->head;
    for (uint32_t room = nm_ring_space(ring); room > 0 && (count == 0 || sent < count); room--, sent++) {
      struct netmap_slot *slot = &ring->slot[i];
      write_frame((unsigned char *)NETMAP_BUF(ring, slot->buf_idx), length, (uint32_t)sent);
      slot->len = (uint16_t)length;
      slot->flags = 0;
      i = nm_ring_next(ring, i);
    }
    ring->head = ring->cur = i;
    ioctl(port.fd, NIOCTXSYNC, NULL);
  }
  while (!stopped && nm_tx_pending(ring)) {
    ioctl(port.fd, NIOCTXSYNC, NULL);
    usleep(1000);
  }
  printf("sent %lu frames\n", sent);
  return 0;
}
