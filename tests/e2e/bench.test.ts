// The smallest form of the benches: each suite runs, and the answers of all contenders agree (else the bench ends with 1).
// Nothing is asserted about speed.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Result } from '../../bench/results.js';
import { iperf3, ipProgram, whyNoNamespaces } from './netns.js';
import { findProgram, root, run } from './support.js';

/** Suites whose cases have twins. */
const SUITES = ['ring', 'pipe', 'vale', 'checksum', 'segment', 'coalesce', 'path', 'interface', 'cable'];
/** Suites that compare with what is used instead, or follow a number; ours by case, where it is not ptnet. */
const OTHERS = ['axes', 'exchange', 'scaling', 'start', 'switches', 'thread', 'workers', 'latency'];
/** What a worker pair must have gone beside, on any machine. */
const WORKER_PEERS = [
  'messages, 256 packed',
  'messages, arrays of 256',
  'messages, single',
  'slot ring',
  'slot ring, copy',
];
const main = join(root, 'build/ts/bench/main.js');
const compiler = findProgram('PTNET_CC', 'gcc');

/** Runs the benches and returns their lines, by suite and case. */
async function bench(...args: string[]): Promise<Map<string, Result[]>> {
  const { code, stdout, report } = await run(process.execPath, [main, '--quick', '--json', ...args], { limit: 240 });
  assert.equal(code, 0, report);
  const cases = new Map<string, Result[]>();
  for (const text of stdout.trim().split('\n')) {
    const line = JSON.parse(text) as Result;
    const key = `${line.suite} ${line.case}`;
    cases.set(key, [...(cases.get(key) ?? []), line]);
  }
  return cases;
}

/** No namespace is left of a bench that has ended. Others may run the benches at this moment, too. */
async function assertNoSpaces(): Promise<void> {
  const { stdout } = await run(ipProgram.path, ['netns', 'list'], { limit: 10 });
  const left = [...stdout.matchAll(/ptnet-bench-(\d+)/g)].filter(([, pid]) => !existsSync(`/proc/${pid}`));
  assert.deepEqual(left, []);
}

let once: Promise<Map<string, Result[]>> | undefined;
/** All suites, run once. */
const allSuites = (): Promise<Map<string, Result[]>> => (once ??= bench(...SUITES));

test('every suite runs, beside a plain JavaScript twin, and the answers agree', async () => {
  const cases = await allSuites();
  assert.deepEqual([...new Set([...cases.values()].map(([{ suite }]) => suite))], SUITES);
  for (const [name, lines] of cases) {
    const ours = lines.find(({ contender }) => contender === 'ptnet');
    assert.ok(ours, name);
    assert.ok(
      lines.some(({ contender }) => contender === 'js'),
      name,
    );
    for (const { min, median, max, gbits = 1 } of lines) {
      assert.ok(min > 0 && min <= median && median <= max && gbits > 0, name);
    }
    const others = lines.filter((line) => line !== ours).map(({ contender }) => contender);
    assert.deepEqual(Object.keys(ours.ratio ?? {}).sort(), others.sort(), name);
  }
});

test('each case has a native C twin where a compiler is', { skip: compiler.skip }, async () => {
  for (const [name, lines] of await allSuites()) {
    assert.ok(
      lines.some(({ contender }) => contender === 'c'),
      name,
    );
  }
});

test('the path has programs in JavaScript and in Wasm', async () => {
  const contenders = (await allSuites()).get('path pipe')?.map(({ contender }) => contender) ?? [];
  assert.ok(contenders.includes('ptnet, Wasm program'), contenders.join(', '));
});

test('the suites without twins run: one contender of a case is ours, and has a ratio to each of the others', async () => {
  const cases = await bench(...OTHERS);
  assert.deepEqual([...new Set([...cases.values()].map(([{ suite }]) => suite))], OTHERS);
  for (const [name, lines] of cases) {
    for (const { min, median, max } of lines) assert.ok(min > 0 && min <= median && median <= max, name);
    const ours = lines.filter(({ ratio }) => ratio !== undefined);
    assert.equal(ours.length, lines.length > 1 ? 1 : 0, name);
    const others = lines.filter((line) => line !== ours[0]).map(({ contender }) => contender);
    if (ours.length > 0) assert.deepEqual(Object.keys(ours[0].ratio ?? {}).sort(), others.sort(), name);
  }
  const pairs = cases.get('workers pipe 60')?.map(({ contender }) => contender) ?? [];
  for (const peer of WORKER_PEERS) assert.ok(pairs.includes(peer), peer);
});

