// Runs that are kept: what `--save` writes, and what `--compare` says of the ratios since then. bench/results has those that
// were reviewed.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Machine, machineLine } from './machine.js';
import { type Options, UsageError } from './options.js';
import { jsonLines, row } from './report.js';
import type { Result } from './results.js';

/** The commit that was measured, with a plus when the tree had changes; undefined outside of a repository. */
function commit(): string | undefined {
  const git = (...args: string[]): string | undefined => {
    const { status, stdout } = spawnSync('git', args, {
      cwd: fileURLToPath(new URL('.', import.meta.url)),
      encoding: 'utf8',
    });
    return status === 0 ? stdout.trim() : undefined;
  };
  const id = git('rev-parse', '--short=12', 'HEAD');
  return id === undefined ? undefined : `${id}${git('status', '--porcelain') === '' ? '' : '+'}`;
}

/** A line a result, so that two of them can be compared line by line. */
export function baseline(machine: Machine, compiler: string | undefined, options: Options, results: readonly Result[]) {
  const { timing, endToEnd } = options;
  const head = { machine, compiler, commit: commit(), ended: new Date().toISOString(), timing, endToEnd };
  const lines = Object.entries(head).flatMap(([name, value]) =>
    value === undefined ? [] : [`  ${JSON.stringify(name)}: ${JSON.stringify(value)},`],
  );
  const all = results.map((result) => `    ${jsonLines([result])}`);
  return `{\n${lines.join('\n')}\n  "results": [\n${all.join(',\n')}\n  ]\n}\n`;
}

interface Baseline {
  readonly machine: Machine;
  readonly commit?: string;
  readonly results: readonly Result[];
}

/** @throws UsageError unless `--save` has written it */
export function readBaseline(path: string): Baseline {
  try {
    const kept = JSON.parse(readFileSync(path, 'utf8')) as Baseline;
    if (Array.isArray(kept.results) && kept.machine) return kept;
  } catch (error) {
    throw new UsageError(`--compare ${path}: ${(error as Error).message}`);
  }
  throw new UsageError(`--compare ${path}: not a run that --save has written`);
}

const WIDTHS = [32, 44, 9, 9, 9];

/** A ratio of a run: of which case, and of whom to whom. */
interface Ratio {
  readonly suite: string;
  readonly of: string;
  readonly to: string;
  readonly value: number;
  readonly disturbed: boolean;
}

function ratiosOf(results: readonly Result[]): Map<string, Ratio> {
  const all = results.flatMap(({ suite, case: name, contender, ratio = {}, disturbed }) =>
    Object.entries(ratio).map(([other, value]): Ratio => {
      return {
        suite,
        of: `${suite} ${name}`,
        to: `${contender} / ${other}`,
        value,
        disturbed: disturbed !== undefined,
      };
    }),
  );
  return new Map(all.map((ratio) => [`${ratio.of} ${ratio.to}`, ratio]));
}

/**
 * The ratios of both runs, then and now. What only one of them has is `new`, or `gone`: of the suites that were run, and of those
 * that there are no more.
 * @param leftOut whether there is such a suite, which was not asked for
 */
export function comparison(
  { machine, commit: id = 'no commit', results: before }: Baseline,
  now: readonly Result[],
  leftOut: (suite: string) => boolean,
): string {
  const old = ratiosOf(before);
  const fresh = ratiosOf(now);
  const line = ({ of, to, disturbed }: Ratio, was: string, is: string, change: string): string =>
    row(WIDTHS, of, to, was, is, change, ...(disturbed ? ['  disturbed'] : []));
  const lines = [...fresh].map(([key, ratio]) => {
    const { value, disturbed } = ratio;
    const then = old.get(key);
    if (!then) return line(ratio, '-', value.toFixed(2), 'new');
    const change = Math.round(100 * (value / then.value - 1));
    const doubt = { ...ratio, disturbed: disturbed || then.disturbed };
    return line(doubt, then.value.toFixed(2), value.toFixed(2), `${change > 0 ? '+' : ''}${change} %`);
  });
  const gone = [...old].filter(([key, { suite }]) => !fresh.has(key) && !leftOut(suite));
  lines.push(...gone.map(([, ratio]) => line(ratio, ratio.value.toFixed(2), '-', 'gone')));
  const head = row(WIDTHS, 'ratios', 'of', 'then', 'now', 'change');
  return [`then: ${id}, ${machineLine(machine)}`, head, ...lines, ''].join('\n');
}
