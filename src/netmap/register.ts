// REGISTER and close (netmap(4), NIOCCTRL): binds rings of an adapter to an open port, and undoes it. Control thread only.

import {
  NR_ACCEPT_VNET_HDR,
  NR_EXCLUSIVE,
  NR_REG_NULL,
  NR_REG_PIPE_MASTER,
  NR_REG_PIPE_SLAVE,
  NR_RX_RINGS_ONLY,
  NR_TX_RINGS_ONLY,
  PORT_KIND_NIC,
  PORT_KIND_PIPE,
} from '../abi.js';
import { netmapError } from '../errors.js';
import { type DataModel, sameRings } from '../memory/data-model.js';
import type { ExtmemOptions } from '../memory/extmem.js';
import type { Adapter } from './adapter.js';
import { IndirectRanges } from './indirect.js';
import type { Kring } from './kring.js';
import { MONITOR_FLAGS, Monitors } from './monitor.js';
import { allocExtraBufs, freeExtraBufs, makeIf, type ShownAs } from './netmap-if.js';
import { type OffsetOptions, setOffsets } from './offsets.js';
import { type PortSpec, parsePortSpec } from './port-name.js';
import type { ConfCounts } from './port-options.js';
import type { PortConfig, Registry } from './registry.js';
import { checkExclusive, selectRings } from './select.js';

/** What a request may ask of the port, beside its name, mode and flags (nmreq_register). */
export interface PortOptions extends PortConfig {
  /** What the netmap_if says of a port elsewhere that this one stands for. Default: this port, as it is. */
  readonly shownAs?: ShownAs;
  /** Room before the packets in their buffers (NETMAP_REQ_OPT_OFFSETS). */
  readonly offsets?: OffsetOptions;
  /** Memory of yours that the region of the port is made in, if this creates the port (NETMAP_REQ_OPT_EXTMEM). */
  readonly extmem?: ExtmemOptions;
  /** Lets a guest see a region that others use too, and the reverse: they then trust each other with it. */
  readonly shareRegion?: boolean;
}

export interface OpenOptions extends PortOptions {
  /** Further nr_flags (NR_*), beside those of the name. */
  readonly flags?: number;
  /** NR_REG_NULL opens a null port; otherwise the name says which rings. */
  readonly mode?: number;
}

/** Addresses of a bound ring. */
export interface RingInfo {
  readonly kring: number;
  readonly ring: number;
}

/** What a thread needs in order to use a port that was opened for it; plain data. */
export interface PortInfo {
  readonly fd: number;
  readonly name: string;
  readonly kind: number;
  readonly memId: number;
  /** Address and size (bytes) of the region: what mmap gives. */
  readonly regionBase: number;
  readonly memsize: number;
  /** nr_offset: of the nifp in the region. */
  readonly offset: number;
  readonly numBufs: number;
  readonly txSlots: number;
  readonly rxSlots: number;
  readonly tx: readonly RingInfo[];
  readonly rx: readonly RingInfo[];
  readonly flags: number;
  readonly hdrLen: number;
  readonly extraBufs: number;
  /** nro_max_offset: the largest packet offset, 0 without the option `offsets`. */
  readonly maxOffset: number;
  /** Of the netmap_if, and of the headers of the rings. */
  readonly dataModel: DataModel;
  /** The first of `tx` are NIC rings, this many. */
  readonly nicTxRings: number;
  /** The kring of the first host rx ring, if the port has all NIC tx rings open too and may forward to them; else 0. */
  readonly forwardsDown: number;
  /** Monitors: krings whose notifications concern this port too. */
  readonly watched: readonly number[];
}

/** One open port: what a file descriptor is. */
export interface OpenPort {
  readonly fd: number;
  readonly adapter: Adapter;
  /** Thread that it belongs to. */
  readonly owner: number;
  readonly flags: number;
  readonly tx: readonly Kring[];
  readonly rx: readonly Kring[];
  readonly nifp: number;
  readonly info: PortInfo;
}

