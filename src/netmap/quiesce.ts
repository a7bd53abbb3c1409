// Waiting until nobody is in the data path any more who may have seen the state before a change. Control thread only.

import {
  KLOOP_RUNNING,
  KLOOP_STATE,
  KRING_BUSY,
  KRING_LOOP,
  KRING_RUN,
  KRING_STOP,
  KRING_SYNCS,
  THREAD_LOOKING,
  THREAD_MAX,
  THREAD_PASSES,
} from '../abi.js';
import { netmapError } from '../errors.js';
import type { ArenaOwner } from '../memory/arena.js';
import type { Kring } from './kring.js';

/** Polls of the busy words before the control thread lets its events be served. */
const QUIESCE_SPINS = 10_000;
/** A thread that holds a ring for this long (ms) has died without being noticed. */
const QUIESCE_LIMIT = 5_000;

/**
 * Whether the thread is in a lookup of the user's, which may take any time, from rings that nobody stops: then it has not
 * looked at destinations yet, and will see the state after the change.
 */
function isInLookup(arena: ArenaOwner, krings: readonly Kring[], tid: number): boolean {
  if (arena.load(arena.threadPtr(tid) + THREAD_LOOKING) === 0) return false;
  return krings.every(({ ptr }) => {
    if (arena.load(ptr + KRING_BUSY) !== tid) return true;
    const loop = arena.load(ptr + KRING_LOOP);
    const runs = loop === 0 || arena.load(loop + KLOOP_STATE) === KLOOP_RUNNING;
    return runs && arena.load(ptr + KRING_STOP) === KRING_RUN;
  });
}

/**
 * Resolves when every sync of these rings, and every pass over kernel loops, that is under way now has ended.
 * @throws NetmapError EIO when one does not end
 */
export async function quiesce(arena: ArenaOwner, krings: readonly Kring[]): Promise<void> {
  const syncs = krings
    .filter(({ ptr }) => arena.load(ptr + KRING_BUSY) !== 0)
    .map(({ ptr }) => ({ ptr, count: arena.load(ptr + KRING_SYNCS) }))
    .map(({ ptr, count }) => () => {
      const holder = arena.load(ptr + KRING_BUSY);
      const held = holder !== 0 && arena.load(ptr + KRING_SYNCS) === count;
      return held && !isInLookup(arena, krings, holder);
    });
  const passes = Array.from({ length: THREAD_MAX - 1 }, (_, i) => i + 1)
    .map((tid) => ({ tid, word: arena.threadPtr(tid) + THREAD_PASSES }))
    .map(({ tid, word }) => ({ tid, word, count: arena.load(word) }))
    .filter(({ count }) => count % 2 === 1)
    .map(
      ({ tid, word, count }) =>
        () =>
          arena.load(word) === count && !isInLookup(arena, krings, tid),
    );
  let going = [...syncs, ...passes];
  const limit = performance.now() + QUIESCE_LIMIT;
  for (let spins = 1; going.length !== 0; spins++) {
    going = going.filter((goesOn) => goesOn());
    if (spins % QUIESCE_SPINS !== 0) continue;
    await new Promise((resolve) => setTimeout(resolve, 1));
    if (performance.now() > limit)
      throw netmapError('EIO', 'a thread holds a ring and does not let go', { op: 'close' });
  }
}
