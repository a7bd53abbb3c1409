// The oracle's host: which ports, regions and bridges exist, and what opening and closing does to them. See oracle.ts.

import type { ErrnoCode } from '../../src/errors.js';
import { type Dir, Kring, type PortSync, pairBufs, pipeSync, Region, ringSync } from './oracle.js';
import { Bridge, valeSync } from './oracle-vale.js';

export interface Geometry {
  txRings: number;
  rxRings: number;
  txSlots: number;
  rxSlots: number;
}

/** An open of a port by its name, as the harness composes a specification from it. */
export interface OpenRequest {
  readonly name: string;
  readonly config: Partial<Geometry>;
  readonly dirs: 'both' | Dir;
  readonly exclusive: boolean;
  readonly ring: number | undefined;
  /** Name of a port whose region is to be used, or `GLOBAL`. */
  readonly sameRegionAs: string | undefined;
}

/** Private pools' minimum parameters, as given to the host under test. */
export const POOLS = {
  priv_if_size: 128,
  priv_if_num: 1,
  priv_ring_size: 512,
  priv_ring_num: 2,
  priv_buf_size: 128,
  priv_buf_num: 4,
};

/** The global region's parameters: buffers of another size, and not many of anything. */
export const GLOBAL_POOLS = { if_size: 128, if_num: 32, ring_size: 512, ring_num: 16, buf_size: 64, buf_num: 128 };
export const GLOBAL = 'the global region';

export class OracleError extends Error {
  readonly code: ErrnoCode;

  constructor(code: ErrnoCode) {
    super(code);
    this.code = code;
  }
}

export interface Adapter extends Geometry {
  readonly name: string;
  readonly region: Region;
  readonly tx: Kring[];
  readonly rx: Kring[];
  readonly sync: PortSync;
  users: number;
  bridge: Bridge | undefined;
  bridgeIndex: number;
  peer: Adapter | undefined;
  parent: Adapter | undefined;
}

/** An open port: what the harness drives beside the real one. */
export interface OpenPort {
  readonly adapter: Adapter;
  readonly tx: Kring[];
  readonly rx: Kring[];
}

const up = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

/** Objects in a pool: whole clusters, the smallest number that fills pages. */
function poolSize(num: number, size: number): number {
  let cluster = 1;
  while ((cluster * size) % 4096 !== 0) cluster++;
  return up(num, cluster);
}

/** A private region for a VALE port: room for its rings, a pair of host rings, and two pipes. */
function privateRegion({ txRings, rxRings, txSlots, rxSlots }: Geometry): Region {
  const [t, r] = [txRings + 1, rxRings + 1];
  const ifBytes = up(Math.max(POOLS.priv_if_size, 56 + 8 * (t + r)), 64);
  const ringBytes = up(Math.max(POOLS.priv_ring_size, 256 + 16 * Math.max(txSlots, rxSlots)), 64);
  const bufs = (8 + r) * rxSlots + (8 + t) * txSlots + 2;
  return new Region(
    poolSize(Math.max(bufs, POOLS.priv_buf_num), POOLS.priv_buf_size),
    POOLS.priv_buf_size,
    poolSize(10, ifBytes),
    poolSize(t + r + 16, ringBytes),
    ringBytes,
  );
}

const counted = (wanted: number | undefined, fallback: number, most: number): number =>
  wanted === undefined || wanted === 0 ? fallback : Math.min(wanted, most);

export class Host {
  readonly adapters = new Map<string, Adapter>();
  #global: Region | undefined;
  readonly bridges = new Map<string, Bridge>();

  get regions(): Region[] {
    return [...new Set([...this.adapters.values()].map(({ region }) => region))];
  }

