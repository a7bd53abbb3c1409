// One direction of a cable: a lane for each rx ring of the port that it comes from, into the tx ring of the same index,
// modulo the tx rings of the port that it goes to.

import type { NetmapPort } from '../ring/port.js';
import { type DirectionCounters, Tally } from './counters.js';
import { EMPTY, FULL, Lane, type LaneOptions, LIMIT } from './lane.js';

/** Slots and bytes of one round, all lanes together: then it is the other direction's turn. */
const ROUND_SLOTS = 512;
const ROUND_BYTES = 1 << 18;

export class Direction {
  /** Whether the last round left lanes that wait for packets, or for room. */
  waitsForPackets = false;
  waitsForRoom = false;
  readonly #tally = new Tally();
  readonly #lanes: readonly Lane[];
  #first = 0;
  #stalled = false;

  constructor(from: NetmapPort, to: NetmapPort, options: Pick<LaneOptions, 'marks' | 'indirect'> = {}) {
    const { txRings } = to;
    // Rings may have offsets that another opening of their port has asked for.
    const [srcOffset, dstOffset] = [from.maxOffset, to.maxOffset];
    const all = { ...options, ...(srcOffset !== 0 && { srcOffset }), ...(dstOffset !== 0 && { dstOffset }) };
    this.#lanes =
      txRings.length === 0
        ? []
        : from.rxRings.map((ring, i) => new Lane(ring, txRings[i % txRings.length], this.#tally, all));
  }

  /** False when one of the ports has no ring for it. */
  get exists(): boolean {
    return this.#lanes.length !== 0;
  }

  /** One look at all rings, after their syncs. False if nothing has changed: then it is known what to wait for. */
  round(): boolean {
    this.waitsForPackets = false;
    this.waitsForRoom = false;
    const lanes = this.#lanes;
    const before = this.#tally.bytes;
    let changed = false;
    let slots = ROUND_SLOTS;
    for (let k = 0; k < lanes.length; k++) {
      const lane = lanes[(this.#first + k) % lanes.length];
      changed = lane.move(slots, ROUND_BYTES - (this.#tally.bytes - before)) || changed;
      slots -= lane.moved;
      this.waitsForPackets ||= lane.waits === EMPTY;
      this.waitsForRoom ||= lane.waits === FULL;
      changed ||= lane.waits === LIMIT;
    }
    this.#first = lanes.length === 0 ? 0 : (this.#first + 1) % lanes.length;
    if (this.waitsForRoom && !this.#stalled) this.#tally.stalls++;
    this.#stalled = this.waitsForRoom;
    return changed;
  }

  countWakeUp(): void {
    this.#tally.wakeUps++;
  }

  counters(): DirectionCounters {
    return this.#tally.snapshot();
  }
}
