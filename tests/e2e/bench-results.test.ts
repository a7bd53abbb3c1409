// The numbers that the benches make of what they measured.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jsonLines } from '../../bench/report.js';
import { compareDigests, median, type Round, summarise } from '../../bench/results.js';
import { judge } from '../../bench/targets.js';
import { checkAgain } from '../../bench/types.js';

const work = { suite: 'pipe', name: 'program', unit: 'ns/packet' };
const NAMES = ['ptnet', 'c', 'ptnet, Wasm program'];
const round = (...values: readonly number[]): Round => new Map(NAMES.map((name, i) => [name, { value: values[i] }]));

test('the median is the middle one, or between the two in the middle', () => {
  assert.equal(median([9, 1, 2]), 2);
  assert.equal(median([10, 2, 1, 4]), 3);
});

test('ratios are medians of those of each round, above 1 where ours is faster, for each form of ours', () => {
  const rounds = [round(10, 20, 5), round(40, 20, 5), round(10, 30, 5)];
  const [ours, c, wasm] = summarise(work, NAMES, rounds);
  assert.deepEqual([ours.median, ours.min, ours.max], [10, 10, 40]);
  assert.deepEqual(ours.ratio, { c: 2, 'ptnet, Wasm program': 0.5 });
  assert.deepEqual(wasm.ratio, { ptnet: 2, c: 4 });
  assert.equal(c.ratio, undefined);
});

test('of rates, the ratio is above 1 where ours is more, and each of ours has one to each other', () => {
  const some = { ...work, ours: ['c'], rates: true };
  const [ptnet, c, wasm] = summarise(some, NAMES, [round(10, 20, 5), round(10, 40, 5)]);
  assert.equal(ptnet.ratio, undefined);
  assert.deepEqual(c.ratio, { ptnet: 3, 'ptnet, Wasm program': 6 });
  assert.deepEqual(wasm.ratio, { ptnet: 0.5, c: 0.1875 });
});

test('answers that differ end a bench, between contenders and between the proofs of one', () => {
  compareDigests(work, new Map([['ptnet', 7]]));
  assert.throws(
    () => compareDigests(work, new Map([...NAMES.map((name) => [name, 7] as const), ['js', 8]])),
    /^Error: pipe program: the contenders' answers differ: .*js 8/,
  );
  checkAgain('ptnet', () => 7, 7);
  assert.throws(() => checkAgain('ptnet', () => 8, 7), /^Error: ptnet: /);
});

test('rounds that differ by more than a quarter, and other programs, disturb a run', () => {
  const calm = [round(100, 100, 100), round(124, 100, 100)];
  assert.equal(summarise(work, NAMES, calm, { foreign: 0.1 })[0].disturbed, undefined);
  assert.match(summarise(work, NAMES, calm, { foreign: 0.2 })[1].disturbed ?? '', /0\.20 cores/);
  const wild = [round(100, 100, 100), round(100, 100, 130)];
  assert.match(summarise(work, NAMES, wild)[0].disturbed ?? '', /^ptnet, Wasm program varied by 26 %$/);
});

test('a line of JSON is a result', () => {
  const results = summarise(work, NAMES, [round(1.23456, 3, 2)]);
  const lines = jsonLines(results).split('\n');
  assert.equal(lines.length, NAMES.length);
  const [ours] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    [ours['suite'], ours['case'], ours['contender'], ours['unit'], ours['median']],
    ['pipe', 'program', 'ptnet', 'ns/packet', 1.235],
  );
});

test('targets are judged by the contender that they name', () => {
  const judged = judge(summarise(work, NAMES, [round(10, 9.5, 8)])).filter(({ suite }) => suite === 'pipe');
  assert.deepEqual(
    judged.map(({ path, verdict }) => [path, verdict]),
    [
      ['pipe, program in Wasm', 'aim'],
      ['pipe, program in JavaScript', 'required'],
    ],
  );
  assert.ok(judge([]).every(({ ratio, verdict }) => ratio === undefined && verdict === 'not run'));
  // The smallest form of `scaling` has fewer guests than the target.
  const few = summarise(
    { suite: 'scaling', name: 'guests', unit: 'ns/packet', ours: '4 guests' },
    ['2 guests', '4 guests'],
    [
      new Map([
        ['2 guests', { value: 1 }],
        ['4 guests', { value: 1 }],
      ]),
    ],
  );
  assert.equal(judge(few).find(({ suite }) => suite === 'scaling')?.verdict, 'not run');
});
