// PCI identity and registers of the passthrough devices (net/netmap_virt.h). All registers are 32 bit, little-endian.

export const PTNETMAP_PCI_VENDOR_ID = 0x1b36;
export const PTNETMAP_PCI_DEVICE_ID = 0x000c;
export const PTNETMAP_PCI_NETIF_ID = 0x000d;

export const PTNETMAP_IO_PCI_BAR = 0;
export const PTNETMAP_MEM_PCI_BAR = 1;
export const PTNETMAP_MSIX_PCI_BAR = 2;

// ptnet, BAR 0 (I/O ports, 256 bytes)
export const PTNET_IO_PTFEAT = 0;
export const PTNET_IO_PTCTL = 4;
export const PTNET_IO_MAC_LO = 8;
export const PTNET_IO_MAC_HI = 12;
export const PTNET_IO_CSBBAH = 16;
export const PTNET_IO_CSBBAL = 20;
export const PTNET_IO_NIFP_OFS = 24;
export const PTNET_IO_NUM_TX_RINGS = 28;
export const PTNET_IO_NUM_RX_RINGS = 32;
export const PTNET_IO_NUM_TX_SLOTS = 36;
export const PTNET_IO_NUM_RX_SLOTS = 40;
export const PTNET_IO_VNET_HDR_LEN = 44;
export const PTNET_IO_HOSTMEMID = 48;
export const PTNET_IO_CSB_GH_BAH = 52;
export const PTNET_IO_CSB_GH_BAL = 56;
export const PTNET_IO_CSB_HG_BAH = 60;
export const PTNET_IO_CSB_HG_BAL = 64;
export const PTNET_IO_END = 68;
export const PTNET_IO_KICK_BASE = 128;
export const PTNET_IO_MASK = 0xff;
export const PTNET_IO_SIZE = 256;
export const PTNET_MAX_RINGS = 32;

export const PTNETMAP_F_VNET_HDR = 1;

export const PTNETMAP_PTCTL_CREATE = 1;
export const PTNETMAP_PTCTL_DELETE = 2;

// ptnetmap-memdev, BAR 0 (I/O ports, 128 bytes)
export const PTNET_MDEV_IO_MEMSIZE_LO = 0;
export const PTNET_MDEV_IO_MEMSIZE_HI = 4;
export const PTNET_MDEV_IO_MEMID = 8;
export const PTNET_MDEV_IO_IF_POOL_OFS = 64;
export const PTNET_MDEV_IO_IF_POOL_OBJNUM = 68;
export const PTNET_MDEV_IO_IF_POOL_OBJSZ = 72;
export const PTNET_MDEV_IO_RING_POOL_OFS = 76;
export const PTNET_MDEV_IO_RING_POOL_OBJNUM = 80;
export const PTNET_MDEV_IO_RING_POOL_OBJSZ = 84;
export const PTNET_MDEV_IO_BUF_POOL_OFS = 88;
export const PTNET_MDEV_IO_BUF_POOL_OBJNUM = 92;
export const PTNET_MDEV_IO_BUF_POOL_OBJSZ = 96;
export const PTNET_MDEV_IO_END = 100;
export const PTNET_MDEV_IO_SIZE = 128;
