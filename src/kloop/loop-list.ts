// The loops that a thread serves: a list in its record, which its passes read at any time. Control thread only.

import { KLOOP_OWNER, KLOOP_PLACE, THREAD_LOOPS, THREAD_MAX_LOOPS, THREAD_NLOOPS } from '../abi.js';
import type { ArenaOwner } from '../memory/arena.js';

/** How long (ms) is waited for a loop's thread to leave the rings; an activation takes microseconds. */
const STOP_LIMIT = 2000;

function freeSlot(arena: ArenaOwner, thread: number): number {
  for (let slot = 0; slot < THREAD_MAX_LOOPS; slot++) {
    if (arena.load(thread + THREAD_LOOPS + 4 * slot) === 0) return slot;
  }
  return -1;
}

/** Whether the thread with this record serves as many loops as it can. */
export function isFull(arena: ArenaOwner, thread: number): boolean {
  return freeSlot(arena, thread) < 0;
}

/** Puts a loop on the list of a thread, which is not full, and wakes it. */
export function handOver(arena: ArenaOwner, thread: number, loop: number): void {
  const slot = freeSlot(arena, thread);
  arena.store(loop + KLOOP_PLACE, slot);
  arena.store(thread + THREAD_LOOPS + 4 * slot, loop);
  arena.store(thread + THREAD_NLOOPS, Math.max(arena.load(thread + THREAD_NLOOPS), slot + 1));
  arena.wasm.threadWake(thread);
}

/** Takes it off again, and wakes the thread. */
export function takeBack(arena: ArenaOwner, thread: number, loop: number): void {
  for (let slot = 0; slot < arena.load(thread + THREAD_NLOOPS); slot++) {
    const at = thread + THREAD_LOOPS + 4 * slot;
    if (arena.load(at) === loop) arena.store(at, 0);
  }
  arena.wasm.threadWake(thread);
}

/**
 * Waits until no thread works on a loop, whose state says that it does not run: an activation is bounded, so that is soon.
 * False: a thread did not leave in time.
 */
export function waitUntilLeft(arena: ArenaOwner, loop: number): boolean {
  const limit = performance.now() + STOP_LIMIT;
  while (arena.load(loop + KLOOP_OWNER) !== 0) {
    if (performance.now() > limit) return false;
  }
  return true;
}
