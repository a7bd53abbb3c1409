// A network interface (a netmap NIC adapter): NIC rings and host rings that applications open by its name, and the two
// ends that its owner has: the wire, where a backend takes what was transmitted and puts what is received, and the host
// stack. Each side has a region of its own; assembly/nic/link.ts copies between them. Control thread only.

import {
  KRING_ASKED,
  KRING_ELSE,
  KRING_GATE,
  KRING_KIND,
  KRING_MONITORED,
  KRING_PEER,
  NM_BDG_MAXRINGS,
  NM_BDG_MAXSLOTS,
  NM_BRIDGE_RINGSIZE,
  PORT_FWD,
  PORT_KIND_LINK,
  PORT_KIND_NIC,
  PORT_KIND_POLLED,
  PORT_KIND_VALE,
} from '../abi.js';
import type { ArenaOwner } from '../memory/arena.js';
import { Adapter, type Geometry } from './adapter.js';
import type { Kring } from './kring.js';
import { checkHeaderLength } from './port-header.js';
import { checkCounts, clamp, type PortConfig, type Registry } from './registry.js';

/** How a network interface is made. */
export interface InterfaceOptions {
  /** NIC rings a direction, 1..16. Default 1. */
  readonly txRings?: number;
  readonly rxRings?: number;
  /** Slots of a ring, 1..4096. Default 1024. */
  readonly txSlots?: number;
  readonly rxSlots?: number;
  /** Host rings a direction, 1..16. Default 1. */
  readonly hostTxRings?: number;
  readonly hostRxRings?: number;
  /** Mem id of the region that applications share: 1 lets them move buffers between interfaces. Default: one of its own. */
  readonly memId?: number;
  /**
   * Bytes of virtio-net header in front of the packets of NIC and host rings: 0, 10 or 12. Default 0. Applications then need
   * NR_ACCEPT_VNET_HDR; a guest that has the interface negotiates, and no header is translated for it.
   */
  readonly vnetHdrLen?: number;
  /** The same at the wire, and on a bridge. Default `vnetHdrLen`. Where they differ, packets are translated on their way. */
  readonly wireHdrLen?: number;
  /** Forwards every released frame between NIC and host rings (`dev.netmap.fwd`). Default: the host's option `fwd`. */
  readonly fwd?: boolean;
  /** The ends that its owner has. */
  readonly ends?: EndOptions;
}

/** How the two ends of a network interface are made. */
export interface EndOptions {
  /** Slots of their rings, 1..4096. Default: as many as the rings have at the other side. */
  readonly slots?: number;
  /** Mem id of the region that they use. Default: one of their own. */
  readonly memId?: number;
  /** Frames wait for room in the ring that they go to, in place of being dropped or going elsewhere. Default false. */
  readonly waits?: boolean;
}

export class Nic {
  readonly adapter: Adapter;
  /** The other end of the NIC rings; on a bridge, the port of the NIC. */
  readonly wire: Adapter;
  /** The other end of the host rings; on a bridge, the port of the host stack. */
  readonly stack: Adapter;
  readonly #arena: ArenaOwner;
  /** Kind of the rings of wire and stack that frames are sent by, while they are on no bridge. */
  readonly #sender: number;

  /** @throws NetmapError EINVAL, ENOMEM, and then nothing is left */
  constructor(registry: Registry, name: string, options: InterfaceOptions) {
    const { hostTxRings = 1, hostRxRings = 1, memId = 0, fwd = registry.fwd, ends = {} } = options;
    const { vnetHdrLen = 0, wireHdrLen = vnetHdrLen } = options;
    checkHeaderLength(vnetHdrLen, { op: 'addInterface', port: name });
    checkHeaderLength(wireHdrLen, { op: 'addInterface', port: name });
    checkCounts({ ...options, txRings: hostTxRings, rxRings: hostRxRings } as PortConfig, name);
    checkCounts(options as PortConfig, name);
    checkCounts({ txSlots: ends.slots ?? 0, rxSlots: ends.slots ?? 0 }, name);
    registry.checkMemId(memId, name);
    registry.checkMemId(ends.memId ?? 0, name);
    const { arena } = registry;
    this.#arena = arena;
    this.#sender = ends.waits ? PORT_KIND_NIC : PORT_KIND_LINK;
    const geometry: Required<Geometry> = {
      txRings: clamp(options.txRings, 1, NM_BDG_MAXRINGS),
      rxRings: clamp(options.rxRings, 1, NM_BDG_MAXRINGS),
      txSlots: clamp(options.txSlots, NM_BRIDGE_RINGSIZE, NM_BDG_MAXSLOTS),
      rxSlots: clamp(options.rxSlots, NM_BRIDGE_RINGSIZE, NM_BDG_MAXSLOTS),
      hostTxRings: clamp(hostTxRings, 1, NM_BDG_MAXRINGS),
      hostRxRings: clamp(hostRxRings, 1, NM_BDG_MAXRINGS),
    };
    const { txRings, rxRings, txSlots, rxSlots } = geometry;
    // What the application transmits is received at the other end, and the reverse.
    const [endTxSlots, endRxSlots] = [rxSlots, txSlots].map((slots) => clamp(ends.slots, slots, NM_BDG_MAXSLOTS));
    const wire: Geometry = { txRings: rxRings, rxRings: txRings, txSlots: endTxSlots, rxSlots: endRxSlots };
    const stack: Geometry = { ...wire, txRings: geometry.hostRxRings, rxRings: geometry.hostTxRings };
    const needs = { ...geometry, extraBufs: 0 };
    const openings = 2 * Math.max(txRings, rxRings); // a backend may have a thread for each direction of each ring
    const made: Adapter[] = [];
    const make = (title: string, kind: number, of: Geometry, share?: Adapter): Adapter => {
      const { hostTxRings: t = 0, hostRxRings: r = 0 } = of;
      const all = { ...needs, ...of, txRings: of.txRings + t, rxRings: of.rxRings + r };
      const both = { ...wire, txRings: wire.txRings + stack.txRings, rxRings: wire.rxRings + stack.rxRings };
      const region =
        share?.region ??
        (kind === PORT_KIND_NIC
          ? registry.regionFor(memId, { ...all, pipes: 2 })
          : registry.regionFor(ends.memId ?? 0, { ...both, extraBufs: 0, pipes: 0, openings }));
      try {
        made.push(new Adapter(arena, title, kind, region, of));
      } catch (error) {
        if (!share) registry.releaseUnused(region);
        throw error;
      }
      return made[made.length - 1];
    };
    try {
      this.adapter = make(name, PORT_KIND_NIC, geometry);
      this.wire = make(`${name} (wire)`, PORT_KIND_LINK, wire);
      this.stack = make(`${name} (stack)`, PORT_KIND_LINK, stack, this.wire);
    } catch (error) {
      for (const adapter of made.reverse()) registry.discard(adapter);
      throw error;
    }
    this.#connect();
    if (ends.waits) this.#wait();
    this.adapter.nicHdrLen = vnetHdrLen;
    this.adapter.hdrLen = vnetHdrLen;
    this.wire.hdrLen = wireHdrLen;
    for (const port of [this.adapter.ptr, this.adapter.hostPtr]) arena.store(port + PORT_FWD, fwd ? 1 : 0);
    registry.add(this.adapter, name);
    registry.add(this.wire);
    registry.add(this.stack);
    this.adapter.users++; // the interface itself
  }

