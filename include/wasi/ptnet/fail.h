// For what a program cannot do here: -1 and errno.
#ifndef PTNET_FAIL_H
#define PTNET_FAIL_H

#include <errno.h>

static inline int ptnet_fail(int error) {
  errno = error;
  return -1;
}

#endif
