// Runs C programs that are written against netmap(4), compiled for wasm32 with wasi-libc.
//
// A program has a memory and a worker of its own. A second worker is its kernel: there, a host over the program's memory
// has its ports, and cables join them with the ports of the real host. What the program writes can harm these two workers
// only. A program that was linked to a range of the host's memory can do without both.

import type { Guest } from '../control/guests.js';
import type { Netmap } from '../control/netmap.js';
import type { MemoryReservation } from '../control/reservation.js';
import { netmapError } from '../errors.js';
import type { GlobalPoolParams } from '../memory/pools.js';
import type { WorkerHandle } from '../threads/platform.js';
import { Alarm } from './alarm.js';
import { EVENTFDS_SIZE } from './event-files.js';
import type { KernelData, KernelMessage } from './exec-kernel.js';
import type { ProgramData } from './exec-program.js';
import { FILES_SIZE } from './file-table.js';
import type { Ending } from './process.js';
import { MAX_PROGRAM_THREADS, ProcessControl } from './process-control.js';
import { checkImports, checkLayout, PAGE, type PreparedModule, prepareModule } from './program-module.js';
import { ProgramWorkers } from './program-workers.js';
import { createsThreads, threadTemplate } from './thread-module.js';

export type { Ending };

export interface ExecOptions {
  /** argv[0]. Default: `program`. */
  readonly name?: string;
  /** The arguments behind it. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What it reads from standard input. Default: nothing. */
  readonly stdin?: Uint8Array;
  /** Take what it writes; a promise holds more back. Default: it is thrown away. */
  readonly stdout?: (bytes: Uint8Array) => unknown;
  readonly stderr?: (bytes: Uint8Array) => unknown;
  /** Runs in this guest: its ports are `netmap:ptnet0`, `netmap:ptnet1`, … */
  readonly guest?: Guest;
  /** Bytes of memory that it may have. Default 1 GiB. */
  readonly maxMemory?: number;
  /** Threads that it may have beside the first one, 0..63. Default 63. */
  readonly maxThreads?: number;
  /** Pools of the region in its memory. Default: 16384 buffers. */
  readonly pools?: Partial<GlobalPoolParams>;
  /** Shares the host's memory, in this range of it. */
  readonly reservation?: MemoryReservation;
}

export interface RunningProgram {
  /** When it has its first port, or has ended. Never rejects. */
  readonly ready: Promise<void>;
  /** When it has ended and all that it had open is closed. Never rejects. */
  readonly ended: Promise<Ending>;
  /** Sends it a signal: SIGINT (2), SIGTERM (15), …; SIGKILL (9) ends it at once. */
  kill(signal?: number): void;
}

export const SIGINT = 2;
export const SIGKILL = 9;
export const SIGTERM = 15;
const SIGNALLED = 128;
const LOST = SIGNALLED + 6;
const DEFAULT_MEMORY = 1 << 30;
const MAX_PAGES = 65536;
/** How long (ms) a worker may take to close what a program had open. */
const CLOSE_LIMIT = 5000;

/**
 * Starts a program.
 * @param binary the module, as `clang --target=wasm32-wasi` makes it
 * @throws NetmapError EINVAL: not a program, or one that wants what is not provided; with a reservation: one that does not
 *   keep to it, EBUSY when another program is in it. EINVAL: the host has no shared memory. EPERM: this is not its control
 *   thread. ENXIO: it is closed
 */
export async function exec(netmap: Netmap, binary: Uint8Array, options: ExecOptions = {}): Promise<RunningProgram> {
  const { reservation, maxMemory = DEFAULT_MEMORY } = options;
  if (reservation) {
    if (options.guest) throw netmapError('EINVAL', 'a guest has no part of the memory', { op: 'exec' });
    const pages = netmap.memory.buffer.byteLength / PAGE;
    const prepared = prepareModule(binary, pages);
    checkLayout(prepared.layout, reservation.base, reservation.size);
    const program = await compile(prepared);
    reservation.take();
    try {
      return await start(netmap, program, netmap.memory, options);
    } catch (error) {
      reservation.giveBack();
      throw error;
    }
  }
  const maximum = Math.floor(maxMemory / PAGE);
  if (!(maximum >= 1 && maximum <= MAX_PAGES)) {
    throw netmapError('EINVAL', `maxMemory ${maxMemory} is not within 64 KiB..4 GiB`, { op: 'exec' });
  }
  const prepared = prepareModule(binary, maximum);
  const program = await compile(prepared);
  const memory = new WebAssembly.Memory({ initial: prepared.initial, maximum, shared: true });
  return start(netmap, program, memory, options);
}

type Compiled = Pick<ProgramData, 'module' | 'threads'>;

async function compile({ bytes, stack, locals }: PreparedModule): Promise<Compiled> {
  const module = await WebAssembly.compile(bytes);
  checkImports(module);
  if (!createsThreads(module)) return { module };
  return { module, threads: threadTemplate(bytes, stack, locals) };
}

