// What a forwarding program does with the slots of two rings (netmap's bridge): swap buffers where both rings lie in
// one region, copy bytes where they do not. Application side: works on ring headers, knows no kring.
import {
  NETMAP_RING_BUF_OFS,
  NETMAP_RING_CUR,
  NETMAP_RING_HEAD,
  NETMAP_RING_NR_BUF_SIZE,
  NETMAP_RING_NUM_SLOTS,
  NETMAP_RING_SLOT,
  NETMAP_RING_TAIL,
  NETMAP_SLOT_SIZE,
  NS_BUF_CHANGED,
  NS_MOREFRAG,
} from '../abi/netmap';
import { packetCopy } from '../packet/copy';
import { ringDistance } from '../ring/wrap';

/** Slots that both rings can move now, at most `limit`. */
function movable(rx: usize, tx: usize, rxSlots: u32, txSlots: u32, limit: u32): u32 {
  const ready = ringDistance(load<u32>(rx, NETMAP_RING_CUR), load<u32>(rx, NETMAP_RING_TAIL), rxSlots);
  const space = ringDistance(load<u32>(tx, NETMAP_RING_CUR), load<u32>(tx, NETMAP_RING_TAIL), txSlots);
  return min(min(ready, space), limit);
}

/** Moves up to `limit` received slots to a tx ring of the same region by swapping buffer indices. Returns how many. */
export function slotsSwap(rx: usize, tx: usize, limit: u32): u32 {
  const rxn = load<u32>(rx, NETMAP_RING_NUM_SLOTS);
  const txn = load<u32>(tx, NETMAP_RING_NUM_SLOTS);
  const count = movable(rx, tx, rxn, txn, limit);
  const rxSlots = rx + NETMAP_RING_SLOT;
  const txSlots = tx + NETMAP_RING_SLOT;
  const rxEnd = rxSlots + <usize>rxn * NETMAP_SLOT_SIZE;
  const txEnd = txSlots + <usize>txn * NETMAP_SLOT_SIZE;
  let from = rxSlots + <usize>load<u32>(rx, NETMAP_RING_CUR) * NETMAP_SLOT_SIZE;
  let to = txSlots + <usize>load<u32>(tx, NETMAP_RING_CUR) * NETMAP_SLOT_SIZE;
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
  const r = <u32>(from - rxSlots) / NETMAP_SLOT_SIZE;
  const t = <u32>(to - txSlots) / NETMAP_SLOT_SIZE;
  advance(rx, tx, r, t);
  return count;
}

/** The same by copying, for rings of different regions; `rxBufs` and `txBufs` are their numbers of buffers. */
export function slotsCopy(rx: usize, tx: usize, limit: u32, rxBufs: u32, txBufs: u32): u32 {
  const rxn = load<u32>(rx, NETMAP_RING_NUM_SLOTS);
  const txn = load<u32>(tx, NETMAP_RING_NUM_SLOTS);
  const count = movable(rx, tx, rxn, txn, limit);
  const rxSize = load<u32>(rx, NETMAP_RING_NR_BUF_SIZE);
  const txSize = load<u32>(tx, NETMAP_RING_NR_BUF_SIZE);
  const rxBase = rx + <usize>load<u64>(rx, NETMAP_RING_BUF_OFS);
  const txBase = tx + <usize>load<u64>(tx, NETMAP_RING_BUF_OFS);
  let r = load<u32>(rx, NETMAP_RING_CUR);
  let t = load<u32>(tx, NETMAP_RING_CUR);
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
