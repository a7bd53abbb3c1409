// The kernel loop of a program: run by the thread that is in SYNC_KLOOP_START, until STOP.

import { KLOOP_IRQ_PENDING, KLOOP_RUNNING, KLOOP_STARTS, KLOOP_STATE } from '../abi.js';
import type { Thread } from '../threads/thread.js';
import type { EventDescriptor } from './eventfd.js';
import type { LoopRun } from './messages.js';

/** The event descriptors of the rings, tx rings first. */
export interface RingEvents {
  readonly kicks: readonly (EventDescriptor | undefined)[];
  readonly irqs: readonly (EventDescriptor | undefined)[];
}

/** Wait for an event of the thread after `seen`, or for `timeout` ms. */
export interface Sleep {
  readonly seen: number;
  readonly timeout: number;
}

/** Safety net of netmap's kernel loop, in ms; nothing relies on it. */
const SAFETY_TIMEOUT = 3000;

/**
 * Runs the loop; yields when it has to sleep. A loop that has been stopped, or started again, is left.
 * @param isWanted false once this thread may be gone from the arena; nothing is touched then
 */
export function* runLoop(
  thread: Thread,
  run: LoopRun,
  events: RingEvents,
  sleepUs: number,
  isWanted: () => boolean,
): Generator<Sleep, void> {
  const { arena, ptr } = thread;
  const { kloopKick, kloopPass, threadWake } = arena.wasm;
  const kicks = run.isBusy ? [] : events.kicks;
  for (const kick of kicks) kick?.connect(thread.id);
  const counts = kicks.map((kick) => kick?.count());
  let slept: number | undefined;
  try {
    while (isWanted()) {
      if (thread.seq() === slept) threadWake(ptr); // the time has passed: has the pass look at all loops
      slept = undefined;
      const seen = thread.seq();
      if (arena.load(run.loop + KLOOP_STATE) !== KLOOP_RUNNING) return;
      if (arena.load(run.loop + KLOOP_STARTS) !== run.starts) return;
      for (const [ring, kick] of kicks.entries()) {
        const count = kick?.count();
        if (count === counts[ring]) continue;
        counts[ring] = count;
        kloopKick(run.loop, ring, ptr);
      }
      const worked = kloopPass(ptr) !== 0;
      raise(thread, run.loop, events.irqs);
      if (run.isBusy) yield { seen, timeout: sleepUs / 1000 };
      else if (!worked) {
        slept = seen;
        yield { seen, timeout: SAFETY_TIMEOUT };
      }
    }
  } finally {
    for (const kick of kicks) kick?.connect(0);
  }
}

/** Signals the interrupts that are pending. Rings whose numbers are 32 apart share a bit; one signal too many is harmless. */
function raise({ arena }: Thread, loop: number, irqs: RingEvents['irqs']): void {
  const word = (loop + KLOOP_IRQ_PENDING) >>> 2;
  if (arena.u32[word] === 0) return;
  const pending = Atomics.exchange(arena.u32, word, 0);
  for (const [ring, irq] of irqs.entries()) if ((pending >>> (ring & 31)) & 1) irq?.signal();
}
