// The tunables of a command: its file, then its environment.

import { readFileSync } from 'node:fs';
import { NetmapError, parseLoaderConf, resolveTunables, type Tunables } from '../index.js';
import { UsageError, usage } from './errors.js';

function readFile(name: string): string {
  try {
    return readFileSync(name, 'utf8');
  } catch (error) {
    throw usage(`the file with tunables cannot be read: ${(error as Error).message}`);
  }
}

/**
 * @param file name of a file in the form of loader.conf(5)
 * @throws UsageError that names the file and its line, or the variable of the environment
 */
export function readTunables(file: string | undefined): Tunables {
  try {
    return resolveTunables({ file: file ? parseLoaderConf(readFile(file), file) : {}, env: process.env });
  } catch (error) {
    if (error instanceof UsageError || !(error instanceof NetmapError)) throw error;
    throw new UsageError(error.errno, error.message, { op: 'run' });
  }
}
