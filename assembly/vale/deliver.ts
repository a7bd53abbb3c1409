// Third step of the switch (second pass of nm_vale_flush): each destination's queue is copied into its rx ring.
import {
  BRIDGE_ACTIVE,
  BRIDGE_PORTS,
  KRING_MODE,
  KRING_PORT,
  KRING_RING,
  KRING_RUN,
  KRING_SIZE,
  KRING_STOP,
  PORT_BDG_INDEX,
  PORT_BRIDGE,
  PORT_HDR_LEN,
  PORT_MFS,
  PORT_NRX,
  PORT_RX,
  QUEUE_HEAD,
  QUEUE_PACKETS,
  QUEUE_SLOTS,
  SCRATCH_BROADCAST,
  SCRATCH_DESTS,
  SCRATCH_QUEUES,
  SCRATCH_QUEUE_SIZE,
  STAT_DROP_BUSY,
  STAT_DROP_HEADER,
  STAT_DROP_NO_PORT,
  STAT_DROP_NO_SPACE,
  STAT_FLOOD_COPIES,
  STAT_FLOODED,
} from '../abi/arena';
import { NM_BDG_MAXRINGS } from '../abi/netmap';
import { statAdd } from '../stats/counters';
import { QUEUE_END, valeAddBroadcast, valeQueue } from './classify';
import { leaseComplete, leaseLock, leasePublish, leaseTake, leaseUnlock } from './lease';
import { copyMerged, copyUnicast } from './place';
import { translateCopy, translatePrepare } from './translate';

/** Queues `count` classified packets by destination and delivers them. Counts go to the source's tx kring `kr`. */
export function valeDeliver(kr: usize, port: usize, scratch: usize, count: u32, self: usize): void {
  const bridge: usize = load<u32>(port, PORT_BRIDGE);
  const index = load<u32>(port, PORT_BDG_INDEX);
  let nDests = valeQueue(kr, index, scratch, count);
  const broadcast = scratch + SCRATCH_QUEUES + SCRATCH_BROADCAST * SCRATCH_QUEUE_SIZE;
  const anyBroadcast = load<u32>(broadcast, QUEUE_PACKETS) != 0;
  if (anyBroadcast) nDests = valeAddBroadcast(atomic.load<u32>(bridge, BRIDGE_ACTIVE), index, scratch, nDests);
  let floods: u64 = 0;
  for (let i: u32 = 0; i < nDests; i++) {
    const q = load<u32>(scratch + SCRATCH_DESTS + ((<usize>i) << 2));
    const queue = scratch + SCRATCH_QUEUES + <usize>q * SCRATCH_QUEUE_SIZE;
    const dest: usize = atomic.load<u32>(bridge + ((<usize>(q / NM_BDG_MAXRINGS)) << 2), BRIDGE_PORTS);
    const ring = q & (NM_BDG_MAXRINGS - 1);
    // DIFF: netmap merges broadcast frames into the queues of all rings of a port; they belong to ring 0 alone.
    const both = ring == 0 && anyBroadcast;
    if (both) floods++;
    deliverQueue(kr, scratch, queue, both ? broadcast : 0, dest, ring, self);
    store<u32>(queue, 0, QUEUE_PACKETS);
    store<u32>(queue, 0, QUEUE_SLOTS);
  }
  if (anyBroadcast) {
    const packets: u64 = load<u32>(broadcast, QUEUE_PACKETS);
    statAdd(kr, STAT_FLOODED, packets);
    statAdd(kr, STAT_FLOOD_COPIES, packets * floods);
    store<u32>(broadcast, 0, QUEUE_PACKETS);
    store<u32>(broadcast, 0, QUEUE_SLOTS);
  }
}

function deliverQueue(
  kr: usize,
  scratch: usize,
  queue: usize,
  broadcast: usize,
  dest: usize,
  ring: u32,
  self: usize,
): void {
  let packets: u32 = load<u32>(queue, QUEUE_PACKETS);
  let slots = load<u32>(queue, QUEUE_SLOTS);
  const unicastHead = packets != 0 ? load<u32>(queue, QUEUE_HEAD) : QUEUE_END;
  let broadcastHead = QUEUE_END;
  if (broadcast != 0) {
    packets += load<u32>(broadcast, QUEUE_PACKETS);
    slots += load<u32>(broadcast, QUEUE_SLOTS);
    broadcastHead = load<u32>(broadcast, QUEUE_HEAD);
  }
  const nrx = dest != 0 ? load<u32>(dest, PORT_NRX) : 0;
  if (nrx == 0) {
    statAdd(kr, STAT_DROP_NO_PORT, packets);
    return;
  }
  const dkr: usize = <usize>load<u32>(dest, PORT_RX) + <usize>(ring % nrx) * KRING_SIZE;
  deliverRing(kr, scratch, unicastHead, broadcastHead, slots, packets, dkr, self);
}

/**
 * Copies a queue, and the broadcast queue unless it is QUEUE_END, into the rx ring of `dkr`. `slots` and `packets` are
 * those of both. What finds no room is dropped and counted at `kr`.
 */
export function deliverRing(
  kr: usize,
  scratch: usize,
  unicastHead: u32,
  broadcastHead: u32,
  slots: u32,
  packets: u32,
  dkr: usize,
  self: usize,
): void {
  const dest: usize = load<u32>(dkr, KRING_PORT);
  const srcHdrLen = load<u32>(load<u32>(kr, KRING_PORT), PORT_HDR_LEN); // read once: a guest may negotiate meanwhile
  const dstHdrLen = load<u32>(dest, PORT_HDR_LEN);
  const unlike = srcHdrLen != dstHdrLen;
  if (unlike) {
    const mfs = load<u32>(dest, PORT_MFS);
    const taken = translatePrepare(kr, dkr, scratch, unicastHead, broadcastHead, srcHdrLen, dstHdrLen, mfs);
    slots = <u32>taken;
    packets = <u32>(taken >> 32);
    if (packets == 0) return;
  }
  if (!leaseLock(dkr, self)) {
    statAdd(kr, STAT_DROP_BUSY, packets);
    return;
  }
  // A closing port changes mode, stop and ring first, and then waits for all syncs that may have seen the old values.
  if (
    load<u32>(dkr, KRING_MODE) == 0 ||
    load<u32>(dkr, KRING_RING) == 0 ||
    atomic.load<u32>(dkr, KRING_STOP) != KRING_RUN
  ) {
    leaseUnlock(dkr);
    leasePublish(dkr, self);
    statAdd(kr, STAT_DROP_NO_PORT, packets);
    return;
  }
  // So does one whose header gets another length, under this lock: what was prepared for the old one is not for it.
  if (atomic.load<u32>(dest, PORT_HDR_LEN) != dstHdrLen) {
    leaseUnlock(dkr);
    leasePublish(dkr, self);
    statAdd(kr, STAT_DROP_HEADER, packets);
    return;
  }
  const lease = leaseTake(dkr, slots, self);
  leaseUnlock(dkr);
  if (lease == 0) {
    leasePublish(dkr, self); // somebody may have left a done lease to us while we held the lock
    statAdd(kr, STAT_DROP_NO_SPACE, packets);
    return;
  }
  let end: u32;
  if (unlike) end = translateCopy(kr, dkr, scratch, unicastHead, broadcastHead, packets, lease);
  else if (broadcastHead == QUEUE_END) end = copyUnicast(kr, dkr, scratch, unicastHead, packets, lease);
  else end = copyMerged(kr, dkr, scratch, unicastHead, broadcastHead, packets, lease);
  leaseComplete(dkr, lease, end, self);
}
