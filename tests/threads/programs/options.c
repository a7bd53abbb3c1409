// What REGISTER says of modes, options and memory: options VALE-PORT NIC. Prints the same wherever the program's memory is.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <net/netmap_user.h>
#include <sys/mman.h>

static _Alignas(64) char csb[2][8192];

static const char *name_of(int number) {
  static char text[16];
  switch (number) {
    case 0: return "ok";
    case EINVAL: return "EINVAL";
    case EBUSY: return "EBUSY";
    case ENXIO: return "ENXIO";
    case EIO: return "EIO";
    case EFAULT: return "EFAULT";
    case EOPNOTSUPP: return "EOPNOTSUPP";
  }
  snprintf(text, sizeof text, "%d", number);
  return text;
}

static int control(int fd, uint16_t type, const char *name, void *body, void *options) {
  struct nmreq_header header = {.nr_version = NETMAP_API, .nr_reqtype = type};
  snprintf(header.nr_name, sizeof header.nr_name, "%s", name);
  header.nr_body = (uintptr_t)body;
  header.nr_options = (uintptr_t)options;
  return ioctl(fd, NIOCCTRL, &header) < 0 ? errno : 0;
}

static void offsets(int fd, const char *name, uint64_t flags, uint64_t max, uint64_t initial, uint32_t bits) {
  struct nmreq_register reg = {.nr_mode = NR_REG_ALL_NIC, .nr_flags = flags};
  struct nmreq_opt_offsets option = {.nro_opt = {.nro_reqtype = NETMAP_REQ_OPT_OFFSETS}, .nro_max_offset = max};
  option.nro_initial_offset = initial;
  option.nro_offset_bits = bits;
  printf("offsets %s", name_of(control(fd, NETMAP_REQ_REGISTER, name, &reg, &option)));
  printf(" status %s, at most %d\n", name_of((int)option.nro_opt.nro_status), (int)option.nro_max_offset);
}

static int with_csb(int fd, uint16_t type, const char *name, void *reg, size_t skew) {
  struct nmreq_opt_csb option = {.nro_opt = {.nro_reqtype = NETMAP_REQ_OPT_CSB}};
  option.csb_atok = (uintptr_t)csb[0] + skew;
  option.csb_ktoa = (uintptr_t)csb[1];
  int result = control(fd, type, name, reg, &option);
  printf("csb %s", name_of(result));
  printf(" status %s\n", name_of((int)option.nro_opt.nro_status));
  return result;
}

static void kernel_loop(const char *name, uint32_t mode) {
  int fd = open("/dev/netmap", O_RDWR);
  struct nmreq_sync_kloop_start start = {.sleep_us = 10};
  printf("start unbound %s\n", name_of(control(fd, NETMAP_REQ_SYNC_KLOOP_START, "", &start, NULL)));
  struct nmreq_register reg = {.nr_mode = mode};
  with_csb(fd, NETMAP_REQ_REGISTER, name, &reg, 0);
  reg.nr_flags = NR_EXCLUSIVE;
  with_csb(fd, NETMAP_REQ_REGISTER, name, &reg, 32);
  if (control(fd, NETMAP_REQ_REGISTER, name, &reg, NULL) != 0) return;
  printf("start without %s\n", name_of(control(fd, NETMAP_REQ_SYNC_KLOOP_START, "", &start, NULL)));
  printf("enable without %s\n", name_of(control(fd, NETMAP_REQ_CSB_ENABLE, "", NULL, NULL)));
  memset(csb[1], 0xff, sizeof csb[1]);
  with_csb(fd, NETMAP_REQ_CSB_ENABLE, "", NULL, 0);
  struct nm_csb_atok *atok = (struct nm_csb_atok *)csb[0];
  struct nm_csb_ktoa *ktoa = (struct nm_csb_ktoa *)csb[1];
  for (int i = 0; i < 2 * (reg.nr_tx_rings + reg.nr_host_tx_rings * (mode == NR_REG_NIC_SW)); i++) {
    printf("entry %d: head %u, hwtail %u, kicks %u\n", i, atok[i].head, ktoa[i].hwtail, ktoa[i].kern_need_kick);
  }
  printf("sync %s\n", ioctl(fd, NIOCTXSYNC, NULL) < 0 ? name_of(errno) : "ok");
  struct pollfd waiting = {.fd = fd, .events = POLLIN};
  printf("poll %d %d\n", poll(&waiting, 1, 1000), waiting.revents == POLLERR);
  printf("stop %s\n", name_of(control(fd, NETMAP_REQ_SYNC_KLOOP_STOP, "", NULL, NULL)));
  printf("start after it %s\n", name_of(control(fd, NETMAP_REQ_SYNC_KLOOP_START, "", &start, NULL)));
  close(fd);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  for (int i = 1; i < 3; i++) {
    int fd = open("/dev/netmap", O_RDWR);
    offsets(fd, argv[i], 0, 1 << 20, 0, 0);
    offsets(fd, argv[i], 0, 64, 65, 0);
    offsets(fd, argv[i], 0, 64, 0, 6);
    offsets(fd, argv[i], 0, 64, 0, 65);
    offsets(fd, argv[i], 0, 64, 32, 7);
    offsets(fd, argv[i], 0, 64, 32, 7);
    close(fd);
  }
  kernel_loop(argv[1], NR_REG_ALL_NIC);
  kernel_loop(argv[2], NR_REG_ALL_NIC);
  kernel_loop(argv[2], NR_REG_NIC_SW);

  int fd = open("/dev/netmap", O_RDWR);
  struct nmreq_register reg = {.nr_mode = NR_REG_ALL_NIC, .nr_mem_id = 777};
  printf("memory %s\n", name_of(control(fd, NETMAP_REQ_REGISTER, argv[1], &reg, NULL)));
  reg = (struct nmreq_register){.nr_mode = NR_REG_NULL};
  printf("null %s\n", name_of(control(fd, NETMAP_REQ_REGISTER, "x", &reg, NULL)));
  reg = (struct nmreq_register){.nr_mode = NR_REG_NULL, .nr_mem_id = 1, .nr_extra_bufs = 3};
  printf("null %s", name_of(control(fd, NETMAP_REQ_REGISTER, "x", &reg, NULL)));
  printf(" with %d buffers\n", (int)reg.nr_extra_bufs);
  struct nmreq_port_hdr header = {.nr_hdr_len = 12};
  printf("header %s\n", name_of(control(fd, NETMAP_REQ_PORT_HDR_SET, argv[2], &header, NULL)));
  printf("header %s", name_of(control(fd, NETMAP_REQ_PORT_HDR_GET, argv[2], &header, NULL)));
  printf(" of %d\n", (int)header.nr_hdr_len);
  struct nmreq_pools_info pools = {0};
  printf("pools %s", name_of(control(fd, NETMAP_REQ_POOLS_INFO_GET, argv[2], &pools, NULL)));
  printf(" %d\n", pools.nr_buf_pool_objsize >= 2048 && pools.nr_memsize != 0);
  printf("pools of nothing %s\n", name_of(control(fd, NETMAP_REQ_POOLS_INFO_GET, "", &pools, NULL)));
  return 0;
}
