// C programs (ptnet/exec) as programs of a run.

import { readFileSync } from 'node:fs';
import { exec, type RunningProgram } from '../../exec/exec.js';
import type { Guest, Netmap } from '../../index.js';
import { failure } from '../errors.js';
import type { ExecProgramOptions } from './options.js';

export interface ExecPlace {
  /** The guest that it runs in. */
  readonly guest?: Guest | undefined;
  /** Its standard output goes here. */
  readonly out: NodeJS.WritableStream;
}

/** Starts a program from its file. @throws NetmapError ENOENT (no such file), and as exec */
export function startProgram(netmap: Netmap, options: ExecProgramOptions, place: ExecPlace): Promise<RunningProgram> {
  const { file, args } = options;
  const write = (stream: NodeJS.WritableStream) => (bytes: Uint8Array) =>
    new Promise<void>((resolve) => stream.write(bytes, () => resolve()));
  const { guest, out } = place;
  return exec(netmap, readProgram(file), {
    name: file,
    args,
    env: definedOnly(process.env),
    stdout: write(out),
    stderr: write(process.stderr),
    ...(guest && { guest }),
  });
}

function readProgram(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (error) {
    throw failure('ENOENT', `cannot read the program: ${(error as Error).message}`);
  }
}

function definedOnly(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}
