// What a program expects of its C library here: memory before and after a port is opened, clocks, sleeps, input, arguments,
// environment, select, error numbers.
#include <errno.h>
#include <fcntl.h>
#include <net/netmap.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BLOCKS 64
#define SIZE 40000

static long milliseconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (long)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

int main(int argc, char **argv) {
  unsigned char *blocks[BLOCKS];
  for (int i = 0; i < BLOCKS / 2; i++) memset(blocks[i] = malloc(SIZE), i, SIZE);
  printf("arguments %d %s %s\n", argc, argv[1], getenv("WHERE"));

  int fd = open("/dev/netmap", O_RDWR);
  struct pollfd waiting = {.fd = fd, .events = POLLIN};
  printf("unbound %d %x\n", poll(&waiting, 1, 0), waiting.revents);
  struct nmreq_option unknown = {.nro_reqtype = 77};
  struct nmreq_register reg = {.nr_mode = NR_REG_ALL_NIC, .nr_extra_bufs = 3};
  struct nmreq_header header = {.nr_version = NETMAP_API, .nr_reqtype = NETMAP_REQ_REGISTER, .nr_name = "vale7:libc"};
  header.nr_body = (uintptr_t)&reg;
  header.nr_options = (uintptr_t)&unknown;
  printf("option %d %d %d\n", ioctl(fd, NIOCCTRL, &header), errno == EOPNOTSUPP, unknown.nro_status == EOPNOTSUPP);
  header.nr_options = 0;
  printf("register %d, rings %d %d, slots %d, extra %d\n", ioctl(fd, NIOCCTRL, &header), reg.nr_tx_rings, reg.nr_rx_rings,
         (int)reg.nr_tx_slots, (int)reg.nr_extra_bufs);
  char *base = mmap(NULL, reg.nr_memsize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  struct netmap_if *nifp = (struct netmap_if *)(base + reg.nr_offset);
  printf("%s has extra buffers: %d\n", nifp->ni_name, nifp->ni_bufs_head != 0);
  printf("again %d %d\n", ioctl(fd, NIOCCTRL, &header), errno == EBUSY);
  struct nmreq_port_info_get info = {0};
  header.nr_reqtype = NETMAP_REQ_PORT_INFO_GET;
  header.nr_body = (uintptr_t)&info;
  int asked = ioctl(fd, NIOCCTRL, &header);
  printf("info %d, slots %d, memory %d\n", asked, (int)info.nr_tx_slots, info.nr_memsize == reg.nr_memsize);

  for (int i = BLOCKS / 2; i < BLOCKS; i++) memset(blocks[i] = malloc(SIZE), i, SIZE);
  int damaged = 0;
  for (int i = 0; i < BLOCKS; i++) {
    for (int j = 0; j < SIZE; j++) damaged += blocks[i][j] != i;
    free(blocks[i]);
  }
  printf("damaged %d\n", damaged);

  long before = milliseconds(CLOCK_MONOTONIC);
  usleep(30000);
  long slept = milliseconds(CLOCK_MONOTONIC) - before;
  printf("slept %d\n", slept >= 29 && slept < 3000);
  struct timeval patience = {0, 30000};
  fd_set set;
  FD_ZERO(&set);
  FD_SET(fd, &set);
  before = milliseconds(CLOCK_MONOTONIC);
  int ready = select(fd + 1, &set, NULL, NULL, &patience);
  printf("select %d %d\n", ready, milliseconds(CLOCK_MONOTONIC) - before >= 29);
  printf("year %d\n", time(NULL) > 1700000000);
  waiting.events = 0;
  printf("nothing %d\n", poll(&waiting, 1, 10));
  waiting.events = POLLOUT;
  printf("room %d %d\n", poll(&waiting, 1, 1000), waiting.revents == POLLOUT);

  char line[64];
  printf("read %s", fgets(line, sizeof line, stdin));
  printf("end %d\n", fgets(line, sizeof line, stdin) == NULL);
  printf("other file %d, other device %d %d\n", open("/etc/passwd", O_RDONLY), open("/dev/null", O_RDONLY), errno);
  printf("closed %d %d\n", close(fd), close(fd));
  fprintf(stderr, "to standard error\n");
  exit(7);
}
