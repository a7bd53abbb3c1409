// Cases of guests: all of them run at the same time, and take turns at the case.
import { watchLoad } from '../load.js';
import { disturbance, median, OURS, type Result } from '../results.js';

export interface Turn {
  readonly name: string;
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
    for (const { name, run } of turns) values.get(name)?.push(await run());
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
