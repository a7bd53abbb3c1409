// net/if.h, which wasi-libc does not have. A program sees no interfaces of the host: there are no names and no numbers.
#ifndef PTNET_WASI_NET_IF_H
#define PTNET_WASI_NET_IF_H

#include <ptnet/fail.h>
#include <stddef.h>
#include <sys/socket.h>

#define IFNAMSIZ 16
#define IF_NAMESIZE IFNAMSIZ

#define IFF_UP 0x1
#define IFF_BROADCAST 0x2
#define IFF_DEBUG 0x4
#define IFF_LOOPBACK 0x8
#define IFF_POINTOPOINT 0x10
#define IFF_RUNNING 0x40
#define IFF_NOARP 0x80
#define IFF_PROMISC 0x100
#define IFF_ALLMULTI 0x200
#define IFF_MULTICAST 0x1000

struct if_nameindex {
  unsigned if_index;
  char *if_name;
};

struct ifmap {
  unsigned long mem_start, mem_end;
  unsigned short base_addr;
  unsigned char irq, dma, port;
};

struct ifreq {
  union {
    char ifrn_name[IFNAMSIZ];
  } ifr_ifrn;
  union {
    struct sockaddr ifru_addr, ifru_dstaddr, ifru_broadaddr, ifru_netmask, ifru_hwaddr;
    short ifru_flags;
    int ifru_ivalue, ifru_mtu;
    struct ifmap ifru_map;
    char ifru_newname[IFNAMSIZ];
    void *ifru_data;
  } ifr_ifru;
};
#define ifr_name ifr_ifrn.ifrn_name
#define ifr_addr ifr_ifru.ifru_addr
#define ifr_dstaddr ifr_ifru.ifru_dstaddr
#define ifr_broadaddr ifr_ifru.ifru_broadaddr
#define ifr_netmask ifr_ifru.ifru_netmask
#define ifr_hwaddr ifr_ifru.ifru_hwaddr
#define ifr_flags ifr_ifru.ifru_flags
#define ifr_metric ifr_ifru.ifru_ivalue
#define ifr_ifindex ifr_ifru.ifru_ivalue
#define ifr_mtu ifr_ifru.ifru_mtu
#define ifr_map ifr_ifru.ifru_map
#define ifr_newname ifr_ifru.ifru_newname
#define ifr_data ifr_ifru.ifru_data

struct ifconf {
  int ifc_len;
  union {
    char *ifcu_buf;
    struct ifreq *ifcu_req;
  } ifc_ifcu;
};
#define ifc_buf ifc_ifcu.ifcu_buf
#define ifc_req ifc_ifcu.ifcu_req

static inline unsigned if_nametoindex(const char *name) {
  (void)name;
  errno = ENODEV;
  return 0;
}

static inline char *if_indextoname(unsigned index, char *name) {
  (void)index;
  (void)name;
  errno = ENXIO;
  return NULL;
}

static inline struct if_nameindex *if_nameindex(void) {
  errno = ENOSYS;
  return NULL;
}

static inline void if_freenameindex(struct if_nameindex *list) {
  (void)list;
}

#endif
