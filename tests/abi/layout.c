// The structures that applications, guest kernels and hosts share, as a C compiler lays them out; written from netmap's
// documented layout (x86-64 data model: a region's readers may be 64-bit programs). Prints JSON; see layout.test.ts.
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "nmreq.h"

struct netmap_slot {
  uint32_t buf_idx;
  uint16_t len;
  uint16_t flags;
  uint64_t ptr;
};

struct netmap_timeval {
  int64_t tv_sec;
  int64_t tv_usec;
};

struct netmap_ring {
  const int64_t buf_ofs;
  const uint32_t num_slots;
  const uint32_t nr_buf_size;
  const uint16_t ringid;
  const uint16_t dir;
  uint32_t head;
  uint32_t cur;
  uint32_t tail;
  uint32_t flags;
  struct netmap_timeval ts;
  uint64_t offset_mask;
  uint64_t buf_align;
  uint8_t sem[128] __attribute__((aligned(128)));
  struct netmap_slot slot[];
};

struct netmap_if {
  char ni_name[16];
  const uint32_t ni_version;
  const uint32_t ni_flags;
  const uint32_t ni_tx_rings;
  const uint32_t ni_rx_rings;
  uint32_t ni_bufs_head;
  const uint32_t ni_host_tx_rings;
  const uint32_t ni_host_rx_rings;
  uint32_t ni_spare1[3];
  const int64_t ring_ofs[];
};

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

struct ptnet_registers {
  uint32_t PTFEAT, PTCTL, MAC_LO, MAC_HI, CSBBAH, CSBBAL, NIFP_OFS;
  uint32_t NUM_TX_RINGS, NUM_RX_RINGS, NUM_TX_SLOTS, NUM_RX_SLOTS;
  uint32_t VNET_HDR_LEN, HOSTMEMID;
  uint32_t CSB_GH_BAH, CSB_GH_BAL, CSB_HG_BAH, CSB_HG_BAL;
  uint32_t END;
  uint32_t unused[14];
  uint32_t KICK_BASE[32];
};

struct memdev_registers {
  uint32_t MEMSIZE_LO, MEMSIZE_HI, MEMID;
  uint32_t unused[13];
  uint32_t IF_POOL_OFS, IF_POOL_OBJNUM, IF_POOL_OBJSZ;
  uint32_t RING_POOL_OFS, RING_POOL_OBJNUM, RING_POOL_OBJSZ;
  uint32_t BUF_POOL_OFS, BUF_POOL_OBJNUM, BUF_POOL_OBJSZ;
  uint32_t END;
  uint32_t rest[6];
};

#define BEGIN(type) printf("%s\"%s\": {\n    \"size\": %zu", comma, #type, sizeof(struct type)), comma = ",\n  "
#define FIELD(type, field) printf(",\n    \"%s\": %zu", #field, offsetof(struct type, field))
#define ELEMENT(type, field) printf(",\n    \"%s[1]\": %zu", #field, offsetof(struct type, field[1]))
#define END() printf("\n  }")

