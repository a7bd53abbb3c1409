// What the thread tests share: sizes from the environment, random numbers that can be repeated, waits with a limit, and
// workers whose functions are called by message.
import assert from 'node:assert/strict';
import { parentPort, Worker } from 'node:worker_threads';

/** A size that an environment variable may change. */
export function size(name: string, fallback: number): number {
  const text = process.env[name];
  if (text === undefined || text === '') return fallback;
  const value = Number(text.replaceAll('_', ''));
  assert.ok(Number.isSafeInteger(value) && value > 0, `${name}=${text} is not a whole number above 0`);
  return value;
}

/** Seed of all random choices: PTNET_SEED, else new for each run. A failing test prints it. */
export const seed = size('PTNET_SEED', 1 + Math.floor(Math.random() * 0x7ffffffe));

/** xorshift32. */
export class Random {
  #state: number;

  constructor(start: number) {
    this.#state = Math.imul(start | 1, 0x9e3779b1) | 1;
    for (let i = 0; i < 8; i++) this.next();
  }

  /** 32 random bits. */
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }

  /** 0..n-1. */
  below(n: number): number {
    return Math.floor((this.next() / 2 ** 32) * n);
  }
}

const nobody = new Int32Array(new SharedArrayBuffer(4));

/** Blocks this thread. Workers only. */
export function pause(ms: number): void {
  if (ms > 0) Atomics.wait(nobody, 0, 0, ms);
}

/** Keeps this thread busy. */
export function burn(microseconds: number): void {
  const until = performance.now() + microseconds / 1000;
  while (performance.now() < until);
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Fails with `what` when the promise takes longer than `ms`. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms (seed ${seed})`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Looks again and again until `look` gives something; fails with `what` after `ms`. */
export async function until<T>(
  ms: number,
  what: string,
  look: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  const limit = performance.now() + ms;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > limit) assert.fail(`${what}: not within ${ms} ms (seed ${seed})`);
    await sleep(2);
  }
}

type Operation = (args: never) => unknown;

interface Reply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

/** In a worker: answers the calls of a Peer. Operations run one after the other when they block, else interleaved. */
export function serve(operations: Readonly<Record<string, Operation>>): void {
  parentPort?.on('message', async ({ id, op, args }: { id: number; op: string; args: unknown }) => {
    try {
      parentPort?.postMessage({ id, result: await operations[op](args as never) });
    } catch (error) {
      parentPort?.postMessage({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  });
}

interface Call {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** A worker as the test sees it. */
export class Peer {
  readonly worker: Worker;
  readonly exited: Promise<void>;
  readonly #calls = new Map<number, Call>();
  #nextId = 1;

  constructor(url: URL, workerData: unknown = {}) {
    this.worker = new Worker(url, { workerData });
    this.exited = new Promise((resolve) => this.worker.once('exit', () => resolve()));
    this.worker.on('message', ({ id, result, error }: Reply) => {
      const call = this.#calls.get(id);
      this.#calls.delete(id);
      if (error === undefined) call?.resolve(result);
      else call?.reject(new Error(`in a worker: ${error} (seed ${seed})`));
    });
    this.worker.on('error', (error) => this.#failAll(error as Error));
    void this.exited.then(() => this.#failAll(new Error('the worker has ended')));
  }

  /** Runs an operation in the worker; fails after `limit` ms. */
  call<T = unknown>(op: string, args: unknown = {}, limit = 60_000): Promise<T> {
    const id = this.#nextId++;
    const answer = new Promise<unknown>((resolve, reject) => this.#calls.set(id, { resolve, reject }));
    this.worker.postMessage({ id, op, args });
    return within(limit, `${op} in a worker`, answer) as Promise<T>;
  }

  /** Kills the worker. */
  async end(): Promise<void> {
    void this.worker.terminate();
    await within(10_000, 'the end of a worker', this.exited);
  }

  #failAll(error: Error): void {
    for (const { reject } of this.#calls.values()) reject(error);
    this.#calls.clear();
  }
}
