// What a run shows: live rates, summary, JSON.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { RunOptions } from '../../src/cli/arguments.js';
import { Program, type ProgramReport } from '../../src/cli/program.js';
import { Display, summaryOf, withUnit } from '../../src/cli/report.js';
import { parsePrograms } from '../../src/cli/spec.js';

const REPORT: ProgramReport = {
  index: 1,
  program: 'pkt-gen',
  function: 'tx',
  port: 'netmap:ptnet0',
  guest: 'vale0:a',
  packets: 3000000,
  bytes: 180000000,
  seconds: 1.5,
  mpps: 2,
  drops: { noSpace: 5, short: 0, busy: 1 },
  kicks: 7,
  interrupts: 8,
  latency: null,
  output: [],
  errors: [],
  ports: [],
};

const sink = (isTTY: boolean) => {
  const chunks: string[] = [];
  return { isTTY, write: (text: string) => chunks.push(text), text: () => chunks.join('') };
};

const display = (options: Partial<RunOptions>, isTTY = false) => {
  const [out, err] = [sink(false), sink(isTTY)];
  return { out, err, shown: new Display({ loop: 'direct', ...options }, out, err) };
};

test('numbers have a unit with a prefix', () => {
  assert.equal(withUnit(0, 'pps'), '0 pps');
  assert.equal(withUnit(999, 'pps'), '999 pps');
  assert.equal(withUnit(14203412, 'pps'), '14.203 Mpps');
  assert.equal(withUnit(5e15, 'bps'), '5000.000 Tbps');
});

test('the summary has counts, rates, drops by reason, kicks, interrupts and errors', () => {
  assert.equal(
    summaryOf({ ...REPORT, errors: ['EIO: it broke'] }),
    `[1] pkt-gen tx netmap:ptnet0 (guest vale0:a): sent 3000000 packets, 180000000 bytes in 1.500 s
    2.000 Mpps; 960.000 Mbps; drops: noSpace 5, busy 1; kicks 7; interrupts 8
    failed: EIO: it broke`,
  );
  const bridge = summaryOf({ ...REPORT, program: 'bridge', function: null, guest: null, seconds: 0, drops: {} });
  assert.match(bridge, /^\[1\] bridge netmap:ptnet0: forwarded/);
  assert.match(bridge, /\n {4}drops: none; kicks 7; interrupts 8$/);
});

test('the summary of a ping has its round-trip times, and that of vale-ctl what it has to tell', () => {
  const latency = { min: 1.5, avg: 2, p50: 1.8, p99: 3, max: 40, lost: 2 };
  assert.match(
    summaryOf({ ...REPORT, function: 'ping', latency }),
    /: got back 3000000 packets.*\n.*\n {4}round trips: min 1\.5 µs; avg 2\.0 µs; p50 1\.8 µs; p99 3\.0 µs; max 40\.0 µs; lost 2$/,
  );
  const control = { ...REPORT, program: 'vale-ctl', function: null, output: ['a', 'b'], errors: ['EBUSY: it is open'] };
  assert.equal(summaryOf(control), '[1] vale-ctl\n    a\n    b\n    failed: EBUSY: it is open');
});

describe('a run shows', () => {
  const program = (): Program => new Program(1, parsePrograms('pkt-gen -i vale0:a -f tx -T 10')[0]);

  test('the summary at its end, in the order of the programs', () => {
    const { out, err, shown } = display({});
    shown.begin([]);
    shown.ended(program(), { ...REPORT, index: 2 });
    shown.ended(program(), REPORT);
    assert.equal(out.text(), '');
    shown.finish();
    assert.match(out.text(), /^\[1\][^[]*\[2\]/);
    assert.equal(err.text(), '');
  });

  test('with --json a line for each program when it ends, and errors on the other stream', () => {
    const { out, err, shown } = display({ json: true });
    const failed = program();
    failed.error = new Error('EIO: it broke');
    shown.begin([failed]);
    shown.ended(failed, REPORT);
    assert.deepEqual(JSON.parse(out.text()), REPORT);
    shown.finish();
    assert.equal(out.text().split('\n').length, 2);
    assert.equal(err.text(), 'ptnet: program 1: EIO: it broke\n');
  });

  test('live rates on a terminal, at the interval of -T, until it ends', async () => {
    const { err, shown } = display({}, true);
    const running = program();
    shown.begin([running]);
    shown.started(running);
    running.control.publish(1e6, 6e7);
    await new Promise((resolve) => setTimeout(resolve, 100));
    shown.finish();
    const { length } = err.text();
    assert.match(err.text(), /^\[1\] pkt-gen -i vale0:a -f tx -T 10\n +0\.0 s {2}\[1\] [\d.]+ [MG]pps\n/);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(err.text().length, length);
  });

  test('no live rates with --quiet', async () => {
    const { err, shown } = display({ quiet: true }, true);
    shown.begin([program()]);
    await new Promise((resolve) => setTimeout(resolve, 50));
    shown.finish();
    assert.equal(err.text(), '');
  });
});
