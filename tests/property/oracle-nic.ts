// The oracle's network interfaces: where the frames of a wire, a host stack and an application's rings go. See oracle.ts.

import { type Kring, NS_BUF_CHANGED, type Region } from './oracle.js';
import { deliver, gather, type Packet, valeRxsync } from './oracle-vale.js';

export const NR_FORWARD = 4;
export const NS_FORWARD = 4;

/** Sends packets to a ring; frames shorter than an Ethernet header are dropped. */
function send(kr: Kring, packets: readonly Packet[], to: Kring | undefined): void {
  const isShort = ({ fragments }: Packet): boolean => fragments.length === 1 && fragments[0].len < 14;
  const long = packets.filter((packet) => !isShort(packet));
  kr.drops.short += packets.length - long.length;
  if (long.length === 0) return;
  deliver(kr, to, long);
}

/** Host rings, wire and stack never wait. `target` tells where frames go at this moment. */
export function linkSync(target: (kr: Kring) => Kring | undefined): (kr: Kring) => void {
  return (kr) => {
    if (kr.dir === 'rx') return valeRxsync(kr);
    for (const batch of gather(kr)) send(kr, batch, target(kr));
    kr.hwtail = kr.prev(kr.rhead);
  };
}

/** NIC rings: a transmitter waits while its wire is full, with whole packets. */
export function nicSync(wire: readonly Kring[]): (kr: Kring) => void {
  return (kr) => {
    if (kr.dir === 'rx') return valeRxsync(kr);
    const to = wire[kr.index];
    for (;;) {
      const used = to.range(to.hwcur, to.mailTail).length;
      const stop = whatFits(kr, to.n - 1 - used, used === 0);
      if (stop === kr.hwcur) break;
      for (const batch of gather(kr, stop)) send(kr, batch, to);
    }
    kr.hwtail = kr.prev(kr.hwcur);
  };
}

/** The end of the last packet that fits; of the first one, if it never does. */
function whatFits(kr: Kring, room: number, empty: boolean): number {
  const waiting = kr.range(kr.hwcur, kr.rhead);
  if (waiting.length <= room) return kr.rhead;
  const ends = waiting.filter((k) => !(kr.shown.slots[k].flags & 32)).map((k) => kr.next(k));
  const fitting = ends.filter((end) => kr.range(kr.hwcur, end).length <= room);
  if (fitting.length > 0) return fitting[fitting.length - 1];
  return empty ? (ends[0] ?? kr.rhead) : kr.hwcur;
}

const marked = (kr: Kring): number[] =>
  kr.flags & NR_FORWARD ? kr.range(kr.hwcur, kr.rhead).filter((k) => kr.shown.slots[k].flags & NS_FORWARD) : [];

/** Released slots of a NIC rx ring that are marked go to the host stack, each as a frame. */
export function forwardUp(kr: Kring, stack: Kring): void {
  const packets: Packet[] = [];
  for (const k of marked(kr)) {
    const slot = kr.shown.slots[k];
    slot.flags &= ~NS_FORWARD;
    if (!kr.sound(slot)) {
      kr.badSlots++;
      kr.drops.badSlot++;
      continue;
    }
    const bytes = kr.data(slot);
    packets.push({ at: packets.length, fragments: [{ sound: true, bytes, len: slot.len }], dest: 'nobody' });
  }
  send(kr, packets, stack);
}

/** Marked slots of a host rx ring that an application is about to release go to its NIC tx rings. */
export function forwardDown(kr: Kring, tx: readonly Kring[], head: number, region: Region): void {
  if (!(kr.flags & NR_FORWARD)) return;
  for (const k of kr.range(kr.hwcur, head)) {
    const slot = kr.shown.slots[k];
    if (!(slot.flags & NS_FORWARD)) continue;
    slot.flags &= ~NS_FORWARD;
    if (!region.isBuffer(slot.bufIdx)) {
      kr.drops.badSlot++;
      continue;
    }
    const to = tx.find(({ shown, n }) => shown.head < n && shown.head !== shown.tail);
    if (!to) {
      kr.drops.noSpace++;
      continue;
    }
    const free = to.shown.slots[to.shown.head];
    [slot.bufIdx, free.bufIdx] = [free.bufIdx, slot.bufIdx];
    [slot.ptr, free.ptr] = [free.ptr, slot.ptr];
    free.len = slot.len;
    slot.flags = free.flags = NS_BUF_CHANGED;
    to.shown.head = to.shown.cur = to.next(to.shown.head);
  }
}
