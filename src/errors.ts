// Errors of control calls. Wasm entries and request handlers return a count or a negative errno, as netmap's ioctls
// do; this file turns the negative ones into exceptions. Everything in src/ that throws on purpose throws a
// NetmapError. The numbers are in assembly/abi/errno.ts.

import * as errnos from '../assembly/abi/errno.js';

/** Name of an error number that this package uses, such as `'EINVAL'`. */
export type ErrnoCode = keyof typeof errnos;

/** What an error was about; both parts are optional. */
export interface NetmapErrorContext {
  /** The call that failed, such as `'register'`. */
  readonly op?: string | undefined;
  /** Name of the port that it failed on. */
  readonly port?: string | undefined;
}

/** A {@link NetmapError} as a plain object, fit for `postMessage` and for JSON. */
export interface NetmapErrorJSON {
  readonly name: 'NetmapError';
  readonly message: string;
  readonly code: string;
  readonly errno: number;
  readonly op: string;
  readonly port: string;
  /** Stack of the thread that created the error. */
  readonly stack?: string;
}

// A registered symbol is the same in every copy of the package in a thread, so a bundled copy knows our errors.
const BRAND = Symbol.for('ptnet.NetmapError');

// A record over ErrnoCode, so that the compiler notices a number without a text.
const TEXTS: Readonly<Record<ErrnoCode, string>> = {
  EPERM: 'operation not permitted',
  ENOENT: 'no such object',
  ESRCH: 'no such thread',
  EINTR: 'interrupted',
  EIO: 'input/output error',
  ENXIO: 'no such port or interface',
  E2BIG: 'argument list too long',
  EBADF: 'no such file descriptor',
  EAGAIN: 'resource temporarily unavailable',
  ENOMEM: 'out of memory',
  EACCES: 'permission denied',
  EFAULT: 'bad address',
  EBUSY: 'resource busy',
  EEXIST: 'already exists',
  ENODEV: 'no such device',
  EINVAL: 'invalid argument',
  ENOSPC: 'no space left',
  EPIPE: 'the other end is closed',
  ENOSYS: 'function not implemented',
  EOVERFLOW: 'value too large for its field',
  EMSGSIZE: 'message too long',
  EOPNOTSUPP: 'operation not supported',
  ENETDOWN: 'network is down',
  ENOBUFS: 'no buffer space available',
  ETIMEDOUT: 'timed out',
  ECANCELED: 'cancelled',
};

const NUMBERS: Readonly<Record<ErrnoCode, number>> = { ...errnos };

const NAMES: ReadonlyMap<number, ErrnoCode> = new Map(
  (Object.keys(NUMBERS) as ErrnoCode[]).map((code) => [NUMBERS[code], code]),
);

/**
 * A control call failed. `instanceof` recognises errors made by any copy of this package in the same thread; an error
 * from another thread arrives as plain data and is rebuilt with {@link NetmapError.fromJSON}.
 */
export class NetmapError extends Error {
  declare readonly name: 'NetmapError';
  /** Name of the error number, such as `'EINVAL'`; `'UNKNOWN'` for a number without a name here. */
  readonly code: string;
  /** Error number in Linux's numbering. Positive, unlike the `errno` of Node's own errors. */
  readonly errno: number;
  /** The call that failed, or `''`. */
  readonly op: string;
  /** Name of the port that it failed on, or `''`. */
  readonly port: string;

  /**
   * Takes the message as it is; {@link netmapError} composes one.
   *
   * @param errno positive error number
   * @param message the complete message
   * @param context the call and the port, kept as properties
   */
  constructor(errno: number, message: string, context: NetmapErrorContext = {}) {
    super(message);
    this.code = errnoName(errno);
    this.errno = errno;
    this.op = context.op ?? '';
    this.port = context.port ?? '';
  }

  static {
    // On the prototype, so that they are not among the properties that loggers print, and the name heads the stack.
    Object.defineProperty(NetmapError.prototype, BRAND, { value: true });
    Object.defineProperty(NetmapError.prototype, 'name', { value: 'NetmapError' });
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    // Subclasses inherit this method, and are not recognised by the brand of their parent.
    // biome-ignore lint/complexity/noThisInStatic: it may be a subclass
    if (!Object.hasOwn(this.prototype, BRAND)) return Function.prototype[Symbol.hasInstance].call(this, value);
    return typeof value === 'object' && value !== null && BRAND in value;
  }

  /** Rebuilds an error of another thread from {@link NetmapError.toJSON}'s object, with that thread's stack. */
  static fromJSON(json: NetmapErrorJSON): NetmapError {
    const error = new NetmapError(json.errno, json.message, { op: json.op, port: json.port });
    if (json.stack !== undefined) error.stack = json.stack;
    return error;
  }

  /** The error as a plain object; a structured clone of the error itself would lose its class and its properties. */
  toJSON(): NetmapErrorJSON {
    const { name, message, code, errno, op, port, stack } = this;
    return { name, message, code, errno, op, port, ...(stack === undefined ? {} : { stack }) };
  }
}

/**
 * Name of an error number of either sign: `errnoName(22)` and `errnoName(-22)` are `'EINVAL'`.
 *
 * @param n error number, or a negative result
 * @returns the name, or `'UNKNOWN'`
 */
export function errnoName(n: number): ErrnoCode | 'UNKNOWN' {
  return NAMES.get(Math.abs(n)) ?? 'UNKNOWN';
}

/**
 * Makes an error, to be thrown by the caller. The message reads `EINVAL: <message>, <op> '<port>'`.
 *
 * @param code name of the error number
 * @param message what is wrong, in the user's words
 * @param context the call and the port
 */
export function netmapError(code: ErrnoCode, message: string, context: NetmapErrorContext = {}): NetmapError {
  return compose(NUMBERS[code], code, message, context);
}

/**
 * Passes a result through, or throws the error that it stands for.
 *
 * @param result a count or an index, or a negative errno
 * @param op the call that returned it
 * @param port name of the port that it was made on
 * @returns `result`, when it is not negative
 * @throws NetmapError with the code of the negative result
 */
export function check(result: number, op?: string, port?: string): number {
  if (result >= 0) return result;
  const code = errnoName(result);
  const text = code === 'UNKNOWN' ? `error number ${-result}` : TEXTS[code];
  throw compose(-result, code, text, { op, port });
}

function compose(errno: number, code: string, message: string, context: NetmapErrorContext): NetmapError {
  const where = [context.op, context.port && `'${context.port}'`].filter(Boolean).join(' ');
  return new NetmapError(errno, `${code}: ${message}${where && `, ${where}`}`, context);
}
