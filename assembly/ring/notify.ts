// Waking threads (netmap's nm_notify). A waiter is one word a thread: each event increments it, and only a sleeper is
// woken. Called by every port when it has moved a tail that somebody else may wait for.
import {
  ARENA_THREADS,
  KLOOP_EVENT,
  KRING_LOOP,
  KRING_WAITERS,
  KRING_WATCHERS,
  THREAD_ARENA,
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
 * Wakes whoever waits for the ring: threads polling it, the kernel loop that runs it, and those of monitors. `self` is the
 * caller's thread.
 */
export function kringNotify(kr: usize, self: usize): void {
  const loop = atomic.load<u32>(kr, KRING_LOOP);
  if (loop != 0) atomic.store<u32>(loop, 1, KLOOP_EVENT);
  let waiters = atomic.load<u64>(kr, KRING_WAITERS) | atomic.load<u64>(kr, KRING_WATCHERS);
  if (waiters == 0) return;
  const threads: usize = load<u32>(load<u32>(self, THREAD_ARENA), ARENA_THREADS);
  while (waiters != 0) {
    threadWake(threads + <usize>ctz<u64>(waiters) * THREAD_SIZE);
    waiters &= waiters - 1;
  }
}
