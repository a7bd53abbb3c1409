// Monitors (netmap_monitor.c): ports that see what another port sends and receives. A copy monitor has a region of its
// own; a zero-copy monitor uses that of the port it watches. Control thread only; assembly/monitor has the data path.

import {
  KRING_HWTAIL,
  KRING_KIND,
  KRING_MONITORED,
  KRING_MONITORS,
  KRING_PEER,
  KRING_ZMON,
  MONITOR_NEXT,
  MONITOR_RING,
  MONITOR_SIZE,
  MONITOR_TAIL,
  NM_BDG_MAXSLOTS,
  NR_MONITOR_RX,
  NR_MONITOR_TX,
  NR_RX,
  NR_ZCOPY_MON,
  PORT_KIND_MONITOR,
} from '../abi.js';
import { netmapError } from '../errors.js';
import type { ArenaOwner } from '../memory/arena.js';
import { Adapter, DEFAULT_MFS, type Geometry } from './adapter.js';
import type { Kring } from './kring.js';
import { type PortSpec, parseKernelName } from './port-name.js';
import { freeRings, type OpenOptions, type OpenPort, type PortTable } from './register.js';
import { checkCounts, clamp } from './registry.js';

/** nr_flags that make a REGISTER one of a monitor. */
export const MONITOR_FLAGS = NR_MONITOR_TX | NR_MONITOR_RX | NR_ZCOPY_MON;

/** A monitor's ring on a ring that it watches. */
interface Watch {
  readonly watched: Kring;
  readonly ring: Kring;
  /** Address of the struct monitor, 0 for zero-copy monitors. */
  readonly ptr: number;
}

interface Monitor {
  readonly parent: Adapter;
  watches: Watch[];
  /** Structs that are out of their lists, to be freed when no sync can see them any more. */
  gone: number[];
}

export class Monitors {
  readonly #ports: PortTable;
  readonly #arena: ArenaOwner;
  readonly #monitors = new Map<Adapter, Monitor>();
  /** How many monitors an adapter has had, for their names. */
  readonly #counts = new Map<Adapter, number>();

  constructor(ports: PortTable) {
    this.#ports = ports;
    this.#arena = ports.registry.arena;
  }

  /**
   * Opens a monitor of the rings that the request selects. `request.flags` has the directions.
   * @throws NetmapError ENXIO (no such port), EINVAL (the port is not open), EBUSY, ENOMEM
   */
  async open(request: PortSpec, spec: string, options: OpenOptions, owner: number, guest: number): Promise<OpenPort> {
    const { registry } = this.#ports;
    const where = { op: 'open', port: spec };
    checkCounts(options, spec);
    const parent = registry.adapters.get(request.name) ?? this.#attached(request.name);
    if (!parent && parseKernelName(request.name).kind === 'interface') {
      throw netmapError('ENXIO', `there is no interface '${request.name}'`, where);
    }
    if (!parent || !this.#ports.isOpen(parent)) {
      throw netmapError('EINVAL', `'${request.name}' is not open: there is nothing to monitor`, where);
    }
    const zcopy = (request.flags & NR_ZCOPY_MON) !== 0;
    const flags = request.flags | (zcopy ? NR_MONITOR_TX | NR_MONITOR_RX : 0);
    const adapter = this.#make(parent, flags, options);
    parent.users++;
    this.#monitors.set(adapter, { parent, watches: [], gone: [] });
    let open: OpenPort;
    try {
      open = await this.#ports.openAdapter(adapter, { ...request, name: spec, flags }, options, owner, guest);
    } catch (error) {
      this.#monitors.delete(adapter);
      await this.#leave(parent);
      throw error;
    }
    try {
      this.#watch(adapter, open, flags);
    } catch (error) {
      await this.#ports.close(open.fd);
      throw error;
    }
    const received = (this.#monitors.get(adapter)?.watches ?? []).filter(({ watched }) => watched.dir === NR_RX);
    return { ...open, info: { ...open.info, watched: received.map(({ watched }) => watched.ptr) } };
  }

  /** The port that an attached interface is on its bridge, `vale0:eth0`: the wire of a NIC, or `vale0:eth0^`, its host stack. */
  #attached(name: string): Adapter | undefined {
    const { all, bridges } = this.#ports.registry;
    for (const { ports } of bridges.values()) {
      const found = ports.find((port) => port.adapter.name === name);
      if (found) return [...all].find(({ ptr }) => ptr === found.adapter.ptr);
    }
    return undefined;
  }

