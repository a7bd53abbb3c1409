// Requests to the netmap device, byte for byte (netmap(4), net/netmap.h): ioctl numbers, the header of NIOCCTRL, bodies,
// options, and the legacy request. Pointers are 64-bit fields, so one layout serves programs of any width.

// ioctl numbers: Linux's. FreeBSD's syncs have the bit of _IO
export const NIOCGINFO = 0xc03c6991;
export const NIOCREGIF = 0xc03c6992;
export const NIOCTXSYNC = 0x6994;
export const NIOCRXSYNC = 0x6995;
export const NIOCCTRL = 0xc0586997;
export const NIOCTXSYNC_BSD = 0x20006994;
export const NIOCRXSYNC_BSD = 0x20006995;

// Versions: nr_version of a header
export const NETMAP_MIN_API = 14;
export const NETMAP_MAX_API = 15;

// nr_reqtype
export const NETMAP_REQ_REGISTER = 1;
export const NETMAP_REQ_PORT_INFO_GET = 2;
export const NETMAP_REQ_VALE_ATTACH = 3;
export const NETMAP_REQ_VALE_DETACH = 4;
export const NETMAP_REQ_VALE_LIST = 5;
export const NETMAP_REQ_PORT_HDR_SET = 6;
export const NETMAP_REQ_PORT_HDR_GET = 7;
export const NETMAP_REQ_VALE_NEWIF = 8;
export const NETMAP_REQ_VALE_DELIF = 9;
export const NETMAP_REQ_VALE_POLLING_ENABLE = 10;
export const NETMAP_REQ_VALE_POLLING_DISABLE = 11;
export const NETMAP_REQ_POOLS_INFO_GET = 12;
export const NETMAP_REQ_SYNC_KLOOP_START = 13;
export const NETMAP_REQ_SYNC_KLOOP_STOP = 14;
export const NETMAP_REQ_CSB_ENABLE = 15;

// nro_reqtype
export const NETMAP_REQ_OPT_EXTMEM = 1;
export const NETMAP_REQ_OPT_SYNC_KLOOP_EVENTFDS = 2;
export const NETMAP_REQ_OPT_CSB = 3;
export const NETMAP_REQ_OPT_SYNC_KLOOP_MODE = 4;
export const NETMAP_REQ_OPT_OFFSETS = 5;
export const NETMAP_REQ_OPT_MAX = 6; // types from here on are unknown

// struct nmreq_header
//   0          2           4             8         72           80        88
//   +----------+-----------+-------------+---------+------------+---------+
//   | version  | reqtype   | reserved    | name[64]| options (p)| body (p)|
//   +----------+-----------+-------------+---------+------------+---------+
export const NMREQ_HEADER_SIZE = 88;
export const NMREQ_HEADER_VERSION = 0; // u16
export const NMREQ_HEADER_REQTYPE = 2; // u16
export const NMREQ_HEADER_RESERVED = 4;
export const NMREQ_HEADER_NAME = 8; // NETMAP_REQ_IFNAMSIZ bytes
export const NMREQ_HEADER_OPTIONS = 72; // u64
export const NMREQ_HEADER_BODY = 80; // u64

// struct nmreq_option, the header of every option
export const NMREQ_OPTION_SIZE = 24;
export const NMREQ_OPTION_NEXT = 0; // u64
export const NMREQ_OPTION_REQTYPE = 8;
export const NMREQ_OPTION_STATUS = 12;
export const NMREQ_OPTION_NRO_SIZE = 16; // u64

// struct nmreq_register
export const NMREQ_REGISTER_SIZE = 56;
export const NMREQ_REGISTER_OFFSET = 0; // u64, out
export const NMREQ_REGISTER_MEMSIZE = 8; // u64, out
export const NMREQ_REGISTER_TX_SLOTS = 16;
export const NMREQ_REGISTER_RX_SLOTS = 20;
export const NMREQ_REGISTER_TX_RINGS = 24; // u16
export const NMREQ_REGISTER_RX_RINGS = 26; // u16
export const NMREQ_REGISTER_HOST_TX_RINGS = 28; // u16
export const NMREQ_REGISTER_HOST_RX_RINGS = 30; // u16
export const NMREQ_REGISTER_MEM_ID = 32; // u16
export const NMREQ_REGISTER_RINGID = 34; // u16
export const NMREQ_REGISTER_MODE = 36;
export const NMREQ_REGISTER_EXTRA_BUFS = 40;
export const NMREQ_REGISTER_FLAGS = 48; // u64

