// Cases that follow one number: a sender sends bursts, its receivers take them, in one thread. The contenders of a case are
// the values of the number; the last is ours, so that its ratio to the first says how flat the curve is.
import type { Netmap, NetmapPort, NetmapRing } from 'ptnet';
import { footprintOf } from './footprint.js';
import { digestRing, digestSlots, drain, fill, makeFrame } from './program.js';
import { expectedSum } from './threads/control.js';
import type { Case, Contender, OpenCase } from './types.js';

/** Packets of one call, the same for all. */
const CALL = 512;
const PROOF = 8 * CALL;

/** Rings that a burst goes into, and those that all of it comes out of. */
export interface Turn {
  readonly tx: readonly NetmapRing[];
  readonly rx: readonly NetmapRing[];
  readonly sync: () => void;
}

export interface BurstWorld {
  readonly netmap: Netmap;
  /** Who sends to whom, in turn. */
  readonly turns: readonly Turn[];
  readonly size: number;
  /** Frames in each tx ring of a turn: a quarter of it at most, as a driver sees one sync later what has become of them. */
  readonly burst: number;
  /** Ports that each frame reaches. Default 1. */
  readonly copies?: number;
}

/** One port sends, others receive. */
export function turnOf(from: NetmapPort, ...to: readonly NetmapPort[]): Turn {
  const sync = (): void => {
    let result = from.txsync();
    for (const port of to) result |= port.rxsync();
    if (result !== 0) throw new Error('a sync failed');
  };
  return { tx: from.txRings, rx: to.flatMap(({ rxRings }) => rxRings), sync };
}

/** Frames from port `src` to port `dst` in every buffer of a ring; ports count from 1. */
export function putFrames(ring: NetmapRing, size: number, dst: number, src: number): void {
  for (let i = 0; i < ring.numSlots; i++) makeFrame(ring.u8, ring.bufAddress(i), size, dst, src, i);
}

/** Takes what has arrived meanwhile: introductions. */
export function discard(ports: readonly NetmapPort[]): void {
  for (const port of ports) {
    port.rxsync();
    port.recv();
    port.rxsync();
  }
}

/** A burst that is not counted: its bytes arrive in each ring as they were sent into the ring of its number, or the only one. */
function arrivesWhole({ tx, rx, sync }: Turn, size: number, burst: number): boolean {
  const sent = tx.map((ring) => {
    const first = ring.head;
    fill(ring, burst, 0, size, 0);
    return digestSlots(ring, first, ring.head);
  });
  sync();
  return rx.map((ring) => digestRing(ring)).every((bytes, k) => bytes === sent[tx.length === 1 ? 0 : k]);
}

function contender(name: string, { turns, size, burst, copies = 1 }: BurstWorld): Contender {
  const got = { packets: 0, sum: 0 };
  let sent = 0;
  let at = 0;
  const send = (count: number): void => {
    for (let left = count; left > 0; ) {
      const { tx, rx, sync } = turns[at];
      at = at + 1 === turns.length ? 0 : at + 1;
      for (const ring of tx) {
        fill(ring, burst, sent, size, 0);
        sent += burst;
        left -= burst;
      }
      sync();
      for (const ring of rx) drain(ring, got);
    }
  };
  const check = (): void => {
    if (got.packets !== copies * sent) throw new Error(`${name}: ${sent} packets sent, ${got.packets} received`);
    const whole = turns.every((turn) => arrivesWhole(turn, size, burst));
    if (!whole || got.sum !== Math.imul(copies, expectedSum(sent, size))) {
      throw new Error(`${name}: what was received is not what was sent`);
    }
  };
  send(PROOF);
  check();
  // Lengths and copies differ from one contender to the next: each has been checked against what it must be.
  const figures = footprintOf(
    turns.flatMap(({ tx, rx }) => [...tx, ...rx]),
    size,
  );
  return { name, run: () => send(CALL), digest: sent, figures, check };
}

/** A case with a world for each of `numbers`. */
export function numberCase(
  suite: string,
  name: string,
  numbers: readonly number[],
  label: (n: number) => string,
  open: (n: number) => Promise<BurstWorld>,
): Case {
  const openCase = async (): Promise<OpenCase> => {
    const worlds: BurstWorld[] = [];
    const contenders: Contender[] = [];
    for (const n of numbers) {
      const world = await open(n);
      worlds.push(world);
      contenders.push(contender(label(n), world));
    }
    const close = async (): Promise<void> => {
      for (const { netmap } of worlds) await netmap.close();
    };
    return { contenders, close };
  };
  const ours = label(numbers[numbers.length - 1]);
  return { suite, name, size: 0, batch: CALL, unit: 'ns/packet', ours, open: openCase };
}
