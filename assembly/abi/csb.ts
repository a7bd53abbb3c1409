// The communication status block: two arrays of 64-byte entries, one writer per line (nm_csb_atok, nm_csb_ktoa).
// TX rings first, then RX rings. All words are 32 bit and accessed with seq-cst atomics only.

// struct nm_csb_atok: written by the application (guest), read by the kernel (host)
//   0      4     8                12           16          64
//   +------+-----+----------------+------------+-----------+
//   | head | cur | appl_need_kick | sync_flags |    pad    |
//   +------+-----+----------------+------------+-----------+
export const CSB_ENTRY_SIZE = 64;
export const CSB_ATOK_HEAD = 0;
export const CSB_ATOK_CUR = 4;
export const CSB_ATOK_APPL_NEED_KICK = 8;
export const CSB_ATOK_SYNC_FLAGS = 12;

// struct nm_csb_ktoa: written by the kernel (host), read by the application (guest)
//   0       4        8                12          64
//   +-------+--------+----------------+-----------+
//   | hwcur | hwtail | kern_need_kick |    pad    |
//   +-------+--------+----------------+-----------+
export const CSB_KTOA_HWCUR = 0;
export const CSB_KTOA_HWTAIL = 4;
export const CSB_KTOA_KERN_NEED_KICK = 8;
