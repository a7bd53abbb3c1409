// The ring pairs of a network interface: its NIC rings and its host rings on one side, the end of the wire and the host
// stack on the other. A tx ring has one rx ring that its frames go to; they are copied with the switch's own gather and
// delivery, so that either side has memory of its own. Which ring that is follows from modes:
//
//   NIC tx ──▶ wire rx            waits for room, as a transmitter waits for its hardware
//   host tx ──▶ stack rx          never waits; what finds no room is dropped and counted
//   wire tx ──▶ NIC rx            ... or stack rx, while no port has that NIC ring open
//   stack tx ──▶ host rx          ... or wire rx, while no port has the NIC tx ring open
import {
  KRING_ELSE,
  KRING_GATE,
  KRING_HWCUR,
  KRING_HWLEASE,
  KRING_HWTAIL,
  KRING_MODE,
  KRING_NSLOTS,
  KRING_PEER,
  KRING_PORT,
  KRING_RHEAD,
  KRING_RING,
  PORT_HDR_LEN,
  SCRATCH_ENTRY_SIZE,
  SCRATCH_NEXT,
  SCRATCH_RUN_END,
  STAT_DROP_NO_PORT,
  STAT_DROP_SHORT,
  THREAD_SCRATCH,
} from '../abi/arena';
import { ETHER_HDR_LEN } from '../abi/ether';
import { NETMAP_RING_SLOT, NETMAP_SLOT_FLAGS, NETMAP_SLOT_SIZE, NS_MOREFRAG } from '../abi/netmap';
import { kringNotify } from '../ring/notify';
import { ringAdvance, ringDistance, ringNext, ringPrev } from '../ring/wrap';
import { statAdd } from '../stats/counters';
import { QUEUE_END } from '../vale/classify';
import { deliverRing } from '../vale/deliver';
import { valeGather } from '../vale/gather';
import { valeRxsync } from '../vale/switch';

/** The rx kring that frames of this ring go to now, 0 = none. */
function linkTarget(kr: usize): usize {
  const gate: usize = atomic.load<u32>(kr, KRING_GATE);
  const open = gate == 0 || atomic.load<u32>(gate, KRING_MODE) != 0;
  return open ? atomic.load<u32>(kr, KRING_PEER) : atomic.load<u32>(kr, KRING_ELSE);
}

/** Host rings, wire and stack: everything up to rhead leaves the ring. */
export function linkTxsync(kr: usize, self: usize): void {
  const head = load<u32>(kr, KRING_RHEAD);
  const scratch: usize = load<u32>(self, THREAD_SCRATCH);
  const target = linkTarget(kr);
  while (load<u32>(kr, KRING_HWCUR) != head) sendEntries(kr, scratch, valeGather(kr, scratch, head), target, self);
  store<u32>(kr, ringPrev(head, load<u32>(kr, KRING_NSLOTS)), KRING_HWTAIL);
}

/** NIC rings: as many packets leave the ring as the wire has room for. */
export function nicTxsync(kr: usize, self: usize): void {
  const head = load<u32>(kr, KRING_RHEAD);
  const scratch: usize = load<u32>(self, THREAD_SCRATCH);
  const target: usize = load<u32>(kr, KRING_PEER);
  for (;;) {
    const from = load<u32>(kr, KRING_HWCUR);
    const stop = whatFits(kr, target, from, head);
    if (stop == from) break;
    sendEntries(kr, scratch, valeGather(kr, scratch, stop), target, self);
  }
  store<u32>(kr, ringPrev(load<u32>(kr, KRING_HWCUR), load<u32>(kr, KRING_NSLOTS)), KRING_HWTAIL);
}

/** End of the last packet before `head` that the target has room for. A packet that it never has room for is let go. */
function whatFits(kr: usize, target: usize, from: u32, head: u32): u32 {
  const n = load<u32>(kr, KRING_NSLOTS);
  const room = load<u32>(target, KRING_NSLOTS) - 1;
  const used = ringDistance(
    atomic.load<u32>(target, KRING_HWCUR), // pairs with the store in valeRxsync, which comes before the wake-up
    load<u32>(target, KRING_HWLEASE),
    room + 1,
  );
  if (ringDistance(from, head, n) + used <= room) return head;
  const slots: usize = load<u32>(kr, KRING_RING) + NETMAP_RING_SLOT;
  let stop = ringAdvance(from, room - used, n);
  while (stop != from && isCut(slots, ringPrev(stop, n))) stop = ringPrev(stop, n);
  if (stop != from || used != 0) return stop;
  do stop = ringNext(stop, n);
  while (stop != head && isCut(slots, ringPrev(stop, n)));
  return stop;
}

/** Whether the packet goes on after slot `i`. */
function isCut(slots: usize, i: u32): bool {
  return (load<u16>(slots + <usize>i * NETMAP_SLOT_SIZE, NETMAP_SLOT_FLAGS) & NS_MOREFRAG) != 0;
}

/** Copies `count` gathered entries into the rx ring `target`; frames that are none are dropped and counted. */
export function sendEntries(kr: usize, scratch: usize, count: u32, target: usize, self: usize): void {
  const end = scratch + <usize>count * SCRATCH_ENTRY_SIZE;
  const least = ETHER_HDR_LEN + load<u32>(load<u32>(kr, KRING_PORT), PORT_HDR_LEN);
  let head = QUEUE_END;
  let lastRun: usize = 0;
  let slots: u32 = 0;
  let packets: u32 = 0;
  let short: u32 = 0;
  for (let e = scratch; e < end; ) {
    const run = e;
    let w = load<u64>(e); // SCRATCH_ADDR, SCRATCH_LEN, SCRATCH_FRAGS
    while (w >> 48 != 1 || (<u32>(w >> 32) & 0xffff) >= <u32>least) {
      packets++;
      e += <usize>(w >> 48) * SCRATCH_ENTRY_SIZE;
      if (e >= end) break;
      w = load<u64>(e);
    }
    if (e != run) {
      const first = <u32>(run - scratch) / SCRATCH_ENTRY_SIZE;
      const after = <u32>(e - scratch) / SCRATCH_ENTRY_SIZE;
      if (lastRun != 0) store<u32>(lastRun, first, SCRATCH_NEXT);
      else head = first;
      store<u32>(run, after, SCRATCH_RUN_END);
      store<u32>(run, QUEUE_END, SCRATCH_NEXT);
      lastRun = run;
      slots += after - first;
    }
    if (e < end) {
      short++;
      e += SCRATCH_ENTRY_SIZE;
    }
  }
  if (short != 0) statAdd(kr, STAT_DROP_SHORT, short);
  if (packets == 0) return;
  if (target == 0) statAdd(kr, STAT_DROP_NO_PORT, packets);
  else deliverRing(kr, scratch, head, QUEUE_END, slots, packets, target, self);
}

/** Takes released slots back, and tells the transmitter that waits for them. */
export function linkRxsync(kr: usize, self: usize): void {
  const before = load<u32>(kr, KRING_HWCUR);
  valeRxsync(kr);
  if (load<u32>(kr, KRING_HWCUR) == before) return;
  const peer: usize = load<u32>(kr, KRING_PEER);
  if (peer != 0) kringNotify(peer, self);
}
