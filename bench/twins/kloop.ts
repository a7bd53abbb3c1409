// assembly/kloop in JavaScript, with the hypervisor's part of direct mode (src/threads/thread.ts, src/control/window.ts).
import { abi } from 'ptnet';
import {
  loopDue,
  type Memory,
  notInTheBench,
  ringDistance,
  ringPrev,
  statAdd,
  statAddShared,
  threadWake,
} from './memory.js';
import { kringAcquire, kringRelease, rxPrologue, txPrologue } from './ring.js';
import { kringSync } from './sync.js';

const { CSB_ATOK_APPL_NEED_KICK, CSB_ATOK_CUR, CSB_ATOK_HEAD, CSB_ENTRY_SIZE, CSB_KTOA_HWCUR } = abi;
const {
  CSB_KTOA_HWTAIL,
  CSB_KTOA_KERN_NEED_KICK,
  KLOOP_ATOK,
  KLOOP_BUDGET,
  KLOOP_EVENT,
  KLOOP_EVENT_REST,
  KLOOP_GUEST,
} = abi;
const { KLOOP_IRQS_ON, KLOOP_IRQ_PENDING, KLOOP_KTOA, KLOOP_MODE, KLOOP_MODE_BUSY, KLOOP_MODE_DIRECT } = abi;
const { KLOOP_MODE_NOTIFY, KLOOP_NRX, KLOOP_NTX, KLOOP_OWNER, KLOOP_PASSES, KLOOP_RUNNING, KLOOP_RX } = abi;
const { KLOOP_STATE, KLOOP_THREAD, KLOOP_TX, KRING_HWCUR, KRING_HWTAIL, KRING_NSLOTS, KRING_RHEAD } = abi;
const { KRING_RTAIL, KRING_SIZE, STAT_INTERRUPTS, STAT_KICKS, THREAD_ATTENTION, THREAD_ID } = abi;
const { THREAD_DUE, THREAD_LOOPS, THREAD_NLOOPS, THREAD_PASSES } = abi;

const MORE = 1;
const MOVED = 2;
/** Not a result of an activation: there was none. */
const MAX_ROUNDS = 64;
const DOORBELLS = 32;

function publish({ i32 }: Memory, kr: number, ktoa: number): void {
  i32[(ktoa + CSB_KTOA_HWCUR) >>> 2] = i32[(kr + KRING_HWCUR) >>> 2];
  Atomics.store(i32, (ktoa + CSB_KTOA_HWTAIL) >>> 2, i32[(kr + KRING_HWTAIL) >>> 2]);
}

function interruptWanted({ i32 }: Memory, loop: number, atok: number): boolean {
  return i32[(loop + KLOOP_IRQS_ON) >>> 2] !== 0 && Atomics.load(i32, (atok + CSB_ATOK_APPL_NEED_KICK) >>> 2) !== 0;
}

function raise(mem: Memory, loop: number, kr: number, vector: number): void {
  const { i32 } = mem;
  statAdd(mem, kr, STAT_INTERRUPTS, 1);
  Atomics.or(i32, (loop + KLOOP_IRQ_PENDING) >>> 2, 1 << vector);
  const guest = i32[(loop + KLOOP_GUEST) >>> 2];
  Atomics.store(i32, (guest + THREAD_ATTENTION) >>> 2, 1);
  threadWake(mem, guest);
}

function txActivation(mem: Memory, loop: number, kr: number, at: number, to: number, vector: number, self: number) {
  const { i32 } = mem;
  const n = i32[(kr + KRING_NSLOTS) >>> 2];
  const mode = i32[(loop + KLOOP_MODE) >>> 2];
  let budget = i32[(loop + KLOOP_BUDGET) >>> 2];
  let result = 0;
  let more = false;
  if (mode !== KLOOP_MODE_DIRECT) Atomics.store(i32, (to + CSB_KTOA_KERN_NEED_KICK) >>> 2, 0);
  let head = Atomics.load(i32, (at + CSB_ATOK_HEAD) >>> 2);
  let cur = Atomics.load(i32, (at + CSB_ATOK_CUR) >>> 2);
  for (;;) {
    const rhead = i32[(kr + KRING_RHEAD) >>> 2];
    if (head >>> 0 < n && ringDistance(rhead, head, n) > budget) notInTheBench();
    if (!txPrologue(mem, kr, head, cur)) notInTheBench();
    const moved = ringDistance(rhead, head, n);
    if (moved !== 0) result |= MOVED;
    budget -= moved;
    kringSync(mem, kr, self);
    const hwtail = i32[(kr + KRING_HWTAIL) >>> 2];
    publish(mem, kr, to);
    if (i32[(kr + KRING_RTAIL) >>> 2] !== hwtail) {
      i32[(kr + KRING_RTAIL) >>> 2] = hwtail;
      more = true;
    }
    if (more && interruptWanted(mem, loop, at)) {
      raise(mem, loop, kr, vector);
      more = false;
    }
    if (budget === 0) {
      result |= MORE;
      break;
    }
    head = Atomics.load(i32, (at + CSB_ATOK_HEAD) >>> 2);
    cur = Atomics.load(i32, (at + CSB_ATOK_CUR) >>> 2);
    if (head === i32[(kr + KRING_RHEAD) >>> 2]) {
      if (mode !== KLOOP_MODE_NOTIFY) break;
      notInTheBench();
    }
    if (i32[(kr + KRING_RHEAD) >>> 2] === hwtail) break;
  }
  if (more && interruptWanted(mem, loop, at)) raise(mem, loop, kr, vector);
  return result;
}

