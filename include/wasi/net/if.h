// What netmap's programs want of <net/if.h>, which wasi-libc does not have.
#ifndef PTNET_WASI_NET_IF_H
#define PTNET_WASI_NET_IF_H

#define IFNAMSIZ 16
#define IF_NAMESIZE IFNAMSIZ

#define IFF_UP 0x1
#define IFF_BROADCAST 0x2
#define IFF_RUNNING 0x40
#define IFF_PROMISC 0x100

#endif
