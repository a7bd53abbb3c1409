// The examples, unchanged: those of the README in an empty project, and the main job as `npm start` runs it.
import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { readPcap } from 'ptnet';
import { bun, deno, type Found, project, root, run } from './support.js';

const LIMIT = 30;
const here: Found = { path: process.execPath, skip: false };
const installed = 'node_modules/ptnet';

let folder = '';
let blocks: readonly string[] = [];

before(() => {
  folder = project();
  const readme = readFileSync(join(folder, installed, 'README.md'), 'utf8');
  blocks = [...readme.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code]) => code);
});

/** The README's block that contains `text`. */
function block(text: string): string {
  const found = blocks.filter((code) => code.includes(text));
  assert.equal(found.length, 1, `blocks of the README with ${text}`);
  return found[0];
}

/** Runs a program in the empty project; what it printed. */
async function runInProject(name: string, code: string): Promise<string> {
  writeFileSync(join(folder, name), code);
  const result = await run(process.execPath, [name], { cwd: folder, limit: LIMIT });
  assert.equal(result.code, 0, result.report);
  return result.stdout;
}

for (const [name, { path, skip }, args] of [
  ['Node', here, []],
  ['Deno', deno, ['run', '--allow-all']],
  ['Bun', bun, ['run']],
] as const) {
  test(`examples/two-guests.mjs runs in an empty project in ${name}`, { skip }, async () => {
    cpSync(join(folder, installed, 'examples/two-guests.mjs'), join(folder, 'two-guests.mjs'));
    const { code, stdout, report } = await run(path, [...args, 'two-guests.mjs'], { cwd: folder, limit: LIMIT });
    assert.equal(code, 0, report);
    assert.equal(stdout, 'guest b received 1 frame of 60 bytes\n', report);
  });
}

for (const [name, { path, skip }, args] of [
  ['Node', here, []],
  ['Deno', deno, ['run', '--allow-all']],
  ['Bun', bun, ['run']],
] as const) {
  test(`examples/cable.mjs runs in an empty project in ${name}`, { skip }, async () => {
    cpSync(join(root, 'examples/cable.mjs'), join(folder, 'cable.mjs'));
    const { code, stdout, report } = await run(path, [...args, 'cable.mjs'], { cwd: folder, limit: LIMIT });
    assert.equal(code, 0, report);
    const lines = ['the peer received a frame of 60 bytes', 'the program received a frame of 1514 bytes'];
    assert.equal(stdout, `${[...lines, 'passed on: 1 out, 1 in'].join('\n')}\n`, report);
  });
}

test('the first example of the README is examples/two-guests.mjs', () => {
  assert.equal(block('Two guests on one VALE switch'), readFileSync(join(root, 'examples/two-guests.mjs'), 'utf8'));
});

test('the batch functions of the README move frames', async () => {
  const program = `import { Netmap } from 'ptnet';
    ${block('function sendBatch')}
    const netmap = await Netmap.create();
    const [a, b] = [await netmap.open('netmap:p{1'), await netmap.open('netmap:p}1')];
    const [tx] = a.txRings;
    for (let i = 0; i < tx.numSlots; i++) tx.buf(i).fill(i);
    let received = 0;
    const check = (at, length) => {
      const byte = b.rxRings[0].u8[at + length - 1];
      if (length !== 60 || byte !== (received & 0xff)) throw new Error(\`frame \${received}: \${length} of \${byte}\`);
      received++;
    };
    const sent = sendBatch(a, 300) + sendBatch(a, 5000);
    b.rxsync();
    receiveBatch(b, check);
    await netmap.close();
    console.log(sent, received);`;
  assert.equal(await runInProject('batch.mjs', program), '1023 1023\n');
});

test('the thread example of the README works, and the end of its worker is noticed', async () => {
  const [control, worker] = block('netmap.spawn(').split('// program.mjs\n');
  writeFileSync(join(folder, 'program.mjs'), worker);
  const program = `import { Netmap } from 'ptnet';
    const netmap = await Netmap.create();
    const port = await netmap.open('vale0:a');
    ${control}
    let ended = false;
    worker.ended.then(() => { ended = true; });
    while (!ended) {
      await port.send(new Uint8Array(60).fill(0xff, 0, 6)); // a broadcast ends the worker's pollSync
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    while ((await netmap.inspect()).ports.length > 1) await new Promise((resolve) => setTimeout(resolve, 10));
    await netmap.close();
    console.log('end');`;
  assert.equal(await runInProject('threads.mjs', program), 'end\n');
});

/** The rows of a printed table, by their first column; columns are two spaces or more apart. */
function readTable(text: string): Map<string, Record<string, string>> {
  const lines = text.split('\n').map((line) => line.trim().split(/ {2,}/));
  const head = lines.findIndex(([first]) => first === 'run');
  assert.ok(head >= 0, text);
  const columns = lines[head];
  const end = lines.findIndex((cells, i) => i > head && cells.length !== columns.length);
  const rows = lines.slice(head + 2, end < 0 ? undefined : end);
  return new Map(rows.map((cells) => [cells[0], Object.fromEntries(columns.map((name, i) => [name, cells[i]]))]));
}

const frameCount = (file: string): number => readPcap(readFileSync(join(root, 'tests/data', file))).frames.length;

test('npm start: captures arrive byte for byte, pipes drop nothing, no wake-up is lost', async (t) => {
  const env = { PTNET_SECONDS: '0.3' };
  const [npm, args] = process.platform === 'win32' ? ['cmd', ['/c', 'npm', 'start']] : ['npm', ['start']];
  const { code, stdout, report } = await run(npm, args, { cwd: root, env, limit: 100 });
  assert.equal(code, 0, report);
  assert.match(stdout, /^captures compared byte for byte; wake-ups lost: 0$/m, report);
  const rows = readTable(stdout);
  const [wire, gso] = ['real-wire.pcap', 'real-gso.pcap'];
  const captures = [`${wire} over a pipe`, `${gso} over a pipe`, `${wire} over VALE`];
  const pipes = ['pipe, one thread', 'pipe, two workers, direct', 'pipe, two workers, notify'];
  const switches = ['VALE, one thread', 'VALE, two workers, direct', 'VALE, two workers, notify'];
  for (const name of [...captures, ...pipes, ...switches, 'middlebox: VALE → guest → VALE']) {
    const row = rows.get(name);
    assert.ok(row && Number(row['packets']) > 0, `${name}\n${report}`);
  }
  for (const name of [...captures, ...pipes]) assert.equal(rows.get(name)?.['drops'], 'none', `${name}\n${report}`);
  assert.equal(Number(rows.get(captures[0])?.['packets']), frameCount(wire));
  assert.equal(Number(rows.get(captures[1])?.['packets']), frameCount(gso));
  t.diagnostic(`\n${stdout}`);
});
