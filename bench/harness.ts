// Runs the cases. The contenders of a case take turns, round after round, so that whatever else the machine does meets
// all of them alike; what is compared is the median of the rounds, and ratios are made within each round.
import Benchmark from 'benchmark';
import { watchLoad } from './load.js';
import type { NativeTwin } from './native.js';
import { compareDigests, type Result, type Round, summarise } from './results.js';
import { BATCH, type Case, type Contender } from './types.js';

export interface Timing {
  readonly rounds: number;
  /** Seconds for each contender in a round. */
  readonly seconds: number;
  /** Milliseconds of warm-up before the first round: V8 must have compiled everything with its best compiler. */
  readonly warmup: number;
}

/** Milliseconds of warm-up of a native twin, in each round: it is compiled already, and starts anew. */
const NATIVE_WARMUP = 40;
const NATIVE = 'c';
const NETMAP_TABLE = 'c, netmap table';
const SLOT_VECTORS = 'c, slot vectors';
/**
 * Seconds of one sample. Short, and the fastest of a round counts: on a machine that does other things too, longer ones
 * would all contain somebody else's time slice. The native twin does the same.
 */
const SAMPLE = 0.001;

/**
 * What benchmark.js compiles into a function a sample: `work` comes by the options, as closures do not get there. Untimed
 * calls come first: compiling leaves cold caches, while the samples of the native twin follow each other.
 */
const SETUP = 'const [run] = this.work; for (let k = 0; k < 8; k++) run();';

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
  const options = { maxTime: seconds, minTime: SAMPLE, minSamples: 3, delay: 0, setup: SETUP };
  for (const { name, run } of contenders) suite.add(name, 'run()', { ...options, work: [run] } as Benchmark.Options);
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

/** The native twins of a case: their names among the contenders, and what runs one. */
function twinsOf(work: Case, native: NativeTwin | undefined): readonly (readonly [string, NativeTwin['run']])[] {
  if (!native || work.task === undefined) return [];
  return [
    [NATIVE, native.run],
    ...(work.netmapTable ? [[NETMAP_TABLE, native.runTable] as const] : []),
    ...(work.slotVectors ? [[SLOT_VECTORS, native.runSlotVectors] as const] : []),
    ...(work.widths ? Object.entries(native.runWidths) : []),
  ];
}

export async function runCase(work: Case, native: NativeTwin | undefined, timing: Timing): Promise<Result[]> {
  const load = watchLoad();
  const twins = twinsOf(work, native);
  const { contenders, close } = await work.open();
  const rounds: Round[] = [];
  try {
    const digests = new Map(contenders.map(({ name, digest }) => [name, digest]));
    const figures = new Map(contenders.map(({ name, figures }) => [name, figures && { extra: figures }]));
    for (const contender of contenders) warmUp(contender, timing.warmup);
    for (let i = 0; i < timing.rounds; i++) {
      const runTwins = (): (readonly [string, number])[] =>
        twins.map(([name, run]) => {
          const { ns, digest } = run(work, Math.min(timing.warmup, NATIVE_WARMUP), timing.seconds * 1000);
          digests.set(name, digest);
          return [name, ns];
        });
      // A B A B …, the native twins first in one round and last in the next.
      const before = i % 2 === 0 ? runTwins() : [];
      const round = await runSuite(contenders, work.batch ?? BATCH, timing.seconds);
      for (const [name, ns] of [...before, ...(i % 2 === 0 ? [] : runTwins())]) round.set(name, ns);
      rounds.push(new Map([...round].map(([name, value]) => [name, { value, ...figures.get(name) }])));
      compareDigests(work, digests);
    }
    for (const contender of contenders) contender.check();
  } finally {
    await close();
  }
  const names = [...contenders.map(({ name }) => name), ...twins.map(([name]) => name)];
  return summarise(work, names, rounds, load());
}
