// A heap of fixed size, for programs that share the memory of their host (`-include ptnet/heap.h`): libc's own would take
// all memory behind the program. First fit; neighbours are merged when they are looked at.
#ifndef PTNET_HEAP_H
#define PTNET_HEAP_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef PTNET_HEAP_SIZE
#define PTNET_HEAP_SIZE (1 << 20)
#endif

// In front of every block. Sizes are multiples of 16 and count this header; bit 0: in use.
struct ptnet_block {
  size_t size;
  size_t pad[3];
};

__attribute__((weak, aligned(16))) unsigned char ptnet_heap[PTNET_HEAP_SIZE];
__attribute__((weak)) int ptnet_heap_ready;

__attribute__((weak)) void *malloc(size_t size) {
  unsigned char *end = ptnet_heap + sizeof ptnet_heap;
  if (!ptnet_heap_ready) {
    ((struct ptnet_block *)ptnet_heap)->size = sizeof ptnet_heap;
    ptnet_heap_ready = 1;
  }
  if (size <= sizeof ptnet_heap) {
    size_t wanted = ((size + 15) & ~(size_t)15) + sizeof(struct ptnet_block);
    for (unsigned char *at = ptnet_heap; at < end; at += ((struct ptnet_block *)at)->size & ~(size_t)1) {
      struct ptnet_block *block = (struct ptnet_block *)at;
      if (block->size & 1) continue;
      for (unsigned char *next = at + block->size; next < end; next = at + block->size) {
        if (((struct ptnet_block *)next)->size & 1) break;
        block->size += ((struct ptnet_block *)next)->size;
      }
      if (block->size < wanted) continue;
      if (block->size - wanted > sizeof(struct ptnet_block)) {
        ((struct ptnet_block *)(at + wanted))->size = block->size - wanted;
        block->size = wanted;
      }
      block->size |= 1;
      return block + 1;
    }
  }
  errno = ENOMEM;
  return NULL;
}

__attribute__((weak)) void free(void *pointer) {
  if (pointer) ((struct ptnet_block *)pointer - 1)->size &= ~(size_t)1;
}

__attribute__((weak)) void *calloc(size_t count, size_t size) {
  if (size != 0 && count > SIZE_MAX / size) {
    errno = ENOMEM;
    return NULL;
  }
  void *pointer = malloc(count * size);
  return pointer ? memset(pointer, 0, count * size) : NULL;
}

__attribute__((weak)) void *realloc(void *pointer, size_t size) {
  if (!pointer) return malloc(size);
  size_t room = (((struct ptnet_block *)pointer - 1)->size & ~(size_t)1) - sizeof(struct ptnet_block);
  if (size <= room) return pointer;
  void *moved = malloc(size);
  if (!moved) return NULL;
  memcpy(moved, pointer, room);
  free(pointer);
  return moved;
}

// Blocks are aligned to 16; nothing here wants more.
__attribute__((weak)) int posix_memalign(void **pointer, size_t align, size_t size) {
  if (align > 16) return EINVAL;
  *pointer = malloc(size);
  return *pointer ? 0 : ENOMEM;
}

__attribute__((weak)) void *aligned_alloc(size_t align, size_t size) {
  void *pointer = NULL;
  int error = posix_memalign(&pointer, align, size);
  if (error != 0) errno = error;
  return pointer;
}

#endif
