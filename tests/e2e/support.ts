// What the end-to-end tests share: an empty project with the packed tarball installed, child processes with a time
// limit, and the programs that a machine may have or lack.
import { execFileSync, spawn } from 'node:child_process';
import { accessSync, constants, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository, seen from build/ts/tests/e2e. */
export const root = fileURLToPath(new URL('../../../../', import.meta.url));
/** Programs and pages that use the package by its name; they are copied into the project, or served. */
export const fixtures = join(root, 'tests/e2e/fixtures');

/** Characters of an output that a message shows. */
const SHOWN = 8000;
const windows = process.platform === 'win32';

let folder: string | undefined;

/** A project that has nothing but the packed tarball, installed without a network. Made once a process. */
export function project(): string {
  if (folder !== undefined) return folder;
  const scratch = mkdtempSync(join(tmpdir(), 'ptnet-e2e-'));
  process.once('exit', () => rmSync(scratch, { recursive: true, force: true }));
  const npm = (cwd: string, ...args: string[]): string =>
    execFileSync('npm', args, { cwd, encoding: 'utf8', shell: windows, stdio: ['ignore', 'pipe', 'pipe'] });
  const packs = JSON.parse(npm(root, 'pack', '--json', '--ignore-scripts', '--pack-destination', scratch));
  const [{ filename }] = Object.values(packs) as { filename: string }[];
  folder = join(scratch, 'project');
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
  npm(folder, 'install', '--offline', '--no-audit', '--no-fund', join(scratch, filename));
  return folder;
}

export interface RunOptions {
  readonly cwd?: string;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Seconds after which the program and all that it started are killed. */
  readonly limit: number;
}

export interface RunResult {
  /** Exit code; null if it was killed. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Both, with what was run: for messages. */
  readonly report: string;
}

/** The last part of what a program has printed. */
const end = (text: string): string => (text.length > SHOWN ? `…${text.slice(-SHOWN)}` : text);

/** Runs a program to its end, or to the limit. Never rejects. */
export function run(command: string, args: readonly string[], { cwd, env, limit }: RunOptions): Promise<RunResult> {
  // In a group of its own: the commands of npm packages start the real program as a child.
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, NODE_OPTIONS: '', NODE_TEST_CONTEXT: '', NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: !windows,
  });
  const kill = (): void => {
    try {
      if (windows) child.kill('SIGKILL');
      else process.kill(-(child.pid as number), 'SIGKILL');
    } catch {
      // it has ended meanwhile
    }
  };
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  process.once('exit', kill);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    kill();
  }, limit * 1e3);
  return new Promise((resolve) => {
    const finish = (code: number | null, why: string): void => {
      clearTimeout(timer);
      process.off('exit', kill);
      const line = [command, ...args].join(' ');
      resolve({ code, stdout, stderr, report: [line, why, end(stdout), end(stderr)].join('\n') });
    };
    child.once('error', (error) => finish(null, String(error)));
    child.once('close', (code, signal) => {
      finish(code, late ? `killed after ${limit} s` : `ended with ${code ?? signal}`);
    });
  });
}

/** A program that the machine may have: its path, or why it is not used. */
export type Found = { readonly path: string; readonly skip: false } | { readonly path: ''; readonly skip: string };

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Looks where `variable` says, else for each of `names` on the PATH. */
export function findProgram(variable: string, ...names: readonly string[]): Found {
  const told = process.env[variable];
  if (told)
    return isProgram(told) ? { path: told, skip: false } : { path: '', skip: `${variable}=${told}: no program` };
  const folders = (process.env.PATH ?? '').split(delimiter).filter((entry) => entry !== '');
  const suffix = windows ? '.exe' : '';
  const found = folders.flatMap((entry) => names.map((name) => join(entry, name + suffix))).find(isProgram);
  if (found) return { path: found, skip: false };
  const where = names.length === 0 ? `${variable} is not set` : `no ${names[0]} on the PATH, ${variable} is not set`;
  return { path: '', skip: where };
}

export const deno = findProgram('PTNET_DENO', 'deno');
export const bun = findProgram('PTNET_BUN', 'bun');
export const chromium = findProgram('PTNET_CHROMIUM', 'chromium', 'chromium-browser', 'google-chrome');
