// One pass of a thread over the loops that it serves. Kicks and port notifications are level-like: they set the loop's
// event word, and the pass then activates the rings that it names, tx first.
//
// Which loops a pass looks at is the thread's own affair: those that it has marked itself, and all of them once somebody
// else has added to its waiter word, as everybody does after setting an event (tests/model/pass.pml). So what a kick costs
// does not depend on how many loops the thread serves (npm run bench scaling).
import {
  KLOOP_EVENT,
  KLOOP_EVENT_ALL,
  KLOOP_EVENT_REST,
  KLOOP_MODE,
  KLOOP_MODE_BUSY,
  KLOOP_MODE_DIRECT,
  KLOOP_MODE_POLL,
  KLOOP_NRX,
  KLOOP_NTX,
  KLOOP_OWNER,
  KLOOP_PASSES,
  KLOOP_RUNNING,
  KLOOP_RX,
  KLOOP_SEEN,
  KLOOP_STATE,
  KLOOP_THREAD,
  KLOOP_TX,
  KLOOP_WATCHES,
  KRING_SIZE,
  STAT_KICKS,
  THREAD_DUE,
  THREAD_ID,
  THREAD_LOOKED,
  THREAD_LOOPS,
  THREAD_NLOOPS,
  THREAD_PASSES,
  THREAD_SEQ,
} from '../abi/arena';
import { loopDue, threadWake } from '../ring/notify';
import { statAddShared } from '../stats/counters';
import { pollRing } from '../sync/poll';
import { ACTIVATION_MORE, ACTIVATION_MOVED, kloopRxRing, kloopTxRing } from './ring';

/** A place behind all those that a bit of THREAD_DUE can be for. */
const NONE: u32 = 64;

/** Activates the loops of thread `self` that have an event pending. Returns how many had something to do. */
export function kloopPass(self: usize): u32 {
  const seq = atomic.load<u32>(self, THREAD_SEQ); // before the list: who adds a loop to it wakes afterwards
  const n = atomic.load<u32>(self, THREAD_NLOOPS);
  if (n == 0) return 0;
  if (seq != load<u32>(self, THREAD_LOOKED)) {
    store<u32>(self, seq, THREAD_LOOKED); // from before the look
    store<u64>(self, n < NONE ? ((<u64>1) << n) - 1 : u64.MAX_VALUE, THREAD_DUE);
  } else if (load<u64>(self, THREAD_DUE) == 0) {
    return 0;
  }
  let worked: u32 = 0;
  // Pairs with the control thread, which takes a loop out of the list and then waits for passes that may have seen it.
  atomic.store<u32>(self, load<u32>(self, THREAD_PASSES) + 1, THREAD_PASSES);
  for (let bit = takeDue(self, 0, n); bit < NONE; bit = takeDue(self, bit + 1, n)) {
    for (let i = bit; i < n; i += NONE) {
      const loop: usize = atomic.load<u32>(self + ((<usize>i) << 2), THREAD_LOOPS); // it may have been taken out by now
      if (loop != 0 && kloopRun(loop, self)) worked++;
    }
  }
  atomic.store<u32>(self, load<u32>(self, THREAD_PASSES) + 1, THREAD_PASSES);
  return worked;
}

/**
 * The first bit of THREAD_DUE, from bit `from` on, for a loop that has an event pending, or does not wait for events of its
 * own. Clears it, and those before it; NONE: there is none. Without calls: when all loops are due, it looks at all of them.
 */
function takeDue(self: usize, from: u32, n: u32): u32 {
  if (from >= NONE) return NONE;
  const due = load<u64>(self, THREAD_DUE);
  let left = (due >> from) << from;
  const before = due ^ left; // became due after their turn: for the next pass
  while (left != 0) {
    const bit = <u32>ctz<u64>(left);
    left &= left - 1;
    for (let i = bit; i < n; i += NONE) {
      const loop: usize = atomic.load<u32>(self + ((<usize>i) << 2), THREAD_LOOPS);
      if (loop == 0) continue;
      if (!isDue(loop)) continue;
      store<u64>(self, before | left, THREAD_DUE);
      return bit;
    }
  }
  store<u64>(self, before, THREAD_DUE);
  return NONE;
}

function isDue(loop: usize): bool {
  if (atomic.load<u32>(loop, KLOOP_EVENT) != 0 || load<u32>(loop, KLOOP_WATCHES) != 0) return true;
  return isBusy(load<u32>(loop, KLOOP_MODE));
}

function isBusy(mode: u32): bool {
  return mode == KLOOP_MODE_BUSY || mode == KLOOP_MODE_POLL;
}

/** One round over the rings of a loop. True when it is worth coming back soon. */
export function kloopRun(loop: usize, self: usize): bool {
  if (atomic.load<u32>(loop, KLOOP_STATE) != KLOOP_RUNNING) return false;
  const mode = load<u32>(loop, KLOOP_MODE);
  const busy = isBusy(mode);
  if (busy || load<u32>(loop, KLOOP_WATCHES) != 0) loopDue(loop, self); // in each pass
  let events: u32 = KLOOP_EVENT_ALL;
  if (!busy) {
    events = atomic.load<u32>(loop, KLOOP_EVENT);
    if (events != 0) {
      events = atomic.xchg<u32>(loop, 0, KLOOP_EVENT); // before looking at the rings: what comes later sets it again
      if (load<u32>(loop, KLOOP_WATCHES) != 0) events = KLOOP_EVENT_ALL;
    } else {
      if (load<u32>(loop, KLOOP_WATCHES) == 0 || !watchedEvent(loop, self)) return false;
      events = KLOOP_EVENT_ALL;
    }
  }
  const result = activate(loop, mode, events, self);
  return busy ? result != 0 : true;
}

