// Runs end-to-end cases: each contender works for a time and counts; they take turns, round after round.
import type { Timing } from './harness.js';
import { watchLoad } from './load.js';
import { compareDigests, type Result, type Round, summarise } from './results.js';
import { Absent, type Run, type TimedCase, type TimedContender } from './types.js';

/** Rounds that a slow contender takes part in. */
const SLOW_ROUNDS = 3;

/** The contenders of a case that this machine has; the others are named on stderr. */
async function openAll({ suite, name, entrants }: TimedCase, opened: TimedContender[]): Promise<void> {
  for (const open of entrants) {
    try {
      opened.push(await open());
    } catch (error) {
      if (!(error instanceof Absent)) throw error;
      console.error(`${suite} ${name}: absent: ${error.message}`);
    }
  }
}

export async function runTimedCase(work: TimedCase, timing: Timing): Promise<Result[]> {
  const contenders: TimedContender[] = [];
  const rounds: Round[] = [];
  const load = watchLoad();
  try {
    await openAll(work, contenders);
    const digests = contenders.flatMap(({ name, digest }) => (digest === undefined ? [] : [[name, digest] as const]));
    compareDigests(work, new Map(digests));
    for (const contender of contenders) {
      if (!contender.slow) await contender.run(timing.warmup / 1000);
    }
    for (let i = 0; i < timing.rounds; i++) {
      const round = new Map<string, Run>();
      // A B C, C B A, …
      for (const contender of i % 2 === 0 ? contenders : [...contenders].reverse()) {
        if (contender.slow && i >= SLOW_ROUNDS) continue;
        round.set(contender.name, await contender.run(timing.seconds));
      }
      rounds.push(round);
    }
  } finally {
    for (const contender of contenders) await contender.close();
  }
  return summarise(
    work,
    contenders.map(({ name }) => name),
    rounds,
    load(),
  );
}
