// assembly/port/pipe.ts in JavaScript. A slot is four 32-bit words: buf_idx, len | flags << 16, ptr (two words).
import { abi } from 'ptnet';
import { kringNotify, type Memory, ringDistance, ringPrev, statAdd } from './memory.js';

const { KRING_BUFSIZE, KRING_HWCUR, KRING_HWTAIL, KRING_MAILTAIL, KRING_NBUFS, KRING_NSLOTS, KRING_PEER } = abi;
const { KRING_RHEAD, KRING_RING, NETMAP_RING_SLOT, NS_BUF_CHANGED, NS_MOREFRAG } = abi;
const { STAT_BAD_SLOT, STAT_BYTES, STAT_PACKETS } = abi;

export function pipeTxsync(mem: Memory, kr: number, self: number): void {
  const { i32 } = mem;
  i32[(kr + KRING_HWTAIL) >>> 2] = Atomics.load(i32, (kr + KRING_MAILTAIL) >>> 2);
  const n = i32[(kr + KRING_NSLOTS) >>> 2];
  const head = i32[(kr + KRING_RHEAD) >>> 2];
  let k = i32[(kr + KRING_HWCUR) >>> 2];
  let m = ringDistance(k, head, n);
  if (m === 0) return;
  const peer = i32[(kr + KRING_PEER) >>> 2];
  const bufLimit = i32[(kr + KRING_NBUFS) >>> 2] - 2;
  const bufSize = i32[(kr + KRING_BUFSIZE) >>> 2];
  const txSlots = (i32[(kr + KRING_RING) >>> 2] + NETMAP_RING_SLOT) >>> 2;
  const rxSlots = (i32[(peer + KRING_RING) >>> 2] + NETMAP_RING_SLOT) >>> 2;
  let published = n;
  let packets = 0;
  let bytes = 0;
  let bad = 0;
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
        bytes += len;
      } else {
        i32[rx + 1] = (flags & NS_MOREFRAG) << 16;
        bad++;
      }
      tx += 4;
      rx += 4;
      if ((flags & NS_MOREFRAG) === 0) {
        packets++;
        lastEnd = tx;
      }
    }
    m -= run;
    k = k + run === n ? 0 : k + run;
    if (lastEnd !== 0) {
      published = (lastEnd - txSlots) >>> 2;
      if (published === n) published = 0;
    }
  }
  i32[(kr + KRING_HWCUR) >>> 2] = head;
  statAdd(mem, kr, STAT_PACKETS, packets);
  statAdd(mem, kr, STAT_BYTES, bytes);
  if (bad !== 0) statAdd(mem, kr, STAT_BAD_SLOT, bad);
  if (published !== n) {
    Atomics.store(i32, (peer + KRING_MAILTAIL) >>> 2, published);
    kringNotify(mem, peer, self);
  }
}

export function pipeRxsync(mem: Memory, kr: number, self: number): void {
  const { i32 } = mem;
  i32[(kr + KRING_HWTAIL) >>> 2] = Atomics.load(i32, (kr + KRING_MAILTAIL) >>> 2);
  const n = i32[(kr + KRING_NSLOTS) >>> 2];
  const head = i32[(kr + KRING_RHEAD) >>> 2];
  let k = i32[(kr + KRING_HWCUR) >>> 2];
  let m = ringDistance(k, head, n);
  if (m === 0) return;
  const peer = i32[(kr + KRING_PEER) >>> 2];
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
    while (rx < end) {
      const idx = i32[rx];
      const w = i32[rx + 1];
      if ((idx - 2) >>> 0 < bufLimit && (w & 0xffff) <= bufSize) {
        i32[tx] = idx;
        i32[tx + 1] = w;
        i32[tx + 2] = i32[rx + 2];
        i32[tx + 3] = i32[rx + 3];
        if ((w >>> 16) & NS_BUF_CHANGED) i32[rx + 1] = w & ~(NS_BUF_CHANGED << 16);
      } else {
        bad++;
      }
      rx += 4;
      tx += 4;
    }
    m -= run;
    k = k + run === n ? 0 : k + run;
  }
  i32[(kr + KRING_HWCUR) >>> 2] = head;
  if (bad !== 0) statAdd(mem, kr, STAT_BAD_SLOT, bad);
  Atomics.store(i32, (peer + KRING_MAILTAIL) >>> 2, ringPrev(head, n));
  kringNotify(mem, peer, self);
}