export class PortTable {
  readonly registry: Registry;
  readonly monitors: Monitors;
  readonly ranges: IndirectRanges;
  readonly opens = new Map<number, OpenPort>();
  /** Guests (by id) that adapters are passed through to. */
  readonly #guestOf = new Map<Adapter, number>();
  #nextFd = 1;

  constructor(registry: Registry) {
    this.registry = registry;
    this.monitors = new Monitors(this);
    this.ranges = new IndirectRanges(registry.arena);
  }

  /**
   * Opens a port for the host, or to pass it through to a guest (its id). A failure leaves nothing behind.
   * @throws NetmapError as REGISTER does; EBUSY when a guest would see the memory of ports that are not its own
   */
  async open(spec: string, options: OpenOptions, owner: number, guest = 0): Promise<OpenPort> {
    const parsed = parsePortSpec(spec);
    const wanted = withConf(options, parsed.conf);
    const flags = parsed.flags | (wanted.flags ?? 0);
    const request = { ...parsed, ...this.#shared(parsed, spec), flags, mode: wanted.mode ?? parsed.mode };
    return this.register(request, wanted, owner, guest);
  }

  /** `@share`: the mem id of another port. */
  #shared({ share, name }: PortSpec, spec: string): { memId?: number } {
    if (share === undefined) return {};
    const named = /^(netmap|vale\w*):/.test(share) ? parsePortSpec(share).name : share;
    const adapter = this.registry.adapters.get(named);
    if (adapter) return { memId: adapter.region.memId };
    throw netmapError('ENXIO', `there is no port '${share}' whose region '${name}' could share`, {
      op: 'open',
      port: spec,
    });
  }

  /** The same with the fields of a request in the place of a specification; `flags` and `mode` of the options do not count. */
  async register(request: PortSpec, options: PortOptions, owner: number, guest = 0): Promise<OpenPort> {
    if (!options.extmem) return this.#register(request, options, owner, guest);
    const region = this.registry.externalRegion(options.extmem);
    try {
      return await this.#register({ ...request, memId: region.memId }, options, owner, guest);
    } finally {
      this.registry.releaseUnused(region); // the port may have been there, with a region of its own
    }
  }

