// QEMU's network back ends: `-netdev dgram`, bare frames in datagrams.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { POLLERR, POLLIN } from '../../abi.js';
import { netmapError } from '../../errors.js';
import type { BackendContext, BackendKind, BackendPlan } from './kind.js';
import { Drainer, Injector } from './packets.js';
import { type BackendSpec, bad, checkKeys } from './spec.js';

interface DgramConfig {
  readonly localPort: number;
  readonly remotePort: number;
}

export const kind: BackendKind = {
  plan(spec: BackendSpec): BackendPlan {
    checkKeys(spec, []);
    const [, local, remote] = /^dgram:(\d+):(\d+)$/.exec(spec.target) ?? [];
    if (remote === undefined) throw bad(spec.text, 'qemu:dgram:LOCALPORT:REMOTEPORT');
    const config: DgramConfig = { localPort: Number(local), remotePort: Number(remote) };
    return { name: 'qemu%d', interface: {}, workers: [{ direction: 'both', config }] };
  },

  async run(context: BackendContext): Promise<void> {
    const { localPort, remotePort } = context.config as DgramConfig;
    const { wire, counters, signal } = context;
    const socket = createSocket('udp4');
    const failed = once(socket, 'error').then(([error]) => {
      throw netmapError('EIO', String(error), { op: 'qemu', port: context.name });
    });
    failed.catch(() => {});
    const injector = new Injector(wire);
    socket.on('message', (frame) => {
      if (injector.push(frame)) counters.received(1, frame.length);
      else counters.rxDrop(frame.length < injector.maxPacket ? 'runt' : 'oversized');
      injector.flush();
    });
    socket.bind(localPort, '127.0.0.1');
    await Promise.race([once(socket, 'listening'), failed]);
    context.state('up');
    const drainer = new Drainer(wire);
    try {
      while (!signal.aborted) {
        const ready = await Promise.race([wire.poll(POLLIN, { signal }), failed]);
        if (ready & POLLERR) break;
        drainer.drain((packet) => {
          socket.send(packet.slice(), remotePort, '127.0.0.1');
          counters.transmitted(1, packet.length);
          return true;
        }, 256);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      socket.close();
    }
  },
};