  #connect(): void {
    const { adapter, wire, stack } = this;
    for (const [i, kring] of adapter.tx.entries()) {
      this.#set(kring, KRING_PEER, wire.rx[i].ptr);
      this.#set(wire.rx[i], KRING_PEER, kring.ptr);
    }
    for (const [i, kring] of adapter.rx.entries()) {
      this.#set(kring, KRING_ELSE, stack.rx[i % stack.rx.length].ptr);
      this.#set(wire.tx[i], KRING_PEER, kring.ptr);
      this.#set(wire.tx[i], KRING_GATE, kring.ptr);
      this.#set(wire.tx[i], KRING_ELSE, stack.rx[i % stack.rx.length].ptr);
    }
    for (const [i, kring] of adapter.hostTx.entries()) this.#set(kring, KRING_PEER, stack.rx[i].ptr);
    for (const [i, kring] of adapter.hostRx.entries()) {
      this.#set(stack.tx[i], KRING_PEER, kring.ptr);
      this.#set(stack.tx[i], KRING_GATE, adapter.tx[i % adapter.tx.length].ptr);
    }
    this.attach(false, false);
  }

  /** Senders wait, as those of NIC rings do. What takes slots out of a ring tells the one that waits for them. */
  #wait(): void {
    const { adapter, wire, stack } = this;
    for (const kring of adapter.hostTx) this.#set(kring, KRING_KIND, this.#sender);
    for (const [i, kring] of adapter.rx.entries()) this.#set(kring, KRING_PEER, wire.tx[i].ptr);
    for (const [i, kring] of adapter.hostRx.entries()) this.#set(kring, KRING_PEER, stack.tx[i].ptr);
    for (const [i, kring] of adapter.hostTx.entries()) this.#set(stack.rx[i], KRING_PEER, kring.ptr);
  }

  /** What is sent into the wire and the host stack goes through their bridge, or not. Nobody may be sending. */
  attach(wire: boolean, stack: boolean): void {
    for (const kring of this.wire.tx) this.#setKind(kring, wire ? PORT_KIND_VALE : this.#sender);
    for (const [i, kring] of this.stack.tx.entries()) {
      this.#setKind(kring, stack ? PORT_KIND_VALE : this.#sender);
      // The bridge has the NIC: a host stack that is not on it talks to nobody.
      this.#set(kring, KRING_ELSE, wire ? 0 : this.wire.rx[i % this.wire.rx.length].ptr);
    }
  }

  /** What is sent into these rings of the wire, which is on a bridge, waits for a poller, or not. Nobody may be sending. */
  poll(krings: readonly Kring[], on: boolean): void {
    for (const kring of krings) {
      if (on) this.#set(kring, KRING_ASKED, 0); // left the last time: its owner has synced since
      this.#setKind(kring, on ? PORT_KIND_POLLED : PORT_KIND_VALE);
      if (!on) this.#arena.wasm.pollTake(kring.ptr);
    }
  }

  /** Monitors go on watching the ring. */
  #setKind(kring: Kring, kind: number): void {
    const monitored = this.#arena.load(kring.ptr + KRING_KIND) & KRING_MONITORED;
    this.#set(kring, KRING_KIND, kind | monitored);
  }

  #set({ ptr }: Kring, field: number, value: number): void {
    this.#arena.store(ptr + field, value);
  }
}
