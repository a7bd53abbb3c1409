// A thread of a running program: its memory, the files, and what every system call does before and after.

import { NetmapError } from '../errors.js';
import { SystemError, toWasiErrno, WASI } from './errno.js';
import type { FileTable } from './file-table.js';
import type { OpenFile } from './files.js';
import type { ProcessControl } from './process-control.js';
import { FUNCTION_TABLE } from './program-module.js';
import { Fault, type UserBytes } from './user-bytes.js';

/** The program has ended, by exit() or by a signal. Passes through its frames. */
export class ProgramExit extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`exit ${code}`);
    this.code = code;
  }
}

/** The thread has ended, by pthread_exit(). */
export class ThreadExit extends Error {}

const HANDLED = 2;
const BY_DEFAULT = 0;
/** Exit codes of programs that a signal has ended, as shells show them. */
const SIGNALLED = 128;
const TRAPPED = SIGNALLED + 6;

export interface Ending {
  readonly code: number;
  /** Why a program has ended that did not end by itself. */
  readonly reason?: string;
}

export class Process {
  readonly bytes: UserBytes;
  readonly control: ProcessControl;
  readonly files: FileTable;
  /** Where errno of this thread is, of one that is not the first; libc has only one. */
  errnoAddress = 0;
  #exports: WebAssembly.Exports = {};

  constructor(bytes: UserBytes, control: ProcessControl, files: FileTable) {
    this.bytes = bytes;
    this.control = control;
    this.files = files;
  }

  /** The open file with this number; undefined when there is none. */
  file(fd: number): OpenFile | undefined {
    return this.files.get(fd);
  }

  /** A function of the program, by its place in the table: what a pointer to a function is. */
  function(place: number): ((...args: number[]) => number | undefined) | undefined {
    const { [FUNCTION_TABLE]: table } = this.#exports;
    if (!(table instanceof WebAssembly.Table) || place < 0 || place >= table.length) return undefined;
    return (table.get(place) as ((...args: number[]) => number | undefined) | null) ?? undefined;
  }

  /** Runs the handlers of signals that wait. True if one has run. @throws ProgramExit for a signal without a handler */
  deliverSignals(): boolean {
    let handled = false;
    for (let signal = this.control.takeSignal(); signal !== 0; signal = this.control.takeSignal()) {
      const deliver = this.function(this.control.handlers);
      const outcome = deliver ? deliver(signal) : BY_DEFAULT;
      if (outcome === BY_DEFAULT) throw new ProgramExit(SIGNALLED + signal);
      handled ||= outcome === HANDLED;
    }
    return handled;
  }

  /** A system call that signals interrupt only between two of its instructions: their handlers run first. */
  call<Args extends readonly never[]>(run: (...args: Args) => number): (...args: Args) => number {
    return (...args) => {
      try {
        this.deliverSignals();
        return this.#said(run(...args));
      } catch (error) {
        return this.#said(errnoOf(error));
      }
    };
  }

  /** One that sleeps: a handler that has run makes it fail with EINTR. */
  sleepingCall<Args extends readonly never[]>(run: (...args: Args) => number): (...args: Args) => number {
    return (...args) => {
      try {
        if (this.deliverSignals()) return this.#said(WASI.INTR);
        const errno = this.#attempt(run, args);
        if (errno === WASI.INTR) this.deliverSignals();
        return this.#said(errno);
      } catch (error) {
        return this.#said(errnoOf(error));
      }
    };
  }

  #attempt<Args extends readonly never[]>(run: (...args: Args) => number, args: Args): number {
    try {
      return run(...args);
    } catch (error) {
      return errnoOf(error);
    }
  }

  /** libc stores what a call has answered in its one errno, which is the first thread's. */
  #said(errno: number): number {
    if (errno !== 0 && this.errnoAddress !== 0) this.bytes.setU32(this.errnoAddress, errno);
    return errno;
  }

  /** Makes the program, for its main function or for that of a thread. */
  instantiate(module: WebAssembly.Module, imports: WebAssembly.Imports): WebAssembly.Exports {
    this.#exports = new WebAssembly.Instance(module, imports).exports;
    return this.#exports;
  }

  /** Runs the program, or the function of a thread, to its end; undefined when only the thread has ended. Never throws. */
  run(start: () => void): Ending | undefined {
    try {
      start();
      return this.control.line === 0 ? { code: 0 } : undefined;
    } catch (error) {
      if (error instanceof ThreadExit) return undefined;
      if (error instanceof ProgramExit) return { code: error.code };
      return { code: TRAPPED, reason: error instanceof Error ? error.message : String(error) };
    }
  }
}

function errnoOf(error: unknown): number {
  if (error instanceof Fault) return WASI.FAULT;
  if (error instanceof SystemError) return error.errno;
  if (error instanceof NetmapError) return toWasiErrno(error.errno);
  throw error;
}
