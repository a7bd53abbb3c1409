// sysctl(3), as far as programs ask it how many processors there are.
#ifndef PTNET_WASI_SYS_SYSCTL_H
#define PTNET_WASI_SYS_SYSCTL_H

#include <string.h>
#include <unistd.h>

#define CTL_HW 6
#define HW_NCPU 3

static inline int ptnet_sysctl(int known, void *value, size_t *size, const void *wanted) {
  int count = ptnet_processors();
  if (!known) return ptnet_fail(ENOENT);
  if (wanted) return ptnet_fail(EPERM);
  if (size && value && *size < sizeof count) return ptnet_fail(ENOMEM);
  if (size) *size = sizeof count;
  if (value) memcpy(value, &count, sizeof count);
  return 0;
}

static inline int sysctlbyname(const char *name, void *value, size_t *size, const void *wanted, size_t length) {
  (void)length;
  return ptnet_sysctl(strcmp(name, "hw.ncpu") == 0, value, size, wanted);
}

static inline int sysctl(const int *name, unsigned depth, void *value, size_t *size, const void *wanted, size_t length) {
  (void)length;
  return ptnet_sysctl(depth == 2 && name[0] == CTL_HW && name[1] == HW_NCPU, value, size, wanted);
}

#endif
