// `tap:NAME`: a Linux TAP device, whose other side is the kernel. A worker for each direction of each queue.

import { loadLibc } from '../ffi.js';
import { openTun, setOffload } from '../tun.js';
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
import { FfiQueue } from './frame-queue.js';
import type { BackendContext, BackendKind, BackendPlan, Session } from './kind.js';
import { type BackendSpec, checkKeys } from './spec.js';

export const kind: BackendKind = {
  plan(spec: BackendSpec): BackendPlan {
    checkKeys(spec, ['vnet', 'queues']);
    const device = deviceName(spec);
    const header = headerOption(spec);
    const queues = queuesOption(spec);
    return {
      name: interfaceName(device),
      interface: { txRings: queues, rxRings: queues, vnetHdrLen: header },
      workers: queueWorkers(queues, header, device),
    };
  },

  async open(spec: BackendSpec): Promise<Session> {
    const name = deviceName(spec);
    const headerLength = headerOption(spec);
    const queues = queuesOption(spec);
    const libc = await loadLibc();
    return openQueues(libc, queues, () => {
      const { fd } = openTun(libc, name, { headerLength, multiQueue: queues > 1 });
      const offloads = headerLength !== 0;
      try {
        setOffload(libc, fd, name, { checksums: offloads, tso4: offloads, tso6: offloads });
        return fd;
      } catch (error) {
        libc.close(fd);
        throw error;
      }
    });
  },

  async run(context: BackendContext): Promise<void> {
    const { fds, wake } = context.data as DeviceData;
    const { queue, direction, header } = context.config as QueueConfig;
    const { wire } = context;
    const libc = await loadLibc();
    if (direction === 'receive') {
      context.state('up');
      receiveFrames(context, new FfiQueue(libc, fds[queue], wake, wire.txRings[0]), header);
    } else {
      transmitFrames(context, new FfiQueue(libc, fds[queue], wake, wire.rxRings[0]), header);
    }
  },
};
