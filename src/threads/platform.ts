// The platform seam below io: workers of node:worker_threads (Node, Deno, Bun) or the Web, and what may block.

/** What both kinds of worker have in common. */
export interface WorkerHandle {
  postMessage(message: unknown): void;
  terminate(): void;
  /** Resolves when the worker has ended, however that came about. Never, for a Web worker that is terminated. */
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

/** Whether this thread may block in Atomics.wait: workers may; main threads never do, even where the platform lets them. */
export async function isWorkerThread(): Promise<boolean> {
  if (nodeLike) return !(await import('node:worker_threads')).isMainThread;
  return typeof (globalThis as { WorkerGlobalScope?: unknown }).WorkerGlobalScope !== 'undefined';
}

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
  const worker = new Worker(url, { type: 'module', name: options.name ?? 'ptnet' });
  let end: () => void = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  worker.onmessage = ({ data }: MessageEvent) => options.onMessage?.(data);
  worker.onerror = (error) => {
    options.onError?.(error.error ?? error.message);
    end();
  };
  worker.postMessage(options.data);
  return {
    postMessage: (m) => worker.postMessage(m),
    terminate: () => {
      worker.terminate();
      end();
    },
    ended,
  };
}

/** Resolves when a worker has ended. Web workers do not say so: for them the promise stays pending. */
export function watchWorker(worker: object): Promise<void> {
  const { once } = worker as Partial<NodeWorker>;
  if (typeof once !== 'function') return new Promise(() => {});
  return new Promise((resolve) => once.call(worker, 'exit', () => resolve()));
}

/** In a worker started by spawnWorker: what `data` was. */
export async function receiveWorkerData<T>(): Promise<T> {
  if (nodeLike) return (await import('node:worker_threads')).workerData as T;
  return new Promise((resolve) => {
    globalThis.addEventListener('message', (event) => resolve((event as MessageEvent<T>).data), { once: true });
  });
}

/** In a worker started by spawnWorker: sends a message to the thread that started it. */
export async function postToParent(message: unknown): Promise<void> {
  if (nodeLike) (await import('node:worker_threads')).parentPort?.postMessage(message);
  else (globalThis as unknown as Worker).postMessage(message);
}

/** Calls back when this thread ends in an orderly way; the returned function takes that back. */
export function onThreadExit(callback: () => void): () => void {
  if (!nodeLike) return () => {};
  process.once('exit', callback);
  return () => process.removeListener('exit', callback);
}
