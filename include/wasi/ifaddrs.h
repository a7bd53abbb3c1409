// Interfaces of the host: a program sees none.
#ifndef PTNET_WASI_IFADDRS_H
#define PTNET_WASI_IFADDRS_H

#define getifaddrs ptnet_libc_getifaddrs
#define freeifaddrs ptnet_libc_freeifaddrs
#include_next <ifaddrs.h>
#undef getifaddrs
#undef freeifaddrs
#include <stddef.h>

static inline int getifaddrs(struct ifaddrs **list) {
  *list = NULL;
  return 0;
}

static inline void freeifaddrs(struct ifaddrs *list) {
  (void)list;
}

#endif
