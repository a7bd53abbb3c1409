// DPDK's testpmd, where it is installed: two processes of it, one that sends and one that receives, over memif or
// vhost-user, each with a core of its own and without huge pages. A frame is copied once on the way, as by a switch.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median } from '../results.js';
import { Absent, type Run, type TimedContender } from '../types.js';
import { findProgram } from './find.js';

/** Periods (s) that are dropped: the connection is made, caches and clocks warm up. */
const WARM_UP = 2;
/** Seconds until testpmd says anything. */
const START = 3;

/** Runs testpmd for `seconds`; its lines about packets a second, the first ones left out. */
export async function runTestpmd(
  program: string,
  args: readonly string[],
  seconds: number,
  counter: 'Rx-pps' | 'Tx-pps',
): Promise<number[]> {
  const child = spawn(program, [...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  let text = '';
  const note = (chunk: Buffer): void => {
    text += chunk;
  };
  child.stdout.on('data', note);
  child.stderr.on('data', note);
  const interrupt = setTimeout(() => child.kill('SIGINT'), 1000 * seconds);
  const kill = setTimeout(() => child.kill('SIGKILL'), 1000 * (seconds + 10));
  await new Promise((resolve) => child.once('close', resolve));
  clearTimeout(interrupt);
  clearTimeout(kill);
  const rates = [...text.matchAll(new RegExp(`${counter}:\\s+(\\d+)`, 'g'))].map(([, rate]) => Number(rate));
  return rates.filter((rate) => rate > 0).slice(WARM_UP);
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

function testpmdFor(name: string): string {
  const program = findProgram('dpdk-testpmd');
  if (!program) throw new Absent(`${name}: no dpdk-testpmd on the PATH (Debian: dpdk-dev)`);
  return program;
}

function contender(name: string, size: number, sidesOf: Sides): TimedContender {
  const program = testpmdFor(name);
  const run = async (seconds: number): Promise<Run> => {
    const folder = mkdtempSync(join(tmpdir(), 'ptnet-bench-'));
    const time = START + WARM_UP + Math.ceil(seconds);
    const start = async ({ device, mode }: Side, core: number): Promise<number[]> => {
      await pause(1000 * core);
      const args = [...common(core, `ptnet${process.pid}${core}`), `--vdev=${device}`, ...rest(mode, size)];
      return runTestpmd(program, args, time - core, mode === 'txonly' ? 'Tx-pps' : 'Rx-pps');
    };
    try {
      const sides = sidesOf(join(folder, 's'));
      const rates = await Promise.all(sides.map(start));
      const received = rates[sides.findIndex(({ mode }) => mode === 'rxonly')];
      if (received.length === 0) throw new Error(`${name}: nothing was received`);
      return { value: 1e9 / median(received) };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
  return { name, slow: true, run, close: async () => {} };
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
  const run = async (seconds: number): Promise<Run> => {
    const args = [...common(1, `ptnet${process.pid}o`), ...devices.map((device) => `--vdev=${device}`)];
    const time = START + WARM_UP + Math.ceil(seconds);
    const rates = await runTestpmd(program, [...args, ...rest('macswap', size), ...more], time, 'Rx-pps');
    if (rates.length === 0) throw new Error(`${name}: nothing was forwarded`);
    // Two ports a period: each forwards what the other receives.
    return { value: 1e9 / (2 * median(rates)) };
  };
  return { name, slow: true, run, close: async () => {} };
}

export const nullContender = async (size: number): Promise<TimedContender> => {
  const device = (i: number): string => `net_null${i},size=${Math.max(64, size)},copy=1`;
  return oneCore('testpmd null, copy', size, [device(0), device(1)]);
};

/** Frames stay where they are: some mbufs, sent at the start, go round between two rings. */
export const ringContender = async (size: number): Promise<TimedContender> =>
  oneCore('testpmd ring', size, ['net_ring0', 'net_ring1'], ['--tx-first']);
