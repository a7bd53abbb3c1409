// vale-ctl, interfaces of a run, round trips, and the letters of pkt-gen and bridge that need more than one program.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { writePcap } from 'ptnet';
import { project, type RunResult, root, run } from './support.js';

const LIMIT = 60;
const CLI = join(root, 'dist/cli.js');

interface Report {
  readonly index: number;
  readonly function: string | null;
  readonly packets: number;
  readonly bytes: number;
  readonly drops: Record<string, number>;
  readonly latency: { min: number; avg: number; p50: number; p99: number; max: number; lost: number } | null;
  readonly output: string[];
  readonly errors: string[];
}

const ptnet = (...args: string[]): Promise<RunResult> => run(process.execPath, [CLI, ...args], { limit: LIMIT });

/** Runs programs; their reports in their order. */
async function reports(args: readonly string[], code = 0): Promise<Report[]> {
  const result = await ptnet('run', '--json', ...args);
  assert.equal(result.code, code, result.report);
  const found = result.stdout.trimEnd().split('\n');
  return found.map((line) => JSON.parse(line) as Report).sort((a, b) => a.index - b.index);
}

describe('vale-ctl', () => {
  test('makes a persistent port, puts it on a switch, lists it, takes it away', async () => {
    const [made, receiver, listed, sender, one, gone, after] = await reports([
      'vale-ctl -n per0 -C 128,256,2 -a vale0:per0 -g vale0:per0',
      'pkt-gen -i netmap:per0 -f rx -n 100',
      'vale-ctl',
      'pkt-gen -i vale0:a -f tx -n 100 -w 0.1',
      'vale-ctl -l vale0:per0 -l vale0:nobody',
      'vale-ctl -n per1 -a vale1:per1 -d vale1:per1 -r per1',
      'vale-ctl -l vale0:a',
    ]);
    assert.equal(made.output.length, 3);
    assert.match(made.output[0], /^per0: tx 2 x 128, rx 2 x 256, mem id \d+$/);
    assert.deepEqual(made.output.slice(1), ['vale0:per0: attached as port 0', 'vale0:per0: tx 2 x 128, rx 2 x 256']);
    assert.deepEqual(listed.output, ['bridge:0 port:0 vale0:per0']);
    assert.deepEqual([sender.packets, receiver.packets], [100, 100]);
    assert.deepEqual(one.output, ['bridge:0 port:0 vale0:per0', 'bridge:0 port:255 vale0:nobody']);
    assert.deepEqual(gone.output.slice(1), [
      ...['vale1:per1: attached as port 0', 'vale1:per1: detached, it was port 0', 'per1: removed'],
    ]);
    assert.match(after.output[0], /^bridge:0 port:(1|255) vale0:a$/); // the sender may have ended
  });

  test('a failure is told, and what comes after it is not started', async () => {
    const [failed, next] = await reports(['vale-ctl -l -a vale0:eth7', 'vale-ctl'], 1);
    assert.match(failed.errors[0], /^EINVAL: there is no interface 'eth7'/);
    assert.match(next.errors[0], /ECANCELED/);
  });

  test('alone, it acts on a host that ends with it', async () => {
    for (let i = 0; i < 2; i++) {
      const { code, stdout, report } = await ptnet('vale-ctl', '-n', 'per0', '-l');
      assert.equal(code, 0, report);
      assert.match(stdout, /^\[1\] vale-ctl\n {4}per0: tx 1 x 1024, rx 1 x 1024, mem id \d+\n$/);
    }
    const help = await ptnet('vale-ctl', '--help');
    assert.match(help.stdout, /a host of its own, which ends with the command/);
  });

  test('has loop workers poll an interface, and ends that', async () => {
    const letters = '-a vale0:eth0 -p vale0:eth0 -C 0,3';
    const run = ['--interface', 'eth0,eth1', `vale-ctl ${letters}`];
    const [ctl, receiver, sender] = await reports([
      ...['--threads', '1', ...run],
      'pkt-gen -i vale0:a -f rx -n 100',
      'pkt-gen -i netmap:eth1 -f tx -n 100 -w 0.1',
    ]);
    assert.deepEqual(ctl.output, ['vale0:eth0: attached as port 0', 'vale0:eth0: polled']);
    assert.deepEqual([sender.packets, receiver.packets], [100, 100]);
    const [ended] = await reports(['--threads', '1', ...run.slice(0, 2), `${run[2]} -P vale0:eth0 -d vale0:eth0`]);
    assert.deepEqual(ended.output.slice(2), [
      ...['vale0:eth0: not polled any more', 'vale0:eth0: detached, it was port 0'],
    ]);
    const [refused] = await reports(run, 1);
    assert.match(refused.errors[0], /^EOPNOTSUPP: .*loop workers/);
  });

  test('bad usage is refused before anything runs', async () => {
    for (const [args, message] of [
      [['vale-ctl', '-C', '8'], /-C goes with -n, or with -p/],
      [['vale-ctl', '-p', 'vale0:a', '-C', '2,0'], /-C 2,0: It must be 0,CPU or 1,CPU/],
      [['run', '--interface', 'a,b,c', 'vale-ctl'], /a cable has two ends/],
    ] as const) {
      const { code, stderr, report } = await ptnet(...args);
      assert.equal(code, 2, report);
      assert.match(stderr, message);
    }
  });
});

