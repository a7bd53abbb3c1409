// What programs of netmap(4) use of the mapped memory: addresses of rings and buffers, steps in a ring.
#ifndef PTNET_NET_NETMAP_USER_H
#define PTNET_NET_NETMAP_USER_H

#include <net/netmap.h>
#include <stddef.h>
#include <string.h>

#define PTNET_OFFSET(type, ptr, offset) ((type)(void *)((char *)(ptr) + (offset)))

#define NETMAP_IF(_base, _ofs) PTNET_OFFSET(struct netmap_if *, _base, _ofs)
/** Host tx rings come after the others: index ni_tx_rings. */
#define NETMAP_TXRING(nifp, index) PTNET_OFFSET(struct netmap_ring *, nifp, (nifp)->ring_ofs[index])
#define NETMAP_RXRING(nifp, index)                                                                                     \
  PTNET_OFFSET(struct netmap_ring *, nifp, (nifp)->ring_ofs[(index) + (nifp)->ni_tx_rings + (nifp)->ni_host_tx_rings])
#define NETMAP_BUF(ring, index)                                                                                        \
  ((char *)(ring) + (ptrdiff_t)(ring)->buf_ofs + (size_t)(index) * (size_t)(ring)->nr_buf_size)
#define NETMAP_BUF_IDX(ring, buf)                                                                                      \
  (((char *)(buf) - ((char *)(ring) + (ptrdiff_t)(ring)->buf_ofs)) / (ring)->nr_buf_size)

/** The offset of a slot's packet in its buffer, and setting it. */
#define NETMAP_ROFFSET(ring, slot) ((slot)->ptr & (ring)->offset_mask)
#define NETMAP_WOFFSET(ring, slot, offset)                                                                             \
  ((slot)->ptr = ((slot)->ptr & ~(ring)->offset_mask) | ((offset) & (ring)->offset_mask))
#define NETMAP_BUF_OFFSET(ring, slot) (NETMAP_BUF(ring, (slot)->buf_idx) + NETMAP_ROFFSET(ring, slot))

static inline uint32_t nm_ring_next(struct netmap_ring *ring, uint32_t i) {
  return i + 1 == ring->num_slots ? 0 : i + 1;
}

/** Slots that the user has: free ones of a tx ring, received ones of an rx ring. */
static inline uint32_t nm_ring_space(struct netmap_ring *ring) {
  int32_t space = (int32_t)(ring->tail - ring->head);
  return (uint32_t)(space < 0 ? space + (int32_t)ring->num_slots : space);
}

static inline int nm_ring_empty(struct netmap_ring *ring) {
  return ring->head == ring->tail;
}

/** Whether slots that were given to the kernel are still to be sent. */
static inline int nm_tx_pending(struct netmap_ring *ring) {
  return nm_ring_next(ring, ring->tail) != ring->head;
}

/** Copies a packet; both buffers have room for the length rounded up to 64 bytes. */
static inline void nm_pkt_copy(const void *from, void *to, int length) {
  memcpy(to, from, (size_t)length);
}

#ifdef NETMAP_WITH_LIBS
#include <net/netmap_lib.h>
#endif

#endif