  async #register(request: PortSpec, options: PortOptions, owner: number, guest: number): Promise<OpenPort> {
    const { name, mode, flags, memId } = request;
    this.registry.checkMemId(memId, name);
    if (mode === NR_REG_PIPE_MASTER || mode === NR_REG_PIPE_SLAVE) {
      throw netmapError('EINVAL', `mode ${mode} is of the legacy API; the name says which end`, {
        op: 'open',
        port: name,
      });
    }
    if (flags & MONITOR_FLAGS && mode !== NR_REG_NULL) {
      const open = await this.monitors.open(request, name, options, owner, guest);
      this.opens.set(open.fd, open);
      return open;
    }
    const adapter = this.registry.lookup(name, mode, memId, options);
    return this.openAdapter(adapter, request, options, owner, guest);
  }

  /** Opens a port of an adapter. `request.name` is for messages. @throws NetmapError as `open` */
  async openAdapter(
    adapter: Adapter,
    request: PortSpec,
    options: PortOptions,
    owner: number,
    guest = 0,
  ): Promise<OpenPort> {
    const { flags, mode, ringId, name: spec } = request;
    adapter.users++;
    const undo: (() => void)[] = [];
    try {
      this.#checkFree(adapter, flags, spec);
      this.#checkModel(adapter, options.dataModel, spec);
      const tx = flags & NR_RX_RINGS_ONLY ? [] : selectRings(adapter, 'tx', mode, ringId, spec);
      const rx = flags & NR_TX_RINGS_ONLY ? [] : selectRings(adapter, 'rx', mode, ringId, spec);
      if (guest !== 0 && [...tx, ...rx].some(({ ringId, index }) => ringId !== index)) {
        throw netmapError('EINVAL', 'a ptnet device has no host rings', { op: 'open', port: spec });
      }
      checkExclusive([...tx, ...rx], (flags & NR_EXCLUSIVE) !== 0, spec);
      if (!options.shareRegion) this.#checkSharing(adapter, guest, spec);
      this.#makeRings(adapter, [...rx, ...tx], undo);
      let maxOffset = 0;
      if (options.offsets) {
        if (guest !== 0) throw netmapError('EOPNOTSUPP', 'a ptnet device has no offsets', { op: 'open', port: spec });
        maxOffset = setOffsets(adapter, [...tx, ...rx], flags, options.offsets, undo);
      }
      const dataModel = options.dataModel ?? adapter.region.dataModel;
      const nifp = makeIf(this.registry.arena, adapter, [...tx, ...rx], dataModel, options.shownAs);
      undo.push(() => adapter.region.freeIf(nifp));
      for (const kring of [...tx, ...rx]) {
        kring.users++;
        kring.exclusive = (flags & NR_EXCLUSIVE) !== 0;
        if (kring.users === 1) adapter.setMode(kring, true);
      }
      const fd = this.#nextFd++;
      const extraBufs = allocExtraBufs(this.registry.arena, adapter, nifp, options.extraBufs ?? 0);
      const info = portInfo(fd, adapter, nifp, tx, rx, flags, extraBufs, maxOffset, dataModel);
      const open: OpenPort = { fd, adapter, owner, flags, tx, rx, nifp, info };
      this.opens.set(fd, open);
      if (guest !== 0) this.#guestOf.set(adapter, guest);
      this.registry.bridgeOf(adapter)?.publishActive();
      return open;
    } catch (error) {
      for (const step of undo.reverse()) step();
      adapter.users--;
      await this.registry.release(adapter, freeRings);
      throw error;
    } finally {
      // From here on nobody reads the list of ports before the last any more: the next change may overwrite it.
      await this.registry.quiesce();
    }
  }

  /** Whether ports of the adapter are open. */
  isOpen(adapter: Adapter): boolean {
    return [...this.opens.values()].some((open) => open.adapter === adapter);
  }

  #checkFree(adapter: Adapter, flags: number, port: string): void {
    if (adapter.kind === PORT_KIND_NIC && this.registry.attached.has(adapter)) {
      throw netmapError('EBUSY', `'${adapter.name}' is attached to a bridge`, { op: 'open', port });
    }
    if (adapter.hdrLen === 0 || flags & NR_ACCEPT_VNET_HDR) return;
    const message = `its header length is ${adapter.hdrLen} and NR_ACCEPT_VNET_HDR is not set`;
    throw netmapError('EIO', message, { op: 'open', port });
  }

  /** The headers of the rings in a region are laid out for one data model. */
  #checkModel({ region }: Adapter, wanted: DataModel | null | undefined, port: string): void {
    if (!wanted || sameRings(wanted, region.dataModel)) return;
    const message = `region ${region.memId} has rings for ${region.dataModel}, not for ${wanted}`;
    throw netmapError('EINVAL', message, { op: 'open', port });
  }

  /** A guest sees the whole region of a port: it may hold that guest's ports only, and the other end of a pipe. */
  #checkSharing(adapter: Adapter, guest: number, spec: string): void {
    const peer = this.registry.peerOf(adapter);
    for (const { adapter: other } of this.opens.values()) {
      if (other.region !== adapter.region || other === adapter || other === peer) continue;
      if ((this.#guestOf.get(other) ?? 0) === guest) continue;
      const { memId } = adapter.region;
      throw netmapError(
        'EBUSY',
        `region ${memId} also holds '${other.name}', which a guest must not share (shareRegion)`,
        {
          op: 'open',
          port: spec,
        },
      );
    }
  }

  /** Stops the rings that a port has open: it gets POLLERR, and -EIO from syncs, until it is closed. */
  stop(fd: number): void {
    const open = this.opens.get(fd);
    for (const kring of [...(open?.tx ?? []), ...(open?.rx ?? [])]) open?.adapter.setMode(kring, false);
  }

  async close(fd: number): Promise<void> {
    const open = this.opens.get(fd);
    if (!open) return;
    this.opens.delete(fd);
    this.ranges.close(open);
    const { adapter } = open;
    if (!this.isOpen(adapter)) {
      this.#guestOf.delete(adapter);
      this.monitors.stop(adapter);
    }
    this.monitors.unwatch(adapter);
    const idle: Kring[] = [];
    for (const kring of [...open.tx, ...open.rx]) {
      kring.users--;
      if (kring.users !== 0) continue;
      kring.exclusive = false;
      idle.push(kring);
      // An idle end of a pipe keeps its rings: unread packets are still there when it is opened again.
      adapter.setMode(kring, false);
    }
    await this.registry.quiesce();
    if (adapter.kind !== PORT_KIND_PIPE) for (const kring of idle) adapter.freeRing(kring);
    freeExtraBufs(this.registry.arena, adapter, open.nifp);
    adapter.region.freeIf(open.nifp);
    adapter.users--;
    await this.registry.release(adapter, freeRings);
    await this.monitors.forget(adapter);
  }

  #makeRings(adapter: Adapter, krings: readonly Kring[], undo: (() => void)[]): void {
    const peer = this.registry.peerOf(adapter);
    for (const kring of krings) {
      if (kring.ring !== 0) continue;
      adapter.makeRing(kring);
      undo.push(() => adapter.freeRing(kring));
      if (!peer || !kring.peer) continue;
      const other = kring.peer;
      peer.makeRing(other, kring);
      undo.push(() => peer.freeRing(other, []));
    }
  }
}

