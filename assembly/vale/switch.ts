// A VALE port's txsync and rxsync (netmap_vale_txsync, netmap_vale_rxsync): the three steps, batch after batch.
import {
  BRIDGE_LOOKUP,
  KRING_HWCUR,
  KRING_HWTAIL,
  KRING_INDEX,
  KRING_MAILTAIL,
  KRING_NBUFS,
  KRING_NSLOTS,
  KRING_PORT,
  KRING_RHEAD,
  KRING_RING,
  PORT_BRIDGE,
  SCRATCH_ENTRY_SIZE,
  SCRATCH_FRAGS,
  STAT_BAD_SLOT,
  STAT_DROP_NO_PORT,
  THREAD_SCRATCH,
} from '../abi/arena';
import { NETMAP_RING_SLOT, NETMAP_SLOT_FLAGS, NETMAP_SLOT_SIZE, NS_BUF_CHANGED } from '../abi/netmap';
import { ringPrev } from '../ring/wrap';
import { statAdd } from '../stats/counters';
import { valeClassify } from './classify';
import { valeDeliver } from './deliver';
import { valeGather } from './gather';
import { valeAsk } from './lookup';

/** Sends everything up to rhead through the switch; the whole ring is free again afterwards. */
export function valeTxsync(kr: usize, self: usize): void {
  const n = load<u32>(kr, KRING_NSLOTS);
  const head = load<u32>(kr, KRING_RHEAD);
  const port: usize = load<u32>(kr, KRING_PORT);
  const scratch: usize = load<u32>(self, THREAD_SCRATCH);
  const bridge: usize = atomic.load<u32>(port, PORT_BRIDGE);
  const lookup = bridge != 0 ? load<u32>(bridge, BRIDGE_LOOKUP) : 0; // read once: it may change at any time
  while (load<u32>(kr, KRING_HWCUR) != head) {
    const count = valeGather(kr, scratch, head);
    if (bridge == 0) {
      statAdd(kr, STAT_DROP_NO_PORT, packetCount(scratch, count));
      continue;
    }
    const ring = load<u32>(kr, KRING_INDEX);
    if (lookup == 0) valeClassify(kr, port, scratch, count, ring, self);
    else valeAsk(kr, port, scratch, count, ring, self, lookup);
    valeDeliver(kr, port, scratch, count, self);
  }
  store<u32>(kr, ringPrev(head, n), KRING_HWTAIL);
}

/** How many packets `count` gathered entries are. */
function packetCount(scratch: usize, count: u32): u32 {
  let packets: u32 = 0;
  for (let i: u32 = 0; i < count; packets++) i += load<u16>(scratch + <usize>i * SCRATCH_ENTRY_SIZE, SCRATCH_FRAGS);
  return packets;
}

/** Takes the released slots back and shows what the switch has delivered. */
export function valeRxsync(kr: usize): void {
  store<u32>(kr, atomic.load<u32>(kr, KRING_MAILTAIL), KRING_HWTAIL);
  const n = load<u32>(kr, KRING_NSLOTS);
  const head = load<u32>(kr, KRING_RHEAD);
  const bufLimit = load<u32>(kr, KRING_NBUFS) - 2;
  const slots: usize = load<u32>(kr, KRING_RING) + NETMAP_RING_SLOT;
  const ringEnd = slots + <usize>n * NETMAP_SLOT_SIZE;
  const stop = slots + <usize>head * NETMAP_SLOT_SIZE;
  let slot = slots + <usize>load<u32>(kr, KRING_HWCUR) * NETMAP_SLOT_SIZE;
  let bad: u64 = 0;
  if (slot > stop) {
    bad = takeBack(slot, ringEnd, bufLimit);
    slot = slots;
  }
  bad += takeBack(slot, stop, bufLimit);
  if (bad != 0) statAdd(kr, STAT_BAD_SLOT, bad);
  atomic.store<u32>(kr, head, KRING_HWCUR); // pairs with the load in leaseTake: the slots may be written again
}

/** Slots that the receiver gives back, from `slot` to `end`: clears NS_BUF_CHANGED. Returns how many name no buffer. */
function takeBack(slot: usize, end: usize, bufLimit: u32): u32 {
  let bad: u32 = 0;
  while (slot != end) {
    const w = load<u64>(slot);
    const flags = <u32>(w >> 48);
    if (flags & NS_BUF_CHANGED) store<u16>(slot, flags & ~NS_BUF_CHANGED, NETMAP_SLOT_FLAGS);
    if (<u32>w - 2 >= bufLimit) bad++;
    slot += NETMAP_SLOT_SIZE;
  }
  return bad;
}
