// replay, capture and switch, as their users run them: dist/cli.js in a child process.
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { type PcapFrame, readPcap, writePcap } from 'ptnet';
import { findProgram, root, run } from './support.js';

const CLI = join(root, 'dist/cli.js');
const WIRE = join(root, 'tests/data/real-wire.pcap');
const GSO = join(root, 'tests/data/real-gso.pcap');
const folder = mkdtempSync(join(tmpdir(), 'ptnet-capture-'));
after(() => rmSync(folder, { recursive: true }));
const tshark = findProgram('PTNET_TSHARK', 'tshark');
const hasFull = process.platform === 'linux';

const ptnet = (...args: readonly string[]) => run(process.execPath, [CLI, ...args], { cwd: folder, limit: 60 });
const framesOf = (file: string): readonly PcapFrame[] => readPcap(readFileSync(join(folder, file))).frames;
const bytesOf = (frames: readonly PcapFrame[]): Buffer[] => frames.map(({ data }) => Buffer.from(data));

interface Report {
  readonly packets: number;
  readonly bytes: number;
  readonly drops: Record<string, number>;
  readonly errors: string[];
  readonly output: string[];
}

async function reports(code: number, ...programs: readonly string[]): Promise<Report[]> {
  const outcome = await ptnet('run', '--json', ...programs);
  assert.equal(outcome.code, code, outcome.report);
  const lines = outcome.stdout.trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line)).sort((a, b) => a.index - b.index);
}

