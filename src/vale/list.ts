// VALE_LIST (netmap(4)): which port has which index on which bridge. Control thread only.

import { NM_BDG_NOPORT } from '../abi.js';
import { netmapError } from '../errors.js';
import type { Bridge } from './bridge.js';

/** A port on a bridge. */
export interface ValeEntry {
  /** With the bridge, as `vale0:a`. */
  readonly name: string;
  readonly bridgeIndex: number;
  /** 255 (NM_BDG_NOPORT): not on the bridge. */
  readonly portIndex: number;
}

/** Every port on every bridge, by bridge and port index. */
export function valeList(bridges: Iterable<Bridge>): ValeEntry[] {
  return [...bridges]
    .sort((a, b) => a.index - b.index)
    .flatMap((bridge) =>
      bridge.ports.map(({ index, adapter }) => ({
        name: adapter.name,
        bridgeIndex: bridge.index,
        portIndex: index,
      })),
    );
}

/** Where a port is. @throws NetmapError EINVAL (no VALE name), ENOENT (no such bridge) */
export function valeFind(bridges: ReadonlyMap<string, Bridge>, name: string): ValeEntry {
  const where = { op: 'valeList', port: name };
  if (!name.startsWith('vale')) throw netmapError('EINVAL', "the name does not start with 'vale'", where);
  const bridge = bridges.get(name.split(':', 1)[0]);
  if (!bridge) throw netmapError('ENOENT', 'there is no such bridge', where);
  const found = valeList([bridge]).find((entry) => entry.name === name);
  return found ?? { name, bridgeIndex: bridge.index, portIndex: NM_BDG_NOPORT };
}

/** The first port at or after a position. @throws NetmapError ENOENT when there is none left */
export function valeNext(bridges: ReadonlyMap<string, Bridge>, bridgeIndex: number, portIndex: number): ValeEntry {
  const found = valeList(bridges.values()).find(
    (entry) => entry.bridgeIndex > bridgeIndex || (entry.bridgeIndex === bridgeIndex && entry.portIndex >= portIndex),
  );
  if (!found) throw netmapError('ENOENT', 'there are no more ports', { op: 'valeList' });
  return found;
}
