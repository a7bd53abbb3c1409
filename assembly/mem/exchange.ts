// What a forwarding program does with the slots of two rings (netmap's bridge): swap buffers where both rings lie in
// one region, copy bytes where they do not. Application side: works on ring headers, knows no kring. Others may write the
// headers, too: what does not change of a ring comes from the caller, and indices are read once and checked.
import {
  NETMAP_RING_CUR,
  NETMAP_RING_HEAD,
  NETMAP_RING_SLOT,
  NETMAP_RING_TAIL,
  NETMAP_SLOT_SIZE,
  NS_BUF_CHANGED,
  NS_MOREFRAG,
} from '../abi/netmap';
import { packetCopy } from '../packet/copy';
import { ringDistance } from '../ring/wrap';

/** Slots from `cur` to the ring's tail; none if that is no index of the ring. */
function ready(ring: usize, cur: u32, n: u32): u32 {
  const tail = load<u32>(ring, NETMAP_RING_TAIL);
  return tail < n ? ringDistance(cur, tail, n) : 0;
}

/**
 * Moves up to `limit` received slots to a tx ring of the same region by swapping buffer indices. Returns how many; 0 if
 * an index is none of its ring's, which the ring's next sync repairs. `rxn` and `txn` are the rings' numbers of slots.
 */
export function slotsSwap(rx: usize, tx: usize, limit: u32, rxn: u32, txn: u32): u32 {
  let r = load<u32>(rx, NETMAP_RING_CUR);
  let t = load<u32>(tx, NETMAP_RING_CUR);
  if (r >= rxn || t >= txn) return 0;
  const count = min(min(ready(rx, r, rxn), ready(tx, t, txn)), limit);
  const rxSlots = rx + NETMAP_RING_SLOT;
  const txSlots = tx + NETMAP_RING_SLOT;
  const rxEnd = rxSlots + <usize>rxn * NETMAP_SLOT_SIZE;
  const txEnd = txSlots + <usize>txn * NETMAP_SLOT_SIZE;
  let from = rxSlots + <usize>r * NETMAP_SLOT_SIZE;
  let to = txSlots + <usize>t * NETMAP_SLOT_SIZE;
  for (let left = count; left != 0; left--) {
    const w = load<u64>(from);
    const idx = <u64>load<u32>(to);
    store<u64>(to, (w & (0xffffffffffff | ((<u64>NS_MOREFRAG) << 48))) | ((<u64>NS_BUF_CHANGED) << 48));
    store<u64>(from, (w & 0xffff00000000) | idx | ((<u64>NS_BUF_CHANGED) << 48));
    from += NETMAP_SLOT_SIZE;
    to += NETMAP_SLOT_SIZE;
    if (from == rxEnd) from = rxSlots;
    if (to == txEnd) to = txSlots;
  }
  r = <u32>(from - rxSlots) / NETMAP_SLOT_SIZE;
  t = <u32>(to - txSlots) / NETMAP_SLOT_SIZE;
  advance(rx, tx, r, t);
  return count;
}

/** The same by copying, for rings of different regions: base, size and number of the buffers of each. */
export function slotsCopy(
  rx: usize,
  tx: usize,
  limit: u32,
  rxn: u32,
  txn: u32,
  rxBase: usize,
  txBase: usize,
  rxSize: u32,
  txSize: u32,
  rxBufs: u32,
  txBufs: u32,
): u32 {
  let r = load<u32>(rx, NETMAP_RING_CUR);
  let t = load<u32>(tx, NETMAP_RING_CUR);
  if (r >= rxn || t >= txn) return 0;
  const count = min(min(ready(rx, r, rxn), ready(tx, t, txn)), limit);
  for (let i: u32 = 0; i < count; i++) {
    const w = load<u64>(rx + NETMAP_RING_SLOT + <usize>r * NETMAP_SLOT_SIZE);
    const to = tx + NETMAP_RING_SLOT + <usize>t * NETMAP_SLOT_SIZE;
    const idx = load<u32>(to);
    let len = <u32>(w >> 32) & 0xffff;
    if (<u32>w - 2 < rxBufs - 2 && idx - 2 < txBufs - 2 && len <= rxSize && len <= txSize) {
      packetCopy(txBase + <usize>idx * txSize, rxBase + <usize>(<u32>w) * rxSize, len);
    } else {
      len = 0;
    }
    store<u32>(to, len | ((<u32>(w >> 48) & NS_MOREFRAG) << 16), 4);
    r = r + 1 == rxn ? 0 : r + 1;
    t = t + 1 == txn ? 0 : t + 1;
  }
  advance(rx, tx, r, t);
  return count;
}

function advance(rx: usize, tx: usize, r: u32, t: u32): void {
  store<u32>(rx, r, NETMAP_RING_CUR); // cur first: head must never be seen beyond it
  store<u32>(rx, r, NETMAP_RING_HEAD);
  store<u32>(tx, t, NETMAP_RING_CUR);
  store<u32>(tx, t, NETMAP_RING_HEAD);
}
