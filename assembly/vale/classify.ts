// Second step of the switch: which port and ring each gathered packet goes to (the learning bridge's lookup), and the
// queues of packets per destination. A lookup of the user's may replace `valeClassify` between the two other steps.
import {
  BRIDGE_FDB,
  PORT_BDG_INDEX,
  PORT_BRIDGE,
  PORT_HDR_LEN,
  PORT_LAST_SRC,
  PORT_LAST_SRC_ENTRY,
  QUEUE_HEAD,
  QUEUE_PACKETS,
  QUEUE_SLOTS,
  QUEUE_TAIL,
  SCRATCH_ADDR,
  SCRATCH_BROADCAST,
  SCRATCH_DEST,
  SCRATCH_DESTS,
  SCRATCH_ENTRY_SIZE,
  SCRATCH_FRAGS,
  SCRATCH_LEN,
  SCRATCH_NEXT,
  SCRATCH_QUEUE_SIZE,
  SCRATCH_QUEUES,
  SCRATCH_RUN_END,
  STAT_DROP_NO_PORT,
  STAT_DROP_SELF,
  STAT_DROP_SHORT,
} from '../abi/arena';
import { ETHER_HDR_LEN } from '../abi/ether';
import { NM_BDG_BROADCAST, NM_BDG_MAXPORTS, NM_BDG_MAXRINGS, NM_BDG_NOPORT } from '../abi/netmap';
import { statAdd } from '../stats/counters';
import { fdbLearn, fdbLookup, MAC_MASK } from './fdb';

export const QUEUE_END: u32 = 0xffffffff;
const GROUP_BIT: u64 = 1; // first bit of the first byte of a MAC address: multicast or broadcast

/** Learning lookup of `count` gathered entries of `port`: fills SCRATCH_DEST of each packet's first entry. */
export function valeClassify(kr: usize, port: usize, scratch: usize, count: u32, ring: u32, self: usize): void {
  const bridge: usize = load<u32>(port, PORT_BRIDGE);
  const fdb: usize = load<u32>(bridge, BRIDGE_FDB);
  const index = load<u32>(port, PORT_BDG_INDEX);
  const hdrLen = load<u32>(port, PORT_HDR_LEN);
  const end = scratch + <usize>count * SCRATCH_ENTRY_SIZE;
  const ringBits = ring << 8;
  let lastSrc = lastSource(port, index);
  let lastDest: u32 = NM_BDG_NOPORT;
  let last8: u64 = 0; // first 8 and next 4 bytes of the last header: destination and source address
  let last4: u32 = 0;
  let seen = false;
  let short: u64 = 0;
  for (let e = scratch; e < end; ) {
    const w = load<u64>(e); // SCRATCH_ADDR, SCRATCH_LEN, SCRATCH_FRAGS
    const frags = <usize>(w >> 48);
    let p = <usize>(<u32>w) + hdrLen;
    let usable = (<i32>(w >> 32) & 0xffff) - <i32>hdrLen;
    if (usable == 0 && frags > 1) {
      // the port header alone in the first slot
      p = load<u32>(e + SCRATCH_ENTRY_SIZE, SCRATCH_ADDR);
      usable = load<u16>(e + SCRATCH_ENTRY_SIZE, SCRATCH_LEN);
    }
    let dest: u32 = NM_BDG_NOPORT;
    if (usable >= ETHER_HDR_LEN) {
      const first8 = load<u64>(p);
      const next4 = load<u32>(p, 8);
      if (first8 != last8 || next4 != last4 || !seen) {
        last8 = first8;
        last4 = next4;
        seen = true;
        const src = (first8 >> 48) | ((<u64>next4) << 16);
        if (src != lastSrc && (src & GROUP_BIT) == 0) lastSrc = learn(bridge, port, src, index, self);
        const dst = first8 & MAC_MASK;
        lastDest = ((dst & GROUP_BIT) != 0 ? NM_BDG_BROADCAST : fdbLookup(fdb, dst)) | ringBits;
      }
      dest = lastDest;
    } else {
      short++;
    }
    store<u32>(e, dest, SCRATCH_DEST);
    e += frags * SCRATCH_ENTRY_SIZE;
    if (seen) e = classifySame(e, end, hdrLen, last8, last4, lastDest);
  }
  if (short != 0) statAdd(kr, STAT_DROP_SHORT, short);
}

/**
 * Packets of one slot with the addresses of the last header go where that went. Returns the first entry that is not one.
 * A loop of its own, without calls: all it works with stays in registers.
 */
function classifySame(e: usize, end: usize, hdrLen: u32, last8: u64, last4: u32, dest: u32): usize {
  const least = ((<u32>1) << 16) + ETHER_HDR_LEN + hdrLen; // one slot, and a whole Ethernet header
  const span = ((<u32>2) << 16) - 1 - least;
  while (e != end) {
    const w = load<u64>(e); // SCRATCH_ADDR, SCRATCH_LEN, SCRATCH_FRAGS
    if (<u32>(w >> 32) - least > span) break;
    const p = <usize>(<u32>w) + hdrLen;
    if (load<u64>(p) != last8) break;
    if (load<u32>(p, 8) != last4) break;
    store<u32>(e, dest, SCRATCH_DEST);
    e += SCRATCH_ENTRY_SIZE;
  }
  return e;
}

