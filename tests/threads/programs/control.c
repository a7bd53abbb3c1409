// The control API, call by call: each request, what it answers, and what it refuses. control PORT
#include <errno.h>
#include <fcntl.h>
#include <net/netmap_user.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static int failures, checks;
#define CHECK(what) (checks++, (what) ? (void)0 : (failures++, (void)printf("line %d: %s (errno %d)\n", __LINE__, #what, errno)))
#define FAILS(call, error) CHECK((call) == -1 && errno == (error))

static char *port;
static struct nmreq_header header;

static int ask(int fd, int type, const char *name, void *body, void *option) {
  memset(&header, 0, sizeof header);
  header.nr_version = NETMAP_API;
  header.nr_reqtype = (uint16_t)type;
  snprintf(header.nr_name, sizeof header.nr_name, "%s", name);
  header.nr_body = (uintptr_t)body;
  header.nr_options = (uintptr_t)option;
  return ioctl(fd, NIOCCTRL, &header);
}

static int device(void) {
  int fd = open("/dev/netmap", O_RDWR);
  CHECK(fd >= 0);
  return fd;
}

static void registers(void) {
  int fd = device(), other = device();
  struct nmreq_register reg = {.nr_mode = NR_REG_ALL_NIC, .nr_extra_bufs = 2};
  FAILS(ioctl(fd, NIOCTXSYNC, NULL), ENXIO);
  FAILS(ask(fd, NETMAP_REQ_REGISTER, "netmap77", &(struct nmreq_register){.nr_mode = NR_REG_ALL_NIC}, NULL), ENXIO);
  CHECK(ask(fd, NETMAP_REQ_REGISTER, port, &reg, NULL) == 0 && reg.nr_memsize > 0 && reg.nr_extra_bufs == 2);
  FAILS(ask(fd, NETMAP_REQ_REGISTER, port, &reg, NULL), EBUSY);
  struct nmreq_port_info_get info = {0};
  CHECK(ask(other, NETMAP_REQ_PORT_INFO_GET, port, &info, NULL) == 0 && info.nr_memsize == reg.nr_memsize);
  CHECK(info.nr_tx_rings == reg.nr_tx_rings && info.nr_rx_slots == reg.nr_rx_slots && info.nr_mem_id == reg.nr_mem_id);
  struct nmreq_pools_info pools = {0};
  CHECK(ask(fd, NETMAP_REQ_POOLS_INFO_GET, port, &pools, NULL) == 0 && pools.nr_memsize == reg.nr_memsize);
  CHECK(pools.nr_buf_pool_objtotal > 2 && pools.nr_buf_pool_objsize >= 1518);
  struct nmreq_port_hdr hdr = {.nr_hdr_len = 7};
  FAILS(ask(fd, NETMAP_REQ_PORT_HDR_SET, port, &hdr, NULL), EINVAL);
  CHECK(ask(fd, NETMAP_REQ_PORT_HDR_GET, port, &hdr, NULL) == 0 && hdr.nr_hdr_len == 0);
  struct nmreq_option unknown = {.nro_reqtype = 99};
  FAILS(ask(other, NETMAP_REQ_REGISTER, port, &(struct nmreq_register){.nr_mode = NR_REG_ALL_NIC}, &unknown), EOPNOTSUPP);
  CHECK(unknown.nro_status == EOPNOTSUPP);
  FAILS(ask(fd, 999, port, NULL, NULL), EINVAL);
  header.nr_version = 5;
  FAILS(ioctl(fd, NIOCCTRL, &header), EINVAL);
  CHECK(ioctl(fd, NIOCTXSYNC, NULL) == 0 && ioctl(fd, NIOCRXSYNC, NULL) == 0);
  FAILS(ioctl(fd, 0x1234, NULL), EOPNOTSUPP);
  CHECK(close(fd) == 0 && close(other) == 0);
}

