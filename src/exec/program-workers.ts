// The workers of a program's threads, for whoever starts them: the program's kernel, or its host.

import type { WorkerHandle } from '../threads/platform.js';
import type { ProgramData } from './exec-program.js';
import type { ProcessControl } from './process-control.js';
import type { ThreadStart } from './thread-imports.js';

export class ProgramWorkers {
  readonly #control: ProcessControl;
  readonly #spawn: (data: ProgramData) => Promise<WorkerHandle>;
  readonly #data: ProgramData;
  readonly #workers = new Map<number, Promise<WorkerHandle>>();
  #ending = false;

  constructor(data: ProgramData, control: ProcessControl, spawn: (data: ProgramData) => Promise<WorkerHandle>) {
    this.#data = data;
    this.#control = control;
    this.#spawn = spawn;
  }

  /** Runs a thread in a worker; its line is free when that has ended. */
  async start(thread: ThreadStart, onEnd: (line: number) => void = () => {}): Promise<void> {
    const { line } = thread;
    const free = (): void => {
      this.#workers.delete(line);
      onEnd(line);
      this.#control.forLine(line).freeLine();
    };
    if (this.#ending) return free();
    const spawned = this.#spawn({ ...this.#data, thread });
    this.#workers.set(line, spawned);
    try {
      const worker = await spawned;
      void worker.ended.then(free);
    } catch (error) {
      free();
      throw error;
    }
  }

  /** Ends all threads. Resolves when no worker is left. */
  async end(): Promise<void> {
    this.#ending = true;
    await Promise.all(
      [...this.#workers.values()].map(async (spawned) => {
        const worker = await spawned.catch(() => undefined);
        worker?.terminate();
        await worker?.ended;
      }),
    );
  }
}
