// Error numbers as wasi-libc has them. The package's own are Linux's (assembly/abi/errno.ts).

import type { ErrnoCode } from '../errors.js';
import { errnoName } from '../errors.js';

/** A system call of a program fails with this number of wasi-libc's. */
export class SystemError extends Error {
  readonly errno: number;

  constructor(errno: number) {
    super(`errno ${errno}`);
    this.errno = errno;
  }
}

/** What system calls of a program return, beside what netmap's return. */
export const WASI = {
  SUCCESS: 0,
  AGAIN: 6,
  BADF: 8,
  FAULT: 21,
  INTR: 27,
  INVAL: 28,
  IO: 29,
  MFILE: 33,
  NOENT: 44,
  NOSYS: 52,
  NOTDIR: 54,
  NOTSUP: 58,
  NOTTY: 59,
  SPIPE: 70,
  SRCH: 71,
  TIMEDOUT: 73,
} as const;

/** A record over ErrnoCode: the compiler notices a number that is missing. */
const NUMBERS: Readonly<Record<ErrnoCode, number>> = {
  EPERM: 63,
  ENOENT: 44,
  ESRCH: 71,
  EINTR: 27,
  EIO: 29,
  ENXIO: 60,
  E2BIG: 1,
  EBADF: 8,
  EAGAIN: 6,
  ENOMEM: 48,
  EACCES: 2,
  EFAULT: 21,
  EBUSY: 10,
  EEXIST: 20,
  ENODEV: 43,
  EINVAL: 28,
  ENOSPC: 51,
  EPIPE: 64,
  ENOSYS: 52,
  EOVERFLOW: 61,
  EMSGSIZE: 35,
  EOPNOTSUPP: 58,
  ENETDOWN: 38,
  ENOBUFS: 42,
  ETIMEDOUT: 73,
  ECANCELED: 11,
};

/** A number of ours, of either sign, as wasi-libc has it; EIO for one without a name. */
export function toWasiErrno(errno: number): number {
  if (errno === 0) return WASI.SUCCESS;
  const code = errnoName(errno);
  return code === 'UNKNOWN' ? WASI.IO : NUMBERS[code];
}