// struct nmreq_port_info_get
export const NMREQ_PORT_INFO_GET_SIZE = 32;
export const NMREQ_PORT_INFO_GET_MEMSIZE = 0; // u64
export const NMREQ_PORT_INFO_GET_TX_SLOTS = 8;
export const NMREQ_PORT_INFO_GET_RX_SLOTS = 12;
export const NMREQ_PORT_INFO_GET_TX_RINGS = 16; // u16
export const NMREQ_PORT_INFO_GET_RX_RINGS = 18; // u16
export const NMREQ_PORT_INFO_GET_HOST_TX_RINGS = 20; // u16
export const NMREQ_PORT_INFO_GET_HOST_RX_RINGS = 22; // u16
export const NMREQ_PORT_INFO_GET_MEM_ID = 24; // u16

// struct nmreq_vale_attach: a struct nmreq_register, then
export const NMREQ_VALE_ATTACH_SIZE = 64;
export const NMREQ_VALE_ATTACH_PORT_INDEX = 56;

// struct nmreq_vale_detach
export const NMREQ_VALE_DETACH_SIZE = 8;
export const NMREQ_VALE_DETACH_PORT_INDEX = 0;

// struct nmreq_vale_list
export const NMREQ_VALE_LIST_SIZE = 8;
export const NMREQ_VALE_LIST_BRIDGE_IDX = 0; // u16
export const NMREQ_VALE_LIST_PORT_IDX = 4;

// struct nmreq_port_hdr
export const NMREQ_PORT_HDR_SIZE = 8;
export const NMREQ_PORT_HDR_HDR_LEN = 0;

// struct nmreq_vale_newif
export const NMREQ_VALE_NEWIF_SIZE = 16;
export const NMREQ_VALE_NEWIF_TX_SLOTS = 0;
export const NMREQ_VALE_NEWIF_RX_SLOTS = 4;
export const NMREQ_VALE_NEWIF_TX_RINGS = 8; // u16
export const NMREQ_VALE_NEWIF_RX_RINGS = 10; // u16
export const NMREQ_VALE_NEWIF_MEM_ID = 12; // u16

// struct nmreq_vale_polling
export const NMREQ_VALE_POLLING_SIZE = 16;
export const NMREQ_VALE_POLLING_MODE = 0;
export const NMREQ_VALE_POLLING_FIRST_CPU_ID = 4;
export const NMREQ_VALE_POLLING_NUM_POLLING_CPUS = 8;

// struct nmreq_pools_info
export const NMREQ_POOLS_INFO_SIZE = 64;
export const NMREQ_POOLS_INFO_MEMSIZE = 0; // u64
export const NMREQ_POOLS_INFO_MEM_ID = 8; // u16
export const NMREQ_POOLS_INFO_IF_POOL_OFFSET = 16; // u64
export const NMREQ_POOLS_INFO_IF_POOL_OBJTOTAL = 24;
export const NMREQ_POOLS_INFO_IF_POOL_OBJSIZE = 28;
export const NMREQ_POOLS_INFO_RING_POOL_OFFSET = 32; // u64
export const NMREQ_POOLS_INFO_RING_POOL_OBJTOTAL = 40;
export const NMREQ_POOLS_INFO_RING_POOL_OBJSIZE = 44;
export const NMREQ_POOLS_INFO_BUF_POOL_OFFSET = 48; // u64
export const NMREQ_POOLS_INFO_BUF_POOL_OBJTOTAL = 56;
export const NMREQ_POOLS_INFO_BUF_POOL_OBJSIZE = 60;

// struct nmreq_sync_kloop_start
export const NMREQ_SYNC_KLOOP_START_SIZE = 8;
export const NMREQ_SYNC_KLOOP_START_SLEEP_US = 0;

