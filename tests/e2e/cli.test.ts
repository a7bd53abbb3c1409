// The command as its users run it: dist/cli.js in a child process.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

// Seen from where the compiled test lies: build/ts/tests/e2e.
const ROOT = new URL('../../../../', import.meta.url);
const CLI = fileURLToPath(new URL('dist/cli.js', ROOT));
/** What no run here may exceed (ms). */
const LIMIT = 60_000;
/** Reasons that a port may drop packets for. */
const REASONS = [
  ...['short', 'self', 'noPort', 'noSpace', 'badSlot', 'tooLong', 'fragments', 'busy', 'header', 'gso'],
  ...['filtered', 'lookup'],
];

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

interface Report {
  readonly index: number;
  readonly program: string;
  readonly function: string | null;
  readonly port: string;
  readonly guest: string | null;
  readonly packets: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly mpps: number;
  readonly drops: Record<string, number>;
  readonly kicks: number;
  readonly interrupts: number;
  readonly errors: string[];
  readonly ports: { readonly name: string; readonly rxPackets: number; readonly txPackets: number }[];
}

interface RunOptions {
  /** Sends SIGINT after this time (ms) if the command still runs. */
  readonly interrupt?: number;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a program to its end. */
function launch(file: string, args: readonly string[], { interrupt, env }: RunOptions = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      cwd: fileURLToPath(ROOT),
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [out, err] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (err += text));
    const limit = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`${args.join(' ')} runs for longer than ${LIMIT} ms:\n${out}${err}`));
    }, LIMIT);
    const ctrlC = interrupt === undefined ? undefined : setTimeout(() => child.kill('SIGINT'), interrupt);
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(limit);
      clearTimeout(ctrlC);
      resolve({ code, out, err });
    });
  });
}

const ptnet = (args: readonly string[], options?: RunOptions): Promise<Outcome> =>
  launch(process.execPath, [CLI, ...args], options);

/** Runs programs with --json; the reports in the order of the programs. */
async function reports(args: readonly string[], code = 0, options?: RunOptions): Promise<Report[]> {
  const outcome = await ptnet(['run', '--json', ...args], options);
  assert.equal(outcome.code, code, outcome.out + outcome.err);
  const lines = outcome.out.trimEnd().split('\n');
  const found = lines.map((line) => JSON.parse(line) as Report).sort((a, b) => a.index - b.index);
  assert.deepEqual(
    found.map(({ index }) => index),
    args.filter((arg) => /pkt-gen|bridge/.test(arg)).map((_, i) => i + 1),
  );
  for (const report of found) checkReport(report, code === 0);
  return found;
}

function checkReport(report: Report, isWell: boolean): void {
  assert.deepEqual(Object.keys(report.drops).sort(), isWell ? [...REASONS].sort() : Object.keys(report.drops).sort());
  for (const field of ['packets', 'bytes', 'seconds', 'mpps', 'kicks', 'interrupts'] as const) {
    assert.equal(typeof report[field], 'number', field);
  }
  if (isWell) assert.deepEqual(report.errors, []);
  if (report.seconds > 0) {
    const mpps = report.packets / report.seconds / 1e6;
    const rounding = 1e-6 / report.seconds; // seconds are told in whole microseconds, and ten frames take thirty
    assert.ok(Math.abs(report.mpps - mpps) <= 0.0001 + mpps * (0.01 + rounding), `${report.mpps} is not ${mpps}`);
  }
}

const total = ({ drops }: Report): number => Object.values(drops).reduce((sum, n) => sum + n, 0);

