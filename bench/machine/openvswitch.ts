// Open vSwitch's user-space datapath on DPDK, where Debian's package is installed: a bridge between two ports that make and
// swallow frames as fast as they are asked (net_null), polled by one core. Database, switch and sockets live in a folder of
// their own; no other Open vSwitch of the machine is touched.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Absent, type Run, type TimedContender } from '../types.js';
import { findProgram } from './find.js';

const NAME = 'Open vSwitch';
const SWITCH = ['ovs-vswitchd-dpdk', '/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk'];
const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema';
/** Longest time (s) that a command may take. */
const LIMIT = 15;
const PORTS = ['p0', 'p1'];

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function need(name: string): string {
  const path = findProgram(name);
  if (!path) throw new Absent(`${NAME}: no ${name} (Debian: openvswitch-switch-dpdk)`);
  return path;
}

/** A database and a switch that end with their folder. */
class Switch {
  readonly #folder = mkdtempSync(join(tmpdir(), 'ptnet-bench-'));
  readonly #env: NodeJS.ProcessEnv = { ...process.env, OVS_RUNDIR: this.#folder, OVS_LOGDIR: this.#folder };
  readonly #children: ChildProcess[] = [];
  readonly #database = `unix:${join(this.#folder, 'db')}`;

  run(program: string, ...args: readonly string[]): string {
    const options = { env: this.#env, encoding: 'utf8', timeout: 1000 * LIMIT, stdio: 'pipe' } as const;
    return execFileSync(need(program), args, options);
  }

  async #start(program: string, socket: string, args: readonly string[]): Promise<void> {
    const child = spawn(program, [...args], { env: this.#env, stdio: 'ignore' });
    this.#children.push(child);
    for (let ms = 0; !existsSync(join(this.#folder, socket)); ms += 50) {
      if (child.exitCode !== null || child.signalCode !== null || ms > 1000 * LIMIT) {
        throw new Absent(`${NAME}: ${program} does not start here`);
      }
      await pause(50);
    }
  }

  #configure(...args: readonly string[]): void {
    this.run('ovs-vsctl', `--db=${this.#database}`, `--timeout=${LIMIT}`, ...args);
  }

  async start(size: number): Promise<void> {
    const file = join(this.#folder, 'conf.db');
    this.run('ovsdb-tool', 'create', file, SCHEMA);
    await this.#start(need('ovsdb-server'), 'db', [file, `--remote=p${this.#database}`]);
    const devices = PORTS.map((_, i) => `--vdev=net_null${i},size=${Math.max(64, size)}`).join(' ');
    this.#configure('--no-wait', 'init');
    this.#configure(
      ...['--no-wait', 'set', 'Open_vSwitch', '.', 'other_config:dpdk-init=true', 'other_config:pmd-cpu-mask=0x2'],
      `other_config:dpdk-extra=--no-huge --legacy-mem -m 600 --no-pci --file-prefix=ptnet${process.pid} ${devices}`,
    );
    const program = SWITCH.find((path) => existsSync(path)) ?? need(SWITCH[0]);
    await this.#start(program, 'ctl', [this.#database, `--unixctl=${join(this.#folder, 'ctl')}`]);
    this.#configure('add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath_type=netdev');
    for (const [i, port] of PORTS.entries()) {
      const options = ['type=dpdk', `options:dpdk-devargs=net_null${i}`];
      this.#configure('add-port', 'br0', port, '--', 'set', 'Interface', port, ...options);
    }
    const bridge = `unix:${join(this.#folder, 'br0.mgmt')}`;
    for (const [from, to] of [PORTS, [...PORTS].reverse()]) {
      this.run('ovs-ofctl', 'add-flow', bridge, `in_port=${from},actions=output:${to}`);
    }
  }

  #ask(command: string): string {
    return this.run('ovs-appctl', '-t', join(this.#folder, 'ctl'), `dpif-netdev/pmd-stats-${command}`);
  }

  /** Packets a second through the core that polls. */
  async rate(seconds: number): Promise<number> {
    this.#ask('clear');
    const started = performance.now();
    await pause(1000 * seconds);
    const text = this.#ask('show');
    const time = (performance.now() - started) / 1000;
    const packets = [...text.matchAll(/packets received: (\d+)/g)].reduce((sum, [, n]) => sum + Number(n), 0);
    return packets / time;
  }

  async close(): Promise<void> {
    for (const child of [...this.#children].reverse()) {
      const ended = new Promise((resolve) => child.once('close', resolve));
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
      await ended;
      clearTimeout(timer);
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** The switch polls, and uses its core, only while it is open: each run opens one. */
export async function openVSwitch(size: number): Promise<TimedContender> {
  for (const program of ['ovsdb-tool', 'ovsdb-server', 'ovs-vsctl', 'ovs-ofctl', 'ovs-appctl']) need(program);
  if (!SWITCH.some((path) => existsSync(path))) need(SWITCH[0]);
  const run = async (seconds: number): Promise<Run> => {
    const bridge = new Switch();
    try {
      await bridge.start(size);
      await pause(500);
      const rate = await bridge.rate(Math.max(0.5, seconds));
      if (rate === 0) throw new Error(`${NAME}: nothing was forwarded`);
      return { value: 1e9 / rate };
    } finally {
      await bridge.close();
    }
  };
  return { name: NAME, slow: true, run, close: async () => {} };
}
