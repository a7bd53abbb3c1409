// The rate of a TCP connection between two guests, by the receiver's clock.
//
//   tcp-rate sink port                   takes one connection, and prints what has come
//   tcp-rate source address port ms      sends for so many milliseconds
#include "linux.h"

enum { AF_INET = 2, SOCK_STREAM = 1 };
enum { SOCKET = 1, BIND = 2, CONNECT = 3, LISTEN = 4, ACCEPT = 5 };

static char bytes[65536];

static long socketcall(int call, long a, long b, long c) {
  long arguments[3] = {a, b, c};
  return syscall3(SYS_SOCKETCALL, call, (long)arguments, 0);
}

struct address {
  u16 family, port;
  u32 ip;
  u32 zero[2];
};

static struct address address_of(const char *ip, const char *port) {
  u32 n = parse(port, 10), value = 0;
  for (int i = 0; i < 4; i++) {
    value |= parse(ip, 10) << (8 * i);
    while (*ip && *ip != '.') ip++;
    if (*ip) ip++;
  }
  return (struct address){AF_INET, (u16)(n >> 8 | n << 8), value, {0, 0}};
}

static void check(long result, const char *what) {
  if (result < 0) fail(what, -result);
}

static void sink(int sock, struct address at) {
  check(socketcall(BIND, sock, (long)&at, sizeof at), "bind");
  check(socketcall(LISTEN, sock, 1, 0), "listen");
  print("LISTENING\n");
  int fd = socketcall(ACCEPT, sock, 0, 0);
  check(fd, "accept");
  u32 start = 0, kib = 0, rest = 0;
  for (;;) {
    long n = syscall3(SYS_READ, fd, (long)bytes, sizeof bytes);
    check(n, "read");
    if (n == 0) break;
    if (!start) start = milliseconds();
    rest += n;
    kib += rest >> 10;
    rest &= 1023;
  }
  print("RESULT tcp");
  print_value("kib", kib);
  print_value("ms", milliseconds() - start);
  print("\n");
}

static void source(int sock, struct address to, u32 ms) {
  check(socketcall(CONNECT, sock, (long)&to, sizeof to), "connect");
  u32 start = milliseconds();
  while (milliseconds() - start < ms) check(syscall3(SYS_WRITE, sock, (long)bytes, sizeof bytes), "write");
}

static void run(int argc, char **argv) {
  int sock = socketcall(SOCKET, AF_INET, SOCK_STREAM, 0);
  check(sock, "socket");
  if (argc > 2 && is(argv[1], "sink")) sink(sock, address_of("", argv[2]));
  else if (argc > 4 && is(argv[1], "source")) source(sock, address_of(argv[2], argv[3]), parse(argv[4], 10));
  else fail("no such mode", argc);
}
