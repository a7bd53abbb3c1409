// One pass of a thread over the loops that it serves. Kicks and port notifications are level-like: they set the loop's
// event word, and the pass then activates all its rings, tx first.
import {
  KLOOP_EVENT,
  KLOOP_MODE,
  KLOOP_MODE_BUSY,
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
  THREAD_ID,
  THREAD_LOOPS,
  THREAD_NLOOPS,
  THREAD_PASSES,
  THREAD_SEQ,
} from '../abi/arena';
import { threadWake } from '../ring/notify';
import { statAddShared } from '../stats/counters';
import { pollRing } from '../sync/poll';
import { ACTIVATION_MORE, ACTIVATION_MOVED, kloopRxRing, kloopTxRing } from './ring';

/** Activates the loops of thread `self` that have an event pending. Returns how many had something to do. */
export function kloopPass(self: usize): u32 {
  const n = atomic.load<u32>(self, THREAD_NLOOPS);
  if (n == 0) return 0;
  let worked: u32 = 0;
  // Pairs with the control thread, which takes a loop out of the list and then waits for passes that may have seen it.
  atomic.store<u32>(self, load<u32>(self, THREAD_PASSES) + 1, THREAD_PASSES);
  const end = self + ((<usize>n) << 2);
  for (let p = nextPending(self, end); p != end; p = nextPending(p + 4, end)) {
    const loop: usize = atomic.load<u32>(p, THREAD_LOOPS); // it may have been taken out of the list by now
    if (loop != 0 && kloopRun(loop, self)) worked++;
  }
  atomic.store<u32>(self, load<u32>(self, THREAD_PASSES) + 1, THREAD_PASSES);
  return worked;
}

/**
 * The first place of the list of loops, from `p` to `end`, whose loop has an event pending, or does not wait for events of its
 * own. A loop without calls: with 64 guests in a thread, every kick looks at 64 loops several times (npm run bench scaling).
 */
function nextPending(p: usize, end: usize): usize {
  for (; p != end; p += 4) {
    const loop: usize = atomic.load<u32>(p, THREAD_LOOPS);
    if (loop == 0) continue;
    if (atomic.load<u32>(loop, KLOOP_EVENT) != 0 || load<u32>(loop, KLOOP_WATCHES) != 0) break;
    const mode = load<u32>(loop, KLOOP_MODE);
    if (mode == KLOOP_MODE_BUSY || mode == KLOOP_MODE_POLL) break;
  }
  return p;
}

/** One round over the rings of a loop. True when it is worth coming back soon. */
export function kloopRun(loop: usize, self: usize): bool {
  if (atomic.load<u32>(loop, KLOOP_STATE) != KLOOP_RUNNING) return false;
  const mode = load<u32>(loop, KLOOP_MODE);
  const busy = mode == KLOOP_MODE_BUSY || mode == KLOOP_MODE_POLL;
  if (!busy) {
    if (atomic.load<u32>(loop, KLOOP_EVENT) != 0)
      atomic.store<u32>(loop, 0, KLOOP_EVENT); // before looking at the rings: what comes later sets it again
    else if (load<u32>(loop, KLOOP_WATCHES) == 0 || !watchedEvent(loop, self)) return false;
  }
  if (atomic.cmpxchg<u32>(loop, 0, load<u32>(self, THREAD_ID), KLOOP_OWNER) != 0) {
    atomic.store<u32>(loop, 1, KLOOP_EVENT);
    return false;
  }
  let result: u32 = 0;
  // Pairs with STOP, which changes the state and then waits for the owner to leave.
  if (atomic.load<u32>(loop, KLOOP_STATE) == KLOOP_RUNNING) {
    const ntx = load<u32>(loop, KLOOP_NTX);
    const nrx = load<u32>(loop, KLOOP_NRX);
    if (mode == KLOOP_MODE_POLL) result = pollRings(loop, ntx, self);
    else {
      for (let i: u32 = 0; i < ntx; i++) result |= kloopTxRing(loop, i, self);
      for (let i: u32 = 0; i < nrx; i++) result |= kloopRxRing(loop, i, self);
    }
    if (result & ACTIVATION_MORE) atomic.store<u32>(loop, 1, KLOOP_EVENT);
    store<u32>(loop, load<u32>(loop, KLOOP_PASSES) + 1, KLOOP_PASSES);
  }
  atomic.store<u32>(loop, 0, KLOOP_OWNER);
  return busy ? (result & (ACTIVATION_MORE | ACTIVATION_MOVED)) != 0 : true;
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

/** A doorbell write for ring `i` (tx rings first). The thread that serves the loop is woken unless it is the caller's. */
export function kloopKick(loop: usize, i: u32, self: usize): void {
  const ntx = load<u32>(loop, KLOOP_NTX);
  if (i >= ntx + load<u32>(loop, KLOOP_NRX)) return;
  const kr =
    i < ntx
      ? <usize>load<u32>(loop, KLOOP_TX) + <usize>i * KRING_SIZE
      : <usize>load<u32>(loop, KLOOP_RX) + <usize>(i - ntx) * KRING_SIZE;
  statAddShared(kr, STAT_KICKS, 1);
  atomic.store<u32>(loop, 1, KLOOP_EVENT);
  const thread: usize = load<u32>(loop, KLOOP_THREAD);
  if (thread != 0 && thread != self) threadWake(thread);
}
