// assembly/port/pipe.ts in JavaScript. A slot is four 32-bit words: buf_idx, len | flags << 16, ptr (two words).
import { abi } from 'ptnet';
import { kringNotify, type Memory, ringDistance, ringPrev, statAdd } from './memory.js';

const { KRING_BUFSIZE, KRING_HWCUR, KRING_HWTAIL, KRING_MAILTAIL, KRING_NBUFS, KRING_NSLOTS, KRING_PEER } = abi;
const { KRING_RHEAD, KRING_RING, NETMAP_RING_SLOT, NS_BUF_CHANGED, NS_MOREFRAG } = abi;
const { STAT_BAD_SLOT, STAT_BYTES, STAT_DROP_BAD_SLOT, STAT_PACKETS } = abi;

/** Sender: shows the peer the complete packets up to rhead. */
export function pipeTxsync(mem: Memory, kr: number, self: number): void {
  const { i32 } = mem;
  i32[(kr + KRING_HWTAIL) >>> 2] = Atomics.load(i32, (kr + KRING_MAILTAIL) >>> 2);
  const n = i32[(kr + KRING_NSLOTS) >>> 2];
  const head = i32[(kr + KRING_RHEAD) >>> 2];
  const k = i32[(kr + KRING_HWCUR) >>> 2];
  if (k === head) return;
  const slots = (i32[(kr + KRING_RING) >>> 2] + NETMAP_RING_SLOT) >>> 2;
  let end = head; // behind the last packet's end
  do {
    const last = ringPrev(end, n);
    if (((i32[slots + 4 * last + 1] >>> 16) & NS_MOREFRAG) === 0) break;
    end = last;
  } while (end !== k);
  i32[(kr + KRING_HWCUR) >>> 2] = head;
  if (end === k) return;
  const peer = i32[(kr + KRING_PEER) >>> 2];
  Atomics.store(i32, (peer + KRING_MAILTAIL) >>> 2, end);
  kringNotify(mem, peer, self);
}

/** Receiver: takes what the sender shows, and gives it back what the application has released. */
export function pipeRxsync(mem: Memory, kr: number, self: number): void {
  const { i32 } = mem;
  const peer = i32[(kr + KRING_PEER) >>> 2];
  const n = i32[(kr + KRING_NSLOTS) >>> 2];
  const tail = Atomics.load(i32, (kr + KRING_MAILTAIL) >>> 2);
  const hwtail = i32[(kr + KRING_HWTAIL) >>> 2];
  if (tail !== hwtail) take(mem, kr, peer, hwtail, ringDistance(hwtail, tail, n));
  const head = i32[(kr + KRING_RHEAD) >>> 2];
  const hwcur = i32[(kr + KRING_HWCUR) >>> 2];
  if (head === hwcur) return;
  giveBack(mem, kr, peer, hwcur, ringDistance(hwcur, head, n));
  i32[(kr + KRING_HWCUR) >>> 2] = head;
  Atomics.store(i32, (peer + KRING_MAILTAIL) >>> 2, ringPrev(head, n));
  kringNotify(mem, peer, self);
}

/** Copies `m` slots from slot `k` on of the sender's ring, and shows the application what ends with a packet's end. */
function take(mem: Memory, kr: number, peer: number, k: number, m: number): void {
  const { i32 } = mem;
  const n = i32[(kr + KRING_NSLOTS) >>> 2];
  const bufLimit = i32[(kr + KRING_NBUFS) >>> 2] - 2;
  const bufSize = i32[(kr + KRING_BUFSIZE) >>> 2];
  const txSlots = (i32[(peer + KRING_RING) >>> 2] + NETMAP_RING_SLOT) >>> 2;
  const rxSlots = (i32[(kr + KRING_RING) >>> 2] + NETMAP_RING_SLOT) >>> 2;
  let hwtail = n;
  let packets = 0;
  let bytes = 0;
  let bytesBefore = 0; // of fragments whose packet has not ended yet
  let bad = 0;
  let badBefore = 0;
  while (m !== 0) {
    const run = Math.min(m, n - k);
    let tx = txSlots + 4 * k;
    let rx = rxSlots + 4 * k;
    const end = tx + 4 * run;
    let lastEnd = 0;
    while (tx < end) {
      const idx = i32[tx];
      const w = i32[tx + 1]; // len and flags: read once
      const len = w & 0xffff;
      const flags = w >>> 16;
      if ((idx - 2) >>> 0 < bufLimit && len <= bufSize) {
        i32[rx] = idx;
        i32[rx + 1] = w;
        i32[rx + 2] = i32[tx + 2];
        i32[rx + 3] = i32[tx + 3];
        if (flags & NS_BUF_CHANGED) i32[tx + 1] = w & ~(NS_BUF_CHANGED << 16);
        bytesBefore += len;
      } else {
        i32[rx + 1] = (flags & NS_MOREFRAG) << 16;
        badBefore++;
      }
      tx += 4;
      rx += 4;
      if (flags & NS_MOREFRAG) continue;
      packets++;
      bytes += bytesBefore;
      bad += badBefore;
      bytesBefore = 0;
      badBefore = 0;
      lastEnd = tx;
    }
    m -= run;
    k = k + run === n ? 0 : k + run;
    if (lastEnd !== 0) {
      hwtail = (lastEnd - txSlots) >>> 2;
      if (hwtail === n) hwtail = 0;
    }
  }
  if (hwtail === n) return;
  i32[(kr + KRING_HWTAIL) >>> 2] = hwtail;
  statAdd(mem, kr, STAT_PACKETS, packets);
  statAdd(mem, kr, STAT_BYTES, bytes);
  if (bad !== 0) statAdd(mem, kr, STAT_DROP_BAD_SLOT, bad);
}

/** Copies `m` released slots from slot `k` on to the sender's ring, those that are not the same there. */
function giveBack(mem: Memory, kr: number, peer: number, k: number, m: number): void {
  const { i32 } = mem;
  const n = i32[(kr + KRING_NSLOTS) >>> 2];
  const bufLimit = i32[(kr + KRING_NBUFS) >>> 2] - 2;
  const bufSize = i32[(kr + KRING_BUFSIZE) >>> 2];
  const rxSlots = (i32[(kr + KRING_RING) >>> 2] + NETMAP_RING_SLOT) >>> 2;
  const txSlots = (i32[(peer + KRING_RING) >>> 2] + NETMAP_RING_SLOT) >>> 2;
  let bad = 0;
  while (m !== 0) {
    const run = Math.min(m, n - k);
    let rx = rxSlots + 4 * k;
    let tx = txSlots + 4 * k;
    const end = rx + 4 * run;
    for (; rx < end; rx += 4, tx += 4) {
      const idx = i32[rx];
      const w = i32[rx + 1];
      if (((idx ^ i32[tx]) | (w ^ i32[tx + 1])) === 0) continue;
      if ((idx - 2) >>> 0 < bufLimit && (w & 0xffff) <= bufSize) {
        i32[tx] = idx;
        i32[tx + 1] = w;
        i32[tx + 2] = i32[rx + 2];
        i32[tx + 3] = i32[rx + 3];
        if ((w >>> 16) & NS_BUF_CHANGED) i32[rx + 1] = w & ~(NS_BUF_CHANGED << 16);
      } else {
        bad++;
      }
    }
    m -= run;
    k = k + run === n ? 0 : k + run;
  }
  if (bad !== 0) statAdd(mem, kr, STAT_BAD_SLOT, bad);
}
