// The oracle's host: which ports, regions and bridges exist, and what opening and closing does to them. See oracle.ts.

import type { ErrnoCode } from '../../src/errors.js';
import { type Dir, Kring, type PortSync, pipeSync, Region } from './oracle.js';
import { monitorSync } from './oracle-monitor.js';
import { forwardUp, linkSync, nicSync } from './oracle-nic.js';
import { setOffsets } from './oracle-offsets.js';
import { freeRing, makeRings, ringsOf, unwatchRings, watchRings } from './oracle-rings.js';
import {
  type Adapter,
  counted,
  type Geometry,
  GLOBAL,
  GLOBAL_POOLS,
  type OpenPort,
  type OpenRequest,
  OracleError,
  privateRegion,
} from './oracle-types.js';
import { Bridge, type BridgePort, valeRxsync, valeSync } from './oracle-vale.js';

export { rxsync, txsync } from './oracle-rings.js';
export * from './oracle-types.js';

export class Host {
  readonly adapters = new Map<string, Adapter>();
  /** Those without a name that can be opened: monitors, wires and stacks. */
  readonly unnamed = new Set<Adapter>();
  readonly opens = new Set<OpenPort>();
  #global: Region | undefined;
  readonly bridges = new Map<string, Bridge>();

  get regions(): Region[] {
    return [...new Set([...this.adapters.values(), ...this.unnamed].map(({ region }) => region))];
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
    const adapter = request.monitor === undefined ? this.#lookup(request) : this.#makeMonitor(request);
    if (adapter.nic?.bridge) throw new OracleError('EBUSY');
    adapter.users++;
    try {
      const open = this.#bind(adapter, request);
      if (adapter.watched) watchRings(adapter, adapter.watched, open, request.monitor as string);
      return open;
    } catch (error) {
      adapter.users--;
      this.#release(adapter);
      throw error;
    }
  }

  close(open: OpenPort): void {
    const { adapter, tx, rx } = open;
    this.opens.delete(open);
    for (const range of [...(adapter.ranges ?? [])]) {
      if (range.owner === open) this.unregisterRange(open, range.address, range.length);
    }
    if (adapter.watched) unwatchRings(adapter, adapter.watched);
    if (!this.isOpen(adapter)) this.#stopMonitors(adapter);
    for (const kr of [...tx, ...rx]) {
      kr.users--;
      if (kr.users > 0) continue;
      kr.exclusive = false;
      // An end of a pipe keeps its rings, with the packets in them.
      if (!adapter.peer) freeRing(kr);
    }
    adapter.region.giveList(open.extra.head);
    adapter.region.freeIfs++;
    adapter.users--;
    this.#release(adapter);
  }

  /** The error of registering a range, if it is one. */
  registerRange(owner: OpenPort, address: number, bytes: Uint8Array): ErrnoCode | undefined {
    const { ranges } = owner.adapter;
    if (!ranges) return 'EOPNOTSUPP';
    if (ranges.length === 16) return 'ENOSPC';
    ranges.push({ owner, address, length: bytes.length, bytes });
    return undefined;
  }

  unregisterRange(owner: OpenPort, address: number, length: number): ErrnoCode | undefined {
    const ranges = owner.adapter.ranges ?? [];
    const at = ranges.findIndex((r) => r.owner === owner && r.address === address && r.length === length);
    if (at < 0) return 'EINVAL';
    ranges.splice(at, 1);
    return undefined;
  }

  isOpen(adapter: Adapter): boolean {
    return [...this.opens].some((open) => open.adapter === adapter);
  }

