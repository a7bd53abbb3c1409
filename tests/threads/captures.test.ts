// Captures behind interfaces and of switches: what is written and read, a disk that is full for a while, monitors of what is
// on a switch.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SwitchCaptureSnapshot } from '../../src/cli/switch/snapshot.js';
import { Switch } from '../../src/cli/switch/switch.js';
import { abi, type CapturedFrame, CaptureReader, Netmap, readPcap, writePcap } from '../../src/index.js';
import { openBackend } from '../../src/io/backends/backend.js';

const TIMEOUT = { timeout: 60_000 };
// Seen from where the compiled test lies: build/ts/tests/threads.
const WIRE = new URL('../../../../tests/data/real-wire.pcap', import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'ptnet-captures-'));
let unmount = (): void => {};
after(() => {
  unmount();
  rmSync(folder, { recursive: true });
});

function framesOf(path: string): CapturedFrame[] {
  const reader = new CaptureReader();
  reader.push(readFileSync(path));
  const frames: CapturedFrame[] = [];
  for (let frame = reader.next(); frame; frame = reader.next()) frames.push(frame);
  reader.end();
  return frames;
}

const frame = (byte: number, length = 60): Uint8Array => new Uint8Array(length).fill(byte).fill(0xff, 0, 6);

async function until(what: string, met: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 20_000; !(await met()); ) {
    assert.ok(Date.now() < end, what);
    await sleep(10);
  }
}

test('a capture is read at the pace of the receiver, and none of it is lost', TIMEOUT, async (t) => {
  const { frames } = readPcap(readFileSync(WIRE));
  for (const rate of ['', ',rate=2000000']) {
    const netmap = await Netmap.create();
    t.after(() => netmap.close());
    const backend = await openBackend(netmap, `pcap:,read=${WIRE},slots=16,name=c0${rate}`);
    await sleep(50); // nobody has it open: nothing is read
    assert.equal((await backend.counters()).rxPackets, 0);
    const port = await netmap.open('netmap:c0');
    const got: Uint8Array[] = [];
    while (got.length < frames.length) {
      assert.equal(await port.poll(abi.POLLIN, { timeout: 10_000 }), abi.POLLIN);
      got.push(...port.recv());
      if (got.length % 3 === 0) await sleep(0);
    }
    assert.deepEqual(
      got.map(Buffer.from),
      frames.map(({ data }) => Buffer.from(data)),
    );
    await port.send(frame(1)); // there is no file for it
    await until('the drop is counted', async () => (await backend.counters()).txDrops.down === 1);
    await backend.close();
    const { rxPackets, rxTaken, rxDrops, txOffered } = await backend.counters();
    assert.deepEqual([rxPackets, rxTaken, rxDrops, txOffered], [frames.length, frames.length, {}, 1]);
  }
});

test('what an interface transmits is written, and what it receives read, in one backend', TIMEOUT, async (t) => {
  const netmap = await Netmap.create();
  t.after(() => netmap.close());
  const path = join(folder, 'sent.pcapng');
  const source = [{ data: frame(9), seconds: 1, nanoseconds: 2, originalLength: 60 }];
  writeFileSync(join(folder, 'in.pcap'), writePcap(source));
  const backend = await openBackend(netmap, `pcapng:${path},read=${join(folder, 'in.pcap')},snaplen=100`);
  assert.equal(backend.name, 'pcapng0');
  const port = await netmap.open('netmap:pcapng0');
  assert.equal(await port.poll(abi.POLLIN, { timeout: 10_000 }), abi.POLLIN);
  assert.deepEqual(port.recv(), [frame(9)]);
  const before = Date.now() / 1e3 - 60;
  for (const length of [60, 5000]) await port.send(frame(1, length));
  await backend.close();
  const written = framesOf(path);
  assert.deepEqual(
    written.map(({ data, originalLength, direction, interface: { name } }) => [
      data.length,
      originalLength,
      direction,
      name,
    ]),
    [
      [60, 60, 'out', 'pcapng0'],
      [100, 5000, 'out', 'pcapng0'],
    ],
  );
  assert.ok(written.every(({ seconds }) => seconds > before && seconds < before + 120));
  assert.deepEqual(written[0].interface.statistics, { received: 2, dropped: 0 });
  assert.equal((await backend.counters()).txPackets, 2);
});

