// A running program, in its own thread: its memory, its files, and what every system call does before and after.

import { NetmapError } from '../errors.js';
import { toWasiErrno, WASI } from './errno.js';
import type { OpenFile } from './files.js';
import type { ProcessControl } from './process-control.js';
import { Fault, type UserBytes } from './user-bytes.js';

/** What a program's exports have to do with the host. */
interface ProgramExports {
  readonly _start?: unknown;
  /** Runs the handler of a signal: 0 = it has none, 1 = it ignores the signal, 2 = the handler has run. */
  readonly ptnet_signal?: unknown;
}

/** The program has ended, by exit() or by a signal. Passes through its frames. */
export class ProgramExit extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`exit ${code}`);
    this.code = code;
  }
}

const HANDLED = 2;
const BY_DEFAULT = 0;
/** Exit codes of programs that a signal has ended, as shells show them. */
const SIGNALLED = 128;
const MAX_FILES = 1024;
const TRAPPED = SIGNALLED + 6;

export interface Ending {
  readonly code: number;
  /** Why a program has ended that did not end by itself. */
  readonly reason?: string;
}

export class Process {
  readonly bytes: UserBytes;
  readonly control: ProcessControl;
  readonly files = new Map<number, OpenFile>();
  #exports: ProgramExports = {};

  constructor(bytes: UserBytes, control: ProcessControl) {
    this.bytes = bytes;
    this.control = control;
  }

  /** The open file with this number; undefined when there is none. */
  file(fd: number): OpenFile | undefined {
    return this.files.get(fd);
  }

  /** Gives a file the lowest free number; undefined when there are too many. */
  addFile(file: OpenFile): number | undefined {
    for (let fd = 0; fd < MAX_FILES; fd++) {
      if (this.files.has(fd)) continue;
      this.files.set(fd, file);
      return fd;
    }
    return undefined;
  }

  /** Runs the handlers of signals that wait. True if one has run. @throws ProgramExit for a signal without a handler */
  deliverSignals(): boolean {
    let handled = false;
    for (let signal = this.control.takeSignal(); signal !== 0; signal = this.control.takeSignal()) {
      const { ptnet_signal: deliver } = this.#exports;
      const outcome = typeof deliver === 'function' ? deliver(signal) : BY_DEFAULT;
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
        return run(...args);
      } catch (error) {
        return errnoOf(error);
      }
    };
  }

  /** One that sleeps: a handler that has run makes it fail with EINTR. */
  sleepingCall<Args extends readonly never[]>(run: (...args: Args) => number): (...args: Args) => number {
    return (...args) => {
      try {
        if (this.deliverSignals()) return WASI.INTR;
        const errno = run(...args);
        if (errno === WASI.INTR) this.deliverSignals();
        return errno;
      } catch (error) {
        return errnoOf(error);
      }
    };
  }

  /** Runs the program to its end. Never throws. */
  run(module: WebAssembly.Module, imports: WebAssembly.Imports): Ending {
    try {
      const { exports } = new WebAssembly.Instance(module, imports);
      this.#exports = exports;
      const { _start: start } = this.#exports;
      if (typeof start === 'function') start();
      return { code: 0 };
    } catch (error) {
      if (error instanceof ProgramExit) return { code: error.code };
      return { code: TRAPPED, reason: error instanceof Error ? error.message : String(error) };
    } finally {
      for (const file of this.files.values()) closeQuietly(file);
    }
  }
}

/** The end of a program must not fail. */
function closeQuietly(file: OpenFile): void {
  try {
    file.close();
  } catch {
    // its host has gone
  }
}

function errnoOf(error: unknown): number {
  if (error instanceof Fault) return WASI.FAULT;
  if (error instanceof NetmapError) return toWasiErrno(error.errno);
  throw error;
}
