// The socket backends beside bare loops in C, and a switch of two of them beside vde_switch, in the same run:
// node build/ts/bench/sockets/main.js [--rounds N] [--time MS]
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { abi, Netmap, type NetmapPort } from 'ptnet';
import { type BackendPort, openBackend } from 'ptnet/backends';
import { makeFolder, tie } from '../machine/children.js';
import { vdeSwitch } from '../machine/switched.js';
import { buildNative } from '../native.js';
import { median } from '../results.js';
import { Absent } from '../types.js';

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));
const BINARY = join(ROOT, 'build/bench/socket');
const SIZES = [60, 1500];
/** Bytes of frames in a sender's system call: one frame, as QEMU does, and many. */
const WRITES = [0, 65536];

const { values } = parseArgs({ options: { rounds: { type: 'string' }, time: { type: 'string' } } });
const rounds = Number(values.rounds ?? 3);
const ms = Number(values.time ?? 1000);
const folder = makeFolder();

function build(): void {
  mkdirSync(join(ROOT, 'build/bench'), { recursive: true });
  const source = join(ROOT, 'bench/native/socket.c');
  const { status, stderr } = spawnSync('gcc', ['-O3', '-march=native', '-Wall', '-o', BINARY, source]);
  if (status !== 0) throw new Error(`gcc: ${stderr}`);
}

/** Starts the program of the other ends. */
const other = (...args: readonly (string | number)[]): ChildProcess =>
  tie(spawn(BINARY, args.map(String), { stdio: ['ignore', 'pipe', 'inherit'] }));

/** The rate that it prints. */
async function rateOf(child: ChildProcess): Promise<number> {
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (part: string) => (text += part));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error('the other end has failed');
  return Number(text);
}

async function withHost<T>(paths: readonly string[], work: (n: Netmap, b: BackendPort[]) => Promise<T>): Promise<T> {
  const netmap = await Netmap.create();
  const backends: BackendPort[] = [];
  try {
    for (const path of paths) backends.push(await openBackend(netmap, `qemu:unix:${path}`));
    return await work(netmap, backends);
  } finally {
    for (const backend of backends) await backend.close();
    await netmap.close();
  }
}

/** Packets a second that a program gets out of the interface. */
const receiving = (size: number, write: number): Promise<number> => {
  const path = join(folder, 'rx');
  return withHost([path], async (netmap, [backend]) => {
    const port = await netmap.open(`netmap:${backend.name}`);
    const sender = other('send', path, size, 2 * ms, write);
    const [ring] = port.rxRings;
    let packets = 0;
    let start = 0;
    while (start === 0 || performance.now() - start < ms) {
      await port.poll(abi.POLLIN, { timeout: 5000 });
      packets += ring.space;
      ring.advance(ring.space);
      if (start === 0) {
        start = performance.now();
        packets = 0;
      }
    }
    const rate = (packets * 1000) / (performance.now() - start);
    const ended = once(sender, 'close');
    sender.kill();
    await ended;
    return rate;
  });
};

function fill(port: NetmapPort, size: number): void {
  const [{ i32, slotBase, numSlots, head, space }] = port.txRings;
  for (let k = 0, i = head; k < space; k++, i = i + 1 === numSlots ? 0 : i + 1) i32[slotBase + (i << 2) + 1] = size;
  port.txRings[0].advance(space);
}

/** Packets a second that the other end gets when a program sends all it can. */
const sending = (size: number): Promise<number> => {
  const path = join(folder, 'tx');
  return withHost([path], async (netmap, [backend]) => {
    const port = await netmap.open(`netmap:${backend.name}`);
    const receiver = other('recv', path, ms);
    let isOver = false;
    const rate = rateOf(receiver).finally(() => {
      isOver = true;
    });
    while (backend.state !== 'up') await sleep(1);
    while (!isOver) {
      await port.poll(abi.POLLOUT, { timeout: 100 });
      fill(port, size);
      port.txsync();
      await new Promise((resolve) => setImmediate(resolve));
    }
    return rate;
  });
};

/** Packets a second from one socket to another through the switch. */
const switching = (size: number, write: number): Promise<number> => {
  const paths = ['a', 'b'].map((name) => join(folder, name));
  return withHost(paths, async (netmap, backends) => {
    for (const { name } of backends) await netmap.valeAttach(`vale0:${name}`);
    const rate = rateOf(other('recv', paths[1], ms));
    while (backends[1].state !== 'up' || (await backends[1].counters()).rxPackets === 0) await sleep(1);
    const sender = other('send', paths[0], size, 2 * ms, write);
    const ended = once(sender, 'close');
    const result = await rate;
    sender.kill();
    await ended;
    return result;
  });
};

/** Names what the machine does not have. */
function absent(error: unknown): undefined {
  if (!(error instanceof Absent)) throw error;
  console.error(`absent: ${error.message}`);
}

type Contender = readonly [name: string, measure: () => Promise<number>];

/** Contenders take turns; prints medians, and what ours are of the last one. */
async function compare(title: string, contenders: readonly Contender[]): Promise<void> {
  const rates = contenders.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, [, measure]] of contenders.entries()) rates[i].push(await measure());
  }
  const reference = median(rates.at(-1) ?? []);
  for (const [i, [name]] of contenders.entries()) {
    const rate = median(rates[i]);
    const low = (Math.min(...rates[i]) / 1e6).toFixed(2);
    const high = (Math.max(...rates[i]) / 1e6).toFixed(2);
    const ratio = i < contenders.length - 1 ? `${(rate / reference).toFixed(2)} x` : '';
    console.log(
      `${title.padEnd(36)}${name.padEnd(22)}${(rate / 1e6).toFixed(2).padStart(7)} Mpps (${low}-${high}) ${ratio}`,
    );
  }
}

build();
const native = buildNative();
for (const size of SIZES) {
  for (const write of WRITES) {
    const title = `${size} B, ${write === 0 ? 'one frame' : `${write / 1024} KiB`} a write`;
    const bare = (): Promise<number> => rateOf(other('pair', size, ms, write));
    await compare(`receive, ${title}`, [
      ['qemu:unix', () => receiving(size, write)],
      ['C', bare],
    ]);
  }
  await compare(`transmit, ${size} B`, [
    ['qemu:unix', () => sending(size)],
    ['C, 64 KiB a write', () => rateOf(other('pair', size, ms, 65536))],
  ]);
  const switched = await vdeSwitch(native, size).catch(absent);
  await compare(`switch of two, ${size} B`, [
    ['qemu:unix, one a write', () => switching(size, 0)],
    ['qemu:unix, 64 KiB', () => switching(size, 65536)],
    ...(switched ? [[switched.name, async () => 1e9 / (await switched.run(ms / 1000)).value] as const] : []),
  ]);
  await switched?.close();
}