/** The address that this port sent from last, as long as the table still says so; else a value that no address has. */
function lastSource(port: usize, index: u32): u64 {
  const entry: usize = load<u32>(port, PORT_LAST_SRC_ENTRY);
  const src = load<u64>(port, PORT_LAST_SRC);
  // DIFF: netmap trusts the cached address even when another port has taken it over meanwhile.
  return entry != 0 && atomic.load<u64>(entry) == (src | ((<u64>(index + 1)) << 48)) ? src : u64.MAX_VALUE;
}

function learn(bridge: usize, port: usize, src: u64, index: u32, self: usize): u64 {
  const entry = fdbLearn(bridge, src, index, self);
  store<u32>(port, <u32>entry, PORT_LAST_SRC_ENTRY);
  store<u64>(port, src, PORT_LAST_SRC);
  return entry != 0 ? src : u64.MAX_VALUE;
}

/**
 * Puts the classified packets into a queue per destination, in order. A queue is a list of runs: packets that follow one
 * another and go to the same place, so that the usual batch, all to one port, is one run. Returns how many queues the
 * list SCRATCH_DESTS names; the broadcast queue is not in it. Packets for nobody or for their own source are dropped and
 * counted.
 */
export function valeQueue(kr: usize, index: u32, scratch: usize, count: u32): u32 {
  const end = scratch + <usize>count * SCRATCH_ENTRY_SIZE;
  let nDests: u32 = 0;
  let self: u64 = 0;
  let noPort: u64 = 0;
  let e = scratch;
  while (e < end) {
    const run = e;
    const dest = load<u32>(e, SCRATCH_DEST);
    let packets: u32 = 0;
    do {
      const frags = <usize>load<u16>(e, SCRATCH_FRAGS);
      e += SCRATCH_ENTRY_SIZE;
      if (frags != 1) e += (frags - 1) * SCRATCH_ENTRY_SIZE; // a branch for the same reason as in valeClassify
      packets++;
      if (e == end) break;
    } while (load<u32>(e, SCRATCH_DEST) == dest);
    const port = dest & 0xff;
    if (port == index) {
      self += packets;
    } else if (port >= <u32>NM_BDG_NOPORT) {
      if (dest != NM_BDG_NOPORT) noPort += packets; // decided by a lookup; short frames are counted already
    } else {
      nDests += appendRun(scratch, nDests, dest, run, e, packets);
    }
  }
  if (self != 0) statAdd(kr, STAT_DROP_SELF, self);
  if (noPort != 0) statAdd(kr, STAT_DROP_NO_PORT, noPort);
  return nDests;
}

/** Appends the run [run, end) to its destination's queue; returns 1 when that queue is new to the list. */
function appendRun(scratch: usize, nDests: u32, dest: u32, run: usize, end: usize, packets: u32): u32 {
  const port = dest & 0xff;
  const ring = (dest >> 8) & (NM_BDG_MAXRINGS - 1);
  const q = port == NM_BDG_BROADCAST ? SCRATCH_BROADCAST : port * NM_BDG_MAXRINGS + ring;
  const queue = scratch + SCRATCH_QUEUES + <usize>q * SCRATCH_QUEUE_SIZE;
  const first = <u32>(run - scratch) / SCRATCH_ENTRY_SIZE;
  const last = <u32>(end - scratch) / SCRATCH_ENTRY_SIZE;
  store<u32>(run, last, SCRATCH_RUN_END);
  store<u32>(run, QUEUE_END, SCRATCH_NEXT);
  const before = load<u32>(queue, QUEUE_PACKETS);
  store<u32>(queue, before + packets, QUEUE_PACKETS);
  store<u32>(queue, load<u32>(queue, QUEUE_SLOTS) + last - first, QUEUE_SLOTS);
  if (before != 0) {
    store<u32>(scratch + <usize>load<u32>(queue, QUEUE_TAIL) * SCRATCH_ENTRY_SIZE, first, SCRATCH_NEXT);
    store<u32>(queue, first, QUEUE_TAIL);
    return 0;
  }
  store<u32>(queue, first, QUEUE_HEAD);
  store<u32>(queue, first, QUEUE_TAIL);
  if (q == SCRATCH_BROADCAST) return 0;
  store<u32>(scratch + SCRATCH_DESTS + ((<usize>nDests) << 2), q);
  return 1;
}

/** Adds ring 0 of every active port but the source to the list of destinations, for the broadcast queue. */
export function valeAddBroadcast(active: usize, index: u32, scratch: usize, nDests: u32): u32 {
  const n = load<u32>(active);
  const queues = scratch + SCRATCH_QUEUES;
  const dests = scratch + SCRATCH_DESTS;
  for (let i: u32 = 0; i < n && i < <u32>NM_BDG_MAXPORTS; i++) {
    const port = load<u32>(active + 4 + ((<usize>i) << 2));
    if (port == index) continue;
    const q = port * NM_BDG_MAXRINGS;
    if (load<u32>(queues + <usize>q * SCRATCH_QUEUE_SIZE, QUEUE_PACKETS) != 0) continue;
    store<u32>(dests + (nDests++ << 2), q);
  }
  return nDests;
}
