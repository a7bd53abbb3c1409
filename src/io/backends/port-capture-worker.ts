// The worker of a capture of several ports: watches each by a monitor, and writes what they see to one file.

import { NS_TXMON, POLLERR, POLLIN } from '../../abi.js';
import { Netmap } from '../../control/netmap.js';
import { NetmapError, netmapError } from '../../errors.js';
import type { HostPort } from '../../netmap/host-port.js';
import { pollMany } from '../../ring/poll.js';
import { onParentMessage, parentPoster, receiveWorkerData } from '../../threads/platform.js';
import { CaptureSink } from './capture-sink.js';
import { Drainer } from './packets.js';
import {
  BYTES,
  LOST,
  MISSED,
  PACKETS,
  type PortCaptureData,
  type PortCaptureMessage,
  type PortCaptureRequest,
} from './port-capture-messages.js';

/** How long (ms) is waited until counters are told, and a file that failed is looked at again. */
const LOOK_EVERY = 200;
/** Packets of a port between two looks at the others. */
const TURN = 1024;
const SUFFIX = { in: '/t', out: '/r', both: '/rt' } as const;

interface Watch {
  readonly monitor: HostPort;
  readonly drainer: Drainer;
  /** Its interface in the file. */
  readonly id: number;
  readonly take: (packet: Uint8Array, flags: number) => boolean;
}

const { netmap: handle, data } = await receiveWorkerData<PortCaptureData>();
const post: (message: PortCaptureMessage) => void = await parentPoster();
const counters = new Float64Array(data.counters);
const netmap = await Netmap.attach(handle);
const watches = new Map<string, Watch>();
/** Interfaces that the file has, by name, and packets that they have missed in monitors that are closed. */
const interfaces = new Map<string, number>();
const missed: number[] = [];
const requests: PortCaptureRequest[] = [];
let wake: () => void = () => {};

const sink = new CaptureSink({
  ...data,
  onState: (state, reason) => post({ type: 'state', state, reason }),
  onPackets: (written, bytes, lost) => {
    counters[PACKETS] += written;
    counters[BYTES] += bytes;
    counters[LOST] += lost;
  },
});

/** A port that comes back is the interface that it was. */
function interfaceOf(name: string): number {
  let id = interfaces.get(name);
  if (id === undefined) {
    id = sink.addInterface(name);
    interfaces.set(name, id);
    missed.push(0);
  }
  return id;
}

async function watch(name: string, port: string): Promise<void> {
  if (watches.has(name)) throw netmapError('EEXIST', `'${name}' is captured already`, { op: 'capture', port });
  const monitor = await netmap.open(`${port}${SUFFIX[data.direction]}`);
  const id = interfaceOf(name);
  const take = (packet: Uint8Array, flags: number): boolean => {
    // What a port sends into the switch has come from outside.
    sink.packet(id, packet, flags & NS_TXMON ? 'in' : 'out');
    return true;
  };
  watches.set(name, { monitor, drainer: new Drainer(monitor), id, take });
}

async function unwatch(name: string): Promise<void> {
  const found = watches.get(name);
  if (!found) return; // its port has gone before
  const { monitor, drainer, id, take } = found;
  watches.delete(name);
  monitor.rxsync();
  sink.tick();
  drainer.drain(take);
  missed[id] += (await monitor.counters()).drops.noSpace;
  sink.statistics(id, missed[id]);
  sink.flush();
  await monitor.close();
}

async function serve(request: PortCaptureRequest): Promise<void> {
  try {
    if (request.type === 'watch') await watch(request.name, request.port);
    else if (request.type === 'unwatch') await unwatch(request.name);
    else for (const name of [...watches.keys()]) await unwatch(name);
    post({ type: 'done', id: request.id });
  } catch (error) {
    const known = error instanceof NetmapError ? error : netmapError('EIO', String(error), { op: 'capture' });
    post({ type: 'done', id: request.id, error: known.toJSON() });
  }
}

/** Until a packet or a request has come, or some time has passed. */
async function wait(): Promise<void> {
  if (requests.length !== 0) return;
  const waking = new AbortController();
  wake = () => waking.abort();
  const { signal } = waking;
  const ports = [...watches.values()].map(({ monitor }) => ({ port: monitor, events: POLLIN }));
  if (ports.length !== 0) {
    await pollMany(ports, { signal, timeout: LOOK_EVERY }).catch(() => {});
    return;
  }
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, LOOK_EVERY);
    wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}

const stopListening = await onParentMessage((message) => {
  requests.push(message as PortCaptureRequest);
  wake();
});
let stopping = false;
while (!stopping) {
  sink.tick();
  let taken = 0;
  let lost = missed.reduce((sum, n) => sum + n, 0);
  for (const [name, { monitor, drainer, take }] of watches) {
    taken += drainer.drain(take, TURN);
    if (monitor.pollOnce(POLLIN) & POLLERR) {
      await unwatch(name); // its port has gone
      continue;
    }
    lost += (await monitor.counters()).drops.noSpace;
  }
  counters[MISSED] = lost;
  if (taken === 0) sink.flush();
  for (const request of requests.splice(0)) {
    stopping ||= request.type === 'stop';
    await serve(request);
  }
  if (!stopping) await wait();
}
counters[MISSED] = missed.reduce((sum, n) => sum + n, 0);
sink.close(missed);
stopListening();
await netmap.close();
