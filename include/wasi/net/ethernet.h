// Ethernet headers, which wasi-libc does not have.
#ifndef PTNET_WASI_NET_ETHERNET_H
#define PTNET_WASI_NET_ETHERNET_H

#include <stdint.h>

#define ETH_ALEN 6
#define ETHER_ADDR_LEN ETH_ALEN
#define ETHER_HDR_LEN 14
#define ETHER_MIN_LEN 64
#define ETHER_MAX_LEN 1518
#define ETHER_CRC_LEN 4

#define ETHERTYPE_IP 0x0800
#define ETHERTYPE_ARP 0x0806
#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_IPV6 0x86dd

struct ether_addr {
  uint8_t ether_addr_octet[ETH_ALEN];
} __attribute__((packed));

struct ether_header {
  uint8_t ether_dhost[ETH_ALEN];
  uint8_t ether_shost[ETH_ALEN];
  uint16_t ether_type; // big endian
} __attribute__((packed));

#endif