/** The options of an open; where they say nothing, what the name says (`@conf`). */
function withConf(options: OpenOptions, conf: ConfCounts = {}): OpenOptions {
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined && value !== null),
  );
  return { ...conf, ...given };
}

/** Gives the rings of an adapter back. A pipe's pair is freed with the master's side of each. */
export function freeRings(adapter: Adapter): void {
  if (adapter.kind !== PORT_KIND_PIPE) {
    for (const kring of adapter.krings) adapter.freeRing(kring);
    return;
  }
  for (const kring of adapter.tx) {
    if (kring.ring === 0 || !kring.peer) continue;
    const bufs = adapter.pairBufs(kring);
    adapter.freeRing(kring, bufs);
    adapter.freeRing(kring.peer, []);
  }
}

function portInfo(
  fd: number,
  adapter: Adapter,
  nifp: number,
  tx: readonly Kring[],
  rx: readonly Kring[],
  flags: number,
  extraBufs: number,
  maxOffset: number,
  dataModel: DataModel,
): PortInfo {
  const { region } = adapter;
  const rings = (krings: readonly Kring[]): RingInfo[] => krings.map(({ ptr, ring }) => ({ kring: ptr, ring }));
  return {
    fd,
    name: adapter.name,
    kind: adapter.kind,
    memId: region.memId,
    regionBase: region.base,
    memsize: region.layout.memsize,
    offset: nifp - region.base,
    numBufs: region.bufs.objtotal,
    txSlots: adapter.geometry.txSlots,
    rxSlots: adapter.geometry.rxSlots,
    tx: rings(tx),
    rx: rings(rx),
    flags,
    hdrLen: adapter.hdrLen,
    extraBufs,
    maxOffset,
    dataModel,
    watched: [],
    nicTxRings: tx.filter((kring) => adapter.tx.includes(kring)).length,
    forwardsDown:
      adapter.tx.every((kring) => tx.includes(kring)) && rx.includes(adapter.hostRx[0]) ? adapter.hostRx[0].ptr : 0,
  };
}
