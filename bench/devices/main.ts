// Backends with Linux devices beside bare loops of system calls in C: packets a second in both directions, in one run, in
// a namespace of its own. `node build/ts/bench/devices/main.js [KIND…] [--rounds N] [--seconds S] [--json]`; root.
//
// Received packets come from a generator in C on the other side of the device; transmitted ones are dropped there.

import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { tie } from '../machine/children.js';
import { Spaces } from '../machine/spaces.js';
import { jsonLines, rateTable } from '../report.js';
import { median, type Result } from '../results.js';

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));
const OUTPUT = join(ROOT, 'build', 'bench');
const LOOPS = join(OUTPUT, 'device-loops');
const BACKEND = fileURLToPath(new URL('./backend.js', import.meta.url));
const SIZES = [60, 1500];
const KINDS = ['tap', 'macvtap', 'packet'] as const;
const DIRECTIONS = ['receive', 'transmit'] as const;
type Kind = (typeof KINDS)[number];
type Direction = (typeof DIRECTIONS)[number];

/** Bun would take the sources for the package, as the repository's tsconfig.json says. */
const NO_PATHS = join(OUTPUT, 'tsconfig.json');

/** The runtimes: Node, and those that a variable names. */
const RUNTIMES: readonly (readonly [name: string, command: readonly string[]])[] = [
  ['node', [process.execPath]],
  ...(process.env['PTNET_DENO'] ? [['deno', [process.env['PTNET_DENO'], 'run', '--allow-all']] as const] : []),
  ...(process.env['PTNET_BUN']
    ? [['bun', [process.env['PTNET_BUN'], 'run', '--tsconfig-override', NO_PATHS]] as const]
    : []),
];

const ip = (...args: readonly string[]): string => execFileSync('ip', args, { encoding: 'utf8' });

/** A namespace with a cable, and a macvtap device at one end of it. */
function makeSpace(): string {
  const [space] = new Spaces(1).names;
  ip('-n', space, 'link', 'add', 'near', 'type', 'veth', 'peer', 'name', 'far');
  for (const device of ['lo', 'near', 'far']) ip('-n', space, 'link', 'set', device, 'up');
  return space;
}

/** @returns the name of the device for a kind; macvtap's is made anew, since it takes all that its cable brings */
function prepare(space: string, kind: Kind): string {
  if (ip('-n', space, '-brief', 'link').includes('mvt0')) ip('-n', space, 'link', 'del', 'mvt0');
  if (kind !== 'macvtap') return kind === 'tap' ? 'bench0' : 'near';
  ip('-n', space, 'link', 'add', 'link', 'near', 'name', 'mvt0', 'type', 'macvtap', 'mode', 'passthru');
  ip('-n', space, 'link', 'set', 'mvt0', 'up');
  return 'mvt0';
}

/** Runs a contender, and the generator as long as it receives. @returns kpps */
async function measure(
  space: string,
  command: readonly string[],
  kind: Kind,
  direction: Direction,
  size: number,
  seconds: number,
): Promise<number> {
  const device = prepare(space, kind);
  const args = [kind, direction, device, `${size}`, `${seconds}`];
  const child = spawn('ip', ['netns', 'exec', space, ...command, ...args], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  tie(child);
  let generator: ReturnType<typeof spawn> | undefined;
  let rate = Number.NaN;
  for await (const line of createInterface({ input: child.stdout })) {
    if (line !== 'ready') {
      rate = Number(line) / 1e3;
      continue;
    }
    if (kind === 'tap') ip('-n', space, 'link', 'set', device, 'up');
    if (direction === 'transmit') continue;
    const from = kind === 'tap' ? device : 'far';
    const generate = ['netns', 'exec', space, LOOPS, 'generate', from, `${size}`, `${seconds + 10}`];
    generator = tie(spawn('ip', generate, { stdio: 'ignore' }));
  }
  generator?.kill();
  if (!(rate > 0)) throw new Error(`${command[0]} ${args.join(' ')} has no result`);
  return rate;
}

async function main(): Promise<void> {
  const options = { rounds: { type: 'string' }, seconds: { type: 'string' }, json: { type: 'boolean' } } as const;
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const kinds = KINDS.filter((kind) => positionals.length === 0 || positionals.includes(kind));
  const rounds = Number(values.rounds ?? 3);
  const seconds = Number(values.seconds ?? 1);
  mkdirSync(OUTPUT, { recursive: true });
  writeFileSync(NO_PATHS, '{}\n');
  execFileSync('cc', ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-o', LOOPS, join(ROOT, 'bench/devices/loops.c')]);
  const space = makeSpace();
  const contenders = [
    ...RUNTIMES.map(([name, command]) => [name, [...command, BACKEND]] as const),
    ['c', [LOOPS]] as const,
  ];
  for (const kind of kinds) {
    for (const direction of DIRECTIONS) {
      for (const size of SIZES) {
        const rates = new Map<string, number[]>(contenders.map(([name]) => [name, []]));
        for (let round = 0; round < rounds; round++) {
          for (const [name, command] of contenders) {
            rates.get(name)?.push(await measure(space, command, kind, direction, size, seconds));
          }
        }
        const results = toResults(`${kind} ${direction} ${size} B`, rates);
        console.log(values.json ? jsonLines(results) : rateTable(results));
      }
    }
  }
}

/** Ratios are made within each round. */
function toResults(name: string, rates: ReadonlyMap<string, readonly number[]>): Result[] {
  const bare = rates.get('c') ?? [];
  return [...rates].map(([contender, values]) => ({
    suite: 'devices',
    case: name,
    contender,
    unit: 'kpps',
    median: median(values),
    min: Math.min(...values),
    max: Math.max(...values),
    ...(contender === 'c' ? {} : { ratio: { c: median(values.map((value, i) => value / bare[i])) } }),
  }));
}

await main();
