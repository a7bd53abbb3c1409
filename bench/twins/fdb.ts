// The first two steps of the switch in JavaScript: assembly/vale/{fdb,gather,classify}.ts. An address is two numbers:
// its first four bytes, and its last two.
import { abi } from 'ptnet';
import { type Memory, notInTheBench, statAdd } from './memory.js';

const { BRIDGE_FDB, BRIDGE_LOCK, FDB_BUCKETS_LOG2, FDB_BUCKET_SHIFT, FDB_WAYS, THREAD_ID } = abi;
const { KRING_BUFBASE, KRING_BUFSIZE, KRING_HWCUR, KRING_NBUFS, KRING_NSLOTS, KRING_RING } = abi;
const { NETMAP_RING_SLOT, NM_BDG_BATCH, NM_BDG_BROADCAST, NM_BDG_MAXRINGS, NM_BDG_NOPORT } = abi;
const { SCRATCH_NEXT, SCRATCH_RUN_END, STAT_BYTES, STAT_DROP_NO_PORT, STAT_DROP_SELF } = abi;
const { PORT_BDG_INDEX, PORT_BRIDGE, PORT_HDR_LEN, PORT_LAST_SRC, PORT_LAST_SRC_ENTRY, STAT_DROP_SHORT } = abi;
const { QUEUE_HEAD, QUEUE_PACKETS, QUEUE_SLOTS, QUEUE_TAIL, SCRATCH_BROADCAST, SCRATCH_DESTS } = abi;
const { SCRATCH_QUEUES, SCRATCH_QUEUE_SIZE, STAT_PACKETS, ETHER_HDR_LEN, NETMAP_MAX_FRAGS, NS_MOREFRAG } = abi;

export const QUEUE_END = -1;

/** Upper 32 bits of a 32 × 32 bit product. */
function mulHigh(a: number, b: number): number {
  const low = (a & 0xffff) * (b & 0xffff);
  const mid = (a >>> 16) * (b & 0xffff) + (low >>> 16);
  const mid2 = (a & 0xffff) * (b >>> 16) + (mid & 0xffff);
  return (a >>> 16) * (b >>> 16) + Math.floor(mid / 65536) + (mid2 >>> 16);
}

/** Index (in 32-bit words) of the bucket: the top bits of mac * 0x9e3779b97f4a7c15 modulo 2^64. */
function fdbBucket(fdb: number, low: number, high: number): number {
  const product = (mulHigh(low >>> 0, 0x7f4a7c15) + Math.imul(low, 0x9e3779b9) + Math.imul(high, 0x7f4a7c15)) >>> 0;
  return (fdb + ((product >>> (32 - FDB_BUCKETS_LOG2)) << FDB_BUCKET_SHIFT)) >>> 2;
}

/** Two loads an entry instead of one of 64 bits, which would cost a BigInt: not safe against a learning thread. */
export function fdbLookup({ i32 }: Memory, fdb: number, low: number, high: number): number {
  const bucket = fdbBucket(fdb, low, high);
  for (let p = bucket; p < bucket + 2 * FDB_WAYS; p += 2) {
    if (Atomics.load(i32, p) !== low) continue;
    const e = Atomics.load(i32, p + 1);
    if ((e & 0xffff) === high && (e | low) !== 0) return (e >>> 16) - 1;
  }
  return NM_BDG_BROADCAST;
}

/** Notes where an address is: its own entry or a free one. Returns the entry's address. */
function fdbLearn({ i32 }: Memory, bridge: number, low: number, high: number, port: number, self: number): number {
  const lock = (bridge + BRIDGE_LOCK) >>> 2;
  if (Atomics.compareExchange(i32, lock, 0, i32[(self + THREAD_ID) >>> 2]) !== 0) return 0;
  const bucket = fdbBucket(i32[(bridge + BRIDGE_FDB) >>> 2], low, high);
  let entry = 0;
  for (let p = bucket; p < bucket + 2 * FDB_WAYS; p += 2) {
    if (i32[p] === 0 && i32[p + 1] === 0) entry ||= p;
    else if (i32[p] === low && (i32[p + 1] & 0xffff) === high) {
      entry = p;
      break;
    }
  }
  if (entry === 0) notInTheBench();
  Atomics.store(i32, entry, low);
  Atomics.store(i32, entry + 1, high | ((port + 1) << 16));
  Atomics.store(i32, lock, 0);
  return entry << 2;
}

