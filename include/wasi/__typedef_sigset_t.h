// A set of the signals 1 to 31. wasi-libc's own has eight bits.
#ifndef __wasilibc___typedef_sigset_t_h
#define __wasilibc___typedef_sigset_t_h

typedef unsigned long sigset_t;

#endif
