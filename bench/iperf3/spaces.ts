// Two network namespaces with one Ethernet device each, and the programs that are run in them. What was made is removed
// by `close`, and at the end of the process whatever ends it.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';

/** Seconds that a program may take beyond what it was asked for. */
const SPARE = 15;

function ip(...args: readonly string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

const spaces = new Set<string>();
const children = new Set<ChildProcess>();

/** Everything that is left; also after an error or a signal. */
function removeAll(): void {
  for (const child of children) child.kill('SIGKILL');
  for (const space of spaces) {
    try {
      ip('netns', 'del', space);
    } catch (error) {
      console.error(String(error));
    }
  }
  spaces.clear();
}

/** Ends the process at a signal in a way that removes all; Node alone would just die. */
export function removeAtEnd(): void {
  process.once('exit', removeAll);
  for (const [signal, code] of [['SIGINT', 130] as const, ['SIGTERM', 143] as const, ['SIGHUP', 129] as const]) {
    process.once(signal, () => process.exit(code));
  }
}

/** The address of an end. */
export const addressOf = (end: number): string => `10.77.0.${end + 1}`;

let made = 0;

export class Spaces {
  readonly names: readonly string[];

  /** @throws Error what ip(8) says */
  constructor() {
    const number = made++;
    this.names = ['a', 'b'].map((end) => `ptnet-bench-${process.pid}-${number}${end}`);
    for (const name of this.names) {
      spaces.add(name);
      try {
        ip('netns', 'add', name);
      } catch (error) {
        spaces.delete(name);
        throw error;
      }
    }
  }

  /** Gives each end the device `names[end]`, which is in no namespace of ours yet. */
  adopt(names: readonly string[]): void {
    for (const [end, name] of names.entries()) ip('link', 'set', name, 'netns', this.names[end]);
    this.configure(names);
  }

  /** Makes a pair of veth devices, an end each. */
  addVeth(names: readonly string[]): void {
    const [a, b] = this.names;
    ip('link', 'add', names[0], 'netns', a, 'type', 'veth', 'peer', 'name', names[1], 'netns', b);
    this.configure(names);
  }

  configure(names: readonly string[]): void {
    for (const [end, name] of names.entries()) {
      const space = this.names[end];
      ip('-n', space, 'addr', 'add', `${addressOf(end)}/24`, 'dev', name);
      ip('-n', space, 'link', 'set', name, 'up');
    }
  }

  /** Starts a program at an end. Resolves with its output; rejects when it fails, or takes too long. */
  exec(end: number, seconds: number, command: string, args: readonly string[], onStdout?: (text: string) => void) {
    const child = spawn('ip', ['netns', 'exec', this.names[end], command, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.add(child);
    let output = '';
    const note = (text: string): void => {
      output += text;
      onStdout?.(output);
    };
    child.stdout.setEncoding('utf8').on('data', note);
    child.stderr.setEncoding('utf8').on('data', note);
    const timer = setTimeout(() => child.kill('SIGKILL'), 1000 * (seconds + SPARE));
    return new Promise<string>((resolve, reject) => {
      const fail = (why: string): void => reject(new Error(`${command} ${args.join(' ')}: ${why}\n${output}`));
      child.once('error', (error) => fail(String(error)));
      child.once('close', (code, signal) => {
        clearTimeout(timer);
        children.delete(child);
        if (code === 0) resolve(output);
        else fail(`ended with ${code ?? signal}`);
      });
    });
  }

  close(): void {
    for (const name of this.names) {
      if (!spaces.delete(name)) continue;
      ip('netns', 'del', name);
    }
  }
}