// struct nmreq_opt_extmem: an option's header, then
export const NMREQ_OPT_EXTMEM_SIZE = 96;
export const NMREQ_OPT_EXTMEM_USRPTR = 24; // u64
export const NMREQ_OPT_EXTMEM_INFO = 32; // struct nmreq_pools_info

// struct nmreq_opt_sync_kloop_eventfds: an option's header, then one element a ring, tx rings first
export const NMREQ_OPT_EVENTFDS_ARRAY = 24;
export const NMREQ_OPT_EVENTFDS_ELEMENT = 8; // bytes of an element
export const NMREQ_OPT_EVENTFDS_IOEVENTFD = 0; // i32: kicks, < 0 = none
export const NMREQ_OPT_EVENTFDS_IRQFD = 4; // i32: interrupts, < 0 = none

// struct nmreq_opt_csb: an option's header, then
export const NMREQ_OPT_CSB_SIZE = 40;
export const NMREQ_OPT_CSB_ATOK = 24; // u64
export const NMREQ_OPT_CSB_KTOA = 32; // u64

// struct nmreq_opt_sync_kloop_mode: an option's header, then
export const NMREQ_OPT_SYNC_KLOOP_MODE_SIZE = 32;
export const NMREQ_OPT_SYNC_KLOOP_MODE_MODE = 24;
export const NM_OPT_SYNC_KLOOP_DIRECT_TX = 1;
export const NM_OPT_SYNC_KLOOP_DIRECT_RX = 2;

// struct nmreq_opt_offsets: an option's header, then
export const NMREQ_OPT_OFFSETS_SIZE = 56;
export const NMREQ_OPT_OFFSETS_MAX_OFFSET = 24; // u64
export const NMREQ_OPT_OFFSETS_INITIAL_OFFSET = 32; // u64
export const NMREQ_OPT_OFFSETS_OFFSET_BITS = 40;
export const NMREQ_OPT_OFFSETS_TX_ALIGN = 44;
export const NMREQ_OPT_OFFSETS_MIN_GAP = 48; // u64

// struct nmreq: the legacy request of NIOCREGIF and NIOCGINFO
export const NMREQ_SIZE = 60;
export const NMREQ_NAME = 0; // NETMAP_IFNAMSIZ bytes
export const NMREQ_VERSION = 16;
export const NMREQ_OFFSET = 20;
export const NMREQ_MEMSIZE = 24;
export const NMREQ_TX_SLOTS = 28;
export const NMREQ_RX_SLOTS = 32;
export const NMREQ_TX_RINGS = 36; // u16
export const NMREQ_RX_RINGS = 38; // u16
export const NMREQ_RINGID = 40; // u16
export const NMREQ_CMD = 42; // u16
export const NMREQ_ARG1 = 44; // u16
export const NMREQ_ARG2 = 46; // u16
export const NMREQ_ARG3 = 48;
export const NMREQ_FLAGS = 52;

// nr_cmd of a legacy request
export const NETMAP_BDG_ATTACH = 1;
export const NETMAP_BDG_DETACH = 2;
export const NETMAP_BDG_LIST = 4;
export const NETMAP_BDG_VNET_HDR = 5;
export const NETMAP_BDG_NEWIF = 6;
export const NETMAP_BDG_DELIF = 7;
export const NETMAP_PT_HOST_CREATE = 8;
export const NETMAP_PT_HOST_DELETE = 9;
export const NETMAP_BDG_POLLING_ON = 10;
export const NETMAP_BDG_POLLING_OFF = 11;
export const NETMAP_VNET_HDR_GET = 12;

// nr_arg1 of NETMAP_BDG_ATTACH
export const NETMAP_BDG_HOST = 1; // the host stack too

// nr_ringid and nr_flags of a legacy request
export const NETMAP_RING_MASK = 0xfff;
export const NETMAP_NO_TX_POLL = 0x1000;
export const NETMAP_SW_RING = 0x2000;
export const NETMAP_HW_RING = 0x4000;
export const NETMAP_DO_RX_POLL = 0x8000;
export const NR_REG_MASK = 0xf;

// nr_mode of struct nmreq_vale_polling
export const NETMAP_POLLING_MODE_SINGLE_CPU = 1;
export const NETMAP_POLLING_MODE_MULTI_CPU = 2;
