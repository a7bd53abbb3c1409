// Error numbers, in Linux's numbering: what guests of a Linux host expect in nro_status and in the PTCTL register, and
// what the Wasm entries return, negated. Guests with another numbering (FreeBSD, wasi-libc) need a translation.
// Read by asc and by tsc: un-annotated literals only. The texts that users see are in src/errors.ts.

/** Operation not permitted. */
export const EPERM = 1;
/** No such object. */
export const ENOENT = 2;
/** No such thread or process. */
export const ESRCH = 3;
/** Wait interrupted. */
export const EINTR = 4;
/** I/O error; in netmap also: the port needs virtio-net headers and the caller does not accept them. */
export const EIO = 5;
/** No such port or interface. */
export const ENXIO = 6;
/** Argument list too long. */
export const E2BIG = 7;
/** No such file descriptor. */
export const EBADF = 9;
/** Try again: the resource is not ready. */
export const EAGAIN = 11;
/** Out of memory, or out of objects in a pool. */
export const ENOMEM = 12;
/** Permission denied. */
export const EACCES = 13;
/** Bad address. */
export const EFAULT = 14;
/** Busy: already bound, or held by somebody else. */
export const EBUSY = 16;
/** Already exists. */
export const EEXIST = 17;
/** No such device. */
export const ENODEV = 19;
/** Invalid argument. */
export const EINVAL = 22;
/** No space left. */
export const ENOSPC = 28;
/** The other end is closed. */
export const EPIPE = 32;
/** Function not implemented. */
export const ENOSYS = 38;
/** Value too large for its field. */
export const EOVERFLOW = 75;
/** Message too long. */
export const EMSGSIZE = 90;
/** Operation, or option, not supported. */
export const EOPNOTSUPP = 95;
/** Network is down. */
export const ENETDOWN = 100;
/** No buffer space. */
export const ENOBUFS = 105;
/** Timed out. */
export const ETIMEDOUT = 110;
/** Operation cancelled. */
export const ECANCELED = 125;
