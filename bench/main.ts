// The benches: `npm run bench -- [SUITE…] [options]`. One suite a stage of the data path; beside ours run a plain
// JavaScript twin and a native C twin of the same algorithms on the same layout, which must deliver the same bytes, and
// what people use instead. The last table compares the ratios with what the project wants to reach.
import { baseline, comparison, readBaseline } from './baseline.js';
import { CURVES, drawCurves } from './curves.js';
import { levelLines } from './footprint.js';
import { runCase } from './harness.js';
import { iperf3Results, limitsOf, whyNoIperf3 } from './iperf3/suite.js';
import { describeMachine, machineLine } from './machine.js';
import { buildNative, type NativeTwin } from './native.js';
import { type Options, parseOptions, UsageError, usage } from './options.js';
import { mustTakeFile, mustTakeFolder, writeWhole } from './output.js';
import { elapsedLine, jsonLines, rateTable, table, targetTable } from './report.js';
import type { Result } from './results.js';
import { axesSuite } from './suites/axes.js';
import { cableSuite } from './suites/cable.js';
import { checksumSuite } from './suites/checksum.js';
import { coalesceSuite } from './suites/coalesce.js';
import { exchangeSuite } from './suites/exchange.js';
import { interfaceSuite } from './suites/interface.js';
import { latencySuite } from './suites/latency.js';
import { pathSuite } from './suites/path.js';
import { pipeSuite } from './suites/pipe.js';
import { ringSuite } from './suites/ring.js';
import { scalingSuite } from './suites/scaling.js';
import { segmentSuite } from './suites/segment.js';
import { startSuite } from './suites/start.js';
import { switchesSuite } from './suites/switches.js';
import { threadSuite } from './suites/thread.js';
import { valeSuite } from './suites/vale.js';
import { workersSuite } from './suites/workers.js';
import { judge } from './targets.js';
import { runTimedCase } from './timed.js';
import type { Case, SuiteOptions, TimedCase } from './types.js';
import { whyNoV86 } from './v86/guests.js';
import { v86Results } from './v86/suite.js';

const suites: Readonly<Record<string, (options: SuiteOptions) => readonly (Case | TimedCase)[]>> = {
  ring: ringSuite,
  pipe: pipeSuite,
  exchange: exchangeSuite,
  vale: valeSuite,
  axes: axesSuite,
  checksum: checksumSuite,
  segment: segmentSuite,
  coalesce: coalesceSuite,
  path: pathSuite,
  interface: interfaceSuite,
  cable: cableSuite,
  switches: switchesSuite,
  thread: threadSuite,
  workers: workersSuite,
  latency: latencySuite,
  scaling: scalingSuite,
  start: startSuite,
};

/** Not a stage but the whole way between two kernels, by iperf3: bench/iperf3. */
const IPERF3 = 'iperf3';
/** A guest in an emulator, which has to boot: bench/v86. */
const V86 = 'v86';
const USUAL = [...Object.keys(suites), IPERF3];
const NAMES = [...USUAL, V86];

/** Seconds that each suite has taken. */
const elapsed = new Map<string, number>();

async function timed<T>(name: string, work: () => Promise<T>): Promise<T> {
  const started = performance.now();
  const result = await work();
  elapsed.set(name, (performance.now() - started) / 1000);
  return result;
}

/** Where cache and TLB begin to cost. */
function notesOn(results: readonly Result[]): string[] {
  return results[0].suite === 'scaling' ? levelLines(results, describeMachine()) : [];
}

async function runSuites(options: Options, native: NativeTwin | undefined): Promise<Result[]> {
  const { names, sizes, timing, quick, json } = options;
  const chosen = names.filter((name) => Object.hasOwn(suites, name));
  if (chosen.length === 0) return [];
  if (!json) {
    if (native) console.log(`${native.compiler}, -O3 -march=native`);
    const each = `each the fastest millisecond of ${timing.seconds * 1000} where one thread works`;
    console.log(`median of ${timing.rounds} rounds, ${each}; ratio: above 1 where ptnet is faster\n`);
  }
  const all: Result[] = [];
  for (const name of chosen) {
    await timed(name, async () => {
      for (const work of suites[name]({ sizes, quick, native })) {
        const cases = 'entrants' in work ? await runTimedCase(work, timing) : [await runCase(work, native, timing)];
        for (const results of cases) {
          if (results.length === 0) continue; // all contenders are absent, and were named
          console.log(json ? jsonLines(results) : table(results, notesOn(results)));
          all.push(...results);
        }
      }
    });
  }
  return all;
}

async function runEndToEnd({ json, endToEnd }: Options): Promise<Result[]> {
  const reason = await whyNoIperf3();
  if (reason !== undefined) {
    console.error(`${IPERF3} is left out: ${reason}`);
    return [];
  }
  const { rounds, seconds } = endToEnd;
  if (!json) console.log(`median of ${rounds} rounds of ${seconds} s; ratio: rate by that of veth, of the TAP relay\n`);
  const results = await iperf3Results({ rounds, seconds });
  console.log(json ? jsonLines(results) : rateTable(results, limitsOf));
  return results;
}

async function runV86({ json, sizes, quick, endToEnd }: Options): Promise<Result[]> {
  const reason = whyNoV86();
  if (reason !== undefined) {
    console.error(`${V86} is left out: ${reason}`);
    return [];
  }
  const { rounds, seconds } = endToEnd;
  if (!json) console.log(`median of ${rounds} rounds of about ${seconds} s; ratio: rate by the other's\n`);
  const all: Result[] = [];
  const report = (results: readonly Result[]): void => {
    console.log(json ? jsonLines(results) : rateTable(results));
    all.push(...results);
  };
  await v86Results({ rounds, seconds, sizes, quick }, report);
  return all;
}

async function main(args: string[]): Promise<void> {
  const options = parseOptions(args, NAMES, USUAL);
  if (options.help) {
    console.log(usage(NAMES));
    return;
  }
  const before = options.compare === undefined ? undefined : readBaseline(options.compare);
  if (options.save !== undefined) mustTakeFile(options.save);
  if (options.curves !== undefined) mustTakeFolder(options.curves);
  if (!options.json) console.log(machineLine(describeMachine()));
  const native = options.names.some((name) => Object.hasOwn(suites, name)) ? buildNative() : undefined;
  const results = await runSuites(options, native);
  if (options.names.includes(IPERF3)) results.push(...(await timed(IPERF3, () => runEndToEnd(options))));
  if (options.names.includes(V86)) results.push(...(await timed(V86, () => runV86(options))));
  if (options.save !== undefined) {
    writeWhole(options.save, baseline(describeMachine(), native?.compiler, options, results));
  }
  if (options.curves !== undefined) {
    const drawn = drawCurves(results, options.curves);
    console.error(
      drawn.length > 0 ? drawn.join('\n') : `--curves: nothing to draw: ${CURVES.join(' and ')} have curves`,
    );
  }
  const judged = judge(results).filter(({ suite }) => options.names.includes(suite));
  if (judged.length > 0 && !options.json) console.log(targetTable(judged));
  // JSON has one object a line and nothing else.
  const note = options.json ? console.error : console.log;
  if (before) {
    const { names } = options;
    note(comparison(before, results, (suite) => NAMES.includes(suite) && !names.includes(suite)));
  }
  note(elapsedLine(elapsed));
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  const wrong = error instanceof UsageError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS');
  console.error(wrong ? `${(error as Error).message}\n\n${usage(NAMES)}` : error);
  process.exit(wrong ? 2 : 1);
}
