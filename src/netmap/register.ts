// REGISTER and close (netmap(4), NIOCCTRL): binds rings of an adapter to an open port, and undoes it. Control thread only.

import {
  NETMAP_IF_BUFS_HEAD,
  NETMAP_IF_FLAGS,
  NETMAP_IF_HOST_RX_RINGS,
  NETMAP_IF_HOST_TX_RINGS,
  NETMAP_IF_NAME,
  NETMAP_IF_RING_OFS,
  NETMAP_IF_RING_OFS_SIZE,
  NETMAP_IF_RX_RINGS,
  NETMAP_IF_SIZE,
  NETMAP_IF_TX_RINGS,
  NETMAP_IFNAMSIZ,
  NI_PRIV_MEM,
  NR_ACCEPT_VNET_HDR,
  NR_EXCLUSIVE,
  NR_MONITOR_RX,
  NR_MONITOR_TX,
  NR_REG_ALL_NIC,
  NR_REG_NULL,
  NR_REG_ONE_NIC,
  NR_RX_RINGS_ONLY,
  NR_TX_RINGS_ONLY,
  NR_ZCOPY_MON,
  PORT_KIND_PIPE,
} from '../abi.js';
import { netmapError } from '../errors.js';
import type { Adapter, Kring } from './adapter.js';
import { parsePortSpec } from './port-name.js';
import type { PortConfig, Registry } from './registry.js';

export interface OpenOptions extends PortConfig {
  /** Further nr_flags (NR_*), beside those of the name. */
  readonly flags?: number;
  /** NR_REG_NULL opens a null port; otherwise the name says which rings. */
  readonly mode?: number;
  /** Lets a guest see a region that others use too, and the reverse: they then trust each other with it. */
  readonly shareRegion?: boolean;
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
  readonly opens = new Map<number, OpenPort>();
  /** Guests (by id) that adapters are passed through to. */
  readonly #guestOf = new Map<Adapter, number>();
  #nextFd = 1;

  constructor(registry: Registry) {
    this.registry = registry;
  }

