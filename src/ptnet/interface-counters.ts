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

function addCounters(sum: QueueCounters, part: QueueCounters): void {
  sum.packets += part.packets;
  sum.bytes += part.bytes;
  sum.multicasts += part.multicasts;
  sum.errors += part.errors;
  sum.drops += part.drops;
  sum.stalls += part.stalls;
}

/** A queue that counts; a receiving one with its reasons for drops. */
export interface Counting {
  readonly counters: QueueCounters;
  readonly drops?: ReadonlyMap<string, number>;
}

/** The counters of an interface: of the queues that it had, and of those that it has. */
export class Tally {
  readonly #tx = newCounters();
  readonly #rx = newCounters();
  readonly #drops = new Map<string, number>();

  add(tx: readonly Counting[], rx: readonly Counting[]): void {
    for (const { counters } of tx) addCounters(this.#tx, counters);
    for (const { counters, drops = [] } of rx) {
      addCounters(this.#rx, counters);
      for (const [reason, count] of drops) this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + count);
    }
  }

  /** The sums, with those of queues that are still at work. */
  with(txQueues: readonly Counting[], rxQueues: readonly Counting[]): InterfaceCounters {
    const sum = new Tally();
    sum.add([{ counters: this.#tx }], [{ counters: this.#rx, drops: this.#drops }]);
    sum.add(txQueues, rxQueues);
    const tx = sum.#tx;
    const rx = sum.#rx;
    return {
      ipackets: rx.packets,
      ibytes: rx.bytes,
      imcasts: rx.multicasts,
      iqdrops: rx.drops,
      ierrors: rx.errors,
      opackets: tx.packets,
      obytes: tx.bytes,
      omcasts: tx.multicasts,
      oqdrops: tx.drops,
      oerrors: tx.errors,
      stalls: tx.stalls,
      drops: Object.fromEntries(sum.#drops),
    };
  }
}