test('specifications and files that cannot be used are refused', TIMEOUT, async (t) => {
  const netmap = await Netmap.create();
  t.after(() => netmap.close());
  for (const [spec, code, message] of [
    ['pcap:', 'EINVAL', /pcap:FILE writes a capture/],
    ['pcap:x,rate=1', 'EINVAL', /rate and realtime go with read/],
    ['pcap:,read=x,rate=1,realtime=1', 'EINVAL', /either rate or realtime/],
    ['pcap:,read=x,rate=0', 'EINVAL', /rate=0 is no whole number/],
    ['pcap:x,direction=in', 'EINVAL', /no option 'direction'/],
    [`pcap:,read=${folder}/missing`, 'ENOENT', /missing: no such file/],
    [`pcapng:${folder}/missing/x`, 'ENOENT', /no such file/],
    ['stream:x', 'EINVAL', /openStream/],
  ] as const) {
    await assert.rejects(openBackend(netmap, spec), { code, message }, spec);
  }
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  await assert.rejects(openBackend(netmap, `pcap:,read=${pipe}`), { code: 'EINVAL', message: /it is a pipe/ });
  const unread = await openBackend(netmap, `pcap:${pipe}`);
  assert.match(`${unread.state} ${unread.reason}`, /^down .*nobody reads from the pipe/);
  await unread.close();
  const damaged = join(folder, 'damaged.pcap');
  writeFileSync(
    damaged,
    writePcap([{ data: frame(1), seconds: 0, nanoseconds: 0, originalLength: 60 }]).subarray(0, 50),
  );
  const reasons: string[] = [];
  const written = join(folder, 'beside.pcap');
  const backend = await openBackend(netmap, `pcap:${written},read=${damaged},name=d0`, {
    onState: (_, reason) => reasons.push(reason),
  });
  const port = await netmap.open('netmap:d0');
  await port.send(frame(2));
  await until('it is told', () => reasons.some((reason) => /truncated.*offset 40 has 10 of 60 bytes/.test(reason)));
  await port.send(frame(3));
  await backend.close();
  assert.equal((await backend.counters()).restarts, 0);
  assert.equal(readPcap(readFileSync(written)).frames.length, 2, 'what is written does not suffer');
});

test('a capture into a pipe waits for readers, and for none of them for ever', TIMEOUT, async () => {
  const path = join(folder, 'live');
  execFileSync('mkfifo', [path]);
  const netmap = await Netmap.create();
  const events: string[] = [];
  const network = new Switch(netmap, 'vale0', ({ event, state, reason }) => {
    if (event === 'capture') events.push(`${state} ${reason}`);
  });
  try {
    await network.add(`pcapng:${path},direction=both`);
    await until('it is told', () => /^down .*nobody reads from the pipe/.test(events[0] ?? ''));
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    await until('it is written', () => events.at(-1) === 'up ');
    const head = new Uint8Array(4);
    assert.equal(readSync(reader, head), 4);
    assert.deepEqual([...head], [0x0a, 0x0d, 0x0d, 0x0a], 'from its start on');
    await network.add(`pcap:,read=${WIRE},name=in`);
    // It does not read on: more than a pipe holds.
    const out = await netmap.open('vale0:out');
    await until('it is told', async () => {
      for (let i = 0; i < 200; i++) out.trySend(new Uint8Array(1514).fill(0xff));
      out.txsync();
      return /nobody has read from the pipe/.test(events.at(-1) ?? '');
    });
    await out.close();
    closeSync(reader);
    const since = performance.now();
    await network.close();
    assert.ok(performance.now() - since < 5000);
    assert.equal(events.at(-1), 'closed ');
  } finally {
    await netmap.close();
  }
});

function whyNoSmallDisk(): string | false {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs root on Linux, for a small file system';
  const disk = join(folder, 'disk');
  mkdirSync(disk);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'ptnet', disk], { stdio: 'ignore' });
    unmount = () => void execFileSync('umount', ['-l', disk]);
    return false;
  } catch {
    return 'cannot mount a tmpfs';
  }
}

