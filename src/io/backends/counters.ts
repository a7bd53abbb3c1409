// Counters of a backend, in shared memory: each worker writes a block of its own, the owner adds them up.

/** Why a backend has not passed a packet on. */
export const DROP_REASONS = [
  'runt', // shorter than an Ethernet header
  'oversized', // longer than the interface or the outside takes
  'framing', // no packet where one should start
  'vni', // for another virtual network
  'source', // from somebody who is no peer
  'self', // for where it came from
  'header', // a bad virtio-net header
  'noRoom', // the interface's ring, or the outside's queue, is full
  'down', // nobody is at the other end
  'error', // the system refused it
] as const;
export type DropReason = (typeof DROP_REASONS)[number];

/** Packets and bytes that the workers of a backend have counted. What came from outside is received, what goes there is transmitted. */
export interface WorkerCounters {
  /** Put into the interface; bytes without a virtio-net header that was added or taken away. */
  readonly rxPackets: number;
  readonly rxBytes: number;
  /** Given to the outside. */
  readonly txPackets: number;
  readonly txBytes: number;
  /** Came from outside and were not put into the interface; with `ws` also copies for a client that does not keep up (`noRoom`). */
  readonly rxDrops: Readonly<Partial<Record<DropReason, number>>>;
  /** Were transmitted, and not given to the outside. */
  readonly txDrops: Readonly<Partial<Record<DropReason, number>>>;
  /** Further copies of transmitted packets, for several peers: each is among `txPackets` or `txDrops`. */
  readonly txCopies: number;
  /** Passed on between several peers of the backend itself. */
  readonly relayed: number;
  /** Connections that were turned away. */
  readonly refused: number;
}

/**
 * What has become of all packets: those that came from outside are `rxPackets` and `rxRefused`; those that the interface has
 * transmitted, `txOffered`, and their `txCopies` are `txPackets`, `txDrops`, and what waits at this moment.
 */
export interface BackendCounters extends WorkerCounters {
  /** Those that came from outside and were not put into the interface. Among `rxDrops`, with what was dropped further on. */
  readonly rxRefused: number;
  /** Packets that the interface, or the bridge that it is on, has taken. */
  readonly rxTaken: number;
  /** Packets that the interface has transmitted. */
  readonly txOffered: number;
  readonly txOfferedBytes: number;
  /** Times that it was started again after a failure. */
  readonly restarts: number;
}

const RX_PACKETS = 0;
const RX_BYTES = 1;
const TX_PACKETS = 2;
const TX_BYTES = 3;
const RELAYED = 4;
const REFUSED = 5;
const TX_COPIES = 6;
const RX_DROPS = 7;
const TX_DROPS = RX_DROPS + DROP_REASONS.length;
const WORDS = TX_DROPS + DROP_REASONS.length;

/** Bytes of one worker's counters. */
export const COUNTERS_SIZE = 8 * WORDS;

/** Counts for one worker; nobody else writes the block. */
export class CounterWriter {
  readonly #words: Float64Array;

  constructor(block: SharedArrayBuffer) {
    this.#words = new Float64Array(block, 0, WORDS);
  }

  received(packets: number, bytes: number): void {
    this.#words[RX_PACKETS] += packets;
    this.#words[RX_BYTES] += bytes;
  }

  transmitted(packets: number, bytes: number): void {
    this.#words[TX_PACKETS] += packets;
    this.#words[TX_BYTES] += bytes;
  }

  /** A packet went from one peer of the backend to another one. */
  relay(): void {
    this.#words[RELAYED]++;
  }

  /** A packet goes to so many peers. */
  flooded(peers: number): void {
    if (peers > 1) this.#words[TX_COPIES] += peers - 1;
  }

  /** A connection was turned away. */
  refuse(): void {
    this.#words[REFUSED]++;
  }

  rxDrop(reason: DropReason, packets = 1): void {
    this.#words[RX_DROPS + DROP_REASONS.indexOf(reason)] += packets;
  }

  txDrop(reason: DropReason, packets = 1): void {
    this.#words[TX_DROPS + DROP_REASONS.indexOf(reason)] += packets;
  }
}

/** The sums over the blocks of all workers. */
export function sumCounters(blocks: readonly SharedArrayBuffer[]): WorkerCounters {
  const sums = new Float64Array(WORDS);
  for (const block of blocks) {
    for (const [i, n] of new Float64Array(block, 0, WORDS).entries()) sums[i] += n;
  }
  const drops = (from: number): Partial<Record<DropReason, number>> =>
    Object.fromEntries(DROP_REASONS.map((reason, i) => [reason, sums[from + i]]).filter(([, n]) => n !== 0));
  return {
    rxPackets: sums[RX_PACKETS],
    rxBytes: sums[RX_BYTES],
    txPackets: sums[TX_PACKETS],
    txBytes: sums[TX_BYTES],
    rxDrops: drops(RX_DROPS),
    txDrops: drops(TX_DROPS),
    txCopies: sums[TX_COPIES],
    relayed: sums[RELAYED],
    refused: sums[REFUSED],
  };
}
