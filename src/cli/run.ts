// The runner: starts programs in order, each once the one before has its ports open, and ends them. Control thread of
// the host; the programs run in workers.
//
//   tx      ends after -n packets; without -n, when all receivers of the run have ended, if it has any
//   rx      ends after -n packets, or one second after traffic has stopped
//   bridge  ends one second after traffic has stopped
//   exec    ends by itself
//   vale-ctl acts when its turn to start comes, and has ended then
// ping and replay are as tx, pong and capture as rx. For rx and bridge, traffic has also stopped when all senders of the
// run have ended.

import { crossWire, loopback, Netmap, type NetmapPort, type Tunables } from '../index.js';
import { type BackendPort, openBackend } from '../io/backends/backend.js';
import { isBackendSpec } from '../io/backends/spec.js';
import { portCounts, type RunOptions } from './arguments.js';
import { usage } from './errors.js';
import { Program, type ProgramReport } from './program.js';
import type { ProgramSpec } from './programs/options.js';

/** Programs that were told to stop, and have not ended after this time (ms), are killed. */
const KILL_AFTER = 5000;
const MIB = 1 << 20;

/** What is told while a run goes on. */
export interface RunObserver {
  /** The programs have been made; none has started. */
  begin(programs: readonly Program[]): void;
  /** The ports of a program are open. */
  started(program: Program): void;
  ended(program: Program, report: ProgramReport): void;
}

export class Run {
  readonly #programs: readonly Program[];
  readonly #options: RunOptions;
  readonly #tunables: Tunables;
  readonly #observer: RunObserver;
  readonly #backends: BackendPort[] = [];
  readonly #left = new Set<Program>();
  #why: string | undefined;
  #killer: ReturnType<typeof setTimeout> | undefined;

  constructor(specs: readonly ProgramSpec[], options: RunOptions, tunables: Tunables, observer: RunObserver) {
    this.#programs = specs.map((spec, i) => new Program(i + 1, spec));
    this.#options = options;
    this.#tunables = tunables;
    this.#observer = observer;
  }

  /**
   * Runs the programs to their ends.
   * @returns whether all ended well
   * @throws NetmapError when the host cannot be made
   */
  async run(): Promise<boolean> {
    const netmap = await this.#makeHost();
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      for (const program of this.#programs) this.#left.add(program);
      this.#observer.begin(this.#programs);
      await this.#addInterfaces(netmap);
      await this.#openBackends(netmap);
      const ends = this.#programs.map((program) => program.ended.then(() => this.#onEnd(program)));
      for (const program of this.#programs) await this.#start(program, netmap);
      const { duration } = this.#options;
      if (duration !== undefined) timer = setTimeout(() => this.stop('the time is up'), 1e3 * duration);
      await Promise.all(ends);
    } finally {
      clearTimeout(timer);
      clearTimeout(this.#killer);
      for (const backend of this.#backends) await backend.close();
      await netmap.close();
    }
    return this.#programs.every(({ error }) => error === undefined);
  }

  /** Ends the run: senders at once, the others when what is under way has arrived. */
  stop(why: string): void {
    if (this.#why !== undefined) return;
    this.#why = why;
    this.#pass();
    this.#killer = setTimeout(() => {
      for (const program of this.#left) void program.kill();
    }, KILL_AFTER);
  }

  async #makeHost(): Promise<Netmap> {
    const { loop, threads = loop === 'direct' ? 0 : 1, memory } = this.#options;
    if (loop !== 'direct' && threads === 0) {
      throw usage(`--loop ${loop} needs a loop worker: --threads 1 or more`);
    }
    const tunables = this.#tunables;
    return Netmap.create({ threads, tunables, ...(memory === undefined ? {} : { memorySize: memory * MIB }) });
  }

  /** The network interfaces of the run: those with a backend; alone, one gets back what it sends; two are joined by a cable. */
  async #addInterfaces(netmap: Netmap): Promise<void> {
    const counts = portCounts(this.#options);
    for (const spec of this.#options.interface ?? []) {
      if (isBackendSpec(spec)) {
        this.#backends.push(await openBackend(netmap, spec));
        continue;
      }
      const names = spec.split(',');
      if (names.length > 2) throw usage(`--interface ${spec}: a cable has two ends`);
      const wires: NetmapPort[] = [];
      for (const name of names) wires.push((await netmap.addInterface(name, counts)).wire);
      const [a, b] = wires;
      const backend = b ? crossWire(a, b) : loopback(a);
      backend.catch((error: unknown) => this.stop(`the wire of ${spec} has failed: ${error}`));
    }
  }

  /** The backends that programs name as ports: each is opened once, and its interface has their rings. */
  async #openBackends(netmap: Netmap): Promise<void> {
    const named = this.#programs.flatMap(({ spec }) => [...spec.ports, ...(spec.guest ?? [])]);
    for (const spec of new Set(named.filter(isBackendSpec))) {
      const backend = await openBackend(netmap, spec);
      this.#backends.push(backend);
      for (const program of this.#programs) program.rename(spec, `netmap:${backend.name}`);
    }
  }

  async #start(program: Program, netmap: Netmap): Promise<void> {
    const failed = this.#programs.find(({ error }) => error !== undefined);
    if (this.#why !== undefined) await program.cancel(this.#why);
    else if (failed) await program.cancel(`program ${failed.index} failed`);
    else await program.start(netmap, this.#options);
    if (!program.report) this.#observer.started(program);
  }

  #onEnd(program: Program): void {
    this.#left.delete(program);
    if (program.report) this.#observer.ended(program, program.report);
    this.#pass();
  }

  /** Tells the programs that are left what the ends of others mean to them. */
  #pass(): void {
    const left = [...this.#left];
    const hadSenders = this.#programs.some(({ role }) => role === 'tx');
    const hadReceivers = this.#programs.some(({ role }) => role === 'rx');
    const sendersLeft = left.some(({ role }) => role === 'tx');
    const receiversLeft = left.some(({ role }) => role === 'rx');
    for (const program of left) {
      const { role, control } = program;
      if (this.#why !== undefined && (role === 'tx' || role === 'exec' || !sendersLeft)) program.stop();
      if (role === 'tx' ? hadReceivers && !receiversLeft : hadSenders && !sendersLeft) control.peersGone();
    }
  }
}
