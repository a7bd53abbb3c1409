// nm_open() and its family, for programs that define NETMAP_WITH_LIBS: ports by name, with the legacy requests of
// netmap(4), and packets one by one. Included by net/netmap_user.h.
#ifndef PTNET_NET_NETMAP_LIB_H
#define PTNET_NET_NETMAP_LIB_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/types.h>
#include <unistd.h>

// Flags of nm_open() beside netmap's: nothing is mapped, unless there is `arg`; pieces of `arg` that are taken over.
#define NM_OPEN_NO_MMAP 0x040000
#define NM_OPEN_IFNAME 0x080000
#define NM_OPEN_ARG1 0x100000
#define NM_OPEN_ARG2 0x200000
#define NM_OPEN_ARG3 0x400000
#define NM_OPEN_RING_CFG 0x800000

#define NM_MORE_PKTS 1 // in nm_pkthdr.flags: another packet follows at once
#define NM_ERRBUF_SIZE 512
#define NM_MAX_PIPE 4094

struct nm_desc;

struct nm_pkthdr {
  struct timeval ts;
  uint32_t caplen; // bytes at buf
  uint32_t len;    // bytes of the packet
  uint64_t flags;
  struct nm_desc *d;
  struct netmap_slot *slot;
  uint8_t *buf;
};

struct nm_stat {
  unsigned ps_recv, ps_drop, ps_ifdrop;
};

struct nm_desc {
  struct nm_desc *self; // tells a descriptor from other pointers
  int fd;
  void *mem;
  uint32_t memsize;
  int done_mmap;
  struct netmap_if *nifp;
  uint16_t first_tx_ring, last_tx_ring, cur_tx_ring;
  uint16_t first_rx_ring, last_rx_ring, cur_rx_ring;
  struct nmreq req;
  struct nm_pkthdr hdr;
  struct netmap_ring *some_ring;
  void *buf_start, *buf_end;
  int snaplen, promisc, to_ms;
  char *errbuf;
  uint32_t if_flags, if_reqcap, if_curcap;
  struct nm_stat st;
  char msg[NM_ERRBUF_SIZE];
};

#define P2NMD(p) ((struct nm_desc *)(p))
#define IS_NETMAP_DESC(d) ((d) && P2NMD(d)->self == P2NMD(d))
#define NETMAP_FD(d) (P2NMD(d)->fd)

typedef void (*nm_cb_t)(unsigned char *argument, const struct nm_pkthdr *header, const unsigned char *data);

/** Whether the characters from `name` up to `end` (NULL: to the NUL) are those of an identifier. */
static inline int nm_is_identifier(const char *name, const char *end) {
  for (; end ? name != end : *name != '\0'; name++) {
    int letter = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z');
    if (!letter && *name != '_' && (*name < '0' || *name > '9')) return 0;
  }
  return 1;
}

static inline int nm_parse_fail(char *message, const char *why, const char *name) {
  snprintf(message, NM_ERRBUF_SIZE, "%s in '%s'", why, name);
  errno = EINVAL;
  return -1;
}

// A number at `*at`, which goes on behind it; -1 when there is none, or one beyond `max`.
static inline long nm_parse_number(const char **at, long max) {
  char *end;
  if (**at < '0' || **at > '9') return -1;
  long number = strtol(*at, &end, 10);
  *at = end;
  return number <= max ? number : -1;
}

