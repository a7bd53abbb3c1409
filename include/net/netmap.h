// The interface of netmap(4): structures in the mapped memory, requests, ioctl numbers. For 64-bit programs and for
// wasm32. The layouts are checked against the package's own (tests/abi).
#ifndef PTNET_NET_NETMAP_H
#define PTNET_NET_NETMAP_H

#include <net/if.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/types.h>

#define NETMAP_API 14
#define NETMAP_MIN_API 14
#define NETMAP_MAX_API 15

#define NM_CACHE_ALIGN 128
#define NETMAP_REQ_IFNAMSIZ 64
#define NETMAP_MAX_FRAGS 64

// ---- the mapped memory -----------------------------------------------------------------------------------------------

struct netmap_slot {
  uint32_t buf_idx;
  uint16_t len;   // bytes
  uint16_t flags; // NS_*
  uint64_t ptr;   // address (NS_INDIRECT), or the packet's offset under the ring's offset_mask
};

#define NS_BUF_CHANGED 0x0001 // buf_idx was changed
#define NS_REPORT 0x0002      // ask for a report of completion
#define NS_FORWARD 0x0004     // pass on when released
#define NS_NO_LEARN 0x0008
#define NS_INDIRECT 0x0010 // the data is at ptr
#define NS_MOREFRAG 0x0020 // the packet goes on in the next slot
#define NS_TXMON 0x0040    // monitors: the frame was sent
#define NS_PORT_SHIFT 8
#define NS_PORT_MASK (0xff << NS_PORT_SHIFT)
#define NS_RFRAGS(_slot) (((_slot)->flags >> 8) & 0xff) // slots of a received packet

struct netmap_ring {
  const int64_t buf_ofs; // from this ring to buffer 0
  const uint32_t num_slots;
  const uint32_t nr_buf_size;
  const uint16_t ringid;
  const uint16_t dir;
  uint32_t head; // first slot of the user
  uint32_t cur;  // wake-up point
  uint32_t tail; // first slot of the kernel
  uint32_t flags;
  struct timeval ts; // of the last rxsync, with NR_TIMESTAMP
  uint64_t offset_mask;
  uint64_t buf_align;
  uint8_t sem[128] __attribute__((aligned(NM_CACHE_ALIGN))); // the user's
  struct netmap_slot slot[0];
};

#define NR_TIMESTAMP 0x0002
#define NR_FORWARD 0x0004

struct netmap_if {
  char ni_name[IFNAMSIZ];
  const uint32_t ni_version;
  const uint32_t ni_flags;
  const uint32_t ni_tx_rings;
  const uint32_t ni_rx_rings;
  uint32_t ni_bufs_head; // list of extra buffers
  const uint32_t ni_host_tx_rings;
  const uint32_t ni_host_rx_rings;
  uint32_t ni_spare1[3];
  const ssize_t ring_ofs[0]; // tx, host tx, rx, host rx; from this structure, 0 = not open
};

#define NI_PRIV_MEM 0x1

// ---- requests --------------------------------------------------------------------------------------------------------

struct nmreq_header {
  uint16_t nr_version; // NETMAP_API
  uint16_t nr_reqtype; // NETMAP_REQ_*
  uint32_t nr_reserved;
  char nr_name[NETMAP_REQ_IFNAMSIZ];
  uint64_t nr_options; // address of the first option
  uint64_t nr_body;    // address of the body
};

enum {
  NETMAP_REQ_REGISTER = 1,
  NETMAP_REQ_PORT_INFO_GET,
  NETMAP_REQ_VALE_ATTACH,
  NETMAP_REQ_VALE_DETACH,
  NETMAP_REQ_VALE_LIST,
  NETMAP_REQ_PORT_HDR_SET,
  NETMAP_REQ_PORT_HDR_GET,
  NETMAP_REQ_VALE_NEWIF,
  NETMAP_REQ_VALE_DELIF,
  NETMAP_REQ_VALE_POLLING_ENABLE,
  NETMAP_REQ_VALE_POLLING_DISABLE,
  NETMAP_REQ_POOLS_INFO_GET,
  NETMAP_REQ_SYNC_KLOOP_START,
  NETMAP_REQ_SYNC_KLOOP_STOP,
  NETMAP_REQ_CSB_ENABLE,
};

