// Drives a ptnet device from user space, in a Linux guest for i386, without a kernel module: finds the functions on the
// PCI bus, maps the region, sets the CSB up in its own RAM, and sends and receives by polling, as netmap mode does.
// Freestanding: compiles with `gcc -m32` alone, with no 32-bit libc.
//
//   ptnet-guest info [device]
//   ptnet-guest tx|rx|ping|pong|flood|sink device packets [length [id]]
//   ptnet-guest msix device vector
//   ptnet-guest hostile device writes [seed]
//   ptnet-guest raw interface packets [length]      (by the kernel, through a packet socket: for comparison)
//
// `device` is the number of the ptnet device on the bus, from 0. `flood` and `sink` are tx and rx that leave the frames'
// bytes alone, and count.
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

// System calls of Linux for i386.

/** The sixth argument is 0. */
static long syscall5(long n, long a, long b, long c, long d, long e) {
  long result;
  __asm__ volatile("push %%ebp\n\txor %%ebp, %%ebp\n\tint $0x80\n\tpop %%ebp"
                   : "=a"(result)
                   : "a"(n), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
                   : "memory");
  return result;
}

static long syscall3(long n, long a, long b, long c) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory");
  return result;
}

enum {
  SYS_EXIT = 1,
  SYS_READ = 3,
  SYS_WRITE = 4,
  SYS_OPEN = 5,
  SYS_CLOSE = 6,
  SYS_IOCTL = 54,
  SYS_SOCKETCALL = 102,
  SYS_IOPL = 110,
  SYS_NANOSLEEP = 162,
  SYS_PREAD64 = 180,
  SYS_PWRITE64 = 181,
  SYS_MMAP2 = 192,
  SYS_CLOCK_GETTIME = 265,
};
enum { O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2 };
enum { PROT_READ_WRITE = 3, MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20, MAP_LOCKED = 0x2000, MAP_POPULATE = 0x8000 };

void *memcpy(void *to, const void *from, size_t n) {
  void *result = to;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
  return result;
}

void *memset(void *to, int value, size_t n) {
  void *result = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
  return result;
}

static u32 length_of(const char *text) {
  u32 n = 0;
  while (text[n]) n++;
  return n;
}

static void print(const char *text) { syscall3(SYS_WRITE, 1, (long)text, length_of(text)); }

static char *put_number(char *to, u32 value, u32 base) {
  char digits[32];
  int n = 0;
  do {
    digits[n++] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value);
  while (n) *to++ = digits[--n];
  *to = 0;
  return to;
}

/** Prints ` name=value`, in decimal. */
static void print_value(const char *name, u32 value) {
  char line[64], *end = line;
  *end++ = ' ';
  while (*name) *end++ = *name++;
  *end++ = '=';
  put_number(end, value, 10);
  print(line);
}

static void fail(const char *what, u32 value) {
  print("FAILED ");
  print(what);
  print_value("value", value);
  print("\n");
  syscall3(SYS_EXIT, 1, 0, 0);
}

static u32 milliseconds(void) {
  struct { int32_t s, ns; } now;
  syscall3(SYS_CLOCK_GETTIME, 1, (long)&now, 0);
  return (u32)now.s * 1000 + (u32)now.ns / 1000000;
}

/** Lets the machine idle for a moment. */
static void rest(void) {
  struct { int32_t s, ns; } time = {0, 50000};
  syscall3(SYS_NANOSLEEP, (long)&time, 0, 0);
}

static u32 parse(const char *text, u32 base) {
  u32 value = 0;
  for (;; text++) {
    u32 digit = *text >= '0' && *text <= '9' ? (u32)(*text - '0') : *text >= 'a' && *text <= 'f' ? (u32)(*text - 'a' + 10) : 99;
    if (digit >= base) return value;
    value = value * base + digit;
  }
}

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