int main(void) {
  const char *comma = "{\n  ";
  BEGIN(netmap_slot);
  FIELD(netmap_slot, buf_idx);
  FIELD(netmap_slot, len);
  FIELD(netmap_slot, flags);
  FIELD(netmap_slot, ptr);
  END();
  BEGIN(netmap_ring);
  FIELD(netmap_ring, buf_ofs);
  FIELD(netmap_ring, num_slots);
  FIELD(netmap_ring, nr_buf_size);
  FIELD(netmap_ring, ringid);
  FIELD(netmap_ring, dir);
  FIELD(netmap_ring, head);
  FIELD(netmap_ring, cur);
  FIELD(netmap_ring, tail);
  FIELD(netmap_ring, flags);
  FIELD(netmap_ring, ts);
  FIELD(netmap_ring, offset_mask);
  FIELD(netmap_ring, buf_align);
  FIELD(netmap_ring, sem);
  FIELD(netmap_ring, slot);
  ELEMENT(netmap_ring, slot);
  END();
  BEGIN(netmap_if);
  FIELD(netmap_if, ni_name);
  FIELD(netmap_if, ni_version);
  FIELD(netmap_if, ni_flags);
  FIELD(netmap_if, ni_tx_rings);
  FIELD(netmap_if, ni_rx_rings);
  FIELD(netmap_if, ni_bufs_head);
  FIELD(netmap_if, ni_host_tx_rings);
  FIELD(netmap_if, ni_host_rx_rings);
  FIELD(netmap_if, ring_ofs);
  ELEMENT(netmap_if, ring_ofs);
  END();
  BEGIN(nm_csb_atok);
  FIELD(nm_csb_atok, head);
  FIELD(nm_csb_atok, cur);
  FIELD(nm_csb_atok, appl_need_kick);
  FIELD(nm_csb_atok, sync_flags);
  END();
  BEGIN(nm_csb_ktoa);
  FIELD(nm_csb_ktoa, hwcur);
  FIELD(nm_csb_ktoa, hwtail);
  FIELD(nm_csb_ktoa, kern_need_kick);
  END();
  BEGIN(ptnet_registers);
  FIELD(ptnet_registers, PTFEAT);
  FIELD(ptnet_registers, PTCTL);
  FIELD(ptnet_registers, MAC_LO);
  FIELD(ptnet_registers, MAC_HI);
  FIELD(ptnet_registers, CSBBAH);
  FIELD(ptnet_registers, CSBBAL);
  FIELD(ptnet_registers, NIFP_OFS);
  FIELD(ptnet_registers, NUM_TX_RINGS);
  FIELD(ptnet_registers, NUM_RX_RINGS);
  FIELD(ptnet_registers, NUM_TX_SLOTS);
  FIELD(ptnet_registers, NUM_RX_SLOTS);
  FIELD(ptnet_registers, VNET_HDR_LEN);
  FIELD(ptnet_registers, HOSTMEMID);
  FIELD(ptnet_registers, CSB_GH_BAH);
  FIELD(ptnet_registers, CSB_GH_BAL);
  FIELD(ptnet_registers, CSB_HG_BAH);
  FIELD(ptnet_registers, CSB_HG_BAL);
  FIELD(ptnet_registers, END);
  FIELD(ptnet_registers, KICK_BASE);
  ELEMENT(ptnet_registers, KICK_BASE);
  END();
  BEGIN(memdev_registers);
  FIELD(memdev_registers, MEMSIZE_LO);
  FIELD(memdev_registers, MEMSIZE_HI);
  FIELD(memdev_registers, MEMID);
  FIELD(memdev_registers, IF_POOL_OFS);
  FIELD(memdev_registers, IF_POOL_OBJNUM);
  FIELD(memdev_registers, IF_POOL_OBJSZ);
  FIELD(memdev_registers, RING_POOL_OFS);
  FIELD(memdev_registers, RING_POOL_OBJNUM);
  FIELD(memdev_registers, RING_POOL_OBJSZ);
  FIELD(memdev_registers, BUF_POOL_OFS);
  FIELD(memdev_registers, BUF_POOL_OBJNUM);
  FIELD(memdev_registers, BUF_POOL_OBJSZ);
  FIELD(memdev_registers, END);
  END();
  BEGIN(nmreq_header);
  FIELD(nmreq_header, nr_version);
  FIELD(nmreq_header, nr_reqtype);
  FIELD(nmreq_header, nr_reserved);
  FIELD(nmreq_header, nr_name);
  FIELD(nmreq_header, nr_options);
  FIELD(nmreq_header, nr_body);
  END();
  BEGIN(nmreq_option);
  FIELD(nmreq_option, nro_next);
  FIELD(nmreq_option, nro_reqtype);
  FIELD(nmreq_option, nro_status);
  FIELD(nmreq_option, nro_size);
  END();
  BEGIN(nmreq_register);
  FIELD(nmreq_register, nr_offset);
  FIELD(nmreq_register, nr_memsize);
  FIELD(nmreq_register, nr_tx_slots);
  FIELD(nmreq_register, nr_rx_slots);
  FIELD(nmreq_register, nr_tx_rings);
  FIELD(nmreq_register, nr_rx_rings);
  FIELD(nmreq_register, nr_host_tx_rings);
  FIELD(nmreq_register, nr_host_rx_rings);
  FIELD(nmreq_register, nr_mem_id);
  FIELD(nmreq_register, nr_ringid);
  FIELD(nmreq_register, nr_mode);
  FIELD(nmreq_register, nr_extra_bufs);
  FIELD(nmreq_register, nr_flags);
  END();
  BEGIN(nmreq_port_info_get);
  FIELD(nmreq_port_info_get, nr_memsize);
  FIELD(nmreq_port_info_get, nr_tx_slots);
  FIELD(nmreq_port_info_get, nr_rx_slots);
  FIELD(nmreq_port_info_get, nr_tx_rings);
  FIELD(nmreq_port_info_get, nr_rx_rings);
  FIELD(nmreq_port_info_get, nr_host_tx_rings);
  FIELD(nmreq_port_info_get, nr_host_rx_rings);
  FIELD(nmreq_port_info_get, nr_mem_id);
  END();
  BEGIN(nmreq_vale_attach);
  FIELD(nmreq_vale_attach, port_index);
  END();
  BEGIN(nmreq_vale_detach);
  FIELD(nmreq_vale_detach, port_index);
  END();
  BEGIN(nmreq_vale_list);
  FIELD(nmreq_vale_list, nr_bridge_idx);
  FIELD(nmreq_vale_list, nr_port_idx);
  END();
  BEGIN(nmreq_port_hdr);
  FIELD(nmreq_port_hdr, nr_hdr_len);
  END();
  BEGIN(nmreq_vale_newif);
  FIELD(nmreq_vale_newif, nr_tx_slots);
  FIELD(nmreq_vale_newif, nr_rx_slots);
  FIELD(nmreq_vale_newif, nr_tx_rings);
  FIELD(nmreq_vale_newif, nr_rx_rings);
  FIELD(nmreq_vale_newif, nr_mem_id);
  END();
  BEGIN(nmreq_vale_polling);
  FIELD(nmreq_vale_polling, nr_mode);
  FIELD(nmreq_vale_polling, nr_first_cpu_id);
  FIELD(nmreq_vale_polling, nr_num_polling_cpus);
  END();
  BEGIN(nmreq_pools_info);
  FIELD(nmreq_pools_info, nr_memsize);
  FIELD(nmreq_pools_info, nr_mem_id);
  FIELD(nmreq_pools_info, nr_if_pool_offset);
  FIELD(nmreq_pools_info, nr_if_pool_objtotal);
  FIELD(nmreq_pools_info, nr_if_pool_objsize);
  FIELD(nmreq_pools_info, nr_ring_pool_offset);
  FIELD(nmreq_pools_info, nr_ring_pool_objtotal);
  FIELD(nmreq_pools_info, nr_ring_pool_objsize);
  FIELD(nmreq_pools_info, nr_buf_pool_offset);
  FIELD(nmreq_pools_info, nr_buf_pool_objtotal);
  FIELD(nmreq_pools_info, nr_buf_pool_objsize);
  END();
  BEGIN(nmreq_sync_kloop_start);
  FIELD(nmreq_sync_kloop_start, sleep_us);
  END();
  BEGIN(nmreq_opt_extmem);
  FIELD(nmreq_opt_extmem, nro_usrptr);
  FIELD(nmreq_opt_extmem, nro_info);
  END();
  BEGIN(nmreq_opt_sync_kloop_eventfds);
  FIELD(nmreq_opt_sync_kloop_eventfds, eventfds);
  ELEMENT(nmreq_opt_sync_kloop_eventfds, eventfds);
  FIELD(nmreq_opt_sync_kloop_eventfds, eventfds[0].ioeventfd);
  FIELD(nmreq_opt_sync_kloop_eventfds, eventfds[0].irqfd);
  END();
  BEGIN(nmreq_opt_csb);
  FIELD(nmreq_opt_csb, csb_atok);
  FIELD(nmreq_opt_csb, csb_ktoa);
  END();
  BEGIN(nmreq_opt_sync_kloop_mode);
  FIELD(nmreq_opt_sync_kloop_mode, mode);
  END();
  BEGIN(nmreq_opt_offsets);
  FIELD(nmreq_opt_offsets, nro_max_offset);
  FIELD(nmreq_opt_offsets, nro_initial_offset);
  FIELD(nmreq_opt_offsets, nro_offset_bits);
  FIELD(nmreq_opt_offsets, nro_tx_align);
  FIELD(nmreq_opt_offsets, nro_min_gap);
  END();
  BEGIN(nmreq);
  FIELD(nmreq, nr_name);
  FIELD(nmreq, nr_version);
  FIELD(nmreq, nr_offset);
  FIELD(nmreq, nr_memsize);
  FIELD(nmreq, nr_tx_slots);
  FIELD(nmreq, nr_rx_slots);
  FIELD(nmreq, nr_tx_rings);
  FIELD(nmreq, nr_rx_rings);
  FIELD(nmreq, nr_ringid);
  FIELD(nmreq, nr_cmd);
  FIELD(nmreq, nr_arg1);
  FIELD(nmreq, nr_arg2);
  FIELD(nmreq, nr_arg3);
  FIELD(nmreq, nr_flags);
  END();
  printf("\n}\n");
  return 0;
}
