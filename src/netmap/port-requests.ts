// What can be asked of a port without opening it: PORT_INFO_GET and POOLS_INFO_GET (netmap(4), NIOCCTRL); for the header
// see port-header.ts. Control thread only.

import { NR_REG_ALL_NIC } from '../abi.js';
import { GLOBAL_MEM_ID } from '../memory/region.js';
import type { Adapter } from './adapter.js';
import { freeRings } from './register.js';
import type { MemoryInfo, PortConfig, Registry } from './registry.js';

/** Counts of a port, as REGISTER and PORT_INFO_GET report them. */
export interface PortCounts {
  readonly txRings: number;
  readonly rxRings: number;
  readonly txSlots: number;
  readonly rxSlots: number;
  readonly hostTxRings: number;
  readonly hostRxRings: number;
}

export function portCounts({ geometry, hostTx, hostRx }: Adapter): PortCounts {
  const { txRings, rxRings, txSlots, rxSlots } = geometry;
  return { txRings, rxRings, txSlots, rxSlots, hostTxRings: hostTx.length, hostRxRings: hostRx.length };
}

/**
 * PORT_INFO_GET with a name, and POOLS_INFO_GET: looks the port up as REGISTER does, and makes it for that long.
 * @throws NetmapError of the lookup: EINVAL, ENXIO, ENOMEM
 */
export async function portInfo(
  registry: Registry,
  name: string,
  memId: number,
  config: PortConfig,
): Promise<PortCounts & MemoryInfo> {
  const adapter = registry.lookup(name, NR_REG_ALL_NIC, memId, config);
  adapter.users++;
  try {
    return { ...portCounts(adapter), ...registry.memoryInfo(adapter.region.memId) };
  } finally {
    adapter.users--;
    await registry.release(adapter, freeRings);
  }
}

/** PORT_INFO_GET without a name: about a region, 0 = the global one. @throws NetmapError EINVAL */
export function memoryInfo(registry: Registry, memId: number): MemoryInfo {
  return registry.memoryInfo(memId === 0 ? GLOBAL_MEM_ID : memId);
}
