// The file descriptors of a program, which all its threads share: what each number stands for is in shared words, and
// every thread makes its own object of it.

import type { OpenFile } from './files.js';

/** What a descriptor stands for; 0 = it is free. */
export const FILE = { STDIN: 1, STDOUT: 2, STDERR: 3, DEVICES: 4, NETMAP: 5, EVENTFD: 6 } as const;

export interface FileEntry {
  readonly kind: number;
  /** Which one of its kind. */
  readonly value: number;
  /** fdflags of WASI. */
  flags: number;
}

const KIND = 0; // 0 = free, stored last
const VALUE = 1;
const FLAGS = 2;
const CHANGES = 3; // counts the files that have had this number
const WORDS = 4;
const TAKEN = -1; // while it is being written
const MAX_FILES = 1024;
/** Words behind the table: how many files of each kind there have been. */
const COUNTS = MAX_FILES * WORDS;

export const FILES_SIZE = 4 * (COUNTS + 16);

interface Known {
  readonly changes: number;
  readonly file: OpenFile;
}

export class FileTable {
  readonly #words: Int32Array;
  readonly #make: (entry: FileEntry, fd: number) => OpenFile;
  readonly #known = new Map<number, Known>();

  /** @param make this thread's object for a file */
  constructor(buffer: SharedArrayBuffer, make: (entry: FileEntry, fd: number) => OpenFile) {
    this.#words = new Int32Array(buffer);
    this.#make = make;
  }

  /** The open file with this number; undefined when there is none. */
  get(fd: number): OpenFile | undefined {
    if (fd < 0 || fd >= MAX_FILES) return undefined;
    const at = fd * WORDS;
    const changes = Atomics.load(this.#words, at + CHANGES);
    const kind = Atomics.load(this.#words, at + KIND);
    const known = this.#known.get(fd);
    if (known?.changes === changes && kind > 0) return known.file;
    this.#forget(fd);
    if (kind <= 0) return undefined;
    const file = this.#make({ kind, value: this.#words[at + VALUE], flags: this.#words[at + FLAGS] }, fd);
    this.#known.set(fd, { changes, file });
    return file;
  }

  /** Another thread has closed what this one knows. */
  #forget(fd: number): void {
    this.#known.get(fd)?.file.giveUp?.();
    this.#known.delete(fd);
  }

  /** Gives a file the lowest free number; undefined when there are too many. */
  add(kind: number, value: number, flags = 0): number | undefined {
    for (let fd = 0; fd < MAX_FILES; fd++) {
      const at = fd * WORDS;
      if (Atomics.compareExchange(this.#words, at + KIND, 0, TAKEN) !== 0) continue;
      this.#words[at + VALUE] = value;
      this.#words[at + FLAGS] = flags;
      Atomics.add(this.#words, at + CHANGES, 1);
      Atomics.store(this.#words, at + KIND, kind);
      return fd;
    }
    return undefined;
  }

  /** A number that no other file of this kind has had. */
  newValue(kind: number): number {
    return Atomics.add(this.#words, COUNTS + kind, 1);
  }

  /** The place of the next `length` bytes of `end`, which standard input has; it stays there at the end. */
  takeInput(length: number, end: number): number {
    const at = COUNTS + FILE.STDIN;
    for (;;) {
      const before = Atomics.load(this.#words, at);
      const after = Math.min(before + length, end);
      if (Atomics.compareExchange(this.#words, at, before, after) === before) return before;
    }
  }

  flags(fd: number): number {
    return Atomics.load(this.#words, fd * WORDS + FLAGS);
  }

  /** @param fd an open file's */
  setFlags(fd: number, flags: number): void {
    Atomics.store(this.#words, fd * WORDS + FLAGS, flags);
  }

  /** Frees a number; false if another thread has done so. What it stood for is closed by whoever gets true. */
  remove(fd: number): boolean {
    const at = fd * WORDS;
    const kind = Atomics.load(this.#words, at + KIND);
    this.#known.delete(fd);
    return kind > 0 && Atomics.compareExchange(this.#words, at + KIND, kind, 0) === kind;
  }

  /** Closes all files: the end of the program. */
  closeAll(): void {
    for (let fd = 0; fd < MAX_FILES; fd++) {
      const file = this.get(fd);
      if (!file || !this.remove(fd)) continue;
      try {
        file.close();
      } catch {
        // its host has gone
      }
    }
  }

  /** Gives up this thread's objects: the files stay open. */
  giveUpAll(): void {
    for (const fd of [...this.#known.keys()]) this.#forget(fd);
  }
}
