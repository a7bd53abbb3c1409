// Opens a port, and then writes garbage over its whole memory, again and again, while it makes system calls.
#include <fcntl.h>
#include <net/netmap.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
  int fd = open("/dev/netmap", O_RDWR);
  struct nmreq_register reg = {.nr_mode = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : NR_REG_ALL_NIC};
  struct nmreq_header header = {.nr_version = NETMAP_API, .nr_reqtype = NETMAP_REQ_REGISTER};
  snprintf(header.nr_name, sizeof header.nr_name, "%s", argv[1]);
  header.nr_body = (uintptr_t)&reg;
  if (ioctl(fd, NIOCCTRL, &header) < 0) return 3;
  printf("open\n");
  uint32_t random = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1;
  volatile uint32_t *words = 0;
  // Behind the heap of now, where the host over this memory lies.
  uint32_t start = (uint32_t)(uintptr_t)malloc(16) / 4 + 65536 / 4, end = __builtin_wasm_memory_size(0) * 16384;
  for (;;) {
    for (int i = 0; i < 2000; i++) {
      random = random * 1664525 + 1013904223;
      uint32_t at = start + (random >> 4) % (end - start);
      // Small numbers do more harm than large ones.
      words[at] = random & 8 ? random : random >> 28;
    }
    struct pollfd waiting = {.fd = fd, .events = POLLIN | POLLOUT};
    poll(&waiting, 1, 0);
    ioctl(fd, NIOCTXSYNC, NULL);
    ioctl(fd, NIOCRXSYNC, NULL);
    ioctl(fd, NIOCCTRL, &header);
  }
}
