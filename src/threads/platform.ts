// The platform seam below io: workers of node:worker_threads (Node, Deno, Bun) or the Web, and what may block.

/** What both kinds of worker have in common. */
export interface WorkerHandle {
  postMessage(message: unknown): void;
  terminate(): void;
  /** Resolves when the worker has ended, however that came about. */
  readonly ended: Promise<void>;
}

interface NodeWorker {
  postMessage(message: unknown): void;
  terminate(): Promise<number>;
  once(event: string, listener: (value: unknown) => void): void;
  on(event: string, listener: (value: unknown) => void): void;
  unref(): void;
}

const nodeLike = typeof process !== 'undefined' && typeof process.versions?.node === 'string';
const { WorkerGlobalScope: WebWorkerScope } = globalThis as { WorkerGlobalScope?: new () => object };
/** Whether this is a Web worker, of a browser or of Deno. */
const webWorker = WebWorkerScope !== undefined && globalThis instanceof WebWorkerScope;

/** A Web worker's first message, kept from the start on: the worker may do something else before it asks for it. */
const firstMessage = new Promise<unknown>((resolve) => {
  if (!webWorker) return;
  globalThis.addEventListener('message', (event) => resolve((event as MessageEvent).data), { once: true });
});

/**
 * What a Web worker gets from spawnWorker. Web workers do not tell their end, and Chromium lets a terminated one run for
 * two more seconds; but a lock that the worker holds is released when it has really ended.
 */
interface WebWorkerStart {
  readonly ptnetLock: string;
  readonly data?: unknown;
}

const lockOf = (message: unknown): string | undefined => (message as WebWorkerStart | null)?.ptnetLock;

/** Whether this thread may block in Atomics.wait: workers may; main threads never do, even where the platform lets them. */
export async function isWorkerThread(): Promise<boolean> {
  if (webWorker) return true;
  return nodeLike && !(await import('node:worker_threads')).isMainThread;
}

/** Processors that this process may use. */
export async function processors(): Promise<number> {
  return nodeLike ? (await import('node:os')).availableParallelism() : navigator.hardwareConcurrency;
}

/** How a worker is started. */
export interface SpawnOptions {
  /** Sent to the worker's `receiveWorkerData`. */
  readonly data: unknown;
  readonly name?: string;
  /** Whether the worker keeps the process alive. Default false. */
  readonly keepAlive?: boolean;
  readonly onMessage?: (message: unknown) => void;
  readonly onError?: (error: unknown) => void;
}

/** Starts a module worker. */
export async function spawnWorker(url: URL, options: SpawnOptions): Promise<WorkerHandle> {
  if (nodeLike) {
    const { Worker: ThreadWorker } = await import('node:worker_threads');
    const worker: NodeWorker = new ThreadWorker(url, { workerData: options.data, name: options.name });
    const ended = watchWorker(worker);
    if (options.onMessage) worker.on('message', options.onMessage);
    worker.on('error', (error) => options.onError?.(error));
    if (!options.keepAlive) worker.unref();
    return { postMessage: (m) => worker.postMessage(m), terminate: () => void worker.terminate(), ended };
  }
  return spawnWebWorker(url, options);
}

function spawnWebWorker(url: URL, options: SpawnOptions): WorkerHandle {
  const worker = new Worker(url, { type: 'module', name: options.name ?? 'ptnet' });
  const lock = `ptnet-worker-${crypto.getRandomValues(new Uint32Array(4)).join('-')}`;
  let end: () => void = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  let isWatched = false;
  const watch = (): void => {
    if (isWatched) return;
    isWatched = true;
    // Once granted, the lock is kept: a worker that is terminated before it has it never gets its data.
    navigator.locks.request(lock, () => new Promise(() => end())).catch(end);
  };
  const terminate = (): void => {
    worker.terminate();
    watch();
  };
  worker.onmessage = ({ data }: MessageEvent) => {
    if (lockOf(data) === lock) watch();
    else options.onMessage?.(data);
  };
  worker.onerror = (event) => {
    if (options.onError) event.preventDefault(); // or it is logged as well
    options.onError?.(event.error ?? new Error(event.message ?? `${url} cannot be loaded`));
    terminate(); // as an error that nobody catches ends a worker elsewhere
  };
  const start: WebWorkerStart = { ptnetLock: lock, data: options.data };
  worker.postMessage(start);
  return { postMessage: (m) => worker.postMessage(m), terminate, ended };
}

/** Resolves when a worker has ended. Web workers do not say so: for them the promise stays pending. */
export function watchWorker(worker: object): Promise<void> {
  const { once } = worker as Partial<NodeWorker>;
  if (typeof once !== 'function') return new Promise(() => {});
  return new Promise((resolve) => once.call(worker, 'exit', () => resolve()));
}

let received: Promise<unknown> | undefined;

/** In a worker started by spawnWorker: what `data` was. In another Web worker: the first message. */
export function receiveWorkerData<T>(): Promise<T> {
  received ??= webWorker ? receiveStart() : import('node:worker_threads').then(({ workerData }) => workerData);
  return received as Promise<T>;
}

async function receiveStart(): Promise<unknown> {
  const message = await firstMessage;
  const lock = lockOf(message);
  if (lock === undefined) return message;
  const held = new Promise<void>((resolve) => {
    void navigator.locks.request(lock, () => {
      resolve();
      return new Promise(() => {}); // until the worker ends
    });
  });
  await held;
  // A rejection that nobody handles is an error elsewhere, too.
  globalThis.addEventListener('unhandledrejection', (event) => {
    event.preventDefault();
    setTimeout(() => {
      throw event.reason;
    });
  });
  await postToParent({ ptnetLock: lock } satisfies WebWorkerStart);
  return (message as WebWorkerStart).data;
}

/** In a worker started by spawnWorker: sends a message to the thread that started it. */
export async function postToParent(message: unknown): Promise<void> {
  if (webWorker) (globalThis as unknown as Worker).postMessage(message);
  else (await import('node:worker_threads')).parentPort?.postMessage(message);
}

/** The same as a function that does not wait, for workers that block. */
export async function parentPoster(): Promise<(message: unknown) => void> {
  if (webWorker) return (message) => (globalThis as unknown as Worker).postMessage(message);
  const { parentPort } = await import('node:worker_threads');
  return (message) => parentPort?.postMessage(message);
}

/** In a worker started by spawnWorker: calls back with each message to it. The returned function takes that back. */
export async function onParentMessage(callback: (message: unknown) => void): Promise<() => void> {
  if (webWorker) {
    const listener = (event: Event): void => callback((event as MessageEvent).data);
    globalThis.addEventListener('message', listener);
    return () => globalThis.removeEventListener('message', listener);
  }
  const { parentPort } = await import('node:worker_threads');
  parentPort?.on('message', callback);
  return () => void parentPort?.off('message', callback);
}

/** In a worker that has nothing more to do. Only Web workers need to say so. */
export function endWorker(): void {
  if (webWorker) globalThis.close();
}

/** Calls back when this thread ends in an orderly way; the returned function takes that back. */
export function onThreadExit(callback: () => void): () => void {
  if (!nodeLike) return () => {};
  process.once('exit', callback);
  return () => process.removeListener('exit', callback);
}
