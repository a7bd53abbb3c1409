// Network namespaces as machines: two with addresses, one between them for backends; and a switch of backends there.
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { address4, iperf3, ipProgram, ping } from './netns.js';
import { fixtures, type RunResult, root, run } from './support.js';

const LIMIT = 30;
/** The ends of a lab, and what lies between them. */
export const MIDDLE = 2;

let labs = 0;

function ip(...args: readonly string[]): string {
  return execFileSync(ipProgram.path, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Counters of a backend, as its switch tells them. */
export interface Counters {
  readonly rxPackets: number;
  readonly txPackets: number;
  readonly rxBytes: number;
  readonly rxDrops: Readonly<Record<string, number>>;
  readonly txDrops: Readonly<Record<string, number>>;
  readonly restarts: number;
}

interface Line {
  readonly spec?: string;
  readonly state?: string;
  readonly reason?: string;
  readonly counters?: readonly Counters[];
  readonly ready?: readonly string[];
}

/** Three namespaces, removed by `close`, and at the end of the process. */
export class DeviceLab {
  readonly #spaces: string[] = [];
  readonly #remove = (): void => {
    for (const space of this.#spaces.splice(0)) ip('netns', 'del', space);
  };

  constructor() {
    process.once('exit', this.#remove);
    const number = labs++;
    for (const end of ['a', 'b', 'c']) {
      const space = `ptnet-${process.pid}-d${number}${end}`;
      ip('netns', 'add', space);
      this.#spaces.push(space);
      ip('-n', space, 'link', 'set', 'lo', 'up');
    }
  }

  close(): void {
    process.off('exit', this.#remove);
    this.#remove();
  }

  space(at: number): string {
    return this.#spaces[at];
  }

  /** ip(8) in a namespace. */
  ip(at: number, ...args: readonly string[]): string {
    return ip('-n', this.#spaces[at], ...args);
  }

  exec(at: number, command: string, ...args: readonly string[]): Promise<RunResult> {
    return run(ipProgram.path, ['netns', 'exec', this.#spaces[at], command, ...args], { limit: LIMIT });
  }

  /** Cables from both ends to the middle, where they are `c0` and `c1`. */
  addCables(mtu = 1500): void {
    for (const end of [0, 1]) {
      const [space, middle] = [this.#spaces[end], this.#spaces[MIDDLE]];
      const there = ['peer', 'name', `c${end}`, 'netns', middle, 'mtu', `${mtu}`];
      ip('link', 'add', 'eth0', 'netns', space, 'mtu', `${mtu}`, 'type', 'veth', ...there);
      this.ip(MIDDLE, 'link', 'set', `c${end}`, 'up');
      this.addressEnd(end, 'eth0');
    }
  }

  /** Moves a device from the middle to an end. */
  give(end: number, device: string): void {
    this.ip(MIDDLE, 'link', 'set', device, 'netns', this.#spaces[end]);
    this.addressEnd(end, device);
  }

  addressEnd(end: number, device: string): void {
    this.ip(end, 'addr', 'add', `${address4(end)}/24`, 'dev', device);
    this.ip(end, 'link', 'set', device, 'up');
  }

  async pings(...args: readonly string[]): Promise<void> {
    const result = await this.exec(0, ping.path, '-c', '3', '-i', '0.2', '-W', '5', ...args, address4(1));
    assert.equal(result.code, 0, result.report);
    assert.match(result.stdout, / 3 received/, result.report);
  }

  /** One TCP connection between the ends. @returns Gbit/s */
  async iperf(seconds = 1): Promise<number> {
    const server = this.exec(1, iperf3.path, '-s', '-1');
    for (let tries = 0; ; tries++) {
      await sleep(100);
      const client = await this.exec(0, iperf3.path, '-c', address4(1), '-t', `${seconds}`, '-J');
      if (client.code !== 0 && tries < 20 && client.stdout.includes('refused')) continue;
      assert.equal(client.code, 0, client.report);
      await server;
      const { end } = JSON.parse(client.stdout) as { end: { sum_received: { bits_per_second: number } } };
      assert.ok(end.sum_received.bits_per_second > 0);
      return end.sum_received.bits_per_second / 1e9;
    }
  }
}

/** A switch of backends in a process of its own, in the middle of a lab. */
export class Switch {
  readonly #child: ChildProcess;
  readonly #lines: Line[] = [];
  #told = 0;
  #wake: () => void = () => {};
  #errors = '';

  /** @param command what runs the fixture: Node, Deno or Bun; `folder`: where it is, if not here */
  constructor(lab: DeviceLab, command: readonly string[], specs: readonly string[], folder = fixtures) {
    const args = ['netns', 'exec', lab.space(MIDDLE), ...command, join(folder, 'backends.mjs'), ...specs];
    this.#child = spawn(ipProgram.path, args, { cwd: root, stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.stderr?.setEncoding('utf8').on('data', (text) => (this.#errors += text));
    if (this.#child.stdout) {
      createInterface({ input: this.#child.stdout }).on('line', (line) => {
        this.#lines.push(JSON.parse(line) as Line);
        this.#wake();
      });
    }
  }

  static async start(lab: DeviceLab, ...specs: readonly string[]): Promise<Switch> {
    const made = new Switch(lab, [process.execPath], specs);
    await made.next(({ ready }) => ready !== undefined);
    return made;
  }

  /** The next line that it is. Lines before it are gone. */
  async next(isIt: (line: Line) => boolean): Promise<Line> {
    const until = Date.now() + LIMIT * 1e3;
    for (;;) {
      for (; this.#told < this.#lines.length; ) {
        const line = this.#lines[this.#told++];
        if (isIt(line)) return line;
      }
      const seen = JSON.stringify(this.#lines);
      assert.ok(
        Date.now() < until && this.#child.exitCode === null,
        `the switch does not say it: ${seen} ${this.#errors}`,
      );
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, 100);
      });
    }
  }

  /** Waits until a backend says that it is in this state. @returns why */
  async state(spec: string, state: string): Promise<string> {
    return (await this.next((line) => line.spec === spec && line.state === state)).reason ?? '';
  }

  async counters(): Promise<readonly Counters[]> {
    this.#child.stdin?.write('counters\n');
    return (await this.next(({ counters }) => counters !== undefined)).counters ?? [];
  }

  /** Ends it. @throws AssertionError when it fails, or does not end */
  async close(): Promise<void> {
    const { exitCode } = this.#child;
    const ended = exitCode === null ? once(this.#child, 'exit') : Promise.resolve([exitCode]);
    this.#child.stdin?.end();
    const late = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
    const [code] = (await ended) as [number | null];
    clearTimeout(late);
    assert.equal(code, 0, this.#errors);
  }
}

/** Runs `work` in a lab, which is removed afterwards. */
export async function inLab(work: (lab: DeviceLab) => Promise<void>): Promise<void> {
  const lab = new DeviceLab();
  try {
    await work(lab);
  } finally {
    lab.close();
  }
}

/** Runs `work` with a switch, which is ended afterwards. Its counters are told when the work fails. */
export async function withSwitch(made: Switch, work: (made: Switch) => Promise<void>): Promise<void> {
  try {
    await work(made);
  } catch (error) {
    if (error instanceof Error) error.message += `\n${JSON.stringify(await made.counters().catch(String))}`;
    await made.close().catch(() => {});
    throw error;
  }
  await made.close();
}
