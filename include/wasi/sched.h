// sched.h of programs that `ptnet exec` runs. The system places workers on processors: a program may wish for some, as long
// as there are such, and is told that it runs on all.
#ifndef PTNET_WASI_SCHED_H
#define PTNET_WASI_SCHED_H

#include_next <sched.h>

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/types.h>

#define SCHED_OTHER 0
#define SCHED_FIFO 1
#define SCHED_RR 2

struct sched_param {
  int sched_priority;
};

#define CPU_SETSIZE 1024
typedef struct {
  unsigned long bits[CPU_SETSIZE / (8 * sizeof(unsigned long))];
} cpu_set_t;
typedef cpu_set_t cpuset_t;

#define PTNET_CPU_WORD(cpu) ((size_t)(cpu) / (8 * sizeof(unsigned long)))
#define PTNET_CPU_BIT(cpu) (1UL << ((size_t)(cpu) % (8 * sizeof(unsigned long))))
#define CPU_ZERO(set) memset(set, 0, sizeof(cpu_set_t))
#define CPU_SET(cpu, set) ((void)((size_t)(cpu) < CPU_SETSIZE && ((set)->bits[PTNET_CPU_WORD(cpu)] |= PTNET_CPU_BIT(cpu))))
#define CPU_CLR(cpu, set)                                                                                              \
  ((void)((size_t)(cpu) < CPU_SETSIZE && ((set)->bits[PTNET_CPU_WORD(cpu)] &= ~PTNET_CPU_BIT(cpu))))
#define CPU_ISSET(cpu, set) ((size_t)(cpu) < CPU_SETSIZE && ((set)->bits[PTNET_CPU_WORD(cpu)] & PTNET_CPU_BIT(cpu)) != 0)
#define CPU_COUNT(set) ptnet_cpu_count(set)
#define CPU_EQUAL(a, b) (memcmp(a, b, sizeof(cpu_set_t)) == 0)

/** Processors that the host has. */
int ptnet_processors(void) __attribute__((import_module("ptnet"), import_name("processors")));

static inline int ptnet_cpu_count(const cpu_set_t *set) {
  int count = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) count += CPU_ISSET(cpu, set);
  return count;
}

static inline int ptnet_all_processors(size_t size, cpu_set_t *set) {
  if (size < sizeof *set) return -1;
  CPU_ZERO(set);
  for (int cpu = 0; cpu < ptnet_processors(); cpu++) CPU_SET(cpu, set);
  return 0;
}

static inline int ptnet_check_affinity(size_t size, const cpu_set_t *set) {
  if (size < sizeof *set) return EINVAL;
  for (int cpu = 0; cpu < ptnet_processors(); cpu++) {
    if (CPU_ISSET(cpu, set)) return 0;
  }
  return EINVAL;
}

static inline int sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set) {
  (void)pid;
  int error = ptnet_check_affinity(size, set);
  if (error == 0) return 0;
  errno = error;
  return -1;
}

static inline int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set) {
  (void)pid;
  if (ptnet_all_processors(size, set) == 0) return 0;
  errno = EINVAL;
  return -1;
}

static inline int sched_getscheduler(pid_t pid) {
  (void)pid;
  return SCHED_OTHER;
}

// Workers have no priorities.
static inline int sched_setscheduler(pid_t pid, int policy, const struct sched_param *parameters) {
  (void)pid;
  if (policy == SCHED_OTHER && parameters->sched_priority == 0) return 0;
  errno = EPERM;
  return -1;
}

static inline int sched_get_priority_min(int policy) {
  (void)policy;
  return 0;
}

static inline int sched_get_priority_max(int policy) {
  (void)policy;
  return 0;
}

#endif
