// poll(2) of programs that `ptnet exec` runs. wasi-libc's own refuses descriptors without events.
#ifndef PTNET_WASI_POLL_H
#define PTNET_WASI_POLL_H

#include_next <poll.h>

#include <errno.h>

int ptnet_poll(struct pollfd *files, nfds_t count, int timeout, int *ready)
    __attribute__((import_module("ptnet"), import_name("poll")));

static inline int ptnet_poll_errno(struct pollfd *files, nfds_t count, int timeout) {
  int ready = 0;
  int error = ptnet_poll(files, count, timeout, &ready);
  if (error == 0) return ready;
  errno = error;
  return -1;
}

#define poll(files, count, timeout) ptnet_poll_errno(files, count, timeout)

#endif
