// The netmap ABI: layouts and numbers that applications and guest kernels rely on (net/netmap.h, netmap(4)).
// Literals only: this file is read by asc (folded into load immediates) and by tsc (literal types).

// struct netmap_slot, 16 bytes
//   0        4     6      8             16
//   +--------+-----+------+--------------+
//   | buf_idx| len |flags | ptr (64 bit) |
//   +--------+-----+------+--------------+
export const NETMAP_SLOT_SIZE = 16;
export const NETMAP_SLOT_BUF_IDX = 0;
export const NETMAP_SLOT_LEN = 4;
export const NETMAP_SLOT_FLAGS = 6;
export const NETMAP_SLOT_PTR = 8;

export const NS_BUF_CHANGED = 0x0001;
export const NS_REPORT = 0x0002;
export const NS_FORWARD = 0x0004;
export const NS_NO_LEARN = 0x0008;
export const NS_INDIRECT = 0x0010;
export const NS_MOREFRAG = 0x0020;
export const NS_TXMON = 0x0040;
export const NS_RFRAGS_SHIFT = 8;
export const NETMAP_MAX_FRAGS = 64;

// struct netmap_ring, 256-byte header, then the slots
//   0         8           12            16      18   20    24   28    32     40         56           64         128   256
//   +---------+-----------+-------------+-------+----+-----+----+-----+------+----------+------------+----------+-----+-----
//   | buf_ofs | num_slots | nr_buf_size | ringid| dir| head| cur| tail| flags| ts (s,us)| offset_mask| buf_align| sem | slot
//   +---------+-----------+-------------+-------+----+-----+----+-----+------+----------+------------+----------+-----+-----
export const NETMAP_RING_SIZE = 256;
export const NETMAP_RING_BUF_OFS = 0;
export const NETMAP_RING_NUM_SLOTS = 8;
export const NETMAP_RING_NR_BUF_SIZE = 12;
export const NETMAP_RING_RINGID = 16;
export const NETMAP_RING_DIR = 18;
export const NETMAP_RING_HEAD = 20;
export const NETMAP_RING_CUR = 24;
export const NETMAP_RING_TAIL = 28;
export const NETMAP_RING_FLAGS = 32;
export const NETMAP_RING_TS = 40;
export const NETMAP_RING_OFFSET_MASK = 56;
export const NETMAP_RING_BUF_ALIGN = 64;
export const NETMAP_RING_SEM = 128;
export const NETMAP_RING_SLOT = 256;

export const NR_TIMESTAMP = 0x2;
export const NR_FORWARD = 0x4;

// struct netmap_if, 56 bytes, then ring_ofs[] (8 bytes each in the lp64 data model)
//   0          16        20       24        28        32        36            40            44     56
//   +----------+---------+--------+---------+---------+---------+-------------+-------------+------+---------
//   | ni_name  | version | flags  | tx_rings| rx_rings| bufs_head| host_tx    | host_rx     | spare| ring_ofs
//   +----------+---------+--------+---------+---------+---------+-------------+-------------+------+---------
export const NETMAP_IF_SIZE = 56;
export const NETMAP_IF_NAME = 0;
export const NETMAP_IF_VERSION = 16;
export const NETMAP_IF_FLAGS = 20;
export const NETMAP_IF_TX_RINGS = 24;
export const NETMAP_IF_RX_RINGS = 28;
export const NETMAP_IF_BUFS_HEAD = 32;
export const NETMAP_IF_HOST_TX_RINGS = 36;
export const NETMAP_IF_HOST_RX_RINGS = 40;
export const NETMAP_IF_RING_OFS = 56;
export const NETMAP_IF_RING_OFS_SIZE = 8;
export const NI_PRIV_MEM = 0x1;
export const NETMAP_IFNAMSIZ = 16;

export const NETMAP_API = 14;
export const NETMAP_REQ_IFNAMSIZ = 64;
export const NETMAP_PAGE_SIZE = 4096;

// Direction: RX first, as in netmap's own enum. Arrays that users see are ordered TX first.
export const NR_RX = 0;
export const NR_TX = 1;

// nr_mode of NETMAP_REQ_REGISTER
export const NR_REG_DEFAULT = 0;
export const NR_REG_ALL_NIC = 1;
export const NR_REG_SW = 2;
export const NR_REG_NIC_SW = 3;
export const NR_REG_ONE_NIC = 4;
export const NR_REG_PIPE_MASTER = 5;
export const NR_REG_PIPE_SLAVE = 6;
export const NR_REG_NULL = 7;
export const NR_REG_ONE_SW = 8;

// nr_flags of NETMAP_REQ_REGISTER
export const NR_MONITOR_TX = 0x100;
export const NR_MONITOR_RX = 0x200;
export const NR_ZCOPY_MON = 0x400;
export const NR_EXCLUSIVE = 0x800;
export const NR_RX_RINGS_ONLY = 0x2000;
export const NR_TX_RINGS_ONLY = 0x4000;
export const NR_ACCEPT_VNET_HDR = 0x8000;
export const NR_DO_RX_POLL = 0x10000;
export const NR_NO_TX_POLL = 0x20000;

// sync flags of nm_sync
export const NAF_FORCE_READ = 1;
export const NAF_FORCE_RECLAIM = 2;
export const NAF_CAN_FORWARD_DOWN = 4;

// poll(2) event bits, Linux numbers
export const POLLIN = 0x001;
export const POLLOUT = 0x004;
export const POLLERR = 0x008;
export const POLLHUP = 0x010;
export const POLLRDNORM = 0x040;
export const POLLWRNORM = 0x100;

// Limits of the port kinds
export const NM_PIPE_MAXSLOTS = 4096;
export const NM_PIPE_MAXRINGS = 256;
export const NM_MAXPIPES = 64;
export const NM_BDG_MAXSLOTS = 4096;
export const NM_BDG_MAXRINGS = 16;
export const NM_BRIDGE_RINGSIZE = 1024;
export const NM_BDG_MAXPORTS = 254;
export const NM_BDG_BROADCAST = 254;
export const NM_BDG_NOPORT = 255;
export const NM_BDG_BATCH = 1024;
export const NM_BDG_MAX_NAME = 16;
export const NM_BRIDGES = 8;
