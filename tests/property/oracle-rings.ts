// Making, freeing, watching and syncing the rings of the oracle's ports. See oracle-host.ts.

import { type Kring, legal, pairBufs, ringSync } from './oracle.js';
import { unwatch, watch, watchedSync } from './oracle-monitor.js';
import { forwardDown } from './oracle-nic.js';
import { type Adapter, type OpenPort, OracleError } from './oracle-types.js';

/** All rings of an adapter. */
export const ringsOf = (adapter: Adapter): Kring[] => [
  ...adapter.tx,
  ...adapter.hostTx,
  ...adapter.rx,
  ...adapter.hostRx,
];

/** Ring i of a monitor watches the rings i of its parent. */
export function watchRings(monitor: Adapter, parent: Adapter, { rx }: OpenPort, letters: string): void {
  for (const ring of rx) {
    const isHost = monitor.hostRx.includes(ring);
    const sent = (isHost ? parent.hostTx : parent.tx)[ring.index];
    const received = (isHost ? parent.hostRx : parent.rx)[ring.index];
    if (sent && /[tz]/.test(letters)) watch(sent, ring, letters === 'z');
    if (received && /[rz]/.test(letters)) watch(received, ring, letters === 'z');
  }
}

export function unwatchRings(monitor: Adapter, parent: Adapter): void {
  for (const ring of [...monitor.rx, ...monitor.hostRx]) for (const kr of ringsOf(parent)) unwatch(kr, ring);
}

/** A ring with buffers; for a pipe, also the peer's ring, with the same buffers. */
export function makeRings(kr: Kring, made: Kring[]): void {
  const { region, n } = kr;
  const needed = kr.peer ? 2 : 1;
  const fits = 256 + 16 * n <= region.ringBytes && region.freeRings >= needed && region.freeBufs >= n;
  if (!fits) throw new OracleError('ENOMEM');
  const bufs = Array.from({ length: n }, () => region.take());
  for (const one of kr.peer ? [kr, kr.peer] : [kr]) {
    one.makeRing(bufs);
    region.freeRings--;
  }
  made.push(kr);
}

export function freeRing(kr: Kring): void {
  if (!kr.ring) return;
  const tx = kr.dir === 'tx' ? kr : kr.peer;
  const bufs = kr.peer ? pairBufs(tx as Kring) : kr.ring.slots.map(({ bufIdx }) => bufIdx);
  for (const i of bufs) kr.region.give(i);
  for (const one of kr.peer ? [kr, kr.peer] : [kr]) {
    one.ring = undefined;
    one.mask = 0n;
    one.maxOffset = 0;
    kr.region.freeRings++;
  }
}

const EIO = 5;

function syncAll(krings: readonly Kring[], before: (kr: Kring) => void = () => {}): number {
  let result = 0;
  for (const kr of krings) {
    if (kr.stopped) {
      result = -EIO;
      continue;
    }
    before(kr);
    ringSync(kr, watchedSync);
  }
  return result;
}

/** Returns 0, or -EIO when a ring is stopped. */
export function txsync({ tx }: OpenPort): number {
  return syncAll(tx);
}

/** The same; a port with all NIC tx rings forwards from the first host rx ring. */
export function rxsync({ adapter, tx, rx }: OpenPort): number {
  const forwards = adapter.nic !== undefined && adapter.tx.every((kr) => tx.includes(kr));
  return syncAll(rx, (kr) => {
    if (!forwards || kr !== adapter.hostRx[0]) return;
    const { head } = kr.shown;
    if (legal(kr, head, head, kr.hwcur, kr.hwtail)) forwardDown(kr, adapter.tx, head, kr.region);
  });
}
