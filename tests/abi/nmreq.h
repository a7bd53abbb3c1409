// The requests of netmap's control API, from their documented layout. Pointers are 64-bit integers in them.
#include <stdint.h>

struct nmreq_header {
  uint16_t nr_version;
  uint16_t nr_reqtype;
  uint32_t nr_reserved;
  char nr_name[64];
  uint64_t nr_options;
  uint64_t nr_body;
};

struct nmreq_option {
  uint64_t nro_next;
  uint32_t nro_reqtype;
  uint32_t nro_status;
  uint64_t nro_size;
};

struct nmreq_register {
  uint64_t nr_offset, nr_memsize;
  uint32_t nr_tx_slots, nr_rx_slots;
  uint16_t nr_tx_rings, nr_rx_rings, nr_host_tx_rings, nr_host_rx_rings;
  uint16_t nr_mem_id, nr_ringid;
  uint32_t nr_mode, nr_extra_bufs;
  uint64_t nr_flags;
};

struct nmreq_port_info_get {
  uint64_t nr_memsize;
  uint32_t nr_tx_slots, nr_rx_slots;
  uint16_t nr_tx_rings, nr_rx_rings, nr_host_tx_rings, nr_host_rx_rings;
  uint16_t nr_mem_id, pad[3];
};

struct nmreq_vale_attach {
  struct nmreq_register reg;
  uint32_t port_index, pad;
};

struct nmreq_vale_detach {
  uint32_t port_index, pad;
};

struct nmreq_vale_list {
  uint16_t nr_bridge_idx, pad;
  uint32_t nr_port_idx;
};

struct nmreq_port_hdr {
  uint32_t nr_hdr_len, pad;
};

struct nmreq_vale_newif {
  uint32_t nr_tx_slots, nr_rx_slots;
  uint16_t nr_tx_rings, nr_rx_rings, nr_mem_id, pad;
};

struct nmreq_vale_polling {
  uint32_t nr_mode, nr_first_cpu_id, nr_num_polling_cpus, pad;
};

struct nmreq_pools_info {
  uint64_t nr_memsize;
  uint16_t nr_mem_id, pad[3];
  uint64_t nr_if_pool_offset;
  uint32_t nr_if_pool_objtotal, nr_if_pool_objsize;
  uint64_t nr_ring_pool_offset;
  uint32_t nr_ring_pool_objtotal, nr_ring_pool_objsize;
  uint64_t nr_buf_pool_offset;
  uint32_t nr_buf_pool_objtotal, nr_buf_pool_objsize;
};

struct nmreq_sync_kloop_start {
  uint32_t sleep_us, pad;
};

struct nmreq_opt_extmem {
  struct nmreq_option nro_opt;
  uint64_t nro_usrptr;
  struct nmreq_pools_info nro_info;
};

struct nmreq_opt_sync_kloop_eventfds {
  struct nmreq_option nro_opt;
  struct {
    int32_t ioeventfd, irqfd;
  } eventfds[];
};

struct nmreq_opt_csb {
  struct nmreq_option nro_opt;
  uint64_t csb_atok, csb_ktoa;
};

struct nmreq_opt_sync_kloop_mode {
  struct nmreq_option nro_opt;
  uint32_t mode, pad;
};

struct nmreq_opt_offsets {
  struct nmreq_option nro_opt;
  uint64_t nro_max_offset, nro_initial_offset;
  uint32_t nro_offset_bits, nro_tx_align;
  uint64_t nro_min_gap;
};

struct nmreq {
  char nr_name[16];
  uint32_t nr_version, nr_offset, nr_memsize, nr_tx_slots, nr_rx_slots;
  uint16_t nr_tx_rings, nr_rx_rings, nr_ringid, nr_cmd, nr_arg1, nr_arg2;
  uint32_t nr_arg3, nr_flags, spare2;
};
