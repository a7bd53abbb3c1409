// The commands of docs/backends.md that have to do with sockets, unchanged, in an empty project.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ipProgram, whyNoNamespaces } from './netns.js';
import { qemu } from './qemu-guest.js';
import { findProgram, project, root, run } from './support.js';

const LIMIT = 60;
const page = readFileSync(join(root, 'docs/backends.md'), 'utf8');
const passt = findProgram('PTNET_PASST', 'passt');

/** The commands of a section. */
function commands(section: string): string {
  const text = page.split(/^### /m).find((part) => part.startsWith(`${section}\n`)) ?? '';
  const found = /^```sh\n([\s\S]*?)^```$/m.exec(text)?.[1];
  assert.ok(found, `docs/backends.md has no commands for ${section}`);
  return found;
}

test('qemu: a guest that boots from the network is seen', { skip: qemu.skip }, async () => {
  const result = await run('bash', ['-emc', commands('qemu')], { cwd: project(), limit: LIMIT });
  assert.match(result.stdout, /received +2 packets/i, result.report);
});

test('passt: a guest that boots from the network is answered', {
  skip: qemu.skip || passt.skip || whyNoNamespaces(),
}, async (t) => {
  const cwd = project();
  const ip = (...args: readonly string[]): void => void execFileSync(ipProgram.path, args);
  const [space, gateway] = ['docs', 'docs-gw'].map((name) => `ptnet-${process.pid}-${name}`);
  for (const name of [space, gateway]) {
    ip('netns', 'add', name);
    t.after(() => ip('netns', 'del', name));
  }
  ip('-n', space, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', gateway);
  ip('-n', gateway, 'link', 'set', 'eth0', 'up');
  ip('-n', space, 'addr', 'add', '10.66.2.2/24', 'dev', 'eth0');
  ip('-n', space, 'link', 'set', 'eth0', 'up');
  ip('-n', space, 'route', 'add', 'default', 'via', '10.66.2.1');
  const args = ['netns', 'exec', space, 'bash', '-emc', commands('passt')];
  const result = await run(ipProgram.path, args, { cwd, limit: LIMIT });
  // Both ways: the guest asks for an address, takes it, and asks for its gateway.
  const [, packets] = /forwarded +(\d+) packets/.exec(result.stdout) ?? [];
  assert.ok(Number(packets) >= 6, result.report);
});

test('vxlan: packets go from one address to another', async () => {
  const result = await run('bash', ['-ec', commands('vxlan')], { cwd: project(), limit: LIMIT });
  assert.match(result.stdout, /received +[1-9]\d* packets/i, result.report);
});

test('ws: packets go from a client to the server', async () => {
  const result = await run('bash', ['-ec', commands('ws')], { cwd: project(), limit: LIMIT });
  assert.match(result.stdout, /received +1000 packets/i, result.report);
});
