// The registry: which adapters, bridges and regions exist, and the cascade from a name to an adapter (netmap_get_na).
// Control thread only. Everything is undone in the reverse order, after no sync can see it any more.

import {
  NM_BDG_MAXRINGS,
  NM_BDG_MAXSLOTS,
  NM_BRIDGE_RINGSIZE,
  NM_BRIDGES,
  NM_MAXPIPES,
  NM_PIPE_MAXRINGS,
  NM_PIPE_MAXSLOTS,
  NR_REG_ALL_NIC,
  NR_REG_NULL,
  NR_REG_ONE_NIC,
  PORT_KIND_NIC,
  PORT_KIND_NULL,
  PORT_KIND_PIPE,
  PORT_KIND_VALE,
} from '../abi.js';
import { netmapError } from '../errors.js';
import type { ArenaOwner } from '../memory/arena.js';
import { checkDataModel, type DataModel } from '../memory/data-model.js';
import type { ExtmemOptions } from '../memory/extmem.js';
import type { GlobalPoolParams, PrivatePoolParams, PrivateRegionNeeds } from '../memory/pools.js';
import type { Region } from '../memory/region.js';
import { Bridge, MAX_PORTS } from '../vale/bridge.js';
import { Adapter, DEFAULT_MFS, type Geometry } from './adapter.js';
import type { Kring } from './kring.js';
import { parseKernelName } from './port-name.js';
import { quiesce } from './quiesce.js';
import { type MemoryInfo, Regions } from './regions.js';

/** Ring and slot counts wanted of a port that a request creates; 0 or absent means the default (NETMAP_REQ_REGISTER). */
export interface PortConfig {
  readonly txRings?: number;
  readonly rxRings?: number;
  readonly txSlots?: number;
  readonly rxSlots?: number;
  readonly extraBufs?: number;
  /** Bytes of the longest frame that a GSO packet is cut into on its way to this port, default 1514 (VALE ports). */
  readonly mfs?: number;
  /**
   * Whom the netmap_if is for, and the headers of the rings in a region that this creates. Default: the region's; lp64
   * for a new one. Rings of lp64 and wasm32 are the same.
   */
  readonly dataModel?: DataModel;
}

export interface RegistryOptions {
  /** Parameters of the global region (mem id 1), netmap's names. */
  readonly pools?: Partial<GlobalPoolParams>;
  /** Minimum parameters of private regions, netmap's names. */
  readonly privatePools?: Partial<PrivatePoolParams>;
  /** Bridges that may exist at a time. Default 8 (`max_bridges`). */
  readonly maxBridges?: number;
  /** Ports that a bridge may have at a time, 1..252. Default 252, netmap's limit. */
  readonly maxBridgePorts?: number;
  /** Network interfaces forward every released frame between NIC and host rings (`dev.netmap.fwd`). Default: no. */
  readonly fwd?: boolean;
}

export type { MemoryInfo } from './regions.js';

const MIN_MFS = 64;
const MAX_MFS = 65535;

/** netmap's clamping: 0 is the default, above the maximum is the maximum. */
export function clamp(value: number | null | undefined, fallback: number, max: number): number {
  return value ? Math.min(value, max) : fallback;
}

/** The counts of a request are unsigned in netmap. Absent ones may have become null on the way from another thread. */
export function checkCounts(config: PortConfig, port: string): void {
  for (const name of ['txRings', 'rxRings', 'txSlots', 'rxSlots', 'extraBufs'] as const) {
    const value = config[name] ?? 0;
    if (Number.isSafeInteger(value) && value >= 0) continue;
    throw netmapError('EINVAL', `${name} ${value} is not a count`, { op: 'open', port });
  }
  checkDataModel(config.dataModel, port);
  const mfs = config.mfs ?? DEFAULT_MFS;
  if (Number.isSafeInteger(mfs) && mfs >= MIN_MFS && mfs <= MAX_MFS) return;
  throw netmapError('EINVAL', `mfs ${mfs} is not within ${MIN_MFS}..${MAX_MFS}`, { op: 'open', port });
}

