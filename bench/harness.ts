// Runs the cases. The contenders of a case take turns, round after round, so that whatever else the machine does meets
// all of them alike; what is compared is the median of the rounds, and ratios are made within each round.
import Benchmark from 'benchmark';
import type { NativeTwin } from './native.js';
import { BATCH, type Case, type Contender } from './types.js';

export interface Timing {
  readonly rounds: number;
  /** Seconds for each contender in a round. */
  readonly seconds: number;
  /** Milliseconds of warm-up before the first round: V8 must have compiled everything with its best compiler. */
  readonly warmup: number;
}

/** The numbers of one contender, in the case's unit. `ratio`: how many times faster ours is than each of the others. */
export interface Result {
  readonly suite: string;
  readonly case: string;
  readonly contender: string;
  readonly unit: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** Gbit/s at the median, where a case is about bytes. */
  readonly gbits?: number;
  readonly ratio?: Readonly<Record<string, number>>;
}

const OURS = 'ptnet';
const NATIVE = 'c';
/**
 * Seconds of one sample. Short, and the fastest of a round counts: on a machine that does other things too, longer ones
 * would all contain somebody else's time slice. The native twin does the same.
 */
const SAMPLE = 0.001;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

function warmUp({ run }: Contender, ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; ) run();
}

/** One short suite of benchmark.js: ns per item of each contender. */
async function runSuite(
  contenders: readonly Contender[],
  batch: number,
  seconds: number,
): Promise<Map<string, number>> {
  const suite = new Benchmark.Suite();
  const options = { maxTime: seconds, minTime: SAMPLE, minSamples: 3, delay: 0 };
  // No setup or teardown: with them benchmark.js compiles the functions anew from their source, without their closures.
  for (const { name, run } of contenders) suite.add(name, run, options);
  return new Promise((resolve, reject) => {
    const results = new Map<string, number>();
    suite.on('cycle', ({ target }: Benchmark.Event) => {
      const sample = (target.stats?.sample ?? []) as number[]; // seconds a call
      results.set(target.name ?? '', (Math.min(...sample) * 1e9) / batch);
    });
    suite.on('error', ({ target }: { target: { error?: Error } }) => reject(target.error));
    suite.on('complete', () => resolve(results));
    suite.run({ async: true });
  });
}

/** The digests must be equal: otherwise somebody has not done the work. */
function compareDigests({ suite, name }: Case, digests: ReadonlyMap<string, number>): void {
  if (new Set(digests.values()).size === 1) return;
  const list = [...digests].map(([contender, digest]) => `${contender} ${digest}`).join(', ');
  throw new Error(`${suite} ${name}: the contenders' answers differ: ${list}`);
}

export async function runCase(work: Case, native: NativeTwin | undefined, timing: Timing): Promise<Result[]> {
  const { contenders, close } = await work.open();
  const rounds: Map<string, number>[] = [];
  try {
    const digests = new Map(contenders.map(({ name, digest }) => [name, digest]));
    for (const contender of contenders) warmUp(contender, timing.warmup);
    for (let i = 0; i < timing.rounds; i++) {
      const runNative = (): [string, number][] => {
        if (!native) return [];
        const { ns, digest } = native.run(work, timing.warmup, timing.seconds * 1000);
        digests.set(NATIVE, digest);
        return [[NATIVE, ns]];
      };
      // A B A B …, the native twin first in one round and last in the next.
      const before = i % 2 === 0 ? runNative() : [];
      const round = await runSuite(contenders, work.batch ?? BATCH, timing.seconds);
      for (const [name, ns] of [...before, ...(i % 2 === 0 ? [] : runNative())]) round.set(name, ns);
      rounds.push(round);
      compareDigests(work, digests);
    }
    for (const contender of contenders) contender.check();
  } finally {
    await close();
  }
  return summarise(work, [...contenders.map(({ name }) => name), ...(native ? [NATIVE] : [])], rounds);
}

function summarise(work: Case, names: readonly string[], rounds: readonly Map<string, number>[]): Result[] {
  const of = (round: Map<string, number>, name: string): number => round.get(name) ?? Number.NaN;
  return names.map((name) => {
    const values = rounds.map((round) => of(round, name));
    const middle = median(values);
    const result: Result = {
      suite: work.suite,
      case: work.name,
      contender: name,
      unit: work.unit,
      median: middle,
      min: Math.min(...values),
      max: Math.max(...values),
      ...(work.bytes !== undefined && { gbits: (8 * work.bytes) / middle }),
    };
    if (name !== OURS) return result;
    const others = names.filter((other) => other !== OURS);
    const ratio = others.map((other) => [other, median(rounds.map((round) => of(round, other) / of(round, OURS)))]);
    return { ...result, ratio: Object.fromEntries(ratio) as Record<string, number> };
  });
}