  /** The region that a request names; the global one exists while somebody uses it. */
  regionOf(name: string | undefined): Region | undefined {
    if (name === undefined) return undefined;
    if (name !== GLOBAL) return this.adapters.get(name)?.region;
    if (!this.#global || this.#global.users === 0) {
      const { if_num, ring_size, ring_num, buf_size, buf_num } = GLOBAL_POOLS;
      this.#global = new Region(buf_num, buf_size, if_num, ring_num, ring_size);
    }
    return this.#global;
  }

  open(request: OpenRequest): OpenPort {
    const adapter = this.#lookup(request);
    adapter.users++;
    try {
      return this.#bind(adapter, request);
    } catch (error) {
      adapter.users--;
      this.#release(adapter);
      throw error;
    }
  }

  close({ adapter, tx, rx }: OpenPort): void {
    for (const kr of [...tx, ...rx]) {
      kr.users--;
      if (kr.users > 0) continue;
      kr.exclusive = false;
      // An end of a pipe keeps its rings, with the packets in them.
      if (!adapter.peer) freeRing(kr);
    }
    adapter.region.freeIfs++;
    adapter.users--;
    this.#release(adapter);
  }

  #lookup({ name, config, sameRegionAs }: OpenRequest): Adapter {
    const region = this.regionOf(sameRegionAs);
    const existing = this.adapters.get(name);
    if (existing) return existing;
    const brace = name.search(/[{}]/);
    if (brace >= 0) return this.#makePipe(name.slice(0, brace), name[brace], name.slice(brace + 1), config, region);
    if (name.startsWith('vale')) return this.#makeVale(name, config, region);
    throw new OracleError('ENXIO');
  }

  #makeVale(name: string, config: Partial<Geometry>, region: Region | undefined): Adapter {
    const geometry = {
      txRings: counted(config.txRings, 1, 16),
      rxRings: counted(config.rxRings, 1, 16),
      txSlots: counted(config.txSlots, 1024, 4096),
      rxSlots: counted(config.rxSlots, 1024, 4096),
    };
    const adapter = this.#makeAdapter(name, region ?? privateRegion(geometry), geometry, (kr) =>
      valeSync(adapter.bridge, adapter.bridgeIndex)(kr),
    );
    if (!name.startsWith('vale')) return adapter;
    const bridgeName = name.slice(0, name.indexOf(':'));
    const bridge = this.bridges.get(bridgeName) ?? new Bridge(bridgeName);
    this.bridges.set(bridgeName, bridge);
    bridge.attach(adapter);
    adapter.bridge = bridge;
    return adapter;
  }

  /** Both ends, and their parent if there is none. The counts are the master's, whoever asks. */
  #makePipe(
    parentName: string,
    end: string,
    id: string,
    config: Partial<Geometry>,
    region: Region | undefined,
  ): Adapter {
    const parent = this.adapters.get(parentName) ?? this.#makeVale(parentName, {}, region);
    const txRings = counted(config.txRings, 1, 256);
    const rxRings = counted(config.rxRings, 1, 256);
    const txSlots = counted(config.txSlots, parent.txSlots, 4096);
    const rxSlots = counted(config.rxSlots, parent.rxSlots, 4096);
    const master = this.#makeAdapter(
      `${parentName}{${id}`,
      parent.region,
      { txRings, rxRings, txSlots, rxSlots },
      pipeSync,
    );
    const swapped = { txRings: rxRings, rxRings: txRings, txSlots: rxSlots, rxSlots: txSlots };
    const slave = this.#makeAdapter(`${parentName}}${id}`, parent.region, swapped, pipeSync);
    for (const [a, b] of [
      [master, slave],
      [slave, master],
    ]) {
      a.peer = b;
      a.parent = parent;
      for (const [i, kr] of a.tx.entries()) kr.peer = b.rx[i];
      for (const [i, kr] of a.rx.entries()) kr.peer = b.tx[i];
    }
    parent.users++;
    return end === '{' ? master : slave;
  }

  #makeAdapter(name: string, region: Region, geometry: Geometry, sync: PortSync): Adapter {
    const { txRings, rxRings, txSlots, rxSlots } = geometry;
    const krings = (dir: Dir, rings: number, slots: number): Kring[] =>
      Array.from({ length: rings }, (_, i) => new Kring(region, dir, i, slots));
    const adapter: Adapter = {
      ...geometry,
      name,
      region,
      tx: krings('tx', txRings, txSlots),
      rx: krings('rx', rxRings, rxSlots),
      sync,
      users: 0,
      bridge: undefined,
      bridgeIndex: 0,
      peer: undefined,
      parent: undefined,
    };
    region.users++;
    this.adapters.set(name, adapter);
    return adapter;
  }

  #bind(adapter: Adapter, { ring, dirs, exclusive }: OpenRequest): OpenPort {
    const select = (dir: Dir): Kring[] => {
      if (dirs !== 'both' && dirs !== dir) return [];
      if (ring === undefined) return adapter[dir];
      if (ring >= adapter.tx.length && ring >= adapter.rx.length) throw new OracleError('EINVAL');
      return [adapter[dir][ring] ?? adapter[dir][0]];
    };
    const tx = select('tx');
    const rx = select('rx');
    const inUse = [...tx, ...rx].filter(({ users }) => users > 0);
    if (inUse.some((kr) => kr.exclusive || exclusive)) throw new OracleError('EBUSY');
    const made: Kring[] = [];
    try {
      for (const kr of [...rx, ...tx]) if (!kr.ring) makeRings(kr, made);
      if (adapter.region.freeIfs === 0) throw new OracleError('ENOMEM');
    } catch (error) {
      for (const kr of made.reverse()) freeRing(kr);
      throw error;
    }
    adapter.region.freeIfs--;
    for (const kr of [...tx, ...rx]) {
      kr.users++;
      kr.exclusive = exclusive;
    }
    return { adapter, tx, rx };
  }

  /** What nobody uses any more goes: a pipe with both of its ends, and then the parent that it hung on. */
  #release(adapter: Adapter): void {
    const { peer, parent, bridge } = adapter;
    if (adapter.users > 0 || (peer && peer.users > 0)) return;
    for (const one of peer ? [adapter, peer] : [adapter]) {
      for (const kr of [...one.tx, ...one.rx]) freeRing(kr);
      this.adapters.delete(one.name);
      one.region.users--;
    }
    bridge?.detach(adapter);
    if (bridge && bridge.ports.size === 0) this.bridges.delete(bridge.name);
    if (!parent) return;
    parent.users--;
    this.#release(parent);
  }
}