describe('replay and capture', () => {
  for (const [file, name] of [
    [WIRE, 'out.pcap'],
    [WIRE, 'out.pcapng'],
    [GSO, 'gso.pcapng'],
  ] as const) {
    test(`a pipe copies a capture frame for frame: ${name}`, async () => {
      const { frames } = readPcap(readFileSync(file));
      const count = frames.length;
      const bytes = frames.reduce((sum, { data }) => sum + data.length, 0);
      const done = await reports(0, `capture -i netmap:p}1 -w ${name} -n ${count}`, `replay -i netmap:p{1 -r ${file}`);
      for (const { packets, bytes: counted, drops } of done) {
        assert.deepEqual([packets, counted, Object.values(drops).some(Boolean)], [count, bytes, false]);
      }
      assert.deepEqual(bytesOf(framesOf(name)), bytesOf(frames));
    });
  }

  test('a capture of both ways is dropped by the learning table, and with --src it is not', async () => {
    const count = readPcap(readFileSync(WIRE)).frames.length;
    const capture = 'capture -i vale0:b -w vale.pcap';
    const replay = `replay -i vale0:a -r ${WIRE} --pps 20000`;
    const [received, sent] = await reports(0, capture, replay);
    assert.equal(sent.packets, count);
    assert.ok(sent.drops.self > 1000);
    assert.equal(received.packets + sent.drops.self + sent.drops.noSpace, count);
    const text = (await ptnet('run', capture, replay)).stdout;
    assert.match(text, /\[2\] replay vale0:a: sent 1173 packets[\s\S]*drops: self 11\d\d/);
    const [all] = await reports(0, capture, `${replay} --src 02:00:00:00:00:01`);
    assert.equal(all.packets, count);
    assert.ok(framesOf('vale.pcap').every(({ data }) => data[6] === 2 && data[11] === 1));
  });

  test('--realtime keeps the times of the capture', async () => {
    const frames = Array.from({ length: 100 }, (_, i) => ({
      data: new Uint8Array(60).fill(0xff, 0, 6),
      seconds: 1000,
      nanoseconds: i * 7_000_000,
      originalLength: 60,
    }));
    writeFileSync(join(folder, 'timed.pcap'), writePcap(frames));
    const [, sent] = await reports(0, 'capture -i vale0:b -w got.pcap', 'replay -i vale0:a -r timed.pcap --realtime');
    assert.match(sent.output[0], /^\d+ of 100 frames within 50 µs of their time, the latest [\d.]+ µs after it$/);
    const at = framesOf('got.pcap').map(({ seconds, nanoseconds }) => seconds * 1e3 + nanoseconds / 1e6);
    assert.equal(at.length, 100);
    // No frame early; how late depends on what else the machine does.
    assert.ok(at[99] - at[0] > 500 && at[99] - at[0] < 2000, `${at[99] - at[0]} ms`);
  });

  test('a file that cannot be written does not stop the others', { skip: !hasFull && 'needs /dev/full' }, async () => {
    const [captured, sent] = await reports(
      1,
      'capture -i netmap:p}1 -w /dev/full -n 1173',
      `replay -i netmap:p{1 -r ${WIRE}`,
    );
    assert.deepEqual([captured.packets, captured.drops.error], [0, 1173]);
    assert.match(captured.errors[0], /^ENOSPC: \/dev\/full: no space left on device/);
    assert.deepEqual([sent.packets, sent.errors], [1173, []]);
  });

  test('a capture whose file cannot be made fails before the next program starts', async () => {
    const [captured, sent] = await reports(
      1,
      'capture -i netmap:p}1 -w missing/x.pcap',
      `replay -i netmap:p{1 -r ${WIRE}`,
    );
    assert.match(captured.errors[0], /^ENOENT: missing\/x\.pcap/);
    assert.deepEqual([sent.packets, sent.errors.length], [0, 1]);
    assert.match(sent.errors[0], /program 1 failed/);
  });

  test('files that are none, and bad letters', async () => {
    writeFileSync(join(folder, 'none.pcap'), 'no capture at all');
    for (const [args, code, message] of [
      [['replay', '-i', 'vale0:a', '-r', 'none.pcap'], 1, /EINVAL: no pcap magic number at offset 0.*none\.pcap/],
      [['replay', '-i', 'vale0:a', '-r', 'missing.pcap'], 1, /ENOENT: missing\.pcap: no such file/],
      [['capture', '-i', 'vale0:a', '-w', 'missing/x.pcap'], 1, /ENOENT: missing\/x\.pcap: no such file/],
      [['replay', '-i', 'vale0:a'], 2, /replay needs a capture: -r FILE/],
      [['capture', '-i', 'vale0:a'], 2, /capture needs a file: -w FILE/],
      [['replay', '-i', 'vale0:a', '-r', 'x', '--pps', '5', '--realtime'], 2, /--realtime\) or a rate/],
      [['replay', '-r', 'x'], 2, /replay needs a port/],
    ] as const) {
      const outcome = await ptnet(...args);
      assert.equal(outcome.code, code, outcome.report);
      assert.match(outcome.stdout + outcome.stderr, message);
    }
  });
});

/** Two sockets that a port of a switch is between. */
async function datagrams(): Promise<{ socket: Socket; local: number; spec: string }> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  const other = createSocket('udp4').bind(0, '127.0.0.1');
  await Promise.all([once(socket, 'listening'), once(other, 'listening')]);
  const local = (other.address() as AddressInfo).port;
  other.close();
  await once(other, 'close');
  return { socket, local, spec: `qemu:dgram:${local}:${socket.address().port}` };
}

/** Lines of JSON that a running switch prints. */
class Lines {
  readonly child: ChildProcess;
  readonly all: { event: string; state?: string; name?: string }[] = [];
  #text = '';
  #wake: () => void = () => {};

