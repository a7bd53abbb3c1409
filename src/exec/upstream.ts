// Where the ports of a program with a memory of its own really are: on the host, or in a guest.

import { EOPNOTSUPP } from '../abi.js';
import type { Netmap } from '../control/netmap.js';
import { check, netmapError } from '../errors.js';
import type { DeviceAnswer, ProgramRequest } from '../ioctl/messages.js';
import { PtnetDriver } from '../ptnet/driver.js';
import type { PtnetMachine } from '../ptnet/driver-machine.js';
import type { NetmapPort } from '../ring/port.js';

export interface UpstreamPort {
  readonly port: NetmapPort;
  close(): Promise<void>;
}

export interface Upstream {
  /** Binds a port as REGISTER asks for. @throws NetmapError as REGISTER */
  open(request: ProgramRequest): Promise<UpstreamPort>;
  /** Answers another request. */
  ask(request: ProgramRequest): Promise<DeviceAnswer>;
  close(): Promise<void>;
}

export function hostUpstream(netmap: Netmap): Upstream {
  return {
    open: async (request) => {
      const file = netmap.openDevice();
      const { errno } = await file.request(request);
      if (file.port) return { port: file.port, close: () => file.close() };
      await file.close();
      check(errno, 'open', request.name ?? '');
      throw netmapError('EINVAL', 'the request binds no port', { op: 'open' });
    },
    ask: async (request) => {
      const file = netmap.openDevice();
      try {
        return await file.request(request);
      } finally {
        await file.close();
      }
    },
    close: () => netmap.close(),
  };
}

export function guestUpstream({ netmap, machine }: { netmap: Netmap; machine: PtnetMachine }): Upstream {
  const drivers = PtnetDriver.probe(machine);
  return {
    open: async ({ name }) => {
      const unit = /^ptnet(\d+)$/.exec(name ?? '')?.[1];
      const driver = unit === undefined ? undefined : drivers[Number(unit)];
      if (!driver) throw netmapError('ENXIO', `the guest has no port '${name}'`, { op: 'open' });
      const port = driver.open();
      return { port, close: () => port.close() };
    },
    ask: async () => ({ errno: -EOPNOTSUPP, status: {} }),
    close: () => netmap.close(),
  };
}