  #stopMonitors(parent: Adapter): void {
    for (const monitor of this.unnamed) {
      if (monitor.watched !== parent) continue;
      unwatchRings(monitor, parent);
      for (const kr of ringsOf(monitor)) kr.stopped = true;
    }
  }

  /** Its names are those of its parent's counter, which the harness takes from the host. */
  #makeMonitor({ name, config, monitor = '' }: OpenRequest): Adapter {
    const parent = this.adapters.get(name);
    if (!parent && !/[{}]|^vale/.test(name)) throw new OracleError('ENXIO');
    if (!parent || !this.isOpen(parent)) throw new OracleError('EINVAL');
    const geometry = {
      txRings: 1,
      rxRings: Math.max(parent.txRings, parent.rxRings),
      txSlots: counted(config.txSlots, parent.txSlots, 4096),
      rxSlots: counted(config.rxSlots, parent.rxSlots, 4096),
    };
    const hostRx = Math.max(parent.hostTx.length, parent.hostRx.length);
    const hostTx = Math.min(hostRx, 1);
    const all = { ...geometry, txRings: 1 + hostTx, rxRings: geometry.rxRings + hostRx };
    const region = monitor === 'z' ? parent.region : privateRegion(all, 0);
    const adapter = this.makeAdapter(undefined, region, geometry, monitorSync, hostTx, hostRx);
    for (const kr of ringsOf(adapter)) kr.isMonitor = true;
    adapter.watched = parent;
    parent.users++;
    return adapter;
  }

  /** A network interface, with both of its ends open. */
  plug(name: string, geometry: Geometry): { nic: Adapter; ends: OpenPort[] } {
    const { txRings, rxRings, txSlots, rxSlots } = geometry;
    const other = { txRings: rxRings, rxRings: txRings, txSlots: rxSlots, rxSlots: txSlots };
    const region = privateRegion({ ...geometry, txRings: txRings + 1, rxRings: rxRings + 1 });
    const shared = privateRegion({ ...other, txRings: rxRings + 1, rxRings: txRings + 1 }, 0);
    const ends: { wire?: Adapter; stack?: Adapter } = {};
    const wireRx: Kring[] = [];
    const isLive = (kr: Kring): boolean => kr.users > 0;
    const nic = this.makeAdapter(name, region, geometry, nicSync(wireRx), 1, 1);
    const wire = this.makeAdapter(
      undefined,
      shared,
      other,
      linkSync((kr) => (isLive(nic.rx[kr.index]) ? nic.rx[kr.index] : ends.stack?.rx[0])),
    );
    wireRx.push(...wire.rx);
    const one = { ...other, txRings: 1, rxRings: 1 };
    const stack = this.makeAdapter(
      undefined,
      shared,
      one,
      linkSync(() => (isLive(nic.tx[0]) ? nic.hostRx[0] : nic.nic?.bridge ? undefined : wire.rx[0])),
    );
    Object.assign(ends, { wire, stack });
    nic.nic = { wire, stack, bridge: undefined, ports: [] };
    nic.users++;
    for (const kr of nic.hostTx) kr.sync = linkSync(() => stack.rx[0]);
    for (const kr of nic.hostRx) kr.sync = valeRxsync;
    for (const kr of nic.rx) kr.beforeRx = (ring) => forwardUp(ring, stack.rx[0]);
    const whole = {
      name,
      config: {},
      dirs: 'both',
      exclusive: false,
      ring: undefined,
      sameRegionAs: undefined,
    } as const;
    return {
      nic,
      ends: [wire, stack].map((end) => {
        end.users++;
        return this.#bind(end, whole);
      }),
    };
  }

  unplug(name: string, ends: readonly OpenPort[]): void {
    const nic = this.adapters.get(name) as Adapter;
    this.detach(nic);
    this.adapters.delete(name);
    this.unnamed.add(nic);
    this.#stopMonitors(nic);
    for (const kr of ringsOf(nic)) kr.stopped = true;
    nic.users--;
    this.#release(nic);
    for (const end of ends) this.close(end);
  }

  /** The error of VALE_ATTACH, if it is one. */
  attach(bridgeName: string, name: string, withHost: boolean): ErrnoCode | undefined {
    const taken = [...(this.bridges.get(bridgeName)?.ports.values() ?? [])];
    if (taken.some((port) => port.name === `${bridgeName}:${name}`)) return 'EBUSY';
    const nic = this.adapters.get(name);
    if (!nic?.nic) return 'EINVAL';
    if (nic.nic.bridge || this.isOpen(nic)) return 'EBUSY';
    const bridge = this.bridges.get(bridgeName) ?? new Bridge(bridgeName);
    this.bridges.set(bridgeName, bridge);
    const { wire, stack } = nic.nic;
    nic.nic.bridge = bridge;
    for (const [end, title] of withHost
      ? ([
          [wire, ''],
          [stack, '^'],
        ] as const)
      : ([[wire, '']] as const)) {
      const port: BridgePort = { name: `${bridgeName}:${name}${title}`, rx: end.rx, bridgeIndex: 0 };
      bridge.attach(port);
      nic.nic.ports.push(port);
      for (const kr of end.tx) kr.sync = (ring) => bridge.txsync(ring, port.bridgeIndex);
    }
    return undefined;
  }

  /** False when it is on no bridge. */
  detach({ nic }: Adapter): boolean {
    if (!nic?.bridge) return false;
    for (const port of nic.ports.splice(0)) nic.bridge.detach(port);
    if (nic.bridge.ports.size === 0) this.bridges.delete(nic.bridge.name);
    nic.bridge = undefined;
    for (const end of [nic.wire, nic.stack]) for (const kr of end.tx) kr.sync = end.sync;
    return true;
  }

  #lookup({ name, config, sameRegionAs, host, extraBufs }: OpenRequest): Adapter {
    const region = this.regionOf(sameRegionAs);
    if (host && /[{}]/.test(name)) throw new OracleError('EINVAL'); // before the parent is looked for
    const existing = this.adapters.get(name);
    if (existing) return existing;
    const brace = name.search(/[{}]/);
    if (brace >= 0) return this.#makePipe(name.slice(0, brace), name[brace], name.slice(brace + 1), config, region);
    if (name.startsWith('vale') && this.adapters.get(name.slice(name.indexOf(':') + 1)))
      throw new OracleError('EINVAL');
    if (name.startsWith('vale')) return this.#makeVale(name, config, region, extraBufs);
    throw new OracleError('ENXIO');
  }

  #makeVale(name: string, config: Partial<Geometry>, region: Region | undefined, extraBufs = 0): Adapter {
    const geometry = {
      txRings: counted(config.txRings, 1, 16),
      rxRings: counted(config.rxRings, 1, 16),
      txSlots: counted(config.txSlots, 1024, 4096),
      rxSlots: counted(config.rxSlots, 1024, 4096),
    };
    const adapter = this.makeAdapter(name, region ?? privateRegion(geometry, 2, extraBufs), geometry, (kr) =>
      valeSync(adapter.bridge, adapter.bridgeIndex)(kr),
    );
    adapter.ranges = [];
    for (const kr of adapter.tx) kr.ranges = adapter.ranges;
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
    if (parent.nic?.bridge) throw new OracleError('EBUSY');
    const txRings = counted(config.txRings, 1, 256);
    const rxRings = counted(config.rxRings, 1, 256);
    const txSlots = counted(config.txSlots, parent.txSlots, 4096);
    const rxSlots = counted(config.rxSlots, parent.rxSlots, 4096);
    const master = this.makeAdapter(
      `${parentName}{${id}`,
      parent.region,
      { txRings, rxRings, txSlots, rxSlots },
      pipeSync,
    );
    const swapped = { txRings: rxRings, rxRings: txRings, txSlots: rxSlots, rxSlots: txSlots };
    const slave = this.makeAdapter(`${parentName}}${id}`, parent.region, swapped, pipeSync);
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

  makeAdapter(
    name: string | undefined,
    region: Region,
    geometry: Geometry,
    sync: PortSync,
    hostTx = 0,
    hostRx = 0,
  ): Adapter {
    const { txRings, rxRings, txSlots, rxSlots } = geometry;
    const krings = (dir: Dir, rings: number, slots: number): Kring[] =>
      Array.from({ length: rings }, (_, i) => {
        const kr = new Kring(region, dir, i, slots);
        kr.sync = sync;
        return kr;
      });
    const adapter: Adapter = {
      ...geometry,
      name: name ?? '',
      region,
      tx: krings('tx', txRings, txSlots),
      rx: krings('rx', rxRings, rxSlots),
      hostTx: krings('tx', hostTx, txSlots),
      hostRx: krings('rx', hostRx, rxSlots),
      sync,
      ranges: undefined,
      users: 0,
      watched: undefined,
      nic: undefined,
      bridge: undefined,
      bridgeIndex: 0,
      peer: undefined,
      parent: undefined,
    };
    region.users++;
    if (name === undefined) this.unnamed.add(adapter);
    else this.adapters.set(name, adapter);
    return adapter;
  }

  #bind(adapter: Adapter, { ring, dirs, exclusive, host, extraBufs = 0, offsets, monitor }: OpenRequest): OpenPort {
    const select = (dir: Dir): Kring[] => {
      if (dirs !== 'both' && dirs !== dir) return [];
      if (host && adapter.hostRx.length === 0) throw new OracleError('EINVAL');
      const hostRings = dir === 'tx' ? adapter.hostTx : adapter.hostRx;
      if (host) return host === '*' ? [...adapter[dir], ...hostRings] : hostRings;
      if (ring === undefined) return adapter[dir];
      if (ring >= adapter.tx.length && ring >= adapter.rx.length) throw new OracleError('EINVAL');
      return [adapter[dir][ring] ?? adapter[dir][0]];
    };
    const tx = select('tx');
    const rx = select('rx');
    const inUse = [...tx, ...rx].filter(({ users }) => users > 0);
    if (inUse.some((kr) => kr.exclusive || exclusive)) throw new OracleError('EBUSY');
    const made: Kring[] = [];
    let given = { max: 0, undo: (): void => {} };
    try {
      for (const kr of [...rx, ...tx]) if (!kr.ring) makeRings(kr, made);
      if (offsets && monitor === 'z') throw new OracleError('EOPNOTSUPP');
      if (offsets) given = setOffsets([...tx, ...rx], offsets);
      if (adapter.region.freeIfs === 0) throw new OracleError('ENOMEM');
    } catch (error) {
      given.undo();
      for (const kr of made.reverse()) freeRing(kr);
      throw error;
    }
    adapter.region.freeIfs--;
    for (const kr of [...tx, ...rx]) {
      kr.users++;
      kr.exclusive = exclusive;
    }
    const open = { adapter, extra: adapter.region.takeList(extraBufs), maxOffset: given.max, tx, rx };
    this.opens.add(open);
    return open;
  }

  /** What nobody uses any more goes: a pipe with both of its ends, and then the parent that it hung on. */
  #release(adapter: Adapter): void {
    const { peer, parent, bridge } = adapter;
    if (adapter.users > 0 || (peer && peer.users > 0)) return;
    for (const one of peer ? [adapter, peer] : [adapter]) {
      for (const kr of ringsOf(one)) freeRing(kr);
      if (!this.unnamed.delete(one)) this.adapters.delete(one.name);
      one.region.users--;
    }
    bridge?.detach(adapter);
    if (bridge && bridge.ports.size === 0) this.bridges.delete(bridge.name);
    for (const above of [parent, adapter.watched]) {
      if (!above) continue;
      above.users--;
      this.#release(above);
    }
  }
}
