// assembly/vale/{place,deliver,switch}.ts in JavaScript.
import { abi } from 'ptnet';
import { QUEUE_END, valeClassify, valeGather, valeQueue } from './fdb.js';
import { leaseComplete, leaseLock, leasePublish, leaseTake, leaseUnlock } from './lease.js';
import { type Memory, notInTheBench, ringDistance, ringPrev, statAdd, statAddShared } from './memory.js';

const { BRIDGE_PORTS, KRING_BUFBASE, KRING_BUFSIZE, KRING_HWCUR, KRING_HWTAIL, KRING_INDEX, KRING_MAILTAIL } = abi;
const { KRING_MODE, KRING_NBUFS, KRING_NSLOTS, KRING_PORT, KRING_RHEAD, KRING_RING, KRING_RUN, KRING_SIZE } = abi;
const { KRING_STOP, LEASE_END, LEASE_START, NETMAP_RING_SLOT, NM_BDG_MAXRINGS, NS_BUF_CHANGED } = abi;
const { NS_MOREFRAG, NS_RFRAGS_SHIFT, PORT_BDG_INDEX, PORT_BRIDGE, PORT_HDR_LEN, PORT_NRX, PORT_RX, THREAD_SCRATCH } =
  abi;
const { QUEUE_HEAD, QUEUE_PACKETS, QUEUE_SLOTS, SCRATCH_BROADCAST, SCRATCH_DESTS, SCRATCH_QUEUES } = abi;
const { SCRATCH_QUEUE_SIZE, STAT_BAD_SLOT, STAT_DELIVERED, STAT_DELIVERED_BYTES, STAT_DROP_BAD_SLOT } = abi;
const { STAT_DROP_BUSY, STAT_DROP_HEADER, STAT_DROP_NO_PORT, STAT_DROP_NO_SPACE } = abi;
const { SCRATCH_NEXT, SCRATCH_RUN_END, STAT_FORWARDED } = abi;

/** Above this, copyWithin's fixed cost is less than what a loop takes. Measured with `npm run bench -- vale --sizes`. */
const LOOP_LIMIT = 256;

/** Exactly `len` bytes, by words where both ends are aligned: buffers are, and so are frames in them. */
export function packetCopy({ i32, u8 }: Memory, dst: number, src: number, len: number): void {
  if (len > LOOP_LIMIT || ((dst | src) & 3) !== 0) {
    u8.copyWithin(dst, src, src + len);
    return;
  }
  const end = (src + len) >>> 2;
  let d = dst >>> 2;
  let s = src >>> 2;
  for (; s + 4 <= end; s += 4, d += 4) {
    i32[d] = i32[s];
    i32[d + 1] = i32[s + 1];
    i32[d + 2] = i32[s + 2];
    i32[d + 3] = i32[s + 3];
  }
  for (; s < end; s++, d++) i32[d] = i32[s];
  for (let b = len & ~3; b < len; b++) u8[dst + b] = u8[src + b];
}

function account(mem: Memory, kr: number, dkr: number, packets: number, delivered: number, refused: number): void {
  statAdd(mem, kr, STAT_FORWARDED, delivered);
  if (packets !== delivered + refused) statAdd(mem, kr, STAT_DROP_NO_SPACE, packets - delivered - refused);
  statAddShared(mem, dkr, STAT_DELIVERED, delivered);
}

/** Copies one packet of several slots to word `slot` of the ring. Returns the word after it, or -1: no space. */
function copyFragments(mem: Memory, dkr: number, e: number, slot: number, lease: number): number {
  const { i32 } = mem;
  const n = i32[(dkr + KRING_NSLOTS) >>> 2];
  const bufBase = i32[(dkr + KRING_BUFBASE) >>> 2];
  const bufSize = i32[(dkr + KRING_BUFSIZE) >>> 2];
  const bufLimit = i32[(dkr + KRING_NBUFS) >>> 2] - 2;
  const slots = (i32[(dkr + KRING_RING) >>> 2] + NETMAP_RING_SLOT) >>> 2;
  const frags = i32[e + 1] >>> 16;
  const end = e + 4 * frags;
  if (frags > ringDistance((slot - slots) >>> 2, i32[(lease + LEASE_END) >>> 2], n)) return -1;
  for (let f = e; f < end; f += 4) if ((i32[f + 1] & 0xffff) > bufSize) notInTheBench();
  for (let f = e; f < end; f += 4) {
    const len = i32[f + 1] & 0xffff;
    const idx = i32[slot];
    if ((idx - 2) >>> 0 >= bufLimit) notInTheBench();
    packetCopy(mem, bufBase + Math.imul(idx, bufSize), i32[f], len);
    const more = f + 4 < end ? NS_MOREFRAG : 0;
    i32[slot + 1] = len | (((frags << NS_RFRAGS_SHIFT) | more) << 16);
    slot += 4;
    if (slot === slots + 4 * n) slot = slots;
  }
  return slot;
}

