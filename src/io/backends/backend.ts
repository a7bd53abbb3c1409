// Backends of network interfaces that reach the outside: opened by name, run in workers, started again when they fail.

import { POLLERR, POLLIN } from '../../abi.js';
import type { Netmap } from '../../control/netmap.js';
import { NetmapError, netmapError } from '../../errors.js';
import type { NetmapInterface } from '../../netmap/interface.js';
import type { WorkerHandle } from '../../threads/platform.js';
import { Backoff } from './backoff.js';
import { type BackendCounters, COUNTERS_SIZE, CounterWriter, sumCounters } from './counters.js';
import type { BackendKind, BackendPlan, Session, WorkerPlan } from './kind.js';
import { KINDS } from './kinds.js';
import type { BackendMessage, BackendWorkerData } from './messages.js';
import { Drainer, discard } from './packets.js';
import { type BackendSpec, bad, parseBackendSpec } from './spec.js';

/**
 * What a backend does now. `down`: its workers run, and nobody is at the other end. `retrying`: it has failed, and is
 * started again after a while.
 */
export type BackendState = 'starting' | 'up' | 'down' | 'retrying' | 'closed';

/** Told at each change. `reason` says why it is not up. */
export type BackendListener = (state: BackendState, reason: string) => void;

export interface BackendOptions {
  readonly onState?: BackendListener;
}

export type { BackendCounters };

/** How long (ms) a worker may take to end. */
const STOP_LIMIT = 2000;

/** A network interface with the outside behind it; programs open it as `netmap:NAME`, with every suffix. */
export class BackendPort {
  /** As it was asked for. */
  readonly spec: string;
  readonly kind: string;
  /** Of the network interface. */
  readonly name: string;
  readonly #netmap: Netmap;
  readonly #parsed: BackendSpec;
  readonly #definition: BackendKind;
  readonly #plan: BackendPlan;
  readonly #netif: NetmapInterface;
  readonly #blocks: SharedArrayBuffer[];
  readonly #own: CounterWriter;
  readonly #onState: BackendListener | undefined;
  readonly #closing = new AbortController();
  #state: BackendState = 'starting';
  #reason = '';
  #restarts = 0;
  #running: Promise<void> = Promise.resolve();
  #closed: Promise<void> | undefined;
  #final: BackendCounters | undefined;

  /** @internal use {@link openBackend} */
  constructor(
    netmap: Netmap,
    parsed: BackendSpec,
    definition: BackendKind,
    plan: BackendPlan,
    netif: NetmapInterface,
    onState?: BackendListener,
  ) {
    this.#netmap = netmap;
    this.#parsed = parsed;
    this.#definition = definition;
    this.#plan = plan;
    this.#netif = netif;
    this.#onState = onState;
    this.spec = parsed.text;
    this.kind = parsed.kind;
    this.name = netif.name;
    this.#blocks = Array.from({ length: plan.workers.length + 1 }, () => new SharedArrayBuffer(COUNTERS_SIZE));
    this.#own = new CounterWriter(this.#blocks[plan.workers.length]);
  }

  get state(): BackendState {
    return this.#state;
  }

  /** Why it is not up, the last time that it was not. */
  get reason(): string {
    return this.#reason;
  }

