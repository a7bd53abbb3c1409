// Forwarding between the NIC rings and the host rings of an interface (netmap_grab_packets, netmap_sw_to_nic): released
// rx slots that are marked NS_FORWARD go to the host stack, or from the host stack to the NIC, where the ring has
// NR_FORWARD or the interface forwards everything.
import {
  KRING_BUFBASE,
  KRING_BUFSIZE,
  KRING_ELSE,
  KRING_HWCUR,
  KRING_NBUFS,
  KRING_NSLOTS,
  KRING_PORT,
  KRING_RHEAD,
  KRING_RING,
  KRING_SIZE,
  PORT_FWD,
  SCRATCH_ENTRY_SIZE,
  STAT_BAD_SLOT,
  STAT_DROP_BAD_SLOT,
  STAT_DROP_NO_SPACE,
  THREAD_SCRATCH,
} from '../abi/arena';
import {
  NETMAP_RING_CUR,
  NETMAP_RING_FLAGS,
  NETMAP_RING_HEAD,
  NETMAP_RING_SLOT,
  NETMAP_RING_TAIL,
  NETMAP_SLOT_FLAGS,
  NETMAP_SLOT_LEN,
  NETMAP_SLOT_PTR,
  NETMAP_SLOT_SIZE,
  NM_BDG_BATCH,
  NR_FORWARD,
  NS_BUF_CHANGED,
  NS_FORWARD,
} from '../abi/netmap';
import { slotOffset } from '../ring/offset';
import { ringNext } from '../ring/wrap';
import { statAdd } from '../stats/counters';
import { sendEntries } from './link';

/** Whether all released slots of the ring are forwarded. */
function forwardsAll(kr: usize): bool {
  return load<u32>(load<u32>(kr, KRING_PORT), PORT_FWD) != 0;
}

/** Whether released slots of the ring may be forwarded. */
export function forwards(kr: usize): bool {
  return (load<u32>(load<u32>(kr, KRING_RING), NETMAP_RING_FLAGS) & NR_FORWARD) != 0 || forwardsAll(kr);
}

/** NIC rx to the host stack: copies the marked slots among [hwcur, rhead). A slot is a packet, as in netmap. */
export function forwardUp(kr: usize, self: usize): void {
  const n = load<u32>(kr, KRING_NSLOTS);
  const head = load<u32>(kr, KRING_RHEAD);
  const bufBase: usize = load<u32>(kr, KRING_BUFBASE);
  const bufSize = load<u32>(kr, KRING_BUFSIZE);
  const bufLimit = load<u32>(kr, KRING_NBUFS) - 2;
  const slots: usize = load<u32>(kr, KRING_RING) + NETMAP_RING_SLOT;
  const scratch: usize = load<u32>(self, THREAD_SCRATCH);
  const all = forwardsAll(kr);
  let k = load<u32>(kr, KRING_HWCUR);
  while (k != head) {
    let entry = scratch;
    let bad: u32 = 0;
    for (; k != head && entry != scratch + NM_BDG_BATCH * SCRATCH_ENTRY_SIZE; k = ringNext(k, n)) {
      const slot = slots + <usize>k * NETMAP_SLOT_SIZE;
      const w = load<u64>(slot); // read once
      const offset = slotOffset(kr, slot);
      const flags = <u32>(w >> 48);
      if (!all && (flags & NS_FORWARD) == 0) continue;
      store<u16>(slot, flags & ~NS_FORWARD, NETMAP_SLOT_FLAGS);
      const len = <u32>(w >> 32) & 0xffff;
      if (<u32>w - 2 >= bufLimit || len > bufSize - offset) {
        bad++;
        continue;
      }
      store<u64>(entry, <u64>(bufBase + <usize>(<u32>w) * bufSize + offset) | ((<u64>len) << 32) | ((<u64>1) << 48));
      entry += SCRATCH_ENTRY_SIZE;
    }
    if (bad != 0) {
      statAdd(kr, STAT_BAD_SLOT, bad);
      statAdd(kr, STAT_DROP_BAD_SLOT, bad);
    }
    const count = <u32>(entry - scratch) / SCRATCH_ENTRY_SIZE;
    if (count != 0) sendEntries(kr, scratch, count, load<u32>(kr, KRING_ELSE), self);
  }
}

/**
 * Host rx to the NIC: moves the marked slots among [hwcur, head) to the `ntx` NIC tx rings at `tx`, which the same port
 * has open, by swapping buffers. What finds no room is dropped. The next txsync sends them.
 */
export function forwardDown(kr: usize, tx: usize, ntx: u32, head: u32): void {
  const n = load<u32>(kr, KRING_NSLOTS);
  const bufLimit = load<u32>(kr, KRING_NBUFS) - 2;
  const slots: usize = load<u32>(kr, KRING_RING) + NETMAP_RING_SLOT;
  const all = forwardsAll(kr);
  for (let k = load<u32>(kr, KRING_HWCUR); k != head; k = ringNext(k, n)) {
    const slot = slots + <usize>k * NETMAP_SLOT_SIZE;
    const w = load<u64>(slot); // read once
    const flags = <u32>(w >> 48);
    if (!all && (flags & NS_FORWARD) == 0) continue;
    store<u16>(slot, flags & ~NS_FORWARD, NETMAP_SLOT_FLAGS);
    if (<u32>w - 2 >= bufLimit) {
      statAdd(kr, STAT_DROP_BAD_SLOT, 1);
      continue;
    }
    const to = freeSlot(tx, ntx);
    if (to == 0) {
      statAdd(kr, STAT_DROP_NO_SPACE, 1);
      continue;
    }
    const ptr = load<u64>(slot, NETMAP_SLOT_PTR); // the packet's offset, if the rings have them
    store<u64>(slot, load<u64>(to, NETMAP_SLOT_PTR), NETMAP_SLOT_PTR);
    store<u64>(to, ptr, NETMAP_SLOT_PTR);
    store<u32>(slot, load<u32>(to));
    store<u16>(slot, NS_BUF_CHANGED, NETMAP_SLOT_FLAGS);
    store<u32>(to, <u32>w);
    store<u32>(to, (<u32>(w >> 32) & 0xffff) | (NS_BUF_CHANGED << 16), NETMAP_SLOT_LEN);
  }
}

/** Takes the next free slot of the first tx ring that has one; its application sees it as filled. 0 = all are full. */
function freeSlot(tx: usize, ntx: u32): usize {
  for (let i: u32 = 0; i < ntx; i++) {
    const kr = tx + <usize>i * KRING_SIZE;
    const n = load<u32>(kr, KRING_NSLOTS);
    const ring: usize = load<u32>(kr, KRING_RING);
    if (ring == 0) continue;
    const head = load<u32>(ring, NETMAP_RING_HEAD); // read once
    if (head >= n || head == load<u32>(ring, NETMAP_RING_TAIL)) continue;
    store<u32>(ring, ringNext(head, n), NETMAP_RING_CUR); // cur first: head must never be seen beyond it
    store<u32>(ring, ringNext(head, n), NETMAP_RING_HEAD);
    return ring + NETMAP_RING_SLOT + <usize>head * NETMAP_SLOT_SIZE;
  }
  return 0;
}