describe('packets are not lost but by a switch, and those are counted', () => {
  for (const loop of ['direct', 'notify'] as const) {
    test(`guest to guest over a pipe, --loop ${loop}: all arrive`, async () => {
      const [rx, tx] = await reports([
        '--loop',
        loop,
        'guest netmap:p}1 pkt-gen -f rx -n 300000',
        'guest netmap:p{1 pkt-gen -f tx -l 60 -n 300000',
      ]);
      assert.deepEqual([rx.packets, rx.bytes], [300000, 18000000]);
      assert.deepEqual([tx.packets, tx.bytes], [300000, 18000000]);
      assert.equal(total(tx), 0);
      assert.ok(tx.kicks > 0 && rx.interrupts > 0);
      assert.deepEqual([rx.port, rx.guest, rx.ports[0].name], ['netmap:ptnet0', 'netmap:p}1', 'p}1']);
      assert.deepEqual([rx.program, rx.function, tx.function], ['pkt-gen', 'rx', 'tx']);
    });

    test(`guest to guest over VALE, --loop ${loop}: received and dropped add up to sent`, async () => {
      const [rx, tx] = await reports([
        '--loop',
        loop,
        'guest vale0:b pkt-gen -f rx -n 300000',
        'guest vale0:a pkt-gen -f tx -l 60 -n 300000',
      ]);
      assert.equal(tx.packets, 300000);
      assert.equal(rx.packets + total(tx), tx.packets);
      assert.equal(rx.bytes, 60 * rx.packets);
      assert.equal(rx.guest, 'vale0:b');
    });
  }

  test('host to host: no guest, no kicks, no interrupts', async () => {
    const [rx, tx] = await reports(['pkt-gen -i netmap:p}1 -f rx', 'pkt-gen -i netmap:p{1 -f tx -n 100000 -l 1500']);
    assert.deepEqual([rx.packets, rx.bytes, tx.packets], [100000, 150000000, 100000]);
    for (const { guest, kicks, interrupts } of [rx, tx]) assert.deepEqual([guest, kicks, interrupts], [null, 0, 0]);
    assert.deepEqual([tx.port, rx.port], ['netmap:p{1', 'netmap:p}1']);
  });

  test('a middlebox between two switches: each hop adds up', async () => {
    const [rx, box, tx] = await reports([
      'pkt-gen -i vale1:z -f rx',
      'guest vale0:b,vale1:a bridge -i netmap:ptnet0 -i netmap:ptnet1',
      'pkt-gen -i vale0:a -f tx -n 100000',
    ]);
    assert.equal(tx.packets, 100000);
    assert.equal(box.packets + total(tx), tx.packets);
    assert.equal(rx.packets + total(box), box.packets);
    assert.deepEqual([box.program, box.function, box.guest], ['bridge', null, 'vale0:b,vale1:a']);
    assert.deepEqual(
      box.ports.map(({ name }) => name),
      ['vale0:b', 'vale1:a'],
    );
    assert.equal(box.bytes, 60 * box.packets);
  });

  test('a zero-copy bridge between two pipes loses nothing', async () => {
    const [rx, box, tx] = await reports([
      'pkt-gen -i netmap:p}1 -f rx',
      'bridge -i netmap:p{1 -i netmap:p{2',
      'pkt-gen -i netmap:p}2 -f tx -n 100000',
    ]);
    assert.deepEqual([rx.packets, box.packets, tx.packets], [100000, 100000, 100000]);
  });

  test('several rings of few slots', async () => {
    const [rx, tx] = await reports([
      '--rings',
      '2',
      '--slots',
      '32',
      'guest netmap:p}1 pkt-gen -f rx',
      'guest netmap:p{1 pkt-gen -f tx -n 20000',
    ]);
    assert.deepEqual([rx.packets, tx.packets], [20000, 20000]);
  });
});

