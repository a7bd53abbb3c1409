// Makes a ptnet device a network interface of the guest's kernel without a kernel module: the kernel has a TAP device, and
// this program carries its frames, with their virtio-net header, to the rings and back. In place of the ptnet driver, which
// works in the kernel and sleeps until an interrupt; this looks every 50 us while there is nothing to do.
//
//   ptnet-tap device interface      until SIGTERM, when it prints what it has carried. Not SIGKILL: the host would go on
//                                   with a CSB in memory that is somebody else's then
//
// The kernel's segments of up to 64 KiB go as they are: checksums and segmentation are left to who receives.
#include "ptnet.h"

enum { TUNSETIFF = 0x400454ca, TUNSETOFFLOAD = 0x400454d0, TUNSETVNETHDRSZ = 0x400454d8, SIOCSIFHWADDR = 0x8924 };
enum { IFF_TAP = 2, IFF_NO_PI = 0x1000, IFF_VNET_HDR = 0x4000, ARPHRD_ETHER = 1 };
enum { TUN_F_CSUM = 1, TUN_F_TSO4 = 2, TUN_F_TSO6 = 4, TUN_F_TSO_ECN = 8 };
enum { AF_INET = 2, SOCK_DGRAM = 2, SOCKET = 1 };
enum { NS_MOREFRAG = 0x20, HEADER = 12, LARGEST = 65536 + 64, MOST_SLOTS = 64, BATCH = 16 };

struct iovec {
  u8 *base;
  u32 len;
};

/** Frames that came while the interface was down, and that the kernel did not take although it was up. */
static u32 sent, received, down, errors;

static void ask(int fd, u32 request, const void *argument, const char *what) {
  long result = syscall3(SYS_IOCTL, fd, request, (long)argument);
  if (result < 0) fail(what, -result);
}

/** The TAP device, with the MAC address of the ptnet device. */
static int open_tap(const char *name) {
  int fd = syscall3(SYS_OPEN, (long)"/dev/net/tun", O_RDWR | O_NONBLOCK, 0);
  if (fd < 0) fail("open /dev/net/tun", -fd);
  struct {
    char name[16];
    u16 flags;
    u8 rest[14];
  } request = {{0}, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, {0}};
  for (u32 i = 0; i < 15 && name[i]; i++) request.name[i] = name[i];
  ask(fd, TUNSETIFF, &request, "TUNSETIFF");
  int header = HEADER;
  ask(fd, TUNSETVNETHDRSZ, &header, "TUNSETVNETHDRSZ");
  ask(fd, TUNSETOFFLOAD, (void *)(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN), "TUNSETOFFLOAD");
  u32 high = reg(MAC_HI), low = reg(MAC_LO);
  request.flags = ARPHRD_ETHER; // sa_family; the address follows
  for (u32 i = 0; i < 6; i++) request.rest[i] = i < 2 ? high >> (8 - 8 * i) : low >> (40 - 8 * i);
  long create[3] = {AF_INET, SOCK_DGRAM, 0};
  int sock = syscall3(SYS_SOCKETCALL, SOCKET, (long)create, 0);
  if (sock < 0) fail("socket", -sock);
  ask(sock, SIOCSIFHWADDR, &request, "SIOCSIFHWADDR");
  syscall3(SYS_CLOSE, sock, 0, 0);
  return fd;
}

static u32 after(const struct ring *r, u32 slot, u32 n) { return slot + n < r->n ? slot + n : slot + n - r->n; }

static u8 *buffer(const struct ring *r, u32 slot) { return r->bufs + r->ring->slot[slot].buf_idx * r->size; }

static void push(u32 flags, struct ring *r) {
  publish(r);
  kick(r, flags);
}

/** Frames of the kernel, into the tx ring. The kernel writes into the buffers. */
static u32 pump_out(int fd, u32 slots) {
  u32 moved = 0, batch = 0;
  for (;;) {
    if (distance(tx.head, tx.ktoa->hwtail, tx.n) < slots) {
      push(2, &tx);
      batch = 0;
      if (distance(tx.head, tx.ktoa->hwtail, tx.n) < slots) break;
    }
    struct iovec parts[MOST_SLOTS];
    for (u32 i = 0; i < slots; i++) parts[i] = (struct iovec){buffer(&tx, after(&tx, tx.head, i)), tx.size};
    long left = syscall3(SYS_READV, fd, (long)parts, slots);
    if (left < 0 && left != -EAGAIN) fail("read", -left);
    if (left <= 0) break;
    for (; left > 0; left -= tx.size, tx.head = after(&tx, tx.head, 1)) {
      u32 len = (u32)left > tx.size ? tx.size : (u32)left;
      ((volatile u32 *)&tx.ring->slot[tx.head])[1] = len | ((u32)left > tx.size ? NS_MOREFRAG << 16 : 0);
    }
    moved++;
    if (++batch == BATCH) {
      push(2, &tx);
      batch = 0;
    }
  }
  if (batch) push(2, &tx);
  sent += moved;
  return moved;
}

/** Received frames, to the kernel, which reads the buffers. One that it does not take is counted. */
static u32 pump_in(int fd) {
  u32 moved = 0, space = rx_space();
  while (space) {
    struct iovec parts[MOST_SLOTS];
    u32 n = 0, more;
    do {
      u32 slot = after(&rx, rx.head, n), word = ((volatile u32 *)&rx.ring->slot[slot])[1], len = word & 0xffff;
      parts[n++] = (struct iovec){buffer(&rx, slot), len > rx.size ? rx.size : len};
      more = word >> 16 & NS_MOREFRAG;
    } while (more && n < space && n < MOST_SLOTS);
    long result = more || parts[0].len < HEADER ? -EINVAL : syscall3(SYS_WRITEV, fd, (long)parts, n);
    if (result == -EIO) down++;
    else if (result < 0) errors++;
    else received++;
    rx.head = after(&rx, rx.head, n);
    space -= n;
    if (++moved % BATCH == 0) push(1, &rx);
  }
  if (moved % BATCH) push(1, &rx);
  return moved;
}

static void stop(int signal) {
  (void)signal;
  detach();
  print("TAP");
  print_value("sent", sent);
  print_value("received", received);
  print_value("down", down);
  print_value("errors", errors);
  print_value("kicks", tx.kicks + rx.kicks);
  print("\n");
  exit_with(0);
}

static void run(int argc, char **argv) {
  if (argc < 3) fail("usage: ptnet-tap device interface", argc);
  attach(parse(argv[1], 10), HEADER);
  u32 slots = (LARGEST + tx.size - 1) / tx.size;
  if (slots > MOST_SLOTS || slots >= tx.n) fail("slots for the largest segment", slots);
  int fd = open_tap(argv[2]);
  struct {
    void (*handler)(int);
    u32 mask, flags, restorer;
  } action = {stop, 0, 0, 0};
  syscall3(SYS_SIGACTION, SIGTERM, (long)&action, 0);
  struct {
    int fd;
    u16 events, revents;
  } wait = {fd, 1, 0};
  for (;;) {
    if (pump_out(fd, slots) + pump_in(fd)) continue;
    struct {
      int32_t s, ns;
    } time = {0, 50000};
    syscall5(SYS_PPOLL, (long)&wait, 1, (long)&time, 0, 0);
  }
}
