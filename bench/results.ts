// Numbers of a case: medians of its rounds, ratios made within each round, and whether something disturbed it.
import type { Load } from './load.js';

/** The numbers of one contender, in the case's unit. `ratio`, in ours: how many times better than each of the others. */
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
  /** Medians of other figures. */
  readonly extra?: Readonly<Record<string, number>>;
  readonly ratio?: Readonly<Record<string, number>>;
  /** Why the case's figures are not to be trusted. */
  readonly disturbed?: string;
}

/** Value and other figures of each contender in one round. */
export type Round = ReadonlyMap<string, { readonly value: number; readonly extra?: Readonly<Record<string, number>> }>;

export const OURS = 'ptnet';
/** What the names of further contenders that are ours begin with. */
const OTHER_FORM = `${OURS}, `;
/** Beyond these, a run was disturbed: (max - min) / median of the rounds, and cores that others kept busy. */
const SPREAD_LIMIT = 0.25;
const LOAD_LIMIT = 0.1;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

interface Summarised {
  readonly suite: string;
  readonly name: string;
  readonly unit: string;
  /** Default: ptnet. */
  readonly ours?: string | readonly string[];
  /** Of values that are rates, more is better. */
  readonly rates?: boolean;
  readonly bytes?: number;
}

/** The digests must be equal: otherwise somebody has not done the work. */
export function compareDigests({ suite, name }: Summarised, digests: ReadonlyMap<string, number>): void {
  if (new Set(digests.values()).size <= 1) return;
  const list = [...digests].map(([contender, digest]) => `${contender} ${digest}`).join(', ');
  throw new Error(`${suite} ${name}: the contenders' answers differ: ${list}`);
}

function medians(rounds: readonly Round[], name: string): Record<string, number> | undefined {
  const all = rounds.flatMap((round) => {
    const extra = round.get(name)?.extra;
    return extra ? [extra] : [];
  });
  const keys = Object.keys(all[0] ?? {});
  if (keys.length === 0) return undefined;
  return Object.fromEntries(keys.map((key) => [key, median(all.map((extra) => extra[key]))]));
}

/** Of one value to another, in each round that has both. */
function ratios(rounds: readonly Round[], a: string, b: string): number[] {
  return rounds.flatMap((round) => {
    const [of, to] = [round.get(a)?.value, round.get(b)?.value];
    return of === undefined || to === undefined ? [] : [of / to];
  });
}

/** Why figures are not to be trusted: the rounds of each contender, and what others did meanwhile. */
export function disturbance(
  values: ReadonlyMap<string, readonly number[]>,
  load: Load | undefined,
): string | undefined {
  const reasons: string[] = [];
  const others = load?.foreign ?? 0;
  if (others > LOAD_LIMIT) reasons.push(`other programs used ${others.toFixed(2)} cores`);
  for (const [name, of] of values) {
    const spread = (Math.max(...of) - Math.min(...of)) / median(of);
    if (spread > SPREAD_LIMIT) reasons.push(`${name} varied by ${(100 * spread).toFixed(0)} %`);
  }
  return reasons.length > 0 ? reasons.join('; ') : undefined;
}

/** One result a contender, in the order of `names`. Another form of ours is compared with all others, too. */
export function summarise(work: Summarised, names: readonly string[], rounds: readonly Round[], load?: Load): Result[] {
  const { ours = OURS, rates = false } = work;
  const isOurs = (name: string): boolean => [ours].flat().includes(name) || name.startsWith(OTHER_FORM);
  const values = new Map(names.map((name) => [name, rounds.flatMap((round) => round.get(name)?.value ?? [])]));
  const disturbed = disturbance(values, load);
  return names.map((name) => {
    const list = values.get(name) ?? [];
    const middle = median(list);
    const extra = medians(rounds, name);
    const result: Result = {
      suite: work.suite,
      case: work.name,
      contender: name,
      unit: work.unit,
      median: middle,
      min: Math.min(...list),
      max: Math.max(...list),
      ...(work.bytes !== undefined && { gbits: (8 * work.bytes) / middle }),
      ...(extra && { extra }),
      ...(disturbed !== undefined && { disturbed }),
    };
    const others = names.filter((other) => other !== name);
    if (!isOurs(name) || others.length === 0) return result;
    const ratio = others.map((other) => {
      const [of, to] = rates ? [name, other] : [other, name];
      return [other, median(ratios(rounds, of, to))];
    });
    return { ...result, ratio: Object.fromEntries(ratio) as Record<string, number> };
  });
}
