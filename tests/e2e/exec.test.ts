// C programs as their users have them: the lines of the README in a project with the installed package, and the command.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { compilerEnv, wasmCompiler } from '../support/wasm-compiler.js';
import { project, type RunResult, run } from './support.js';

const LIMIT = 60;
const { skip } = wasmCompiler;
let folder = '';

const ptnet = (...args: string[]): Promise<RunResult> =>
  run(process.execPath, ['node_modules/ptnet/dist/cli.js', ...args], { cwd: folder, limit: LIMIT });

/** The block of the README that begins with clang. */
function compileLines(): string {
  const readme = readFileSync(join(folder, 'node_modules/ptnet/README.md'), 'utf8');
  const found = /^```sh\n((?:clang|include=)[\s\S]*?)^```$/m.exec(readme)?.[1];
  assert.ok(found);
  return found;
}

describe('C programs', { skip }, () => {
  before(async () => {
    folder = project();
    const [compile] = compileLines().split('\n');
    for (const name of ['receiver', 'bridge']) {
      const line = compile.replaceAll('sender', name);
      const { code, report } = await run('sh', ['-c', line], { cwd: folder, limit: LIMIT });
      assert.equal(code, 0, report);
    }
  });

  test('the lines of the README compile the examples and run them', async () => {
    const { code, stdout, report } = await run('sh', ['-ec', compileLines().replaceAll('npx ', 'npx --no-install ')], {
      cwd: folder,
      limit: LIMIT,
    });
    assert.equal(code, 0, report);
    assert.match(stdout, /sent 1000000 frames/, report);
    assert.match(stdout, /received 1000000 frames, 0 damaged, 0 gaps/, report);
  });

  test('a run mixes them with other programs and guests', async () => {
    const { code, stdout, report } = await ptnet(
      'run',
      'guest netmap:q}1 exec receiver.wasm -i netmap:ptnet0 -n 100000',
      'exec bridge.wasm -i netmap:p}1 -i netmap:q{1',
      'exec sender.wasm -i netmap:p{1 -n 100000',
      '--duration',
      '5',
    );
    assert.equal(code, 0, report);
    assert.match(stdout, /received 100000 frames, 0 damaged, 0 gaps/, report);
    assert.match(stdout, /passed on 100000 and 0 frames/, report);
    assert.match(stdout, /\[1\] exec receiver.wasm \(guest netmap:q}1\): ended well/, report);
  });

  test('threads: the line of the docs, and a generator with a thread beside a receiver', async () => {
    const docs = readFileSync(join(folder, 'node_modules/ptnet/docs/c-programs.md'), 'utf8');
    const flags = /^clang … (.*) prog\.c -o prog\.wasm$/m.exec(docs)?.[1];
    assert.ok(flags);
    const line = compileLines().split('\n')[0].replaceAll('sender', 'generator').replace('clang', `clang ${flags}`);
    const { code, report } = await run('sh', ['-c', line], { cwd: folder, limit: LIMIT, env: compilerEnv });
    assert.equal(code, 0, report);
    const ran = await ptnet(
      'run',
      'exec generator.wasm -i netmap:p}1 -f rx -n 100000',
      'guest netmap:p{1 exec generator.wasm -i netmap:ptnet0 -f tx -n 100000',
    );
    assert.equal(ran.code, 0, ran.report);
    assert.match(ran.stdout, /sent 100000 packets/, ran.report);
    assert.match(ran.stdout, /received 100000 packets/, ran.report);
  });

  test('exit codes and messages: the program’s own, a bad one, a missing one', async () => {
    writeFileSync(join(folder, 'text.wasm'), 'no module');
    const cases: [string[], number, RegExp][] = [
      [
        ['exec', 'receiver.wasm', '-i', 'netmap:eth77'],
        1,
        /^cannot open port 'netmap:eth77': No such device or address$/m,
      ],
      [['exec', 'receiver.wasm'], 2, /^usage: receiver/m],
      [['exec', 'text.wasm'], 1, /^ptnet: EINVAL: this is no WebAssembly module/m],
      [['exec', 'none.wasm'], 1, /^ptnet: ENOENT: cannot read the program/m],
      [['exec'], 2, /^ptnet: EINVAL: missing required argument/m],
      [['run', 'exec'], 2, /^ptnet: EINVAL: exec needs a program/m],
    ];
    for (const [args, expected, message] of cases) {
      const { code, stderr, report } = await ptnet(...args);
      assert.equal(code, expected, report);
      assert.match(stderr, message, report);
    }
    const failed = await ptnet('run', '--json', 'exec receiver.wasm -i netmap:eth77');
    assert.equal(failed.code, 1, failed.report);
    const line = JSON.parse(failed.stdout) as { program: string; code: number; errors: string[] };
    assert.deepEqual([line.program, line.code, line.errors], ['exec', 1, ['EIO: exit code 1']]);
  });

  test('a signal to the command is a signal to the program', async () => {
    const child = spawn(
      process.execPath,
      ['node_modules/ptnet/dist/cli.js', 'exec', 'receiver.wasm', '-i', 'vale0:a'],
      { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT * 1e3);
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (out === '') child.kill('SIGTERM');
      out += text;
    });
    const code = await new Promise((resolve) => child.once('close', resolve));
    clearTimeout(limit);
    assert.deepEqual([code, out], [0, 'receiving on vale0:a\nreceived 0 frames, 0 damaged, 0 gaps\n']);
  });
});