export function valeGather(mem: Memory, kr: number, scratch: number, head: number): number {
  const { i32 } = mem;
  const bufBase = i32[(kr + KRING_BUFBASE) >>> 2];
  const bufSize = i32[(kr + KRING_BUFSIZE) >>> 2];
  const bufLimit = i32[(kr + KRING_NBUFS) >>> 2] - 2;
  const slots = (i32[(kr + KRING_RING) >>> 2] + NETMAP_RING_SLOT) >>> 2;
  const ringEnd = slots + 4 * i32[(kr + KRING_NSLOTS) >>> 2];
  const stop = slots + 4 * head;
  const base = scratch >>> 2;
  const batchEnd = base + 4 * NM_BDG_BATCH;
  const plainLimit = Math.min(bufSize, 0xffff); // of len | flags << 16: a length in range, and no flag
  let slot = slots + 4 * i32[(kr + KRING_HWCUR) >>> 2];
  let entry = base;
  let packets = 0;
  let bytes = 0;
  while (slot !== stop) {
    const runEnd = slot < stop ? stop : ringEnd;
    while (slot < runEnd && entry < batchEnd) {
      const idx = i32[slot];
      const len = i32[slot + 1];
      if ((idx - 2) >>> 0 >= bufLimit || len >>> 0 > plainLimit) break;
      i32[entry] = bufBase + Math.imul(idx, bufSize);
      i32[entry + 1] = len | (1 << 16);
      slot += 4;
      entry += 4;
      packets++;
      bytes += len;
    }
    if (slot === ringEnd) slot = slots;
    if (entry >= batchEnd) break;
    if (slot === stop) break;
    if (slot === slots && runEnd === ringEnd) continue;
    // One packet of several slots.
    const first = entry;
    let frags = 0;
    for (let more = true; more; ) {
      const idx = i32[slot];
      const w = i32[slot + 1];
      const len = w & 0xffff;
      const flags = w >>> 16;
      if ((idx - 2) >>> 0 >= bufLimit || len > bufSize || (flags & ~NS_MOREFRAG) !== 0) notInTheBench();
      if (++frags > NETMAP_MAX_FRAGS) notInTheBench();
      i32[entry] = bufBase + Math.imul(idx, bufSize);
      i32[entry + 1] = len | (1 << 16);
      slot += 4;
      if (slot === ringEnd) slot = slots;
      entry += 4;
      bytes += len;
      more = (flags & NS_MOREFRAG) !== 0 && slot !== stop;
    }
    packets++;
    i32[first + 1] = (i32[first + 1] & 0xffff) | (frags << 16);
  }
  i32[(kr + KRING_HWCUR) >>> 2] = (slot - slots) >>> 2;
  statAdd(mem, kr, STAT_PACKETS, packets);
  statAdd(mem, kr, STAT_BYTES, bytes);
  return (entry - base) >>> 2;
}

export function valeClassify(
  mem: Memory,
  kr: number,
  port: number,
  scratch: number,
  count: number,
  ring: number,
  self: number,
): void {
  const { i32, u16 } = mem;
  const bridge = i32[(port + PORT_BRIDGE) >>> 2];
  const fdb = i32[(bridge + BRIDGE_FDB) >>> 2];
  const index = i32[(port + PORT_BDG_INDEX) >>> 2];
  const hdrLen = i32[(port + PORT_HDR_LEN) >>> 2];
  const end = (scratch >>> 2) + 4 * count;
  const ringBits = ring << 8;
  // The address that this port sent from last, as long as the table still says so.
  const entry = i32[(port + PORT_LAST_SRC_ENTRY) >>> 2] >>> 2;
  let srcLow = i32[(port + PORT_LAST_SRC) >>> 2];
  let srcHigh = i32[((port + PORT_LAST_SRC) >>> 2) + 1];
  const known =
    entry !== 0 &&
    Atomics.load(i32, entry) === srcLow &&
    Atomics.load(i32, entry + 1) === (srcHigh | ((index + 1) << 16));
  if (!known) srcHigh = -1;
  let lastDest = NM_BDG_NOPORT;
  let last0 = 0; // both addresses of the last header
  let last4 = 0;
  let last8 = 0;
  let seen = false;
  let short = 0;
  for (let e = scratch >>> 2; e < end; ) {
    const w = i32[e + 1];
    const frags = w >>> 16;
    let p = i32[e] + hdrLen;
    let usable = (w & 0xffff) - hdrLen;
    if (usable === 0 && frags > 1) {
      p = i32[e + 4];
      usable = i32[e + 5] & 0xffff;
    }
    let dest = NM_BDG_NOPORT;
    if (usable >= ETHER_HDR_LEN) {
      // Frames start at even addresses: buffers are whole cache lines, headers 0, 10 or 12 bytes.
      const h = p >>> 1;
      const first0 = u16[h] | (u16[h + 1] << 16);
      const first4 = u16[h + 2] | (u16[h + 3] << 16);
      const first8 = u16[h + 4] | (u16[h + 5] << 16);
      if (first0 !== last0 || first4 !== last4 || first8 !== last8 || !seen) {
        last0 = first0;
        last4 = first4;
        last8 = first8;
        seen = true;
        const low = (first4 >>> 16) | (first8 << 16);
        const high = first8 >>> 16;
        if ((low !== srcLow || high !== srcHigh) && (low & 1) === 0) {
          const learned = fdbLearn(mem, bridge, low, high, index, self);
          i32[(port + PORT_LAST_SRC_ENTRY) >>> 2] = learned;
          i32[(port + PORT_LAST_SRC) >>> 2] = srcLow = low;
          i32[((port + PORT_LAST_SRC) >>> 2) + 1] = srcHigh = high;
          if (learned === 0) srcHigh = -1;
        }
        lastDest = ((first0 & 1) !== 0 ? NM_BDG_BROADCAST : fdbLookup(mem, fdb, first0, first4 & 0xffff)) | ringBits;
      }
      dest = lastDest;
    } else {
      short++;
    }
    i32[e + 2] = dest;
    e += 4;
    if (frags !== 1) e += 4 * (frags - 1);
  }
  if (short !== 0) statAdd(mem, kr, STAT_DROP_SHORT, short);
}

