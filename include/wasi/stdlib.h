// stdlib.h of programs that `ptnet exec` runs: there is no shell.
#ifndef PTNET_WASI_STDLIB_H
#define PTNET_WASI_STDLIB_H

#define system ptnet_libc_system
#include_next <stdlib.h>
#undef system

#include <ptnet/fail.h>

static inline int system(const char *command) {
  return command ? ptnet_fail(ENOSYS) : 0;
}

#endif
