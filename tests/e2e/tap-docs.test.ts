// What the README promises of network interfaces: its commands work as they stand, and so do the examples.
import assert from 'node:assert/strict';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { iperf3, whyNoNamespaces } from './netns.js';
import { bun, deno, type Found, project, root, run } from './support.js';

const here: Found = { path: process.execPath, skip: false };

test('the commands of the README join two namespaces', { skip: whyNoNamespaces() || iperf3.skip }, async () => {
  const page = readFileSync(join(root, 'README.md'), 'utf8');
  const [, commands] = /^## Two namespaces[\s\S]*?^```sh\n([\s\S]*?)^```$/m.exec(page) ?? [];
  assert.ok(commands);
  // Whatever happens, nothing is left behind.
  const clean =
    'for end in a b; do ip netns del ptnet-$end 2>/dev/null; done; rm -f tap.log; kill $program 2>/dev/null';
  const script = `trap 'code=$?; set +e; ${clean}; exit $code' EXIT\n${commands}`;
  const result = await run('bash', ['-e', '-c', script], { cwd: root, limit: 60 });
  assert.equal(result.code, 0, result.report);
  assert.match(result.stdout, /3 packets transmitted, 3 received/, result.report);
  assert.match(result.stdout, /bits\/sec .*receiver/, result.report);
  assert.match(result.stdout, /^tap-b \{/m, result.report);
});

for (const [name, { path, skip }, args] of [
  ['Node', here, []],
  ['Deno', deno, ['run', '--allow-all']],
  ['Bun', bun, ['run']],
] as const) {
  test(`examples/udp.mjs: a datagram and its answer in ${name}`, { skip }, async () => {
    const folder = project();
    cpSync(join(root, 'examples/udp.mjs'), join(folder, 'udp.mjs'));
    const { code, stdout, report } = await run(path, [...args, 'udp.mjs'], { cwd: folder, limit: 30 });
    assert.equal(code, 0, report);
    const expected = ['b received "hello over ptnet" from 10.0.0.1', 'a received "HELLO OVER PTNET" from 10.0.0.2'];
    assert.equal(stdout.trim(), expected.join('\n'), report);
  });
}
