// assembly/ring/kring.ts in JavaScript: taking a ring, checking the application's indices, showing it the result.
import { abi } from 'ptnet';
import { type Memory, ringDistance } from './memory.js';

const { KRING_BUSY, KRING_HWCUR, KRING_HWTAIL, KRING_NSLOTS, KRING_RCUR, KRING_RHEAD, KRING_RING, KRING_RTAIL } = abi;
const { KRING_LOCKED, KRING_RUN, KRING_STOP, KRING_SYNCS, NETMAP_RING_TAIL, EBUSY, EIO } = abi;

export function kringRelease({ i32 }: Memory, kr: number): void {
  i32[(kr + KRING_SYNCS) >>> 2]++;
  Atomics.store(i32, (kr + KRING_BUSY) >>> 2, 0);
}

export function kringAcquire(mem: Memory, kr: number, tid: number): number {
  const { i32 } = mem;
  if (Atomics.compareExchange(i32, (kr + KRING_BUSY) >>> 2, 0, tid) !== 0) return -EBUSY;
  const stop = Atomics.load(i32, (kr + KRING_STOP) >>> 2);
  if (stop === KRING_RUN) return 0;
  kringRelease(mem, kr);
  return stop === KRING_LOCKED ? -EBUSY : -EIO;
}

export function indicesValid(head: number, cur: number, lo: number, hi: number, n: number): boolean {
  if (head >>> 0 >= n || cur >>> 0 >= n) return false;
  const space = ringDistance(lo, hi, n);
  const toCur = ringDistance(lo, cur, n);
  return toCur <= space && ringDistance(lo, head, n) <= toCur;
}

function accept({ i32 }: Memory, kr: number, head: number, cur: number, lo: number, hi: number): boolean {
  const n = i32[(kr + KRING_NSLOTS) >>> 2];
  if (!indicesValid(head, cur, i32[(kr + lo) >>> 2], i32[(kr + hi) >>> 2], n)) return false;
  i32[(kr + KRING_RHEAD) >>> 2] = head;
  i32[(kr + KRING_RCUR) >>> 2] = cur;
  return true;
}

export function txPrologue(mem: Memory, kr: number, head: number, cur: number): boolean {
  return accept(mem, kr, head, cur, KRING_RHEAD, KRING_RTAIL);
}

export function rxPrologue(mem: Memory, kr: number, head: number, cur: number): boolean {
  return accept(mem, kr, head, cur, KRING_HWCUR, KRING_HWTAIL);
}

export function kringFinalize({ i32 }: Memory, kr: number): void {
  const tail = i32[(kr + KRING_HWTAIL) >>> 2];
  i32[(kr + KRING_RTAIL) >>> 2] = tail;
  i32[(i32[(kr + KRING_RING) >>> 2] + NETMAP_RING_TAIL) >>> 2] = tail;
}
