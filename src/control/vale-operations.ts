// What the control thread does with a bridge that is there: shows it, clears its table, says which lookup decides.

import {
  KRING_KIND,
  KRING_MONITORED,
  KRING_STATS,
  PORT_KIND_POLLED,
  PORT_KIND_VALE,
  STAT_FLOOD_COPIES,
  STAT_FLOODED,
  STAT_FORWARDED,
} from '../abi.js';
import { netmapError } from '../errors.js';
import { readCounters } from '../netmap/host-port.js';
import { parseKernelName } from '../netmap/port-name.js';
import type { PortCounters } from '../ring/port.js';
import type { Bridge, FdbEntry } from '../vale/bridge.js';
import type { Control } from './control.js';

/** A port of a bridge. */
export interface BridgePortInspection {
  readonly index: number;
  readonly name: string;
  readonly txRings: number;
  readonly rxRings: number;
  readonly txSlots: number;
  readonly rxSlots: number;
  /** Its tx rings that loop workers poll (VALE polling). */
  readonly polledRings: number;
  readonly counters: PortCounters;
  /** Copies of its packets that others have got: a broadcast counts once a destination, as it does among the drops. */
  readonly forwarded: number;
  /** Packets of its for everybody, and how many copies of them were due, forwarded or dropped. */
  readonly flooded: number;
  readonly floodCopies: number;
}

/** A bridge, as `Netmap.valeInspect` shows it. */
export interface BridgeInspection {
  readonly name: string;
  /** In the order of their indices, with the counters of all of their rings. */
  readonly ports: readonly BridgePortInspection[];
  /** Learned addresses. */
  readonly fdb: readonly FdbEntry[];
  /** Addresses that found no room in the table. */
  readonly fdbFull: number;
  /** Name of the lookup that decides in place of the learning switch; null: none. */
  readonly lookup: string | null;
}

function find(control: Control, name: string, op: string): Bridge {
  const bridge = control.registry.bridges.get(name);
  if (!bridge) throw netmapError('ENOENT', `there is no bridge '${name}'`, { op, port: String(name) });
  return bridge;
}

export function valeInspect(control: Control, name: string): BridgeInspection {
  const { arena, registry } = control;
  const bridge = find(control, name, 'valeInspect');
  const adapters = [...registry.all];
  const ports = bridge.ports.flatMap(({ index, adapter: { name: port, ptr } }): BridgePortInspection[] => {
    const adapter = adapters.find((one) => one.ptr === ptr);
    if (!adapter) return [];
    const krings = (list: readonly { ptr: number }[]) => list.map(({ ptr: kring }) => ({ kring, ring: 0 }));
    const info = { kind: PORT_KIND_VALE, tx: krings(adapter.tx), rx: krings(adapter.rx) };
    const { txRings, rxRings, txSlots, rxSlots } = adapter.geometry;
    const kindOf = (ptr: number): number => arena.load(ptr + KRING_KIND) & ~KRING_MONITORED;
    const polledRings = adapter.tx.filter((ring) => kindOf(ring.ptr) === PORT_KIND_POLLED).length;
    const counters = readCounters(arena, info);
    const total = (stat: number): number =>
      adapter.tx.reduce((sum, kring) => sum + arena.counter(kring.ptr + KRING_STATS + 8 * stat), 0);
    const copies = {
      forwarded: total(STAT_FORWARDED),
      flooded: total(STAT_FLOODED),
      floodCopies: total(STAT_FLOOD_COPIES),
    };
    return [{ index, name: port, txRings, rxRings, txSlots, rxSlots, polledRings, counters, ...copies }];
  });
  const lookup = control.lookups[registry.lookupOf(name) - 1]?.name ?? null;
  return { name, ports, fdb: bridge.fdb(), fdbFull: bridge.fdbFull, lookup };
}

export function valeClear(control: Control, name: string, port: string | undefined): void {
  const bridge = find(control, name, 'valeClear');
  if (port === undefined || port === null) {
    bridge.clear();
    return;
  }
  const found = bridge.ports.find(({ adapter }) => adapter.name === port);
  if (!found) throw netmapError('ENOENT', `'${port}' is no port of ${name}`, { op: 'valeClear', port });
  bridge.clear(found.index);
}

/** @param tid the thread that asks: others than the control thread may not */
export function valeLookup(control: Control, name: string, lookup: string | undefined, tid: number): void {
  const where = { op: 'valeLookup', port: String(name) };
  if (tid !== control.thread.id) throw netmapError('EPERM', 'only the control thread can do this', where);
  const parsed = parseKernelName(`${name}:x`);
  if (parsed.kind !== 'vale' || parsed.bridge !== name) {
    throw netmapError('EINVAL', `'${name}' is not the name of a bridge, such as vale0`, where);
  }
  const entry = lookup === undefined ? 0 : control.lookups.findIndex((one) => one.name === lookup) + 1;
  if (lookup !== undefined && entry === 0) {
    const names = control.lookups.map((one) => one.name).join(', ') || 'none';
    throw netmapError('ENOENT', `there is no lookup '${lookup}': the host was made with ${names}`, where);
  }
  control.registry.setLookup(name, entry);
}
