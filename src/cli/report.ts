// What a run shows: live rates on a terminal, a summary or JSON lines at the end.

import type { RunOptions } from './arguments.js';
import type { Program, ProgramReport } from './program.js';
import type { RunObserver } from './run.js';

/** A stream to write to: process.stdout, or a test's. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

const DEFAULT_INTERVAL = 1000;
const VERBS: Readonly<Record<string, string>> = {
  ...{ tx: 'sent', rx: 'received', ping: 'got back', pong: 'answered' },
  ...{ bridge: 'forwarded', replay: 'sent', capture: 'captured' },
};

export class Display implements RunObserver {
  readonly #options: RunOptions;
  readonly #out: Output;
  readonly #err: Output;
  readonly #reports: ProgramReport[] = [];
  #live: LiveRates | undefined;

  constructor(options: RunOptions, out: Output, err: Output) {
    this.#options = options;
    this.#out = out;
    this.#err = err;
  }

  begin(programs: readonly Program[]): void {
    if (this.#err.isTTY && !this.#options.quiet) this.#live = new LiveRates(programs, this.#err);
  }

  started(program: Program): void {
    this.#live?.started(program);
  }

  ended(program: Program, report: ProgramReport): void {
    this.#reports.push(report);
    if (this.#options.json) this.#out.write(`${JSON.stringify(report)}\n`);
    const { error } = program;
    if (!error || (!this.#options.json && !this.#options.debug)) return; // the summary has it
    this.#err.write(`ptnet: program ${program.index}: ${this.#options.debug ? error.stack : error.message}\n`);
  }

  /** After the run, however it went. */
  finish(): void {
    this.#live?.stop();
    if (this.#options.json) return;
    for (const report of this.#reports.sort((a, b) => a.index - b.index)) this.#out.write(`${summaryOf(report)}\n`);
  }
}

/** A line a second with the rate of each program that runs. */
class LiveRates {
  readonly #programs: readonly Program[];
  readonly #err: Output;
  readonly #running = new Set<Program>();
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #started = performance.now();
  readonly #before: number[];
  #then = this.#started;

  constructor(programs: readonly Program[], err: Output) {
    this.#programs = programs;
    this.#err = err;
    this.#before = programs.map(() => 0);
    const wanted = programs.flatMap(({ spec: { options } }) => (options.program === 'pkt-gen' ? [options.report] : []));
    this.#timer = setInterval(
      () => this.#tick(),
      Math.min(...wanted, wanted.length === 0 ? DEFAULT_INTERVAL : Infinity),
    );
  }

  started(program: Program): void {
    this.#running.add(program);
    this.#err.write(`[${program.index}] ${program.spec.text}\n`);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const now = performance.now();
    const seconds = (now - this.#then) / 1e3;
    const cells = this.#programs.map((program, i) => {
      const { packets } = program.control;
      const rate = (packets - this.#before[i]) / seconds;
      this.#before[i] = packets;
      if (!this.#running.has(program) || program.report) return `[${program.index}] -`.padEnd(17);
      return `[${program.index}] ${withUnit(rate, 'pps')}`.padEnd(17);
    });
    this.#then = now;
    const time = ((now - this.#started) / 1e3).toFixed(1).padStart(6);
    this.#err.write(`${time} s  ${cells.join('  ').trimEnd()}\n`);
  }
}

/** `12.346 Mpps`, as netmap's pkt-gen prints rates. */
export function withUnit(value: number, unit: string): string {
  const prefixes = ['', 'K', 'M', 'G', 'T'];
  let i = 0;
  for (; value >= 1000 && i < prefixes.length - 1; i++) value /= 1000;
  return `${value.toFixed(i === 0 ? 0 : 3)} ${prefixes[i]}${unit}`;
}

/** What the summary says about a program: a few lines. */
export function summaryOf(report: ProgramReport): string {
  const lines = report.program === 'vale-ctl' ? [`[${report.index}] vale-ctl`] : countsOf(report);
  if (report.latency) {
    const { lost, ...times } = report.latency;
    const told = Object.entries(times).map(([name, us]) => `${name} ${us.toFixed(1)} µs`);
    lines.push(`    round trips: ${told.join('; ')}; lost ${lost}`);
  }
  for (const line of report.output) lines.push(`    ${line}`);
  for (const error of report.errors) lines.push(`    failed: ${error}`);
  return lines.join('\n');
}

function countsOf(report: ProgramReport): string[] {
  const { index, program, port, guest, packets, bytes, seconds, kicks, interrupts } = report;
  const role = report.function ?? program;
  const name = report.function === null ? program : `${program} ${report.function}`;
  const where = guest === null ? port : `${port} (guest ${guest})`;
  if (program === 'exec') return [`[${index}] exec ${where}${report.errors.length === 0 ? ': ended well' : ''}`];
  const lines = [
    `[${index}] ${name} ${where}: ${VERBS[role]} ${packets} packets, ${bytes} bytes in ${seconds.toFixed(3)} s`,
  ];
  const details: string[] = [];
  if (seconds > 0) details.push(withUnit(packets / seconds, 'pps'), withUnit((8 * bytes) / seconds, 'bps'));
  const drops = Object.entries(report.drops).filter(([, n]) => n > 0);
  details.push(`drops: ${drops.map(([reason, n]) => `${reason} ${n}`).join(', ') || 'none'}`);
  details.push(`kicks ${kicks}`, `interrupts ${interrupts}`);
  lines.push(`    ${details.join('; ')}`);
  return lines;
}
