// What npm would publish: the right files, small enough, with exports and types that resolve.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { root } from './root.js';

/** The tarball's size, compressed. Raise it knowingly. */
const BUDGET = 1152 * 1024;

interface Pack {
  filename: string;
  size: number;
  files: { path: string }[];
}

const scratch = mkdtempSync(join(tmpdir(), 'ptnet-pack-'));
let pack: Pack;
let paths: string[];

before(() => {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', scratch];
  const output = execFileSync('npm', args, { cwd: root, encoding: 'utf8', shell: process.platform === 'win32' });
  const packs: Pack[] = Object.values(JSON.parse(output));
  pack = packs[0];
  paths = pack.files.map((file) => file.path);
});

after(() => rmSync(scratch, { recursive: true }));

/** What the README links to within the repository. */
function linkedFiles(): string[] {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  return [...readme.matchAll(/\]\(([^):#]+)\)/g)].map(([, path]) => path);
}

/** Runs an installed command and fails with what it printed. */
function run(script: string, ...args: string[]): void {
  const child = spawnSync(process.execPath, [join(root, 'node_modules', script), ...args], {
    cwd: scratch,
    encoding: 'utf8',
  });
  assert.equal(child.status, 0, `${child.stdout}\n${child.stderr}`);
}

test('the tarball has the code, the types, the licence and the pages', () => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const entry = manifest.exports['.'];
  const wanted = [
    entry.default,
    entry.types,
    manifest.bin.ptnet,
    'LICENSE',
    'README.md',
    'CHANGELOG.md',
    'package.json',
    ...linkedFiles(),
  ];
  for (const path of wanted) assert.ok(paths.includes(path.replace(/^\.\//, '')), path);
});

test('the tarball has no sources, tests or tools', () => {
  const allowed = /^(dist\/|docs\/|examples\/|include\/|[A-Z]+\.md$|LICENSE$|package\.json$)/;
  assert.deepEqual(
    paths.filter((path) => !allowed.test(path)),
    [],
  );
  assert.deepEqual(
    paths.filter((path) => path.startsWith('dist/') && /(\.test\.|\/tests\/|\.wat$)/.test(path)),
    [],
  );
});

test('the package needs no other package at run time', () => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  assert.equal(manifest.dependencies, undefined);
});

test(`the tarball is within ${BUDGET / 1024} KiB`, () => {
  assert.ok(pack.size <= BUDGET, `${pack.size} bytes`);
});

test('the command starts with the line that makes it one, and bundled licences come along', () => {
  assert.match(readFileSync(join(root, 'dist/cli.js'), 'utf8'), /^#!\/usr\/bin\/env node\n(?!#!)/);
  assert.ok(paths.includes('dist/THIRD-PARTY-LICENSES.txt'));
});

test('publint finds nothing', () => {
  run('publint/src/cli.js', 'run', join(scratch, pack.filename), '--strict');
});

test('the types resolve as the code does (attw)', () => {
  run('@arethetypeswrong/cli/dist/index.js', join(scratch, pack.filename), '--profile', 'esm-only', '--no-color');
});
