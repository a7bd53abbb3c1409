// A capture as a file that is written while it grows, in batches. What cannot be written is lost as a batch, and the file
// ends with the last one that was: it can be read at any time.

import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { type ErrnoCode, NetmapError, netmapError } from '../errors.js';
import type { CapturedFrame, CaptureFormat } from './pcap-frame.js';
import { CaptureReader } from './pcap-reader.js';
import { CaptureWriter } from './pcap-writer.js';

/** Errors of files that have a number here; others are EIO, and the message has their name. */
const CODES: readonly string[] = ['ENOENT', 'EACCES', 'EPERM', 'ENOSPC', 'EPIPE', 'EINVAL', 'EEXIST', 'EBADF'];
/** Milliseconds between two tries at a pipe that is full at the moment. */
const FULL_PIPE_WAIT = 1;
/** How long (ms) a pipe may be full before what waits is lost. */
const FULL_PIPE_LIMIT = 1000;
/** Nobody can end a call that waits for the reader of a pipe, so none does. */
const { O_WRONLY, O_CREAT, O_TRUNC, O_NONBLOCK = 0 } = constants;

/** The format that a file name asks for: pcapng by its extension, otherwise pcap. */
function captureFormatOf(path: string): CaptureFormat {
  return /\.pcapng$/i.test(path) ? 'pcapng' : 'pcap';
}

/** An error of the file system, with the file's name. */
export function fileError(error: unknown, path: string, op: string): Error {
  const { code = '', message } = error as NodeJS.ErrnoException;
  const known = CODES.includes(code) ? (code as ErrnoCode) : 'EIO';
  const text = message.replace(/, \w+( '.*')?$/, ''); // the system call
  return netmapError(known, `${path}: ${known === code ? text.replace(`${code}: `, '') : text}`, { op });
}

export class CaptureFile {
  readonly path: string;
  readonly writer: CaptureWriter;
  readonly #fd: number;
  /** Only these can be cut to where they were: what else has failed is of no use any more. */
  readonly isRegular: boolean;
  #written = 0;

  /** Makes or empties the file. @throws NetmapError, as the file system says: ENOENT, EACCES, ENOSPC, …; ENXIO: nobody reads from the pipe */
  constructor(path: string, format = captureFormatOf(path)) {
    this.path = path;
    try {
      this.#fd = openSync(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK, 0o644);
      this.isRegular = fstatSync(this.#fd).isFile();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENXIO') throw fileError(error, path, 'capture');
      throw netmapError('ENXIO', `${path}: nobody reads from the pipe`, { op: 'capture' });
    }
    this.writer = new CaptureWriter({ format });
  }

  /**
   * Writes what waits. Blocks while a pipe is full, for a second at most.
   * @throws NetmapError ENOSPC, EPIPE, … The frames that waited are then lost, and the file is as it was before
   */
  flush(): void {
    const { writer } = this;
    const bytes = writer.peek();
    try {
      for (let at = 0, since = performance.now(); at < bytes.length; ) {
        const n = this.#write(bytes, at);
        at += n;
        const now = performance.now();
        if (n !== 0) since = now;
        else if (now - since > FULL_PIPE_LIMIT) throw new Error('nobody has read from the pipe for a while');
      }
      this.#written += bytes.length;
      writer.taken();
    } catch (error) {
      writer.lost();
      if (this.isRegular) ftruncateSync(this.#fd, this.#written);
      throw fileError(error, this.path, 'capture');
    }
  }

  /** Forgets what waits. */
  close(): void {
    closeSync(this.#fd);
  }

  #write(bytes: Uint8Array, at: number): number {
    try {
      const where = this.isRegular ? this.#written + at : null;
      return writeSync(this.#fd, bytes, at, bytes.length - at, where);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FULL_PIPE_WAIT);
      return 0;
    }
  }
}

/** Bytes that are read at once. */
const CHUNK = 1 << 18;

/**
 * The frames of a capture, one after the other, read a chunk at a time.
 * @param op for messages
 * @throws NetmapError ENOENT, EACCES, … as the file system says; EINVAL for what is no capture, or a damaged one
 */
export function* readCaptureFile(path: string, op: string): Generator<CapturedFrame, void, undefined> {
  let fd: number | undefined;
  try {
    fd = openSync(path, 'r');
    const reader = new CaptureReader();
    for (;;) {
      const chunk = new Uint8Array(CHUNK); // frames are read where they lie in it
      const length = readSync(fd, chunk);
      if (length === 0) break;
      reader.push(chunk.subarray(0, length));
      for (let frame = reader.next(); frame; frame = reader.next()) yield frame;
    }
    reader.end();
  } catch (error) {
    if (!(error instanceof NetmapError)) throw fileError(error, path, op);
    const { message } = error;
    throw error.op === 'readPcap' ? netmapError('EINVAL', message.replace(/^EINVAL: /, ''), { op, port: path }) : error;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

const NS_PER_SECOND = 1e9;

/** The time of day in nanoseconds, which goes on evenly: from when it was made on, it is the monotonic clock's. */
export class CaptureClock {
  readonly #base = Math.floor(performance.timeOrigin / 1e3);
  readonly #rest = (performance.timeOrigin % 1e3) * 1e6;
  seconds = 0;
  nanoseconds = 0;

  /** Sets `seconds` and `nanoseconds` to now. */
  tick(): void {
    const total = this.#rest + performance.now() * 1e6;
    const whole = Math.floor(total / NS_PER_SECOND);
    this.seconds = this.#base + whole;
    this.nanoseconds = Math.floor(total - whole * NS_PER_SECOND);
  }
}
