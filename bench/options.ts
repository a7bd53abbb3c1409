// The command line of the benches.
import { parseArgs } from 'node:util';
import type { Timing } from './harness.js';

export interface Options {
  readonly names: readonly string[];
  readonly sizes: readonly number[];
  readonly timing: Timing;
  /** Rounds, and whole seconds of a run, of what goes from kernel to kernel or needs a guest that has booted. */
  readonly endToEnd: { readonly rounds: number; readonly seconds: number };
  readonly quick: boolean;
  readonly json: boolean;
  readonly help: boolean;
  /** A file for the results and the machine's description. */
  readonly save: string | undefined;
  /** Such a file, whose ratios are compared with this run's. */
  readonly compare: string | undefined;
  /** A folder for the curves as SVG. */
  readonly curves: string | undefined;
}

const NORMAL: Timing = { rounds: 5, seconds: 0.15, warmup: 120 };
const QUICK: Timing = { rounds: 1, seconds: 0.04, warmup: 20 };
const NORMAL_END_TO_END = { rounds: 3, seconds: 1 };
const QUICK_END_TO_END = { rounds: 1, seconds: 1 };
const MIN_SIZE = 32;
const MAX_SIZE = 2048;

export const usage = (suites: readonly string[]): string => `usage: npm run bench -- [SUITE…] [options]

Suites: ${suites.join(', ')}. Default: all that this machine can run, without v86.

  --rounds N     rounds in which the contenders take turns (default ${NORMAL.rounds}; iperf3 and v86: ${NORMAL_END_TO_END.rounds})
  --time MS      time for each contender in a round (default ${NORMAL.seconds * 1000}; iperf3 and v86: ${1000 * NORMAL_END_TO_END.seconds}, and whole seconds)
  --sizes N,N    frame sizes in bytes (default 60,1500)
  --quick        one short round: that everything runs and agrees, not how fast it is
  --json         one JSON object a line: suite, case, contender, unit, median, min and max of the rounds, and in ours the
                 ratio to each of the others, above 1 where ours is faster
  --save FILE    also writes the results there, with the machine's description: see bench/results
  --compare FILE such a file: behind the report, what has become of its ratios
  --curves DIR   draws the curves of what was run, of axes and scaling: SVG files in DIR
  --help
`;

export class UsageError extends Error {}

function numberOf(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new UsageError(`--${name} wants whole numbers within ${min}..${max}, not '${text}'`);
}

function numberOption(name: string, text: string | undefined, min: number, max: number): number | undefined {
  return text === undefined ? undefined : numberOf(name, text, min, max);
}

/**
 * @param suites what may be asked for
 * @param usual what is run when nothing is
 * @throws UsageError, or what parseArgs throws
 */
export function parseOptions(args: string[], suites: readonly string[], usual: readonly string[]): Options {
  const options = {
    rounds: { type: 'string' },
    time: { type: 'string' },
    sizes: { type: 'string' },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    curves: { type: 'string' },
    save: { type: 'string' },
    compare: { type: 'string' },
    help: { type: 'boolean', default: false },
  } as const;
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  for (const name of positionals) {
    if (!suites.includes(name)) throw new UsageError(`there is no suite '${name}'`);
  }
  const [base, endToEnd] = values.quick ? [QUICK, QUICK_END_TO_END] : [NORMAL, NORMAL_END_TO_END];
  const ms = numberOption('time', values.time, 1, 60_000);
  const rounds = numberOption('rounds', values.rounds, 1, 1000);
  return {
    names: positionals.length > 0 ? [...new Set(positionals)] : usual,
    sizes: [
      ...new Set((values.sizes ?? '60,1500').split(',').map((size) => numberOf('sizes', size, MIN_SIZE, MAX_SIZE))),
    ],
    timing: { ...base, rounds: rounds ?? base.rounds, seconds: ms === undefined ? base.seconds : ms / 1000 },
    endToEnd: {
      rounds: rounds ?? endToEnd.rounds,
      seconds: ms === undefined ? endToEnd.seconds : Math.max(1, Math.round(ms / 1000)),
    },
    quick: values.quick,
    json: values.json,
    help: values.help,
    curves: values.curves,
    save: values.save,
    compare: values.compare,
  };
}
