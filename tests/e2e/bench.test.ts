// The smallest form of the benches: each suite runs, and the answers of all contenders agree (else the bench ends with 1).
// Nothing is asserted about speed.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Result } from '../../bench/results.js';
import { TARGETS } from '../../bench/targets.js';
import { WASM_PROGRAM } from '../../bench/types.js';
import { assertNoBenchSpaces, iperf3, whyNoNamespaces } from './netns.js';
import { findProgram, root, run } from './support.js';
import { skip as whyNoGuest } from './v86-support.js';

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
/** What targets compare with and not every machine has, or not in the smallest form. */
const OF_THE_MACHINE = ['c', 'c, netmap table', 'testpmd memif', 'testpmd vhost', 'Open vSwitch'];
const main = join(root, 'build/ts/bench/main.js');
const compiler = findProgram('PTNET_CC', 'gcc');

/** Runs the benches and returns their lines, by suite and case. */
async function bench(...args: string[]): Promise<Map<string, Result[]>> {
  const { code, stdout, report } = await run(process.execPath, [main, '--quick', '--json', ...args], { limit: 500 });
  assert.equal(code, 0, report);
  const cases = new Map<string, Result[]>();
  for (const text of stdout.trim().split('\n')) {
    const line = JSON.parse(text) as Result;
    const key = `${line.suite} ${line.case}`;
    cases.set(key, [...(cases.get(key) ?? []), line]);
  }
  return cases;
}

const runs = new Map<readonly string[], Promise<Map<string, Result[]>>>();
/** The cases of these suites, run once. */
function casesOf(suites: readonly string[]): Promise<Map<string, Result[]>> {
  const cases = runs.get(suites) ?? bench(...suites);
  runs.set(suites, cases);
  return cases;
}

/** A contender that is ours has a ratio to each of the others. */
function assertRatios(name: string, lines: readonly Result[], { contender, ratio = {} }: Result): void {
  const others = lines.map((line) => line.contender).filter((other) => other !== contender);
  assert.deepEqual(Object.keys(ratio).sort(), others.sort(), `${name}, ${contender}`);
  for (const [other, value] of Object.entries(ratio)) assert.ok(value > 0, `${name}, ${contender} / ${other}`);
}

test('every suite runs, beside a plain JavaScript twin, and the answers agree', async () => {
  const cases = await casesOf(SUITES);
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
    assertRatios(name, lines, ours);
  }
});

test('each case has a native C twin where a compiler is', { skip: compiler.skip }, async () => {
  for (const [name, lines] of await casesOf(SUITES)) {
    assert.ok(
      lines.some(({ contender }) => contender === 'c'),
      name,
    );
  }
});

test('programs are in JavaScript and in Wasm, each beside the same C', async () => {
  const cases = await casesOf(SUITES);
  for (const name of ['pipe program', 'path pipe', 'path vale 60', 'checksum 1500']) {
    const lines = cases.get(name) ?? [];
    const wasm = lines.find(({ contender }) => contender === WASM_PROGRAM);
    assert.ok(wasm, name);
    assertRatios(name, lines, wasm);
  }
});

test('the suites without twins run: one contender of a case is ours, or has a form of ours', async () => {
  const cases = await casesOf(OTHERS);
  assert.deepEqual([...new Set([...cases.values()].map(([{ suite }]) => suite))], OTHERS);
  for (const [name, lines] of cases) {
    for (const { min, median, max } of lines) assert.ok(min > 0 && min <= median && median <= max, name);
    const ours = lines.filter(({ ratio }) => ratio !== undefined);
    const [first, ...forms] = ours;
    assert.equal(first !== undefined, lines.length > 1, name);
    for (const { contender } of forms) assert.match(contender, /^ptnet, /, name);
    for (const line of ours) assertRatios(name, lines, line);
  }
  const pairs = cases.get('workers pipe 60')?.map(({ contender }) => contender) ?? [];
  for (const peer of WORKER_PEERS) assert.ok(pairs.includes(peer), peer);
});

