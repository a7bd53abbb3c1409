// Opening Linux TAP devices (/dev/net/tun), and what the kernel leaves undone in their packets.

import { check, netmapError } from '../errors.js';
import { type Libc, O_CLOEXEC, O_NONBLOCK, O_RDWR } from './ffi.js';

// linux/if_tun.h
const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETVNETHDRSZ = 0x400454d8;
const IFF_TAP = 2;
const IFF_MULTI_QUEUE = 0x100;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const IFREQ_SIZE = 40;
const IFNAMSIZ = 16;
const TUN_F_CSUM = 1;
const TUN_F_TSO4 = 2;
const TUN_F_TSO6 = 4;
const TUN_F_TSO_ECN = 8;

/** Largest packet that the kernel gives or takes, without the header. */
export const MAX_PACKET = 65536 + 64;

export interface TunOptions {
  /** Bytes of virtio-net header in front of every packet: 0, 10 or 12. */
  readonly headerLength: number;
  /** Whether the device has several queues, each opened once. Default false. */
  readonly multiQueue?: boolean;
}

/** What the kernel may leave undone in packets that it gives. Without `checksums` it does all. */
export interface Offload {
  readonly checksums: boolean;
  readonly tso4: boolean;
  readonly tso6: boolean;
}

/**
 * Opens a queue of a TAP device, non-blocking: makes the device unless it is there. A `%d` in its name is numbered by the kernel.
 * @throws NetmapError EINVAL (name), EPERM, EBUSY, ENOENT (no /dev/net/tun)
 */
export function openTun(libc: Libc, name: string, options: TunOptions): { readonly fd: number; readonly name: string } {
  const nameBytes = new TextEncoder().encode(name);
  if (nameBytes.length === 0 || nameBytes.length >= IFNAMSIZ) {
    throw netmapError('EINVAL', 'a device name has 1 to 15 bytes', { op: 'tap', port: name });
  }
  const { headerLength, multiQueue = false } = options;
  const fd = check(libc.open('/dev/net/tun', O_RDWR | O_NONBLOCK | O_CLOEXEC), 'open', '/dev/net/tun');
  try {
    const ifreq = new Uint8Array(IFREQ_SIZE);
    ifreq.set(nameBytes);
    const flags = (headerLength === 0 ? 0 : IFF_VNET_HDR) | (multiQueue ? IFF_MULTI_QUEUE : 0);
    new DataView(ifreq.buffer).setUint16(IFNAMSIZ, IFF_TAP | IFF_NO_PI | flags, true);
    check(libc.ioctl(fd, TUNSETIFF, ifreq), 'TUNSETIFF', name);
    const given = new TextDecoder().decode(ifreq.subarray(0, ifreq.indexOf(0)));
    if (headerLength !== 0) setHeaderSize(libc, fd, given, headerLength);
    return { fd, name: given };
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** How many bytes of header each packet has. @throws NetmapError with the errno of TUNSETVNETHDRSZ */
function setHeaderSize(libc: Libc, fd: number, name: string, headerLength: number): void {
  const length = new Uint8Array(Int32Array.of(headerLength).buffer);
  check(libc.ioctl(fd, TUNSETVNETHDRSZ, length), 'TUNSETVNETHDRSZ', name);
}

/** @throws NetmapError with the errno of TUNSETOFFLOAD */
export function setOffload(libc: Libc, fd: number, name: string, { checksums, tso4, tso6 }: Offload): void {
  const tso = (tso4 ? TUN_F_TSO4 : 0) | (tso6 ? TUN_F_TSO6 : 0);
  const flags = checksums ? TUN_F_CSUM | tso | (tso !== 0 ? TUN_F_TSO_ECN : 0) : 0;
  check(libc.ioctlValue(fd, TUNSETOFFLOAD, flags), 'TUNSETOFFLOAD', name);
}
