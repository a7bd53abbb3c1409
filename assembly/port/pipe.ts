// Pipe port: two ends over one set of buffers (netmap_pipe.c). A tx ring of one end and the rx ring of the other name
// the same buffers; slots are copied, by the receiver, and payload never. The mailbox (KRING_MAILTAIL) tells the other side how
// far it may go.
import {
  KRING_BUFSIZE,
  KRING_HWCUR,
  KRING_HWTAIL,
  KRING_MAILTAIL,
  KRING_NBUFS,
  KRING_NSLOTS,
  KRING_PEER,
  KRING_RHEAD,
  KRING_RING,
  STAT_BAD_SLOT,
  STAT_BYTES,
  STAT_DROP_BAD_SLOT,
  STAT_PACKETS,
} from '../abi/arena';
import {
  NETMAP_RING_SLOT,
  NETMAP_SLOT_FLAGS,
  NETMAP_SLOT_PTR,
  NETMAP_SLOT_SIZE,
  NS_BUF_CHANGED,
  NS_MOREFRAG,
} from '../abi/netmap';
import { kringNotify } from '../ring/notify';
import { hasOffsets, offsetIn } from '../ring/offset';
import { ringDistance, ringPrev } from '../ring/wrap';
import { statAdd } from '../stats/counters';

/** Sender: shows the peer the complete packets up to rhead. */
export function pipeTxsync(kr: usize, self: usize): void {
  store<u32>(kr, atomic.load<u32>(kr, KRING_MAILTAIL), KRING_HWTAIL);
  const head = load<u32>(kr, KRING_RHEAD);
  const k = load<u32>(kr, KRING_HWCUR);
  if (k == head) return;
  const n = load<u32>(kr, KRING_NSLOTS);
  const slots: usize = load<u32>(kr, KRING_RING) + NETMAP_RING_SLOT;
  let end = head; // behind the last packet's end
  do {
    const last = ringPrev(end, n);
    if ((load<u16>(slots + <usize>last * NETMAP_SLOT_SIZE, NETMAP_SLOT_FLAGS) & NS_MOREFRAG) == 0) break;
    end = last;
  } while (end != k);
  store<u32>(kr, head, KRING_HWCUR);
  if (end == k) return;
  const peer: usize = load<u32>(kr, KRING_PEER);
  atomic.store<u32>(peer, end, KRING_MAILTAIL); // pairs with the load in take
  kringNotify(peer, self);
}

/** Receiver: takes what the sender shows, and gives it back what the application has released. */
export function pipeRxsync(kr: usize, self: usize): void {
  const peer: usize = load<u32>(kr, KRING_PEER);
  const n = load<u32>(kr, KRING_NSLOTS);
  const tail = atomic.load<u32>(kr, KRING_MAILTAIL); // pairs with the store in pipeTxsync
  const hwtail = load<u32>(kr, KRING_HWTAIL);
  if (tail != hwtail) take(kr, peer, hwtail, ringDistance(hwtail, tail, n));
  const head = load<u32>(kr, KRING_RHEAD);
  const hwcur = load<u32>(kr, KRING_HWCUR);
  if (head == hwcur) return;
  giveBack(kr, peer, hwcur, ringDistance(hwcur, head, n));
  store<u32>(kr, head, KRING_HWCUR);
  atomic.store<u32>(peer, ringPrev(head, n), KRING_MAILTAIL); // pairs with the load at the start of pipeTxsync
  kringNotify(peer, self);
}

/**
 * Copies `m` slots from slot `k` on of the sender's ring `peer`. DIFF: netmap has the sender copy them, so that each line of
 * either ring goes to and fro between two cores. The sender may write to them meanwhile: each is read once, and what is shown to
 * the application ends with a packet's end as it was read.
 */
