// sys/time.h of programs that `ptnet exec` runs, with the timer that wasi-libc lacks.
#ifndef PTNET_WASI_SYS_TIME_H
#define PTNET_WASI_SYS_TIME_H

#include_next <sys/time.h>

#include <unistd.h>

#define ITIMER_REAL 0
#define ITIMER_VIRTUAL 1
#define ITIMER_PROF 2

struct itimerval {
  struct timeval it_interval, it_value;
};

// SIGALRM to the first thread. DIFF: what was left of the last one is not told, `before` gets zeros.
static inline int setitimer(int which, const struct itimerval *timer, struct itimerval *before) {
  if (which != ITIMER_REAL) return ptnet_fail(ENOSYS);
  if (timer) {
    ptnet_alarm(timer->it_value.tv_sec * 1000000LL + timer->it_value.tv_usec,
                timer->it_interval.tv_sec * 1000000LL + timer->it_interval.tv_usec);
  }
  if (before) *before = (struct itimerval){{0, 0}, {0, 0}};
  return 0;
}

#endif
