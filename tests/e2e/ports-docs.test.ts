// The programs of docs/ports.md, unchanged, in an empty project.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { project, root, run } from './support.js';

test('the programs of docs/ports.md print what they say', async () => {
  const page = readFileSync(join(root, 'docs/ports.md'), 'utf8');
  const programs = [...page.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code]) => code);
  const expected = [
    'b received 1, the filter dropped 1\n',
    'the stack of eth1 received 1 frame of 60 bytes\n',
    'vale0:b/r#1 saw 1 frame\nb received 1\n',
  ];
  assert.equal(programs.length, expected.length);
  const folder = project();
  for (const [i, code] of programs.entries()) {
    writeFileSync(join(folder, `${i}.mjs`), code);
    const result = await run(process.execPath, [`${i}.mjs`], { cwd: folder, limit: 30 });
    assert.equal(result.code, 0, result.report);
    assert.equal(result.stdout, expected[i], result.report);
  }
});
