// The packed tarball in each runtime, and the compiled unit, property and thread tests in Deno.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, type TestContext, test } from 'node:test';
import { ipProgram, whyNoNamespaces } from './netns.js';
import { bun, deno, type Found, findProgram, fixtures, project, root, run } from './support.js';

/** Seconds that a smoke test may take. */
const LIMIT = 60;
/** Small sizes and one seed for the suites in Deno: what is wrong with a runtime shows early, and each time. */
const SIZES = {
  PTNET_EXCHANGE: '200000',
  PTNET_ROUNDS: '1000',
  PTNET_STORM: '20',
  PTNET_SEED: '1',
  PTNET_FUZZ_RUNS: '60',
  PTNET_FUZZ_SEED: '1',
  PTNET_SOAK: '5',
};

const here: Found = { path: process.execPath, skip: false };
const runtimes: readonly (readonly [name: string, found: Found, args: readonly string[]])[] = [
  ['Node', here, []],
  ['Node 22', findProgram('PTNET_NODE22'), []],
  ['Node 24', findProgram('PTNET_NODE24'), []],
  ['Node 26', findProgram('PTNET_NODE26'), []],
  ['Deno', deno, ['run', '--allow-all']],
  ['Bun', bun, ['run']],
];

describe('the tarball works in an empty project', () => {
  let folder = '';
  before(() => {
    folder = project();
    cpSync(fixtures, folder, { recursive: true });
  });

  for (const [name, { path, skip }, args] of runtimes) {
    test(`in ${name}`, { skip }, async (t) => {
      const { code, stdout, report } = await run(path, [...args, 'smoke.mjs'], { cwd: folder, limit: LIMIT });
      assert.equal(code, 0, report);
      const found = /^smoke ok (.*)$/m.exec(stdout);
      assert.ok(found, report);
      const { shared, unshared } = JSON.parse(found[1]);
      assert.equal(shared.workers.packets, 100_000);
      assert.ok(unshared.closes);
      t.diagnostic(found[1]);
    });
  }
});

describe('each kind of backend moves a frame both ways', () => {
  let folder = '';
  before(() => {
    folder = project();
    cpSync(fixtures, folder, { recursive: true });
    const koffi = join(folder, 'node_modules/koffi'); // what Node needs for devices; the others have an FFI of their own
    if (!existsSync(koffi)) symlinkSync(join(root, 'node_modules/koffi'), koffi, 'junction');
  });

  for (const [name, { path, skip }, args] of runtimes) {
    const check = async (t: TestContext, group: string, command: readonly string[]): Promise<void> => {
      const [program, ...before] = [...command, path, ...args];
      const { code, stdout, report } = await run(program, [...before, 'kinds.mjs', group], {
        cwd: folder,
        limit: LIMIT,
      });
      assert.equal(code, 0, report);
      const found = /^kinds ok (.*)$/m.exec(stdout);
      assert.ok(found, report);
      t.diagnostic(found[1]);
    };
    test(`sockets, captures and streams in ${name}`, { skip }, (t) => check(t, 'sockets', []));
    test(`devices in ${name}`, { skip: skip || whyNoNamespaces() }, async (t) => {
      const space = `ptnet-${process.pid}-kinds`;
      execFileSync(ipProgram.path, ['netns', 'add', space]);
      try {
        await check(t, 'devices', [ipProgram.path, 'netns', 'exec', space]);
      } finally {
        execFileSync(ipProgram.path, ['netns', 'del', space]);
      }
    });
  }
});

const NEVER_STOPS = 'Deno does not stop a terminated worker that never comes back to its event loop (deno#35657)';
/** Files that Deno cannot pass, and why. */
const NOT_IN_DENO: Readonly<Record<string, string>> = {
  'threads/kill.test.js': NEVER_STOPS,
  'threads/ioctl-kill.test.js': NEVER_STOPS,
  'threads/exec-threads.test.js': NEVER_STOPS,
  'threads/exec-tools.test.js': NEVER_STOPS,
  'threads/polling.test.js': NEVER_STOPS,
};

describe('the compiled tests pass in Deno', () => {
  for (const [suite, limit] of [
    ['unit', 180],
    ['property', 180],
    ['threads', 480],
  ] as const) {
    test(suite, { skip: deno.skip }, async (t) => {
      const without = Object.keys(NOT_IN_DENO).map((file) => `--ignore=${join('build/ts/tests', file)}`);
      const args = ['test', '--allow-all', '--no-check', ...without, join('build/ts/tests', suite)];
      const { code, stdout, report } = await run(deno.path, args, { cwd: root, env: SIZES, limit });
      assert.equal(code, 0, report);
      const passed = /^ok \| (\d+) passed.*$/m.exec(stdout);
      assert.ok(passed && Number(passed[1]) > 0, report);
      t.diagnostic(passed[0]);
    });
  }
  for (const [file, skip] of Object.entries(NOT_IN_DENO)) test(file, { skip });
});