function take(kr: usize, peer: usize, k: u32, m: u32): void {
  const n = load<u32>(kr, KRING_NSLOTS);
  const bufLimit = load<u32>(kr, KRING_NBUFS) - 2;
  const plain = !hasOffsets(peer);
  const bufSize: u64 = load<u32>(kr, KRING_BUFSIZE);
  const plainLimit = min<u32>(<u32>bufSize, 0xffff); // of len | flags << 16: a length in range, and no flag
  const txSlots: usize = load<u32>(peer, KRING_RING) + NETMAP_RING_SLOT;
  const rxSlots: usize = load<u32>(kr, KRING_RING) + NETMAP_RING_SLOT;
  let hwtail = n; // slot after the last packet end, n = none yet
  let packets: u64 = 0;
  let bytes: u64 = 0;
  let bytesBefore: u64 = 0; // of fragments whose packet has not ended yet
  let bad: u64 = 0;
  let badBefore: u64 = 0;
  while (m != 0) {
    // At most two runs: up to the end of the ring, then from its start.
    const run = min(m, n - k);
    let tx = txSlots + <usize>k * NETMAP_SLOT_SIZE;
    let rx = rxSlots + <usize>k * NETMAP_SLOT_SIZE;
    const end = tx + <usize>run * NETMAP_SLOT_SIZE;
    let lastEnd: usize = 0;
    while (tx < end) {
      const r = plain ? copyRun(tx, end, rx - tx, bufLimit, plainLimit) : <u64>tx;
      const taken = <usize>(<u32>r) - tx;
      if (taken != 0) {
        packets += taken / NETMAP_SLOT_SIZE;
        bytes += bytesBefore + (r >> 32);
        bad += badBefore;
        bytesBefore = 0;
        badBefore = 0;
        tx += taken;
        rx += taken;
        lastEnd = tx;
        continue;
      }
      const w = load<u64>(tx); // buf_idx, len and flags: read once
      const ptr = load<u64>(tx, NETMAP_SLOT_PTR);
      const len = (w >> 32) & 0xffff;
      const flags = <u32>(w >> 48);
      if (<u32>w - 2 < bufLimit && len <= bufSize - offsetIn(peer, ptr)) {
        store<u64>(rx, w);
        store<u64>(rx, ptr, NETMAP_SLOT_PTR);
        // DIFF: netmap leaves the receiver a larger offset that it had, though the packet is not there.
        if (flags & NS_BUF_CHANGED) store<u16>(tx, flags & ~NS_BUF_CHANGED, NETMAP_SLOT_FLAGS);
        bytesBefore += len;
      } else {
        // The receiver keeps the buffer it has and finds an empty slot in it.
        store<u32>(rx, (flags & NS_MOREFRAG) << 16, 4);
        badBefore++;
      }
      tx += NETMAP_SLOT_SIZE;
      rx += NETMAP_SLOT_SIZE;
      if (flags & NS_MOREFRAG) continue;
      packets++;
      bytes += bytesBefore;
      bad += badBefore;
      bytesBefore = 0;
      badBefore = 0;
      lastEnd = tx;
    }
    m -= run;
    k = k + run == n ? 0 : k + run;
    if (lastEnd != 0) {
      hwtail = <u32>(lastEnd - txSlots) / NETMAP_SLOT_SIZE;
      if (hwtail == n) hwtail = 0;
    }
  }
  if (hwtail == n) return;
  store<u32>(kr, hwtail, KRING_HWTAIL);
  statAdd(kr, STAT_PACKETS, packets);
  statAdd(kr, STAT_BYTES, bytes);
  if (bad != 0) statAdd(kr, STAT_DROP_BAD_SLOT, bad);
}

/**
 * Copies `m` released slots from slot `k` on to the sender's ring `peer`. DIFF: without packet offsets, only those whose buffer,
 * length or flags are not the same there.
 */
