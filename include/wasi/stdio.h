// stdio.h of programs that `ptnet exec` runs: no other programs, and, in what is compiled for threads, streams under a lock,
// of which libc knows nothing.
#ifndef PTNET_WASI_STDIO_H
#define PTNET_WASI_STDIO_H

#include_next <stdio.h>

#include <ptnet/fail.h>

static inline FILE *popen(const char *command, const char *how) {
  (void)command, (void)how;
  errno = ENOSYS;
  return NULL;
}

static inline int pclose(FILE *stream) {
  (void)stream;
  return ptnet_fail(ENOSYS);
}

#ifdef __wasm_atomics__
#include <ptnet/stdio-lock.h>
#endif

#endif
