// Runs the test suites named on the command line, or all of them, and adds up their results:
//   node tools/test.mjs [lint|as|unit|property|abi|threads|model|package|e2e …]
// The last line printed is `N passed, N failed, N skipped`. The exit code is 1 if anything failed or nothing ran.
// What is tested is what was built last; only lint and as read the sources.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));
const bin = (path) => join(root, 'node_modules', path);

/** Runs Node with `args`; `capture` keeps the output as text as well as printing it. */
function node(args, capture = false) {
  const stdio = ['ignore', capture ? 'pipe' : 'inherit', 'inherit'];
  const child = spawnSync(process.execPath, args, { cwd: root, stdio, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (capture) process.stdout.write(child.stdout);
  return { ok: child.status === 0, stdout: child.stdout ?? '' };
}

/** The files under `folder` whose names end in `suffix`, sorted. */
function find(folder, suffix) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true })
    .filter((name) => name.endsWith(suffix))
    .map((name) => join(folder, name))
    .sort();
}

/** A run that ended badly has failed at least once, whatever it counted. */
const settle = (ok, { pass, fail, skip }) => ({ pass, fail: ok ? fail : Math.max(fail, 1), skip });

/** One program whose exit code is its result. */
function program(path, ...args) {
  const { ok } = node([bin(path), ...args]);
  return { pass: ok ? 1 : 0, fail: ok ? 0 : 1, skip: 0 };
}

function asPect() {
  if (find('assembly/__tests__', '.spec.ts').length === 0) return { pass: 0, fail: 0, skip: 0 };
  const args = ['-n', '-c', 'as-pect.config.js', '-a', 'as-pect.asconfig.json'];
  const { ok, stdout } = node([bin('@as-pect/cli/bin/asp.js'), ...args], true);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the colours that as-pect prints
  const text = stdout.replace(/\x1b\[[0-9;]*m/g, '');
  const [, pass = 0, total = 0] = /\[Tests\]:\s*(\d+)\s*\/\s*(\d+)/.exec(text) ?? [];
  const skip = [...text.matchAll(/^\S .*\bTodo: (\d+)/gm)].reduce((sum, found) => sum + Number(found[1]), 0);
  return settle(ok && Number(total) > 0, { pass: Number(pass), fail: total - pass, skip });
}

/** node:test over build/ts/tests/<folder>, one file at a time: the machine may have two cores, and tests use both. */
function nodeTest(folder, timeoutSeconds) {
  const files = find(`build/ts/tests/${folder}`, '.test.js');
  if (files.length === 0) return { pass: 0, fail: 0, skip: 0 };
  const scratch = mkdtempSync(join(tmpdir(), 'ptnet-test-'));
  const tap = join(scratch, 'results.tap');
  const { ok } = node([
    '--test',
    '--test-concurrency=1',
    `--test-timeout=${timeoutSeconds * 1000}`,
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    '--test-reporter=tap',
    `--test-reporter-destination=${tap}`,
    ...files,
  ]);
  const text = existsSync(tap) ? readFileSync(tap, 'utf8') : '';
  rmSync(scratch, { recursive: true });
  const count = (word) => Number([...text.matchAll(new RegExp(`^# ${word} (\\d+)$`, 'gm'))].at(-1)?.[1] ?? 0);
  return settle(ok, {
    pass: count('pass'),
    fail: count('fail') + count('cancelled'),
    skip: count('skipped') + count('todo'),
  });
}

const suites = {
  lint: () => program('@biomejs/biome/bin/biome', 'check'),
  as: asPect,
  unit: () => nodeTest('unit', 120),
  property: () => nodeTest('property', 300),
  abi: () => nodeTest('abi', 120),
  threads: () => nodeTest('threads', 300),
  model: () => nodeTest('model', 900),
  package: () => nodeTest('package', 300),
  e2e: () => nodeTest('e2e', 900),
};

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(suites);
const unknown = names.filter((name) => !Object.hasOwn(suites, name));
if (unknown.length > 0) {
  console.error(`no such suite: ${unknown.join(' ')}; there are ${Object.keys(suites).join(' ')}`);
  process.exit(2);
}

const sum = { pass: 0, fail: 0, skip: 0 };
const lines = [];
for (const name of names) {
  console.log(`\n── ${name}`);
  const started = performance.now();
  const result = suites[name]();
  for (const key of Object.keys(sum)) sum[key] += result[key];
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const counts = [result.pass, result.fail, result.skip].map((n) => String(n).padStart(6)).join('');
  lines.push(`${name.padEnd(10)}${counts}${seconds.padStart(9)} s`);
}
console.log(`\n${'suite'.padEnd(10)}  pass  fail  skip     time\n${lines.join('\n')}\n`);
if (sum.pass + sum.fail === 0) console.error('no test ran');
console.log(`${sum.pass} passed, ${sum.fail} failed, ${sum.skip} skipped`);
process.exitCode = sum.fail > 0 || sum.pass === 0 ? 1 : 0;