/**
 * Activates the rings of a loop that `events` names, tx first. If another thread is at it, the next pass has them; who leaves
 * the loop wakes nobody, so that counts as more to do, and the thread does not sleep meanwhile.
 */
function activate(loop: usize, mode: u32, events: u32, self: usize): u32 {
  if (atomic.cmpxchg<u32>(loop, 0, load<u32>(self, THREAD_ID), KLOOP_OWNER) != 0) {
    again(loop, events, self);
    return ACTIVATION_MORE;
  }
  let result: u32 = 0;
  // Pairs with STOP, which changes the state and then waits for the owner to leave.
  if (atomic.load<u32>(loop, KLOOP_STATE) == KLOOP_RUNNING) {
    const ntx = load<u32>(loop, KLOOP_NTX);
    if (mode == KLOOP_MODE_POLL) result = pollRings(loop, ntx, self);
    else {
      const rings = ntx + load<u32>(loop, KLOOP_NRX);
      let more: u32 = 0;
      for (let i: u32 = 0; i < rings; i++) {
        const bit = ringEvent(i);
        if ((events & bit) == 0) continue;
        const r = i < ntx ? kloopTxRing(loop, i, self) : kloopRxRing(loop, i - ntx, self);
        if (r & ACTIVATION_MORE) more |= bit;
        result |= r;
      }
      if (more != 0) again(loop, more, self);
    }
    store<u32>(loop, load<u32>(loop, KLOOP_PASSES) + 1, KLOOP_PASSES);
  }
  atomic.store<u32>(loop, 0, KLOOP_OWNER);
  return result;
}

/** The bit of ring `i` of a loop in its event word. */
function ringEvent(i: u32): u32 {
  return 1 << min(i, <u32>KLOOP_EVENT_REST);
}

/** The kring of ring `i` of a loop, 0 = there is none. */
function ringOf(loop: usize, i: u32): usize {
  const ntx = load<u32>(loop, KLOOP_NTX);
  if (i < ntx) return <usize>load<u32>(loop, KLOOP_TX) + <usize>i * KRING_SIZE;
  i -= ntx;
  return i < load<u32>(loop, KLOOP_NRX) ? <usize>load<u32>(loop, KLOOP_RX) + <usize>i * KRING_SIZE : 0;
}

/** The next pass has these events of the loop. */
function again(loop: usize, events: u32, self: usize): void {
  atomic.or<u32>(loop, events, KLOOP_EVENT);
  loopDue(loop, self);
}

/** A monitor's loop: whether the thread was woken since the last look, maybe by what has come for the watched rings. */
function watchedEvent(loop: usize, self: usize): bool {
  const seq = atomic.load<u32>(self, THREAD_SEQ);
  if (seq == load<u32>(loop, KLOOP_SEEN)) return false;
  store<u32>(loop, seq, KLOOP_SEEN); // before looking at the rings
  return true;
}

function pollRings(loop: usize, ntx: u32, self: usize): u32 {
  let kr: usize = load<u32>(loop, KLOOP_TX);
  let result: u32 = 0;
  for (let i: u32 = 0; i < ntx; i++, kr += KRING_SIZE) if (pollRing(kr, self)) result = ACTIVATION_MOVED;
  return result;
}

/**
 * A doorbell write by thread `self` for ring `i` (tx rings first) of a loop that runs in the thread that rings: activates the
 * ring at once. True: that was all. False: the loop is another thread's, or the thread's next pass has something to do.
 *
 * An event that others have set stays for that pass: as long as it is set, they need not set it again (kringNotify), and what
 * two threads that poll both write to is the lines of the ring.
 */
export function kloopDoorbell(loop: usize, i: u32, self: usize): bool {
  if (load<u32>(loop, KLOOP_MODE) != KLOOP_MODE_DIRECT || <usize>atomic.load<u32>(loop, KLOOP_THREAD) != self) {
    kloopKick(loop, i, self);
    return false;
  }
  const kr = ringOf(loop, i);
  if (kr == 0) return true;
  statAddShared(kr, STAT_KICKS, 1);
  activate(loop, KLOOP_MODE_DIRECT, ringEvent(i), self);
  return load<u64>(self, THREAD_DUE) == 0;
}

/** A doorbell write for ring `i` (tx rings first). The thread that serves the loop is woken unless it is the caller's. */
export function kloopKick(loop: usize, i: u32, self: usize): void {
  const kr = ringOf(loop, i);
  if (kr == 0) return;
  statAddShared(kr, STAT_KICKS, 1);
  atomic.or<u32>(loop, ringEvent(i), KLOOP_EVENT);
  const thread: usize = atomic.load<u32>(loop, KLOOP_THREAD); // after the store, as in kringNotify
  if (thread == 0) return; // START looks at all rings
  if (thread == self) loopDue(loop, self);
  else threadWake(thread);
}