/** A ring with buffers; for a pipe, also the peer's ring, with the same buffers. */
function makeRings(kr: Kring, made: Kring[]): void {
  const { region, n } = kr;
  const needed = kr.peer ? 2 : 1;
  const fits = 256 + 16 * n <= region.ringBytes && region.freeRings >= needed && region.freeBufs >= n;
  if (!fits) throw new OracleError('ENOMEM');
  const bufs = Array.from({ length: n }, () => region.take());
  for (const one of kr.peer ? [kr, kr.peer] : [kr]) {
    one.makeRing(bufs);
    region.freeRings--;
  }
  made.push(kr);
}

function freeRing(kr: Kring): void {
  if (!kr.ring) return;
  const tx = kr.dir === 'tx' ? kr : kr.peer;
  const bufs = kr.peer ? pairBufs(tx as Kring) : kr.ring.slots.map(({ bufIdx }) => bufIdx);
  for (const i of bufs) kr.region.give(i);
  for (const one of kr.peer ? [kr, kr.peer] : [kr]) {
    one.ring = undefined;
    kr.region.freeRings++;
  }
}

export function txsync({ adapter, tx }: OpenPort): void {
  for (const kr of tx) ringSync(kr, adapter.sync);
}

export function rxsync({ adapter, rx }: OpenPort): void {
  for (const kr of rx) ringSync(kr, adapter.sync);
}