static int read_devices(char *text, u32 size) {
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

static const char *next_word(const char *at) {
  while (*at && *at != '\t' && *at != '\n' && *at != ' ') at++;
  while (*at == '\t' || *at == ' ') at++;
  return at;
}

/** The function number `n` with this vendor and device id. Returns 0 if there is none. */
static int find(u32 id, u32 n, struct function *found) {
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
static int open_sysfs(const struct function *of, const char *name, int mode) {
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

static void enable(const struct function *of) {
  int fd = open_sysfs(of, "enable", O_WRONLY);
  long n = syscall3(SYS_WRITE, fd, (long)"1", 1);
  if (n != 1) fail("enable", -n);
  syscall3(SYS_CLOSE, fd, 0, 0);
}

static u8 *map_bar(const struct function *of, const char *resource, u32 size) {
  int fd = open_sysfs(of, resource, O_RDWR);
  long at = syscall5(SYS_MMAP2, 0, size, PROT_READ_WRITE, MAP_SHARED, fd);
  if ((u32)at > (u32)-4096) fail(resource, -at);
  return (u8 *)at;
}

/** Two pages that stay where they are. */
static u8 *ram_pages(void) {
  long at = syscall5(SYS_MMAP2, 0, 8192, PROT_READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1);
  if ((u32)at > (u32)-4096) fail("mmap", -at);
  memset((void *)at, 0, 8192);
  return (u8 *)at;
}

static u32 physical(const void *at) {
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

static u32 reg(u32 offset) { return inl(io + offset); }
static void set(u32 offset, u32 value) { outl(io + offset, value); }

static void open_ring(struct ring *r, struct netmap_if *nifp, u32 directory, u32 index) {
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

static void probe(u32 number) {
  if (!find(PTNET, number, &device)) fail("no ptnet device", number);
  long result = syscall3(SYS_IOPL, 3, 0, 0);
  if (result < 0) fail("iopl", -result);
  enable(&device);
  io = device.bar[0] & ~3u;
}

/** Maps the region of the device and starts the kernel loop. */
static void attach(u32 number) {
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
  set(PTFEAT, 0);
  set(VNET_HDR_LEN, 0);
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

static void detach(void) {
  set(PTCTL, 2);
  for (u32 r = GH_BAH; r <= HG_BAL; r += 4) set(r, 0);
}

static u32 distance(u32 from, u32 to, u32 n) { return to >= from ? to - from : to + n - from; }

static void publish(struct ring *r) {
  r->atok->cur = r->head;
  r->atok->head = r->head;
  __asm__ volatile("lock; addl $0, (%%esp)" : : : "memory");
}

static void kick(struct ring *r, u32 flags) {
  if (!r->ktoa->kern_need_kick) return;
  r->atok->sync_flags = flags;
  r->kicks++;
  outl(r->kick, 1);
}

/** Free tx slots; asks the host once if there are none. */
static u32 tx_space(void) {
  u32 space = distance(tx.head, tx.ktoa->hwtail, tx.n);
  if (space) return space;
  kick(&tx, 2);
  return distance(tx.head, tx.ktoa->hwtail, tx.n);
}

/** Received slots; asks the host once if there are none. */
static u32 rx_space(void) {
  u32 space = distance(rx.head, rx.ktoa->hwtail, rx.n);
  if (space) return space;
  kick(&rx, 1);
  return distance(rx.head, rx.ktoa->hwtail, rx.n);
}

enum { SEQ = 14, FILL = 18 };

/** Writes a frame: broadcast, source with the id, sequence number, and bytes that depend on it. */
static void write_frame(u8 *frame, u32 len, u32 id, u32 seq) {
  u32 *words = (u32 *)frame;
  words[0] = 0xffffffff;
  words[1] = 0x0002ffff;
  words[2] = id;
  *(u16 *)(frame + 12) = 0xb588;
  *(u32 *)(frame + SEQ) = seq;
  for (u32 i = FILL; i + 4 <= len; i += 4) *(u32 *)(frame + i) = seq ^ i;
}

/** Whether the bytes are those of a frame that somebody has written in this way. */
static int good_frame(const u8 *frame, u32 len, u32 wanted) {
  if (len != wanted || *(const u16 *)(frame + 12) != 0xb588) return 0;
  u32 seq = *(const u32 *)(frame + SEQ);
  for (u32 i = FILL; i + 4 <= len; i += 4)
    if (*(const u32 *)(frame + i) != (seq ^ i)) return 0;
  return 1;
}

static void put_frame(u32 len, u32 id, u32 seq) {
  volatile struct netmap_slot *slot = &tx.ring->slot[tx.head];
  write_frame(tx.bufs + slot->buf_idx * tx.size, len, id, seq);
  slot->len = len;
  slot->flags = 0;
  tx.head = tx.head + 1 == tx.n ? 0 : tx.head + 1;
}

static void summary(const char *mode, u32 packets, u32 lost, u32 bad, u32 ms) {
  print("RESULT ");
  print(mode);
  print_value("packets", packets);
  print_value("lost", lost);
  print_value("bad", bad);
  print_value("ms", ms);
  print_value("kicks", tx.kicks + rx.kicks);
  print("\n");
}

static void run_tx(u32 packets, u32 len, u32 id) {
  u32 start = milliseconds();
  for (u32 seq = 0; seq < packets;) {
    u32 space = tx_space();
    if (!space) {
      rest();
      continue;
    }
    if (space > packets - seq) space = packets - seq;
    if (space > 256) space = 256;
    while (space--) put_frame(len, id, seq++);
    publish(&tx);
    kick(&tx, 2);
  }
  while (tx.ktoa->hwcur != tx.head) { // a pipe's reader takes its time
    kick(&tx, 2);
    rest();
  }
  summary("tx", packets, 0, 0, milliseconds() - start);
}

/** Receives until the frame with the last number has come. */
static void run_rx(u32 packets, u32 len) {
  u32 got = 0, lost = 0, bad = 0, expected = 0, start = 0;
  while (expected < packets) {
    u32 n = rx_space();
    if (!n) {
      rest();
      continue;
    }
    if (!start) start = milliseconds();
    while (n--) {
      volatile struct netmap_slot *slot = &rx.ring->slot[rx.head];
      const u8 *frame = rx.bufs + slot->buf_idx * rx.size;
      u32 seq = *(const u32 *)(frame + SEQ);
      if (*(const u16 *)(frame + 12) == 0xb588) {
        if (!good_frame(frame, slot->len, len)) bad++;
        if (seq > expected) lost += seq - expected;
        if (seq < expected) bad++;
        expected = seq + 1;
        got++;
      }
      rx.head = rx.head + 1 == rx.n ? 0 : rx.head + 1;
    }
    publish(&rx);
    kick(&rx, 1);
  }
  summary("rx", got, lost, bad, milliseconds() - start);
}

/** Sends slots whose bytes are as they are: the rate of rings and doorbells. */
static void run_flood(u32 packets, u32 len, u32 id) {
  for (u32 i = 0; i < tx.n; i++) write_frame(tx.bufs + tx.ring->slot[i].buf_idx * tx.size, len, id, i);
  u32 start = milliseconds();
  for (u32 sent = 0; sent < packets;) {
    u32 space = tx_space();
    if (!space) {
      rest();
      continue;
    }
    if (space > packets - sent) space = packets - sent;
    if (space > 512) space = 512;
    sent += space;
    while (space--) {
      volatile u32 *slot = (volatile u32 *)&tx.ring->slot[tx.head];
      slot[1] = len; // flags are 0
      tx.head = tx.head + 1 == tx.n ? 0 : tx.head + 1;
    }
    publish(&tx);
    kick(&tx, 2);
  }
  summary("flood", packets, 0, 0, milliseconds() - start);
}

/** Counts `packets` slots, and looks at their lengths only. */
static void run_sink(u32 packets, u32 len) {
  u32 got = 0, bad = 0, start = 0;
  while (got < packets) {
    u32 n = rx_space();
    if (!n) {
      rest();
      continue;
    }
    if (!start) start = milliseconds();
    got += n;
    while (n--) {
      volatile u32 *slot = (volatile u32 *)&rx.ring->slot[rx.head];
      if ((slot[1] & 0xffff) != len) bad++;
      rx.head = rx.head + 1 == rx.n ? 0 : rx.head + 1;
    }
    publish(&rx);
    kick(&rx, 1);
  }
  summary("sink", got, 0, bad, milliseconds() - start);
}

/** Waits for a frame. Returns its number. */
static u32 receive_one(u32 len) {
  for (;;) {
    while (!rx_space()) rest();
    volatile struct netmap_slot *slot = &rx.ring->slot[rx.head];
    const u8 *frame = rx.bufs + slot->buf_idx * rx.size;
    u32 seq = *(const u32 *)(frame + SEQ);
    u32 good = good_frame(frame, slot->len, len);
    rx.head = rx.head + 1 == rx.n ? 0 : rx.head + 1;
    publish(&rx);
    kick(&rx, 1);
    if (good) return seq;
  }
}

static void send_one(u32 len, u32 id, u32 seq) {
  while (!tx_space()) rest();
  put_frame(len, id, seq);
  publish(&tx);
  kick(&tx, 2);
}

static void run_ping(u32 packets, u32 len, u32 id) {
  u32 start = milliseconds(), bad = 0;
  for (u32 seq = 0; seq < packets; seq++) {
    send_one(len, id, seq);
    if (receive_one(len) != seq) bad++;
  }
  summary("ping", packets, 0, bad, milliseconds() - start);
}

/** Answers frames until it has answered the one with the last number. `bad`: those out of order. */
static void run_pong(u32 packets, u32 len, u32 id) {
  u32 start = milliseconds(), bad = 0, answered = 0, seq;
  do {
    seq = receive_one(len);
    if (seq != answered++) bad++;
    send_one(len, id, seq);
  } while (seq != packets - 1);
  summary("pong", answered, 0, bad, milliseconds() - start);
}

/** Prints what the bus and the registers say, with accesses of all widths. */
static void run_info(void) {
  print("INFO");
  print_value("slot", device.slot);
  print_value("io", io);
  print_value("iosize", device.size[0]);
  print_value("msixsize", device.size[2]);
  print_value("tx", reg(NUM_TX_RINGS));
  print_value("rx", reg(NUM_RX_RINGS));
  print_value("txslots", reg(NUM_TX_SLOTS));
  print_value("rxslots", reg(NUM_RX_SLOTS));
  print_value("memid", reg(HOSTMEMID));
  print_value("maclo", reg(MAC_LO));
  print_value("machi", reg(MAC_HI));
  // MAC_LO across its border, in words and in bytes.
  print_value("unaligned", inl(io + MAC_LO + 2));
  print_value("words", inw(io + MAC_LO) | (u32)inw(io + MAC_LO + 2) << 16);
  u32 bytes = 0;
  for (int i = 0; i < 4; i++) bytes |= (u32)inb(io + MAC_LO + i) << (8 * i);
  print_value("bytes", bytes);
  outb(io + PTFEAT, 0xff);
  print_value("feat", inb(io + PTFEAT));
  outw(io + PTFEAT, 0);
  print_value("nofeat", inl(io + PTFEAT));
  set(PTCTL, 1);
  print_value("nocsb", reg(PTCTL));
  u8 config[64];
  int fd = open_sysfs(&device, "config", O_RDONLY);
  syscall3(SYS_READ, fd, (long)config, 64);
  u8 capability[12];
  syscall5(SYS_PREAD64, fd, (long)capability, 12, config[0x34], 0);
  syscall3(SYS_CLOSE, fd, 0, 0);
  print_value("capability", capability[0]);
  print_value("vectors", (*(u16 *)(capability + 2) & 0x7ff) + 1u);
  print_value("status", config[6] >> 4);
  print("\n");
}

/** Has the rx ring's interrupt sent as a message with this vector, which no driver expects: the kernel reports it. */
static void run_msix(u32 vector) {
  u8 *table = map_bar(&device, "resource2", 4096);
  u32 index = reg(NUM_TX_RINGS);
  volatile u32 *entry = (u32 *)(table + 16 * index);
  u32 masked = entry[3];
  entry[0] = 0xfee00000;
  entry[1] = 0;
  entry[2] = vector;
  int fd = open_sysfs(&device, "config", O_RDWR);
  u8 at[1];
  syscall5(SYS_PREAD64, fd, (long)at, 1, 0x34, 0);
  u16 control;
  syscall5(SYS_PREAD64, fd, (long)&control, 2, at[0] + 2, 0);
  control |= 0x8000;
  syscall5(SYS_PWRITE64, fd, (long)&control, 2, at[0] + 2, 0);
  rx.atok->appl_need_kick = 1;
  print("WAITING\n");
  while (rx.ktoa->hwtail == rx.head) {
    kick(&rx, 1);
    rest();
  }
  u32 pending = *(volatile u32 *)(table + 0x800);
  entry[3] = 0; // unmasked: what is pending is sent now
  rest();
  print("MSIX");
  print_value("masked", masked);
  print_value("pending", pending >> index & 1);
  print_value("after", *(volatile u32 *)(table + 0x800) >> index & 1);
  print("\n");
  control &= 0x7fff;
  syscall5(SYS_PWRITE64, fd, (long)&control, 2, at[0] + 2, 0);
}

static u32 random_state = 1;
static u32 random(void) {
  random_state = random_state * 1664525 + 1013904223;
  return random_state >> 8 ^ random_state << 13;
}

/** A number of the kind that finds mistakes. */
static u32 odd_number(void) {
  static const u32 edges[] = {0, 1, 2, 63, 64, 0x7fffffff, 0x80000000, 0xffffffc0, 0xffffffff, 0x08000000, 0x07ffffc0, 0x07ffff80};
  u32 n = random() % 16;
  return n < 12 ? edges[n] : random();
}

/** Writes to everything that a guest can reach: registers, doorbells, MSI-X, rings, slots and the CSB. Then it tidies up. */
static void run_hostile(u32 writes, u32 seed) {
  random_state = seed;
  u8 *table = map_bar(&device, "resource2", 4096);
  u32 rings = (u32)((u8 *)rx.ring - region) + 4096;
  static u8 saved[1 << 19];
  if (rings > sizeof saved) fail("the region is too large", rings);
  memcpy(saved, region, rings);
  u32 pages[2] = {physical(csb), physical(csb + 4096)};
  for (u32 i = 0; i < writes; i++) {
    u32 value = odd_number();
    switch (random() % 16) {
      case 0:
        outl(io + random() % 256, value);
        break;
      case 1:
        outb(io + random() % 256, value);
        break;
      case 2:
        outw(io + random() % 128, value);
        break;
      case 3:
        *(volatile u32 *)(table + random() % 4092) = value & ~0xffu; // a message that the kernel would not survive is its own
        break;
      case 4:
      case 5:
        *(volatile u32 *)(region + random() % rings) = value;
        break;
      case 6: // mostly a CSB that is right, so that the loop runs
        set(GH_BAH, 0);
        set(GH_BAL, random() % 8 ? pages[0] : value);
        set(HG_BAH, 0);
        set(HG_BAL, random() % 8 ? pages[1] : value);
        set(PTCTL, 1);
        break;
      case 7:
      case 8:
      case 9: // among the CSB's entries
        *(volatile u32 *)(csb + random() % 2 * 4096 + random() % 192 / 4 * 4) = random() % 2 ? value : random() % tx.n;
        break;
      default:
        outl(io + KICK + 4 * (random() % 4), value);
    }
  }
  detach();
  memcpy(region, saved, rings);
  print("HOSTILE");
  print_value("writes", writes);
  print("\n");
}

/** Sends frames through a network interface of the kernel. */
static void run_raw(const char *interface, u32 packets, u32 len) {
  enum { SOCKET = 1, SENDTO = 11, AF_PACKET = 17, SOCK_RAW = 3, SIOCGIFINDEX = 0x8933, ENOBUFS = 105 };
  static u8 frame[2048];
  long create[3] = {AF_PACKET, SOCK_RAW, 0};
  long fd = syscall3(SYS_SOCKETCALL, SOCKET, (long)create, 0);
  if (fd < 0) fail("socket", -fd);
  struct {
    char name[16];
    int index;
    u32 rest[3];
  } request = {{0}, 0, {0}};
  for (u32 i = 0; i < 15 && interface[i]; i++) request.name[i] = interface[i];
  long result = syscall3(SYS_IOCTL, fd, SIOCGIFINDEX, (long)&request);
  if (result < 0) fail(interface, -result);
  struct {
    u16 family, protocol;
    int index;
    u8 rest[12];
  } to = {AF_PACKET, 0, request.index, {0}};
  if (len < 22 || len > sizeof frame) fail("length", len);
  write_frame(frame, len, 1, 0);
  u32 start = milliseconds();
  for (u32 sent = 0; sent < packets;) {
    long call[6] = {fd, (long)frame, (long)len, 0, (long)&to, sizeof to};
    result = syscall3(SYS_SOCKETCALL, SENDTO, (long)call, 0);
    if (result == -ENOBUFS) rest();
    else if (result < 0) fail("send", -result);
    else sent++;
  }
  summary("raw", packets, 0, 0, milliseconds() - start);
}

static int is(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

static void run(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  u32 number = argc > 2 ? parse(argv[2], 10) : 0;
  u32 packets = argc > 3 ? parse(argv[3], 10) : 0;
  u32 len = argc > 4 ? parse(argv[4], 10) : 60;
  u32 id = argc > 5 ? parse(argv[5], 10) : 1;
  if (is(mode, "info")) {
    probe(number);
    run_info();
    return;
  }
  if (is(mode, "raw")) {
    run_raw(argc > 2 ? argv[2] : "", packets, len);
    return;
  }
  attach(number);
  if (len < 22 || len > tx.size) fail("length", len);
  if (is(mode, "tx")) run_tx(packets, len, id);
  else if (is(mode, "rx")) run_rx(packets, len);
  else if (is(mode, "ping")) run_ping(packets, len, id);
  else if (is(mode, "pong")) run_pong(packets, len, id);
  else if (is(mode, "flood")) run_flood(packets, len, id);
  else if (is(mode, "sink")) run_sink(packets, len);
  else if (is(mode, "msix")) run_msix(packets);
  else if (is(mode, "hostile")) run_hostile(packets, len);
  else fail("no such mode", 0);
  detach();
}

__attribute__((used)) static void start(long *stack) {
  run((int)stack[0], (char **)(stack + 1));
  syscall3(SYS_EXIT, 0, 0, 0);
}

__asm__(".globl _start\n_start:\n\tmov %esp, %eax\n\tand $-16, %esp\n\tsub $12, %esp\n\tpush %eax\n\tcall start\n");