describe('programs end', () => {
  test('a sender without -n when its receivers have', async () => {
    const [rx, tx] = await reports(['guest vale0:b pkt-gen -f rx -n 1000', 'guest vale0:a pkt-gen -f tx']);
    assert.equal(rx.packets, 1000);
    assert.ok(tx.packets >= 1000);
  });

  test('a sender at a pipe whose reader has left', async () => {
    const [rx, tx] = await reports(['pkt-gen -i netmap:p}1 -f rx -n 10', 'pkt-gen -i netmap:p{1 -f tx -n 100000']);
    assert.equal(rx.packets, 10);
    assert.ok(tx.packets < 100000);
  });

  test('a receiver that never got anything, when the senders have', async () => {
    const [rx, tx] = await reports(['pkt-gen -i vale0:b -f rx', 'pkt-gen -i vale1:a -f tx -n 10']);
    assert.deepEqual([rx.packets, rx.seconds, rx.mpps, tx.packets], [0, 0, 0, 10]);
  });

  test('at --duration, and the counts add up', async () => {
    const [rx, tx] = await reports(['--duration', '0.5', 'pkt-gen -i vale0:b -f rx', 'pkt-gen -i vale0:a -f tx']);
    assert.ok(tx.packets > 0);
    assert.equal(rx.packets + total(tx), tx.packets);
  });

  test('at Ctrl-C, with the summary and exit code 0', async () => {
    const programs = ['guest netmap:p}1 pkt-gen -f rx', 'guest netmap:p{1 pkt-gen -f tx'];
    const { code, out, err } = await ptnet(['run', ...programs], { interrupt: 2500 });
    assert.deepEqual([code, err], [0, '']);
    const [received, sent] = [...out.matchAll(/(?:received|sent) (\d+) packets/g)].map((found) => Number(found[1]));
    assert.match(out, /^\[1\] pkt-gen rx netmap:ptnet0 \(guest netmap:p}1\): received /);
    assert.ok(sent > 0);
    assert.equal(received, sent);
  });

  test('at Ctrl-C while they wait', async () => {
    const [rx] = await reports(['pkt-gen -i vale0:b -f rx'], 0, { interrupt: 1500 });
    assert.equal(rx.packets, 0);
    const [tx] = await reports(['pkt-gen -i netmap:p{1 -f tx'], 0, { interrupt: 1500 });
    assert.ok(tx.packets > 0, 'what fits the ring');
    const [late] = await reports(['pkt-gen -i vale0:b -f tx -w 1000'], 0, { interrupt: 1500 });
    assert.equal(late.packets, 0);
  });
});

test('-R sends at the rate', async () => {
  const [rx, tx] = await reports(['pkt-gen -i netmap:p}1 -f rx', 'pkt-gen -i netmap:p{1 -f tx -n 2000 -R 2000']);
  assert.equal(rx.packets, 2000);
  assert.ok(tx.seconds > 0.9 && tx.seconds < 5, `2000 packets took ${tx.seconds} s`);
});

describe('a single program is a run of its own', () => {
  test('pkt-gen', async () => {
    const { code, out, err } = await ptnet(['pkt-gen', '-i', 'vale0:a', '-f', 'tx', '-n', '1000']);
    assert.deepEqual([code, err], [0, '']);
    assert.match(out, /^\[1\] pkt-gen tx vale0:a: sent 1000 packets, 60000 bytes in /);
  });

  test('bridge', async () => {
    const { code, out } = await ptnet(['bridge', '-i', 'vale0:a', '-i', 'vale1:a', '--duration', '0.1', '--json']);
    assert.equal(code, 0);
    const report = JSON.parse(out) as Report;
    assert.deepEqual([report.program, report.port, report.packets], ['bridge', 'vale0:a,vale1:a', 0]);
  });
});