  /**
   * Opens a port for the host, or to pass it through to a guest (its id). A failure leaves nothing behind.
   * @throws NetmapError as REGISTER does; EBUSY when a guest would see the memory of ports that are not its own
   */
  async open(spec: string, options: OpenOptions, owner: number, guest = 0): Promise<OpenPort> {
    const parsed = parsePortSpec(spec);
    const flags = parsed.flags | (options.flags ?? 0);
    const mode = options.mode ?? parsed.mode;
    if (flags & (NR_MONITOR_TX | NR_MONITOR_RX | NR_ZCOPY_MON)) {
      throw netmapError('EOPNOTSUPP', 'there are no monitor ports yet', { op: 'open', port: spec });
    }
    const adapter = this.registry.lookup(parsed.name, mode, parsed.memId, options);
    adapter.users++;
    const undo: (() => void)[] = [];
    try {
      if (adapter.hdrLen !== 0 && !(flags & NR_ACCEPT_VNET_HDR)) {
        throw netmapError('EIO', `its header length is ${adapter.hdrLen} and NR_ACCEPT_VNET_HDR is not set`, {
          op: 'open',
          port: spec,
        });
      }
      const tx = flags & NR_RX_RINGS_ONLY ? [] : selectRings(adapter, adapter.tx, mode, parsed.ringId, spec);
      const rx = flags & NR_TX_RINGS_ONLY ? [] : selectRings(adapter, adapter.rx, mode, parsed.ringId, spec);
      checkExclusive([...tx, ...rx], (flags & NR_EXCLUSIVE) !== 0, spec);
      if (!options.shareRegion) this.#checkSharing(adapter, guest, spec);
      this.#makeRings(adapter, [...rx, ...tx], undo);
      const nifp = this.#makeIf(adapter, tx, rx);
      undo.push(() => adapter.region.freeIf(nifp));
      for (const kring of [...tx, ...rx]) {
        kring.users++;
        kring.exclusive = (flags & NR_EXCLUSIVE) !== 0;
        if (kring.users === 1) adapter.setMode(kring, true);
      }
      const fd = this.#nextFd++;
      const extraBufs = this.#extraBufs(adapter, nifp, options.extraBufs ?? 0);
      const info = portInfo(fd, adapter, nifp, tx, rx, flags, extraBufs);
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

  async close(fd: number): Promise<void> {
    const open = this.opens.get(fd);
    if (!open) return;
    this.opens.delete(fd);
    const { adapter } = open;
    if (![...this.opens.values()].some((other) => other.adapter === adapter)) this.#guestOf.delete(adapter);
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
    this.#freeExtraBufs(open);
    adapter.region.freeIf(open.nifp);
    adapter.users--;
    await this.registry.release(adapter, freeRings);
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

  #makeIf(adapter: Adapter, tx: readonly Kring[], rx: readonly Kring[]): number {
    const { arena } = this.registry;
    const dirs = [adapter.tx, adapter.rx] as const;
    const entries = adapter.tx.length + adapter.rx.length + 2;
    const nifp = adapter.region.allocIf(NETMAP_IF_SIZE + entries * NETMAP_IF_RING_OFS_SIZE);
    const name = new TextEncoder().encode(adapter.name).subarray(0, NETMAP_IFNAMSIZ - 1);
    arena.u8.set(name, nifp + NETMAP_IF_NAME);
    const set = (field: number, value: number): void => arena.store(nifp + field, value);
    set(NETMAP_IF_FLAGS, adapter.region.isPrivate ? NI_PRIV_MEM : 0);
    set(NETMAP_IF_TX_RINGS, adapter.tx.length);
    set(NETMAP_IF_RX_RINGS, adapter.rx.length);
    set(NETMAP_IF_HOST_TX_RINGS, 1); // reported although these adapters have none, with a directory entry of 0
    set(NETMAP_IF_HOST_RX_RINGS, 1);
    let at = NETMAP_IF_RING_OFS;
    for (const all of dirs) {
      for (const kring of all) {
        const bound = tx.includes(kring) || rx.includes(kring);
        set(at, bound ? kring.ring - nifp : 0);
        at += NETMAP_IF_RING_OFS_SIZE;
      }
      at += NETMAP_IF_RING_OFS_SIZE;
    }
    return nifp;
  }

  /** Extra buffers: a list through the first word of each, the last one allocated in front. Returns how many there were. */
  #extraBufs(adapter: Adapter, nifp: number, wanted: number): number {
    const { arena } = this.registry;
    const { region } = adapter;
    let head = 0;
    let granted = 0;
    for (; granted < wanted; granted++) {
      const index = region.bufs.alloc();
      if (index < 0) break;
      arena.store(region.bufBase + index * region.pools.bufPool.objsize, head);
      head = index;
    }
    arena.store(nifp + NETMAP_IF_BUFS_HEAD, head);
    return granted;
  }

  #freeExtraBufs({ nifp, adapter: { region } }: OpenPort): void {
    const { arena } = this.registry;
    let index = arena.load(nifp + NETMAP_IF_BUFS_HEAD);
    while (region.bufs.isAllocated(index)) {
      const next = arena.load(region.bufBase + index * region.pools.bufPool.objsize);
      region.freeBuf(index);
      index = next;
    }
  }
}

/** Gives the rings of an adapter back. A pipe's pair is freed with the master's side of each. */
function freeRings(adapter: Adapter): void {
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

function selectRings(adapter: Adapter, all: Kring[], mode: number, ringId: number, spec: string): Kring[] {
  if (mode === NR_REG_ALL_NIC || mode === NR_REG_NULL) return all;
  if (mode === NR_REG_ONE_NIC) {
    if (ringId >= adapter.tx.length && ringId >= adapter.rx.length) {
      throw netmapError('EINVAL', `there is no ring ${ringId}`, { op: 'open', port: spec });
    }
    return all.length === 0 ? [] : [all[ringId] ?? all[0]];
  }
  throw netmapError('EINVAL', `mode ${mode} wants host rings, and this port has none`, { op: 'open', port: spec });
}

function checkExclusive(krings: readonly Kring[], wanted: boolean, spec: string): void {
  const held = krings.some((kring) => kring.users !== 0 && (kring.exclusive || wanted));
  if (held)
    throw netmapError('EBUSY', wanted ? 'a ring is in use' : 'a ring is used exclusively', { op: 'open', port: spec });
}

function portInfo(
  fd: number,
  adapter: Adapter,
  nifp: number,
  tx: readonly Kring[],
  rx: readonly Kring[],
  flags: number,
  extraBufs: number,
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
  };
}
