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

const WIDTHS = [32, 26, 9, 9, 9];

/** The ratios of both runs, then and now. */
export function comparison({ machine, commit: id = 'no commit', results: before }: Baseline, now: readonly Result[]) {
  const lines = now.flatMap((result) => {
    const { suite, case: name, contender, ratio = {}, disturbed } = result;
    const then = before.find((old) => old.suite === suite && old.case === name && old.contender === contender);
    return Object.entries(ratio).flatMap(([other, value]) => {
      const was = then?.ratio?.[other];
      if (was === undefined) return [];
      const change = Math.round(100 * (value / was - 1));
      const doubt = disturbed ?? then?.disturbed;
      const cells = [
        `${suite} ${name}`,
        `/ ${other}`,
        was.toFixed(2),
        value.toFixed(2),
        `${change > 0 ? '+' : ''}${change} %`,
      ];
      return [row(WIDTHS, ...cells, ...(doubt === undefined ? [] : ['  disturbed']))];
    });
  });
  const head = row(WIDTHS, 'ratios', 'of', 'then', 'now', 'change');
  return [`then: ${id}, ${machineLine(machine)}`, head, ...lines, ''].join('\n');
}
