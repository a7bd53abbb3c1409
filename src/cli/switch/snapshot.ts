// What a switch shows of itself: plain data, live or as the totals at its end.

import type { FdbEntry } from '../../index.js';
import type { BackendCounters, BackendState } from '../../io/backends/backend.js';

/** Packets that were not passed on, by reason; reasons without one are not there. */
export type Drops = Readonly<Record<string, number>>;

/** One port. Each direction adds up on its own once the port has ended: see the fields. */
export interface SwitchPortSnapshot {
  /** Of its network interface; on the switch it is `BRIDGE:NAME`. */
  readonly name: string;
  readonly spec: string;
  readonly state: BackendState;
  /** Why it is not up. */
  readonly reason: string;
  readonly restarts: number;
  /** What came from outside. `packets` are those that the switch has taken and those that were dropped before. */
  readonly received: {
    readonly packets: number;
    readonly bytes: number;
    /** Packets that the switch has taken. */
    readonly accepted: number;
    /** Copies of them that other ports have got. */
    readonly forwarded: number;
    /**
     * Packets for everybody, and the copies of them that were due: accepted - flooded + floodCopies are the forwarded, and
     * the drops but those that came before.
     */
    readonly flooded: number;
    readonly floodCopies: number;
    readonly drops: Drops;
  };
  /** What the switch gave to the port: packets + copies = transmitted + drops + waiting. */
  readonly sent: {
    readonly packets: number;
    readonly bytes: number;
    /** Further copies of them, where several at the outside get one. */
    readonly copies: number;
    /** Packets that the outside has got. */
    readonly transmitted: number;
    /** In the port's rings at this moment; 0 at its end. */
    readonly waiting: number;
    readonly drops: Drops;
  };
}

/** A capture of the switch's traffic. */
export interface SwitchCaptureSnapshot {
  readonly name: string;
  readonly spec: string;
  readonly state: 'starting' | 'up' | 'down' | 'closed';
  /** Why it is not up. */
  readonly reason: string;
  /** Packets in the file. */
  readonly packets: number;
  readonly bytes: number;
  readonly drops: Drops;
}

export interface SwitchSnapshot {
  readonly bridge: string;
  /** Seconds since the switch has started. */
  readonly seconds: number;
  readonly ports: readonly SwitchPortSnapshot[];
  /** Ports that were taken away, as they were at their end; those of one specification are one. */
  readonly removed: readonly SwitchPortSnapshot[];
  /** Those that run, and those that have ended, likewise. */
  readonly captures: readonly SwitchCaptureSnapshot[];
  readonly fdb: readonly FdbEntry[];
  readonly fdbFull: number;
}

export function sum(drops: Drops): number {
  return Object.values(drops).reduce((total, n) => total + n, 0);
}

/** What a switch has done with what it has taken from a port. */
export type Copies = Pick<SwitchPortSnapshot['received'], 'forwarded' | 'flooded' | 'floodCopies'>;

/** The two directions of a port. */
export function directionsOf(
  backend: BackendCounters,
  copies: Copies,
): Pick<SwitchPortSnapshot, 'received' | 'sent' | 'restarts'> {
  const { rxPackets, rxRefused, rxBytes, rxTaken, rxDrops, txOffered, txOfferedBytes, txPackets, txCopies, restarts } =
    backend;
  const txDrops = nonZero(backend.txDrops);
  return {
    restarts,
    received: {
      packets: rxPackets + rxRefused,
      bytes: rxBytes,
      accepted: rxTaken,
      ...copies,
      drops: nonZero(rxDrops),
    },
    sent: {
      packets: txOffered,
      bytes: txOfferedBytes,
      copies: txCopies,
      transmitted: txPackets,
      waiting: Math.max(0, txOffered + txCopies - txPackets - sum(txDrops)),
      drops: txDrops,
    },
  };
}

/**
 * Puts what has ended to what has ended before: the counters of one specification add up, so that a switch may go on for
 * ever.
 */
export function addEnded<T extends { readonly spec: string }>(ended: Map<string, T>, one: T): void {
  const before = ended.get(one.spec);
  ended.set(one.spec, before ? (added(before, one) as T) : one);
}

/** Numbers are added up, also those of objects within; what else there is, is the later one's. */
function added(before: object, after: object): object {
  const old = before as Record<string, unknown>;
  const sums: Record<string, unknown> = { ...old };
  for (const [key, value] of Object.entries(after)) {
    const was = old[key];
    if (typeof value === 'number') sums[key] = value + (typeof was === 'number' ? was : 0);
    else if (typeof value === 'object' && value !== null) sums[key] = added((was ?? {}) as object, value);
    else sums[key] = value;
  }
  return sums;
}

export function nonZero(drops: Readonly<Partial<Record<string, number>>>): Drops {
  return Object.fromEntries(Object.entries(drops).flatMap(([reason, n]) => (n ? [[reason, n]] : [])));
}
