// An application that writes and reads slots and leaves the frames alone. A slot's second half, the pointer that nothing
// here uses, carries the sequence number. `| 0`: 32-bit sums, which V8 does not check for an overflow (slot-ring.ts has them, too).
import type { NetmapRing } from 'ptnet';
import type { Taken } from './polled.js';

/** As `fill` of bench/program.ts. */
export function fillSlots(ring: NetmapRing, count: number, seq: number, len: number, vary: number): void {
  const { i32, slotBase, numSlots } = ring;
  let i = ring.head;
  for (let left = count; left > 0; ) {
    const run = Math.min(left, numSlots - i);
    const end = (slotBase + 4 * (i + run)) | 0;
    for (let slot = (slotBase + 4 * i) | 0; slot < end; slot = (slot + 4) | 0, seq = (seq + 1) | 0) {
      i32[(slot + 1) | 0] = len - (seq & vary);
      i32[(slot + 2) | 0] = seq;
    }
    left -= run;
    i = i + run === numSlots ? 0 : i + run;
  }
  ring.head = i;
  ring.cur = i;
}

/** As `drain` of bench/program.ts. */
export function drainSlots(ring: NetmapRing, into: Taken): void {
  const { i32, slotBase, numSlots, tail } = ring;
  let sum = 0;
  into.packets += ring.space;
  for (let i = ring.head; i !== tail; ) {
    const next = i < tail ? tail : numSlots;
    const end = (slotBase + 4 * next) | 0;
    for (let slot = (slotBase + 4 * i) | 0; slot < end; slot = (slot + 4) | 0) {
      sum = (sum + (i32[(slot + 1) | 0] & 0xffff) + i32[(slot + 2) | 0]) | 0;
    }
    i = next === numSlots ? 0 : next;
  }
  ring.head = tail;
  ring.cur = tail;
  into.sum = (into.sum + sum) | 0;
}

/** FNV-1a over length and number of all slots that are there, which are then released. */
export function digestSlots(ring: NetmapRing, hash: number, prime: number): number {
  const { i32, slotBase, tail } = ring;
  for (let i = ring.head; i !== tail; i = ring.next(i)) {
    hash = Math.imul(hash ^ (i32[slotBase + 4 * i + 1] & 0xffff), prime);
    hash = Math.imul(hash ^ i32[slotBase + 4 * i + 2], prime);
  }
  ring.head = tail;
  ring.cur = tail;
  return hash;
}
