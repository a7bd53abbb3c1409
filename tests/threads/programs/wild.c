// Every system call with addresses that are none. Prints the calls that did not answer EFAULT.
#include <fcntl.h>
#include <net/netmap.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WASI(name, result, ...)                                                                                        \
  result wasi_##name(__VA_ARGS__)                                                                                      \
      __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))

WASI(args_get, int, uint32_t, uint32_t);
WASI(args_sizes_get, int, uint32_t, uint32_t);
WASI(environ_get, int, uint32_t, uint32_t);
WASI(environ_sizes_get, int, uint32_t, uint32_t);
WASI(clock_res_get, int, int, uint32_t);
WASI(clock_time_get, int, int, int64_t, uint32_t);
WASI(fd_fdstat_get, int, int, uint32_t);
WASI(fd_prestat_get, int, int, uint32_t);
WASI(fd_prestat_dir_name, int, int, uint32_t, uint32_t);
WASI(fd_read, int, int, uint32_t, uint32_t, uint32_t);
WASI(fd_write, int, int, uint32_t, uint32_t, uint32_t);
WASI(path_open, int, int, int, uint32_t, uint32_t, int, int64_t, int64_t, int, uint32_t);
WASI(poll_oneoff, int, uint32_t, uint32_t, uint32_t, uint32_t);
WASI(random_get, int, uint32_t, uint32_t);
WASI(path_filestat_get, int, int, int, uint32_t, uint32_t, uint32_t);

int raw_mmap(uint32_t, uint32_t, int, int, int64_t) __attribute__((import_module("ptnet"), import_name("mmap")));
int raw_ioctl(int, uint32_t, uint32_t) __attribute__((import_module("ptnet"), import_name("ioctl")));
int raw_poll(uint32_t, uint32_t, int, uint32_t) __attribute__((import_module("ptnet"), import_name("poll")));
int raw_eventfd(int, int, uint32_t) __attribute__((import_module("ptnet"), import_name("eventfd")));
int raw_futex_wait(uint32_t, int, int64_t) __attribute__((import_module("ptnet"), import_name("futex_wait")));
int raw_thread_create(uint32_t, uint32_t, uint32_t, uint32_t)
    __attribute__((import_module("ptnet"), import_name("thread_create")));
int raw_thread_kill(int, int) __attribute__((import_module("ptnet"), import_name("thread_kill")));

static int expect(const char *what, int expected, int found) {
  if (found == expected) return 0;
  printf("%s: %d, not %d\n", what, found, expected);
  return 1;
}
#define FAULT(call) failed += expect(#call, EFAULT, call)

