// assembly/vale/lease.ts in JavaScript: leases of slots on a receiver's ring, published in order.
import { abi } from 'ptnet';
import { kringNotify, type Memory, notInTheBench, ringAdvance, ringDistance, ringNext } from './memory.js';

const { KRING_HWCUR, KRING_HWLEASE, KRING_LEASES, KRING_LEASE_HEAD, KRING_LEASE_TAIL, KRING_LOCK } = abi;
const { KRING_MAILTAIL, KRING_NSLOTS, LEASE_DONE, LEASE_END, LEASE_FREE, LEASE_OPEN, LEASE_OWNER } = abi;
const { LEASE_SIZE, LEASE_START, LEASE_STATE, THREAD_ID, THREAD_SPIN_LIMIT } = abi;

function tryLock({ i32 }: Memory, kr: number, self: number): boolean {
  return Atomics.compareExchange(i32, (kr + KRING_LOCK) >>> 2, 0, i32[(self + THREAD_ID) >>> 2]) === 0;
}

export function leaseLock(mem: Memory, kr: number, self: number): boolean {
  let spins = mem.i32[(self + THREAD_SPIN_LIMIT) >>> 2];
  while (!tryLock(mem, kr, self)) {
    if (spins === 0) return false;
    spins--;
  }
  return true;
}

export function leaseUnlock({ i32 }: Memory, kr: number): void {
  Atomics.store(i32, (kr + KRING_LOCK) >>> 2, 0);
}

/** Leases up to `needed` slots; the lock is held. Returns the lease's address, or 0 when the ring is full. */
export function leaseTake({ i32 }: Memory, kr: number, needed: number, self: number): number {
  const n = i32[(kr + KRING_NSLOTS) >>> 2];
  const start = i32[(kr + KRING_HWLEASE) >>> 2];
  const free = n - 1 - ringDistance(Atomics.load(i32, (kr + KRING_HWCUR) >>> 2), start, n);
  const k = Math.min(needed, free);
  if (k === 0) return 0;
  const i = i32[(kr + KRING_LEASE_TAIL) >>> 2];
  if (ringNext(i, n) === Atomics.load(i32, (kr + KRING_LEASE_HEAD) >>> 2)) return 0;
  const lease = i32[(kr + KRING_LEASES) >>> 2] + i * LEASE_SIZE;
  const end = ringAdvance(start, k, n);
  i32[(lease + LEASE_OWNER) >>> 2] = i32[(self + THREAD_ID) >>> 2];
  i32[(lease + LEASE_START) >>> 2] = start;
  i32[(lease + LEASE_END) >>> 2] = end;
  Atomics.store(i32, (lease + LEASE_STATE) >>> 2, LEASE_OPEN);
  i32[(kr + KRING_HWLEASE) >>> 2] = end;
  i32[(kr + KRING_LEASE_TAIL) >>> 2] = ringNext(i, n);
  return lease;
}

export function leaseComplete(mem: Memory, kr: number, lease: number, end: number, self: number): void {
  if (end !== mem.i32[(lease + LEASE_END) >>> 2]) notInTheBench(); // slots to give back
  Atomics.store(mem.i32, (lease + LEASE_STATE) >>> 2, LEASE_DONE);
  leasePublish(mem, kr, self);
}

export function leasePublish(mem: Memory, kr: number, self: number): void {
  const { i32 } = mem;
  const n = i32[(kr + KRING_NSLOTS) >>> 2];
  const leases = i32[(kr + KRING_LEASES) >>> 2];
  for (;;) {
    if (!tryLock(mem, kr, self)) return;
    const before = i32[(kr + KRING_MAILTAIL) >>> 2];
    const after = advance(mem, kr, n, leases);
    leaseUnlock(mem, kr);
    if (after !== before) kringNotify(mem, kr, self);
    const head = Atomics.load(i32, (kr + KRING_LEASE_HEAD) >>> 2);
    if (Atomics.load(i32, (leases + head * LEASE_SIZE + LEASE_STATE) >>> 2) !== LEASE_DONE) return;
  }
}

/** Moves the mailbox over the done leases; the lock is held. */
function advance({ i32 }: Memory, kr: number, n: number, leases: number): number {
  let tail = i32[(kr + KRING_MAILTAIL) >>> 2];
  let head = i32[(kr + KRING_LEASE_HEAD) >>> 2];
  const last = i32[(kr + KRING_LEASE_TAIL) >>> 2];
  while (head !== last) {
    const lease = leases + head * LEASE_SIZE;
    if (Atomics.load(i32, (lease + LEASE_STATE) >>> 2) !== LEASE_DONE) break;
    tail = i32[(lease + LEASE_END) >>> 2];
    Atomics.store(i32, (kr + KRING_MAILTAIL) >>> 2, tail);
    i32[(lease + LEASE_STATE) >>> 2] = LEASE_FREE;
    head = ringNext(head, n);
    Atomics.store(i32, (kr + KRING_LEASE_HEAD) >>> 2, head);
  }
  return tail;
}
