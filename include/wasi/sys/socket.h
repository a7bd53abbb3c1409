// Sockets, as far as programs have to compile: there are none, and every call that would make or use one fails.
#ifndef PTNET_WASI_SYS_SOCKET_H
#define PTNET_WASI_SYS_SOCKET_H

#include_next <sys/socket.h>

#include <ptnet/fail.h>

#define AF_LOCAL AF_UNIX
#define AF_NETLINK 16
#define AF_PACKET 17
#define AF_LINK 18
#define PF_UNSPEC AF_UNSPEC
#define PF_INET AF_INET
#define PF_INET6 AF_INET6
#define PF_UNIX AF_UNIX
#define PF_LOCAL AF_UNIX
#define PF_PACKET AF_PACKET
#define SOCK_RAW 3
#define SO_REUSEADDR 2
#define SO_ERROR 4
#define SO_BROADCAST 6
#define SO_SNDBUF 7
#define SO_RCVBUF 8
#define SO_BINDTODEVICE 25
#define SO_RCVTIMEO 66
#define SO_SNDTIMEO 67
#define SOMAXCONN 128
#define MSG_DONTWAIT 0x40
#define MSG_NOSIGNAL 0x4000

static inline int socket(int domain, int type, int protocol) {
  (void)domain, (void)type, (void)protocol;
  return ptnet_fail(EAFNOSUPPORT);
}

static inline int socketpair(int domain, int type, int protocol, int made[2]) {
  (void)made;
  return socket(domain, type, protocol);
}

static inline int bind(int fd, const struct sockaddr *address, socklen_t length) {
  (void)fd, (void)address, (void)length;
  return ptnet_fail(ENOTSOCK);
}

static inline int connect(int fd, const struct sockaddr *address, socklen_t length) {
  return bind(fd, address, length);
}

static inline int listen(int fd, int backlog) {
  (void)backlog;
  return bind(fd, 0, 0);
}

static inline int setsockopt(int fd, int level, int option, const void *value, socklen_t length) {
  (void)level, (void)option, (void)value;
  return bind(fd, 0, length);
}

static inline int getsockname(int fd, struct sockaddr *address, socklen_t *length) {
  (void)length;
  return bind(fd, address, 0);
}

static inline int getpeername(int fd, struct sockaddr *address, socklen_t *length) {
  return getsockname(fd, address, length);
}

static inline ssize_t sendto(int fd, const void *data, size_t length, int flags, const struct sockaddr *to,
                             socklen_t size) {
  (void)data, (void)length, (void)flags;
  return bind(fd, to, size);
}

static inline ssize_t recvfrom(int fd, void *data, size_t length, int flags, struct sockaddr *from, socklen_t *size) {
  (void)data, (void)length, (void)flags;
  return getsockname(fd, from, size);
}

#endif
