// One program of a run, as the main thread sees it: its guest if it has one, its worker, and in the end its report.

import { type RunningProgram, SIGINT, SIGKILL } from '../exec/exec.js';
import {
  type Guest,
  type Inspection,
  type Netmap,
  NetmapError,
  type PortCounters,
  type WorkerHandle,
} from '../index.js';
import { portCounts, type RunOptions } from './arguments.js';
import { ProgramControl } from './control.js';
import { failure } from './errors.js';
import type { ProgramData, ProgramMessage } from './program-worker.js';
import { startProgram } from './programs/exec.js';
import type { ExecProgramOptions, Latency, ProgramResult, ProgramSpec } from './programs/options.js';
import { valeCtl } from './vale-ctl.js';

/** Host counters of a port of the program; for a guest, of the port that is passed through. */
export interface PortReport extends PortCounters {
  readonly name: string;
}

/** What `--json` prints for a program. */
export interface ProgramReport {
  /** 1 for the first program of the run. */
  readonly index: number;
  readonly program: string;
  /** `tx`, `rx`, `ping`, `pong`, or null for programs other than pkt-gen. */
  readonly function: string | null;
  /** The ports that the program opened, joined with commas; the file of a C program. */
  readonly port: string;
  /** The host ports of its guest, joined with commas; null on the host. */
  readonly guest: string | null;
  readonly packets: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly mpps: number;
  /** Sums over its ports: packets that it sent and somebody did not get, by reason; doorbells; interrupts. */
  readonly drops: Readonly<Record<string, number>>;
  readonly kicks: number;
  readonly interrupts: number;
  /** Round-trip times of a ping, null for others. */
  readonly latency: Latency | null;
  /** What else it has to tell, such as the list of vale-ctl. */
  readonly output: readonly string[];
  readonly errors: readonly string[];
  readonly ports: readonly PortReport[];
  /** Exit code of a C program. */
  readonly code?: number;
}

/** How long (ms) a worker may take to close its ports. */
const CLOSE_LIMIT = 5000;
/** Exit code of a program that SIGINT has ended. */
const INTERRUPTED = 130;
const NOTHING: ProgramResult = { packets: 0, bytes: 0, seconds: 0 };

export class Program {
  readonly index: number;
  spec: ProgramSpec;
  readonly control = new ProgramControl();
  /** Resolves when the program has ended and its report is complete. Never rejects. */
  readonly ended: Promise<void>;
  /** What it failed with. */
  error: Error | undefined;
  report: ProgramReport | undefined;
  #result = NOTHING;
  #guest: Guest | undefined;
  #worker: WorkerHandle | undefined;
  #portNames: readonly string[] = [];
  #end: () => void = () => {};
  #running: RunningProgram | undefined;
  #stopped = false;
  #code: number | undefined;
  #netmap: Netmap | undefined;
  #ending = false;