describe('errors', () => {
  for (const [args, message] of [
    [[], /no command/],
    [['fly'], /unknown command 'fly'/],
    [['run'], /missing required argument/],
    [['run', '--lop', 'direct', 'x'], /unknown option '--lop'/],
    [['run', '--loop', 'fast', 'x'], /Allowed choices are direct, notify, busy/],
    [['run', '--loop', 'busy', '--threads', '0', 'pkt-gen -i vale0:a'], /needs a loop worker/],
    [['run', 'pkt-gen -i vale0:b', 'pkt-gen -f tx'], /EINVAL: pkt-gen needs a port: -i PORT, in program 2/],
    [['run', "pkt-gen -i 'vale0:a"], /not closed/],
    [['run', 'guest vale0:a bridge'], /there is no 'netmap:ptnet1'/],
    [['run', 'pkt-gen -i vale0:a -a 1'], /EOPNOTSUPP: .*cannot be pinned/],
    [['pkt-gen', '-i', 'vale0:a', '-l', '59'], /EINVAL: .*60 to/],
    [['pkt-gen', '-i', 'vale0:a', '-p', '17'], /1 to 16/],
    [['bridge', '-i', 'vale0:a'], /takes 2 ports/],
    [['run', '--loader-conf', '/none/loader.conf', 'pkt-gen -i vale0:a'], /EINVAL: .*'\/none\/loader\.conf'/],
    [['sysctl', '--loader-conf', '/none/loader.conf'], /EINVAL: .*'\/none\/loader\.conf'/],
    [['sysctl', 'dev.netmap.max_bridges=4'], /write dev\.netmap\.max_bridges=4 into .*, or DEV_NETMAP_MAX_BRIDGES=4 /],
  ] as const) {
    test(`bad usage ends with 2 and one line: ptnet ${args.join(' ')}`, async () => {
      const { code, out, err } = await ptnet(args);
      assert.deepEqual([code, out], [2, '']);
      assert.match(err, message);
      assert.match(err, /^ptnet: [^\n]+\n$/);
    });
  }

  test('a program that fails is reported, and the run ends with 1', async () => {
    const [tx] = await reports(['pkt-gen -i vale0:a -f tx -n 5 -l 3000'], 1);
    assert.match(tx.errors[0], /^EINVAL: a frame of 3000 bytes is more than the \d+ of a buffer$/);
    const text = await ptnet(['pkt-gen', '-i', 'eth0', '-f', 'tx', '-n', '5']);
    assert.equal(text.code, 1);
    assert.match(text.out, /\n {4}failed: EINVAL: .*'eth0'\n$/);
    assert.doesNotMatch(text.out + text.err, /\n\s+at /);
  });

  test('the programs before a failed one go on, those after it are not started', async () => {
    const [rx, bad, tx] = await reports(
      ['pkt-gen -i vale0:b -f rx', 'guest eth0 pkt-gen -f tx -n 5', 'pkt-gen -i vale0:a -f tx -n 5'],
      1,
    );
    assert.deepEqual([rx.errors, rx.packets], [[], 0]);
    assert.match(bad.errors[0], /^EINVAL/);
    assert.match(tx.errors[0], /^ECANCELED: not started: program 2 failed/);
  });

  test('a program that fails later leaves the others to their end', async () => {
    const [rx, tx, bad] = await reports(
      ['pkt-gen -i netmap:p}1 -f rx', 'pkt-gen -i netmap:p{1 -f tx -n 200000 -w 1', 'pkt-gen -i vale0:a -f tx -l 3000'],
      1,
    );
    assert.deepEqual([rx.packets, tx.packets, rx.errors, tx.errors], [200000, 200000, [], []]);
    assert.equal(bad.errors.length, 1);
  });

  test('a host that cannot be made ends with 1; --debug shows the stack', async () => {
    const { code, err } = await ptnet([
      'run',
      '--memory',
      '96',
      '--slots',
      '16384',
      'guest vale0:a pkt-gen',
      '--debug',
    ]);
    assert.equal(code, 1);
    assert.match(err, /ENOMEM[^\n]*\n\s+at /);
  });
});

describe('help', () => {
  for (const [args, words] of [
    [['--help'], ['run', 'pkt-gen', 'bridge', 'Examples:', "ptnet run 'guest vale0:b"]],
    [
      ['run', '--help'],
      ['--loop', '--json', '--duration', 'Examples:', 'guest vale0:b,vale1:a bridge', 'Ctrl-C'],
    ],
    [
      ['pkt-gen', '-h'],
      ['-f <function>', '-R <rate>', '--json', 'Examples:'],
    ],
    [
      ['bridge', '--help'],
      ['-i <port>', '--json', 'Example:'],
    ],
    [
      ['sysctl', '--help'],
      ['-d', '-n', '--json', '--loader-conf', 'PTNET_LOADER_CONF', 'DEV_NETMAP_MAX_BRIDGES'],
    ],
    [['run', 'pkt-gen --help'], ['-f <function>']],
  ] as const) {
    test(`ptnet ${args.join(' ')}`, async () => {
      const { code, out, err } = await ptnet(args);
      assert.deepEqual([code, err], [0, '']);
      for (const word of words) assert.ok(out.includes(word), `${word} in\n${out}`);
    });
  }

  test('ptnet --version', async () => {
    const { version } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8'));
    assert.deepEqual(await ptnet(['--version']), { code: 0, out: `${version}\n`, err: '' });
  });
});
