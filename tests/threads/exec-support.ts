// What the tests of C programs share: programs that are compiled once, and running ones with what they have written.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { type Ending, type ExecOptions, exec, type RunningProgram } from '../../src/exec/exec.js';
import { abi, Netmap, type NetmapPort } from '../../src/index.js';
import { compileWasm, root, wasmCompiler } from '../support/wasm-compiler.js';
import { size, sleep, within } from './support.js';

export const FRAMES = size('PTNET_EXEC_FRAMES', 100_000);
export const ATTACK = size('PTNET_EXEC_ATTACK', 1500);
const PATIENCE = 60_000;
export const { skip } = wasmCompiler;

const scratch = mkdtempSync(join(tmpdir(), 'ptnet-exec-'));
after(() => rmSync(scratch, { recursive: true }));
const built = new Map<string, Uint8Array>();

/** An example or a program of this folder, compiled once. */
export function program(path: string, ...flags: string[]): Uint8Array {
  const key = [path, ...flags].join(' ');
  const known = built.get(key);
  if (known) return known;
  const module = compileWasm(join(root, path), join(scratch, `${built.size}.wasm`), ...flags);
  built.set(key, module);
  return module;
}
/** What programs with threads are compiled with. */
export const THREADED = ['-matomics', '-mbulk-memory', '-ftls-model=local-exec'];
export const EXAMPLE = (name: string): string => `examples/c/${name}.c`;
export const FIXTURE = (name: string): string => `tests/threads/programs/${name}.c`;

/** A program that runs, and what it has written. */
export class Running {
  out = '';
  err = '';
  #program!: RunningProgram;

  static async start(netmap: Netmap, module: Uint8Array, args: string[], options: ExecOptions = {}): Promise<Running> {
    const running = new Running();
    const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
    running.#program = await exec(netmap, module, {
      args,
      stdout: (bytes) => (running.out += text(bytes)),
      stderr: (bytes) => (running.err += text(bytes)),
      ...options,
    });
    return running;
  }

  ready(): Promise<void> {
    return within(PATIENCE, 'its first port', this.#program.ready);
  }
  /** When it has written this. */
  async saying(text: string): Promise<void> {
    const until = performance.now() + PATIENCE;
    while (!this.out.includes(text)) {
      assert.ok(performance.now() < until, `the program says '${text}' (${this.out}${this.err})`);
      await sleep(5);
    }
  }
  kill(signal: number): void {
    this.#program.kill(signal);
  }
  ended(): Promise<Ending> {
    return within(PATIENCE, `the end of a program (${this.out}${this.err})`, this.#program.ended);
  }
}

/** Nothing of a program is left on the host. */
export async function assertClean(netmap: Netmap): Promise<void> {
  const { ports, regions, bridges, threads } = await netmap.inspect();
  assert.deepEqual({ ports, regions, bridges, threads }, { ports: [], regions: [], bridges: [], threads: 1 });
}

/** Runs programs on a host of their own; afterwards nothing is left on it. */
export async function onHost(run: (netmap: Netmap) => Promise<void>): Promise<void> {
  const netmap = await Netmap.create();
  try {
    await run(netmap);
    await assertClean(netmap);
  } finally {
    await netmap.close();
  }
}

export type Start = (netmap: Netmap, name: string, ...args: string[]) => Promise<Running>;
export const ownMemory: Start = (netmap, name, ...args) => Running.start(netmap, program(EXAMPLE(name)), args);
export const hostsMemory: Start = (netmap, name, ...args) => {
  const reservation = netmap.reserve(4 << 20);
  const flags = [`-Wl,--global-base=${reservation.base}`, '-include', 'ptnet/heap.h'];
  return Running.start(netmap, program(EXAMPLE(name), ...flags), args, { reservation });
};

/** The frame with this number, as examples/c/port.h has it. */
export function frame(number: number, length = 60): Uint8Array {
  const bytes = Uint8Array.from({ length }, (_, i) => number + i);
  bytes.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
  new DataView(bytes.buffer).setUint32(14, number, true);
  return bytes;
}

export async function receive(port: NetmapPort, count: number): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  while (frames.length < count) {
    const ready = await port.poll(abi.POLLIN, { timeout: PATIENCE });
    assert.ok(ready & abi.POLLIN, `${frames.length} of ${count} frames have come`);
    frames.push(...port.recv(count - frames.length));
  }
  return frames;
}