export class Registry {
  readonly arena: ArenaOwner;
  readonly bridges = new Map<string, Bridge>();
  /** All adapters there are. */
  readonly all = new Set<Adapter>();
  /** Those that a request may name; null ports, monitors and the ends of a NIC's wire cannot be named. */
  readonly adapters = new Map<string, Adapter>();
  /** Whether interfaces forward everything (`dev.netmap.fwd`). */
  readonly fwd: boolean;
  /** NICs and persistent ports that a bridge has: kept from those who want to open them. */
  readonly attached = new Map<Adapter, Bridge>();
  readonly #regions: Regions;
  readonly #bridgeOf = new Map<Adapter, Bridge>();
  readonly #pipes = new Map<Adapter, { parent: Adapter; peer: Adapter }>();
  readonly #pipeCount = new Map<Adapter, number>();
  readonly #maxBridges: number;
  readonly #maxBridgePorts: number;
  /** Lookups of bridges, also of those that are not there at the moment. */
  readonly #lookups = new Map<string, number>();
  #nullPorts = 0;

  constructor(arena: ArenaOwner, options: RegistryOptions = {}) {
    this.arena = arena;
    this.#maxBridges = options.maxBridges ?? NM_BRIDGES;
    this.#maxBridgePorts = options.maxBridgePorts ?? MAX_PORTS;
    if (!Number.isInteger(this.#maxBridgePorts) || this.#maxBridgePorts < 1 || this.#maxBridgePorts > MAX_PORTS) {
      throw netmapError('EINVAL', `maxBridgePorts ${this.#maxBridgePorts} is not within 1..${MAX_PORTS}`, {
        op: 'create',
      });
    }
    this.fwd = options.fwd ?? false;
    this.#regions = new Regions(arena, options.pools, options.privatePools);
  }

  get regions(): Region[] {
    return this.#regions.all;
  }

  /** A region in memory of a program's (EXTMEM). Who makes it, calls `releaseUnused`. @throws NetmapError */
  externalRegion(options: ExtmemOptions): Region {
    return this.#regions.external(options);
  }

  /** What the EXTMEM option comes back with. */
  externalParams(options: ExtmemOptions): GlobalPoolParams {
    return this.#regions.externalParams(options);
  }

  /** All krings there are. */
  krings(): Kring[] {
    return [...this.all].flatMap((adapter) => adapter.krings);
  }

  /** The bridge that an adapter is on, or the parent that a pipe hangs on. */
  bridgeOf(adapter: Adapter): Bridge | undefined {
    return this.#bridgeOf.get(this.#pipes.get(adapter)?.parent ?? adapter);
  }

  /**
   * The adapter of a name, created if need be.
   * @param mode nr_mode: NR_REG_NULL makes a null port
   * @throws NetmapError EINVAL, ENXIO, ENOMEM
   */
  lookup(name: string, mode: number, memId: number, config: PortConfig): Adapter {
    checkCounts(config, name);
    this.checkMemId(memId, name);
    if (mode === NR_REG_NULL) return this.#makeNull(name, memId, config);
    const existing = this.adapters.get(name);
    if (existing && existing.kind !== PORT_KIND_PIPE) return existing;
    const parsed = parseKernelName(name);
    if (parsed.kind === 'pipe') {
      if (mode !== NR_REG_ALL_NIC && mode !== NR_REG_ONE_NIC) {
        throw netmapError('EINVAL', `a pipe has no mode ${mode}`, { op: 'open', port: name });
      }
      return existing ?? this.#makePipe(parsed.parent, parsed.id, parsed.role === 'master', memId, config);
    }
    if (parsed.kind === 'vale' && this.adapters.has(parsed.port)) {
      throw netmapError('EINVAL', `'${parsed.port}' is an interface: attach it (valeAttach)`, {
        op: 'open',
        port: name,
      });
    }
    if (parsed.kind === 'vale') return this.#makeVale(name, parsed.bridge, memId, config);
    throw netmapError('ENXIO', `there is no interface '${name}'`, { op: 'open', port: name });
  }

  /** @throws NetmapError EINVAL for a mem id that no region has */
  checkMemId(memId: number, port: string): void {
    this.#regions.check(memId, port);
  }

  /**
   * The region with this mem id or, for 0, a new private one for these needs, and for a data model if it is new.
   * @throws NetmapError EINVAL, ENOMEM
   */
  regionFor(memId: number, needs: PrivateRegionNeeds, dataModel?: DataModel): Region {
    return memId === 0 ? this.#regions.makePrivate(needs, dataModel) : this.#regions.get(memId, dataModel);
  }

  /** Size and pools of a region, also of the global one when nobody uses it yet. @throws NetmapError EINVAL */
  memoryInfo(memId: number): MemoryInfo {
    return this.#regions.info(memId);
  }

  #makeVale(name: string, bridgeName: string | undefined, memId: number, config: PortConfig): Adapter {
    const geometry: Geometry = {
      txRings: clamp(config.txRings, 1, NM_BDG_MAXRINGS),
      rxRings: clamp(config.rxRings, 1, NM_BDG_MAXRINGS),
      txSlots: clamp(config.txSlots, NM_BRIDGE_RINGSIZE, NM_BDG_MAXSLOTS),
      rxSlots: clamp(config.rxSlots, NM_BRIDGE_RINGSIZE, NM_BDG_MAXSLOTS),
    };
    const extraBufs = Math.min(Math.max(config.extraBufs ?? 0, 0), 128 * 4096);
    const bridge = bridgeName === undefined ? undefined : this.bridge(bridgeName);
    let region: Region | undefined;
    let adapter: Adapter | undefined;
    try {
      region = this.regionFor(memId, { ...geometry, extraBufs, pipes: 2 }, config.dataModel);
      adapter = new Adapter(this.arena, name, PORT_KIND_VALE, region, geometry, config.mfs ?? DEFAULT_MFS);
      bridge?.attach(adapter);
    } catch (error) {
      if (adapter) this.#destroyAdapter(adapter);
      else if (region) this.releaseUnused(region);
      if (bridge) this.dropIfEmpty(bridge);
      throw error;
    }
    if (bridge) this.#bridgeOf.set(adapter, bridge);
    return this.add(adapter, name);
  }

