// Receives and checks the frames of sender: receiver -i PORT [-n FRAMES]
#include "port.h"

int main(int argc, char **argv) {
  const char *name = NULL;
  unsigned long count = 0; // 0 = until it is stopped
  for (int option; (option = getopt(argc, argv, "i:n:")) != -1;) {
    if (option == 'i') name = optarg;
    else if (option == 'n') count = strtoul(optarg, NULL, 10);
    else return 2;
  }
  if (!name) {
    fprintf(stderr, "usage: receiver -i PORT [-n FRAMES]\n");
    return 2;
  }
  stop_on_signals();
  struct port port = open_port(name);
  struct netmap_ring *ring = NETMAP_RXRING(port.nifp, 0);
  unsigned long received = 0, damaged = 0, missing = 0;
  int64_t next = 0;
  printf("receiving on %s\n", port.nifp->ni_name);

  while (!stopped && (count == 0 || received < count)) {
    if (wait_for(&port, POLLIN) < 0) fail("lost port", name);
    uint32_t i = ring->head;
    for (; i != ring->tail && (count == 0 || received < count); i = nm_ring_next(ring, i), received++) {
      struct netmap_slot *slot = &ring->slot[i];
      int64_t number = read_frame((unsigned char *)NETMAP_BUF(ring, slot->buf_idx), slot->len);
      if (number < 0) damaged++;
      else if (number != next) missing++;
      if (number >= 0) next = number + 1;
    }
    ring->head = ring->cur = i;
  }
  ioctl(port.fd, NIOCRXSYNC, NULL);
  printf("received %lu frames, %lu damaged, %lu gaps\n", received, damaged, missing);
  return damaged != 0;
}
