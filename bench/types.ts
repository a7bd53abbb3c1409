// What a suite is made of: cases, and for each case the contenders that do the same work.

/** Packets (slots, syncs, checksums) of one call of a contender. */
export const BATCH = 256;
export const RING_SLOTS = 1024;

/** Something that runs in this process. */
export interface Contender {
  /** `ptnet` is ours; the others are compared with it. */
  readonly name: string;
  /** Does the work of one batch. */
  readonly run: () => void;
  /** Digest of what a fixed workload delivered: equal in all contenders, the native one included. */
  readonly digest: number;
  /** @throws Error when the timed runs lost something */
  check(): void;
}

export interface OpenCase {
  readonly contenders: readonly Contender[];
  close(): Promise<void>;
}

export interface Case {
  readonly suite: string;
  readonly name: string;
  readonly unit: string;
  /** Packets of one call of a contender, if not BATCH. */
  readonly batch?: number;
  /** Bytes of a packet, where the table shall have Gbit/s. */
  readonly bytes?: number;
  /** The native twin's task (bench/native/twin.c) and the size of its frames. */
  readonly task: string;
  readonly size: number;
  open(): Promise<OpenCase>;
}

export interface SuiteOptions {
  /** Frame sizes in bytes. */
  readonly sizes: readonly number[];
}
