// Two network namespaces at TAP ports of a switch, and one TCP connection between them by iperf3, for its soak.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const ENDS = ['a', 'b'] as const;
const RATE = '40M';

function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Why this machine cannot have that; false if it can. */
export function whyNoTaps(): string | false {
  if (process.platform !== 'linux') return 'Linux only';
  if (process.getuid?.() !== 0) return 'not root';
  if (!existsSync('/dev/net/tun')) return 'no /dev/net/tun';
  for (const program of ['ip', 'iperf3']) if (spawnSync(program, ['-V']).error) return `no ${program}`;
  const space = `ptnet-${process.pid}-soak`;
  const made = spawnSync('ip', ['netns', 'add', space], { encoding: 'utf8' });
  if (made.status !== 0) return `no network namespaces: ${made.stderr}`;
  ip('netns', 'del', space);
  return false;
}

export class Taps {
  readonly #devices = ENDS.map((end) => `pk${process.pid}${end}`);
  readonly #spaces: string[] = [];
  readonly #children: ChildProcess[] = [];
  #client: Promise<string> | undefined;

  get specs(): readonly string[] {
    return this.#devices.map((device) => `tap:${device}`);
  }

  /** The ports are there: gives the devices to the namespaces, and starts the transfer. */
  async start(seconds: number): Promise<void> {
    for (const [i, device] of this.#devices.entries()) {
      const space = `ptnet-${process.pid}-soak-${ENDS[i]}`;
      ip('netns', 'add', space);
      this.#spaces.push(space);
      ip('link', 'set', device, 'netns', space);
      ip('-n', space, 'addr', 'add', `10.78.0.${i + 1}/24`, 'dev', device);
      ip('-n', space, 'link', 'set', device, 'up');
    }
    this.#run(1, '-s');
    await sleep(500);
    const child = this.#run(0, '-c', '10.78.0.2', '-t', String(seconds), '-b', RATE, '-J');
    let output = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (output += text));
    this.#client = once(child, 'close').then(() => output);
  }

  /** @returns bytes that have arrived @throws Error when the transfer has failed */
  async end(): Promise<number> {
    const output = (await this.#client) ?? '';
    const { end, error } = JSON.parse(output) as { end: { sum_received?: { bytes: number } }; error?: string };
    if (!end.sum_received) throw new Error(error ?? output);
    return end.sum_received.bytes;
  }

  close(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    for (const space of this.#spaces.splice(0)) ip('netns', 'del', space);
  }

  #run(end: number, ...args: readonly string[]): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', this.#spaces[end], 'iperf3', ...args], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    child.on('error', () => {});
    this.#children.push(child);
    return child;
  }
}
