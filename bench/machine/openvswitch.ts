// Open vSwitch's user-space datapath, where Debian's package is installed: a bridge br0. Database, switch and sockets live in
// a folder of their own, and the devices that it makes in a network namespace; no other Open vSwitch of the machine is
// touched.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Absent } from '../types.js';
import { makeFolder, removeFolder, tie } from './children.js';
import { findProgram, needProgram } from './find.js';

const SWITCH = ['ovs-vswitchd-dpdk', '/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk'];
const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema';
const TOOLS = ['ovsdb-tool', 'ovsdb-server', 'ovs-vsctl', 'ovs-ofctl'];
const PACKAGE = 'openvswitch-switch-dpdk';
const BRIDGE = 'br0';
/** Longest time (s) that a command may take. */
const LIMIT = 15;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The program and its arguments that run another in a namespace. */
type Command = (program: string, args: readonly string[]) => readonly [string, string[]];

/** A database and a switch that end with their folder. */
export class OpenVSwitch {
  readonly #folder = makeFolder();
  readonly #env: NodeJS.ProcessEnv = {
    ...process.env,
    OVS_RUNDIR: this.#folder,
    OVS_LOGDIR: this.#folder,
    RUNTIME_DIRECTORY: this.#folder, // DPDK's
  };
  readonly #children: ChildProcess[] = [];
  readonly #database = `unix:${join(this.#folder, 'db')}`;
  readonly #name: string;
  readonly #command: Command;

  /** @throws Absent for a contender of that name, when something is not installed */
  static need(name: string): string {
    for (const program of TOOLS) needProgram(program, name, PACKAGE);
    return (
      SWITCH.find((path) => existsSync(path)) ?? findProgram(SWITCH[0]) ?? needProgram('ovs-vswitchd', name, PACKAGE)
    );
  }

  constructor(name: string, command: Command) {
    this.#name = name;
    this.#command = command;
  }

  #run(program: string, args: readonly string[]): string {
    const options = { env: this.#env, encoding: 'utf8', timeout: 1000 * LIMIT, stdio: 'pipe' } as const;
    return execFileSync(needProgram(program, this.#name, PACKAGE), args, options);
  }

  async #start(socket: string, program: string, args: readonly string[]): Promise<void> {
    const child = tie(spawn(program, [...args], { env: this.#env, stdio: 'ignore' }));
    this.#children.push(child);
    for (let ms = 0; !existsSync(join(this.#folder, socket)); ms += 50) {
      if (child.exitCode !== null || child.signalCode !== null || ms > 1000 * LIMIT) {
        throw new Absent(`${this.#name}: ${program} does not start here`);
      }
      await pause(50);
    }
  }

  #configure(...args: readonly string[]): void {
    this.#run('ovs-vsctl', [`--db=${this.#database}`, `--timeout=${LIMIT}`, ...args]);
  }

  /** @param config of other_config, before the switch starts */
  async start(config: readonly string[]): Promise<void> {
    const file = join(this.#folder, 'conf.db');
    this.#run('ovsdb-tool', ['create', file, SCHEMA]);
    const server = needProgram('ovsdb-server', this.#name, PACKAGE);
    await this.#start('db', server, [file, `--remote=p${this.#database}`]);
    this.#configure('--no-wait', 'init');
    for (const item of config) this.#configure('--no-wait', 'set', 'Open_vSwitch', '.', `other_config:${item}`);
    const args = [this.#database, `--unixctl=${join(this.#folder, 'ctl')}`];
    await this.#start('ctl', ...this.#command(OpenVSwitch.need(this.#name), args));
    this.#configure('add-br', BRIDGE, '--', 'set', 'bridge', BRIDGE, 'datapath_type=netdev');
  }

  addPort(name: string, settings: readonly string[]): void {
    const set = settings.length > 0 ? ['--', 'set', 'Interface', name, ...settings] : [];
    this.#configure('add-port', BRIDGE, name, ...set);
  }

  deletePort(name: string): void {
    this.#configure('del-port', BRIDGE, name);
  }

  /** What ovs-ofctl answers to a command about the bridge. */
  control(command: string, ...args: readonly string[]): string {
    return this.#run('ovs-ofctl', [command, `unix:${join(this.#folder, `${BRIDGE}.mgmt`)}`, ...args]);
  }

  async close(): Promise<void> {
    for (const child of this.#children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
      await ended;
      clearTimeout(timer);
    }
    removeFolder(this.#folder);
  }
}
