// What the benches print: a table for people, or one JSON object a line.
import type { Result } from './results.js';
import type { Judged } from './targets.js';

/** How contenders are called in the table. */
const NAMES: Readonly<Record<string, string>> = {
  ptnet: 'ptnet',
  accessors: 'ptnet accessors',
  js: 'plain JavaScript',
  c: 'C',
  'c, netmap table': "C, netmap's table",
  'c, slot vectors': 'C, slot vectors',
  'c, 256-bit vectors': 'C, 256-bit vectors',
  'c, 128-bit vectors': 'C, 128-bit vectors',
  'c, loop thread': 'C, loop thread',
};

const WIDTHS = [32, 10, 22, 9, 9, 9];

function digits(value: number): string {
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
}

/** Cells in columns, the first one at the left. */
export function row(widths: readonly number[], ...cells: string[]): string {
  return cells
    .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i] ?? 0)))
    .join('')
    .trimEnd();
}

const noteOf = (disturbed: string | undefined): string[] =>
  disturbed === undefined ? [] : [`  disturbed: ${disturbed}`];

/** The results of one case, and notes on them. The ratio is above 1 where ptnet is faster. */
export function table(results: readonly Result[], notes: readonly string[] = []): string {
  const [{ suite, unit, case: name }] = results;
  const ratios = results.find(({ ratio }) => ratio)?.ratio ?? {};
  const hasBits = results[0].gbits !== undefined;
  const lines = results.map(({ contender, median, min, max, gbits, extra = {} }) => {
    const ratio = ratios[contender];
    return row(
      WIDTHS,
      `  ${NAMES[contender] ?? contender}`,
      digits(median),
      `${digits(min)} – ${digits(max)}`,
      digits(1000 / median),
      ...(gbits === undefined ? [] : [digits(gbits)]),
      ratio === undefined ? (Object.keys(extra).length > 0 ? '-' : '') : ratio.toFixed(2),
      ...Object.entries(extra).map(([key, value]) => `  ${key} ${digits(value)}`),
    );
  });
  const disturbed = results[0].disturbed;
  return [
    row(WIDTHS, `${suite} ${name}`, unit, 'min – max', 'M/s', ...(hasBits ? ['Gbit/s'] : []), 'ratio'),
    ...lines,
    ...notes,
    ...noteOf(disturbed),
    '',
  ].join('\n');
}

const VERDICTS: Readonly<Record<Judged['verdict'], string>> = {
  aim: 'aim reached',
  required: 'as required',
  short: 'falls short',
  'not run': 'not run',
};

/** The targets, with what this run has given. */
export function targetTable(judged: readonly Judged[]): string {
  const line = (...cells: string[]): string => {
    const widths = [46, 24, 8, 10, 8];
    return cells
      .map((cell, i) => (i < 2 ? cell.padEnd(widths[i]) : i < 5 ? cell.padStart(widths[i]) : `  ${cell}`))
      .join('');
  };
  const lines = judged.map(({ path, against, ratio, required, aim, verdict, disturbed }) =>
    line(
      path,
      NAMES[against] ?? against,
      ratio === undefined ? '-' : ratio.toFixed(2),
      required.toFixed(2),
      aim.toFixed(2),
      `${VERDICTS[verdict]}${disturbed ? ', disturbed' : ''}`,
    ),
  );
  return [line('targets', 'against', 'ratio', 'required', 'aim', 'verdict'), ...lines, ''].join('\n');
}

/** Seconds of each suite and of all. */
export function elapsedLine(elapsed: ReadonlyMap<string, number>): string {
  const all = [...elapsed.values()].reduce((sum, seconds) => sum + seconds, 0);
  const each = [...elapsed].map(([name, seconds]) => `${name} ${seconds.toFixed(0)}`);
  return `seconds: ${[...each, `all ${all.toFixed(0)}`].join(', ')}`;
}

/** Rates of a whole path. The ratios, those that `shown` picks, are this row's rate by the other's. */
export function rateTable(results: readonly Result[], shown = ({ ratio = {} }: Result) => ratio): string {
  const [{ suite, case: name, unit, disturbed }] = results;
  const others = [...new Set(results.flatMap((result) => Object.keys(shown(result))))];
  const widths = [...WIDTHS.slice(0, 3), ...others.map((other) => Math.max(9, other.length + 4))];
  const lines = results.map((result) => {
    const { contender, median, min, max } = result;
    const ratio = shown(result);
    return row(
      widths,
      `  ${contender}`,
      digits(median),
      `${digits(min)} – ${digits(max)}`,
      ...others.map((other) => (other in ratio ? ratio[other].toFixed(2) : '')),
    );
  });
  return [
    row(widths, `${suite} ${name}`, unit, 'min – max', ...others.map((other) => `/ ${other}`)),
    ...lines,
    ...noteOf(disturbed),
    '',
  ].join('\n');
}

export function jsonLines(results: readonly Result[]): string {
  const round = (value: number): number => Number(value.toPrecision(4));
  const rounded = (of: Readonly<Record<string, number>>): Record<string, number> =>
    Object.fromEntries(Object.entries(of).map(([name, value]) => [name, round(value)]));
  return results
    .map(({ ratio, gbits, extra, ...result }) =>
      JSON.stringify({
        ...result,
        median: round(result.median),
        min: round(result.min),
        max: round(result.max),
        ...(gbits !== undefined && { gbits: round(gbits) }),
        ...(extra && { extra: rounded(extra) }),
        ...(ratio && { ratio: rounded(ratio) }),
      }),
    )
    .join('\n');
}