function rxActivation(mem: Memory, loop: number, kr: number, at: number, to: number, vector: number, self: number) {
  const { i32 } = mem;
  const n = i32[(kr + KRING_NSLOTS) >>> 2];
  const mode = i32[(loop + KLOOP_MODE) >>> 2];
  const budget = i32[(loop + KLOOP_BUDGET) >>> 2];
  let done = 0;
  let result = 0;
  let some = false;
  let dry = 0;
  if (mode !== KLOOP_MODE_DIRECT) Atomics.store(i32, (to + CSB_KTOA_KERN_NEED_KICK) >>> 2, 0);
  let head = Atomics.load(i32, (at + CSB_ATOK_HEAD) >>> 2);
  let cur = Atomics.load(i32, (at + CSB_ATOK_CUR) >>> 2);
  for (;;) {
    const rhead = i32[(kr + KRING_RHEAD) >>> 2];
    if (!rxPrologue(mem, kr, head, cur)) notInTheBench();
    kringSync(mem, kr, self);
    const hwtail = i32[(kr + KRING_HWTAIL) >>> 2];
    publish(mem, kr, to);
    const rtail = i32[(kr + KRING_RTAIL) >>> 2];
    const moved = ringDistance(rhead, head, n) + ringDistance(rtail, hwtail, n);
    if (moved !== 0) result |= MOVED;
    done += moved;
    if (rtail !== hwtail) {
      i32[(kr + KRING_RTAIL) >>> 2] = hwtail;
      some = true;
      dry = 0;
    } else {
      dry++;
    }
    if (some && interruptWanted(mem, loop, at)) {
      raise(mem, loop, kr, vector);
      some = false;
    }
    if (done >= budget) {
      result |= MORE;
      break;
    }
    head = Atomics.load(i32, (at + CSB_ATOK_HEAD) >>> 2);
    cur = Atomics.load(i32, (at + CSB_ATOK_CUR) >>> 2);
    if (head !== i32[(kr + KRING_RHEAD) >>> 2]) continue;
    if (hwtail === head) break;
    if (mode !== KLOOP_MODE_NOTIFY) break;
    if (hwtail !== ringPrev(head, n) && dry < 2) continue;
    notInTheBench();
  }
  if (some && interruptWanted(mem, loop, at)) raise(mem, loop, kr, vector);
  return result;
}

/** One activation of ring `vector` (tx rings first). */
function runRing(mem: Memory, loop: number, vector: number, ntx: number, self: number): number {
  const { i32 } = mem;
  const tx = vector < ntx;
  const kr = i32[(loop + (tx ? KLOOP_TX : KLOOP_RX)) >>> 2] + (tx ? vector : vector - ntx) * KRING_SIZE;
  if (kringAcquire(mem, kr, i32[(self + THREAD_ID) >>> 2]) !== 0) return 0;
  const at = i32[(loop + KLOOP_ATOK) >>> 2] + vector * CSB_ENTRY_SIZE;
  const to = i32[(loop + KLOOP_KTOA) >>> 2] + vector * CSB_ENTRY_SIZE;
  const run = tx ? txActivation : rxActivation;
  const result = run(mem, loop, kr, at, to, vector, self);
  kringRelease(mem, kr);
  return result;
}

/** The bit of ring `i` of a loop in its event word. */
const ringEvent = (i: number): number => 1 << Math.min(i, KLOOP_EVENT_REST);

/** The next pass has these events of the loop. */
function again(mem: Memory, loop: number, events: number, self: number): void {
  Atomics.or(mem.i32, (loop + KLOOP_EVENT) >>> 2, events);
  loopDue(mem, loop, self);
}

/** Activates the rings of a loop that `events` names, tx first. */
function activate(mem: Memory, loop: number, events: number, self: number): number {
  const { i32 } = mem;
  const owner = (loop + KLOOP_OWNER) >>> 2;
  if (Atomics.compareExchange(i32, owner, 0, i32[(self + THREAD_ID) >>> 2]) !== 0) {
    again(mem, loop, events, self);
    return MORE;
  }
  let result = 0;
  if (Atomics.load(i32, (loop + KLOOP_STATE) >>> 2) === KLOOP_RUNNING) {
    const ntx = i32[(loop + KLOOP_NTX) >>> 2];
    const rings = ntx + i32[(loop + KLOOP_NRX) >>> 2];
    let more = 0;
    for (let i = 0; i < rings; i++) {
      const bit = ringEvent(i);
      if ((events & bit) === 0) continue;
      const r = runRing(mem, loop, i, ntx, self);
      if (r & MORE) more |= bit;
      result |= r;
    }
    if (more !== 0) again(mem, loop, more, self);
    i32[(loop + KLOOP_PASSES) >>> 2]++;
  }
  Atomics.store(i32, owner, 0);
  return result;
}

