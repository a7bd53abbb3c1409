// stdio.h of programs that are compiled for threads: libc's streams know of none, and are used under a lock here.
#ifndef PTNET_WASI_STDIO_H
#define PTNET_WASI_STDIO_H

#include_next <stdio.h>

#ifdef __wasm_atomics__
#include <ptnet/stdio-lock.h>
#endif

#endif
