// A worker that runs kernel loops: passes over the loops handed to it, spins a little when there is nothing to do (unless
// that was in vain lately), and then sleeps on its waiter word. Comes back to JavaScript after each pass, so that the
// engine can tier the Wasm up.

import { KLOOP_MODE, KLOOP_MODE_BUSY, KLOOP_MODE_POLL, THREAD_LOOKED, THREAD_LOOPS, THREAD_NLOOPS } from '../abi.js';
import { Arena } from '../memory/arena.js';
import { Spins } from '../ring/spins.js';
import { endWorker, postToParent, receiveWorkerData } from '../threads/platform.js';
import { Thread } from '../threads/thread.js';
import { type LookupSpec, loadLookups } from '../vale/lookups.js';

/** What the control thread sends. */
export interface LoopWorkerData {
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  readonly arena: number;
  readonly token: number;
  readonly lookups: readonly LookupSpec[];
  /** Address of a word that is set to 1 when the worker shall end. */
  readonly stop: number;
  /** Address of a u64 that counts sleeps ended by the safety timeout with work waiting: lost wake-ups. */
  readonly lostWakeups: number;
}

/** Passes of a spin: about 10 µs, however many loops there are. */
const SPIN_PASSES = 600;
/** Safety net of netmap's kernel loop; nothing relies on it. */
const SAFETY_TIMEOUT = 3000;

function hasBusyLoop(arena: Arena, thread: number): boolean {
  for (let i = 0; i < arena.load(thread + THREAD_NLOOPS); i++) {
    const loop = arena.load(thread + THREAD_LOOPS + 4 * i);
    if (loop === 0) continue;
    const mode = arena.load(loop + KLOOP_MODE);
    if (mode === KLOOP_MODE_BUSY || mode === KLOOP_MODE_POLL) return true;
  }
  return false;
}

function run(thread: Thread, { stop, lostWakeups }: LoopWorkerData): void {
  const { arena, ptr } = thread;
  const { kloopPass } = arena.wasm;
  const spins = new Spins();
  let idle = 0;
  let limit = 0;
  while (arena.load(stop) === 0) {
    const seen = thread.seq();
    if (kloopPass(ptr) !== 0) {
      if (idle !== 0) spins.ended(true);
      idle = 0;
      continue;
    }
    if (idle === 0) limit = spins.skip() ? 0 : SPIN_PASSES;
    if (++idle <= limit) continue;
    idle = 0;
    if (hasBusyLoop(arena, ptr)) continue;
    if (limit !== 0) spins.ended(false);
    const woken = thread.sleep(seen, SAFETY_TIMEOUT);
    if (woken || thread.seq() !== seen) continue;
    arena.store(ptr + THREAD_LOOKED, seen - 1); // has the pass look at all loops, as if somebody had woken the thread
    if (kloopPass(ptr) !== 0) Atomics.add(arena.u64, lostWakeups >>> 3, 1n);
  }
}

const data = await receiveWorkerData<LoopWorkerData>();
const attached = Thread.claim(Arena.attach(data.memory, data.arena, data.module), data.token, true);
await loadLookups(attached, data.lookups);
await postToParent({ thread: attached.id });
run(attached, data);
endWorker();