function kloopRun(mem: Memory, loop: number, self: number): boolean {
  const { i32 } = mem;
  if (Atomics.load(i32, (loop + KLOOP_STATE) >>> 2) !== KLOOP_RUNNING) return false;
  const busy = i32[(loop + KLOOP_MODE) >>> 2] === KLOOP_MODE_BUSY;
  let events = -1;
  if (!busy) {
    if (Atomics.load(i32, (loop + KLOOP_EVENT) >>> 2) === 0) return false;
    events = Atomics.exchange(i32, (loop + KLOOP_EVENT) >>> 2, 0);
  }
  const result = activate(mem, loop, events, self);
  return busy ? result !== 0 : true;
}

function kloopPass(mem: Memory, self: number): number {
  const { i32 } = mem;
  const n = Atomics.load(i32, (self + THREAD_NLOOPS) >>> 2);
  const passes = (self + THREAD_PASSES) >>> 2; // odd in a pass
  let worked = 0;
  i32[(self + THREAD_DUE) >>> 2] = 0; // this pass looks at all of them
  Atomics.store(i32, passes, i32[passes] + 1);
  for (let i = 0; i < n; i++) {
    const loop = Atomics.load(i32, (self + THREAD_LOOPS + 4 * i) >>> 2);
    if (loop !== 0 && kloopRun(mem, loop, self)) worked++;
  }
  Atomics.store(i32, passes, i32[passes] + 1);
  return worked;
}

/** Interrupts go to `handler`, as a hypervisor delivers them. */
function service(mem: Memory, self: number, handler: (vector: number) => void): void {
  const { i32 } = mem;
  let rounds = 0;
  for (; rounds < MAX_ROUNDS; rounds++) {
    const loops = i32[(self + THREAD_NLOOPS) >>> 2];
    const worked = loops === 0 ? 0 : kloopPass(mem, self);
    if (i32[(self + THREAD_ATTENTION) >>> 2] === 0) {
      if (worked === 0) break;
      continue;
    }
    Atomics.store(i32, (self + THREAD_ATTENTION) >>> 2, 0);
    for (let i = 0; i < loops; i++) {
      const loop = i32[(self + THREAD_LOOPS + 4 * i) >>> 2];
      const word = (loop + KLOOP_IRQ_PENDING) >>> 2;
      if (Atomics.load(i32, (loop + KLOOP_GUEST) >>> 2) !== self || i32[word] === 0) continue;
      for (let pending = Atomics.exchange(i32, word, 0); pending !== 0; pending &= pending - 1) {
        handler(31 - Math.clz32(pending & -pending));
      }
    }
  }
  if (rounds === MAX_ROUNDS) threadWake(mem, self);
}

/** The kring of ring `i` of a loop, 0 = there is none. */
function ringOf({ i32 }: Memory, loop: number, i: number): number {
  const ntx = i32[(loop + KLOOP_NTX) >>> 2];
  if (i < ntx) return i32[(loop + KLOOP_TX) >>> 2] + i * KRING_SIZE;
  return i - ntx < i32[(loop + KLOOP_NRX) >>> 2] ? i32[(loop + KLOOP_RX) >>> 2] + (i - ntx) * KRING_SIZE : 0;
}

function kick(mem: Memory, loop: number, i: number, self: number): void {
  const { i32 } = mem;
  const kr = ringOf(mem, loop, i);
  if (kr === 0) return;
  statAddShared(mem, kr, STAT_KICKS, 1);
  Atomics.or(i32, (loop + KLOOP_EVENT) >>> 2, ringEvent(i));
  const thread = Atomics.load(i32, (loop + KLOOP_THREAD) >>> 2);
  if (thread === self) loopDue(mem, loop, self);
  else if (thread !== 0) threadWake(mem, thread);
}

/** Activates the ring at once if its loop runs in this thread; an event that others have set stays. True: that was all. */
function activateKicked(mem: Memory, loop: number, i: number, self: number): boolean {
  const { i32 } = mem;
  const direct = i32[(loop + KLOOP_MODE) >>> 2] === KLOOP_MODE_DIRECT;
  if (!direct || Atomics.load(i32, (loop + KLOOP_THREAD) >>> 2) !== self) {
    kick(mem, loop, i, self);
    return false;
  }
  const kr = ringOf(mem, loop, i);
  if (kr === 0) return true;
  statAddShared(mem, kr, STAT_KICKS, 1);
  activate(mem, loop, ringEvent(i), self);
  return i32[(self + THREAD_DUE) >>> 2] === 0;
}

let doorbells = 0;

/** The guest writes a doorbell register: the loop runs here and now, and what others left to the thread not every time. */
export function doorbell(mem: Memory, loop: number, i: number, self: number, handler: (vector: number) => void): void {
  if (++doorbells % DOORBELLS !== 0) {
    const done = activateKicked(mem, loop, i, self);
    if (done && mem.i32[(self + THREAD_ATTENTION) >>> 2] === 0) return;
  } else {
    kick(mem, loop, i, self);
  }
  service(mem, self, handler);
}
