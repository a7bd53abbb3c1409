// time.h of programs that `ptnet exec` runs. wasi-libc's sleeps do not tell that a signal has ended them.
#ifndef PTNET_WASI_TIME_H
#define PTNET_WASI_TIME_H

#define nanosleep ptnet_libc_nanosleep
#define clock_nanosleep ptnet_libc_clock_nanosleep
#include_next <time.h>
#undef nanosleep
#undef clock_nanosleep

#include <errno.h>

int clock_gettime(clockid_t clock, struct timespec *time); // also with -std=c11, which hides it
int ptnet_sleep(long long nanoseconds) __attribute__((import_module("ptnet"), import_name("sleep")));

static inline int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *left) {
  struct timespec now;
  if (time->tv_nsec < 0 || time->tv_nsec >= 1000000000 || (flags & ~TIMER_ABSTIME)) return EINVAL;
  if (clock_gettime(clock, &now) != 0) return EINVAL;
  struct timespec end = *time;
  if (!(flags & TIMER_ABSTIME)) {
    end.tv_nsec += now.tv_nsec;
    end.tv_sec += now.tv_sec + end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
  }
  long long wanted = (end.tv_sec - now.tv_sec) * 1000000000LL + (end.tv_nsec - now.tv_nsec);
  int error = ptnet_sleep(wanted > 0 ? wanted : 0);
  if (error == 0 || !left || (flags & TIMER_ABSTIME)) return error;
  clock_gettime(clock, &now);
  wanted = (end.tv_sec - now.tv_sec) * 1000000000LL + (end.tv_nsec - now.tv_nsec);
  if (wanted < 0) wanted = 0;
  *left = (struct timespec){wanted / 1000000000, wanted % 1000000000};
  return error;
}

static inline int nanosleep(const struct timespec *time, struct timespec *left) {
  int error = clock_nanosleep(CLOCK_MONOTONIC, 0, time, left);
  if (error == 0) return 0;
  errno = error;
  return -1;
}

#endif
