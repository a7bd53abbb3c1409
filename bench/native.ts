// The native twins: compiled once from bench/native, run as child processes that time themselves.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BATCH, type Case } from './types.js';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const SOURCES = join(ROOT, 'bench', 'native');
const OUTPUT = join(ROOT, 'build', 'bench');
const FLAGS = ['-std=gnu11', '-O3', '-march=native', '-Wall', '-Wextra'];

function leftOut(reason: string): undefined {
  console.error(`the native twin is left out: ${reason}`);
}

export interface NativeTwin {
  /** The compiler's own name and version. */
  readonly compiler: string;
  /** Runs one case for `ms` milliseconds after `warmup`. @throws Error when the twin fails */
  run(work: Case, warmup: number, ms: number): { readonly ns: number; readonly digest: number };
}

/** Builds the twin unless it is newer than its sources. Undefined, with a reason, where that cannot be done. */
export function buildNative(): NativeTwin | undefined {
  const cc = [process.env['CC'], 'gcc', 'cc'].find((name) => name && spawnSync(name, ['--version']).status === 0);
  if (!cc) return leftOut('no C compiler found');
  const compiler = spawnSync(cc, ['--version'], { encoding: 'utf8' }).stdout.split('\n')[0];
  const binary = join(OUTPUT, process.platform === 'win32' ? 'twin.exe' : 'twin');
  const sources = readdirSync(SOURCES).map((name) => statSync(join(SOURCES, name)).mtimeMs);
  if (!existsSync(binary) || Math.max(...sources) > statSync(binary).mtimeMs) {
    mkdirSync(OUTPUT, { recursive: true });
    const built = spawnSync(cc, [...FLAGS, '-o', binary, join(SOURCES, 'twin.c')], { encoding: 'utf8' });
    if (built.status !== 0) return leftOut(`${cc} failed:\n${built.stderr}`);
  }
  const run: NativeTwin['run'] = ({ task, size, batch = BATCH }, warmup, ms) => {
    const args = [task, size, batch, warmup, ms].map(String);
    const child = spawnSync(binary, args, { encoding: 'utf8' });
    if (child.status !== 0) throw new Error(`the native twin failed at '${task}' (${child.status ?? child.signal})`);
    return JSON.parse(child.stdout) as { ns: number; digest: number };
  };
  return { compiler, run };
}
