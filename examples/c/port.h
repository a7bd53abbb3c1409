// What the three examples share: opening a port, and what their frames look like.
#ifndef PORT_H
#define PORT_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <net/netmap_user.h>
#include <sys/mman.h>

struct port {
  int fd;
  struct nmreq_register reg;
  struct netmap_if *nifp;
};

static volatile sig_atomic_t stopped;

static void stop(int number) {
  (void)number;
  stopped = 1;
}

static void stop_on_signals(void) {
  signal(SIGINT, stop);
  signal(SIGTERM, stop);
}

static void fail(const char *what, const char *name) {
  fprintf(stderr, "%s '%s': %s\n", what, name, strerror(errno));
  exit(1);
}

// Opens all rings of a port: `vale0:a`, `netmap:p{1`, `netmap:eth0`, …
static struct port open_port(const char *name) {
  struct port port = {.reg = {.nr_mode = NR_REG_ALL_NIC}};
  struct nmreq_header header = {.nr_version = NETMAP_API, .nr_reqtype = NETMAP_REQ_REGISTER};
  const char *bare = strncmp(name, "netmap:", 7) == 0 ? name + 7 : name;
  snprintf(header.nr_name, sizeof header.nr_name, "%s", bare);
  header.nr_body = (uintptr_t)&port.reg;
  port.fd = open("/dev/netmap", O_RDWR);
  if (port.fd < 0) fail("cannot open /dev/netmap for", name);
  if (ioctl(port.fd, NIOCCTRL, &header) < 0) fail("cannot open port", name);
  void *memory = mmap(NULL, port.reg.nr_memsize, PROT_READ | PROT_WRITE, MAP_SHARED, port.fd, 0);
  if (memory == MAP_FAILED) fail("cannot map the memory of", name);
  port.nifp = NETMAP_IF(memory, port.reg.nr_offset);
  return port;
}

// Waits for events; negative when the port is gone.
static inline int wait_for(struct port *port, short events) {
  struct pollfd waiting = {.fd = port->fd, .events = events};
  if (poll(&waiting, 1, 1000) < 0 && errno != EINTR) return -1;
  return waiting.revents & POLLERR ? -1 : 0;
}

// Frames: a broadcast of a local experimental type, a number, and bytes that follow from it.
#define HEADER 18
#define MIN_LENGTH 60

static const unsigned char ethernet[14] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};

static inline void write_frame(unsigned char *frame, int length, uint32_t number) {
  memcpy(frame, ethernet, sizeof ethernet);
  memcpy(frame + sizeof ethernet, &number, sizeof number);
  for (int i = HEADER; i < length; i++) frame[i] = (unsigned char)(number + i);
}

// The number of a sound frame; -1 for another one.
static inline int64_t read_frame(const unsigned char *frame, int length) {
  uint32_t number;
  if (length < MIN_LENGTH || memcmp(frame, ethernet, sizeof ethernet) != 0) return -1;
  memcpy(&number, frame + sizeof ethernet, sizeof number);
  for (int i = HEADER; i < length; i++) {
    if (frame[i] != (unsigned char)(number + i)) return -1;
  }
  return number;
}

#endif
