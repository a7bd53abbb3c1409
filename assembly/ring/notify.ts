// Waking threads (netmap's nm_notify). A waiter is one word a thread: each event increments it, and only a sleeper is
// woken. Called by every port when it has moved a tail that somebody else may wait for.
import {
  ARENA_THREADS,
  KLOOP_EVENT,
  KLOOP_PLACE,
  KLOOP_THREAD,
  KRING_EVENT,
  KRING_LOOP,
  KRING_WAITERS,
  KRING_WATCHERS,
  THREAD_ARENA,
  THREAD_DUE,
  THREAD_LOOKED,
  THREAD_SEQ,
  THREAD_SIZE,
  THREAD_SLEEPERS,
} from '../abi/arena';

/** Wakes the thread whose record is at `threadPtr`. */
export function threadWake(threadPtr: usize): void {
  // Pairs with the sleeper: sleepers = 1, then wait(seq == seen). Both sides are seq-cst, so either the sleeper sees the
  // new seq, or we see the sleeper (tests/model/waiter.pml). A wait that was woken may be pending for long, until the
  // thread's event loop turns: the word is cleared, so that one notification serves all events until then. Who set it
  // between our two looks, and would sleep on a cleared word, is stopped by the second addition.
  atomic.add<u32>(threadPtr, 1, THREAD_SEQ);
  if (atomic.load<u32>(threadPtr, THREAD_SLEEPERS) == 0) return;
  atomic.store<u32>(threadPtr, 0, THREAD_SLEEPERS);
  atomic.add<u32>(threadPtr, 1, THREAD_SEQ);
  atomic.notify(threadPtr + THREAD_SEQ, -1);
}

/**
 * The same, by thread `self`. What a thread adds to its own word does not make all of its loops due (assembly/kloop/pass.ts):
 * those that it means are marked by loopDue.
 */
export function threadWakeBy(threadPtr: usize, self: usize): void {
  if (threadPtr != self) {
    threadWake(threadPtr);
    return;
  }
  addOwn(self);
  if (atomic.load<u32>(self, THREAD_SLEEPERS) == 0) return;
  atomic.store<u32>(self, 0, THREAD_SLEEPERS);
  addOwn(self);
  atomic.notify(self + THREAD_SEQ, -1);
}

function addOwn(self: usize): void {
  atomic.add<u32>(self, 1, THREAD_SEQ);
  store<u32>(self, load<u32>(self, THREAD_LOOKED) + 1, THREAD_LOOKED);
}

/** Has thread `self`, which serves the loop, look at it in its next pass, or in this one if its turn is still to come. */
export function loopDue(loop: usize, self: usize): void {
  store<u64>(self, load<u64>(self, THREAD_DUE) | ((<u64>1) << load<u32>(loop, KLOOP_PLACE)), THREAD_DUE);
}

/**
 * Wakes whoever waits for the ring: threads polling it, the kernel loop that runs it, and those of monitors. `self` is the
 * caller's thread.
 */
export function kringNotify(kr: usize, self: usize): void {
  const loop = atomic.load<u32>(kr, KRING_LOOP);
  const threads: usize = load<u32>(load<u32>(self, THREAD_ARENA), ARENA_THREADS);
  let told: u64 = 0; // the loop's thread, if it has been told already
  if (loop != 0) {
    // Who has set an event wakes the loop's thread, and whoever takes it looks at the ring afterwards: while it is there,
    // what has been published before is not missed (tests/model/pass.pml).
    const event = load<u32>(kr, KRING_EVENT);
    const isSet = (atomic.load<u32>(loop, KLOOP_EVENT) & event) != 0;
    if (!isSet) atomic.or<u32>(loop, event, KLOOP_EVENT);
    // Read after the store: a loop that has just come to this thread, or leaves it, will be due in its new one after that.
    const thread: usize = atomic.load<u32>(loop, KLOOP_THREAD);
    if (thread == self) loopDue(loop, self);
    if (isSet && thread != 0) told = (<u64>1) << (<u64>(thread - threads) / THREAD_SIZE);
  }
  // Others wait for the ring, too: monitors that are open on the host. The event is not theirs.
  let waiters = (atomic.load<u64>(kr, KRING_WAITERS) & ~told) | atomic.load<u64>(kr, KRING_WATCHERS);
  while (waiters != 0) {
    threadWakeBy(threads + <usize>ctz<u64>(waiters) * THREAD_SIZE, self);
    waiters &= waiters - 1;
  }
}
