// The ptnet device from user space: finds the functions on the PCI bus, maps the region, sets the CSB up in the program's own
// RAM, and has the first ring of each direction. As netmap mode does, without interrupts.
#pragma once
#include "linux.h"

static inline void outl(u16 port, u32 value) { __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory"); }
static inline void outw(u16 port, u16 value) { __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory"); }
static inline void outb(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory"); }
static inline u32 inl(u16 port) {
  u32 value;
  __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
  return value;
}
static inline u16 inw(u16 port) {
  u16 value;
  __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
  return value;
}
static inline u8 inb(u16 port) {
  u8 value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
  return value;
}

// The devices.

enum { PTNET = 0x1b36000d, MEMDEV = 0x1b36000c };
enum { PTFEAT = 0, PTCTL = 4, MAC_LO = 8, MAC_HI = 12, NIFP_OFS = 24, NUM_TX_RINGS = 28, NUM_RX_RINGS = 32, NUM_TX_SLOTS = 36,
       NUM_RX_SLOTS = 40, VNET_HDR_LEN = 44, HOSTMEMID = 48, GH_BAH = 52, GH_BAL = 56, HG_BAH = 60, HG_BAL = 64, KICK = 128 };
enum { MEMSIZE_LO = 0, MEMID = 8, BUF_POOL_OBJNUM = 92 };

/** A function on the PCI bus, as /proc/bus/pci/devices tells of it. */
struct function {
  u32 slot;
  u32 bar[3];
  u32 size[3];
};

static inline int read_devices(char *text, u32 size) {
  int fd = syscall3(SYS_OPEN, (long)"/proc/bus/pci/devices", O_RDONLY, 0);
  if (fd < 0) fail("open /proc/bus/pci/devices", -fd);
  u32 n = 0;
  for (;;) {
    long got = syscall3(SYS_READ, fd, (long)(text + n), size - 1 - n);
    if (got <= 0) break;
    n += got;
  }
  text[n] = 0;
  syscall3(SYS_CLOSE, fd, 0, 0);
  return n;
}

static inline const char *next_word(const char *at) {
  while (*at && *at != '\t' && *at != '\n' && *at != ' ') at++;
  while (*at == '\t' || *at == ' ') at++;
  return at;
}

/** The function number `n` with this vendor and device id. Returns 0 if there is none. */
static inline int find(u32 id, u32 n, struct function *found) {
  static char text[16384];
  read_devices(text, sizeof text);
  for (const char *line = text; *line;) {
    const char *at = line;
    u32 address = parse(at, 16);
    at = next_word(at);
    u32 ids = parse(at, 16);
    at = next_word(at); // interrupt
    at = next_word(at);
    if (ids == id && n-- == 0) {
      found->slot = (address & 0xff) >> 3;
      for (int i = 0; i < 7; i++, at = next_word(at))
        if (i < 3) found->bar[i] = parse(at, 16);
      for (int i = 0; i < 3; i++, at = next_word(at)) found->size[i] = parse(at, 16);
      return 1;
    }
    while (*line && *line != '\n') line++;
    if (*line) line++;
  }
  return 0;
}

/** Opens a file of a function in sysfs. */
static inline int open_sysfs(const struct function *of, const char *name, int mode) {
  char path[96], *end = path;
  for (const char *at = "/sys/bus/pci/devices/0000:00:"; *at; at++) *end++ = *at;
  *end++ = "0123456789abcdef"[of->slot >> 4];
  *end++ = "0123456789abcdef"[of->slot & 15];
  for (const char *at = ".0/"; *at; at++) *end++ = *at;
  while (*name) *end++ = *name++;
  *end = 0;
  int fd = syscall3(SYS_OPEN, (long)path, mode, 0);
  if (fd < 0) fail(path, -fd);
  return fd;
}

static inline void enable(const struct function *of) {
  int fd = open_sysfs(of, "enable", O_WRONLY);
  long n = syscall3(SYS_WRITE, fd, (long)"1", 1);
  if (n != 1) fail("enable", -n);
  syscall3(SYS_CLOSE, fd, 0, 0);
}

static inline u8 *map_bar(const struct function *of, const char *resource, u32 size) {
  int fd = open_sysfs(of, resource, O_RDWR);
  long at = syscall5(SYS_MMAP2, 0, size, PROT_READ_WRITE, MAP_SHARED, fd);
  if ((u32)at > (u32)-4096) fail(resource, -at);
  return (u8 *)at;
}

/** Two pages that stay where they are. */
static inline u8 *ram_pages(void) {
  long at = syscall5(SYS_MMAP2, 0, 8192, PROT_READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1);
  if ((u32)at > (u32)-4096) fail("mmap", -at);
  memset((void *)at, 0, 8192);
  return (u8 *)at;
}

static inline u32 physical(const void *at) {
  int fd = syscall3(SYS_OPEN, (long)"/proc/self/pagemap", O_RDONLY, 0);
  if (fd < 0) fail("open pagemap", -fd);
  u32 entry[2] = {0, 0};
  long n = syscall5(SYS_PREAD64, fd, (long)entry, 8, ((u32)at >> 12) * 8, 0);
  if (n != 8 || (entry[1] >> 31) == 0) fail("pagemap", entry[1]);
  syscall3(SYS_CLOSE, fd, 0, 0);
  return entry[0] << 12;
}

// netmap, in the layout of i386.

struct netmap_slot {
  u32 buf_idx;
  u16 len, flags;
  u64 ptr;
};
struct netmap_ring {
  int64_t buf_ofs;
  u32 num_slots, nr_buf_size;
  u16 ringid, dir;
  u32 head, cur, tail, flags;
  u8 rest[256 - 36];
  struct netmap_slot slot[];
};
struct netmap_if {
  char name[16];
  u32 version, flags, tx_rings, rx_rings, bufs_head, host_tx_rings, host_rx_rings, spare[3];
  int32_t ring_ofs[];
};
_Static_assert(offsetof(struct netmap_ring, slot) == 256, "netmap_ring");
_Static_assert(offsetof(struct netmap_if, ring_ofs) == 56, "netmap_if");

struct atok { volatile u32 head, cur, appl_need_kick, sync_flags; u32 pad[12]; };
struct ktoa { volatile u32 hwcur, hwtail, kern_need_kick; u32 pad[13]; };

struct ring {
  volatile struct netmap_ring *ring;
  volatile struct atok *atok;
  volatile struct ktoa *ktoa;
  u8 *bufs;
  u16 kick;
  u32 n, size;
  u32 head;
  u32 kicks;
};

static struct function device, memdev;
static u16 io;
static u8 *region;
static u8 *csb;
static struct ring tx, rx;

static inline u32 reg(u32 offset) { return inl(io + offset); }
static inline void set(u32 offset, u32 value) { outl(io + offset, value); }

static inline void open_ring(struct ring *r, struct netmap_if *nifp, u32 directory, u32 index) {
  if (nifp->ring_ofs[directory] == 0) fail("ring_ofs", directory);
  r->ring = (struct netmap_ring *)((u8 *)nifp + nifp->ring_ofs[directory]);
  r->atok = (struct atok *)csb + index;
  r->ktoa = (struct ktoa *)(csb + 4096) + index;
  r->bufs = (u8 *)r->ring + (int32_t)r->ring->buf_ofs;
  r->n = r->ring->num_slots;
  r->size = r->ring->nr_buf_size;
  r->kick = io + KICK + 4 * index;
  r->head = r->atok->head;
}

static inline void probe(u32 number) {
  if (!find(PTNET, number, &device)) fail("no ptnet device", number);
  long result = syscall3(SYS_IOPL, 3, 0, 0);
  if (result < 0) fail("iopl", -result);
  enable(&device);
  io = device.bar[0] & ~3u;
}

/** Maps the region of the device and starts the kernel loop, for frames with a virtio-net header of so many bytes. */
static inline void attach(u32 number, u32 header) {
  probe(number);
  u16 memio = 0;
  for (u32 i = 0; find(MEMDEV, i, &memdev); i++) {
    enable(&memdev);
    if (inl((memdev.bar[0] & ~3u) + MEMID) == reg(HOSTMEMID)) {
      memio = memdev.bar[0] & ~3u;
      break;
    }
  }
  if (!memio) fail("no memdev", reg(HOSTMEMID));
  region = map_bar(&memdev, "resource1", inl(memio + MEMSIZE_LO));
  csb = ram_pages();
  set(PTFEAT, header ? 1 : 0);
  set(VNET_HDR_LEN, header);
  if (reg(VNET_HDR_LEN) != header) fail("header length", reg(VNET_HDR_LEN));
  set(GH_BAH, 0);
  set(GH_BAL, physical(csb));
  set(HG_BAH, 0);
  set(HG_BAL, physical(csb + 4096));
  set(PTCTL, 1);
  if (reg(PTCTL) != 0) fail("CREATE", reg(PTCTL));
  struct netmap_if *nifp = (struct netmap_if *)(region + reg(NIFP_OFS));
  u32 ntx = reg(NUM_TX_RINGS);
  if (nifp->tx_rings != ntx || nifp->rx_rings != reg(NUM_RX_RINGS)) fail("rings of the nifp", nifp->tx_rings);
  open_ring(&tx, nifp, 0, 0);
  open_ring(&rx, nifp, ntx + nifp->host_tx_rings, ntx);
  tx.atok->appl_need_kick = 0;
  rx.atok->appl_need_kick = 0;
}

static inline void detach(void) {
  set(PTCTL, 2);
  for (u32 r = GH_BAH; r <= HG_BAL; r += 4) set(r, 0);
}

static inline u32 distance(u32 from, u32 to, u32 n) { return to >= from ? to - from : to + n - from; }

static inline void publish(struct ring *r) {
  r->atok->cur = r->head;
  r->atok->head = r->head;
  __asm__ volatile("lock; addl $0, (%%esp)" : : : "memory");
}

static inline void kick(struct ring *r, u32 flags) {
  if (!r->ktoa->kern_need_kick) return;
  r->atok->sync_flags = flags;
  r->kicks++;
  outl(r->kick, 1);
}

/** Free tx slots; asks the host once if there are none. */
static inline u32 tx_space(void) {
  u32 space = distance(tx.head, tx.ktoa->hwtail, tx.n);
  if (space) return space;
  kick(&tx, 2);
  return distance(tx.head, tx.ktoa->hwtail, tx.n);
}

/** Received slots; asks the host once if there are none. */
static inline u32 rx_space(void) {
  u32 space = distance(rx.head, rx.ktoa->hwtail, rx.n);
  if (space) return space;
  kick(&rx, 1);
  return distance(rx.head, rx.ktoa->hwtail, rx.n);
}