async function start(
  netmap: Netmap,
  compiled: Compiled,
  memory: WebAssembly.Memory,
  options: ExecOptions,
): Promise<RunningProgram> {
  const { name = 'program', args = [], env = {}, stdin = new Uint8Array(), guest, reservation, pools = {} } = options;
  const { maxThreads = MAX_PROGRAM_THREADS - 1 } = options;
  if (!(Number.isInteger(maxThreads) && maxThreads >= 0 && maxThreads < MAX_PROGRAM_THREADS)) {
    throw netmapError('EINVAL', `maxThreads ${maxThreads} is not within 0..63`, { op: 'exec' });
  }
  const control = new ProcessControl(memory);
  const program: ProgramData = {
    ...compiled,
    maxThreads,
    memory,
    control: control.buffer,
    files: new SharedArrayBuffer(FILES_SIZE),
    eventfds: new SharedArrayBuffer(EVENTFDS_SIZE),
    args: [name, ...args],
    env,
    stdin,
  };
  const kernel: KernelData = { program, pools, guest: guest?.id ?? 0 };
  const running = new Running(control, options);
  const spawn = {
    name,
    keepAlive: true,
    onMessage: (message: unknown) => running.on(message as KernelMessage),
    onError: (error: unknown) => running.lost(error),
  };
  // The literal forms are what bundlers recognise.
  const inMemory = (data: ProgramData): Promise<WorkerHandle> =>
    netmap.spawn(new URL('./exec-program.js', import.meta.url), { ...spawn, data });
  const threads = new ProgramWorkers(program, control, inMemory);
  const worker = reservation
    ? await inMemory(program)
    : await netmap.spawn(new URL('./exec-kernel.js', import.meta.url), { ...spawn, data: kernel });
  running.attach(worker, threads, () => reservation?.giveBack());
  return running;
}

class Running implements RunningProgram {
  readonly ready: Promise<void>;
  readonly ended: Promise<Ending>;
  readonly #control: ProcessControl;
  readonly #options: ExecOptions;
  readonly #alarm: Alarm;
  #worker: WorkerHandle | undefined;
  #threads: ProgramWorkers | undefined;
  #ending: Ending | undefined;
  #end: (ending: Ending) => void = () => {};
  #isReady: () => void = () => {};

  constructor(control: ProcessControl, options: ExecOptions) {
    this.#control = control;
    this.#alarm = new Alarm(control);
    this.#options = options;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.ready = new Promise((resolve) => {
      this.#isReady = resolve;
    });
    void this.ended.then(this.#isReady);
  }

  /**
   * @param threads workers of threads that this thread starts
   * @param clean what remains to be done when the workers have ended
   */
  attach(worker: WorkerHandle, threads: ProgramWorkers, clean: () => void): void {
    this.#worker = worker;
    this.#threads = threads;
    void worker.ended.then(async () => {
      this.#alarm.clear();
      await threads.end();
      clean();
      this.#end(this.#ending ?? { code: LOST, reason: 'its worker has ended unexpectedly' });
    });
  }

  on(message: KernelMessage): void {
    if (message.type === 'port') this.#isReady();
    else if (message.type === 'exit') this.#onExit(message.ending, message.line);
    else if (message.type === 'thread') this.#threads?.start(message.start).catch((error) => this.lost(error));
    else if (message.type === 'alarm') this.#alarm.set(message.times);
    else if (message.type === 'end-threads') void this.#threads?.end();
    else if (message.type === 'output') void this.#output(message.stream, message.bytes);
  }

  async #output(stream: 1 | 2, bytes: Uint8Array): Promise<void> {
    const { stdout, stderr } = this.#options;
    try {
      await (stream === 1 ? stdout : stderr)?.(bytes);
    } catch (error) {
      this.lost(error); // nobody takes its output any more
    }
    this.#control.outputTaken(bytes.length);
  }

  /** The worker closes what the program had open, if it can; one whose program a thread has ended cannot. */
  #onExit(ending: Ending, line: number): void {
    this.#ending ??= ending;
    if (line !== 0) this.#worker?.terminate();
    const limit = setTimeout(() => this.#worker?.terminate(), CLOSE_LIMIT);
    void this.ended.then(() => clearTimeout(limit));
  }

  /** Its kernel has failed: the program has broken what it shares with it, or its host is gone. */
  lost(error: unknown): void {
    this.#ending ??= { code: LOST, reason: error instanceof Error ? error.message : String(error) };
    this.#worker?.terminate();
  }

  kill(signal = SIGTERM): void {
    if (!Number.isInteger(signal) || signal < 1 || signal > 31) {
      throw netmapError('EINVAL', `there is no signal ${signal}`, { op: 'kill' });
    }
    if (signal === SIGKILL) {
      this.#ending ??= { code: SIGNALLED + SIGKILL };
      this.#worker?.terminate();
      return;
    }
    this.#control.raise(signal);
  }
}
