// sys/resource.h, which wasi-libc refuses: nobody counts what a program uses.
#ifndef PTNET_WASI_SYS_RESOURCE_H
#define PTNET_WASI_SYS_RESOURCE_H

#include <ptnet/fail.h>
#include <sys/time.h>

typedef unsigned long long rlim_t;

struct rlimit {
  rlim_t rlim_cur, rlim_max;
};

struct rusage {
  struct timeval ru_utime, ru_stime;
  long ru_maxrss, ru_minflt, ru_majflt, ru_nvcsw, ru_nivcsw;
};

#define RLIM_INFINITY (~0ULL)
#define RLIMIT_CPU 0
#define RLIMIT_CORE 4
#define RLIMIT_NOFILE 7
#define RLIMIT_MEMLOCK 8
#define RUSAGE_SELF 0
#define RUSAGE_THREAD 1
#define PRIO_PROCESS 0

static inline int getrusage(int who, struct rusage *usage) {
  (void)who, (void)usage;
  return ptnet_fail(ENOSYS);
}

static inline int getrlimit(int resource, struct rlimit *limit) {
  if (resource != RLIMIT_NOFILE) return ptnet_fail(ENOSYS);
  limit->rlim_cur = limit->rlim_max = 1024;
  return 0;
}

static inline int setrlimit(int resource, const struct rlimit *limit) {
  (void)resource, (void)limit;
  return ptnet_fail(ENOSYS);
}

static inline int setpriority(int which, int who, int priority) {
  (void)which, (void)who;
  return priority == 0 ? 0 : ptnet_fail(ENOSYS);
}

#endif
