// Tunables from the command line: `ptnet sysctl`, and the file and the environment of runs.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { DEFAULT_TUNABLES, TUNABLES } from 'ptnet';
import { type RunResult, root, run } from './support.js';

const CLI = join(root, 'dist/cli.js');
/** Seconds. */
const LIMIT = 60;
const BRIDGES = 'dev.netmap.max_bridges';

const folder = mkdtempSync(join(tmpdir(), 'ptnet-sysctl-'));
after(() => rmSync(folder, { recursive: true }));

/** A file in the form of loader.conf(5). */
function conf(text: string): string {
  const file = join(folder, 'loader.conf');
  writeFileSync(file, text);
  return file;
}

const ptnet = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<RunResult> =>
  run(process.execPath, [CLI, ...args], { env, limit: LIMIT });

/** What a command prints that ends well. */
async function output(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<string> {
  const { code, stdout, stderr, report } = await ptnet(args, env);
  assert.deepEqual([code, stderr], [0, ''], report);
  return stdout;
}

const lines = (of: (name: keyof typeof DEFAULT_TUNABLES) => unknown): string =>
  TUNABLES.map(({ name }) => `${of(name)}\n`).join('');

describe('ptnet sysctl shows', () => {
  test('all tunables, as sysctl(8) does', async () => {
    assert.equal(
      await output(['sysctl']),
      lines((name) => `${name}: ${DEFAULT_TUNABLES[name]}`),
    );
  });

  test('values only, descriptions, descriptions only', async () => {
    assert.equal(
      await output(['sysctl', '-n']),
      lines((name) => DEFAULT_TUNABLES[name]),
    );
    assert.equal(await output(['sysctl', '-d', BRIDGES]), `${BRIDGES}: VALE switches that may exist at a time\n`);
    assert.equal(await output(['sysctl', '-dn', BRIDGES]), 'VALE switches that may exist at a time\n');
  });

  test('those that are named, in that order', async () => {
    assert.equal(await output(['sysctl', 'ptnet_gso', BRIDGES]), `ptnet_gso: 1\n${BRIDGES}: 8\n`);
  });

  test('what is below a node', async () => {
    const shown = await output(['sysctl', 'dev.netmap']);
    assert.equal(shown.trimEnd().split('\n').length, TUNABLES.length - 1);
  });

  test('objects with --json', async () => {
    const shown = await output(['sysctl', '--json'], { DEV_NETMAP_MAX_BRIDGES: '3' });
    const expected = TUNABLES.map((info) => ({ ...info, value: info.name === BRIDGES ? 3 : info.default }));
    assert.deepEqual(
      shown
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
      expected,
    );
  });

  test('what the file says, and what the environment says instead', async () => {
    const file = conf(`# a machine\nif_vtnet_load="YES"\n${BRIDGES}="0x10"\nptnet_gso=0\n`);
    const shown = `${BRIDGES}: 16\nptnet_gso: 0\n`;
    assert.equal(await output(['sysctl', '--loader-conf', file, BRIDGES, 'ptnet_gso']), shown);
    assert.equal(await output(['sysctl', BRIDGES, 'ptnet_gso'], { PTNET_LOADER_CONF: file }), shown);
    assert.equal(await output(['sysctl', '-n', BRIDGES], { PTNET_LOADER_CONF: '' }), '8\n');
    const env = { PTNET_LOADER_CONF: file, [BRIDGES]: '4', PTNET_GSO: '1' };
    assert.equal(await output(['sysctl', BRIDGES, 'ptnet_gso'], env), `${BRIDGES}: 4\nptnet_gso: 1\n`);
  });
});

describe('ptnet sysctl refuses', () => {
  test('an unknown name with 1, and shows the others', async () => {
    const { code, stdout, stderr } = await ptnet(['sysctl', 'dev.netmap.max_bridge', BRIDGES, 'kern.ostype']);
    assert.deepEqual([code, stdout], [1, `${BRIDGES}: 8\n`]);
    assert.equal(
      stderr,
      `ptnet: ENOENT: unknown oid 'dev.netmap.max_bridge': did you mean '${BRIDGES}'?\n` +
        "ptnet: ENOENT: unknown oid 'kern.ostype'\n",
    );
  });
});

describe('bad settings end every command with 2, before anything starts:', () => {
  for (const [command, ...args] of [
    ['sysctl'],
    ['run', '--json', 'pkt-gen -i vale0:a -f tx -n 1'],
    ['pkt-gen', '-i', 'vale0:a', '-f', 'tx', '-n', '1'],
    ['bridge', '-i', 'vale0:a', '-i', 'vale1:a', '--duration', '0.1'],
    ['exec', 'program.wasm'],
  ]) {
    test(command, async () => {
      const file = conf(`\n${BRIDGES}="none"\n`);
      const ofFile = await ptnet([command, '--loader-conf', file, ...args]);
      assert.deepEqual([ofFile.code, ofFile.stdout], [2, '']);
      assert.equal(
        ofFile.stderr,
        `ptnet: EINVAL: ${file}:2: ${BRIDGES}='none' is not a whole number within 1..65535\n`,
      );
      const ofEnv = await ptnet([command, ...args], { 'dev.netmap.buf_nun': '5' });
      assert.deepEqual([ofEnv.code, ofEnv.stdout], [2, '']);
      assert.match(
        ofEnv.stderr,
        /^ptnet: EINVAL: environment: there is no tunable 'dev\.netmap\.buf_nun': did you mean /,
      );
    });
  }
});

describe('a run has its tunables', () => {
  const send = ['pkt-gen', '-i', 'vale0:a', '-f', 'tx', '-n', '1', '-l', '3000', '--json'];

  test('from the environment: larger buffers', async () => {
    const refused = await ptnet(send);
    assert.equal(refused.code, 1);
    const [{ packets, bytes }] = [JSON.parse(await output(send, { 'dev.netmap.priv_buf_size': '4096' }))];
    assert.deepEqual([packets, bytes], [1, 3000]);
  });

  test('from a file: one bridge', async () => {
    const file = conf(`${BRIDGES}=1`);
    const args = ['bridge', '-i', 'vale0:a', '-i', 'vale1:a', '--duration', '0.1', '--json'];
    assert.equal((await ptnet(args)).code, 0);
    const { code, stdout } = await ptnet([...args, '--loader-conf', file]);
    assert.equal(code, 1);
    assert.match(JSON.parse(stdout).errors[0], /^ENOMEM: 1 bridges exist already/);
  });
});
