// What forwarding programs do with received slots (netmap's bridge).

import { netmapError } from '../errors.js';
import type { NetmapRing } from './ring.js';

/**
 * Moves up to `limit` slots from cur of an rx ring to cur of a tx ring, and advances both: by swapping buffers where
 * both rings lie in one region (zero copy), by copying otherwise. Both rings must be seen through one memory.
 * @param copy copies also where buffers could be swapped
 * @returns slots moved; 0 also if somebody has scribbled on an index, which the ring's next sync repairs
 * @throws NetmapError EINVAL when the rings lie in different memories, EOPNOTSUPP when one has packet offsets
 */
export function moveSlots(rx: NetmapRing, tx: NetmapRing, limit: number, copy = false): number {
  if (rx.i32.buffer !== tx.i32.buffer)
    throw netmapError('EINVAL', 'the rings lie in different memories', { op: 'moveSlots' });
  if (rx.offsetMask !== 0 || tx.offsetMask !== 0)
    throw netmapError('EOPNOTSUPP', 'a ring has packet offsets: copy its frames', { op: 'moveSlots' });
  const { wasm, bufBase, bufSize, numBufs, numSlots } = rx;
  if (bufBase === tx.bufBase && !copy) return wasm.slotsSwap(rx.ptr, tx.ptr, limit, numSlots, tx.numSlots);
  return wasm.slotsCopy(
    rx.ptr,
    tx.ptr,
    limit,
    numSlots,
    tx.numSlots,
    bufBase,
    tx.bufBase,
    bufSize,
    tx.bufSize,
    numBufs,
    tx.numBufs,
  );
}
