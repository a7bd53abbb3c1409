// `macvtap:NAME`: an existing macvtap device, through /dev/tapN. Every packet has the 10-byte virtio-net header in front, as
// the device has it when it is opened; so no call is needed but open, read and write, and Node needs no package for them.

import { execFileSync } from 'node:child_process';
import { constants, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check, type NetmapErrorContext, netmapError } from '../../errors.js';
import { type Libc, loadLibc, O_CLOEXEC, O_NONBLOCK, O_RDWR } from '../ffi.js';
import {
  type DeviceData,
  deviceName,
  headerOption,
  interfaceName,
  openQueues,
  type QueueConfig,
  queuesOption,
  queueWorkers,
} from './device.js';
import { receiveFrames, transmitFrames } from './frame-loops.js';
import { FfiQueue, type FrameQueue, FsQueue } from './frame-queue.js';
import type { BackendContext, BackendKind, BackendPlan, Session } from './kind.js';
import { type BackendSpec, checkKeys } from './spec.js';

const HEADER = 10;
const TUNGETIFF = 0x800454d2;
const IFREQ_SIZE = 40;
const ENOLINK = 67;
/** How often (ms) it is asked whether the device is there: it does not say. */
const LOOK_EVERY = 1000;

export const kind: BackendKind = {
  plan(spec: BackendSpec): BackendPlan {
    checkKeys(spec, ['vnet', 'queues']);
    const device = deviceName(spec);
    const queues = queuesOption(spec);
    return {
      name: interfaceName(device),
      interface: { txRings: queues, rxRings: queues, vnetHdrLen: headerOption(spec), wireHdrLen: HEADER },
      workers: queueWorkers(queues, HEADER, device),
    };
  },

  async open(spec: BackendSpec): Promise<Session> {
    const name = deviceName(spec);
    const libc = await findLibc();
    return openQueues(libc, queuesOption(spec), () => openMacvtap(libc, name));
  },

  async run(context: BackendContext): Promise<void> {
    const { fds, wake } = context.data as DeviceData;
    const { queue, direction, header, device } = context.config as QueueConfig;
    const { wire } = context;
    const libc = await findLibc();
    const fd = fds[queue];
    const make = (ring: (typeof wire.txRings)[0]): FrameQueue =>
      libc ? new FfiQueue(libc, fd, wake, ring, LOOK_EVERY) : new FsQueue(fd, ring);
    if (direction === 'receive') {
      context.state('up');
      receiveFrames(context, make(wire.txRings[0]), header, presence(libc, fd, device));
    } else {
      transmitFrames(context, make(wire.rxRings[0]), header);
    }
  },
};

/** The C library, where this runtime can call it. */
function findLibc(): Promise<Libc | undefined> {
  return loadLibc().catch(() => undefined);
}

/** Whether the device of a descriptor is there; asked often, and looks once a second. */
function presence(libc: Libc | undefined, fd: number, device: string): () => boolean {
  const ifreq = new Uint8Array(IFREQ_SIZE);
  let looked = performance.now();
  let isThere = true;
  return () => {
    if (performance.now() - looked < LOOK_EVERY) return isThere;
    looked = performance.now();
    isThere = libc ? libc.ioctl(fd, TUNGETIFF, ifreq) !== -ENOLINK : existsSync(folder(device));
    return isThere;
  };
}

const folder = (device: string): string => `/sys/class/net/${device}`;

/** @throws NetmapError ENODEV, EINVAL (not a macvtap device), and what opening its node fails with */
function openMacvtap(libc: Libc | undefined, name: string): number {
  const where = { op: 'macvtap', port: name };
  if (!existsSync(folder(name))) throw netmapError('ENODEV', 'there is no such device', where);
  const tap = readdirSync(folder(name)).find((entry) => /^tap\d+$/.test(entry));
  if (tap === undefined) {
    const command = `ip link add link ${name} name mvt0 type macvtap mode passthru`;
    throw netmapError('EINVAL', `it is no macvtap device; '${command}' makes one on top of it`, where);
  }
  const [major, minor] = readFileSync(join(folder(name), tap, 'dev'), 'utf8')
    .trim()
    .split(':')
    .map(Number);
  const node = `/dev/${tap}`;
  if (isDevice(node, major, minor)) return openNode(libc, node);
  // No devtmpfs, or that of another namespace.
  const scratch = mkdtempSync(join(tmpdir(), 'ptnet-macvtap-'));
  try {
    makeNode(join(scratch, tap), major, minor, where);
    return openNode(libc, join(scratch, tap));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function makeNode(path: string, major: number, minor: number, where: NetmapErrorContext): void {
  try {
    execFileSync('mknod', [path, 'c', `${major}`, `${minor}`], { stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: Buffer };
    throw netmapError('EPERM', `no device node can be made: ${stderr?.toString().trim() || message}`, where);
  }
}

function isDevice(path: string, major: number, minor: number): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat?.isCharacterDevice() === true && stat.rdev === ((minor >>> 8) << 20) + (major << 8) + (minor & 0xff);
}

function openNode(libc: Libc | undefined, path: string): number {
  if (libc) return check(libc.open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC), 'open', path);
  try {
    return openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException;
    if (errno === undefined) throw error;
    return check(errno, 'open', path);
  }
}
