// The ports of a program that runs in a guest: the guest's ptnet interfaces. What netmap would ask their driver is answered
// here; a guest has no switches, and makes no ports.

import {
  EOPNOTSUPP,
  NETMAP_REQ_POOLS_INFO_GET,
  NETMAP_REQ_PORT_HDR_GET,
  NETMAP_REQ_PORT_HDR_SET,
  NETMAP_REQ_PORT_INFO_GET,
  NR_ACCEPT_VNET_HDR,
  NR_EXCLUSIVE,
  NR_NO_TX_POLL,
  NR_REG_ALL_NIC,
  NR_REG_ONE_NIC,
  NR_RX_RINGS_ONLY,
  NR_TX_RINGS_ONLY,
} from '../abi.js';
import type { Netmap } from '../control/netmap.js';
import { netmapError } from '../errors.js';
import type { DeviceAnswer, ProgramRequest } from '../ioctl/messages.js';
import { MONITOR_FLAGS } from '../netmap/monitor.js';
import type { PortCounts } from '../netmap/port-requests.js';
import { PtnetDriver } from '../ptnet/driver.js';
import type { PtnetMachine } from '../ptnet/driver-machine.js';
import type { NetmapPort } from '../ring/port.js';
import type { Upstream, UpstreamPort } from './upstream.js';

export function guestUpstream({ netmap, machine }: { netmap: Netmap; machine: PtnetMachine }): Upstream {
  const guest = new GuestPorts(PtnetDriver.probe(machine));
  return {
    open: async (request) => guest.open(request),
    ask: async (request) => guest.ask(request),
    isAlive: async () => !machine.gone,
    close: () => netmap.close(),
  };
}

interface Opening {
  readonly port: NetmapPort;
  readonly exclusive: boolean;
}

class GuestPorts {
  readonly #drivers: readonly PtnetDriver[];
  readonly #openings = new Set<Opening>();

  constructor(drivers: readonly PtnetDriver[]) {
    this.#drivers = drivers;
  }

  /** @throws NetmapError ENXIO */
  #driver(name: string | null): PtnetDriver {
    const driver = this.#drivers.find((one) => one.name === name);
    if (!driver) throw netmapError('ENXIO', `the guest has no port '${name}'`, { op: 'open' });
    return driver;
  }

  open({ name, body }: ProgramRequest): UpstreamPort {
    const { mode, ringId, flags } = body;
    const driver = this.#driver(name);
    const refuse = (code: 'EINVAL' | 'EBUSY' | 'EOPNOTSUPP', what: string): Error =>
      netmapError(code, what, { op: 'open', port: driver.name });
    if (flags & MONITOR_FLAGS) throw refuse('EOPNOTSUPP', 'a ptnet interface has no monitors');
    if (mode !== NR_REG_ALL_NIC && mode !== NR_REG_ONE_NIC) {
      throw refuse('EINVAL', `a ptnet interface has no mode ${mode}`);
    }
    const passed = flags & (NR_ACCEPT_VNET_HDR | NR_NO_TX_POLL | NR_RX_RINGS_ONLY | NR_TX_RINGS_ONLY);
    const port = driver.open({ flags: passed & ~NR_NO_TX_POLL, ...(mode === NR_REG_ONE_NIC && { ring: ringId }) });
    const exclusive = (flags & NR_EXCLUSIVE) !== 0;
    const rings = new Set(ringsOf(port));
    const held = [...this.#openings].some(
      (other) => (other.exclusive || exclusive) && ringsOf(other.port).some((ring) => rings.has(ring)),
    );
    if (held) {
      void port.close();
      throw refuse('EBUSY', exclusive ? 'a ring is in use' : 'a ring is used exclusively');
    }
    const opening = { port, exclusive };
    this.#openings.add(opening);
    const close = async (): Promise<void> => {
      this.#openings.delete(opening);
      await port.close();
    };
    return {
      port,
      part: (places) => port.part(places),
      counts: counts(driver),
      isMonitor: false,
      hasOffsets: false,
      hasIndirect: false,
      unsent: () => 0, // the device has its rings still
      close,
    };
  }

  ask({ type, name }: ProgramRequest): DeviceAnswer {
    switch (type) {
      case NETMAP_REQ_PORT_INFO_GET:
      case NETMAP_REQ_POOLS_INFO_GET:
        return { errno: 0, status: {}, body: { ...counts(this.#driver(name)) } };
      case NETMAP_REQ_PORT_HDR_GET:
        return { errno: 0, status: {}, body: { length: this.#driver(name).vnetHdrLen } };
      case NETMAP_REQ_PORT_HDR_SET:
        throw netmapError('ENXIO', `'${name}' is not a VALE port`, { op: 'setPortHeader' });
      default:
        return { errno: -EOPNOTSUPP, status: {} };
    }
  }
}

function ringsOf({ txRings, rxRings }: NetmapPort): number[] {
  return [...txRings, ...rxRings].map(({ ptr }) => ptr);
}

function counts({ txRings, rxRings, txSlots, rxSlots }: PtnetDriver): PortCounts {
  return { txRings, rxRings, txSlots, rxSlots, hostTxRings: 0, hostRxRings: 0 };
}
