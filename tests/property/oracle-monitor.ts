// The oracle's monitors: what a watched ring shows them before and after its own sync. See oracle.ts.

import { type Kring, NS_BUF_CHANGED, NS_TXMON, type Slot } from './oracle.js';
import { valeRxsync } from './oracle-vale.js';

/** A copy monitor's ring on a ring that it watches, and up to where it has seen. */
export interface Watch {
  readonly ring: Kring;
  seen: number;
}

const isOpen = (ring: Kring): boolean => ring.users > 0 && ring.ring !== undefined && !ring.stopped;

/** The newest of the slots, as many as the monitor has room for; the others are counted. */
function newest(slots: readonly number[], ring: Kring): readonly number[] {
  const free = ring.n - 1 - ring.range(ring.hwcur, ring.mailTail).length;
  const room = Math.min(free, slots.length);
  ring.drops.noSpace += slots.length - room;
  return slots.slice(slots.length - room);
}

function copy(kr: Kring, ring: Kring, slots: readonly number[], mark: number): void {
  if (slots.length === 0 || !isOpen(ring)) return;
  for (const k of newest(slots, ring)) {
    const from = kr.shown.slots[k];
    if (!kr.sound(from)) continue;
    const to = ring.shown.slots[ring.mailTail];
    const ok = ring.region.isBuffer(to.bufIdx);
    if (!ok) ring.badSlots++;
    to.len = ok ? Math.min(from.len, ring.room(to)) : 0;
    to.flags = (from.flags & ~(NS_TXMON | NS_BUF_CHANGED)) | mark;
    if (ok) ring.data(to).set(kr.data(from).slice(0, to.len));
    ring.mailTail = ring.next(ring.mailTail);
    ring.delivered++;
    ring.deliveredBytes += to.len;
  }
}

function swap(kr: Kring, ring: Kring, slots: readonly number[], marked: (flags: number) => number): void {
  if (slots.length === 0 || !isOpen(ring)) return;
  for (const k of newest(slots, ring)) {
    const mine = kr.shown.slots[k];
    const theirs = ring.shown.slots[ring.mailTail];
    if (!kr.region.isBuffer(mine.bufIdx) || !kr.region.isBuffer(theirs.bufIdx)) continue;
    const was: Slot = { ...mine };
    mine.bufIdx = theirs.bufIdx;
    mine.len = theirs.len;
    mine.flags |= NS_BUF_CHANGED;
    theirs.bufIdx = was.bufIdx;
    theirs.len = was.len;
    theirs.flags = marked(was.flags & ~NS_BUF_CHANGED);
    ring.mailTail = ring.next(ring.mailTail);
    ring.delivered++;
    ring.deliveredBytes += was.len;
  }
}

/** A ring's own sync, with what its monitors see of it. */
export function watchedSync(kr: Kring): void {
  if (kr.dir === 'tx') {
    for (const { ring } of kr.watches) copy(kr, ring, kr.range(kr.hwcur, kr.rhead), NS_TXMON);
    const before = kr.hwtail;
    kr.sync(kr);
    if (kr.zmon) swap(kr, kr.zmon, kr.range(kr.next(before), kr.next(kr.hwtail)), (flags) => flags | NS_TXMON);
    return;
  }
  kr.beforeRx?.(kr);
  // A frame that goes on from one zero-copy monitor to the next keeps its mark.
  if (kr.zmon) {
    swap(kr, kr.zmon, kr.range(kr.hwcur, kr.rhead), (flags) => (kr.isMonitor ? flags : flags & ~NS_TXMON));
  }
  kr.sync(kr);
  for (const watch of kr.watches) {
    const { ring, seen } = watch;
    watch.seen = kr.hwtail;
    copy(kr, ring, kr.range(seen, kr.hwtail), 0);
  }
}

/** A monitor's own sync: it also looks for what the owner of the watched ring has not looked for. */
export function monitorSync(kr: Kring): void {
  if (kr.dir === 'tx') return;
  const { pulls } = kr;
  if (pulls && isOpen(pulls)) watchedSync(pulls);
  valeRxsync(kr);
}

/** Rx ring i of a monitor watches ring i of the other port; zero-copy monitors of one ring are a chain. */
export function watch(watched: Kring, ring: Kring, zcopy: boolean): void {
  if (!zcopy) {
    watched.watches.unshift({ ring, seen: watched.hwtail });
    if (watched.dir === 'rx') ring.pulls = watched;
    return;
  }
  let last = watched;
  for (; last.zmon; last = last.zmon) if (last.zmon === ring) return;
  last.zmon = ring;
}

export function unwatch(watched: Kring, ring: Kring): void {
  watched.watches = watched.watches.filter((one) => one.ring !== ring);
  ring.pulls = undefined;
  let last: Kring | undefined = watched;
  while (last && last.zmon !== ring) last = last.zmon;
  if (last) last.zmon = ring.zmon;
}
