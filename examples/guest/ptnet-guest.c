// Drives a ptnet device from user space, in a Linux guest for i386, without a kernel module: sends and receives by polling.
//
//   ptnet-guest info [device]
//   ptnet-guest tx|rx|ping|pong|flood|sink device packets [length [id]]
//   ptnet-guest msix device vector
//   ptnet-guest hostile device writes [seed]
//   ptnet-guest raw interface packets [length]      (by the kernel, through a packet socket: for comparison)
//
// `device` is the number of the ptnet device on the bus, from 0. `flood` and `sink` are tx and rx that leave the frames'
// bytes alone, and count.
#include "ptnet.h"

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
        set(GH_BAH, random() % 8 ? 0 : value);
        set(GH_BAL, random() % 8 ? pages[0] : odd_number());
        set(HG_BAH, random() % 8 ? 0 : value);
        set(HG_BAL, random() % 8 ? pages[1] : odd_number());
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
  attach(number, 0);
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
