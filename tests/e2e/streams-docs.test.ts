// The program and the commands of docs/backends.md that are about captures and streams, unchanged, in an empty project.
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readPcap } from 'ptnet';
import { bun, deno, type Found, project, root, run } from './support.js';

const page = readFileSync(join(root, 'docs/backends.md'), 'utf8');
/** A section, to the next heading. */
const section = (heading: string): string => page.split(/^## /m).find((text) => text.startsWith(heading)) ?? '';
const here: Found = { path: process.execPath, skip: false };

for (const [name, { path, skip }, args] of [
  ['Node', here, []],
  ['Deno', deno, ['run', '--allow-all']],
  ['Bun', bun, ['run']],
] as const) {
  test(`the program with streams prints what it says in ${name}`, { skip }, async () => {
    const [, code = ''] = /^```js\n([\s\S]*?)^```$/m.exec(section('Streams')) ?? [];
    const folder = project();
    writeFileSync(join(folder, 'streams.mjs'), code);
    const result = await run(path, [...args, 'streams.mjs'], { cwd: folder, limit: 30 });
    assert.equal(result.code, 0, result.report);
    const lines = ['the stack received a frame of 60 bytes', 'the program received a frame of 1514 bytes'];
    assert.equal(result.stdout, `${lines.join('\n')}\n`, result.report);
  });
}

test('the commands with captures', async () => {
  const [, code = ''] = /^```sh\n([\s\S]*?)^```$/m.exec(section('Captures')) ?? [];
  const commands = code.trim().split('\n');
  assert.equal(commands.length, 2);
  const folder = project();
  copyFileSync(join(root, 'tests/data/real-wire.pcap'), join(folder, 'in.pcap'));
  for (const command of commands) {
    const result = await run('sh', ['-c', command], { cwd: folder, limit: 60 });
    assert.equal(result.code, 0, result.report);
    assert.match(result.stdout, /(sent|captured) 1000 packets/, result.report);
  }
  assert.equal(readPcap(readFileSync(join(folder, 'sent.pcapng'))).frames.length, 1000);
});
