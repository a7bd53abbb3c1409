// Cases of guests that take turns. Who waits for its turn stands still: also a Linux without work takes time in an emulator.
import { watchLoad } from '../load.js';
import { disturbance, median, OURS, type Result } from '../results.js';

/** An emulator that can stand still. */
export interface Pausable {
  run(): Promise<void>;
  stop(): Promise<void>;
}

export interface Turn {
  readonly name: string;
  /** What it needs; the emulators stand still before the first turn. */
  readonly emulators: readonly Pausable[];
  /** A rate: more is better. */
  run(): Promise<number>;
}

/** Rounds of A B C A B C. Those of ours have the medians of the rounds' ratios to each of the others. */
export async function inTurns(
  work: Pick<Result, 'suite' | 'case' | 'unit'>,
  turns: readonly Turn[],
  rounds: number,
): Promise<Result[]> {
  const load = watchLoad();
  const values = new Map(turns.map(({ name }) => [name, [] as number[]]));
  for (let i = 0; i < rounds; i++) {
    for (const { name, emulators, run } of turns) {
      for (const emulator of emulators) await emulator.run();
      values.get(name)?.push(await run());
      for (const emulator of emulators) await emulator.stop();
    }
  }
  const disturbed = disturbance(values, load());
  return [...values].map(([contender, list]) => {
    const others = [...values].filter(([name]) => !name.startsWith(OURS));
    const ratio = others.map(([name, of]) => [name, median(list.map((value, i) => value / of[i]))]);
    return {
      ...work,
      contender,
      median: median(list),
      min: Math.min(...list),
      max: Math.max(...list),
      ...(contender.startsWith(OURS) && { ratio: Object.fromEntries(ratio) as Record<string, number> }),
      ...(disturbed !== undefined && { disturbed }),
    };
  });
}
