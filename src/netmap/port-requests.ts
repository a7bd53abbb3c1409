// What can be asked of a port without opening it: PORT_INFO_GET, POOLS_INFO_GET, PORT_HDR_SET and PORT_HDR_GET
// (netmap(4), NIOCCTRL). Control thread only.

import { NR_REG_ALL_NIC, PORT_KIND_VALE, VIRTIO_NET_HDR_LEN, VIRTIO_NET_HDR_MRG_LEN } from '../abi.js';
import { netmapError } from '../errors.js';
import { GLOBAL_MEM_ID } from '../memory/region.js';
import type { Adapter } from './adapter.js';
import { parseKernelName } from './port-name.js';
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

/** PORT_HDR_GET: bytes of the virtio-net header of a port's frames. @throws NetmapError EINVAL, ENXIO */
export function headerLength(registry: Registry, name: string): number {
  return existing(registry, name).hdrLen;
}

/** PORT_HDR_SET, for the frames from now on. @throws NetmapError EINVAL (length, name), ENXIO (no such VALE port) */
export function setHeaderLength(registry: Registry, name: string, length: number): void {
  const where = { op: 'portHdrSet', port: name };
  if (![0, VIRTIO_NET_HDR_LEN, VIRTIO_NET_HDR_MRG_LEN].includes(length)) {
    throw netmapError('EINVAL', `a header has 0, 10 or 12 bytes, not ${length}`, where);
  }
  const adapter = existing(registry, name);
  if (adapter.kind !== PORT_KIND_VALE) throw netmapError('ENXIO', 'it is not a VALE port', where);
  adapter.hdrLen = length;
}

function existing(registry: Registry, name: string): Adapter {
  parseKernelName(name);
  const adapter = registry.adapters.get(name);
  if (!adapter) throw netmapError('ENXIO', `there is no port '${name}'`, { op: 'portHdr', port: name });
  return adapter;
}
