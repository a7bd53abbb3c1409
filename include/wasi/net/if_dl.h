// Link-layer addresses as the BSDs have them. Nothing here gives a program one.
#ifndef PTNET_WASI_NET_IF_DL_H
#define PTNET_WASI_NET_IF_DL_H

#include <sys/socket.h>

struct sockaddr_dl {
  unsigned char sdl_len, sdl_family;
  unsigned short sdl_index;
  unsigned char sdl_type, sdl_nlen, sdl_alen, sdl_slen;
  char sdl_data[46];
};
#define LLADDR(address) ((char *)((address)->sdl_data + (address)->sdl_nlen))

#endif
