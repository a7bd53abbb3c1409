// eventfd(2) of programs that `ptnet exec` runs.
#ifndef PTNET_WASI_SYS_EVENTFD_H
#define PTNET_WASI_SYS_EVENTFD_H

#define eventfd ptnet_libc_eventfd
#define eventfd_read ptnet_libc_eventfd_read
#define eventfd_write ptnet_libc_eventfd_write
#include_next <sys/eventfd.h>
#undef eventfd
#undef eventfd_read
#undef eventfd_write
#include <errno.h>
#include <unistd.h>

int ptnet_eventfd(unsigned initial, int flags, int *made)
    __attribute__((import_module("ptnet"), import_name("eventfd")));

static inline int eventfd(unsigned initial, int flags) {
  int fd = -1;
  int error = ptnet_eventfd(initial, flags, &fd);
  if (error == 0) return fd;
  errno = error;
  return -1;
}

static inline int eventfd_read(int fd, eventfd_t *value) {
  return read(fd, value, sizeof *value) == (ssize_t)sizeof *value ? 0 : -1;
}

static inline int eventfd_write(int fd, eventfd_t value) {
  return write(fd, &value, sizeof value) == (ssize_t)sizeof value ? 0 : -1;
}

#endif