static void legacy(void) {
  int fd = device();
  struct nmreq req = {.nr_version = 14, .nr_flags = NR_REG_ALL_NIC};
  snprintf(req.nr_name, sizeof req.nr_name, "%s", port);
  CHECK(ioctl(fd, NIOCREGIF, &req) == 0 && req.nr_memsize > 0 && req.nr_tx_rings >= 1);
  char *memory = mmap(NULL, req.nr_memsize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(memory != MAP_FAILED && strcmp(NETMAP_IF(memory, req.nr_offset)->ni_name, port) == 0);
  CHECK(munmap(memory, req.nr_memsize) == 0 && close(fd) == 0);
  FAILS(ioctl(fd, NIOCGINFO, &req), EBADF);
}

static void switches(void) {
  int fd = device();
  struct nmreq_vale_newif made = {0};
  CHECK(ask(fd, NETMAP_REQ_VALE_NEWIF, "per0", &made, NULL) == 0);
  FAILS(ask(fd, NETMAP_REQ_VALE_NEWIF, "per0", &made, NULL), EEXIST);
  struct nmreq_vale_attach attach = {.reg = {.nr_mode = NR_REG_ALL_NIC}};
  CHECK(ask(fd, NETMAP_REQ_VALE_ATTACH, "vale6:per0", &attach, NULL) == 0);
  FAILS(ask(fd, NETMAP_REQ_VALE_ATTACH, "vale6:per0", &attach, NULL), EBUSY);
  FAILS(ask(fd, NETMAP_REQ_VALE_DELIF, "per0", NULL, NULL), EBUSY);
  struct nmreq_vale_list list = {0};
  CHECK(ask(fd, NETMAP_REQ_VALE_LIST, "vale6:per0", &list, NULL) == 0 && list.nr_port_idx == attach.port_index);
  struct nmreq_vale_detach detach = {0};
  CHECK(ask(fd, NETMAP_REQ_VALE_DETACH, "vale6:per0", &detach, NULL) == 0);
  CHECK(ask(fd, NETMAP_REQ_VALE_DELIF, "per0", NULL, NULL) == 0);
  FAILS(ask(fd, NETMAP_REQ_VALE_DELIF, "per0", NULL, NULL), ENXIO);
  CHECK(close(fd) == 0);
}

// Threads share descriptors: one opens and binds, another maps, polls, syncs and closes.
static int shared = -1;
static sem_t bound, polled;
static void *binder(void *argument) {
  struct nmreq_register *reg = (struct nmreq_register *)argument;
  shared = device();
  CHECK(ask(shared, NETMAP_REQ_REGISTER, port, reg, NULL) == 0);
  sem_post(&bound);
  return NULL; // what it has opened stays open
}
static void *poller(void *argument) {
  struct pollfd waiting = {.fd = shared, .events = POLLIN};
  sem_post(&polled);
  int ready = poll(&waiting, 1, 30000);
  *(short *)argument = waiting.revents;
  return (void *)(long)ready;
}

static void sharing(void) {
  struct nmreq_register reg = {.nr_mode = NR_REG_ALL_NIC};
  pthread_t thread;
  short revents = 0;
  void *ready = NULL;
  sem_init(&bound, 0, 0);
  sem_init(&polled, 0, 0);
  CHECK(pthread_create(&thread, NULL, binder, &reg) == 0 && sem_wait(&bound) == 0 && pthread_join(thread, NULL) == 0);
  usleep(50000); // its worker has ended
  char *memory = mmap(NULL, reg.nr_memsize, PROT_READ | PROT_WRITE, MAP_SHARED, shared, 0);
  CHECK(memory != MAP_FAILED && ioctl(shared, NIOCTXSYNC, NULL) == 0 && ioctl(shared, NIOCRXSYNC, NULL) == 0);
  struct pollfd waiting = {.fd = shared, .events = POLLOUT};
  CHECK(poll(&waiting, 1, 1000) == 1 && waiting.revents == POLLOUT);
  CHECK(pthread_create(&thread, NULL, poller, &revents) == 0 && sem_wait(&polled) == 0);
  usleep(20000);
  CHECK(close(shared) == 0); // ends the other thread's wait
  CHECK(pthread_join(thread, &ready) == 0 && (long)ready == 1 && (revents & POLLERR));
  FAILS(ioctl(shared, NIOCTXSYNC, NULL), EBADF);
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  port = argv[1];
  for (int round = 0; round < 3; round++) {
    registers();
    legacy();
    switches();
    sharing();
  }
  printf("%d checks, %d failures\n", checks, failures);
  return failures != 0;
}
