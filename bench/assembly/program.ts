// A guest's program in AssemblyScript: what bench/program.ts does with a ring, fill and drain, in a Wasm module of its own.
import {
  NETMAP_RING_BUF_OFS,
  NETMAP_RING_CUR,
  NETMAP_RING_HEAD,
  NETMAP_RING_NR_BUF_SIZE,
  NETMAP_RING_NUM_SLOTS,
  NETMAP_RING_SLOT,
  NETMAP_RING_TAIL,
  NETMAP_SLOT_LEN,
  NETMAP_SLOT_SIZE,
} from '../../assembly/abi/netmap';

/** Where the sequence number of a frame is: SEQ_OFS of bench/program.ts. */
const SEQ_OFS: usize = 16;

/** Sends `count` frames: writes slot and sequence number of each. */
export function fill(ring: usize, count: u32, seq: u32, len: u32): void {
  const n = load<u32>(ring, NETMAP_RING_NUM_SLOTS);
  const size: usize = load<u32>(ring, NETMAP_RING_NR_BUF_SIZE);
  const numbers = ring + <usize>load<i64>(ring, NETMAP_RING_BUF_OFS) + SEQ_OFS;
  let i = load<u32>(ring, NETMAP_RING_HEAD);
  for (let left = count; left != 0; ) {
    const run = min(left, n - i);
    let slot = ring + NETMAP_RING_SLOT + <usize>i * NETMAP_SLOT_SIZE;
    const end = slot + <usize>run * NETMAP_SLOT_SIZE;
    for (; slot != end; slot += NETMAP_SLOT_SIZE, seq++) {
      store<u32>(slot, len, NETMAP_SLOT_LEN);
      store<u32>(numbers + <usize>load<u32>(slot) * size, seq);
    }
    left -= run;
    i = i + run == n ? 0 : i + run;
  }
  store<u32>(ring, i, NETMAP_RING_HEAD);
  store<u32>(ring, i, NETMAP_RING_CUR);
}

/** Receives: reads slot and sequence number of each frame, and releases them. Returns the sum of lengths and numbers. */
export function drain(ring: usize): u32 {
  const n = load<u32>(ring, NETMAP_RING_NUM_SLOTS);
  const size: usize = load<u32>(ring, NETMAP_RING_NR_BUF_SIZE);
  const numbers = ring + <usize>load<i64>(ring, NETMAP_RING_BUF_OFS) + SEQ_OFS;
  const tail = load<u32>(ring, NETMAP_RING_TAIL);
  let sum: u32 = 0;
  for (let i = load<u32>(ring, NETMAP_RING_HEAD); i != tail; ) {
    const next = i < tail ? tail : n;
    let slot = ring + NETMAP_RING_SLOT + <usize>i * NETMAP_SLOT_SIZE;
    const end = ring + NETMAP_RING_SLOT + <usize>next * NETMAP_SLOT_SIZE;
    for (; slot != end; slot += NETMAP_SLOT_SIZE) {
      sum += load<u16>(slot, NETMAP_SLOT_LEN) + load<u32>(numbers + <usize>load<u32>(slot) * size);
    }
    i = next == n ? 0 : next;
  }
  store<u32>(ring, tail, NETMAP_RING_HEAD);
  store<u32>(ring, tail, NETMAP_RING_CUR);
  return sum;
}
