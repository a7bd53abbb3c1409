// The commands of docs/backends.md about devices, as they stand: in a namespace whose eth1 leads to another machine.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type DeviceLab, inLab, MIDDLE } from './device-lab.js';
import { ping, whyNoNamespaces } from './netns.js';
import { findProgram, type RunResult, root } from './support.js';

const skip = whyNoNamespaces();
const tc = findProgram('PTNET_TC', 'tc');
const page = readFileSync(join(root, 'docs/backends.md'), 'utf8');

/** The blocks of a section. */
function blocks(section: string): string[] {
  const [, text = ''] = new RegExp(`^### ${section}\\n([\\s\\S]*?)(?=^##|$(?![\\s\\S]))`, 'm').exec(page) ?? [];
  return [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, code]) => code);
}

/** Runs commands where eth1 leads to 10.0.0.2. */
function shell(lab: DeviceLab, code: string): Promise<RunResult> {
  const command = `npx() { shift; '${process.execPath}' '${join(root, 'dist/cli.js')}' "$@"; }`;
  return lab.exec(MIDDLE, 'bash', '-e', '-c', `${command}\n${code}`);
}

function prepare(lab: DeviceLab): void {
  lab.addCables();
  lab.ip(MIDDLE, 'link', 'set', 'c1', 'down');
  lab.ip(MIDDLE, 'link', 'set', 'c1', 'name', 'eth1');
  lab.ip(MIDDLE, 'link', 'set', 'eth1', 'up');
  lab.ip(1, 'addr', 'add', '10.0.0.2/24', 'dev', 'eth0');
}

for (const [section, expected] of [
  ['tap', /pkt-gen rx.*3 packets/],
  ['macvtap', / 3 received/],
  ['packet', / 3 received/],
] as const) {
  test(`the commands about ${section} do what they say`, { skip }, () =>
    inLab(async (lab) => {
      prepare(lab);
      const { code, stdout, report } = await shell(lab, blocks(section)[0]);
      assert.equal(code, 0, report);
      assert.match(stdout, expected, report);
    }),
  );
}

test('the commands about tc keep the kernel from answering', { skip: skip || tc.skip }, () =>
  inLab(async (lab) => {
    prepare(lab);
    lab.ip(MIDDLE, 'addr', 'add', '10.0.0.9/24', 'dev', 'eth1');
    const answers = async (): Promise<string> =>
      (await lab.exec(1, ping.path, '-c', '2', '-i', '0.2', '-W', '1', '10.0.0.9')).stdout;
    assert.match(await answers(), / 2 received/);
    const [, matchall, bpf] = blocks('packet');
    const first = await shell(lab, matchall);
    const hasNone = first.code !== 0 && first.stderr.includes('TC classifier not found');
    const { code, report } = hasNone ? await shell(lab, bpf) : first;
    assert.equal(code, 0, report);
    assert.match(await answers(), / 0 received/);
  }),
);

for (const [line, expected] of [
  ["npx ptnet run 'guest tap:t0 pkt-gen -f rx'", /received \d*[1-9]\d* packets/],
  ['npx ptnet bridge -i tap:t0 -i packet:eth1', / 3 received[\s\S]*forwarded \d*[1-9]\d* packets/],
] as const) {
  test(`the README's ${line}`, { skip }, () =>
    inLab(async (lab) => {
      assert.ok(readFileSync(join(root, 'README.md'), 'utf8').split('\n').includes(line), 'the README has the command');
      prepare(lab);
      const command = line.replace('npx ptnet', `'${process.execPath}' '${join(root, 'dist/cli.js')}'`);
      const code = `(exec ${command}) &
        until ip link show t0 > /dev/null 2>&1; do sleep 0.1; done
        ip addr add 10.0.0.1/24 dev t0
        ip link set t0 up
        ping -c 3 -i 0.3 -W 1 10.0.0.2 || true # a guest that counts answers nothing
        kill -INT $!
        wait || true`;
      const { stdout, report } = await shell(lab, code);
      assert.match(stdout, expected, report);
    }),
  );
}
