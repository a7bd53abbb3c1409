// Ethernet addresses as text.
#ifndef PTNET_WASI_NETINET_ETHER_H
#define PTNET_WASI_NETINET_ETHER_H

#include <netinet/if_ether.h>
#include <stddef.h>
#include <stdio.h>

__attribute__((weak)) char ptnet_ether_text[18];
__attribute__((weak)) struct ether_addr ptnet_ether_address;

static inline struct ether_addr *ether_aton_r(const char *text, struct ether_addr *address) {
  unsigned b[ETH_ALEN];
  int end = 0;
  int count = sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &end);
  if (count != ETH_ALEN || text[end] != '\0') return NULL;
  for (int i = 0; i < ETH_ALEN; i++) address->ether_addr_octet[i] = (uint8_t)b[i];
  return address;
}

static inline struct ether_addr *ether_aton(const char *text) {
  return ether_aton_r(text, &ptnet_ether_address);
}

static inline char *ether_ntoa_r(const struct ether_addr *address, char *text) {
  const uint8_t *b = address->ether_addr_octet;
  snprintf(text, sizeof ptnet_ether_text, "%x:%x:%x:%x:%x:%x", b[0], b[1], b[2], b[3], b[4], b[5]);
  return text;
}

static inline char *ether_ntoa(const struct ether_addr *address) {
  return ether_ntoa_r(address, ptnet_ether_text);
}

#endif
