// The bare loops of system calls that backends with devices are compared with, and the generator that feeds both.
//
//   loops generate DEVICE SIZE SECONDS         sends from a packet socket, as fast as it can, past the queueing discipline
//   loops tap|macvtap|packet receive|transmit DEVICE SIZE SECONDS
//
// prints packets a second. The loops start counting with the first packet.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, ROOM = 2112, MACVTAP_HEADER = 10 };

static unsigned char buffers[BATCH][ROOM];
static struct iovec vectors[BATCH];
static struct mmsghdr messages[BATCH];

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

/** A broadcast of a type that nobody has, after `header` zeros. */
static void fill(size_t header, size_t size) {
  for (int i = 0; i < BATCH; i++) {
    unsigned char *frame = buffers[i] + header;
    memset(frame, 0xff, 6);
    memcpy(frame + 6, "\x02\0\0\0\0\x01\x88\xb5", 8);
    vectors[i] = (struct iovec){buffers[i], size};
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
}

static int open_packet(const char *device, int receives) {
  int fd = socket(AF_PACKET, SOCK_RAW, 0);
  if (fd < 0) fail("socket");
  int one = 1;
  int room = 16 << 20;
  setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  if (!receives) setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
  struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(device)};
  to.sll_protocol = receives ? htons(ETH_P_ALL) : 0;
  if (bind(fd, (struct sockaddr *)&to, sizeof to) < 0) fail("bind");
  return fd;
}

static int open_tap(const char *device) {
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device);
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) fail("tap");
  int control = socket(AF_INET, SOCK_DGRAM, 0);
  request.ifr_flags = IFF_UP;
  if (ioctl(control, SIOCSIFFLAGS, &request) < 0) fail("up");
  return fd;
}

static int open_macvtap(const char *device) {
  char path[512];
  unsigned major_of, minor_of;
  snprintf(path, sizeof path, "/sys/class/net/%s", device);
  DIR *dir = opendir(path);
  if (!dir) fail(path);
  for (struct dirent *entry; (entry = readdir(dir));) {
    if (strncmp(entry->d_name, "tap", 3) != 0) continue;
    snprintf(path, sizeof path, "/sys/class/net/%s/%s/dev", device, entry->d_name);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%u:%u", &major_of, &minor_of) != 2) fail(path);
    fclose(file);
    snprintf(path, sizeof path, "/tmp/ptnet-bench-%d", getpid());
    if (mknod(path, S_IFCHR | 0600, makedev(major_of, minor_of)) < 0) fail(path);
    int fd = open(path, O_RDWR | O_NONBLOCK);
    unlink(path);
    if (fd < 0) fail(path);
    closedir(dir);
    return fd;
  }
  errno = ENODEV;
  fail(device);
  return -1;
}

/** One turn of the loop. Returns packets. */
static int turn(int fd, int is_packet, int receives) {
  if (is_packet) {
    int n = receives ? recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL) : sendmmsg(fd, messages, BATCH, 0);
    return n < 0 && errno != EAGAIN && errno != ENOBUFS ? -1 : n < 0 ? 0 : n;
  }
  for (int i = 0; i < BATCH; i++) {
    ssize_t n = receives ? read(fd, buffers[i], ROOM) : write(fd, buffers[i], vectors[i].iov_len);
    if (n < 0) return errno == EAGAIN ? i : -1;
  }
  return BATCH;
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  const int generates = strcmp(argv[1], "generate") == 0;
  const char *kind = generates ? "packet" : argv[1];
  const int receives = !generates && strcmp(argv[2], "receive") == 0;
  char **rest = argv + (generates ? 2 : 3);
  const int is_packet = strcmp(kind, "packet") == 0;
  const int is_macvtap = strcmp(kind, "macvtap") == 0;
  const size_t header = is_macvtap ? MACVTAP_HEADER : 0;
  const size_t size = (size_t)atoi(rest[1]) + header;
  const double seconds = atof(rest[2]);
  if (size > ROOM) return 2;
  fill(header, receives ? ROOM : size);
  int fd = is_packet ? open_packet(rest[0], receives) : is_macvtap ? open_macvtap(rest[0]) : open_tap(rest[0]);
  if (!generates) {
    puts("ready");
    fflush(stdout);
  }
  long packets = 0;
  double start = receives ? 0 : now();
  const double give_up = now() + seconds + 5;
  for (;;) {
    int n = turn(fd, is_packet, receives);
    if (n < 0) fail(argv[1]);
    if (n > 0 && start == 0) start = now();
    packets += n;
    double t = now();
    if ((start != 0 && t - start >= seconds) || t > give_up) break;
    if (n == 0) poll(&(struct pollfd){.fd = fd, .events = receives ? POLLIN : POLLOUT}, 1, 100);
  }
  printf("%.0f\n", start == 0 ? 0 : packets / (now() - start));
  return 0;
}