  constructor(index: number, spec: ProgramSpec) {
    this.index = index;
    this.spec = spec;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /** What it is to the others: a ping sends until it has done so often enough, a pong receives as long as something comes. */
  get role(): 'tx' | 'rx' | 'bridge' | 'exec' | 'control' {
    const { options } = this.spec;
    if (options.program === 'vale-ctl') return 'control';
    if (options.program === 'replay') return 'tx';
    if (options.program === 'capture') return 'rx';
    if (options.program !== 'pkt-gen') return options.program;
    return options.fn === 'tx' || options.fn === 'ping' ? 'tx' : 'rx';
  }

  /** A backend that it names as a port is open under the name of its interface. Before it starts. */
  rename(from: string, to: string): void {
    const { ports, guest, options: asked } = this.spec;
    if (![...ports, ...(guest ?? [])].includes(from)) return;
    const change = (port: string): string => (port === from ? to : port);
    const options = asked.program === 'bridge' ? { ...asked, outside: true } : asked;
    this.spec = { ...this.spec, options, ports: ports.map(change), guest: guest?.map(change) ?? null };
  }

  /** Makes the guest, starts the worker; resolves when the ports are open, or when it has failed. */
  async start(netmap: Netmap, options: RunOptions): Promise<void> {
    this.#netmap = netmap;
    const { options: asked, config } = this.spec;
    try {
      if (asked.program === 'vale-ctl') {
        this.#result = { ...NOTHING, output: await valeCtl(netmap, asked) };
        await this.#finish();
        return;
      }
      const counts = { ...portCounts(options), ...config };
      if (this.spec.guest) await this.#makeGuest(netmap, this.spec.guest, { ...counts, loop: options.loop });
      if (this.spec.options.program === 'exec') await this.#exec(netmap, this.spec.options, options);
      else await this.#spawn(netmap, counts);
    } catch (error) {
      await this.#finish(error);
    }
  }

  /** The program shall end soon. */
  stop(): void {
    this.control.stop();
    if (this.#stopped) return;
    this.#stopped = true;
    this.#running?.kill(SIGINT);
  }

  /** The program is not to be started. */
  async cancel(why: string): Promise<void> {
    await this.#finish(failure('ECANCELED', `not started: ${why}`));
  }

  /** Ends a worker that does not end by itself. */
  async kill(): Promise<void> {
    this.#worker?.terminate();
    this.#running?.kill(SIGKILL);
    await this.#finish(failure('EIO', 'the program did not end when it was told to'));
  }

  async #makeGuest(netmap: Netmap, ports: readonly string[], options: object): Promise<void> {
    this.#guest = await netmap.createGuest();
    for (const port of ports) await this.#guest.passthrough(port, options);
    const { id } = this.#guest;
    const { guests } = await netmap.inspect();
    this.#portNames = guests.find((guest) => guest.id === id)?.devices.map(({ name }) => name) ?? [];
  }

  /** Resolves when the worker is ready or has failed. */
  async #spawn(netmap: Netmap, rings: ProgramData['rings']): Promise<void> {
    let ready: () => void = () => {};
    const isReady = new Promise<void>((resolve) => {
      ready = resolve;
    });
    const { spec, control } = this;
    const data: ProgramData = { spec, guest: this.#guest?.id ?? 0, control: control.buffer, rings };
    // The literal form is what bundlers recognise.
    this.#worker = await netmap.spawn(new URL('./program-worker.js', import.meta.url), {
      data,
      name: `${spec.options.program} ${this.index}`,
      keepAlive: true,
      onMessage: (message) => this.#on(message as ProgramMessage, ready),
      onError: (error) => void this.#finish(error),
    });
    void this.#worker.ended.then(() => this.#finish(failure('EIO', 'the worker ended unexpectedly')));
    await Promise.race([isReady, this.ended]);
  }

  /** Resolves when the program has its first port, or has ended. */
  async #exec(netmap: Netmap, program: ExecProgramOptions, { json }: RunOptions): Promise<void> {
    const place = { guest: this.#guest, out: json ? process.stderr : process.stdout };
    const running = await startProgram(netmap, program, place);
    this.#running = running;
    void running.ended.then(({ code, reason }) => {
      this.#code = code;
      const stopped = this.#stopped && code === INTERRUPTED;
      if (code === 0 || stopped) return this.#finish();
      return this.#finish(failure('EIO', `exit code ${code}${reason === undefined ? '' : `: ${reason}`}`));
    });
    await running.ready;
  }

  #on(message: ProgramMessage, ready: () => void): void {
    if (message.type === 'ready') {
      if (!this.#guest) this.#portNames = message.ports;
      ready();
    } else if (message.type === 'done') {
      this.#result = message.result;
      const { failure: failed } = message.result;
      void this.#finish(failed && NetmapError.fromJSON(failed));
    } else {
      void this.#finish(NetmapError.fromJSON(message.error));
    }
  }

  /** Reads the counters, writes the report, and closes everything. The first call counts. */
  async #finish(error?: unknown): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    if (error !== undefined) this.error = error instanceof Error ? error : new Error(String(error));
    const inspection = await this.#netmap?.inspect();
    this.report = this.#makeReport(inspection?.ports ?? []);
    if (this.#worker) await closeWorker(this.#worker);
    await this.#guest?.close();
    this.#end();
  }

  #makeReport(open: Inspection['ports']): ProgramReport {
    const { options, ports, guest } = this.spec;
    const counted = this.#portNames.flatMap((name): PortReport[] => {
      const found = open.find((port) => port.name === name);
      return found ? [{ name, ...found.counters }] : [];
    });
    const sum = (what: 'kicks' | 'interrupts' | 'txBytes'): number => counted.reduce((n, port) => n + port[what], 0);
    const drops: Record<string, number> = {};
    for (const counts of [...counted.map((port) => port.drops), this.#result.drops ?? {}]) {
      for (const [reason, n] of Object.entries(counts)) drops[reason] = (drops[reason] ?? 0) + n;
    }
    // A program that failed has shown how far it was.
    const { seconds, latency = null, output = [] } = this.#result;
    const packets = this.#result.packets || this.control.packets;
    return {
      index: this.index,
      program: options.program,
      function: options.program === 'pkt-gen' ? options.fn : null,
      port: options.program === 'exec' ? options.file : ports.join(','),
      guest: guest === null ? null : guest.join(','),
      packets,
      // A bridge does not look at its frames, and a C program does not tell: the host has counted them.
      bytes: ['bridge', 'exec'].includes(options.program) ? sum('txBytes') : this.#result.bytes || this.control.bytes,
      seconds: Number(seconds.toFixed(6)),
      mpps: seconds > 0 ? Number((packets / seconds / 1e6).toFixed(4)) : 0,
      drops,
      kicks: sum('kicks'),
      interrupts: sum('interrupts'),
      latency,
      output,
      errors: this.error ? [this.error.message] : [],
      ports: counted,
      ...(this.#code !== undefined && { code: this.#code }),
    };
  }
}

/** Lets the worker close its ports and end. */
async function closeWorker(worker: WorkerHandle): Promise<void> {
  worker.postMessage('close');
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, CLOSE_LIMIT);
  });
  await Promise.race([worker.ended, late]);
  clearTimeout(timer);
  worker.terminate();
}
