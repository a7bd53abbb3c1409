// Data models: what of struct netmap_if and struct netmap_ring depends on the reader's compiler. ring_ofs is an array of
// ssize_t, ts is a struct timeval, and i386 aligns 64-bit integers to 4 bytes. Everything else is the same in all three.
//
//                               lp64   wasm32   i386
//   bytes of a ring_ofs entry      8        4      4
//   netmap_ring.ts                40       40     36
//   bytes of a word of ts          8        8      4
//   netmap_ring.offset_mask       56       56     44
//   netmap_ring.buf_align         64       64     52
//
// The lp64 column is NETMAP_IF_RING_OFS_SIZE, NETMAP_RING_TS, NETMAP_RING_OFFSET_MASK and NETMAP_RING_BUF_ALIGN.

// what the other columns have instead
export const LP64_TS_WORD = 8;
export const ILP32_RING_OFS_SIZE = 4;
export const I386_RING_TS = 36;
export const I386_TS_WORD = 4;
export const I386_RING_OFFSET_MASK = 44;
export const I386_RING_BUF_ALIGN = 52;
