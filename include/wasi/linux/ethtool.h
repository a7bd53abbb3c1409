// What programs switch on network interfaces: to compile, as there are no sockets to do it with.
#ifndef PTNET_WASI_LINUX_ETHTOOL_H
#define PTNET_WASI_LINUX_ETHTOOL_H

#include <stdint.h>

#define ETHTOOL_GSET 0x01
#define ETHTOOL_SSET 0x02
#define ETHTOOL_SRXCSUM 0x15
#define ETHTOOL_STXCSUM 0x17
#define ETHTOOL_STSO 0x1f
#define ETHTOOL_SGSO 0x24
#define ETHTOOL_SGRO 0x2c

struct ethtool_value {
  uint32_t cmd, data;
};

#endif
