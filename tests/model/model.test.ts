// The protocols, exhaustively: what each barrier and each second look is for. Every option of the models
// takes one away (csb.h, csb.pml, waiter.pml, pass.pml), under total store order or under sequential consistency.

import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

type Verdict = 'sound' | 'lost kick' | 'lost irq' | 'lost wake' | 'torn view';

interface Variant {
  model: string;
  order: 'TSO' | 'SC';
  options: string[];
  verdict: Verdict;
  /** Also: no run goes on for ever, hence each one ends with everything delivered. */
  ends?: boolean;
}

const variants: Variant[] = [];

function expect(model: string, order: Variant['order'], options: string, verdict: Verdict, ends = false): void {
  variants.push({ model, order, options: options.split(' ').filter(Boolean), verdict, ends });
}

// The table: option, under SC, under TSO.
const rows: [string, Verdict, Verdict][] = [
  ['', 'sound', 'sound'],
  ['NO_APP_SL', 'sound', 'lost kick'],
  ['NO_KERN_RECHECK', 'lost kick', 'lost kick'],
  ['NO_KERN_SL', 'sound', 'lost kick'],
  ['NO_APP_RECHECK', 'lost irq', 'lost irq'],
  ['NO_APP_ARM_SL', 'sound', 'lost irq'],
  ['IRQ_EARLY', 'sound', 'lost irq'],
  ['NO_FINAL_CHECK', 'sound', 'lost irq'],
];
for (const model of ['csb', 'csb-rx']) {
  for (const [option, sc, tso] of rows) {
    expect(model, 'SC', option, sc);
    expect(model, 'TSO', option, tso);
  }
  expect(model, 'TSO', 'HEAD_FIRST', 'torn view');
  expect(model, 'TSO', 'HWTAIL_FIRST', 'torn view');
  expect(model, 'TSO', 'SLOT_LATE', 'torn view');
}

// The tx ring. Kern reaches its last look only past the SL of the second one, on both rings.
expect('csb', 'TSO', 'NO_RELEASE_SL', 'sound');
expect('csb', 'TSO', 'BOUNDED SLOW_BACKEND', 'sound', true);
expect('csb', 'TSO', 'BOUNDED NO_SELF_WAKE', 'lost wake');
expect('csb', 'TSO', 'SLOW_BACKEND NO_BACKEND_WAKE', 'lost wake');
expect('csb', 'TSO', 'GUEST_SYNC', 'sound', true);
expect('csb', 'TSO', 'GUEST_SYNC NO_APP_SL', 'lost kick');

// The rx ring.
expect('csb-rx', 'TSO', 'NO_RELEASE_SL', 'sound');
expect('csb-rx', 'TSO', 'NO_BACKEND_WAKE', 'lost wake');
expect('csb-rx', 'TSO', 'N=2 PACKETS=3', 'sound', true);
expect('csb-rx', 'TSO', 'GUEST_SYNC PACKETS=3', 'sound');
expect('csb-rx', 'TSO', 'GUEST_SYNC PACKETS=3 NO_APP_SL', 'lost kick');

expect('waiter', 'TSO', '', 'sound', true);
expect('waiter', 'SC', '', 'sound');
for (const mistake of ['SEQ_AFTER_SCAN', 'SLEEPERS_TOO_EARLY', 'WORK_TOO_LATE', 'ADD_ONCE']) {
  expect('waiter', 'TSO', mistake, 'lost wake');
  expect('waiter', 'SC', mistake, 'lost wake');
}
expect('waiter', 'TSO', 'RELAXED_SEQ', 'lost wake');
expect('waiter', 'TSO', 'RELAXED_SLEEPERS', 'lost wake');

expect('pass', 'TSO', '', 'sound');
expect('pass', 'SC', '', 'sound');
for (const mistake of [
  'LOOKED_AFTER',
  'LIST_FIRST',
  'ALL_LOOKED',
  'NO_MARK',
  'MARK_TAKEN_LATE',
  'EVENT_TOO_LATE',
  'THREAD_TOO_EARLY',
  'LOOK_TOO_EARLY',
  'TAKE_TOO_EARLY',
  'DOORBELL_CLEARS',
  'FOUND_IS_LOOKED',
]) {
  expect('pass', 'TSO', mistake, 'lost wake');
  expect('pass', 'SC', mistake, 'lost wake');
}
expect('pass', 'TSO', 'RELAXED_SEQ', 'lost wake');
expect('pass', 'TSO', 'RELAXED_DATA', 'lost wake');

function repositoryRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, 'package.json'))) {
    assert.notEqual(dir, dirname(dir), 'no package.json above this test');
    dir = dirname(dir);
  }
  return dir;
}

/** The search in a directory of its own, by `gcc` flags and `pan` arguments; returns what pan printed. */
async function search(variant: Variant, gccFlags: string[], panArgs: string[]): Promise<string> {
  const cwd = mkdtempSync(join(tmpdir(), 'ptnet-model-'));
  const run = async (command: string, args: string[]): Promise<string> =>
    (await promisify(execFile)(command, args, { cwd, timeout: 120_000, maxBuffer: 1 << 24 })).stdout;
  try {
    const defines = [...variant.options, ...(variant.order === 'SC' ? ['SC'] : [])].map((option) => `-D${option}`);
    await run('spin', [...defines, '-a', join(repositoryRoot(), 'tests/model', `${variant.model}.pml`)]);
    await run('gcc', ['-O1', '-w', '-DCOLLAPSE', '-DMEMLIM=2048', ...gccFlags, '-o', 'pan', 'pan.c']);
    return await run(join(cwd, 'pan'), ['-m100000', '-w22', ...panArgs]);
  } finally {
    rmSync(cwd, { recursive: true, force: true });
  }
}

function verdictOf(output: string): Verdict {
  const lost = /assertion violated\s+!\(lost_(\w+)\)/.exec(output);
  if (lost) return `lost ${lost[1]}` as Verdict;
  if (/assertion violated/.test(output)) return 'torn view';
  assert.match(output, /errors: 0$/m, output);
  assert.doesNotMatch(output, /Search not completed|max search depth too small|out of memory|MEMLIM/i, output);
  return 'sound';
}

const missing = ['spin', 'gcc'].filter((tool) => spawnSync(tool, ['-V']).error);
const skip = missing.length > 0 && `${missing.join(' and ')} not installed`;

describe('the CSB, the waiter and the pass, all interleavings', {
  concurrency: Math.min(availableParallelism(), 4),
}, () => {
  for (const variant of variants) {
    const name = [variant.model, 'under', variant.order, ...variant.options].join(' ');
    it(`${name}: ${variant.verdict}`, { skip }, async () => {
      const output = await search(variant, ['-DSAFETY'], []);
      assert.equal(verdictOf(output), variant.verdict, output);
      if (variant.verdict !== 'sound') assert.match(output, /errors: [1-9]\d*$/m, output);
    });
    if (variant.ends) {
      it(`${name}: every run ends`, { skip }, async () => {
        assert.equal(verdictOf(await search(variant, ['-DNP'], ['-l'])), 'sound');
      });
    }
  }
});
