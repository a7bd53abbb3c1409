// assembly/sync and the guest driver (assembly/csb, assembly/ptnet) in JavaScript.
import { abi } from 'ptnet';
import { kringNotify, type Memory, notInTheBench, statAdd } from './memory.js';
import { pipeRxsync, pipeTxsync } from './pipe.js';
import { indicesValid, kringAcquire, kringFinalize, kringRelease, rxPrologue, txPrologue } from './ring.js';
import { valeRxsync, valeTxsync } from './vale.js';

const {
  EBUSY,
  KRING_CONTENDED,
  KRING_DIR,
  KRING_KIND,
  KRING_RING,
  NR_TX,
  PORT_KIND_PIPE,
  PORT_KIND_VALE,
  STAT_SYNCS,
  THREAD_ID,
} = abi;
const { CSB_ATOK_APPL_NEED_KICK, CSB_ATOK_CUR, CSB_ATOK_HEAD, CSB_ATOK_SYNC_FLAGS, CSB_KTOA_HWCUR } = abi;
const { CSB_KTOA_HWTAIL, CSB_KTOA_KERN_NEED_KICK, NAF_FORCE_RECLAIM } = abi;
const { GKRING_ATOK, GKRING_HWCUR, GKRING_HWTAIL, GKRING_IRQ_OFF, GKRING_KTOA, GKRING_NSLOTS, GKRING_RCUR } = abi;
const { GKRING_RHEAD, GKRING_RING, GKRING_RTAIL, NETMAP_RING_CUR, NETMAP_RING_HEAD, NETMAP_RING_TAIL } = abi;

export function kringSync(mem: Memory, kr: number, self: number): void {
  const { i32 } = mem;
  const kind = i32[(kr + KRING_KIND) >>> 2];
  statAdd(mem, kr, STAT_SYNCS, 1);
  if (i32[(kr + KRING_DIR) >>> 2] === NR_TX) {
    if (kind === PORT_KIND_PIPE) pipeTxsync(mem, kr, self);
    else if (kind === PORT_KIND_VALE) valeTxsync(mem, kr, self);
  } else {
    if (kind === PORT_KIND_PIPE) pipeRxsync(mem, kr, self);
    else if (kind === PORT_KIND_VALE) valeRxsync(mem, kr);
  }
}

/** One ring of NIOCTXSYNC or NIOCRXSYNC: 0 or a negative errno. */
export function ringSync(mem: Memory, kr: number, self: number): number {
  const { i32 } = mem;
  let error = kringAcquire(mem, kr, i32[(self + THREAD_ID) >>> 2]);
  if (error === -EBUSY) {
    Atomics.store(i32, (kr + KRING_CONTENDED) >>> 2, 1);
    error = kringAcquire(mem, kr, i32[(self + THREAD_ID) >>> 2]);
  }
  if (error !== 0) return error;
  const ring = i32[(kr + KRING_RING) >>> 2];
  if (ring === 0) notInTheBench();
  const head = i32[(ring + NETMAP_RING_HEAD) >>> 2];
  const cur = i32[(ring + NETMAP_RING_CUR) >>> 2];
  const tx = i32[(kr + KRING_DIR) >>> 2] === NR_TX;
  if (!(tx ? txPrologue(mem, kr, head, cur) : rxPrologue(mem, kr, head, cur))) notInTheBench(); // reinit
  kringSync(mem, kr, self);
  kringFinalize(mem, kr);
  release(mem, kr, self);
  return 0;
}

/** Lets go of the ring, and then wakes whoever came in vain. */
function release(mem: Memory, kr: number, self: number): void {
  kringRelease(mem, kr);
  if (Atomics.load(mem.i32, (kr + KRING_CONTENDED) >>> 2) === 0) return;
  Atomics.store(mem.i32, (kr + KRING_CONTENDED) >>> 2, 0);
  kringNotify(mem, kr, self);
}

function fetch({ i32 }: Memory, gk: number): void {
  const ktoa = i32[(gk + GKRING_KTOA) >>> 2];
  i32[(gk + GKRING_HWTAIL) >>> 2] = Atomics.load(i32, (ktoa + CSB_KTOA_HWTAIL) >>> 2);
  i32[(gk + GKRING_HWCUR) >>> 2] = Atomics.load(i32, (ktoa + CSB_KTOA_HWCUR) >>> 2);
}