  /**
   * Packets, bytes and drops of all workers. What the wire has dropped is among `rxDrops`, by netmap's reasons. Once it is
   * closed, what they were at the end.
   * @throws NetmapError ENXIO when the interface, or the host, was closed before the backend
   */
  async counters(): Promise<BackendCounters> {
    if (this.#final) return this.#final;
    const own = sumCounters(this.#blocks); // first: what moves meanwhile is then what waits
    const wire = await this.#netif.wire.counters();
    const rxDrops: Record<string, number> = { ...own.rxDrops };
    let rxRefused = 0;
    for (const n of Object.values(rxDrops)) rxRefused += n;
    for (const [reason, n] of Object.entries(wire.drops)) if (n !== 0) rxDrops[reason] = (rxDrops[reason] ?? 0) + n;
    const { txPackets: rxTaken, rxPackets: txOffered, rxBytes: txOfferedBytes } = wire;
    return { ...own, rxDrops, rxRefused, rxTaken, txOffered, txOfferedBytes, restarts: this.#restarts };
  }

  /** Ends the workers, and takes the interface away: whoever has it open finds POLLERR. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.stop();
    this.#final = await this.counters().catch(() => undefined); // the wire may be gone
    this.#set('closed', '');
    await this.#netif.close();
  }

  /**
   * Ends the workers, and leaves the interface. What they have left in its rings is dealt with: received packets are
   * passed on, and what the interface has transmitted is dropped (`down`). To be called again before the counters are read
   * if packets may have been transmitted since.
   */
  async stop(): Promise<void> {
    this.#closing.abort();
    await this.#running;
    const { wire } = this.#netif;
    if (wire.pollOnce(POLLIN) & POLLERR) return;
    this.#own.txDrop(
      'down',
      new Drainer(wire).drain(() => true),
    );
    wire.rxsync();
  }

  /** @internal Starts it the first time. @throws what the kind's `open` throws, NetmapError EIO when a worker fails at once */
  async start(): Promise<void> {
    let session: Session | undefined;
    try {
      session = await this.#definition.open?.(this.#parsed);
    } catch (error) {
      await this.close();
      throw error;
    }
    let first: () => void = () => {};
    const told = new Promise<void>((resolve) => {
      first = resolve;
    });
    this.#running = this.#supervise(session, first);
    await told;
  }

  /** Runs sessions until the backend is closed. @param told called when the first one is up or down, or has failed */
  async #supervise(first: Session | undefined, told: () => void): Promise<void> {
    const { signal } = this.#closing;
    const backoff = new Backoff();
    let session = first;
    for (let isFirst = true; !signal.aborted && !this.#isGone; isFirst = false) {
      try {
        if (!isFirst) session = await this.#definition.open?.(this.#parsed);
        backoff.succeeded();
        const mine = session;
        session = undefined;
        await this.#runSession(mine, told);
      } catch (error) {
        if (signal.aborted || this.#isGone) break;
        this.#restarts++;
        this.#set('retrying', error instanceof Error ? error.message : String(error));
      }
      told();
      const waiting = new AbortController();
      const gone = new AbortController();
      const away = discard(this.#netif.wire, waiting.signal, (n) => this.#own.txDrop('down', n)).then(() =>
        gone.abort(),
      );
      await backoff.wait(AbortSignal.any([signal, gone.signal]));
      waiting.abort();
      await away;
    }
    await session?.close(); // opened for an interface that was gone by then
    told();
    if (!signal.aborted) void this.close(); // somebody has taken the interface, or closed the host
  }

  /** Whether there is no interface any more. */
  get #isGone(): boolean {
    return (this.#netif.wire.pollOnce(POLLIN) & POLLERR) !== 0;
  }

  /** One life of the workers. Resolves when the backend is closed. @throws what has ended one of them */
  async #runSession(session: Session | undefined, told: () => void): Promise<void> {
    const { signal } = this.#closing;
    const stop = new Int32Array(new SharedArrayBuffer(4));
    const workers: WorkerHandle[] = [];
    const threads: number[] = [];
    let fail: (error: unknown) => void = () => {};
    let onAbort: () => void = () => {};
    const over = new Promise<void>((resolve, reject) => {
      fail = reject;
      onAbort = resolve;
      signal.addEventListener('abort', onAbort, { once: true });
      if (signal.aborted) resolve();
    });
    over.catch(() => {});
    const on = (message: BackendMessage): void => {
      if (message.type === 'failed') {
        fail(NetmapError.fromJSON(message.error));
        return;
      }
      if (message.type === 'joined') {
        threads.push(message.thread);
        return;
      }
      if (stop[0] === 0) this.#set(message.state, message.reason);
      told();
    };
    try {
      for (const [i, plan] of this.#plan.workers.entries()) {
        const worker = await this.#spawn(plan, i, session?.data, stop.buffer as SharedArrayBuffer, on, fail);
        workers.push(worker);
        void worker.ended.then(() =>
          fail(netmapError('EIO', 'a worker has ended', { op: 'backend', port: this.spec })),
        );
      }
      await over;
    } finally {
      signal.removeEventListener('abort', onAbort);
      Atomics.store(stop, 0, 1);
      for (const thread of threads) this.#netif.wire.waiting.wakeThread(thread);
      session?.wake?.();
      await Promise.all(workers.map(end));
      await session?.close();
    }
  }

  #spawn(
    { direction, ring, config }: WorkerPlan,
    index: number,
    session: unknown,
    stop: SharedArrayBuffer,
    onMessage: (message: BackendMessage) => void,
    onError: (error: unknown) => void,
  ): Promise<WorkerHandle> {
    const data: BackendWorkerData['data'] = {
      kind: this.kind,
      name: this.name,
      direction,
      ring,
      config,
      session,
      counters: this.#blocks[index],
      stop,
    };
    // The literal form is what bundlers recognise.
    return this.#netmap.spawn(new URL('./backend-worker.js', import.meta.url), {
      data,
      name: `${this.name} ${direction}`,
      keepAlive: true,
      onMessage: (message) => onMessage(message as BackendMessage),
      onError,
    });
  }

  #set(state: BackendState, reason: string): void {
    if (this.#state === 'closed' || (this.#state === state && this.#reason === reason)) return;
    this.#state = state;
    this.#reason = reason;
    this.#onState?.(state, reason);
  }
}

