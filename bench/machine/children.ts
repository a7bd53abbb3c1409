// Programs and other things of the machine that must not outlive this process, whatever ends it.
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const children = new Set<ChildProcess>();
const cleanups = new Set<() => void>();
let watches = false;

function watch(): void {
  if (watches) return;
  watches = true;
  process.once('exit', () => {
    for (const child of children) child.kill('SIGKILL');
    for (const cleanup of cleanups) cleanup();
  });
  // Node alone would just die.
  for (const [signal, code] of [['SIGINT', 130] as const, ['SIGTERM', 143] as const, ['SIGHUP', 129] as const]) {
    process.once(signal, () => process.exit(code));
  }
}

/** Has a program end with this process. */
export function tie<T extends ChildProcess>(child: T): T {
  watch();
  children.add(child);
  child.once('close', () => children.delete(child));
  return child;
}

/** Has something done at the end of this process, after the programs have been ended. */
export function atEnd(cleanup: () => void): void {
  watch();
  cleanups.add(cleanup);
}

/** A folder for sockets and files, which is removed by `removeFolder`, or at the end. */
export function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ptnet-bench-'));
  atEnd(() => removeFolder(folder));
  return folder;
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}