function giveBack(kr: usize, peer: usize, k: u32, m: u32): void {
  const n = load<u32>(kr, KRING_NSLOTS);
  const bufLimit = load<u32>(kr, KRING_NBUFS) - 2;
  const plain = !hasOffsets(kr);
  const bufSize: u64 = load<u32>(kr, KRING_BUFSIZE);
  const plainLimit = min<u32>(<u32>bufSize, 0xffff);
  const rxSlots: usize = load<u32>(kr, KRING_RING) + NETMAP_RING_SLOT;
  const txSlots: usize = load<u32>(peer, KRING_RING) + NETMAP_RING_SLOT;
  let bad: u64 = 0;
  while (m != 0) {
    const run = min(m, n - k);
    let rx = rxSlots + <usize>k * NETMAP_SLOT_SIZE;
    const end = rx + <usize>run * NETMAP_SLOT_SIZE;
    const delta = txSlots - rxSlots;
    while (rx < end) {
      if (plain) rx = skipSame(rx, end, delta);
      if (rx == end) break;
      const after = plain ? <usize>(<u32>copyRun(rx, end, delta, bufLimit, plainLimit)) : rx;
      if (after != rx) {
        rx = after;
        continue;
      }
      const w = load<u64>(rx);
      const ptr = load<u64>(rx, NETMAP_SLOT_PTR);
      const flags = <u32>(w >> 48);
      if (<u32>w - 2 < bufLimit && ((w >> 32) & 0xffff) <= bufSize - offsetIn(kr, ptr)) {
        store<u64>(rx + delta, w);
        store<u64>(rx + delta, ptr, NETMAP_SLOT_PTR);
        if (flags & NS_BUF_CHANGED) store<u16>(rx, flags & ~NS_BUF_CHANGED, NETMAP_SLOT_FLAGS);
      } else {
        bad++; // the sender keeps the buffer it has
      }
      rx += NETMAP_SLOT_SIZE;
    }
    m -= run;
    k = k + run == n ? 0 : k + run;
  }
  if (bad != 0) statAdd(kr, STAT_BAD_SLOT, bad);
}

/**
 * The first slot from `slot` to `end` whose first word (buf_idx, len, flags) is not that of the slot `delta` behind it. Mostly
 * there is none, and the sender's slots stay in the cache of the sender.
 */
function skipSame(slot: usize, end: usize, delta: usize): usize {
  const end4 = slot + ((end - slot) & ~63);
  while (slot != end4) {
    if (load<u64>(slot) != load<u64>(slot + delta)) break;
    if (load<u64>(slot, 16) != load<u64>(slot + delta, 16)) break;
    if (load<u64>(slot, 32) != load<u64>(slot + delta, 32)) break;
    if (load<u64>(slot, 48) != load<u64>(slot + delta, 48)) break;
    slot += 4 * NETMAP_SLOT_SIZE;
  }
  while (slot != end && load<u64>(slot) == load<u64>(slot + delta)) slot += NETMAP_SLOT_SIZE;
  return slot;
}

/** Copies what it can of the usual slots, and else of those with exchanged buffers: see below. */
function copyRun(slot: usize, end: usize, delta: usize, bufLimit: u32, plainLimit: u32): u64 {
  // The flag tells only which loop to try: each reads and checks for itself.
  if (load<u16>(slot, NETMAP_SLOT_FLAGS) & NS_BUF_CHANGED) return copyChanged(slot, end, delta, bufLimit, plainLimit);
  return copyPlain(slot, end, delta, bufLimit, plainLimit);
}

/**
 * Copies the usual slots, a packet each and no flags, from `slot` to `end` to slots `delta` behind them. Returns the first
 * slot that is not one, and their bytes << 32. A loop of its own, without calls: all it works with stays in registers.
 * Four slots a turn: their first words (buf_idx, len | flags << 16), two to a vector, are compared with the largest that
 * are in range; what is stored is what was checked.
 */
