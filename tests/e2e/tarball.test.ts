// The packed tarball as a user gets it: installed without a network, alone, with types that a strict program can use.
import assert from 'node:assert/strict';
import { cpSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { fixtures, project, root, run } from './support.js';

let folder = '';
before(() => {
  folder = project();
});

test('it installs into an empty project offline, and brings no other package', () => {
  const installed = readdirSync(join(folder, 'node_modules')).filter((name) => !name.startsWith('.'));
  assert.deepEqual(installed, ['ptnet']);
  assert.ok(!existsSync(join(folder, 'node_modules/ptnet/node_modules')));
});

test('its command starts', async () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const [npx, args] = process.platform === 'win32' ? ['cmd', ['/c', 'npx']] : ['npx', []];
  const { code, stdout, report } = await run(npx, [...args, 'ptnet', '--version'], { cwd: folder, limit: 60 });
  assert.equal(code, 0, report);
  assert.match(stdout, new RegExp(`\\b${version.replaceAll('.', '\\.')}\\b`), report);
});

test('a strict TypeScript program compiles against its types, with those of a page and without those of Node', async () => {
  cpSync(join(fixtures, 'consumer.ts'), join(folder, 'consumer.ts'));
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const options = '--noEmit --strict --exactOptionalPropertyTypes --module nodenext --target es2022';
  const args = [tsc, ...options.split(' '), '--lib', 'es2022,dom', '--types', '', 'consumer.ts'];
  const { code, report } = await run(process.execPath, args, { cwd: folder, limit: 120 });
  assert.equal(code, 0, report);
});

test('its source maps name files and no folder of the machine that built it', () => {
  const dist = join(folder, 'node_modules/ptnet/dist');
  const maps = readdirSync(dist).filter((name) => name.endsWith('.js.map'));
  assert.ok(maps.length > 0);
  for (const name of maps) {
    const text = readFileSync(join(dist, name), 'utf8');
    const { sources, mappings } = JSON.parse(text) as { sources: string[]; mappings: string };
    assert.ok(sources.length > 0 || /^;*$/.test(mappings), name); // a chunk may have the bundler's own code only
    for (const source of sources) assert.match(source, /^\.\.\/(?!.*\/tmp\/)/, `${name}: ${source}`);
  }
});
