// errno of every thread, in programs that are compiled for threads: libc has one, which is the first thread's.
#ifndef PTNET_WASI_ERRNO_H
#define PTNET_WASI_ERRNO_H

#include_next <errno.h>

#ifdef __wasm_atomics__

extern int ptnet_libc_errno __asm__("errno");

// Of this thread; not set in the first one.
__attribute__((weak, tls_model("local-exec"))) _Thread_local int *ptnet_errno_address;

static inline int *ptnet_errno(void) {
  return ptnet_errno_address ? ptnet_errno_address : &ptnet_libc_errno;
}

#undef errno
#define errno (*ptnet_errno())

#endif

#endif
