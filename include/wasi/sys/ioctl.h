// ioctl(2) of programs that `ptnet exec` runs. Numbers as on Linux.
#ifndef PTNET_WASI_SYS_IOCTL_H
#define PTNET_WASI_SYS_IOCTL_H

#include <errno.h>
#include <stdarg.h>

#define PTNET_IOC(dir, group, number, size)                                                                            \
  (((dir) << 30 | (unsigned long)(size) << 16 | (unsigned long)(group) << 8 | (unsigned long)(number)) & 0xffffffffUL)
#define _IO(group, number) PTNET_IOC(0UL, group, number, 0)
#define _IOW(group, number, type) PTNET_IOC(1UL, group, number, sizeof(type))
#define _IOR(group, number, type) PTNET_IOC(2UL, group, number, sizeof(type))
#define _IOWR(group, number, type) PTNET_IOC(3UL, group, number, sizeof(type))

#define FIONREAD 0x541b
#define FIONBIO 0x5421

// Requests about interfaces, which no descriptor here takes.
#define SIOCGIFCONF 0x8912
#define SIOCGIFFLAGS 0x8913
#define SIOCSIFFLAGS 0x8914
#define SIOCGIFADDR 0x8915
#define SIOCGIFMTU 0x8921
#define SIOCSIFMTU 0x8922
#define SIOCGIFHWADDR 0x8927
#define SIOCGIFINDEX 0x8933
#define SIOCETHTOOL 0x8946

int ptnet_ioctl(int fd, unsigned long request, va_list arguments)
    __attribute__((import_module("ptnet"), import_name("ioctl")));

static inline int ioctl(int fd, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  int error = ptnet_ioctl(fd, request, arguments);
  va_end(arguments);
  if (error == 0) return 0;
  errno = error;
  return -1;
}

#endif
