// A heap in libc's place, which knows of threads. With PTNET_HEAP_SIZE it is an array of that size: programs that share the
// memory of their host are compiled with `-include ptnet/heap.h`, as libc's own heap would take all memory behind them.
// First fit; neighbours are merged when they are looked at.
#ifndef PTNET_HEAP_H
#define PTNET_HEAP_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if !defined(PTNET_HEAP_SIZE) && !defined(PTNET_HEAP_GROWS)
#define PTNET_HEAP_SIZE (1 << 20)
#endif

#ifdef __wasm_atomics__
#include <ptnet/futex.h>
__attribute__((weak)) volatile int ptnet_heap_lock;
#define PTNET_HEAP_ENTER ptnet_lock(&ptnet_heap_lock)
#define PTNET_HEAP_LEAVE ptnet_unlock(&ptnet_heap_lock)
#else
#define PTNET_HEAP_ENTER ((void)0)
#define PTNET_HEAP_LEAVE ((void)0)
#endif

// In front of every block. Sizes are multiples of 16 and count this header; bit 0: in use.
struct ptnet_block {
  size_t size;
  size_t pad[3];
};

// A stretch of memory full of blocks.
struct ptnet_chunk {
  struct ptnet_chunk *next;
  size_t size; // of the blocks
  size_t pad[2];
};

__attribute__((weak)) struct ptnet_chunk *ptnet_chunks;

#ifdef PTNET_HEAP_SIZE
__attribute__((weak, aligned(16))) unsigned char ptnet_heap[PTNET_HEAP_SIZE];
#else
// The host knows by this name that a program takes memory behind its own.
__attribute__((weak, noinline)) size_t ptnet_grow_memory(size_t pages) {
  return __builtin_wasm_memory_grow(0, pages);
}
#endif

// More memory for a block of this size; 0 = there is none.
static inline struct ptnet_chunk *ptnet_more(size_t wanted) {
#ifdef PTNET_HEAP_SIZE
  if (ptnet_chunks || wanted > sizeof ptnet_heap - sizeof(struct ptnet_chunk)) return 0;
  struct ptnet_chunk *chunk = (struct ptnet_chunk *)ptnet_heap;
  chunk->size = sizeof ptnet_heap - sizeof *chunk;
#else
  size_t pages = (wanted + sizeof(struct ptnet_chunk) + (1 << 18) - 1) >> 18 << 2;
  size_t at = ptnet_grow_memory(pages);
  if (at == SIZE_MAX) return 0;
  struct ptnet_chunk *chunk = (struct ptnet_chunk *)(at << 16);
  chunk->size = (pages << 16) - sizeof *chunk;
#endif
  struct ptnet_block *block = (struct ptnet_block *)(chunk + 1);
  chunk->size &= ~(size_t)15;
  block->size = chunk->size;
  chunk->next = ptnet_chunks;
  ptnet_chunks = chunk;
  return chunk;
}

// A free block of a chunk; 0 = there is none that is large enough.
static inline struct ptnet_block *ptnet_find(struct ptnet_chunk *chunk, size_t wanted) {
  unsigned char *at = (unsigned char *)(chunk + 1), *end = at + chunk->size;
  for (; at < end; at += ((struct ptnet_block *)at)->size & ~(size_t)1) {
    struct ptnet_block *block = (struct ptnet_block *)at;
    if (block->size & 1) continue;
    for (unsigned char *next = at + block->size; next < end; next = at + block->size) {
      if (((struct ptnet_block *)next)->size & 1) break;
      block->size += ((struct ptnet_block *)next)->size;
    }
    if (block->size >= wanted) return block;
  }
  return 0;
}

// What malloc does, under a name that the compiler knows nothing of: it would take what lies before a block for nothing.
__attribute__((weak)) void *ptnet_take(size_t size) {
  struct ptnet_block *block = 0;
  if (size <= SIZE_MAX / 2) {
    size_t wanted = ((size + 15) & ~(size_t)15) + sizeof *block;
    PTNET_HEAP_ENTER;
    for (struct ptnet_chunk *chunk = ptnet_chunks; chunk && !block; chunk = chunk->next) block = ptnet_find(chunk, wanted);
    if (!block) {
      struct ptnet_chunk *chunk = ptnet_more(wanted);
      if (chunk) block = (struct ptnet_block *)(chunk + 1);
    }
    if (block) {
      if (block->size - wanted > sizeof *block) {
        ((struct ptnet_block *)((unsigned char *)block + wanted))->size = block->size - wanted;
        block->size = wanted;
      }
      block->size |= 1;
    }
    PTNET_HEAP_LEAVE;
  }
  if (block) return block + 1;
  errno = ENOMEM;
  return NULL;
}

__attribute__((weak)) void *malloc(size_t size) {
  return ptnet_take(size);
}

__attribute__((weak)) void free(void *pointer) {
  if (!pointer) return;
  PTNET_HEAP_ENTER;
  ((struct ptnet_block *)pointer - 1)->size &= ~(size_t)1;
  PTNET_HEAP_LEAVE;
}

__attribute__((weak)) size_t malloc_usable_size(void *pointer) {
  return pointer ? (((struct ptnet_block *)pointer - 1)->size & ~(size_t)1) - sizeof(struct ptnet_block) : 0;
}

__attribute__((weak)) void *calloc(size_t count, size_t size) {
  if (size != 0 && count > SIZE_MAX / size) {
    errno = ENOMEM;
    return NULL;
  }
  void *pointer = ptnet_take(count * size);
  return pointer ? memset(pointer, 0, count * size) : NULL;
}

__attribute__((weak)) void *realloc(void *pointer, size_t size) {
  if (!pointer) return malloc(size);
  size_t room = malloc_usable_size(pointer);
  if (size <= room) return pointer;
  void *moved = ptnet_take(size);
  if (!moved) return NULL;
  memcpy(moved, pointer, room);
  free(pointer);
  return moved;
}

// A block that is aligned to more than 16 has a header of its own inside a larger one, which becomes a free block before it.
__attribute__((weak)) int posix_memalign(void **pointer, size_t align, size_t size) {
  if (align < sizeof(void *) || (align & (align - 1)) != 0) return EINVAL;
  int before = errno;
  unsigned char *whole = size > SIZE_MAX / 4 || align > SIZE_MAX / 4 ? NULL : ptnet_take(align <= 16 ? size : size + 2 * align);
  errno = before;
  if (!whole) return ENOMEM;
  unsigned char *at = (unsigned char *)(((uintptr_t)whole + align - 1) & ~(uintptr_t)(align - 1));
  if (at != whole) {
    if ((size_t)(at - whole) < sizeof(struct ptnet_block)) at += align;
    struct ptnet_block *first = (struct ptnet_block *)whole - 1, *own = (struct ptnet_block *)at - 1;
    PTNET_HEAP_ENTER;
    own->size = ((first->size & ~(size_t)1) - (size_t)(at - whole)) | 1;
    first->size = (size_t)(at - whole);
    PTNET_HEAP_LEAVE;
  }
  *pointer = at;
  return 0;
}

__attribute__((weak)) void *aligned_alloc(size_t align, size_t size) {
  void *pointer = NULL;
  int error = posix_memalign(&pointer, align < sizeof pointer ? sizeof pointer : align, size);
  if (error != 0) errno = error;
  return pointer;
}

#endif
