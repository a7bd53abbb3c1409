// ARP headers, which wasi-libc does not have.
#ifndef PTNET_WASI_NET_IF_ARP_H
#define PTNET_WASI_NET_IF_ARP_H

#include <stdint.h>

#define ARPHRD_ETHER 1
#define ARPOP_REQUEST 1
#define ARPOP_REPLY 2

struct arphdr {
  uint16_t ar_hrd, ar_pro; // big endian
  uint8_t ar_hln, ar_pln;
  uint16_t ar_op; // big endian
};

#endif