// What may follow the name: rings, pipes, flags, a memory.
static inline int nm_parse_suffix(const char *name, const char *at, struct nmreq *req, char *message) {
  uint32_t mode = NR_REG_ALL_NIC, flags = 0;
  long number;
  req->nr_ringid &= (uint16_t)~NETMAP_RING_MASK;
  if (*at == '-') {
    at++;
    if ((number = nm_parse_number(&at, NETMAP_RING_MASK)) < 0) return nm_parse_fail(message, "no ring number", name);
    mode = NR_REG_ONE_NIC;
    req->nr_ringid |= (uint16_t)number;
  } else if (*at == '*' || *at == '^') {
    mode = *at++ == '*' ? NR_REG_NIC_SW : NR_REG_SW;
  } else if (*at == '{' || *at == '}') {
    mode = *at++ == '{' ? NR_REG_PIPE_MASTER : NR_REG_PIPE_SLAVE;
    number = *at >= '0' && *at <= '9' ? nm_parse_number(&at, NM_MAX_PIPE) : 0;
    if (number < 0) return nm_parse_fail(message, "too large a pipe", name);
    req->nr_ringid |= (uint16_t)number;
  }
  while (*at == '/' || *at == '@') {
    if (*at++ == '@') {
      if (req->nr_arg2 != 0) return nm_parse_fail(message, "two memories", name);
      if ((number = nm_parse_number(&at, 65535)) < 0) return nm_parse_fail(message, "no memory number", name);
      req->nr_arg2 = (uint16_t)number;
      continue;
    }
    for (; *at != '\0' && *at != '@' && *at != '/'; at++) {
      if (*at == 'x') flags |= NR_EXCLUSIVE;
      else if (*at == 'z') flags |= NR_ZCOPY_MON;
      else if (*at == 't') flags |= NR_MONITOR_TX;
      else if (*at == 'r') flags |= NR_MONITOR_RX;
      else if (*at == 'R') flags |= NR_RX_RINGS_ONLY;
      else if (*at == 'T') flags |= NR_TX_RINGS_ONLY;
      else return nm_parse_fail(message, "an unknown flag", name);
    }
  }
  if (*at != '\0') return nm_parse_fail(message, "something behind the name", name);
  req->nr_flags = (req->nr_flags & ~(uint32_t)NR_REG_MASK) | mode | flags;
  return 0;
}

/** Reads a name into d->req. -1 with errno EINVAL and a message of NM_ERRBUF_SIZE bytes; errno 0: it is no netmap name. */
static inline int nm_parse(const char *name, struct nm_desc *d, char *message) {
  int is_vale = strncmp(name, "vale", 4) == 0;
  errno = 0;
  if (!is_vale && strncmp(name, "netmap:", 7) != 0) {
    snprintf(message, NM_ERRBUF_SIZE, "'%s' begins with neither netmap: nor vale", name);
    return -1;
  }
  const char *bare = is_vale ? name : name + 7;
  const char *colon = is_vale ? strchr(name, ':') : NULL;
  if (is_vale && (!colon || !nm_is_identifier(name + 4, colon))) return nm_parse_fail(message, "no bridge", name);
  const char *port = colon ? colon + 1 : bare;
  size_t length = strcspn(port, "-*^{}/@");
  if (length == 0) return nm_parse_fail(message, "no port", name);
  if (is_vale && !nm_is_identifier(port, port + length)) return nm_parse_fail(message, "no identifier", name);
  size_t whole = (size_t)(port - bare) + length;
  if (whole >= sizeof d->req.nr_name) return nm_parse_fail(message, "too long a name", name);
  memset(d->req.nr_name, 0, sizeof d->req.nr_name);
  memcpy(d->req.nr_name, bare, whole);
  return nm_parse_suffix(name, port + length, &d->req, message);
}

/** Maps the memory of a descriptor, or takes over that of `parent` if it is the same. */
static inline int nm_mmap(struct nm_desc *d, const struct nm_desc *parent) {
  if (d->done_mmap) return 0;
  if (IS_NETMAP_DESC(parent) && parent->mem && parent->req.nr_arg2 == d->req.nr_arg2) {
    d->mem = parent->mem;
    d->memsize = parent->memsize;
  } else {
    d->memsize = d->req.nr_memsize;
    d->mem = mmap(NULL, d->memsize, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd, 0);
    if (d->mem == MAP_FAILED) {
      d->mem = NULL;
      return -1;
    }
    d->done_mmap = 1;
  }
  d->nifp = NETMAP_IF(d->mem, d->req.nr_offset);
  // A ring that is not bound has no place.
  struct netmap_ring *none = (struct netmap_ring *)(void *)d->nifp;
  struct netmap_ring *rx = NETMAP_RXRING(d->nifp, d->first_rx_ring), *tx = NETMAP_TXRING(d->nifp, d->first_tx_ring);
  d->some_ring = rx != none ? rx : tx != none ? tx : NULL;
  if (d->some_ring) d->buf_start = NETMAP_BUF(d->some_ring, 0);
  d->buf_end = (char *)d->mem + d->memsize;
  return 0;
}

/** Closes what nm_open() has opened. */
static inline int nm_close(struct nm_desc *d) {
  if (!IS_NETMAP_DESC(d)) return EINVAL;
  if (d->done_mmap && d->mem) munmap(d->mem, d->memsize);
  if (d->fd >= 0) close(d->fd);
  d->self = NULL;
  free(d);
  return 0;
}