describe('interfaces of a run', () => {
  test('a NIC and its host rings are attached', async () => {
    const [{ output }] = await reports(['--interface', 'eth0', 'vale-ctl -h vale0:eth0 -l']);
    assert.deepEqual(output, [
      ...['vale0:eth0: attached as port 0', 'bridge:0 port:0 vale0:eth0', 'bridge:0 port:1 vale0:eth0^'],
    ]);
  });

  test('two are joined by a cable', async () => {
    const [rx, tx] = await reports([
      ...['--interface', 'eth0,eth1'],
      ...['pkt-gen -i netmap:eth1 -f rx -n 500', 'pkt-gen -i netmap:eth0 -f tx -n 500'],
    ]);
    assert.deepEqual([rx.packets, tx.packets], [500, 500]);
  });
});

describe('ping and pong', () => {
  for (const [where, pong, ping] of [
    ['on the host, over a switch', 'pkt-gen -i vale0:b', 'pkt-gen -i vale0:a'],
    ['in guests, over a pipe', 'guest netmap:p}1 pkt-gen', 'guest netmap:p{1 pkt-gen'],
  ]) {
    test(`${where}: all come back, and the times are in order`, async () => {
      const [answered, got] = await reports([`${pong} -f pong`, `${ping} -f ping -n 500 -l 200`]);
      assert.deepEqual([answered.function, answered.packets, answered.bytes], ['pong', 500, 100_000]);
      assert.deepEqual([got.function, got.packets, got.bytes], ['ping', 500, 100_000]);
      assert.equal(answered.latency, null);
      const { min, avg, p50, p99, max, lost } = got.latency as NonNullable<Report['latency']>;
      assert.equal(lost, 0);
      assert.ok(min > 0 && min <= p50 && p50 <= p99 && p99 <= max && min <= avg && avg <= max, JSON.stringify(got));
    });
  }

  test('without a pong, pings are lost after a second', async () => {
    const [ping] = await reports(['pkt-gen -i vale0:a -f ping -n 1']);
    assert.deepEqual([ping.packets, ping.latency], [0, null]);
  });

  test('a bridge that loops answers too', async () => {
    const { code, stdout, report } = await ptnet(
      ...['run', 'bridge -i netmap:p}1 -L -v -c', 'pkt-gen -i netmap:p{1 -f ping -n 50'],
    );
    assert.equal(code, 0, report);
    assert.match(stdout, /netmap:p}1 to netmap:p}1: 50\n/);
    assert.match(stdout, /got back 50 packets[\s\S]*round trips: min [\d.]+ µs; avg .*; lost 0\n/);
  });
});

describe('pkt-gen', () => {
  test('-p: threads with a ring each share the count', async () => {
    const [rx, ...threads] = await reports([
      'pkt-gen -i vale0:b -f rx',
      'pkt-gen -i vale0:a -f tx -n 3001 -R 30000 -p 3',
    ]);
    assert.deepEqual(
      threads.map(({ packets }) => packets),
      [1000, 1000, 1001],
    );
    const lost = threads.reduce((n, { drops }) => n + drops.noSpace, 0);
    assert.equal(rx.packets + lost, 3001);
  });

  test('-P sends the first frame of a capture, and -X dumps it', async () => {
    const data = Uint8Array.from({ length: 64 }, (_, i) => i + 2);
    const file = join(project(), 'one.pcap');
    writeFileSync(file, writePcap([{ data, seconds: 0, nanoseconds: 0, originalLength: 64 }]));
    const { code, stdout, stderr, report } = await ptnet(
      ...['run', 'pkt-gen -i netmap:p}1 -f rx -n 2 -X', `pkt-gen -i netmap:p{1 -f tx -n 2 -P ${file}`],
    );
    assert.equal(code, 0, report);
    assert.match(stdout, /received 2 packets, 128 bytes/);
    assert.equal(stderr.match(/ {4}0: 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 11/g)?.length, 2, stderr);
  });

  test('-l twice makes random sizes, and -W ends a receiver that finds nothing', async () => {
    const [rx, tx] = await reports([
      'pkt-gen -i netmap:p}1 -f rx -n 400',
      'pkt-gen -i netmap:p{1 -f tx -n 400 -l 100 -l 60',
    ]);
    assert.equal(rx.bytes, tx.bytes);
    assert.ok(tx.bytes > 400 * 65 && tx.bytes < 400 * 95, `${tx.bytes}`);
    const [idle] = await reports(['pkt-gen -i vale0:a -f rx -W']);
    assert.equal(idle.packets, 0);
  });
});