/** Lets a worker end by itself for a while. */
async function end(worker: WorkerHandle): Promise<void> {
  worker.postMessage('stop');
  const late = setTimeout(() => worker.terminate(), STOP_LIMIT);
  await worker.ended;
  clearTimeout(late);
}

/**
 * Makes a network interface with the outside behind it, in the control thread.
 * @param spec `KIND:TARGET[,key=value]...`, see docs/backends.md
 * @returns when the backend is up, or has said why not: then it is tried again
 * @throws NetmapError EINVAL (the specification), EEXIST (the interface's name), ENOMEM, EPERM (another thread); what the
 *   kind's device or socket fails with when it is opened the first time
 */
export async function openBackend(netmap: Netmap, spec: string, options: BackendOptions = {}): Promise<BackendPort> {
  const parsed = parseBackendSpec(spec);
  if (parsed.kind === 'stream') throw bad(spec, 'a stream needs its streams: openStream(netmap, spec, streams)');
  const load = KINDS[parsed.kind];
  if (!load) throw bad(spec, `there is no backend '${parsed.kind}': (${Object.keys(KINDS).join(', ')})`);
  const { kind } = await load();
  const plan = kind.plan(parsed);
  const { slots } = parsed;
  const counts = { ...plan.interface, ...(slots === undefined ? {} : { txSlots: slots, rxSlots: slots }) };
  const netif = await addNumbered(netmap, parsed.name ?? plan.name, counts);
  const port = new BackendPort(netmap, parsed, kind, plan, netif, options.onState);
  await port.start();
  return port;
}

/** Adds an interface; a `%d` in its name becomes the first number that is free. */
async function addNumbered(netmap: Netmap, name: string, counts: BackendPlan['interface']): Promise<NetmapInterface> {
  for (let n = 0; ; n++) {
    try {
      return await netmap.addInterface(name.replace('%d', String(n)), counts);
    } catch (error) {
      const taken = error instanceof NetmapError && error.code === 'EEXIST';
      if (!taken || !name.includes('%d')) throw error;
    }
  }
}