int main(int argc, char **argv) {
  int failed = 0;
  int fd = open("/dev/netmap", O_RDWR);
  struct nmreq_register reg = {.nr_mode = NR_REG_ALL_NIC};
  struct nmreq_header header = {.nr_version = NETMAP_API, .nr_reqtype = NETMAP_REQ_REGISTER};
  snprintf(header.nr_name, sizeof header.nr_name, "%s", argv[argc - 1]);
  // Pointers beyond the memory, of 32 and of 64 bits.
  const uint64_t bodies[] = {0xffffffff, 0xfffffff0, 0xf0000000, 0x100000000ULL + (uintptr_t)&reg, ~0ULL};
  for (int i = 0; i < 5; i++) {
    header.nr_body = bodies[i];
    failed += expect("REGISTER", -1, ioctl(fd, NIOCCTRL, &header)) + expect("its errno", EFAULT, errno);
    header.nr_body = (uintptr_t)&reg;
    header.nr_options = bodies[i];
    failed += expect("REGISTER with an option", -1, ioctl(fd, NIOCCTRL, &header)) + expect("its errno", EFAULT, errno);
    header.nr_options = 0;
  }
  header.nr_body = (uintptr_t)&reg;
  failed += expect("REGISTER", 0, ioctl(fd, NIOCCTRL, &header));

  const uint32_t wild[] = {0xffffffff, 0xfffffffc, 0xf0000000, 0x80000000};
  for (int i = 0; i < 4; i++) {
    uint32_t at = wild[i];
    uint32_t pieces[2] = {at, 64}, cell = 0;
    uint32_t ok = (uint32_t)(uintptr_t)&cell;
    FAULT(wasi_args_get(at, at));
    FAULT(wasi_args_sizes_get(at, ok));
    FAULT(wasi_args_sizes_get(ok, at));
    FAULT(wasi_environ_sizes_get(at, at));
    FAULT(wasi_clock_res_get(0, at));
    FAULT(wasi_clock_time_get(1, 0, at));
    FAULT(wasi_fd_fdstat_get(fd, at));
    FAULT(wasi_fd_prestat_get(3, at));
    FAULT(wasi_fd_prestat_dir_name(3, at, 4));
    FAULT(wasi_fd_read(0, at, 1, ok));
    FAULT(wasi_fd_read(0, (uint32_t)(uintptr_t)pieces, 1, ok));
    FAULT(wasi_fd_write(1, at, 1, ok));
    FAULT(wasi_fd_write(1, (uint32_t)(uintptr_t)pieces, 1, ok));
    FAULT(wasi_path_open(3, 0, at, 6, 0, 0, 0, 0, ok));
    FAULT(wasi_path_open(3, 0, (uint32_t)(uintptr_t) "netmap", 6, 0, 0, 0, 0, at));
    FAULT(wasi_poll_oneoff(at, ok, 1, ok));
    FAULT(wasi_poll_oneoff(ok, at, 1, ok));
    FAULT(wasi_random_get(at, 64));
    FAULT(wasi_random_get(ok, 0xffffffff));
    FAULT(raw_mmap(at, 4096, 1, fd, 0));
    FAULT(raw_ioctl(fd, NIOCCTRL, at));
    FAULT(raw_poll(at, 1, 0, ok));
    FAULT(raw_poll(ok, 0, 0, at));
    FAULT(raw_eventfd(0, 0, at));
    FAULT(raw_futex_wait(at & ~3U, 0, 0));
    FAULT(raw_thread_create(1, at, 0, 0));
    pieces[0] = at;
    FAULT(raw_ioctl(fd, NIOCCTRL, (uint32_t)(uintptr_t)pieces));
  }
  failed += expect("a WASI function that is not there", ENOSYS, wasi_path_filestat_get(3, 0, 0, 0, 0));
  failed += expect("a futex that is not aligned", EINVAL, raw_futex_wait(66, 0, 0));
  failed += expect("a signal to no thread", ESRCH, raw_thread_kill(5, 9));
  failed += expect("a signal to a thread below all", ESRCH, raw_thread_kill(-1, 9));
  failed += expect("a signal that is none", EINVAL, raw_thread_kill(0, 32));
  failed += expect("poll of too many", EINVAL, raw_poll(0, 0xffffffff, 0, 0));
  failed += expect("mmap beyond the region", EINVAL, raw_mmap((uint32_t)(uintptr_t)&failed, 0xffffffff, 1, fd, 0));
  failed += expect("mmap at no page", EINVAL, raw_mmap((uint32_t)(uintptr_t)&failed, 4096, 1, fd, 64));
  failed += expect("mmap before the region", EINVAL, raw_mmap((uint32_t)(uintptr_t)&failed, 4096, 1, fd, -4096));
  failed += expect("mmap of another file", EINVAL, raw_mmap((uint32_t)(uintptr_t)&failed, 4096, 1, 0, 0));
  failed += expect("ioctl of another file", ENOTTY, raw_ioctl(0, NIOCTXSYNC, 0));
  failed += expect("ioctl of no file", EBADF, raw_ioctl(77, NIOCTXSYNC, 0));
  failed += expect("an unknown ioctl", EOPNOTSUPP, raw_ioctl(fd, 0x5555, 0));
  if (failed == 0) printf("all refused\n");
  return failed != 0;
}
