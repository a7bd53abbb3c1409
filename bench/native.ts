// The native twins: compiled once from bench/native, run as child processes that time themselves.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { BATCH } from './types.js';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const SOURCES = join(ROOT, 'bench', 'native');
const OUTPUT = join(ROOT, 'build', 'bench');
const FLAGS = ['-std=gnu11', '-O3', '-march=native', '-pthread', '-Wall', '-Wextra'];

function leftOut(reason: string): undefined {
  console.error(`the native twin is left out: ${reason}`);
}

/** What the twin prints of one run. */
export interface NativeRun {
  readonly ns: number;
  readonly digest: number;
  /** Share of the packets that a switch dropped, in per cent; of tasks with two threads. */
  readonly dropped?: number;
}

type RunTwin = (work: TwinWork, warmup: number, ms: number) => NativeRun;

/** What the twin has to know of a case. */
export interface TwinWork {
  readonly task?: string;
  readonly size: number;
  readonly batch?: number;
}

export interface NativeTwin {
  /** The compiler's own name and version. */
  readonly compiler: string;
  /** Runs one case for `ms` milliseconds after `warmup`. @throws Error when the twin fails */
  readonly run: RunTwin;
  /** The same with netmap's forwarding table and buffer stride. */
  readonly runTable: RunTwin;
  /** The same with slots of a pipe checked by vectors, as in the Wasm. */
  readonly runSlotVectors: RunTwin;
  /** Two programs at a switch of the machine: `path` says how they get there (bench/native/switched.c). */
  readonly runSwitched: (path: readonly string[], size: number, warmup: number, ms: number) => NativeRun;
  /** Starts two guests that send a frame to and fro; `rest` ms before each, or none: they poll. */
  readonly pings: (rest: number, form?: 'loop thread') => Pinger;
  /** The same as `run` with narrower vectors than the machine may have, by the names of the contenders; x86-64 only. */
  readonly runWidths: Readonly<Record<string, RunTwin>>;
  /** Starts two threads that wake each other from a futex; `rest` ms before each wake-up. */
  readonly futexes: (rest: number) => Pinger;
}

/** A native program that goes to and fro as often as it is told to. */
export interface Pinger {
  /** ns of each way. @throws Error when the program ends or does not answer */
  play(count: number): Promise<number[]>;
  close(): Promise<void>;
}

interface Compiler {
  readonly program: string;
  /** Its own name and version. */
  readonly version: string;
}

/** Compiles one program unless that compiler has done so since the sources changed. */
function compile(cc: Compiler, source: string, name: string, flags: readonly string[]): string | undefined {
  const key = createHash('sha256').update(cc.version).digest('hex').slice(0, 8);
  const binary = join(OUTPUT, `${name}-${key}`);
  const times = readdirSync(SOURCES).map((file) => statSync(join(SOURCES, file)).mtimeMs);
  if (existsSync(binary) && Math.max(...times) <= statSync(binary).mtimeMs) return binary;
  mkdirSync(OUTPUT, { recursive: true });
  // Under another name first: who else runs the benches now keeps a whole program.
  const fresh = `${binary}.${process.pid}`;
  const args = [...FLAGS, ...flags, '-o', fresh, join(SOURCES, source)];
  const { status, stderr } = spawnSync(cc.program, args, { encoding: 'utf8' });
  if (status !== 0) return leftOut(`${cc.program} failed:\n${stderr}`);
  renameSync(fresh, binary);
  return binary;
}

/** Longest time (ms) that a program may take beyond what it was asked for. */
const PATIENCE = 60_000;

/** What the twins' exit codes mean. */
const FAILURES: Readonly<Record<number, string>> = {
  3: 'packets were lost',
  4: 'what was received is not what was sent',
};

function start(binary: string, args: readonly (string | number)[], ms: number): string {
  const options = { encoding: 'utf8', timeout: PATIENCE + ms, maxBuffer: 1 << 24 } as const;
  const { status, signal, stdout, stderr } = spawnSync(binary, args.map(String), options);
  if (status === 0) return stdout;
  const why = FAILURES[status ?? 0] ?? `status ${status ?? signal}`;
  throw new Error(`${binary} ${args.join(' ')} failed: ${why} ${stderr}`);
}

/** Starts a program that reads counts, a line each, and prints as many numbers. */
function startPinger(binary: string, args: readonly (string | number)[]): Pinger {
  const child = spawn(binary, args.map(String), { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const play = async (count: number): Promise<number[]> => {
    const timer = setTimeout(() => child.kill(), PATIENCE);
    child.stdin.write(`${count}\n`);
    const ways: number[] = [];
    while (ways.length < count) {
      const { done, value } = await lines.next();
      if (done) throw new Error(`${binary} ${args.join(' ')} has ended, or did not answer`);
      ways.push(Number(value));
    }
    clearTimeout(timer);
    return ways;
  };
  const close = async (): Promise<void> => {
    child.stdin.end();
    await ended;
  };
  return { play, close };
}

/** What gcc calls the generations of x86-64 whose vectors are so wide. The Wasm's have 128 bits. */
const WIDTHS: Readonly<Record<string, string>> = {
  'c, 256-bit vectors': 'x86-64-v3',
  'c, 128-bit vectors': 'x86-64-v2',
};

/** Compiles them; those whose instructions the machine lacks are left out. */
function compileWidths(cc: Compiler): Record<string, RunTwin> {
  if (process.arch !== 'x64') return {};
  const twins = Object.entries(WIDTHS).map(([name, march]) => {
    const binary = compile(cc, 'twin.c', `twin-${march}`, [`-march=${march}`]);
    if (binary === undefined) return [];
    const run = runner(binary);
    try {
      run({ task: 'checksum', size: 60 }, 1, 1);
      return [[name, run] as const];
    } catch {
      leftOut(`${name}: the machine lacks their instructions`);
      return [];
    }
  });
  return Object.fromEntries(twins.flat());
}

function runner(binary: string): RunTwin {
  return ({ task = '', size, batch = BATCH }, warmup, ms) =>
    JSON.parse(start(binary, [task, size, batch, warmup, ms], ms)) as NativeRun;
}

/** Builds the twins unless they are newer than their sources. Undefined, with a reason, where that cannot be done. */
export function buildNative(): NativeTwin | undefined {
  const program = [process.env['CC'], 'gcc', 'cc'].find((name) => name && spawnSync(name, ['--version']).status === 0);
  if (!program) return leftOut('no C compiler found');
  const version = spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout.split('\n')[0];
  const cc = { program, version };
  const twin = compile(cc, 'twin.c', 'twin', []);
  const table = compile(cc, 'twin.c', 'twin-netmap-table', ['-DNETMAP_TABLE']);
  const slotVectors = compile(cc, 'twin.c', 'twin-slot-vectors', ['-DSLOT_VECTORS']);
  const futex = compile(cc, 'futex.c', 'futex', []);
  const switched = compile(cc, 'switched.c', 'switched', []);
  if (!twin || !table || !slotVectors || !futex || !switched) return undefined;
  return {
    compiler: version,
    run: runner(twin),
    runTable: runner(table),
    runSlotVectors: runner(slotVectors),
    runWidths: compileWidths(cc),
    runSwitched: (path, size, warmup, ms) => JSON.parse(start(switched, [...path, size, warmup, ms], ms)) as NativeRun,
    pings: (rest, form) => startPinger(twin, [form ? `ping, ${form}` : 'ping', 60, 1, rest, 0]),
    futexes: (rest) => startPinger(futex, [1000 * rest]),
  };
}