function copyPlain(slot: usize, end: usize, delta: usize, bufLimit: u32, plainLimit: u32): u64 {
  const end4 = slot + ((end - slot) & ~63);
  const two = i64x2.splat(2); // the lowest index, and no flags
  const most = i64x2.splat(<u64>(bufLimit - 1) | ((<u64>plainLimit) << 32));
  let sums = i32x4.splat(0);
  while (slot != end4) {
    const v0 = v128.load(slot);
    const v1 = v128.load(slot, 16);
    const v2 = v128.load(slot, 32);
    const v3 = v128.load(slot, 48);
    const a = i32x4.sub(v128.shuffle<u64>(v0, v1, 0, 2), two);
    const b = i32x4.sub(v128.shuffle<u64>(v2, v3, 0, 2), two);
    const overA = v128.xor(a, i32x4.min_u(a, most));
    const overB = v128.xor(b, i32x4.min_u(b, most));
    if (v128.any_true(v128.or(overA, overB))) break;
    v128.store(slot + delta, v0);
    v128.store(slot + delta, v1, 16);
    v128.store(slot + delta, v2, 32);
    v128.store(slot + delta, v3, 48);
    sums = i32x4.add(sums, i32x4.add(a, b));
    slot += 4 * NETMAP_SLOT_SIZE;
  }
  let bytes = <u64>(<u32>i32x4.extract_lane(sums, 1)) + <u64>(<u32>i32x4.extract_lane(sums, 3));
  while (slot != end) {
    const v = v128.load(slot);
    const w = v128.extract_lane<u64>(v, 0);
    if (<u32>w - 2 >= bufLimit) break;
    if (<u32>(w >> 32) > plainLimit) break;
    v128.store(slot + delta, v);
    bytes += w >> 32;
    slot += NETMAP_SLOT_SIZE;
  }
  return (bytes << 32) | <u64>slot;
}

/**
 * The same for slots that may also have NS_BUF_CHANGED, as those of a program that exchanges buffers have: the flag goes
 * along, and is cleared in the slot that it came from.
 */
function copyChanged(slot: usize, end: usize, delta: usize, bufLimit: u32, plainLimit: u32): u64 {
  const end4 = slot + ((end - slot) & ~63);
  const two = i64x2.splat(2);
  const rest = i64x2.splat(~((<u64>NS_BUF_CHANGED) << 48));
  const most = i64x2.splat(<u64>(bufLimit - 1) | ((<u64>plainLimit) << 32));
  let sums = i32x4.splat(0);
  while (slot != end4) {
    const v0 = v128.load(slot);
    const v1 = v128.load(slot, 16);
    const v2 = v128.load(slot, 32);
    const v3 = v128.load(slot, 48);
    const a = i32x4.sub(v128.and(v128.shuffle<u64>(v0, v1, 0, 2), rest), two);
    const b = i32x4.sub(v128.and(v128.shuffle<u64>(v2, v3, 0, 2), rest), two);
    const overA = v128.xor(a, i32x4.min_u(a, most));
    const overB = v128.xor(b, i32x4.min_u(b, most));
    if (v128.any_true(v128.or(overA, overB))) break;
    v128.store(slot + delta, v0);
    v128.store(slot + delta, v1, 16);
    v128.store(slot + delta, v2, 32);
    v128.store(slot + delta, v3, 48);
    store<u16>(slot, 0, NETMAP_SLOT_FLAGS);
    store<u16>(slot, 0, NETMAP_SLOT_FLAGS + NETMAP_SLOT_SIZE);
    store<u16>(slot, 0, NETMAP_SLOT_FLAGS + 2 * NETMAP_SLOT_SIZE);
    store<u16>(slot, 0, NETMAP_SLOT_FLAGS + 3 * NETMAP_SLOT_SIZE);
    sums = i32x4.add(sums, i32x4.add(a, b));
    slot += 4 * NETMAP_SLOT_SIZE;
  }
  let bytes = <u64>(<u32>i32x4.extract_lane(sums, 1)) + <u64>(<u32>i32x4.extract_lane(sums, 3));
  while (slot != end) {
    const v = v128.load(slot);
    const w = v128.extract_lane<u64>(v, 0) & ~((<u64>NS_BUF_CHANGED) << 48);
    if (<u32>w - 2 >= bufLimit) break;
    if (<u32>(w >> 32) > plainLimit) break;
    v128.store(slot + delta, v);
    store<u16>(slot, 0, NETMAP_SLOT_FLAGS);
    bytes += w >> 32;
    slot += NETMAP_SLOT_SIZE;
  }
  return (bytes << 32) | <u64>slot;
}
