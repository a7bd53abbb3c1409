// PORT_HDR_SET and PORT_HDR_GET: the length of the virtio-net header of a port's frames. Control thread only.

import { PORT_KIND_VALE, VIRTIO_NET_HDR_LEN, VIRTIO_NET_HDR_MRG_LEN } from '../abi.js';
import { type NetmapErrorContext, netmapError } from '../errors.js';
import type { Adapter } from './adapter.js';
import { parseKernelName } from './port-name.js';
import type { Registry } from './registry.js';

/** Whether frames of a port may have a header of so many bytes. */
export function isHeaderLength(length: number): boolean {
  return length === 0 || length === VIRTIO_NET_HDR_LEN || length === VIRTIO_NET_HDR_MRG_LEN;
}

/** @throws NetmapError EINVAL */
export function checkHeaderLength(length: number, where: NetmapErrorContext): void {
  if (!isHeaderLength(length)) throw netmapError('EINVAL', `a header has 0, 10 or 12 bytes, not ${length}`, where);
}

/** PORT_HDR_GET, of any port that exists. @throws NetmapError EINVAL (name), ENXIO (no such port) */
export function headerLength(registry: Registry, name: string): number {
  return existing(registry, name, 'portHeader').hdrLen;
}

/**
 * PORT_HDR_SET, for the packets from now on: what lies in the port's rings has the old header, as in netmap.
 * @throws NetmapError EINVAL (length, name), ENXIO (no such VALE port)
 */
export function setHeaderLength(registry: Registry, name: string, length: number): void {
  const where = { op: 'setPortHeader', port: name };
  checkHeaderLength(length, where);
  const adapter = existing(registry, name, where.op);
  if (adapter.kind !== PORT_KIND_VALE) throw netmapError('ENXIO', 'it is not a VALE port', where);
  adapter.hdrLen = length;
}

function existing(registry: Registry, name: string, op: string): Adapter {
  parseKernelName(name);
  const adapter = registry.adapters.get(name);
  if (!adapter) throw netmapError('ENXIO', `there is no port '${name}'`, { op, port: name });
  return adapter;
}
