// Files that a run leaves: whether they can be written is known before it starts, and none is ever half written.
import { existsSync, mkdtempSync, renameSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { UsageError } from './options.js';

function tryFolder(folder: string): void {
  rmdirSync(mkdtempSync(join(folder, '.bench-')));
}

/** @throws UsageError when `path` cannot be a file that `--save` writes */
export function mustTakeFile(path: string): void {
  try {
    if (existsSync(resolve(path)) && !statSync(resolve(path)).isFile()) throw new Error('not a file');
    tryFolder(dirname(resolve(path)));
  } catch (error) {
    throw new UsageError(`--save ${path}: ${(error as Error).message}`);
  }
}

/** @throws UsageError when `path` cannot be the folder for `--curves`, which may have to be made */
export function mustTakeFolder(path: string): void {
  let nearest = resolve(path);
  while (!existsSync(nearest)) nearest = dirname(nearest);
  try {
    tryFolder(nearest);
  } catch (error) {
    throw new UsageError(`--curves ${path}: ${(error as Error).message}`);
  }
}

/** Replaces the file at once. */
export function writeWhole(path: string, text: string): void {
  const part = join(dirname(path), `.${basename(path)}.${process.pid}`);
  try {
    writeFileSync(part, text);
    renameSync(part, path);
  } catch (error) {
    rmSync(part, { force: true });
    throw error;
  }
}