  /** A VALE port that is on no bridge. @throws NetmapError EINVAL, ENOMEM */
  makePersistent(name: string, memId: number, config: PortConfig): Adapter {
    checkCounts(config, name);
    this.checkMemId(memId, name);
    return this.#makeVale(name, undefined, memId, config);
  }

  /** Takes an adapter in; without a name, nobody can open it. */
  add(adapter: Adapter, name?: string): Adapter {
    this.all.add(adapter);
    if (name !== undefined) this.adapters.set(name, adapter);
    return adapter;
  }

  /** Gives a region back that no adapter has come to use. */
  releaseUnused(region: Region): void {
    this.#regions.releaseUnused(region);
  }

  /** The bridge of this name, made if need be. @throws NetmapError ENOMEM */
  bridge(name: string): Bridge {
    const existing = this.bridges.get(name);
    if (existing) return existing;
    if (this.bridges.size >= this.#maxBridges) {
      throw netmapError('ENOMEM', `${this.#maxBridges} bridges exist already (maxBridges)`, { op: 'open', port: name });
    }
    const taken = new Set([...this.bridges.values()].map(({ index }) => index));
    const index = Array.from({ length: this.#maxBridges }, (_, i) => i).find((i) => !taken.has(i));
    const bridge = new Bridge(this.arena, name, index, this.#maxBridgePorts);
    bridge.setLookup(this.lookupOf(name));
    this.bridges.set(name, bridge);
    return bridge;
  }

  /** The lookup that decides on a bridge of this name, 0 = the learning switch. */
  lookupOf(bridge: string): number {
    return this.#lookups.get(bridge) ?? 0;
  }

  /** Sets it, for the bridge that is there and for those to come. */
  setLookup(bridge: string, lookup: number): void {
    this.#lookups.set(bridge, lookup);
    this.bridges.get(bridge)?.setLookup(lookup);
  }

  /** Takes the bridge away if no port is on it. */
  dropIfEmpty(bridge: Bridge): void {
    if (!bridge.isEmpty) return;
    this.bridges.delete(bridge.name);
    bridge.destroy();
  }

  #makePipe(parentName: string, id: string, master: boolean, memId: number, config: PortConfig): Adapter {
    const created = !this.adapters.has(parentName);
    const named = parseKernelName(parentName);
    const ofRegion = config.dataModel ? { dataModel: config.dataModel } : {};
    const parent =
      named.kind === 'interface' && created
        ? this.#makeVale(parentName, undefined, memId, ofRegion)
        : this.lookup(parentName, NR_REG_ALL_NIC, memId, ofRegion);
    if (this.attached.has(parent) && parent.kind === PORT_KIND_NIC) {
      throw netmapError('EBUSY', `'${parentName}' is attached to a bridge`, { op: 'open', port: parentName });
    }
    const made: Adapter[] = [];
    try {
      const count = this.#pipeCount.get(parent) ?? 0;
      if (count >= NM_MAXPIPES) throw netmapError('EINVAL', `'${parentName}' has ${NM_MAXPIPES} pipes`, { op: 'open' });
      // The counts are those of the master, whichever end is asked for first.
      const geometry: Geometry = {
        txRings: clamp(config.txRings, 1, NM_PIPE_MAXRINGS),
        rxRings: clamp(config.rxRings, 1, NM_PIPE_MAXRINGS),
        txSlots: clamp(config.txSlots, parent.geometry.txSlots, NM_PIPE_MAXSLOTS),
        rxSlots: clamp(config.rxSlots, parent.geometry.rxSlots, NM_PIPE_MAXSLOTS),
      };
      const { txRings, rxRings, txSlots, rxSlots } = geometry;
      const swapped: Geometry = { txRings: rxRings, rxRings: txRings, txSlots: rxSlots, rxSlots: txSlots };
      made.push(new Adapter(this.arena, `${parentName}{${id}`, PORT_KIND_PIPE, parent.region, geometry));
      made.push(new Adapter(this.arena, `${parentName}}${id}`, PORT_KIND_PIPE, parent.region, swapped));
      this.#pipeCount.set(parent, count + 1);
    } catch (error) {
      for (const adapter of made) this.#destroyAdapter(adapter);
      if (created) {
        this.#bridgeOf.get(parent)?.detach(parent);
        this.#remove(parent);
      }
      throw error;
    }
    const [a, b] = made;
    a.pairWith(b);
    parent.users++;
    this.#pipes.set(a, { parent, peer: b });
    this.#pipes.set(b, { parent, peer: a });
    for (const adapter of made) this.add(adapter, adapter.name);
    return master ? a : b;
  }

  #makeNull(name: string, memId: number, config: PortConfig): Adapter {
    if (memId === 0)
      throw netmapError('EINVAL', 'a null port needs the mem id of a region', { op: 'open', port: name });
    const txRings = config.txRings ?? 0;
    const rxRings = config.rxRings ?? 0;
    const txSlots = config.txSlots ?? 0;
    const rxSlots = config.rxSlots ?? 0;
    if ((txRings > 0 && txSlots === 0) || (rxRings > 0 && rxSlots === 0)) {
      throw netmapError('EINVAL', 'a ring needs slots', { op: 'open', port: name });
    }
    const region = this.#regions.get(memId, config.dataModel);
    try {
      const adapter = new Adapter(this.arena, `null:${name}#${++this.#nullPorts}`, PORT_KIND_NULL, region, {
        txRings,
        rxRings,
        txSlots,
        rxSlots,
      });
      return this.add(adapter);
    } catch (error) {
      this.releaseUnused(region);
      throw error;
    }
  }

  /** The other end of a pipe. */
  peerOf(adapter: Adapter): Adapter | undefined {
    return this.#pipes.get(adapter)?.peer;
  }

  /**
   * Destroys the adapter if nobody uses it any more: a pipe with its other end, and then its parent if that was made for
   * it. `rings` tells how a ring's memory is given back.
   */
  async release(adapter: Adapter, freeRings: (adapter: Adapter) => void): Promise<void> {
    if (adapter.users > 0) return;
    const pipe = this.#pipes.get(adapter);
    if (pipe && pipe.peer.users > 0) return;
    const gone = pipe ? [adapter, pipe.peer] : [adapter];
    for (const one of gone) for (const kring of one.krings) one.setMode(kring, false);
    const bridge = this.#bridgeOf.get(adapter);
    if (bridge) {
      bridge.detach(adapter);
      bridge.publishActive();
    }
    await this.quiesce();
    for (const one of gone) freeRings(one);
    for (const one of gone) this.#remove(one);
    if (!pipe) return;
    const left = (this.#pipeCount.get(pipe.parent) ?? 1) - 1;
    if (left === 0) this.#pipeCount.delete(pipe.parent);
    else this.#pipeCount.set(pipe.parent, left);
    pipe.parent.users--;
    await this.release(pipe.parent, freeRings);
  }

  #remove(adapter: Adapter): void {
    const bridge = this.#bridgeOf.get(adapter);
    if (bridge) {
      bridge.forget(adapter);
      this.#bridgeOf.delete(adapter);
      this.dropIfEmpty(bridge);
    }
    this.#pipes.delete(adapter);
    this.all.delete(adapter);
    if (this.adapters.get(adapter.name) === adapter) this.adapters.delete(adapter.name);
    this.#destroyAdapter(adapter);
  }

  /** Destroys an adapter that was never added. */
  discard(adapter: Adapter): void {
    this.#destroyAdapter(adapter);
  }

  #destroyAdapter(adapter: Adapter): void {
    if (adapter.destroy()) this.#regions.forget(adapter.region);
  }

  /** Resolves when every sync, and every pass over kernel loops, that is under way now has ended. */
  quiesce(): Promise<void> {
    return quiesce(this.arena, this.krings());
  }
}