function prologue({ i32 }: Memory, gk: number): void {
  const ring = i32[(gk + GKRING_RING) >>> 2];
  const head = i32[(ring + NETMAP_RING_HEAD) >>> 2];
  const cur = i32[(ring + NETMAP_RING_CUR) >>> 2];
  const lo = i32[(gk + GKRING_RHEAD) >>> 2];
  const hi = i32[(gk + GKRING_RTAIL) >>> 2];
  if (!indicesValid(head, cur, lo, hi, i32[(gk + GKRING_NSLOTS) >>> 2])) notInTheBench();
  i32[(gk + GKRING_RHEAD) >>> 2] = head;
  i32[(gk + GKRING_RCUR) >>> 2] = cur;
}

/** cur == tail: asks for an interrupt and looks once more. */
function arm(mem: Memory, gk: number, atok: number): void {
  const { i32 } = mem;
  const cur = i32[(gk + GKRING_RCUR) >>> 2];
  if (cur !== i32[(gk + GKRING_HWTAIL) >>> 2] || i32[(gk + GKRING_IRQ_OFF) >>> 2] !== 0) return;
  Atomics.store(i32, (atok + CSB_ATOK_APPL_NEED_KICK) >>> 2, 1);
  fetch(mem, gk);
  if (cur !== i32[(gk + GKRING_HWTAIL) >>> 2]) Atomics.store(i32, (atok + CSB_ATOK_APPL_NEED_KICK) >>> 2, 0);
}

function finalize({ i32 }: Memory, gk: number): void {
  const tail = i32[(gk + GKRING_HWTAIL) >>> 2];
  i32[(gk + GKRING_RTAIL) >>> 2] = tail;
  i32[(i32[(gk + GKRING_RING) >>> 2] + NETMAP_RING_TAIL) >>> 2] = tail;
}

function noInterrupt(i32: Int32Array, word: number): void {
  if (i32[word] !== 0) Atomics.store(i32, word, 0);
}

/** The end of a sync whose doorbell was rung. */
function kicked(mem: Memory, gk: number, atok: number): void {
  fetch(mem, gk);
  arm(mem, gk, atok);
  finalize(mem, gk);
}

/** txsync of a guest's ring; `kick` rings its doorbell. */
export function ptnetTxsync(mem: Memory, gk: number, flags: number, kick: () => void): void {
  const { i32 } = mem;
  prologue(mem, gk);
  const atok = i32[(gk + GKRING_ATOK) >>> 2];
  const ktoa = i32[(gk + GKRING_KTOA) >>> 2];
  const head = i32[(gk + GKRING_RHEAD) >>> 2];
  const cur = i32[(gk + GKRING_RCUR) >>> 2];
  noInterrupt(i32, (atok + CSB_ATOK_APPL_NEED_KICK) >>> 2);
  const hwcur = Atomics.load(i32, (ktoa + CSB_KTOA_HWCUR) >>> 2);
  i32[(atok + CSB_ATOK_CUR) >>> 2] = cur;
  Atomics.store(i32, (atok + CSB_ATOK_HEAD) >>> 2, head);
  const full = cur === i32[(gk + GKRING_HWTAIL) >>> 2];
  const wanted = (head !== hwcur || full) && Atomics.load(i32, (ktoa + CSB_KTOA_KERN_NEED_KICK) >>> 2) !== 0;
  if (wanted || (flags & NAF_FORCE_RECLAIM) !== 0) {
    i32[(atok + CSB_ATOK_SYNC_FLAGS) >>> 2] = flags;
    kick();
    kicked(mem, gk, atok);
    return;
  }
  if (full) fetch(mem, gk);
  arm(mem, gk, atok);
  finalize(mem, gk);
}

export function ptnetRxsync(mem: Memory, gk: number, flags: number, kick: () => void): void {
  const { i32 } = mem;
  prologue(mem, gk);
  const atok = i32[(gk + GKRING_ATOK) >>> 2];
  const ktoa = i32[(gk + GKRING_KTOA) >>> 2];
  const head = i32[(gk + GKRING_RHEAD) >>> 2];
  const cur = i32[(gk + GKRING_RCUR) >>> 2];
  noInterrupt(i32, (atok + CSB_ATOK_APPL_NEED_KICK) >>> 2);
  fetch(mem, gk);
  const release = head !== i32[(gk + GKRING_HWCUR) >>> 2];
  if (release) {
    i32[(atok + CSB_ATOK_CUR) >>> 2] = cur;
    Atomics.store(i32, (atok + CSB_ATOK_HEAD) >>> 2, head);
  }
  const empty = cur === i32[(gk + GKRING_HWTAIL) >>> 2];
  if ((release || empty) && Atomics.load(i32, (ktoa + CSB_KTOA_KERN_NEED_KICK) >>> 2) !== 0) {
    i32[(atok + CSB_ATOK_SYNC_FLAGS) >>> 2] = flags;
    kick();
    kicked(mem, gk, atok);
    return;
  }
  arm(mem, gk, atok);
  finalize(mem, gk);
}
