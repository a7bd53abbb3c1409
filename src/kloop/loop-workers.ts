// The loop workers of a host: started once, handed rings by a state word, ended by a stop word.

import { THREAD_LOOKING } from '../abi.js';
import { netmapError } from '../errors.js';
import type { ArenaOwner } from '../memory/arena.js';
import { spawnWorker, type WorkerHandle } from '../threads/platform.js';
import type { LookupSpec } from '../vale/lookups.js';
import type { LoopWorkerData } from './loop-worker.js';

interface LoopWorker {
  readonly handle: WorkerHandle;
  readonly thread: number;
}

/** How long (ms) a worker may take to start and to end. */
const START_LIMIT = 20_000;
const STOP_LIMIT = 5_000;
const LINE = 64;
/** How often (ms) is looked for workers that do not come back from a lookup of the user's. */
const LOOKUP_LIMIT = 1_000;

export class LoopWorkers {
  readonly #arena: ArenaOwner;
  readonly #onEnd: (token: number) => void;
  readonly #lookups: readonly LookupSpec[];
  readonly #watch: ReturnType<typeof setInterval> | undefined;
  readonly #workers: LoopWorker[] = [];
  /** Line of private memory: stop word of all workers, counter of lost wake-ups. */
  readonly #shared: number;
  #next = 0;
  /** Set once the host closes: workers that end are then not replaced. */
  stopping = false;
  /** Workers that have ended without being told to. */
  lost = 0;

  /** @param lookups what each worker loads */
  constructor(arena: ArenaOwner, lookups: readonly LookupSpec[], onEnd: (token: number) => void) {
    this.#arena = arena;
    this.#lookups = lookups;
    this.#onEnd = onEnd;
    this.#shared = arena.alloc(LINE, 'loop workers');
    if (lookups.length === 0) return;
    const stuck = new Map<number, number>();
    this.#watch = setInterval(() => this.#endStuck(stuck), LOOKUP_LIMIT);
    (this.#watch as { unref?: () => void }).unref?.();
  }

  /** Ends the workers that are still in the batch of a lookup that they were in the last time. Others take their loops. */
  #endStuck(batches: Map<number, number>): void {
    for (const { handle, thread } of this.#workers) {
      const batch = this.#arena.load(this.#arena.threadPtr(thread) + THREAD_LOOKING);
      if (batch !== 0 && batches.get(thread) === batch) handle.terminate();
      batches.set(thread, batch);
    }
  }

  get count(): number {
    return this.#workers.length;
  }

  /** Whether the worker with this record is alive. */
  has(record: number): boolean {
    return this.#workers.some(({ thread }) => this.#arena.threadPtr(thread) === record);
  }

  /** Ends the worker with this record as a crash would. */
  terminate(record: number): void {
    this.#workers.find(({ thread }) => this.#arena.threadPtr(thread) === record)?.handle.terminate();
  }

  get lostWakeups(): number {
    return this.#arena.counter(this.#shared + 8);
  }

  /** Record of the worker whose turn it is to take a loop. */
  next(): number {
    return this.#arena.threadPtr(this.#workers[this.#next++ % this.#workers.length].thread);
  }

  /** Record of worker number `i`, modulo their count. There is one. */
  at(i: number): number {
    return this.#arena.threadPtr(this.#workers[i % this.#workers.length].thread);
  }

  /** Starts a worker; resolves with its thread id once it serves. @throws NetmapError EAGAIN */
  async start(token: number): Promise<number> {
    const { memory, module, ptr } = this.#arena;
    const stop = this.#shared;
    const lookups = this.#lookups;
    const data: LoopWorkerData = { memory, module, arena: ptr, token, lookups, stop, lostWakeups: this.#shared + 8 };
    let timer: ReturnType<typeof setTimeout> | undefined;
    let handle: WorkerHandle | undefined;
    try {
      const tid = await new Promise<number>((resolve, reject) => {
        const fail = (why: string): void =>
          reject(netmapError('EAGAIN', `a loop worker did not start: ${why}`, { op: 'create' }));
        timer = setTimeout(() => fail('it does not answer'), START_LIMIT);
        // The literal form is what bundlers recognise.
        spawnWorker(new URL('./loop-worker.js', import.meta.url), {
          data,
          name: 'ptnet-kloop',
          onMessage: (message) => resolve((message as { thread: number }).thread),
          onError: (error) => fail(String(error)),
        }).then((started) => {
          handle = started;
          void started.ended.then(() => {
            const dead = this.#workers.findIndex((worker) => worker.handle === started);
            if (dead >= 0) {
              this.#workers.splice(dead, 1);
              this.lost++;
            }
            this.#onEnd(token);
          });
        }, reject);
      });
      this.#workers.push({ handle: handle as unknown as WorkerHandle, thread: tid });
      return tid;
    } catch (error) {
      handle?.terminate();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  async stop(): Promise<void> {
    this.stopping = true;
    clearInterval(this.#watch);
    this.#arena.store(this.#shared, 1);
    for (const { handle, thread } of this.#workers.splice(0)) {
      this.#arena.wasm.threadWake(this.#arena.threadPtr(thread));
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, STOP_LIMIT);
      });
      await Promise.race([handle.ended, late]);
      clearTimeout(timer);
      handle.terminate();
    }
  }
}
