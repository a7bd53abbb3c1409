// What a program's file descriptors stand for.

import type { NetmapFile } from '../ioctl/netmap-file.js';
import type { ProcessControl } from './process-control.js';

/** File types of WASI. */
export const FILE_TYPE = { CHARACTER_DEVICE: 2, DIRECTORY: 3 } as const;

export interface OpenFile {
  readonly type: number;
  /** Fills `into`; how many bytes, 0 at the end. Absent: it cannot be read. */
  read?(into: Uint8Array): number;
  /** Takes a copy of bytes. False: a signal has come first, and nothing was taken. */
  write?(bytes: Uint8Array): boolean;
  /** The netmap device. */
  readonly device?: NetmapFile;
  /** The folder's path, of one that is open from the start. */
  readonly path?: string;
  close(): void;
}

/** Standard input: bytes that are known from the start. */
export function inputFile(bytes: Uint8Array): OpenFile {
  let at = 0;
  return {
    type: FILE_TYPE.CHARACTER_DEVICE,
    read: (into) => {
      const part = bytes.subarray(at, at + into.length);
      into.set(part);
      at += part.length;
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
      if (!control.waitForOutput(bytes.length)) return false;
      take(bytes);
      return true;
    },
    close: () => {},
  };
}

/** The folder of devices: libc looks for /dev/netmap in it. */
export function deviceFolder(): OpenFile {
  return { type: FILE_TYPE.DIRECTORY, path: '/dev', close: () => {} };
}

export function deviceFile(device: NetmapFile): OpenFile {
  return { type: FILE_TYPE.CHARACTER_DEVICE, device, close: () => device.closeSync() };
}