/** Copies one queue. Returns the slot after the last one used. */
function copyUnicast(
  mem: Memory,
  kr: number,
  dkr: number,
  scratch: number,
  head: number,
  packets: number,
  lease: number,
): number {
  const { i32 } = mem;
  const bufBase = i32[(dkr + KRING_BUFBASE) >>> 2];
  const bufSize = i32[(dkr + KRING_BUFSIZE) >>> 2];
  const bufLimit = i32[(dkr + KRING_NBUFS) >>> 2] - 2;
  const slots = (i32[(dkr + KRING_RING) >>> 2] + NETMAP_RING_SLOT) >>> 2;
  const ringEnd = slots + 4 * i32[(dkr + KRING_NSLOTS) >>> 2];
  const leaseEnd = slots + 4 * i32[(lease + LEASE_END) >>> 2];
  const base = scratch >>> 2;
  let slot = slots + 4 * i32[(lease + LEASE_START) >>> 2];
  let full = false;
  let delivered = 0;
  let refused = 0;
  let bytes = 0;
  while (head !== QUEUE_END && !full) {
    let e = base + 4 * head;
    const runEnd = base + 4 * i32[e + SCRATCH_RUN_END / 4];
    head = i32[e + SCRATCH_NEXT / 4];
    while (e < runEnd && !full) {
      const w = i32[e + 1];
      const len = w & 0xffff;
      if (w >>> 16 !== 1) {
        const after = copyFragments(mem, dkr, e, slot, lease);
        full = after < 0;
        if (full) break;
        const end = e + 4 * (w >>> 16);
        for (; e < end; e += 4) bytes += i32[e + 1] & 0xffff;
        slot = after;
        delivered++;
        full = slot === leaseEnd;
        continue;
      }
      if (len > bufSize) notInTheBench();
      const idx = i32[slot];
      if ((idx - 2) >>> 0 < bufLimit) {
        packetCopy(mem, bufBase + Math.imul(idx, bufSize), i32[e], len);
        i32[slot + 1] = len | (1 << (16 + NS_RFRAGS_SHIFT));
        delivered++;
        bytes += len;
      } else {
        i32[slot + 1] = 0;
        refused++;
        statAddShared(mem, dkr, STAT_BAD_SLOT, 1);
        statAdd(mem, kr, STAT_DROP_BAD_SLOT, 1);
      }
      slot += 4;
      if (slot === ringEnd) slot = slots;
      e += 4;
      full = slot === leaseEnd;
    }
  }
  account(mem, kr, dkr, packets, delivered, refused);
  statAddShared(mem, dkr, STAT_DELIVERED_BYTES, bytes);
  return (slot - slots) >>> 2;
}

function deliverQueue(
  mem: Memory,
  kr: number,
  scratch: number,
  queue: number,
  dest: number,
  ring: number,
  self: number,
): void {
  const { i32 } = mem;
  const packets = i32[queue + QUEUE_PACKETS / 4];
  const slots = i32[queue + QUEUE_SLOTS / 4];
  const head = packets !== 0 ? i32[queue + QUEUE_HEAD / 4] : QUEUE_END;
  const nrx = dest !== 0 ? i32[(dest + PORT_NRX) >>> 2] : 0;
  const refused = (stat: number): void => statAdd(mem, kr, stat, packets);
  if (nrx === 0) {
    refused(STAT_DROP_NO_PORT);
    return;
  }
  if (i32[(dest + PORT_HDR_LEN) >>> 2] !== i32[(i32[(kr + KRING_PORT) >>> 2] + PORT_HDR_LEN) >>> 2]) {
    refused(STAT_DROP_HEADER);
    return;
  }
  const dkr = i32[(dest + PORT_RX) >>> 2] + (ring % nrx) * KRING_SIZE;
  if (!leaseLock(mem, dkr, self)) {
    refused(STAT_DROP_BUSY);
    return;
  }
  const usable =
    i32[(dkr + KRING_MODE) >>> 2] !== 0 &&
    i32[(dkr + KRING_RING) >>> 2] !== 0 &&
    Atomics.load(i32, (dkr + KRING_STOP) >>> 2) === KRING_RUN;
  const lease = usable ? leaseTake(mem, dkr, slots, self) : 0;
  leaseUnlock(mem, dkr);
  if (lease === 0) {
    leasePublish(mem, dkr, self);
    refused(usable ? STAT_DROP_NO_SPACE : STAT_DROP_NO_PORT);
    return;
  }
  leaseComplete(mem, dkr, lease, copyUnicast(mem, kr, dkr, scratch, head, packets, lease), self);
}

