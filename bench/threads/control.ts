// What the two workers of a pair and the main thread share while they run, and what they tell each other between runs.

/** Words of the shared memory, each on a cache line of its own. */
export const STOP = 0;
/** Frames that the sender has sent, modulo 2^32, when it has stopped. */
export const SENT = 16;
/** 1 when the sender has stopped. */
export const DONE = 32;
/** Frames that the receiver has taken; while the proof runs, and when it has stopped. */
export const TAKEN = 48;
export const CONTROL_BYTES = 256;

/** Frames of the proof, as in bench/program.ts. */
export const PROOF_FRAMES = 4096;

/** What workers are asked: to send the proof or take it, or to send or receive until told to stop. */
export type Phase = 'prove' | 'run' | 'close';

/** What a worker answers. Times are those of the system's monotonic clock, in ns. */
export interface Report {
  readonly packets: number;
  /** Of sequence numbers and lengths, modulo 2^32; the receiver's. */
  readonly sum: number;
  /** Of the proof; the receiver's. */
  readonly digest: number;
  readonly started: number;
  readonly ended: number;
}

export type Answer = { readonly ready: true } | { readonly report: Report } | { readonly error: string };

/** What a worker of a pair gets. `transport` says what moves the frames: bench/threads/worker.ts. */
export interface WorkerTask<T = unknown> {
  readonly side: 'sender' | 'receiver';
  readonly transport: string;
  readonly size: number;
  readonly control: SharedArrayBuffer;
  /** What the transport needs. */
  readonly data: T;
}

export const nowNs = (): number => Number(process.hrtime.bigint());

/** What a run must have added up to: numbers 0 … n - 1 and n lengths, modulo 2^32. */
export function expectedSum(packets: number, size: number): number {
  const n = BigInt(packets);
  return Number(BigInt.asIntN(32, (n * (n - 1n)) / 2n + n * BigInt(size)));
}

/** One side of a pair. */
export interface Program {
  prove(): Promise<Report>;
  /** Sends or receives until STOP; the receiver until it has what was sent before. */
  run(): Promise<Report>;
  close(): Promise<void>;
}

/** Bytes that the sides of a ping-pong share: bench/threads/ping.ts. */
export const PING_BYTES = 512;