  constructor(args: readonly string[]) {
    this.child = spawn(process.execPath, [CLI, 'switch', ...args], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (this.#text + text).split('\n');
      this.#text = lines.pop() ?? '';
      this.all.push(...lines.map((line) => JSON.parse(line)));
      this.#wake();
    });
    this.child.once('close', () => this.#wake());
  }

  async until(found: (all: Lines['all']) => boolean): Promise<void> {
    const late = setTimeout(() => this.child.kill('SIGKILL'), 20_000);
    while (!found(this.all)) {
      assert.equal(this.child.exitCode ?? this.child.signalCode, null, JSON.stringify(this.all));
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    clearTimeout(late);
  }
}

describe('switch', () => {
  test('two ports and a capture, SIGTERM, totals', async (t) => {
    const [a, b] = [await datagrams(), await datagrams()];
    const ports = [a.spec, b.spec, 'pcapng:switch.pcapng'].flatMap((spec) => ['--port', spec]);
    const lines = new Lines(['--bridge', 'valex', '--interval', '0.2', ...ports]);
    await lines.until((all) => all.filter(({ state }) => state === 'up').length === 3);
    const frame = (to: number, from: number, size: number): Buffer => {
      const bytes = Buffer.alloc(size, 0x88);
      bytes.set([2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from]);
      return bytes;
    };
    const received = { a: 0, b: 0 };
    a.socket.on('message', () => received.a++);
    b.socket.on('message', () => received.b++);
    for (let i = 0; i < 50; i++) {
      a.socket.send(frame(2, 1, 60), a.local, '127.0.0.1');
      b.socket.send(frame(1, 2, 90), b.local, '127.0.0.1');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    a.socket.send(Buffer.alloc(3), a.local, '127.0.0.1');
    await lines.until((all) => JSON.stringify(all.at(-1)).includes('"runt":1'));
    lines.child.kill('SIGTERM');
    const [code] = await once(lines.child, 'close');
    assert.equal(code, 0);
    const end = lines.all.at(-1) as unknown as {
      event: string;
      bridge: string;
      removed: { received: Record<string, unknown>; sent: Record<string, unknown> }[];
      captures: { packets: number; drops: object }[];
      fdb: { mac: string; port: string }[];
    };
    assert.deepEqual([end.event, end.bridge], ['end', 'valex']);
    assert.deepEqual(received, { a: 50, b: 50 });
    assert.deepEqual(
      end.removed.map((port) => [port.received.packets, port.received.accepted, port.received.forwarded]),
      [
        [51, 50, 50],
        [50, 50, 50],
      ],
    );
    for (const { sent } of end.removed) assert.deepEqual([sent.packets, sent.transmitted, sent.waiting], [50, 50, 0]);
    assert.deepEqual(end.fdb.map(({ mac }) => mac).sort(), ['02:00:00:00:00:01', '02:00:00:00:00:02']);
    assert.deepEqual(
      end.captures.map(({ packets, drops }) => [packets, drops]),
      [[100, {}]],
    );
    assert.equal(framesOf('switch.pcapng').length, 100);
    if (tshark.skip) {
      t.diagnostic(`not read by tshark: ${tshark.skip}`);
    } else {
      const fields = ['-e', 'frame.interface_name', '-e', 'frame.packet_flags_direction', '-e', 'frame.len'];
      const args = ['-r', join(folder, 'switch.pcapng'), '-T', 'fields', ...fields];
      const kinds = new Set(execFileSync(tshark.path, args, { encoding: 'utf8' }).trimEnd().split('\n'));
      assert.equal(kinds.size, 2);
      for (const kind of kinds) assert.match(kind, /^qemu\d\t(1|0x0*1)\t(60|90)$/);
    }
    a.socket.close();
    b.socket.close();
  });

  test('what cannot be a port of a switch', async () => {
    for (const [args, message] of [
      [[], /no port: ptnet switch --port SPEC/],
      [['--port', 'vale0:a'], /a port of this command is a backend.*no program could open 'vale0:a'/],
      [['--port', 'qemu:dgram:1:2,slots'], /'slots' is no option/],
      [['--port', 'qemu:dgram:1:2', '--port', 'qemu:dgram:1:2'], /is there twice/],
      [['--bridge', 'br0', '--port', 'qemu:dgram:1:2'], /names of switches start with 'vale'/],
    ] as const) {
      const outcome = await ptnet('switch', ...args);
      assert.equal(outcome.code, 2, outcome.report);
      assert.match(outcome.stderr, message);
    }
    const outcome = await ptnet('switch', '--port', 'nothing:x');
    assert.equal(outcome.code, 1, outcome.report);
    assert.match(outcome.stderr, /there is no backend 'nothing'/);
  });
});
