// The loop workers as the threads of VALE polling: each polls the tx rings of wires that were given to it. Control thread
// only.

import {
  KLOOP_IDLE,
  KLOOP_MODE,
  KLOOP_MODE_POLL,
  KLOOP_NTX,
  KLOOP_OWNER,
  KLOOP_RUNNING,
  KLOOP_SIZE,
  KLOOP_STATE,
  KLOOP_THREAD,
  KLOOP_TX,
  THREAD_PASSES,
} from '../abi.js';
import { netmapError } from '../errors.js';
import type { ArenaOwner } from '../memory/arena.js';
import type { PolledRings, RingPollers } from '../netmap/vale-polling.js';
import { handOver, isFull, takeBack } from './loop-list.js';
import type { LoopWorkers } from './loop-workers.js';

interface Poller {
  /** Address of its `struct kloop`. */
  readonly loop: number;
  readonly cpu: number;
}

/** How long (ms) a poller's thread may take to leave its rings: longer than a lookup that hangs is left alone. */
const STOP_LIMIT = 5_000;

export class Pollers implements RingPollers {
  readonly #arena: ArenaOwner;
  readonly #workers: LoopWorkers;
  readonly #pollers = new Set<Poller>();

  constructor(arena: ArenaOwner, workers: LoopWorkers) {
    this.#arena = arena;
    this.#workers = workers;
  }

  get threads(): number {
    return this.#workers.count;
  }

  start(groups: readonly PolledRings[]): () => Promise<void> {
    const started: Poller[] = [];
    const stop = async (): Promise<void> => {
      for (const poller of started) await this.#stop(poller);
    };
    try {
      for (const { cpu, krings } of groups) {
        const loop = this.#arena.alloc(KLOOP_SIZE, 'a poller');
        const poller = { loop, cpu };
        started.push(poller);
        this.#pollers.add(poller);
        this.#arena.store(loop + KLOOP_MODE, KLOOP_MODE_POLL);
        this.#arena.store(loop + KLOOP_TX, krings[0].ptr);
        this.#arena.store(loop + KLOOP_NTX, krings.length);
        this.#handOver(poller);
      }
    } catch (error) {
      void stop();
      throw error;
    }
    return stop;
  }

  /** A thread has died: what it polled is free again. */
  recover(tid: number): void {
    for (const { loop } of this.#pollers) {
      Atomics.compareExchange(this.#arena.u32, (loop + KLOOP_OWNER) >>> 2, tid, 0);
    }
  }

  /** The loop worker with this record has died, and another one was started: the workers share its rings. */
  replace(record: number): void {
    for (const poller of this.#pollers) {
      if (this.#arena.load(poller.loop + KLOOP_THREAD) === record) this.#handOver(poller);
    }
  }

  #handOver({ loop, cpu }: Poller): void {
    const thread = this.#workers.at(cpu);
    if (isFull(this.#arena, thread)) {
      throw netmapError('ENXIO', 'the loop worker serves too many loops', { op: 'valePolling' });
    }
    this.#arena.store(loop + KLOOP_THREAD, thread);
    this.#arena.store(loop + KLOOP_STATE, KLOOP_RUNNING);
    handOver(this.#arena, thread, loop);
  }

  async #stop(poller: Poller): Promise<void> {
    const { loop } = poller;
    const arena = this.#arena;
    arena.store(loop + KLOOP_STATE, KLOOP_IDLE);
    const thread = arena.load(loop + KLOOP_THREAD);
    if (thread !== 0) takeBack(arena, thread, loop);
    const left = thread === 0 || (await this.#passEnds(thread));
    this.#pollers.delete(poller);
    if (left) arena.free(loop); // else a thread that hangs has it in its hands
  }

  /** Waits for the pass that a thread is in, which may have seen what its list had before. Its death ends it, too. */
  async #passEnds(thread: number): Promise<boolean> {
    const pass = this.#arena.load(thread + THREAD_PASSES);
    const limit = performance.now() + STOP_LIMIT;
    while (pass % 2 === 1 && this.#arena.load(thread + THREAD_PASSES) === pass) {
      if (performance.now() > limit) return false;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return true;
  }
}
