// Names and values of tunables from outside: what is known, what is in range, and what was probably meant.

import { netmapError } from '../errors.js';
import { TUNABLES, type TunableInfo, type TunableName, type Tunables } from './table.js';

const PREFIX = 'dev.netmap.';
const KNOWN: ReadonlyMap<string, TunableInfo> = new Map(TUNABLES.map((info) => [info.name, info]));
/** Edits between a name and the known one that it is taken for. */
const MAX_DISTANCE = 3;

/** Values that were given, by name. */
export type GivenTunables = Partial<Tunables>;

/** What a name means, undefined if it means nothing. */
export function findTunable(name: string): TunableInfo | undefined {
  return KNOWN.get(name);
}

/** Whether a name claims to be one of netmap's. */
export function isNetmapName(name: string): boolean {
  return name.startsWith(PREFIX) || KNOWN.has(name);
}

/** Insertions, deletions and replacements that make `b` of `a` (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length];
}

/** The known name that is closest to an unknown one, if it is close. */
export function nearestTunable(name: string): TunableName | undefined {
  const [nearest] = TUNABLES.map((info) => ({ name: info.name, edits: distance(name, info.name) })).sort(
    (a, b) => a.edits - b.edits,
  );
  return nearest.edits <= MAX_DISTANCE ? nearest.name : undefined;
}

/**
 * Checks a setting.
 * @param source where it comes from, for the message: `loader.conf:3`, `environment`
 * @param value a number, or a text: decimal, or hexadecimal with 0x
 * @throws NetmapError EINVAL: the name is unknown, the value is no number or out of range, or it is a constant's
 */
export function checkSetting(source: string, name: string, value: unknown): [TunableName, number] {
  const fail = (message: string): Error => netmapError('EINVAL', `${source}: ${message}`);
  const info = KNOWN.get(name);
  if (!info) {
    const nearest = nearestTunable(name);
    throw fail(`there is no tunable '${name}'${nearest ? `: did you mean '${nearest}'?` : ''}`);
  }
  const number = typeof value === 'string' && /^(0x[\da-f]+|\d+)$/i.test(value) ? Number(value) : value;
  if (!info.writable && number !== info.default) {
    throw fail(`${name} is a constant, ${info.default}: it cannot be '${String(value)}'`);
  }
  if (typeof number !== 'number' || !Number.isInteger(number) || number < info.min || number > info.max) {
    throw fail(`${name}='${String(value)}' is not a whole number within ${info.min}..${info.max}`);
  }
  return [info.name, number];
}
