// What a program's file descriptors stand for, as one thread uses them.

import type { NetmapFile } from '../ioctl/netmap-file.js';
import type { HostPort } from '../netmap/host-port.js';
import { SystemError, WASI } from './errno.js';
import type { EventCounter } from './event-files.js';
import type { ProcessControl } from './process-control.js';

/** File types of WASI. */
export const FILE_TYPE = { UNKNOWN: 0, CHARACTER_DEVICE: 2, DIRECTORY: 3 } as const;

export interface OpenFile {
  readonly type: number;
  /** Fills `into`; how many bytes, 0 at the end. Absent: it cannot be read. @throws SystemError */
  read?(into: Uint8Array): number;
  /** Takes a copy of bytes. Absent: it cannot be written. @throws SystemError, and nothing was taken */
  write?(bytes: Uint8Array): void;
  /** The netmap device. */
  readonly device?: NetmapFile;
  /** The port that is bound to it. */
  port?(): HostPort | undefined;
  /** The event counter. */
  readonly counter?: EventCounter;
  /** The folder's path, of one that is open from the start. */
  readonly path?: string;
  close(): void;
  /** This thread's object is used no more; the file stays open. */
  giveUp?(): void;
}

/** Standard input: bytes that are known from the start. `take` gives the next part's place. */
export function inputFile(bytes: Uint8Array, take: (length: number, end: number) => number): OpenFile {
  return {
    type: FILE_TYPE.CHARACTER_DEVICE,
    read: (into) => {
      const at = take(into.length, bytes.length);
      const part = bytes.subarray(at, at + into.length);
      into.set(part);
      return part.length;
    },
    close: () => {},
  };
}

/** Standard output or standard error. `take` gets copies, in the order of the writes. */
export function outputFile(control: ProcessControl, take: (bytes: Uint8Array) => void): OpenFile {
  return {
    type: FILE_TYPE.CHARACTER_DEVICE,
    write: (bytes) => {
      if (!control.waitForOutput(bytes.length)) throw new SystemError(WASI.INTR);
      take(bytes);
    },
    close: () => {},
  };
}

/** The folder of devices: libc looks for /dev/netmap in it. */
export function deviceFolder(): OpenFile {
  return { type: FILE_TYPE.DIRECTORY, path: '/dev', close: () => {} };
}

export function deviceFile(device: NetmapFile): OpenFile {
  return {
    type: FILE_TYPE.CHARACTER_DEVICE,
    device,
    port: () => device.sharedPort(),
    close: () => device.closeSync(),
    giveUp: () => device.giveUp(),
  };
}

export function eventFile(counter: EventCounter): OpenFile {
  return {
    type: FILE_TYPE.UNKNOWN,
    counter,
    read: (into) => counter.read(into),
    write: (bytes) => counter.write(bytes),
    close: () => counter.free(),
  };
}
