// The functions of the module `ptnet`: ioctl(2), mmap(2) and a whole poll(2), which wasi-libc does not have. include/wasi
// declares them. They return error numbers, and the headers set errno.

import { toWasiErrno, WASI } from './errno.js';
import { poll } from './poll.js';
import type { Process } from './process.js';

const MAP_FIXED = 0x10;
const PAGE = 4096n;
/** Bits of an ioctl's number that tell the size of what its argument points to. */
const IOC_SIZE_SHIFT = 16;
const IOC_SIZE_MASK = 0x3fff;

/** @param onPort called when the program has its first port */
export function netmapImports(process: Process, onPort: () => void): Record<string, (...args: never[]) => unknown> {
  const { bytes } = process;
  /** Addresses that mmap has given. */
  const mapped = new Set<number>();
  let hasPort = false;

  const ioctl = (fd: number, request: number, list: number): number => {
    const file = process.file(fd);
    if (!file) return WASI.BADF;
    if (!file.device) return WASI.NOTTY;
    // A variadic argument lies in memory, where `list` points to; without one, nothing does.
    const size = (request >>> IOC_SIZE_SHIFT) & IOC_SIZE_MASK;
    const errno = file.device.ioctl(request, size === 0 ? 0 : bytes.u32(list));
    if (!hasPort && file.device.port) {
      hasPort = true;
      onPort();
    }
    return toWasiErrno(errno);
  };

  const mmap = (result: number, length: number, flags: number, fd: number, offset: bigint): number => {
    const file = process.file(fd);
    if (!file) return WASI.BADF;
    const info = file.port?.()?.info;
    if (!info || (flags & MAP_FIXED) !== 0) return WASI.INVAL;
    const size = length >>> 0;
    const inside = offset >= 0n && offset % PAGE === 0n && offset + BigInt(size) <= BigInt(info.memsize);
    if (size === 0 || !inside) return WASI.INVAL;
    const address = info.regionBase + Number(offset);
    bytes.setU32(result, address);
    mapped.add(address);
    return WASI.SUCCESS;
  };

  const munmap = (address: number): number => (mapped.delete(address >>> 0) ? WASI.SUCCESS : WASI.INVAL);

  return {
    ioctl: process.call(ioctl as (...args: never[]) => number),
    mmap: process.call(mmap as (...args: never[]) => number),
    munmap: process.call(munmap as (...args: never[]) => number),
    poll: process.sleepingCall(((files: number, count: number, timeout: number, result: number) =>
      poll(process, files, count, timeout, result)) as (...args: never[]) => number),
  };
}
