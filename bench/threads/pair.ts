// Two workers with a transport between them, seen from the main thread: a contender of an end-to-end case.
import { type TransferListItem, Worker } from 'node:worker_threads';
import type { Run, TimedContender } from '../types.js';
import {
  type Answer,
  CONTROL_BYTES,
  DONE,
  expectedSum,
  type Phase,
  PROOF_FRAMES,
  type Report,
  STOP,
  TAKEN,
  type WorkerTask,
} from './control.js';

const WORKER = new URL('./worker.js', import.meta.url);
/** How long (ms) a worker may take to answer, beyond the time of the run. */
const PATIENCE = 20_000;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

class Side {
  readonly #worker: Worker;
  readonly #ended: Promise<unknown>;
  /** Settles when the worker has opened its side. */
  readonly ready: Promise<unknown>;
  #settle: { resolve: (report: Report | undefined) => void; reject: (error: Error) => void } | undefined;

  constructor(task: WorkerTask, transfer: readonly TransferListItem[]) {
    this.#worker = new Worker(WORKER, { workerData: task, transferList: [...transfer] });
    this.#ended = new Promise((resolve) => this.#worker.once('exit', resolve));
    this.#worker.on('message', (answer: Answer) => {
      if ('error' in answer) this.#settle?.reject(new Error(answer.error));
      else this.#settle?.resolve('report' in answer ? answer.report : undefined);
    });
    this.#worker.on('error', (error: Error) => this.#settle?.reject(error));
    this.ready = this.#answer();
  }

  /** The next answer. */
  #answer(): Promise<Report | undefined> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('a worker does not answer')), PATIENCE);
      const settle = (then: () => void): void => {
        clearTimeout(timer);
        then();
      };
      this.#settle = {
        resolve: (report) => settle(() => resolve(report)),
        reject: (error) => settle(() => reject(error)),
      };
    });
  }

  async do(phase: Phase): Promise<Report> {
    const answer = this.#answer();
    this.#worker.postMessage(phase);
    const report = await answer;
    if (!report) throw new Error('a worker has not reported');
    return report;
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }

  async close(): Promise<void> {
    this.#worker.postMessage('close' satisfies Phase);
    const timer = setTimeout(() => void this.#worker.terminate(), PATIENCE);
    await this.#ended;
    clearTimeout(timer);
  }
}

export interface PairOptions {
  readonly name: string;
  readonly transport: string;
  readonly size: number;
  /** Whether frames may be lost on the way. */
  readonly lossy?: boolean;
  /** What each side gets. */
  readonly data: { readonly sender: unknown; readonly receiver: unknown };
  readonly transfer?: { readonly sender: readonly TransferListItem[]; readonly receiver: readonly TransferListItem[] };
  /** Other figures of a run, of how many packets: called before it, and what that returned after it. */
  readonly watch?: () => Promise<(packets: number) => Promise<Record<string, number>>>;
  /** Undoes what the pair was opened on. */
  readonly close?: () => Promise<void>;
}

/** Starts the workers and proves that what one sends reaches the other. */
export async function openPair(options: PairOptions): Promise<TimedContender> {
  const { name, transport, size, data, transfer } = options;
  const control = new SharedArrayBuffer(CONTROL_BYTES);
  const words = new Int32Array(control);
  const sides = (['receiver', 'sender'] as const).map((side) => {
    const task: WorkerTask = { side, transport, size, control, data: data[side] };
    return new Side(task, transfer?.[side] ?? []);
  });
  const [receiver, sender] = sides;
  const both = (phase: Phase): Promise<Report[]> => {
    for (const word of [STOP, DONE, TAKEN]) Atomics.store(words, word, 0);
    return Promise.all([receiver.do(phase), sender.do(phase)]);
  };
  const close = async (): Promise<void> => {
    for (const side of sides) await side.close();
    await options.close?.();
  };
  const prove = async (): Promise<Report> => {
    await Promise.all(sides.map(({ ready }) => ready));
    const [proof] = await both('prove');
    if (proof.packets !== PROOF_FRAMES) throw new Error(`${name}: ${proof.packets} frames of ${PROOF_FRAMES} arrived`);
    return proof;
  };
  const { digest } = await prove().catch(async (error: unknown) => {
    for (const side of sides) await side.terminate(); // it may not listen any more
    await options.close?.();
    throw error;
  });
  const run = async (seconds: number): Promise<Run> => {
    const after = await options.watch?.();
    const cpu = process.cpuUsage();
    const reports = both('run');
    await sleep(1000 * seconds);
    Atomics.store(words, STOP, 1);
    const [received, sent] = await reports;
    const { user, system } = process.cpuUsage(cpu);
    const { packets } = received;
    const lost = sent.packets - packets;
    if (lost < 0 || (lost > 0 && !options.lossy)) {
      throw new Error(`${name}: ${sent.packets} frames sent, ${packets} received`);
    }
    if (lost === 0 && received.sum !== expectedSum(packets, size)) {
      throw new Error(`${name}: what was received is not what was sent`);
    }
    const extra = {
      ...(options.lossy && { 'dropped %': (100 * lost) / sent.packets }),
      'CPU ns': (1000 * (user + system)) / packets,
      ...(after && (await after(packets))),
    };
    return { value: (received.ended - sent.started) / packets, extra };
  };
  return { name, digest, run, close };
}