  #make(parent: Adapter, flags: number, options: OpenOptions): Adapter {
    const { registry } = this.#ports;
    const zcopy = (flags & NR_ZCOPY_MON) !== 0;
    const letters = [
      [NR_ZCOPY_MON, 'z'],
      [NR_MONITOR_RX, 'r'],
      [NR_MONITOR_TX, 't'],
    ] as const;
    const n = (this.#counts.get(parent) ?? 0) + 1;
    const name = `${parent.name}/${letters.map(([flag, letter]) => (flags & flag ? letter : '')).join('')}#${n}`;
    const of = parent.geometry;
    const geometry: Required<Geometry> = {
      txRings: 1,
      rxRings: Math.max(of.txRings, of.rxRings),
      txSlots: clamp(options.txSlots, of.txSlots || 1, NM_BDG_MAXSLOTS),
      rxSlots: clamp(options.rxSlots, of.rxSlots || of.txSlots || 1, NM_BDG_MAXSLOTS),
      hostTxRings: parent.hostPtr === 0 ? 0 : 1,
      hostRxRings: Math.max(parent.hostTx.length, parent.hostRx.length),
    };
    const { txRings, rxRings, txSlots, rxSlots, hostTxRings, hostRxRings } = geometry;
    const rings = { txRings: txRings + hostTxRings, rxRings: rxRings + hostRxRings };
    const needs = { ...rings, txSlots, rxSlots, extraBufs: 0, pipes: 0 };
    const region = zcopy ? parent.region : registry.regionFor(0, needs, options.dataModel);
    try {
      const made = new Adapter(this.#arena, name, PORT_KIND_MONITOR, region, geometry, DEFAULT_MFS);
      this.#counts.set(parent, n);
      return registry.add(made);
    } catch (error) {
      if (!zcopy) registry.releaseUnused(region);
      throw error;
    }
  }

  /** Rx ring i of the monitor watches the rings i of its parent, in the directions of the flags. */
  #watch(adapter: Adapter, { rx }: OpenPort, flags: number): void {
    const monitor = this.#monitors.get(adapter) as Monitor;
    const { parent, watches } = monitor;
    for (const ring of rx) {
      const isHost = adapter.hostRx.includes(ring);
      const sent = isHost ? parent.hostTx : parent.tx;
      const received = isHost ? parent.hostRx : parent.rx;
      for (const watched of [
        flags & NR_MONITOR_TX ? sent[ring.index] : undefined,
        flags & NR_MONITOR_RX ? received[ring.index] : undefined,
      ]) {
        if (!watched) continue;
        const ptr = flags & NR_ZCOPY_MON ? this.#chain(watched, ring) : this.#enlist(watched, ring);
        watches.push({ watched, ring, ptr });
      }
    }
  }

  /** Puts a copy monitor's ring on the list of the watched one. */
  #enlist(watched: Kring, ring: Kring): number {
    const ptr = this.#arena.alloc(MONITOR_SIZE, 'a monitor');
    this.#arena.store(ptr + MONITOR_RING, ring.ptr);
    this.#arena.store(ptr + MONITOR_TAIL, this.#arena.load(watched.ptr + KRING_HWTAIL));
    this.#arena.store(ptr + MONITOR_NEXT, this.#arena.load(watched.ptr + KRING_MONITORS));
    this.#arena.store(watched.ptr + KRING_MONITORS, ptr);
    if (watched.dir === NR_RX) this.#arena.store(ring.ptr + KRING_PEER, watched.ptr);
    this.#mark(watched.ptr);
    return ptr;
  }

  /** Puts a zero-copy monitor's ring behind the last one: it sees what that one's user releases. */
  #chain(watched: Kring, ring: Kring): number {
    let last = watched.ptr;
    for (let next = this.#arena.load(last + KRING_ZMON); next !== 0; next = this.#arena.load(last + KRING_ZMON)) {
      if (next === ring.ptr) return 0; // the other direction has the same chain
      last = next;
    }
    this.#arena.store(last + KRING_ZMON, ring.ptr);
    this.#mark(last);
    return 0;
  }

  /** Tells syncs whether a ring is watched. */
  #mark(kring: number): void {
    const watched = this.#arena.load(kring + KRING_MONITORS) !== 0 || this.#arena.load(kring + KRING_ZMON) !== 0;
    const kind = this.#arena.load(kring + KRING_KIND) & ~KRING_MONITORED;
    this.#arena.store(kring + KRING_KIND, watched ? kind | KRING_MONITORED : kind);
  }

  /** The monitors of an adapter that is not open any more, or gone, get EIO and POLLERR. */
  stop(parent: Adapter): void {
    for (const [adapter, monitor] of this.#monitors) {
      if (monitor.parent !== parent) continue;
      this.unwatch(adapter);
      adapter.stop();
    }
  }

  /** Takes a monitor off the rings that it watches. Syncs that are under way may still see it. */
  unwatch(adapter: Adapter): void {
    const monitor = this.#monitors.get(adapter);
    if (!monitor) return;
    for (const { watched, ring, ptr } of monitor.watches) {
      this.#arena.store(ring.ptr + KRING_PEER, 0);
      if (ptr === 0) this.#unchain(watched.ptr, ring.ptr);
      else this.#delist(watched.ptr, ptr);
    }
    monitor.gone.push(...monitor.watches.map(({ ptr }) => ptr).filter((ptr) => ptr !== 0));
    monitor.watches = [];
  }

  #delist(watched: number, ptr: number): void {
    let at = watched + KRING_MONITORS;
    while (this.#arena.load(at) !== ptr) at = this.#arena.load(at) + MONITOR_NEXT;
    this.#arena.store(at, this.#arena.load(ptr + MONITOR_NEXT));
    this.#mark(watched);
  }

  #unchain(watched: number, ring: number): void {
    let last = watched;
    for (let next = this.#arena.load(last + KRING_ZMON); next !== ring; next = this.#arena.load(last + KRING_ZMON)) {
      if (next === 0) return; // the other direction's chain was the same
      last = next;
    }
    this.#arena.store(last + KRING_ZMON, this.#arena.load(ring + KRING_ZMON));
    this.#mark(last);
  }

  /** When no sync can see it any more, and its rings are freed: forgets a monitor, and lets its parent go. */
  async forget(adapter: Adapter): Promise<void> {
    const monitor = this.#monitors.get(adapter);
    if (!monitor) return;
    this.#monitors.delete(adapter);
    for (const ptr of monitor.gone) this.#arena.free(ptr);
    await this.#leave(monitor.parent);
  }

  async #leave(parent: Adapter): Promise<void> {
    if (![...this.#monitors.values()].some((monitor) => monitor.parent === parent)) this.#counts.delete(parent);
    parent.users--;
    await this.#ports.registry.release(parent, freeRings);
  }
}
