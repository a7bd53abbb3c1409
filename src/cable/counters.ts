// What a cable counts, for each direction.

/** Why a packet was not passed on. */
export interface CableDrops {
  /** A slot of it had an index or a length out of range, or NS_INDIRECT. */
  readonly badSlot: number;
  /** A slot that it was to go to named no buffer. */
  readonly badBuffer: number;
  /** It had, or would have, more than 64 slots, or filled its ring without an end. */
  readonly fragments: number;
  /** It needs more slots than the other side's ring has. */
  readonly tooLong: number;
  /** It had no bytes: what a switch leaves behind in place of an interrupted delivery. */
  readonly empty: number;
}

/** Counters of one direction of a cable. */
export interface DirectionCounters {
  /** Packets passed on, whole. */
  readonly frames: number;
  readonly bytes: number;
  readonly drops: CableDrops;
  /** Looks that found a head or a tail out of range. The port's own sync repairs its ring. */
  readonly badRings: number;
  /** Times that packets began to wait for room on the other side. */
  readonly stalls: number;
  /** Times that a sleep ended because of an event that the direction had asked for. */
  readonly wakeUps: number;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** The same, being counted. */
export class Tally implements DirectionCounters {
  frames = 0;
  bytes = 0;
  readonly drops: Mutable<CableDrops> = { badSlot: 0, badBuffer: 0, fragments: 0, tooLong: 0, empty: 0 };
  badRings = 0;
  stalls = 0;
  wakeUps = 0;

  /** The counters now, as plain data. */
  snapshot(): DirectionCounters {
    return { ...this, drops: { ...this.drops } };
  }
}