enum {
  NETMAP_REQ_OPT_EXTMEM = 1,
  NETMAP_REQ_OPT_SYNC_KLOOP_EVENTFDS,
  NETMAP_REQ_OPT_CSB,
  NETMAP_REQ_OPT_SYNC_KLOOP_MODE,
  NETMAP_REQ_OPT_OFFSETS,
  NETMAP_REQ_OPT_MAX,
};

struct nmreq_option {
  uint64_t nro_next;
  uint32_t nro_reqtype; // NETMAP_REQ_OPT_*
  uint32_t nro_status;  // out: 0 or an errno
  uint64_t nro_size;
};

struct nmreq_register {
  uint64_t nr_offset;  // out: of the netmap_if
  uint64_t nr_memsize; // out: bytes to map
  uint32_t nr_tx_slots;
  uint32_t nr_rx_slots;
  uint16_t nr_tx_rings;
  uint16_t nr_rx_rings;
  uint16_t nr_host_tx_rings;
  uint16_t nr_host_rx_rings;
  uint16_t nr_mem_id;
  uint16_t nr_ringid;
  uint32_t nr_mode; // NR_REG_*
  uint32_t nr_extra_bufs;
  uint64_t nr_flags; // NR_*
};

enum {
  NR_REG_DEFAULT = 0,
  NR_REG_ALL_NIC = 1,
  NR_REG_SW = 2,
  NR_REG_NIC_SW = 3,
  NR_REG_ONE_NIC = 4,
  NR_REG_PIPE_MASTER = 5,
  NR_REG_PIPE_SLAVE = 6,
  NR_REG_NULL = 7,
  NR_REG_ONE_SW = 8,
};

#define NR_MONITOR_TX 0x100
#define NR_MONITOR_RX 0x200
#define NR_ZCOPY_MON 0x400
#define NR_EXCLUSIVE 0x800
#define NR_RX_RINGS_ONLY 0x2000
#define NR_TX_RINGS_ONLY 0x4000
#define NR_ACCEPT_VNET_HDR 0x8000
#define NR_DO_RX_POLL 0x10000
#define NR_NO_TX_POLL 0x20000

struct nmreq_port_info_get {
  uint64_t nr_memsize;
  uint32_t nr_tx_slots;
  uint32_t nr_rx_slots;
  uint16_t nr_tx_rings;
  uint16_t nr_rx_rings;
  uint16_t nr_host_tx_rings;
  uint16_t nr_host_rx_rings;
  uint16_t nr_mem_id;
  uint16_t pad[3];
};

struct nmreq_vale_attach {
  struct nmreq_register reg;
  uint32_t port_index;
  uint32_t pad1;
};

struct nmreq_vale_detach {
  uint32_t port_index;
  uint32_t pad1;
};

struct nmreq_vale_list {
  uint16_t nr_bridge_idx;
  uint16_t pad1;
  uint32_t nr_port_idx;
};

struct nmreq_port_hdr {
  uint32_t nr_hdr_len;
  uint32_t pad1;
};

struct nmreq_vale_newif {
  uint32_t nr_tx_slots;
  uint32_t nr_rx_slots;
  uint16_t nr_tx_rings;
  uint16_t nr_rx_rings;
  uint16_t nr_mem_id;
  uint16_t pad1;
};

enum {
  NETMAP_POLLING_MODE_SINGLE_CPU = 1,
  NETMAP_POLLING_MODE_MULTI_CPU,
};

struct nmreq_vale_polling {
  uint32_t nr_mode;
  uint32_t nr_first_cpu_id;
  uint32_t nr_num_polling_cpus;
  uint32_t pad1;
};

struct nmreq_pools_info {
  uint64_t nr_memsize;
  uint16_t nr_mem_id;
  uint16_t pad1[3];
  uint64_t nr_if_pool_offset;
  uint32_t nr_if_pool_objtotal;
  uint32_t nr_if_pool_objsize;
  uint64_t nr_ring_pool_offset;
  uint32_t nr_ring_pool_objtotal;
  uint32_t nr_ring_pool_objsize;
  uint64_t nr_buf_pool_offset;
  uint32_t nr_buf_pool_objtotal;
  uint32_t nr_buf_pool_objsize;
};