test('the last table compares what was run with the targets; the curves are drawn', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ptnet-curves-'));
  try {
    const kept = join(folder, 'kept.json');
    const args = [main, '--quick', '--curves', folder, '--save', kept, 'scaling', 'checksum'];
    const { code, stdout, report } = await run(process.execPath, args, { limit: 120 });
    assert.equal(code, 0, report);
    const { machine, results } = JSON.parse(readFileSync(kept, 'utf8')) as { machine: object; results: Result[] };
    assert.ok(Object.keys(machine).length > 0);
    assert.ok(results.some(({ suite, ratio }) => suite === 'checksum' && ratio !== undefined));
    rmSync(kept);
    const targets = stdout.slice(stdout.indexOf('\ntargets'));
    assert.match(targets, /^32 rings +1 ring +(-|\d+\.\d\d) /m);
    assert.match(targets, /^checksum 1500 +C +(-|\d+\.\d\d) /m);
    assert.doesNotMatch(targets, /^pipe, one thread/m); // that suite was not asked for
    assert.deepEqual(readdirSync(folder).sort(), [
      'scaling-guests.svg',
      'scaling-rings.svg',
      'scaling-slots-1500.svg',
      'scaling-slots.svg',
    ]);
    assert.match(readFileSync(join(folder, 'scaling-rings.svg'), 'utf8'), /^<svg .*<polyline .*<\/svg>\n$/s);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a run is compared with one that was kept', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ptnet-kept-'));
  try {
    const kept = join(folder, 'kept.json');
    const bench = (...args: string[]) => run(process.execPath, [main, '--quick', ...args], { limit: 60 });
    const first = await bench('--save', kept, 'ring');
    assert.equal(first.code, 0, first.report);
    const { code, stdout, report } = await bench('--compare', kept, 'ring');
    assert.equal(code, 0, report);
    assert.match(stdout, /^ring fill +\/ js +\d+\.\d\d +\d+\.\d\d +[+-]?\d+ %/m);
    writeFileSync(kept, '{}');
    assert.equal((await bench('--compare', kept, 'ring')).code, 2);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('the switches of the machine are beside ours, and nothing is left', {
  skip: whyNoNamespaces() || compiler.skip,
}, async () => {
  const cases = await bench('switches');
  const contenders = cases.get('switches two programs, 60')?.map(({ contender }) => contender) ?? [];
  assert.ok(contenders.includes('kernel bridge'), contenders.join(', '));
  await assertNoSpaces();
});

test('iperf3 between namespaces: every row, and nothing is left', {
  skip: whyNoNamespaces() || iperf3.skip,
}, async () => {
  const lines = [...(await bench('iperf3')).values()].flat();
  const names = lines.map(({ contender }) => contender);
  for (const row of ['veth', 'TAP relay, TSO', 'VALE, header, TSO', 'pipe, header, TSO', 'VALE, no header']) {
    assert.ok(names.includes(row), row);
  }
  for (const { contender, median, ratio } of lines) {
    assert.ok(median > 0, contender);
    assert.equal('veth' in (ratio ?? {}), contender !== 'veth', contender);
    assert.equal('relay' in (ratio ?? {}), /^(VALE|pipe)/.test(contender), contender);
  }
  await assertNoSpaces();
});

test('where iperf3 cannot run, the bench says why', { skip: process.platform === 'win32' }, async () => {
  const options = { limit: 60, env: { PATH: '' } };
  const { code, stdout, stderr, report } = await run(process.execPath, [main, '--quick', '--json', 'iperf3'], options);
  assert.equal(code, 0, report);
  assert.equal(stdout, '');
  assert.match(stderr, /^iperf3 is left out: ./m);
});
