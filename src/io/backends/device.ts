// What the kinds with a Linux device have in common: descriptors that the workers share, and how the specification names
// devices, headers and queues.

import { closeSync } from 'node:fs';
import { EINVAL, EIO, EMSGSIZE, ENETDOWN, ENOBUFS, ENODEV, ENOMEM, ENXIO } from '../../abi.js';
import { check, netmapError } from '../../errors.js';
import type { Libc } from '../ffi.js';
import type { DropReason } from './counters.js';
import type { BackendContext, Session, WorkerPlan } from './kind.js';
import { type BackendSpec, bad, wholeNumber } from './spec.js';

/** Bytes of a device name, without the 0 behind it. */
const NAME_MAX = 15;
const QUEUES_MAX = 16;
/** errno of a device that was deleted, of Linux. */
const EBADFD = 77;

/** What the workers of a device share. */
export interface DeviceData {
  /** Of each queue. */
  readonly fds: readonly number[];
  /** Event descriptor that is readable when they are to end; below 0: there is none. */
  readonly wake: number;
}

/** What a worker of a device knows. */
export interface QueueConfig {
  readonly queue: number;
  readonly direction: 'receive' | 'transmit';
  /** Bytes of virtio-net header at the wire. */
  readonly header: number;
  readonly device: string;
  /** Whether packets come through memory that is shared with the kernel. */
  readonly ring: boolean;
}

/** The device that a specification names. @throws NetmapError EINVAL */
export function deviceName({ text, kind, target }: BackendSpec): string {
  if (new TextEncoder().encode(target).length <= NAME_MAX && /^[^\s/:%]+$/.test(target) && !/^\.\.?$/.test(target))
    return target;
  throw bad(text, `${kind}:NAME wants the name of a device, 1 to ${NAME_MAX} bytes`);
}

/** The interface of a device: its name, with `_` for what netmap's names have for other things. */
export function interfaceName(device: string): string {
  return device.replace(/[^\w.]/g, '_');
}

/** The option `vnet`: bytes of virtio-net header of the interface. @throws NetmapError EINVAL */
export function headerOption({ text, options }: BackendSpec): number {
  const vnet = options.get('vnet') ?? '0';
  if (['0', '10', '12'].includes(vnet)) return Number(vnet);
  throw bad(text, `vnet=${vnet} is not 0, 10 or 12`);
}

/** The option `queues`. @throws NetmapError EINVAL */
export function queuesOption({ text, options }: BackendSpec): number {
  return wholeNumber(text, 'queues', options.get('queues') ?? '1', 1, QUEUES_MAX);
}

/** A worker for each direction of each queue. */
export function queueWorkers(queues: number, header: number, device: string, ring = false): WorkerPlan[] {
  return Array.from({ length: queues }, (_, queue) =>
    (['receive', 'transmit'] as const).map((direction): WorkerPlan => {
      const config: QueueConfig = { queue, direction, header, device, ring };
      return { direction, ring: queue, config };
    }),
  ).flat();
}

/**
 * Opens `queues` descriptors, each by `open`, and what wakes their workers.
 * @param libc undefined where there is none: the descriptors are those of node:fs, and nothing wakes the workers
 * @throws what `open` throws, and nothing is left
 */
export function openQueues(libc: Libc | undefined, queues: number, open: () => number): Session {
  const fds: number[] = [];
  const close = (): void => {
    for (const fd of fds.splice(0)) libc ? libc.close(fd) : closeSync(fd);
  };
  try {
    const wake = libc ? check(libc.eventfd(), 'eventfd') : -1;
    if (libc) fds.push(wake);
    const opened: number[] = [];
    for (let i = 0; i < queues; i++) {
      opened.push(open());
      fds.push(opened[i]);
    }
    const data: DeviceData = { fds: opened, wake };
    const one = new Uint8Array(BigUint64Array.of(1n).buffer);
    return { data, wake: () => void libc?.write(wake, libc.address(one), one.length), close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Why a packet was not taken; undefined: the device is gone. */
export function dropReason(errno: number): DropReason | undefined {
  switch (errno) {
    case EBADFD:
    case ENODEV:
    case ENXIO:
      return undefined;
    case EIO:
    case ENETDOWN:
      return 'down';
    case EMSGSIZE:
      return 'oversized';
    case EINVAL:
      return 'header';
    case ENOBUFS:
    case ENOMEM:
      return 'noRoom';
    default:
      return 'error';
  }
}

/** The error that ends the workers. */
export function deviceError(context: BackendContext, errno: number): Error {
  const gone = dropReason(errno) === undefined;
  const where = { op: 'backend', port: context.name };
  if (gone) return netmapError('ENXIO', 'the device is gone', where);
  return errno === ENETDOWN
    ? netmapError('ENETDOWN', 'the device is down', where)
    : netmapError('EIO', `the device fails with errno ${errno}`, where);
}
