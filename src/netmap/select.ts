// Which rings a REGISTER request binds, and whether it may. Control thread only.

import { NR_REG_ALL_NIC, NR_REG_NIC_SW, NR_REG_NULL, NR_REG_ONE_NIC, NR_REG_ONE_SW, NR_REG_SW } from '../abi.js';
import { netmapError } from '../errors.js';
import type { Adapter } from './adapter.js';
import type { Kring } from './kring.js';

/** The rings of a direction that a request binds (netmap_interp_ringid). */
export function selectRings(adapter: Adapter, dir: 'tx' | 'rx', mode: number, ringId: number, port: string): Kring[] {
  const nic = adapter[dir];
  const host = dir === 'tx' ? adapter.hostTx : adapter.hostRx;
  switch (mode) {
    case NR_REG_ALL_NIC:
    case NR_REG_NULL:
      return nic;
    case NR_REG_ONE_NIC:
      return oneRing(nic, ringId, Math.max(adapter.tx.length, adapter.rx.length), 'ring', port);
    case NR_REG_SW:
    case NR_REG_NIC_SW:
    case NR_REG_ONE_SW:
      break;
    default:
      throw netmapError('EINVAL', `there is no mode ${mode} for this port`, { op: 'open', port });
  }
  if (adapter.hostPtr === 0) {
    throw netmapError('EINVAL', `mode ${mode} wants host rings, and this port has none`, { op: 'open', port });
  }
  if (mode === NR_REG_SW) return host;
  if (mode === NR_REG_NIC_SW) return [...nic, ...host];
  return oneRing(host, ringId, Math.max(adapter.hostTx.length, adapter.hostRx.length), 'host ring', port);
}

/** One ring; a direction that has fewer falls back to its first. */
function oneRing(rings: Kring[], ringId: number, most: number, what: string, port: string): Kring[] {
  if (!Number.isInteger(ringId) || ringId < 0 || ringId >= most)
    throw netmapError('EINVAL', `there is no ${what} ${ringId}`, { op: 'open', port });
  return rings.length === 0 ? [] : [rings[ringId] ?? rings[0]];
}

/** @throws NetmapError EBUSY when a ring is held exclusively, or wanted so and in use */
export function checkExclusive(krings: readonly Kring[], wanted: boolean, spec: string): void {
  const held = krings.some((kring) => kring.users !== 0 && (kring.exclusive || wanted));
  if (held)
    throw netmapError('EBUSY', wanted ? 'a ring is in use' : 'a ring is used exclusively', { op: 'open', port: spec });
}
