// Addresses as text, what wasi-libc lacks of it.
#ifndef PTNET_WASI_ARPA_INET_H
#define PTNET_WASI_ARPA_INET_H

#include_next <arpa/inet.h>

#include <stdio.h>

#ifndef INADDR_NONE
#define INADDR_NONE ((in_addr_t)-1)
#endif

__attribute__((weak)) char ptnet_inet_text[16];

static inline char *inet_ntoa(struct in_addr address) {
  const unsigned char *b = (const unsigned char *)&address;
  snprintf(ptnet_inet_text, sizeof ptnet_inet_text, "%d.%d.%d.%d", b[0], b[1], b[2], b[3]);
  return ptnet_inet_text;
}

static inline in_addr_t inet_addr(const char *text) {
  struct in_addr address;
  return inet_aton(text, &address) ? address.s_addr : INADDR_NONE;
}

static inline in_addr_t inet_network(const char *text) {
  return ntohl(inet_addr(text));
}

#endif
