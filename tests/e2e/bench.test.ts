// The smallest form of the benches: each suite runs, and the answers of all contenders agree (else the bench ends with 1).
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { findProgram, root, run } from './support.js';

interface Line {
  readonly suite: string;
  readonly case: string;
  readonly contender: string;
  readonly unit: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly ratio?: Readonly<Record<string, number>>;
}

const SUITES = ['ring', 'pipe', 'vale', 'checksum', 'path'];
const compiler = findProgram('PTNET_CC', 'gcc');

/** Runs the benches and returns their lines, by suite and case. */
async function bench(...args: string[]): Promise<Map<string, Line[]>> {
  const main = join(root, 'build/ts/bench/main.js');
  const { code, stdout, report } = await run(process.execPath, [main, '--quick', '--json', ...args], { limit: 120 });
  assert.equal(code, 0, report);
  const cases = new Map<string, Line[]>();
  for (const text of stdout.trim().split('\n')) {
    const line = JSON.parse(text) as Line;
    const key = `${line.suite} ${line.case}`;
    cases.set(key, [...(cases.get(key) ?? []), line]);
  }
  return cases;
}

test('every suite runs, beside a plain JavaScript twin, and the answers agree', async () => {
  const cases = await bench();
  assert.deepEqual([...new Set([...cases.values()].map(([{ suite }]) => suite))], SUITES);
  for (const [name, lines] of cases) {
    const ours = lines.find(({ contender }) => contender === 'ptnet');
    assert.ok(ours, name);
    assert.ok(
      lines.some(({ contender }) => contender === 'js'),
      name,
    );
    for (const { min, median, max } of lines) assert.ok(min > 0 && min <= median && median <= max, name);
    const others = lines.filter((line) => line !== ours).map(({ contender }) => contender);
    assert.deepEqual(Object.keys(ours.ratio ?? {}).sort(), others.sort(), name);
  }
});

test('each case has a native C twin where a compiler is', { skip: compiler.skip }, async () => {
  for (const [name, lines] of await bench('pipe', 'vale', 'path')) {
    assert.ok(
      lines.some(({ contender }) => contender === 'c'),
      name,
    );
  }
});
