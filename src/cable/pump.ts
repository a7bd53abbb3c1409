// What both drivers of a cable do: sync the two ports, let each direction have its round, and find out what to wait for.
// A side is asked for wake-ups only while somebody sleeps, and only if a direction waits for it: a burst costs one.

import { POLLERR, POLLIN, POLLOUT } from '../../assembly/abi/netmap.js';
import { NetmapError, netmapError } from '../errors.js';
import type { NetmapPort } from '../ring/port.js';
import type { NetmapRing } from '../ring/ring.js';
import type { Direction } from './direction.js';

/** Rounds of one activation: then the thread's other events have their turn. */
const ROUNDS = 8;

/** One of the two ports. */
export class Side {
  readonly port: NetmapPort;
  /** The waiter word before the last look. */
  seen = 0;
  subscribed = false;

  constructor(port: NetmapPort) {
    this.port = port;
  }

  /** Reads the waiter word, and does what events have left to the thread. */
  prepare(): void {
    const { waiting } = this.port;
    this.seen = waiting.seq();
    waiting.service();
  }

  /** Sends what was put into tx rings, releases what was taken out of rx rings. @throws NetmapError EIO */
  sync(): void {
    if ((this.port.pollOnce(POLLIN | POLLOUT) & POLLERR) === 0) return;
    throw netmapError('EIO', 'the port is closed or stopped', { op: 'cable', port: this.port.name });
  }

  /** True if notifications were off, and are on now: what came before is still to be looked for. */
  subscribe(on: boolean): boolean {
    if (this.subscribed === on) return false;
    this.subscribed = on;
    this.port.subscribe(on);
    return on;
  }
}

/** A direction with its two sides. */
export interface Flow {
  readonly direction: Direction;
  readonly from: Side;
  readonly to: Side;
}

export class Pump {
  readonly sides: readonly Side[];
  readonly #flows: readonly Flow[];
  /** Whether the last activation has moved anything. */
  moved = false;
  /** Whose code runs: an exception is this side's. */
  #current: Side | undefined;
  #busy = false;

  constructor(sides: readonly Side[], flows: readonly Flow[]) {
    this.sides = sides;
    this.#flows = flows;
  }

  /**
   * Moves what can be moved now, within a budget. True if there may be more.
   * @throws NetmapError EIO when a port has gone; whatever a port's own code throws
   */
  activate(): boolean {
    if (this.#busy) return false; // called by what an event has left to this thread: the outer call goes on
    this.#busy = true;
    try {
      return this.#rounds();
    } finally {
      this.#busy = false;
    }
  }

  #rounds(): boolean {
    this.moved = false;
    for (const side of this.sides) {
      this.#current = side;
      side.prepare();
    }
    for (let round = 0; round < ROUNDS; round++) {
      for (const side of this.sides) {
        this.#current = side;
        side.sync();
      }
      this.#current = undefined;
      let changed = false;
      for (const { direction } of this.#flows) changed = direction.round() || changed;
      if (!changed) return false;
      this.moved = true;
      this.disarm();
    }
    return true;
  }

  #wants(side: Side): boolean {
    return this.#flows.some(
      ({ direction, from, to }) =>
        (from === side && direction.waitsForPackets) || (to === side && direction.waitsForRoom),
    );
  }

  /** Asks the sides that are waited for to wake this thread, and no others. True if another look must come first. */
  arm(): boolean {
    let again = false;
    for (const side of this.sides) {
      this.#current = side;
      again = side.subscribe(this.#wants(side)) || again;
    }
    return again;
  }

  disarm(): void {
    for (const side of this.sides) {
      this.#current = side;
      side.subscribe(false);
    }
  }

  /** An event of `side` has ended a sleep. */
  countWakeUp(side: Side): void {
    for (const { direction, from, to } of this.#flows) {
      if ((from === side && direction.waitsForPackets) || (to === side && direction.waitsForRoom)) {
        direction.countWakeUp();
      }
    }
  }

  /** Hands over what was copied last, and takes the subscriptions back. Never throws: a side may be beyond help. */
  finish(): void {
    for (const side of this.sides) {
      try {
        side.subscribe(false);
        side.port.pollOnce(POLLOUT);
      } catch {
        // The cable has ended, with this error or another one.
      }
    }
  }

  /** What was thrown, as the reason of the cable's end. */
  reason(error: unknown): NetmapError {
    if (error instanceof NetmapError) return error;
    const message = error instanceof Error ? error.message : String(error);
    return netmapError('EIO', message, { op: 'cable', port: this.#current?.port.name });
  }
}

/**
 * @param anyHeader whether their headers may differ
 * @throws NetmapError EINVAL unless the two ports can be joined
 */
export function checkPorts(a: NetmapPort, b: NetmapPort, op: string, anyHeader = false): void {
  for (const port of [a, b]) {
    if (!port.isOpen) throw netmapError('EINVAL', 'the port is closed', { op, port: port.name });
    for (const ring of [...port.txRings, ...port.rxRings]) checkRing(ring, op, port.name);
  }
  if (!anyHeader && a.vnetHdrLen !== b.vnetHdrLen) {
    const lengths = `${a.vnetHdrLen} and ${b.vnetHdrLen}`;
    throw netmapError('EINVAL', `headers of ${lengths} bytes: a switch between them translates`, { op, port: a.name });
  }
  const [one, other] = [a, b].map((port) => (port.txRings[0] ?? port.rxRings[0])?.i32.buffer);
  if (one !== undefined && one === other) {
    throw netmapError('EINVAL', 'both ports are in one memory: moveSlots() forwards there', { op, port: a.name });
  }
}

/** The words that say where a ring is lie in memory that others may write: they are believed only if all is inside. */
function checkRing(ring: NetmapRing, op: string, port: string): void {
  const { numSlots, bufSize, bufBase, numBufs, slotBase, i32, u8 } = ring;
  const slotsInside = numSlots >= 2 && slotBase + 4 * numSlots <= i32.length;
  const bufsInside = bufSize > 0 && numBufs > 2 && bufBase + numBufs * bufSize <= u8.length;
  if (slotsInside && bufsInside) return;
  throw netmapError('EINVAL', `ring ${ring.ringId} does not lie in its memory`, { op, port });
}
