// Linux guests in v86, each in a thread of its own, on one shared memory: a pipe between them, served in the guests' threads
// and by a loop worker; and each with a RAM window, in a memory of its own.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type LoopMode, Netmap } from 'ptnet';
import { fixtures, root } from './support.js';
import { imageFolder, skip, v86Folder, values } from './v86-support.js';

const LIMIT = 600_000;
const PACKETS = 100_000;

interface Answer {
  readonly text?: string;
  readonly error?: string;
  readonly faults?: number;
}

class GuestThread {
  readonly #worker: Worker;

  constructor(netmap: Netmap, port: object, window: 'mmio' | 'ram') {
    const url = (path: string): string => pathToFileURL(path).href;
    const workerData = {
      ptnet: url(join(root, 'dist/index.js')),
      linux: url(join(root, 'examples/guest/linux.mjs')),
      v86: url(createRequire(import.meta.url).resolve('v86')),
      wasm: join(v86Folder, 'v86.wasm'),
      folder: imageFolder,
      handle: netmap.handle(),
      port,
      window,
    };
    this.#worker = new Worker(join(fixtures, 'v86-worker.mjs'), { workerData });
  }

  /** What the thread says next. */
  next(): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#worker.once('error', reject);
      this.#worker.once('message', (answer: Answer) => {
        this.#worker.off('error', reject);
        resolve(answer);
      });
    });
  }

  async run(command: string): Promise<string> {
    this.#worker.postMessage(command);
    const { text, error, faults } = await this.next();
    assert.equal(error, undefined);
    assert.equal(faults, 0);
    return text ?? '';
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

const WAYS: readonly [LoopMode, 'mmio' | 'ram'][] = [
  ['direct', 'mmio'],
  ['notify', 'mmio'],
  ['direct', 'ram'],
];

for (const [loop, window] of WAYS) {
  test(`two guests in two threads on a pipe, kernel loops in mode ${loop}, window ${window}`, {
    skip,
    timeout: LIMIT,
  }, async () => {
    const netmap = await Netmap.create({ memorySize: 512 << 20, threads: loop === 'direct' ? 0 : 1 });
    const a = new GuestThread(netmap, { name: 'netmap:p{1', loop }, window);
    const b = new GuestThread(netmap, { name: 'netmap:p}1', loop }, window);
    try {
      await Promise.all([a.next(), b.next()]);
      for (const length of [60, 1500]) {
        const receiver = b.run(`ptnet-guest rx 0 ${PACKETS} ${length}`);
        await new Promise((resolve) => setTimeout(resolve, 1000));
        const tx = values(await a.run(`ptnet-guest tx 0 ${PACKETS} ${length}`), 'RESULT');
        const rx = values(await receiver, 'RESULT');
        assert.deepEqual([rx['packets'], rx['lost'], rx['bad'], tx['packets']], [PACKETS, 0, 0, PACKETS]);
      }
    } finally {
      await a.close();
      await b.close();
      await netmap.close();
    }
  });
}
