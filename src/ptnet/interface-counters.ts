// Counters of an interface and of its queues, in the terms of struct if_data.

/** What an interface has counted since it was made, in the terms of struct if_data. */
export interface InterfaceCounters {
  readonly ipackets: number;
  readonly ibytes: number;
  readonly imcasts: number;
  readonly iqdrops: number;
  readonly ierrors: number;
  readonly opackets: number;
  readonly obytes: number;
  readonly omcasts: number;
  readonly oqdrops: number;
  readonly oerrors: number;
  /** Times that a transmit queue found no room and waited for the host. */
  readonly stalls: number;
  /** What `iqdrops` were: `short`, `long`, `slot`, `header`, `csum`, `gso`. */
  readonly drops: Readonly<Record<string, number>>;
}

/** The counters that a queue has. */
export interface QueueCounters {
  packets: number;
  bytes: number;
  multicasts: number;
  errors: number;
  drops: number;
  /** Times that a queue found no room and waited for the host. */
  stalls: number;
}

export const newCounters = (): QueueCounters => ({
  packets: 0,
  bytes: 0,
  multicasts: 0,
  errors: 0,
  drops: 0,
  stalls: 0,
});

export function addCounters(sum: QueueCounters, part: QueueCounters): void {
  sum.packets += part.packets;
  sum.bytes += part.bytes;
  sum.multicasts += part.multicasts;
  sum.errors += part.errors;
  sum.drops += part.drops;
  sum.stalls += part.stalls;
}
