// The two programs of transports that are polled: rings in shared memory. The sender keeps the ring as full as it gets,
// the receiver takes what is there. bench/native/task-threads.h is the same in C.
import { FNV_BASIS } from '../program.js';
import { BATCH } from '../types.js';
import { DONE, nowNs, PROOF_FRAMES, type Program, type Report, SENT, STOP, TAKEN, type WorkerTask } from './control.js';

export interface PolledSender {
  /** Sends up to `count` frames numbered from `seq`, their lengths smaller by `seq & vary`. Returns how many went. */
  send(seq: number, count: number, vary: number): number;
  close?(): Promise<void>;
}

/** What a receiver has found; one object, so that receiving allocates nothing. */
export interface Taken {
  packets: number;
  sum: number;
}

export interface PolledReceiver {
  /** Whether it sleeps while there is nothing. */
  readonly sleeps?: boolean;
  /** Takes all frames that are there: reads length and number of each. `waits`: may sleep until there are some. */
  take(into: Taken, waits: boolean): void;
  /** Takes all frames that are there, with all their bytes. */
  digest(hash: number, into: Taken): number;
  close?(): Promise<void>;
}

/** Looks at the stop word once in so many batches. */
const BATCHES = 64;
/** How long (ns) nothing must have come when the sender has stopped and some frames are missing: a switch drops. */
const QUIET = 1e8;

function proveSender(sender: PolledSender, { control }: WorkerTask): Report {
  const words = new Int32Array(control);
  for (let seq = 0; seq < PROOF_FRAMES; ) {
    const vary = seq < PROOF_FRAMES / 2 ? 7 : 0;
    for (const end = seq + BATCH; seq < end; ) seq += sender.send(seq, end - seq, vary);
    while (Atomics.load(words, TAKEN) < seq) sender.send(seq, 0, 0); // a window: a switch would drop what is too much
  }
  return { packets: PROOF_FRAMES, sum: 0, digest: 0, started: 0, ended: 0 };
}

function proveReceiver(receiver: PolledReceiver, { control }: WorkerTask): Report {
  const words = new Int32Array(control);
  const got: Taken = { packets: 0, sum: 0 };
  let digest = FNV_BASIS;
  while (got.packets < PROOF_FRAMES) {
    digest = receiver.digest(digest, got);
    Atomics.store(words, TAKEN, got.packets);
  }
  return { packets: got.packets, sum: 0, digest: digest >>> 0, started: 0, ended: 0 };
}

function runSender(sender: PolledSender, { control }: WorkerTask): Report {
  const words = new Int32Array(control);
  const started = nowNs();
  let seq = 0;
  do {
    for (let i = 0; i < BATCHES; i++) seq += sender.send(seq, BATCH, 0);
  } while (Atomics.load(words, STOP) === 0);
  for (let i = 0; i < 3; i++) sender.send(seq, 0, 0); // nothing is left in the ring
  Atomics.store(words, SENT, seq | 0);
  Atomics.store(words, DONE, 1);
  return { packets: seq, sum: 0, digest: 0, started, ended: nowNs() };
}

function runReceiver(receiver: PolledReceiver, { control }: WorkerTask): Report {
  const words = new Int32Array(control);
  const got: Taken = { packets: 0, sum: 0 };
  const { sleeps = false } = receiver;
  const started = nowNs();
  let done = false;
  let ended = started; // when it had the last frame: what comes after that is nobody's cost
  for (;;) {
    if (!done) {
      done = Atomics.load(words, DONE) !== 0;
      if (done) ended = nowNs();
    }
    const { packets } = got;
    for (let i = 0; i < BATCHES; i++) {
      const before = got.packets;
      receiver.take(got, !done);
      if (sleeps && got.packets === before) break;
    }
    if (!done) continue;
    const now = nowNs();
    if (got.packets !== packets) ended = now;
    if ((got.packets | 0) === Atomics.load(words, SENT) || now - ended > QUIET) break;
  }
  return { packets: got.packets, sum: got.sum, digest: 0, started, ended };
}

export function sendingProgram(sender: PolledSender, task: WorkerTask): Program {
  return {
    prove: async () => proveSender(sender, task),
    run: async () => runSender(sender, task),
    close: async () => sender.close?.(),
  };
}

export function receivingProgram(receiver: PolledReceiver, task: WorkerTask): Program {
  return {
    prove: async () => proveReceiver(receiver, task),
    run: async () => runReceiver(receiver, task),
    close: async () => receiver.close?.(),
  };
}
