// The programs of bench/threads/slots.ts in Wasm: they write and read slots and leave the frames alone.
import {
  NETMAP_RING_CUR,
  NETMAP_RING_HEAD,
  NETMAP_RING_NUM_SLOTS,
  NETMAP_RING_SLOT,
  NETMAP_RING_TAIL,
  NETMAP_SLOT_LEN,
  NETMAP_SLOT_SIZE,
} from '../../assembly/abi/netmap';

export function fill(ring: usize, count: u32, seq: u32, len: u32, vary: u32): void {
  const n = load<u32>(ring, NETMAP_RING_NUM_SLOTS);
  let i = load<u32>(ring, NETMAP_RING_HEAD);
  for (let left = count; left != 0; ) {
    const run = min(left, n - i);
    let slot = ring + NETMAP_RING_SLOT + <usize>i * NETMAP_SLOT_SIZE;
    const end = slot + <usize>run * NETMAP_SLOT_SIZE;
    for (; slot != end; slot += NETMAP_SLOT_SIZE, seq++) {
      store<u32>(slot, len - (seq & vary), NETMAP_SLOT_LEN);
      store<u32>(slot, seq, NETMAP_SLOT_LEN + 4);
    }
    left -= run;
    i = i + run == n ? 0 : i + run;
  }
  store<u32>(ring, i, NETMAP_RING_HEAD);
  store<u32>(ring, i, NETMAP_RING_CUR);
}

/** Returns the sum of lengths and numbers. */
export function drain(ring: usize): u32 {
  const n = load<u32>(ring, NETMAP_RING_NUM_SLOTS);
  const tail = load<u32>(ring, NETMAP_RING_TAIL);
  const wanted = i32x4(0, 0xffff, -1, 0); // of buf_idx, len | flags << 16, and the two words of ptr
  let sums = i32x4.splat(0);
  for (let i = load<u32>(ring, NETMAP_RING_HEAD); i != tail; ) {
    const next = i < tail ? tail : n;
    let slot = ring + NETMAP_RING_SLOT + <usize>i * NETMAP_SLOT_SIZE;
    const end = ring + NETMAP_RING_SLOT + <usize>next * NETMAP_SLOT_SIZE;
    for (; slot != end; slot += NETMAP_SLOT_SIZE) sums = i32x4.add(sums, v128.and(v128.load(slot), wanted));
    i = next == n ? 0 : next;
  }
  store<u32>(ring, tail, NETMAP_RING_HEAD);
  store<u32>(ring, tail, NETMAP_RING_CUR);
  return <u32>i32x4.extract_lane(sums, 1) + <u32>i32x4.extract_lane(sums, 2);
}
