// The benches: `npm run bench -- [SUITE…] [options]`. One suite a stage of the data path; beside ours run a plain
// JavaScript twin and a native C twin of the same algorithms on the same layout, which must deliver the same bytes.
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { runCase, type Timing } from './harness.js';
import { iperf3Results, whyNoIperf3 } from './iperf3/suite.js';
import { buildNative } from './native.js';
import { jsonLines, rateTable, table } from './report.js';
import { cableSuite } from './suites/cable.js';
import { checksumSuite } from './suites/checksum.js';
import { coalesceSuite } from './suites/coalesce.js';
import { interfaceSuite } from './suites/interface.js';
import { pathSuite } from './suites/path.js';
import { pipeSuite } from './suites/pipe.js';
import { ringSuite } from './suites/ring.js';
import { segmentSuite } from './suites/segment.js';
import { valeSuite } from './suites/vale.js';
import type { Case, SuiteOptions } from './types.js';

const suites: Readonly<Record<string, (options: SuiteOptions) => Case[]>> = {
  ring: ringSuite,
  pipe: pipeSuite,
  vale: valeSuite,
  checksum: checksumSuite,
  segment: segmentSuite,
  coalesce: coalesceSuite,
  path: pathSuite,
  interface: interfaceSuite,
  cable: cableSuite,
};

/** Not a stage but the whole way between two kernels, by iperf3: bench/iperf3. */
const END_TO_END = 'iperf3';

const USAGE = `usage: npm run bench -- [SUITE…] [options]

Suites: ${Object.keys(suites).join(', ')}; ${END_TO_END}. Default: all that this machine can run.

  --rounds N     rounds in which the contenders take turns (default 5)
  --time MS      time for each contender in a round (default 200; ${END_TO_END}: 2000, and whole seconds)
  --sizes N,N    frame sizes in bytes (default 60,1500)
  --quick        one short round: that everything runs and agrees, not how fast it is
  --json         one JSON object a line: suite, case, contender, unit, median, min and max of the rounds, and in ours the
                 ratio to each of the others, above 1 where ours is faster
  --help
`;
const NORMAL: Timing = { rounds: 5, seconds: 0.2, warmup: 120 };
const QUICK: Timing = { rounds: 1, seconds: 0.04, warmup: 20 };
const MIN_SIZE = 32;
const MAX_SIZE = 2048;

class UsageError extends Error {}

function numberOption(name: string, text: string | undefined, min: number, max: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new UsageError(`--${name} wants whole numbers within ${min}..${max}, not '${text}'`);
}

function parse(args: string[]) {
  const options = {
    rounds: { type: 'string' },
    time: { type: 'string' },
    sizes: { type: 'string' },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  } as const;
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  for (const name of positionals) {
    if (name !== END_TO_END && !Object.hasOwn(suites, name)) throw new UsageError(`there is no suite '${name}'`);
  }
  const base = values.quick ? QUICK : NORMAL;
  const ms = numberOption('time', values.time, 1, 60_000);
  return {
    names: positionals.length > 0 ? positionals : [...Object.keys(suites), END_TO_END],
    sizes: (values.sizes ?? '60,1500').split(',').map((size) => numberOption('sizes', size, MIN_SIZE, MAX_SIZE) ?? 0),
    timing: {
      ...base,
      rounds: numberOption('rounds', values.rounds, 1, 1000) ?? base.rounds,
      seconds: ms === undefined ? base.seconds : ms / 1000,
    },
    runSeconds: Math.max(1, Math.round((ms ?? (values.quick ? 1000 : 2000)) / 1000)),
    json: values.json,
    help: values.help,
  };
}

async function runSuites(names: readonly string[], sizes: number[], timing: Timing, json: boolean): Promise<void> {
  if (names.length === 0) return;
  const native = buildNative();
  if (!json) {
    if (native) console.log(`${native.compiler}, -O3 -march=native`);
    const each = `each the fastest millisecond of ${timing.seconds * 1000}`;
    console.log(`median of ${timing.rounds} rounds, ${each}; ratio: above 1 where ptnet is faster\n`);
  }
  for (const name of names) {
    for (const work of suites[name]({ sizes })) {
      const results = await runCase(work, native, timing);
      console.log(json ? jsonLines(results) : table(results));
    }
  }
}

async function runEndToEnd(rounds: number, seconds: number, json: boolean): Promise<void> {
  const reason = await whyNoIperf3();
  if (reason !== undefined) {
    console.error(`${END_TO_END} is left out: ${reason}`);
    return;
  }
  if (!json) console.log(`median of ${rounds} rounds of ${seconds} s; ratio: rate by that of veth, of the TAP relay\n`);
  const results = await iperf3Results({ rounds, seconds });
  console.log(json ? jsonLines(results) : rateTable(results));
}

async function main(args: string[]): Promise<void> {
  const { names, sizes, timing, runSeconds, json, help } = parse(args);
  if (help) {
    console.log(USAGE);
    return;
  }
  if (!json) {
    const cpu = cpus()[0]?.model ?? 'unknown CPU';
    console.log(`Node ${process.version}, V8 ${process.versions.v8}, ${process.arch}, ${cpu}`);
  }
  await runSuites(
    names.filter((name) => name !== END_TO_END),
    sizes,
    timing,
    json,
  );
  if (names.includes(END_TO_END)) await runEndToEnd(timing.rounds, runSeconds, json);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  const usage = error instanceof UsageError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS');
  console.error(usage ? `${(error as Error).message}\n\n${USAGE}` : error);
  process.exit(usage ? 2 : 1);
}