/** Puts the classified packets into a queue per destination: a list of runs of packets for the same place. */
export function valeQueue(mem: Memory, kr: number, index: number, scratch: number, count: number): number {
  const { i32 } = mem;
  const base = scratch >>> 2;
  const end = base + 4 * count;
  let nDests = 0;
  let self = 0;
  let noPort = 0;
  for (let e = base; e < end; ) {
    const run = e;
    const dest = i32[e + 2];
    let packets = 0;
    do {
      const frags = i32[e + 1] >>> 16;
      e += 4;
      if (frags !== 1) e += 4 * (frags - 1);
      packets++;
    } while (e < end && i32[e + 2] === dest);
    const port = dest & 0xff;
    if (port === index) self += packets;
    else if (port < NM_BDG_NOPORT) nDests += appendRun(mem, scratch, nDests, dest, run, e, packets);
    else if (dest !== NM_BDG_NOPORT) noPort += packets;
  }
  if (self !== 0) statAdd(mem, kr, STAT_DROP_SELF, self);
  if (noPort !== 0) statAdd(mem, kr, STAT_DROP_NO_PORT, noPort);
  return nDests;
}

/** Appends the run [run, end), word indices, to its queue; returns 1 when that queue is new to the list. */
function appendRun(
  { i32 }: Memory,
  scratch: number,
  nDests: number,
  dest: number,
  run: number,
  end: number,
  packets: number,
): number {
  const base = scratch >>> 2;
  const port = dest & 0xff;
  const ring = (dest >> 8) & (NM_BDG_MAXRINGS - 1);
  const q = port === NM_BDG_BROADCAST ? SCRATCH_BROADCAST : port * NM_BDG_MAXRINGS + ring;
  const queue = (scratch + SCRATCH_QUEUES + q * SCRATCH_QUEUE_SIZE) >>> 2;
  const first = (run - base) >>> 2;
  const last = (end - base) >>> 2;
  i32[run + SCRATCH_RUN_END / 4] = last;
  i32[run + SCRATCH_NEXT / 4] = QUEUE_END;
  const before = i32[queue + QUEUE_PACKETS / 4];
  i32[queue + QUEUE_PACKETS / 4] = before + packets;
  i32[queue + QUEUE_SLOTS / 4] += last - first;
  if (before !== 0) {
    i32[base + 4 * i32[queue + QUEUE_TAIL / 4] + SCRATCH_NEXT / 4] = first;
    i32[queue + QUEUE_TAIL / 4] = first;
    return 0;
  }
  i32[queue + QUEUE_HEAD / 4] = first;
  i32[queue + QUEUE_TAIL / 4] = first;
  if (q === SCRATCH_BROADCAST) return 0;
  i32[((scratch + SCRATCH_DESTS) >>> 2) + nDests] = q;
  return 1;
}