static inline void nm_first_and_last(struct nm_desc *d) {
  uint32_t mode = d->req.nr_flags & NR_REG_MASK;
  uint16_t ring = (uint16_t)(d->req.nr_ringid & NETMAP_RING_MASK), tx = d->req.nr_tx_rings, rx = d->req.nr_rx_rings;
  if (mode == NR_REG_SW) {
    d->first_tx_ring = d->last_tx_ring = tx;
    d->first_rx_ring = d->last_rx_ring = rx;
  } else if (mode == NR_REG_ALL_NIC || mode == NR_REG_NIC_SW) {
    d->first_tx_ring = d->first_rx_ring = 0;
    d->last_tx_ring = (uint16_t)(tx - (mode == NR_REG_ALL_NIC));
    d->last_rx_ring = (uint16_t)(rx - (mode == NR_REG_ALL_NIC));
  } else {
    d->first_tx_ring = d->last_tx_ring = d->first_rx_ring = d->last_rx_ring = mode == NR_REG_ONE_NIC ? ring : 0;
  }
  d->cur_tx_ring = d->first_tx_ring;
  d->cur_rx_ring = d->first_rx_ring;
}

/**
 * Opens a port by name.
 * @param req what the request begins with, or NULL
 * @param flags NM_OPEN_*, NR_* and NETMAP_NO_TX_POLL, NETMAP_DO_RX_POLL
 * @param arg a descriptor whose memory may be shared, and whose pieces NM_OPEN_* take; or NULL
 * @returns NULL with errno; 0 for a name that is not netmap's
 */
static inline struct nm_desc *nm_open(const char *name, const struct nmreq *req, uint64_t flags,
                                      const struct nm_desc *arg) {
  const struct nm_desc *parent = IS_NETMAP_DESC(arg) ? arg : NULL;
  const uint32_t poll_bits = NETMAP_NO_TX_POLL | NETMAP_DO_RX_POLL;
  const uint32_t own = NM_OPEN_NO_MMAP | NM_OPEN_IFNAME | NM_OPEN_ARG1 | NM_OPEN_ARG2 | NM_OPEN_ARG3 | NM_OPEN_RING_CFG;
  struct nm_desc *d = (struct nm_desc *)calloc(1, sizeof *d);
  if (!d) return NULL;
  d->self = d;
  d->fd = -1;
  if (req) d->req = *req;
  if (nm_parse(name, d, d->msg) < 0) goto failed;
  d->req.nr_version = 14; // of the legacy requests
  d->req.nr_flags |= (uint32_t)flags & ~(own | poll_bits | NR_REG_MASK);
  d->req.nr_ringid = (uint16_t)((d->req.nr_ringid & ~poll_bits) | ((uint32_t)flags & poll_bits));
  d->req.nr_cmd = 0;
  if (parent) {
    if (flags & NM_OPEN_IFNAME) memcpy(d->req.nr_name, parent->req.nr_name, sizeof d->req.nr_name);
    d->req.nr_arg1 = flags & NM_OPEN_ARG1 ? parent->req.nr_arg1 : 4;
    if (flags & NM_OPEN_ARG2) d->req.nr_arg2 = parent->req.nr_arg2;
    d->req.nr_arg3 = flags & NM_OPEN_ARG3 ? parent->req.nr_arg3 : 0;
    if (flags & NM_OPEN_RING_CFG) {
      d->req.nr_tx_slots = parent->req.nr_tx_slots;
      d->req.nr_rx_slots = parent->req.nr_rx_slots;
      d->req.nr_tx_rings = parent->req.nr_tx_rings;
      d->req.nr_rx_rings = parent->req.nr_rx_rings;
    }
  }
  d->fd = open("/dev/netmap", O_RDWR);
  if (d->fd < 0 || ioctl(d->fd, NIOCREGIF, &d->req) < 0) goto failed;
  nm_first_and_last(d);
  if ((!(flags & NM_OPEN_NO_MMAP) || parent) && nm_mmap(d, parent) < 0) goto failed;
  return d;

failed: {
  int error = errno;
  nm_close(d);
  errno = error;
  return NULL;
}
}