test('a full disk under a capture of a switch: counted, told, tried again; the switch goes on', {
  ...TIMEOUT,
  skip: whyNoSmallDisk(),
}, async () => {
  const disk = join(folder, 'disk');
  const netmap = await Netmap.create();
  const events: string[] = [];
  const network = new Switch(netmap, 'vale0', ({ event, state, reason }) => {
    if (event === 'capture') events.push(`${state} ${reason}`);
  });
  const path = join(disk, 'full.pcapng');
  const name = await network.add(`pcapng:${path}`);
  const frames = Array.from({ length: 3000 }, (_, i) => ({
    data: frame(i & 0xff, 1000),
    seconds: 0,
    nanoseconds: 0,
    originalLength: 1000,
  }));
  const source = join(folder, 'source.pcap');
  writeFileSync(source, writePcap(frames));
  const capture = async (): Promise<SwitchCaptureSnapshot | undefined> =>
    (await network.snapshot()).captures.find((one) => one.name === name);
  const filler = join(disk, 'filler');
  writeFileSync(filler, new Uint8Array(600_000));
  await network.add(`pcap:,read=${source},rate=20000,name=one`);
  await until('all is sent', async () => (await network.snapshot()).ports[0].received.accepted === frames.length);
  await sleep(500); // the capture is a little behind, as is a port's first moment
  const full = await capture();
  assert.ok((full?.drops.error ?? 0) > 0 && (full?.packets ?? 0) > 0, JSON.stringify(full));
  assert.ok(
    events.some((event) => /^down ENOSPC: .*full\.pcapng: no space left/i.test(event)),
    events.join('; '),
  );
  assert.equal(framesOf(path).length, full?.packets);
  rmSync(filler);
  await network.remove('one');
  writeFileSync(source, writePcap(frames.slice(0, 10)));
  await until('it is written again', async () => {
    const port = await network.add(`pcap:,read=${source},name=two`);
    await sleep(300);
    await network.remove(port);
    const now = await capture();
    return now?.state === 'up' && now.packets > (full?.packets ?? 0); // it may be up again with the statistics
  });
  const totals = await network.close();
  const [ended] = totals.captures;
  assert.ok(ended.packets > (full?.packets ?? 0));
  assert.equal(framesOf(path).length, ended.packets);
  assert.equal(totals.removed.find((port) => port.name === 'one')?.received.accepted, 3000);
});

test('a capture whose worker ends by itself is down, and its switch goes on', TIMEOUT, async (t) => {
  const netmap = await Netmap.create();
  t.after(() => netmap.close());
  const spawn = netmap.spawn.bind(netmap);
  let kill: (() => void) | undefined;
  netmap.spawn = async (...args) => {
    const worker = await spawn(...args);
    kill ??= () => worker.terminate(); // the first one is the capture's
    return worker;
  };
  const events: string[] = [];
  const network = new Switch(netmap, 'vale0', ({ event, state }) => events.push(`${event} ${state}`));
  await network.add(`pcapng:${join(folder, 'killed.pcapng')},name=killed`);
  const capture = async () => (await network.snapshot()).captures[0];
  await until('it is written', async () => (await capture()).state === 'up');
  kill?.();
  await until('it is down', async () => (await capture()).state === 'down');
  assert.match((await capture()).reason, /the capture has ended/);
  assert.equal(await network.add(`qemu:unix:${join(folder, 'q.sock')},name=q`), 'q');
  await network.remove('killed');
  assert.deepEqual((await network.close()).captures[0].state, 'closed');
  assert.deepEqual(
    events.filter((event) => event.startsWith('capture')),
    ['capture up', 'capture down', 'capture down', 'capture closed'],
  );
});

test('interfaces on a switch have monitors, which go with them', TIMEOUT, async (t) => {
  const netmap = await Netmap.create();
  t.after(() => netmap.close());
  const [eth0, eth1] = [await netmap.addInterface('eth0'), await netmap.addInterface('eth1')];
  await netmap.valeAttach('vale0:eth0');
  await netmap.valeAttach('vale0:eth1');
  const [sent, received] = [await netmap.open('vale0:eth0/t'), await netmap.open('vale0:eth1/r')];
  const turn = async (byte: number): Promise<number[]> => {
    await eth0.wire.send(frame(byte));
    eth1.wire.rxsync();
    assert.deepEqual(eth1.wire.recv(), [frame(byte)]);
    const counts = [sent, received].map((monitor) => {
      monitor.rxsync();
      return monitor.recv().length;
    });
    eth1.wire.rxsync();
    return counts;
  };
  assert.deepEqual(await turn(1), [1, 1]);
  await netmap.valeDetach('vale0:eth1');
  await netmap.valeAttach('vale0:eth1');
  await netmap.valeDetach('vale0:eth0');
  await netmap.valeAttach('vale0:eth0');
  assert.deepEqual(await turn(2), [1, 1], 'on another switch, or the same one again');
  await assert.rejects(netmap.open('vale0:eth7/r'), { code: 'EINVAL' });
  await netmap.removeInterface('eth0');
  assert.equal(await sent.poll(abi.POLLIN), abi.POLLERR);
  await eth1.close();
  assert.equal(await received.poll(abi.POLLIN), abi.POLLERR);
  for (const port of [sent, received]) await port.close();
});
