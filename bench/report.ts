// What the benches print: a table for people, or one JSON object a line.
import type { Result } from './harness.js';

/** How contenders are called in the table. */
const NAMES: Readonly<Record<string, string>> = {
  ptnet: 'ptnet',
  accessors: 'ptnet accessors',
  js: 'plain JavaScript',
  c: 'C',
};

const WIDTHS = [32, 10, 22, 9, 9, 9];

function digits(value: number): string {
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
}

function row(...cells: string[]): string {
  return cells
    .map((cell, i) => (i === 0 ? cell.padEnd(WIDTHS[i]) : cell.padStart(WIDTHS[i])))
    .join('')
    .trimEnd();
}

/** The results of one case. The ratio is above 1 where ptnet is faster. */
export function table(results: readonly Result[]): string {
  const [{ suite, unit, case: name }] = results;
  const ratios = results.find(({ ratio }) => ratio)?.ratio ?? {};
  const hasBits = results[0].gbits !== undefined;
  const lines = results.map(({ contender, median, min, max, gbits }) => {
    const ratio = ratios[contender];
    return row(
      `  ${NAMES[contender] ?? contender}`,
      digits(median),
      `${digits(min)} – ${digits(max)}`,
      digits(1000 / median),
      ...(gbits === undefined ? [] : [digits(gbits)]),
      ratio === undefined ? '' : ratio.toFixed(2),
    );
  });
  return [
    row(`${suite} ${name}`, unit, 'min – max', 'M/s', ...(hasBits ? ['Gbit/s'] : []), 'ratio'),
    ...lines,
    '',
  ].join('\n');
}

/** Rates of a whole path. The ratios are this row's rate by the other's. */
export function rateTable(results: readonly Result[]): string {
  const [{ suite, case: name, unit }] = results;
  const others = [...new Set(results.flatMap(({ ratio = {} }) => Object.keys(ratio)))];
  const lines = results.map(({ contender, median, min, max, ratio = {} }) =>
    row(
      `  ${contender}`,
      digits(median),
      `${digits(min)} – ${digits(max)}`,
      ...others.map((other) => (other in ratio ? ratio[other].toFixed(2) : '')),
    ),
  );
  return [row(`${suite} ${name}`, unit, 'min – max', ...others.map((other) => `/ ${other}`)), ...lines, ''].join('\n');
}

export function jsonLines(results: readonly Result[]): string {
  const round = (value: number): number => Number(value.toPrecision(4));
  return results
    .map(({ ratio, gbits, ...result }) =>
      JSON.stringify({
        ...result,
        median: round(result.median),
        min: round(result.min),
        max: round(result.max),
        ...(gbits !== undefined && { gbits: round(gbits) }),
        ...(ratio && { ratio: Object.fromEntries(Object.entries(ratio).map(([name, value]) => [name, round(value)])) }),
      }),
    )
    .join('\n');
}