function valeDeliver(mem: Memory, kr: number, port: number, scratch: number, count: number, self: number): void {
  const { i32 } = mem;
  const bridge = i32[(port + PORT_BRIDGE) >>> 2];
  const nDests = valeQueue(mem, kr, i32[(port + PORT_BDG_INDEX) >>> 2], scratch, count);
  const queues = (scratch + SCRATCH_QUEUES) >>> 2;
  if (i32[queues + (SCRATCH_BROADCAST * SCRATCH_QUEUE_SIZE + QUEUE_PACKETS) / 4] !== 0) notInTheBench();
  for (let i = 0; i < nDests; i++) {
    const q = i32[((scratch + SCRATCH_DESTS) >>> 2) + i];
    const queue = queues + (q * SCRATCH_QUEUE_SIZE) / 4;
    const dest = Atomics.load(i32, (bridge + 4 * Math.floor(q / NM_BDG_MAXRINGS) + BRIDGE_PORTS) >>> 2);
    deliverQueue(mem, kr, scratch, queue, dest, q & (NM_BDG_MAXRINGS - 1), self);
    i32[queue + QUEUE_PACKETS / 4] = 0;
    i32[queue + QUEUE_SLOTS / 4] = 0;
  }
}

export function valeTxsync(mem: Memory, kr: number, self: number): void {
  const { i32 } = mem;
  const head = i32[(kr + KRING_RHEAD) >>> 2];
  const port = i32[(kr + KRING_PORT) >>> 2];
  const scratch = i32[(self + THREAD_SCRATCH) >>> 2];
  const attached = Atomics.load(i32, (port + PORT_BRIDGE) >>> 2) !== 0;
  while (i32[(kr + KRING_HWCUR) >>> 2] !== head) {
    const count = valeGather(mem, kr, scratch, head);
    if (!attached) {
      statAdd(mem, kr, STAT_DROP_NO_PORT, count);
      continue;
    }
    valeClassify(mem, kr, port, scratch, count, i32[(kr + KRING_INDEX) >>> 2], self);
    valeDeliver(mem, kr, port, scratch, count, self);
  }
  i32[(kr + KRING_HWTAIL) >>> 2] = ringPrev(head, i32[(kr + KRING_NSLOTS) >>> 2]);
}

export function valeRxsync(mem: Memory, kr: number): void {
  const { i32 } = mem;
  i32[(kr + KRING_HWTAIL) >>> 2] = Atomics.load(i32, (kr + KRING_MAILTAIL) >>> 2);
  const head = i32[(kr + KRING_RHEAD) >>> 2];
  const bufLimit = i32[(kr + KRING_NBUFS) >>> 2] - 2;
  const slots = (i32[(kr + KRING_RING) >>> 2] + NETMAP_RING_SLOT) >>> 2;
  const ringEnd = slots + 4 * i32[(kr + KRING_NSLOTS) >>> 2];
  const stop = slots + 4 * head;
  let slot = slots + 4 * i32[(kr + KRING_HWCUR) >>> 2];
  let bad = 0;
  while (slot !== stop) {
    const w = i32[slot + 1];
    if ((w >>> 16) & NS_BUF_CHANGED) i32[slot + 1] = w & ~(NS_BUF_CHANGED << 16);
    if ((i32[slot] - 2) >>> 0 >= bufLimit) bad++;
    slot += 4;
    if (slot === ringEnd) slot = slots;
  }
  if (bad !== 0) statAdd(mem, kr, STAT_BAD_SLOT, bad);
  Atomics.store(i32, (kr + KRING_HWCUR) >>> 2, head);
}
