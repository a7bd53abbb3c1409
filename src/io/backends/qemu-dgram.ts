// QEMU's `-netdev dgram`: one frame a UDP datagram, between two fixed addresses.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIP } from 'node:net';
import { bindTo, DatagramSender } from './datagrams.js';
import type { BackendContext } from './kind.js';
import { Drainer, Injector, transmitUntil } from './packets.js';
import { canonicalAddress, isLoopback, listenHost, portNumber, socketError } from './sockets.js';
import { type BackendSpec, bad, checkKeys } from './spec.js';

/** An IP address and a port. */
interface End {
  readonly host: string;
  readonly port: number;
}

export interface DgramConfig {
  readonly local: End;
  readonly remote: End;
}

/** @throws NetmapError EINVAL */
export function planDgram(spec: BackendSpec): DgramConfig {
  checkKeys(spec, ['listen']);
  const { text, target } = spec;
  if (target.startsWith('dgram:unix:')) throw bad(text, 'JavaScript runtimes have no unix datagram sockets: use UDP');
  const [, local, host = '127.0.0.1', port] = /^dgram:(\d+):(?:\[?([^\]]+?)\]?:)?(\d+)$/.exec(target) ?? [];
  if (port === undefined) throw bad(text, 'qemu:dgram:LOCALPORT:[REMOTEADDRESS:]REMOTEPORT');
  if (isIP(host) === 0) throw bad(text, `${host} is no IP address`);
  const listen = spec.options.get('listen');
  const own = isIP(host) === 6 ? '::1' : '127.0.0.1';
  if (listen === undefined && !isLoopback(host)) throw bad(text, `to reach ${host}, say listen=ADDRESS`);
  return {
    local: { host: listenHost(text, own, listen), port: portNumber(text, local) },
    remote: { host: canonicalAddress(host), port: portNumber(text, port) },
  };
}

export async function runDgram(context: BackendContext, { local, remote }: DgramConfig): Promise<void> {
  const { wire, counters, signal } = context;
  const socket = createSocket(isIP(local.host) === 6 ? 'udp6' : 'udp4');
  const over = new AbortController();
  const injector = new Injector(wire);
  let failure: Error | undefined;
  socket.on('message', (frame, from) => {
    if (from.port !== remote.port || from.address !== remote.host) {
      counters.rxDrop('source'); // it came before the socket was connected
      return;
    }
    const refused = injector.push(frame);
    if (refused) counters.rxDrop(refused);
    else counters.received(1, frame.length);
    injector.flushSoon();
  });
  try {
    await bindTo(socket, local.host, local.port);
    socket.connect(remote.port, remote.host); // nobody else's datagrams come in from here on
    await once(socket, 'connect');
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') return; // a datagram before has found nobody: that is counted when it is sent
      failure = error;
      over.abort();
    });
    context.state('up');
    const sender = new DatagramSender(socket, counters);
    const drainer = new Drainer(wire);
    await transmitUntil(wire, AbortSignal.any([signal, over.signal]), () => {
      sender.sendAll(drainer, (packet) => sender.send(packet));
    });
    await sender.settle();
    if (failure) throw failure;
  } catch (error) {
    throw socketError(error, 'qemu', context.name);
  } finally {
    socket.close();
  }
}
