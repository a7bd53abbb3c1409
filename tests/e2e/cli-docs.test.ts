// The examples of docs/cli.md, run through a shell as they are written; those without an end are ended by Ctrl-C.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

// Seen from where the compiled test lies: build/ts/tests/e2e.
const ROOT = new URL('../../../../', import.meta.url);
const CLI = fileURLToPath(new URL('dist/cli.js', ROOT));
/** When Ctrl-C comes (ms), and when it is too late. */
const INTERRUPT = 15_000;
const LIMIT = 60_000;

const page = readFileSync(new URL('docs/cli.md', ROOT), 'utf8');
const [, loaderConf] = /^```conf\n([\s\S]*?)^```$/m.exec(page) ?? [];
const folder = mkdtempSync(join(tmpdir(), 'ptnet-docs-'));
writeFileSync(join(folder, 'loader.conf'), loaderConf ?? '');
copyFileSync(new URL('tests/data/real-wire.pcap', ROOT), join(folder, 'in.pcap'));
after(() => rmSync(folder, { recursive: true }));
const examples = [...page.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].flatMap(([, block]) => block.trim().split('\n'));

/** Runs a line of a shell that has `npx ptnet`, where the page's loader.conf is. */
function run(line: string, interrupt: number): Promise<{ code: number | null; out: string; err: string }> {
  const command = `exec ${line.replace('npx ptnet', `"${process.execPath}" "${CLI}"`)}`;
  return new Promise((resolve, reject) => {
    const child = spawn('sh', ['-c', command], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (err += text));
    const ctrlC = setTimeout(() => child.kill('SIGINT'), interrupt);
    const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT);
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(ctrlC);
      clearTimeout(limit);
      resolve({ code, out, err });
    });
  });
}

test('the page has examples, and each is one line for npx ptnet', () => {
  assert.ok(examples.length >= 8);
  for (const line of examples)
    assert.match(line, /^(env \w+=\w+ )?npx ptnet (run|pkt-gen|bridge|vale-ctl|sysctl|switch)\b/);
});

for (const line of examples) {
  test(line, { skip: process.platform === 'win32' && 'needs a POSIX shell' }, async () => {
    const isEndless = !/ -n \d|--duration|replay -i|'[^']*vale-ctl[^']*'$/.test(line);
    const { code, out, err } = await run(line, isEndless ? 2500 : INTERRUPT);
    assert.equal(code, 0, out + err);
    if (line.includes('ptnet sysctl')) {
      assert.match(out, /^dev\.netmap\.max_bridges: /m);
      return;
    }
    if (line.includes('ptnet switch')) {
      assert.equal(JSON.parse(out.trimEnd().split('\n').at(-1) ?? '').event, 'end');
      return;
    }
    const threads = Number(/ -p (\d+)/.exec(line)?.[1] ?? 1); // each is a program of its own
    const programs = line.includes("'") ? [...line.matchAll(/'[^']+'/g)].length + threads - 1 : 1;
    if (line.includes('--json')) {
      const found = out.trimEnd().split('\n');
      assert.equal(found.length, programs);
      for (const one of found) assert.ok(JSON.parse(one).packets > 0);
      return;
    }
    assert.equal(out.match(/^\[\d+\] /gm)?.length, programs, out);
    const counts = [
      ...out.matchAll(/^\[\d+\] .*: (?:sent|received|forwarded|got back|answered|captured) (\d+) packets/gm),
    ];
    assert.equal(counts.length + (out.match(/^\[\d+\] vale-ctl$/gm)?.length ?? 0), programs, out);
    for (const [text, packets] of counts) assert.ok(Number(packets) > 0, text);
  });
}