test('what each target names is measured', async () => {
  const cases = new Map([...(await casesOf(SUITES)), ...(await casesOf(OTHERS))]);
  for (const { path, suite, case: name, ours = 'ptnet', against } of TARGETS) {
    if (suite === 'v86') continue; // wants a guest's image
    const names = cases.get(`${suite} ${name}`)?.map(({ contender }) => contender) ?? [];
    assert.ok(names.length > 0, path);
    if (suite === 'scaling') continue; // the smallest form leaves large values out
    assert.ok(names.includes(ours), path);
    assert.ok(names.includes(against) || OF_THE_MACHINE.includes(against), path);
  }
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
    assert.match(targets, /^32 rings +1 ring +- .* not run$/m); // not in the smallest form
    assert.match(
      targets,
      compiler.skip ? /^checksum 1500, program in Wasm +C +- /m : /^checksum 1500, program in Wasm +C +\d+\.\d\d /m,
    );
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
    const first = await bench('--save', kept, 'ring', 'pipe', 'path');
    assert.equal(first.code, 0, first.report);
    const { code, stdout, report } = await bench('--compare', kept, 'ring');
    assert.equal(code, 0, report);
    assert.match(stdout, /^ring fill +ptnet \/ js +\d+\.\d\d +\d+\.\d\d +[+-]?\d+ %/m);
    // One that was kept when a case and a suite had other names.
    const older = readFileSync(kept, 'utf8')
      .replaceAll('"case":"fill"', '"case":"write"')
      .replaceAll('"pipe"', '"tube"');
    writeFileSync(kept, older);
    const { stdout: changed } = await bench('--compare', kept, 'ring');
    assert.match(changed, /^ring fill +ptnet \/ js +- +\d+\.\d\d +new/m);
    assert.match(changed, /^ring write +ptnet \/ js +\d+\.\d\d +- +gone/m);
    assert.match(changed, /^tube transfer +ptnet \/ js +\d+\.\d\d +- +gone/m);
    assert.doesNotMatch(changed, /^ring read .* (new|gone)/m);
    assert.doesNotMatch(changed, /^path/m); // was kept, and not asked for
    writeFileSync(kept, '{}');
    assert.equal((await bench('--compare', kept, 'ring')).code, 2);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('wrong options, and files that cannot be written, end a run before it starts', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ptnet-wrong-'));
  const file = join(folder, 'file');
  writeFileSync(file, 'kept');
  const wrong: readonly (readonly [args: string, message: RegExp])[] = [
    ['nosuch', /^there is no suite 'nosuch'$/m],
    ['ring --nosuch', /--nosuch/],
    ['ring --sizes=', /^--sizes wants whole numbers within 32..2048, not ''$/m],
    ['ring --sizes 0', /not '0'$/m],
    ['ring --sizes 60,70000', /not '70000'$/m],
    ['ring --sizes NaN', /not 'NaN'$/m],
    ['ring --sizes 0x40', /not '0x40'$/m],
    ['ring --rounds 0', /^--rounds wants whole numbers within 1..1000, not '0'$/m],
    ['ring --time 1.5', /^--time wants .* not '1.5'$/m],
    [`ring --json --save ${join(folder, 'none', 'run.json')}`, /^--save .*ENOENT/m],
    [`ring --save ${folder}`, /^--save .* not a file$/m],
    [`ring --curves ${join(file, 'curves')}`, /^--curves .*ENOTDIR/m],
    [`ring --compare ${join(folder, 'none')}`, /^--compare .*ENOENT/m],
    [`ring --compare ${file}`, /^--compare /m],
  ];
  try {
    for (const [args, message] of wrong) {
      const { code, stdout, stderr } = await run(process.execPath, [main, ...args.split(' ')], { limit: 60 });
      assert.deepEqual([code, stdout], [2, ''], args);
      assert.match(stderr, message, args);
    }
    assert.deepEqual(readdirSync(folder), ['file']);
    assert.equal(readFileSync(file, 'utf8'), 'kept');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('where there are no curves, none are drawn', async () => {
  const folder = join(tmpdir(), `ptnet-no-curves-${process.pid}`);
  const { code, stderr, report } = await run(process.execPath, [main, '--quick', 'ring', '--curves', folder], {
    limit: 60,
  });
  assert.equal(code, 0, report);
  assert.match(stderr, /^--curves: nothing to draw/m);
  assert.ok(!existsSync(folder));
});

test('the switches of the machine are beside ours, and nothing is left', {
  skip: whyNoNamespaces() || compiler.skip,
}, async () => {
  const cases = await bench('switches');
  const contenders = cases.get('switches two programs, 60')?.map(({ contender }) => contender) ?? [];
  assert.ok(contenders.includes('kernel bridge'), contenders.join(', '));
  await assertNoBenchSpaces();
});

test('programs that fail, and those that are missing, are absent', { skip: process.platform === 'win32' }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ptnet-programs-'));
  try {
    for (const name of ['ovsdb-tool', 'ovsdb-server', 'ovs-vsctl', 'ovs-ofctl', 'ovs-vswitchd']) {
      writeFileSync(join(folder, name), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    }
    for (const path of [`${folder}:${process.env['PATH']}`, folder]) {
      const options = { limit: 60, env: { PATH: path } };
      const { code, stderr, report } = await run(process.execPath, [main, '--quick', 'switches'], options);
      assert.equal(code, 0, report);
      assert.match(stderr, /^switches two programs, 60: absent: Open vSwitch, veth: ./m);
      if (path === folder) assert.match(stderr, /^the native twin is left out: no C compiler found$/m);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('iperf3 between namespaces: every row, and nothing is left', {
  skip: whyNoNamespaces() || iperf3.skip,
}, async () => {
  const lines = [...(await bench('iperf3')).values()].flat();
  const names = lines.map(({ contender }) => contender);
  for (const row of ['veth', 'TAP relay, TSO', 'VALE, header, TSO', 'pipe, header, TSO', 'VALE, no header']) {
    assert.ok(names.includes(row), row);
  }
  for (const line of lines) {
    assert.ok(line.median > 0, line.contender);
    if (/^(VALE|pipe)/.test(line.contender)) assertRatios('iperf3', lines, line);
    else assert.equal(line.ratio, undefined, line.contender);
  }
  await assertNoBenchSpaces();
});

test('where iperf3 cannot run, the bench says why', { skip: process.platform === 'win32' }, async () => {
  const options = { limit: 60, env: { PATH: '' } };
  const { code, stdout, stderr, report } = await run(process.execPath, [main, '--quick', '--json', 'iperf3'], options);
  assert.equal(code, 0, report);
  assert.equal(stdout, '');
  assert.match(stderr, /^iperf3 is left out: ./m);
});

test('a guest in v86 sends and receives beside its own card', { skip: whyNoGuest, timeout: 600_000 }, async () => {
  const cases = await bench('v86', '--sizes', '60');
  assert.deepEqual([...cases.keys()], ['v86 transmit 60', 'v86 receive 60', 'v86 TCP, guest to guest']);
  for (const [name, lines] of cases) {
    const ours = lines.filter(({ contender }) => contender.startsWith('ptnet, '));
    assert.ok(ours.length > 0 && lines.length > ours.length, name);
    for (const { contender, median } of lines) assert.ok(median > 0, `${name}, ${contender}`);
    for (const line of ours) assertRatios(name, lines, line);
  }
});

test('where no guest image is, the bench says so', async () => {
  const options = { limit: 60, env: { PTNET_GUEST_IMAGE: join(root, 'no-such-folder') } };
  const { code, stdout, stderr, report } = await run(process.execPath, [main, '--quick', '--json', 'v86'], options);
  assert.equal(code, 0, report);
  assert.equal(stdout, '');
  assert.match(stderr, /^v86 is left out: no .*no-such-folder/m);
});
