// Errors of the command: all are NetmapErrors. A usage error is known before anything runs.

import { abi, NetmapError } from '../index.js';

/** A NetmapError as plain data. */
export type ErrorJSON = ReturnType<NetmapError['toJSON']>;

type Code = 'EEXIST' | 'EINVAL' | 'EIO' | 'ENOENT' | 'ENXIO' | 'EOPNOTSUPP' | 'ECANCELED';

/** `code: message`, as all errors of the package read. */
export function failure(code: Code, message: string): NetmapError {
  return new NetmapError(abi[code], `${code}: ${message}`, { op: 'run' });
}

/** Bad arguments: exit code 2. */
export class UsageError extends NetmapError {}

export function usage(message: string, code: Code = 'EINVAL'): UsageError {
  return new UsageError(abi[code], `${code}: ${message}`, { op: 'run' });
}

/** An error as plain data, for the main thread. */
export function toPlain(error: unknown): ErrorJSON {
  if (error instanceof NetmapError) return error.toJSON();
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  const plain = failure('EIO', message).toJSON();
  return stack === undefined ? plain : { ...plain, stack };
}
