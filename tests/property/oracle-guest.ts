// The oracle's guest: the ptnet driver and the kernel loop in direct mode, as one: a doorbell runs the loop at once. See
// oracle.ts.

import { type Kring, legal } from './oracle.js';
import type { OpenPort } from './oracle-host.js';
import { watchedSync } from './oracle-monitor.js';

/** One ring as its driver and the loop see it: the driver's own copies, and the words of the CSB. */
interface GuestRing {
  readonly kr: Kring;
  /** What kicks and notifications of the ring tell the loop. */
  readonly loop: { event: boolean };
  rhead: number;
  rcur: number;
  rtail: number;
  hwtail: number;
  readonly csb: { head: number; cur: number; wantsIrq: boolean; hwcur: number; hwtail: number };
}

export class GuestPort {
  readonly port: OpenPort;
  #tx: GuestRing[] = [];
  #rx: GuestRing[] = [];
  isOpen = false;
  /** Interrupts, doorbells and refused syncs of the driver, since it was attached. */
  kicks = 0;
  reinits = 0;

  constructor(port: OpenPort) {
    this.port = port;
  }

  /** The first opening: CREATE puts the host's positions into the CSB, and the driver takes them over. */
  open(): void {
    this.isOpen = true;
    this.reinits = 0;
    const ring = (kr: Kring): GuestRing => {
      const loop = { event: true };
      kr.loop = loop;
      const csb = { head: kr.rhead, cur: kr.rcur, wantsIrq: true, hwcur: kr.hwcur, hwtail: kr.hwtail };
      kr.shown.head = kr.rhead;
      kr.shown.cur = kr.rcur;
      kr.shown.tail = kr.hwtail;
      return { kr, loop, rhead: kr.rhead, rcur: kr.rcur, rtail: kr.hwtail, hwtail: kr.hwtail, csb };
    };
    this.#tx = this.port.tx.map(ring);
    this.#rx = this.port.rx.map(ring);
  }

  /** DELETE: the loop stops. */
  close(): void {
    this.isOpen = false;
  }

  txsync(service: () => void): void {
    for (const ring of this.#tx) {
      if (!this.#accept(ring)) continue;
      ring.csb.wantsIrq = false;
      ring.csb.cur = ring.rcur;
      ring.csb.head = ring.rhead;
      this.#kick(ring, service);
      this.#show(ring);
    }
  }

  rxsync(service: () => void): void {
    for (const ring of this.#rx) {
      if (!this.#accept(ring)) continue;
      ring.csb.wantsIrq = false;
      const release = ring.rhead !== ring.csb.hwcur;
      if (release) {
        ring.csb.cur = ring.rcur;
        ring.csb.head = ring.rhead;
      }
      if (release || ring.rcur === ring.csb.hwtail) this.#kick(ring, service);
      this.#show(ring);
    }
  }

  /** The driver's own prologue: what it refuses never reaches the host. */
  #accept(ring: GuestRing): boolean {
    const { head, cur } = ring.kr.shown;
    if (legal(ring.kr, head, cur, ring.rhead, ring.rtail)) {
      ring.rhead = head;
      ring.rcur = cur;
      return true;
    }
    ring.rcur = ring.kr.shown.head = ring.kr.shown.cur = ring.rhead;
    this.reinits++;
    return false;
  }

  /** Shows the application the tail, and asks for an interrupt when there is nothing more. */
  #show(ring: GuestRing): void {
    ring.hwtail = ring.csb.hwtail;
    ring.csb.wantsIrq = ring.rcur === ring.hwtail;
    ring.rtail = ring.kr.shown.tail = ring.hwtail;
  }

  #kick({ kr, loop }: GuestRing, service: () => void): void {
    this.kicks++;
    kr.kicks++;
    loop.event = true;
    service();
  }

  /** One pass of the loop over the rings to which something has happened. */
  run(): boolean {
    if (!this.isOpen) return false;
    const due = [...this.#tx, ...this.#rx].filter(({ loop }) => loop.event);
    for (const { loop } of due) loop.event = false;
    for (const ring of due) {
      const { kr, csb } = ring;
      const [lo, hi] = kr.dir === 'tx' ? [kr.rhead, kr.rtail] : [kr.hwcur, kr.hwtail];
      if (!legal(kr, csb.head, csb.cur, lo, hi)) throw new Error('the driver published indices that are not legal');
      kr.rhead = csb.head;
      kr.rcur = csb.cur;
      watchedSync(kr);
      csb.hwcur = kr.hwcur;
      csb.hwtail = kr.hwtail;
      if (kr.rtail !== kr.hwtail && csb.wantsIrq) kr.interrupts++;
      kr.rtail = kr.hwtail;
    }
    return due.length !== 0;
  }
}

/** Runs the loops of all guests until none has anything to do. */
export function serviceAll(guests: readonly GuestPort[]): void {
  while (guests.map((guest) => guest.run()).includes(true));
}
