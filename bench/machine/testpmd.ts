// DPDK's testpmd, where it is installed: two processes of it, one that sends and one that receives, over memif or
// vhost-user, each with a core of its own and without huge pages. A frame is copied once on the way, as by a switch.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { median } from '../results.js';
import { Absent, type Run, type TimedContender } from '../types.js';
import { makeFolder, removeFolder, tie } from './children.js';
import { needProgram } from './find.js';

/** Periods (s) that are dropped: the connection is made, caches and clocks warm up. */
const WARM_UP = 2;
/** Longest time (s) until all periods of a run have been seen. */
const LIMIT = 25;

/** One process, which says every second what it has received and sent. */
class Testpmd {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #text = '';

  /** @param folder where DPDK keeps its files, too */
  constructor(program: string, args: readonly string[], folder: string) {
    const env = { ...process.env, RUNTIME_DIRECTORY: folder };
    this.#child = tie(spawn(program, [...args], { stdio: ['pipe', 'pipe', 'pipe'], env }));
    this.#ended = new Promise((resolve) => this.#child.once('close', resolve));
    const note = (chunk: Buffer): void => {
      this.#text += chunk;
    };
    this.#child.stdout?.on('data', note);
    this.#child.stderr?.on('data', note);
  }

  /** Packets a second in each period of each port, the first ones left out. */
  rates(ports: number): number[] {
    const rates = [...this.#text.matchAll(/Rx-pps:\s+(\d+)/g)].map(([, rate]) => Number(rate));
    return rates.filter((rate) => rate > 0).slice(ports * WARM_UP);
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGINT');
    const kill = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
    await this.#ended;
    clearTimeout(kill);
  }
}

/** What `measured` receives in each period of each port; stops all processes. @throws Absent when it receives nothing */
async function measure(
  name: string,
  processes: readonly Testpmd[],
  measured: Testpmd,
  ports: number,
  seconds: number,
): Promise<number[]> {
  const rates = (): number[] => measured.rates(ports).slice(0, ports * Math.ceil(seconds));
  for (let ms = 0; ms < 1000 * (LIMIT + seconds); ms += 100) {
    if (rates().length === ports * Math.ceil(seconds) || processes.some(({ hasEnded }) => hasEnded)) break;
    await pause(100);
  }
  for (const process of processes) await process.stop();
  if (rates().length === 0) throw new Absent(`${name}: nothing was received`);
  return rates();
}

type Mode = 'txonly' | 'rxonly' | 'macswap';

const common = (core: number, prefix: string): string[] => [
  '--no-huge',
  '-m',
  '256',
  '--no-pci',
  `--lcores=0@${core},1@${core}`,
  `--file-prefix=${prefix}`,
];
const rest = (mode: Mode, size: number): string[] => [
  '--',
  `--forward-mode=${mode}`,
  '--auto-start',
  '--stats-period=1',
  '--total-num-mbufs=16384',
  '--nb-cores=1',
  ...(mode === 'txonly' ? [`--txpkts=${Math.max(64, size)}`] : []),
];

interface Side {
  readonly device: string;
  readonly mode: Mode;
}

/** The side that makes the socket first, then the one that connects to it. */
type Sides = (socket: string) => readonly [Side, Side];

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const testpmdFor = (name: string): string => needProgram('dpdk-testpmd', name, 'dpdk-dev');

/** A contender whose runs start anew, in a folder of their own. */
function slow(name: string, measureIn: (folder: string, seconds: number) => Promise<Run>): TimedContender {
  const run = async (seconds: number): Promise<Run> => {
    const folder = makeFolder();
    try {
      return await measureIn(folder, seconds);
    } finally {
      removeFolder(folder);
    }
  };
  return { name, slow: true, run, close: async () => {} };
}

function contender(name: string, size: number, sidesOf: Sides): TimedContender {
  const program = testpmdFor(name);
  return slow(name, async (folder, seconds) => {
    const processes: Testpmd[] = [];
    const socket = join(folder, 's');
    const sides = sidesOf(socket);
    for (const [core, { device, mode }] of sides.entries()) {
      for (let ms = 0; core > 0 && ms < 1000 * LIMIT && !existsSync(socket); ms += 50) await pause(50);
      const args = [...common(core, `ptnet${process.pid}${core}`), `--vdev=${device}`, ...rest(mode, size)];
      processes.push(new Testpmd(program, args, folder));
    }
    const receiver = processes[sides.findIndex(({ mode }) => mode === 'rxonly')];
    const rates = await measure(name, processes, receiver, 1, seconds);
    return { value: 1e9 / median(rates) };
  });
}

export const memifContender = async (size: number): Promise<TimedContender> =>
  contender('testpmd memif', size, (socket) => [
    { device: `net_memif0,role=server,socket=${socket},socket-abstract=no`, mode: 'txonly' },
    { device: `net_memif0,role=client,socket=${socket},socket-abstract=no`, mode: 'rxonly' },
  ]);

/** The guest's side of virtio sends, the host's receives. */
export const vhostContender = async (size: number): Promise<TimedContender> =>
  contender('testpmd vhost', size, (socket) => [
    { device: `net_vhost0,iface=${socket},queues=1`, mode: 'rxonly' },
    { device: `net_virtio_user0,path=${socket},queues=1,queue_size=1024`, mode: 'txonly' },
  ]);

/** Two ports of one process on one core, which exchanges the addresses of each frame. */
function oneCore(name: string, size: number, devices: readonly string[], more: readonly string[] = []): TimedContender {
  const program = testpmdFor(name);
  return slow(name, async (folder, seconds) => {
    const args = [...common(1, `ptnet${process.pid}o`), ...devices.map((device) => `--vdev=${device}`)];
    const forwarder = new Testpmd(program, [...args, ...rest('macswap', size), ...more], folder);
    // Two ports a period: each forwards what the other receives.
    const rates = await measure(name, [forwarder], forwarder, 2, seconds);
    return { value: 1e9 / (2 * median(rates)) };
  });
}

export const nullContender = async (size: number): Promise<TimedContender> => {
  const device = (i: number): string => `net_null${i},size=${Math.max(64, size)},copy=1`;
  return oneCore('testpmd null, copy', size, [device(0), device(1)]);
};

/** Frames stay where they are: some mbufs, sent at the start, go round between two rings. */
export const ringContender = async (size: number): Promise<TimedContender> =>
  oneCore('testpmd ring', size, ['net_ring0', 'net_ring1'], ['--tx-first']);
