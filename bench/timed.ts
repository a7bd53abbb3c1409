// Runs end-to-end cases: each contender works for a time and counts; they take turns, round after round.
import type { Timing } from './harness.js';
import { watchLoad } from './load.js';
import { compareDigests, type Result, type Round, summarise } from './results.js';
import { Absent, type Run, type TimedCase, type TimedContender } from './types.js';

/** Rounds that a slow contender takes part in. */
const SLOW_ROUNDS = 3;

function nameAbsent({ suite, name }: TimedCase, error: unknown): void {
  if (!(error instanceof Absent)) throw error;
  console.error(`${suite} ${name}: absent: ${error.message}`);
}

/** The contenders of a case that this machine has; the others are named on stderr. */
async function openAll(work: TimedCase, opened: TimedContender[]): Promise<void> {
  for (const open of work.entrants) {
    try {
      opened.push(await open());
    } catch (error) {
      nameAbsent(work, error);
    }
  }
}

/** A round in which one of the other figures is the value. */
function figureOf(round: Round, figure: string): Round {
  return new Map([...round].map(([name, { extra = {} }]) => [name, { value: extra[figure] }]));
}

/** The results of the case, and of its further ones. */
export async function runTimedCase(work: TimedCase, timing: Timing): Promise<Result[][]> {
  const contenders: TimedContender[] = [];
  /** Programs of the machine that have not come through a run: not compared. */
  const failed = new Set<string>();
  const rounds: Round[] = [];
  const load = watchLoad();
  try {
    await openAll(work, contenders);
    const digests = contenders.flatMap(({ name, digest }) => (digest === undefined ? [] : [[name, digest] as const]));
    compareDigests(work, new Map(digests));
    for (const contender of contenders) {
      if (!contender.slow) await contender.run(timing.warmup / 1000);
    }
    const reversed = [...contenders].reverse();
    for (let i = 0; i < timing.rounds; i++) {
      const round = new Map<string, Run>();
      // A B C, C B A, …
      for (let part = 1; part < (work.parts ?? 1); part++) {
        for (const contender of (i + part) % 2 === 0 ? contenders : reversed) await contender.part?.();
      }
      for (const contender of i % 2 === 0 ? contenders : reversed) {
        if (failed.has(contender.name) || (contender.slow && i >= SLOW_ROUNDS)) continue;
        try {
          round.set(contender.name, await contender.run(timing.seconds));
        } catch (error) {
          nameAbsent(work, error);
          failed.add(contender.name);
        }
      }
      rounds.push(round);
    }
  } finally {
    for (const contender of contenders) await contender.close();
  }
  const names = contenders.map(({ name }) => name).filter((name) => !failed.has(name));
  const others = load();
  const further = Object.entries(work.further ?? {}).map(([name, figure]) =>
    summarise(
      { ...work, name },
      names,
      rounds.map((round) => figureOf(round, figure)),
      others,
    ),
  );
  return [summarise(work, names, rounds, others), ...further];
}
