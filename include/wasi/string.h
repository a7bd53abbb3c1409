// string.h of programs that `ptnet exec` runs: names of signals, which wasi-libc declares only.
#ifndef PTNET_WASI_STRING_H
#define PTNET_WASI_STRING_H

#define strsignal ptnet_libc_strsignal
#include_next <string.h>
#undef strsignal

static inline char *strsignal(int number) {
  static const char *const names[] = {
      [1] = "Hangup",      [2] = "Interrupt",       [3] = "Quit",         [6] = "Aborted",         [9] = "Killed",
      [10] = "User signal 1", [12] = "User signal 2", [13] = "Broken pipe", [14] = "Alarm clock", [15] = "Terminated",
  };
  int is_known = number > 0 && number < (int)(sizeof names / sizeof names[0]) && names[number];
  return (char *)(is_known ? names[number] : "Unknown signal");
}

#endif
