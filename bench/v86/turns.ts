// Cases of guests that take turns. Who waits for its turn stands still: also a Linux without work takes time in an emulator.
import { watchLoad } from '../load.js';
import { type Result, type Round, summarise } from '../results.js';

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

/** Rounds of A B C A B C. */
export async function inTurns(
  { case: name, ...work }: Pick<Result, 'suite' | 'case' | 'unit'>,
  turns: readonly Turn[],
  rounds: number,
): Promise<Result[]> {
  const load = watchLoad();
  const all: Round[] = [];
  for (let i = 0; i < rounds; i++) {
    const round = new Map<string, { value: number }>();
    for (const { name: turn, emulators, run } of turns) {
      for (const emulator of emulators) await emulator.run();
      round.set(turn, { value: await run() });
      for (const emulator of emulators) await emulator.stop();
    }
    all.push(round);
  }
  const names = turns.map(({ name }) => name);
  return summarise({ ...work, name, rates: true }, names, all, load());
}
