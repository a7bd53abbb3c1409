// Network namespaces, the Ethernet devices in them, and the programs that are run in them. What was made is removed by
// `close`, and at the end of the process whatever ends it.
import { execFileSync, spawn } from 'node:child_process';
import { atEnd, tie } from './children.js';

/** Seconds that a program may take beyond what it was asked for. */
const SPARE = 15;

function ip(...args: readonly string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

const spaces = new Set<string>();

/** What is left; also after an error or a signal. */
function removeAll(): void {
  for (const space of spaces) {
    try {
      ip('netns', 'del', space);
    } catch (error) {
      console.error(String(error));
    }
  }
  spaces.clear();
}

/** The address of an end. */
export const addressOf = (end: number): string => `10.77.0.${end + 1}`;

let made = 0;

export class Spaces {
  readonly names: readonly string[];

  /**
   * @param count of namespaces, the ends
   * @throws Error what ip(8) says
   */
  constructor(count = 2) {
    atEnd(removeAll);
    const number = made++;
    this.names = ['a', 'b', 'c'].slice(0, count).map((end) => `ptnet-bench-${process.pid}-${number}${end}`);
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
    this.addCable(0, names[0], 1, names[1]);
    this.configure(names);
  }

  /** Makes a pair of veth devices between any two ends. */
  addCable(end: number, name: string, otherEnd: number, other: string): void {
    const [a, b] = [this.names[end], this.names[otherEnd]];
    ip('link', 'add', 'name', name, 'netns', a, 'type', 'veth', 'peer', 'name', other, 'netns', b);
  }

  /** Runs ip(8) at an end. */
  ip(end: number, ...args: readonly string[]): void {
    ip('-n', this.names[end], ...args);
  }

  configure(names: readonly string[]): void {
    for (const [end, name] of names.entries()) {
      this.ip(end, 'addr', 'add', `${addressOf(end)}/24`, 'dev', name);
      this.ip(end, 'link', 'set', name, 'up');
    }
  }

  /** The program and its arguments that run a command at an end. */
  command(end: number, program: string, args: readonly string[]): readonly [string, string[]] {
    return ['ip', ['netns', 'exec', this.names[end], program, ...args]];
  }

  /** Starts a program at an end. Resolves with its output; rejects when it fails, or takes too long. */
  exec(end: number, seconds: number, command: string, args: readonly string[], onStdout?: (text: string) => void) {
    const child = tie(spawn(...this.command(end, command, args), { stdio: ['ignore', 'pipe', 'pipe'] }));
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