/** Puts a packet into a tx ring with room, in as many slots as it needs. Its size, or 0: no ring has room. No sync. */
static inline int nm_inject(struct nm_desc *d, const void *packet, size_t size) {
  uint32_t rings = (uint32_t)(d->last_tx_ring - d->first_tx_ring + 1), index = d->cur_tx_ring;
  for (uint32_t tried = 0; tried < rings; tried++, index = index == d->last_tx_ring ? d->first_tx_ring : index + 1) {
    struct netmap_ring *ring = NETMAP_TXRING(d->nifp, index);
    size_t slots = size == 0 ? 1 : (size + ring->nr_buf_size - 1) / ring->nr_buf_size;
    if (slots > nm_ring_space(ring)) continue;
    const char *from = (const char *)packet;
    uint32_t i = ring->cur;
    for (size_t left = size; slots > 0; slots--, i = nm_ring_next(ring, i)) {
      size_t piece = left < ring->nr_buf_size ? left : ring->nr_buf_size;
      memcpy(NETMAP_BUF(ring, ring->slot[i].buf_idx), from, piece);
      ring->slot[i].len = (uint16_t)piece;
      ring->slot[i].flags = slots > 1 ? NS_MOREFRAG : 0;
      from += piece;
      left -= piece;
    }
    ring->head = ring->cur = i;
    d->cur_tx_ring = (uint16_t)index;
    return (int)size;
  }
  return 0;
}

/** The packet at the ring's head; its slots are the caller's until head is moved behind them. */
static inline void nm_look(struct nm_desc *d, struct netmap_ring *ring, struct nm_pkthdr *header) {
  struct netmap_slot *slot = &ring->slot[ring->cur];
  uint32_t i = ring->cur;
  header->ts = ring->ts;
  header->d = d;
  header->slot = slot;
  header->buf = (uint8_t *)NETMAP_BUF_OFFSET(ring, slot);
  header->len = header->caplen = slot->len;
  header->flags = 0;
  // The bytes go on at the same place as long as buffers are full and lie behind each other.
  for (int goes_on = 1; ring->slot[i].flags & NS_MOREFRAG && nm_ring_next(ring, i) != ring->tail;) {
    char *end = NETMAP_BUF(ring, ring->slot[i].buf_idx) + ring->slot[i].len;
    i = nm_ring_next(ring, i);
    goes_on = goes_on && NETMAP_BUF_OFFSET(ring, &ring->slot[i]) == end;
    header->len += ring->slot[i].len;
    if (goes_on) header->caplen += ring->slot[i].len;
  }
  ring->head = ring->cur = nm_ring_next(ring, i);
}

/** Calls back for up to `count` received packets (-1: for all); how many. The last one has no NM_MORE_PKTS. No sync. */
static inline int nm_dispatch(struct nm_desc *d, int count, nm_cb_t callback, unsigned char *argument) {
  uint32_t rings = (uint32_t)(d->last_rx_ring - d->first_rx_ring + 1), index = d->cur_rx_ring;
  int got = 0;
  d->hdr.buf = NULL;
  for (uint32_t tried = 0; tried < rings && got != count; tried++) {
    struct netmap_ring *ring = NETMAP_RXRING(d->nifp, index);
    for (; !nm_ring_empty(ring) && got != count; got++) {
      if (d->hdr.buf) {
        d->hdr.flags = NM_MORE_PKTS;
        callback(argument, &d->hdr, d->hdr.buf);
      }
      nm_look(d, ring, &d->hdr);
    }
    d->cur_rx_ring = (uint16_t)index;
    index = index == d->last_rx_ring ? d->first_rx_ring : index + 1;
  }
  if (d->hdr.buf) callback(argument, &d->hdr, d->hdr.buf);
  return got;
}

/** The next slot that was received, or NULL; its bytes are the caller's until the next sync. */
static inline unsigned char *nm_nextpkt(struct nm_desc *d, struct nm_pkthdr *header) {
  uint32_t index = d->cur_rx_ring;
  do {
    struct netmap_ring *ring = NETMAP_RXRING(d->nifp, index);
    if (!nm_ring_empty(ring)) {
      struct netmap_slot *slot = &ring->slot[ring->cur];
      header->ts = ring->ts;
      header->d = d;
      header->slot = slot;
      header->buf = (uint8_t *)NETMAP_BUF_OFFSET(ring, slot);
      header->len = header->caplen = slot->len;
      header->flags = 0;
      ring->head = ring->cur = nm_ring_next(ring, ring->cur);
      d->cur_rx_ring = (uint16_t)index;
      return header->buf;
    }
    index = index == d->last_rx_ring ? d->first_rx_ring : index + 1;
  } while (index != d->cur_rx_ring);
  return NULL;
}

#endif