struct nmreq_sync_kloop_start {
  uint32_t sleep_us;
  uint32_t pad1;
};

struct nmreq_opt_extmem {
  struct nmreq_option nro_opt;
  uint64_t nro_usrptr;
  struct nmreq_pools_info nro_info;
};

struct nmreq_opt_sync_kloop_eventfds {
  struct nmreq_option nro_opt; // nro_size = sizeof this with its array
  struct {
    int32_t ioeventfd;
    int32_t irqfd;
  } eventfds[0];
};

struct nmreq_opt_csb {
  struct nmreq_option nro_opt;
  uint64_t csb_atok;
  uint64_t csb_ktoa;
};

#define NM_OPT_SYNC_KLOOP_DIRECT_TX 0x1
#define NM_OPT_SYNC_KLOOP_DIRECT_RX 0x2

struct nmreq_opt_sync_kloop_mode {
  struct nmreq_option nro_opt;
  uint32_t mode;
  uint32_t pad1;
};

struct nmreq_opt_offsets {
  struct nmreq_option nro_opt;
  uint64_t nro_max_offset;
  uint64_t nro_initial_offset;
  uint32_t nro_offset_bits;
  uint32_t nro_tx_align;
  uint64_t nro_min_gap;
};

// ---- the communication status block ----------------------------------------------------------------------------------

struct nm_csb_atok {
  uint32_t head;
  uint32_t cur;
  uint32_t appl_need_kick;
  uint32_t sync_flags;
  uint32_t pad[12];
};

struct nm_csb_ktoa {
  uint32_t hwcur;
  uint32_t hwtail;
  uint32_t kern_need_kick;
  uint32_t pad[13];
};

// ---- the legacy requests ---------------------------------------------------------------------------------------------

struct nmreq {
  char nr_name[IFNAMSIZ];
  uint32_t nr_version;
  uint32_t nr_offset;
  uint32_t nr_memsize;
  uint32_t nr_tx_slots;
  uint32_t nr_rx_slots;
  uint16_t nr_tx_rings;
  uint16_t nr_rx_rings;
  uint16_t nr_ringid;
  uint16_t nr_cmd;
  uint16_t nr_arg1;
  uint16_t nr_arg2;
  uint32_t nr_arg3;
  uint32_t nr_flags;
  uint32_t spare2[1];
};

#define NETMAP_RING_MASK 0x0fff
#define NETMAP_NO_TX_POLL 0x1000
#define NETMAP_SW_RING 0x2000
#define NETMAP_HW_RING 0x4000
#define NETMAP_DO_RX_POLL 0x8000
#define NR_REG_MASK 0xf

#define NETMAP_BDG_ATTACH 1
#define NETMAP_BDG_DETACH 2
#define NETMAP_BDG_LIST 4
#define NETMAP_BDG_VNET_HDR 5
#define NETMAP_BDG_NEWIF 6
#define NETMAP_BDG_DELIF 7
#define NETMAP_BDG_POLLING_ON 10
#define NETMAP_BDG_POLLING_OFF 11
#define NETMAP_VNET_HDR_GET 12
#define NETMAP_BDG_HOST 1

#define NM_IFRDATA_LEN 256
struct nm_ifreq {
  char nifr_name[IFNAMSIZ];
  char data[NM_IFRDATA_LEN];
};

// ---- ioctl numbers ---------------------------------------------------------------------------------------------------

#define NIOCGINFO _IOWR('i', 145, struct nmreq)
#define NIOCREGIF _IOWR('i', 146, struct nmreq)
#define NIOCTXSYNC _IO('i', 148)
#define NIOCRXSYNC _IO('i', 149)
#define NIOCCONFIG _IOWR('i', 150, struct nm_ifreq)
#define NIOCCTRL _IOWR('i', 151, struct nmreq_header)

#endif
