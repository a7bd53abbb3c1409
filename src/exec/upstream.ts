// Where the ports of a program with a memory of its own really are: on the host, or in a guest.

import {
  NETMAP_REQ_PORT_INFO_GET,
  NR_MONITOR_RX,
  NR_MONITOR_TX,
  NR_NO_TX_POLL,
  NR_RX_RINGS_ONLY,
  NR_ZCOPY_MON,
  POLLERR,
  PORT_KIND_NIC,
  PORT_KIND_VALE,
} from '../abi.js';
import type { Netmap } from '../control/netmap.js';
import { check, netmapError } from '../errors.js';
import type { DeviceAnswer, ProgramRequest } from '../ioctl/messages.js';
import { HostPort } from '../netmap/host-port.js';
import { MONITOR_FLAGS } from '../netmap/monitor.js';
import type { PortCounts } from '../netmap/port-requests.js';
import type { NetmapPort } from '../ring/port.js';

/** Some rings of a port, as places among those that it has bound. */
export interface Places {
  readonly tx: readonly number[];
  readonly rx: readonly number[];
}

/** The rings of the other side that meet these. */
export function crossed({ tx, rx }: Places): Places {
  return { tx: rx, rx: tx };
}

/** A port that a program has bound, as it really is. */
export interface UpstreamPort {
  readonly port: NetmapPort;
  /** The same port with only some of its rings, as long as it is open. */
  part(places: Places): NetmapPort;
  /** Of the port, whatever was bound of it. */
  readonly counts: PortCounts;
  readonly isMonitor: boolean;
  /** Whether packets may have offsets. */
  readonly hasOffsets: boolean;
  /** Whether slots with NS_INDIRECT are sent. */
  readonly hasIndirect: boolean;
  /** Slots of its tx rings that nobody has taken yet, and that its close would lose: those of NIC rings wait for the wire. */
  unsent(places: readonly number[]): number;
  close(): Promise<void>;
}

export interface Upstream {
  /** Binds a port as REGISTER asks for. @throws NetmapError as REGISTER */
  open(request: ProgramRequest): Promise<UpstreamPort>;
  /** Answers another request. @throws NetmapError */
  ask(request: ProgramRequest): Promise<DeviceAnswer>;
  /** Whether requests are answered still. */
  isAlive(): Promise<boolean>;
  close(): Promise<void>;
}

/** Whether a port works no more: it was closed, stopped, or its device is gone. */
export function isDown(port: NetmapPort): boolean {
  return (port.pollOnce(0) & POLLERR) !== 0;
}

/** A port of the host with only some of its rings, as long as it is open. */
export function hostView(port: HostPort, { tx, rx }: Places): HostPort {
  const { info } = port;
  if (tx.length === info.tx.length && rx.length === info.rx.length) return port;
  const some = { tx: tx.map((place) => info.tx[place]), rx: rx.map((place) => info.rx[place]), forwardsDown: 0 };
  return new HostPort(port.waiting, { ...info, ...some }, { close: async () => {}, call: async () => {} });
}

export function hostUpstream(netmap: Netmap): Upstream {
  const ask = async (request: ProgramRequest): Promise<DeviceAnswer> => {
    const file = netmap.openDevice();
    try {
      return await file.request(request);
    } finally {
      await file.close();
    }
  };
  return {
    open: async (request) => {
      const file = netmap.openDevice();
      const isMonitor = (request.body['flags'] & MONITOR_FLAGS) !== 0;
      const { errno, body } = await file.request({
        ...request,
        body: { ...request.body, ...asCable(request, isMonitor) },
      });
      const { port } = file;
      if (port) {
        return {
          port,
          part: (places) => hostView(port, places),
          counts: body as unknown as PortCounts,
          isMonitor,
          hasOffsets: (request.body['flags'] & NR_ZCOPY_MON) === 0,
          hasIndirect: port.info.kind === PORT_KIND_VALE,
          unsent: (places) => (port.info.kind === PORT_KIND_NIC ? unsent(port, places) : 0),
          close: () => file.close(),
        };
      }
      await file.close();
      check(errno, 'open', request.name ?? '');
      throw netmapError('EINVAL', 'the request binds no port', { op: 'open' });
    },
    ask,
    isAlive: async () => {
      try {
        const { errno } = await ask({ type: NETMAP_REQ_PORT_INFO_GET, name: '', body: { memId: 0 }, options: [] });
        return errno === 0;
      } catch {
        return false;
      }
    },
    close: () => netmap.close(),
  };
}

function unsent(port: HostPort, places: readonly number[]): number {
  port.txsync();
  return places.reduce((sum, place) => {
    const { numSlots, space } = port.txRings[place];
    return sum + numSlots - 1 - space;
  }, 0);
}

/** A cable sends whenever it looks, and has nothing to do with the rings that a monitor does not send by. */
function asCable({ body }: ProgramRequest, isMonitor: boolean): { flags: number } {
  const flags = body['flags'] & ~NR_NO_TX_POLL;
  return { flags: isMonitor ? flags | NR_RX_RINGS_ONLY : flags };
}

/** nr_flags as REGISTER gives them back: a zero-copy monitor is one of both directions. */
export function flagsBack(flags: number): number {
  return flags & NR_ZCOPY_MON ? flags | NR_MONITOR_TX | NR_MONITOR_RX : flags;
}
