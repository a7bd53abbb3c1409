// mmap(2) of programs that `ptnet exec` runs: the memory of a netmap port, from its start. It is where the host has put
// it, whatever address is asked for.
#ifndef PTNET_WASI_SYS_MMAN_H
#define PTNET_WASI_SYS_MMAN_H

#include <errno.h>
#include <stddef.h>
#include <sys/types.h>

#define PROT_NONE 0
#define PROT_READ 1
#define PROT_WRITE 2
#define PROT_EXEC 4
#define MAP_SHARED 1
#define MAP_PRIVATE 2
#define MAP_FIXED 0x10
#define MAP_ANONYMOUS 0x20
#define MAP_ANON MAP_ANONYMOUS
#define MAP_NORESERVE 0x4000
#define MAP_LOCKED 0x2000
#define MAP_POPULATE 0x8000
#define MAP_FAILED ((void *)-1)

int ptnet_mmap(void **mapped, size_t length, int flags, int fd, off_t offset)
    __attribute__((import_module("ptnet"), import_name("mmap")));
int ptnet_munmap(void *address, size_t length) __attribute__((import_module("ptnet"), import_name("munmap")));

static inline void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
  void *mapped = MAP_FAILED;
  int error = ptnet_mmap(&mapped, length, flags, fd, offset);
  (void)address;
  (void)protection;
  if (error == 0) return mapped;
  errno = error;
  return MAP_FAILED;
}

static inline int munmap(void *address, size_t length) {
  int error = ptnet_munmap(address, length);
  if (error == 0) return 0;
  errno = error;
  return -1;
}

#endif
