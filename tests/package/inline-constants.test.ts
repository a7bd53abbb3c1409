// tools/inline-constants.mjs: modules mean the same afterwards, and the numbers that they take from each other are in their text.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { root } from './root.js';

const folder = mkdtempSync(join(tmpdir(), 'ptnet-constants-'));
after(() => rmSync(folder, { recursive: true }));

const MODULES = {
  'numbers.js':
    'export const ONE = 1;\nexport const MINUS = -2;\nexport const WORD = 0x1f;\nexport let changes = 4;\nexport const text = "5";\nexport const twice = () => 2 * WORD;\n',
  'all.js': "export * from './numbers.js';\nexport { ONE as FIRST } from './numbers.js';\n",
  'uses.js': `#!/usr/bin/env node
import * as all from './all.js';
import { changes, FIRST, MINUS as LESS, ONE, text, WORD } from './all.js';
export { WORD };
const object = { ONE, WORD: WORD, [LESS]: LESS, changes, text };
const shadows = (ONE) => { { const WORD = ONE + 7; var inner = WORD; } return inner - WORD; };
const takes = ({ ONE: WORD }, FIRST = LESS) => [WORD, FIRST, object.ONE, 3 - LESS, 3-LESS];
class Keeps { ONE = ONE; static WORD() { return WORD; } }
for (var i = 0, sum = 0; i < WORD; i += FIRST) { const FIRST = i; sum += FIRST; }
const caught = (() => { try { throw 9; } catch (ONE) { return ONE; } })();
const named = (function LESS() { return typeof LESS; })();
export const result = JSON.stringify([object, shadows(5), takes({ ONE: 6 }), new Keeps().ONE, Keeps.WORD(), sum, caught, named, all.ONE, all.twice(), \`\${WORD}\`, -LESS, FIRST.toString(), WORD.toFixed(1)]);
`,
};

test('modules whose constants were inlined give the same results, and ask nobody for their numbers', async () => {
  for (const [name, code] of Object.entries(MODULES)) writeFileSync(join(folder, name), code);
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  const url = pathToFileURL(join(folder, 'uses.js')).href;
  const before = (await import(`${url}?before`)) as { result: string; WORD: number };
  execFileSync(process.execPath, [join(root, 'tools', 'inline-constants.mjs'), folder]);
  const code = readFileSync(join(folder, 'uses.js'), 'utf8');
  const evaluate = `import { result, WORD } from ${JSON.stringify(url)}; process.stdout.write(JSON.stringify({ result, WORD }))`;
  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', evaluate], { encoding: 'utf8' });
  assert.deepEqual(JSON.parse(output), { result: before.result, WORD: before.WORD });
  assert.equal(code.split('\n').length, MODULES['uses.js'].split('\n').length);
  assert.match(code, /const object = \{ ONE: 1, WORD: 0x1f, \[\(-2\)\]: \(-2\), changes, text \};/);
  assert.match(code, /i < 0x1f/);
  assert.match(code, /return inner - 0x1f/);
  assert.match(code, /const WORD = ONE \+ 7/);
  assert.match(readFileSync(join(folder, 'numbers.js'), 'utf8'), /2 \* 0x1f/);
});
