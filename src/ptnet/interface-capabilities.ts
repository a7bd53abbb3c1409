// What a network interface can do for its stack, and what of it is switched on: ifconfig(8)'s capabilities.

import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../assembly/abi/ether.js';
import { RX_CSUM, RX_CSUM6, RX_LRO } from '../../assembly/abi/offload.js';
import {
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_ECN,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_TCPV6,
} from '../../assembly/abi/virtio-net.js';
import { netmapError } from '../errors.js';
import { etherTypeOf } from './interface-frame.js';
import type { PacketMetadata } from './interface-header.js';

/**
 * Capabilities by ifconfig(8)'s names.
 *
 * - `rxcsum`, `rxcsum6`: received frames of IPv4, or IPv6, may say that their checksum is right, or still to be completed.
 *   Without, every frame comes with a complete checksum, and says nothing.
 * - `txcsum`, `txcsum6`: transmitted frames may leave the checksum to the host.
 * - `tso4`, `tso6`: transmitted TCP packets may be longer than the MTU; the host or the receiver cuts them.
 * - `lro`: received TCP packets may be longer than the MTU: the sender's, or merged here. Without, they are cut.
 * - `vlanmtu`, `jumbomtu`: frames with a VLAN tag, and MTUs above 1500. Always on.
 * - `vlanhwtag`: VLAN tags travel in the metadata. (In software, as in the driver.)
 * - `vlanhwcsum`, `vlanhwtso`: `txcsum*` and `tso*` for frames with a tag.
 */
export type Capability =
  | 'rxcsum'
  | 'rxcsum6'
  | 'txcsum'
  | 'txcsum6'
  | 'tso4'
  | 'tso6'
  | 'lro'
  | 'vlanmtu'
  | 'jumbomtu'
  | 'vlanhwtag'
  | 'vlanhwcsum'
  | 'vlanhwtso';

/** Capabilities that any ptnet interface has, and that are not to be switched. */
const FIXED: readonly Capability[] = ['vlanmtu', 'jumbomtu'];
/** Capabilities that need a virtio-net header. */
const OFFLOADS: readonly Capability[] = [
  'rxcsum',
  'rxcsum6',
  'txcsum',
  'txcsum6',
  'tso4',
  'tso6',
  'lro',
  'vlanhwtag',
  'vlanhwcsum',
  'vlanhwtso',
];
/** One of these must be on. DIFF: the driver knows of no dependencies. */
const NEEDS: Partial<Record<Capability, readonly Capability[]>> = {
  tso4: ['txcsum'],
  tso6: ['txcsum6'],
  lro: ['rxcsum', 'rxcsum6'],
  vlanhwcsum: ['txcsum', 'txcsum6'],
  vlanhwtso: ['tso4', 'tso6'],
};

/** Is told of what is switched on. What it throws takes the change back. */
export type CapabilityListener = (enabled: ReadonlySet<Capability>) => void;

/** A set of capabilities with its rules. */
export class Capabilities {
  readonly available: ReadonlySet<Capability>;
  #enabled: ReadonlySet<Capability>;
  readonly #name: string;
  readonly #listeners = new Set<CapabilityListener>();

  /**
   * All that there are, switched on as the drivers do.
   * @param hasHeader whether packets have a virtio-net header
   * @param gso whether segmentation begins switched on (Linux' module parameter `ptnet_gso`)
   */
  constructor(name: string, hasHeader: boolean, gso: boolean) {
    this.#name = name;
    this.available = new Set([...FIXED, ...(hasHeader ? OFFLOADS : [])]);
    const off = gso ? [] : ['tso4', 'tso6', 'vlanhwtso'];
    this.#enabled = new Set([...this.available].filter((capability) => !off.includes(capability)));
  }

  get enabled(): ReadonlySet<Capability> {
    return this.#enabled;
  }

  has(capability: Capability): boolean {
    return this.#enabled.has(capability);
  }

  /**
   * Switches capabilities, and tells the listeners. What depends on one that is switched off goes off with it, unless it is
   * asked for by name.
   * @throws NetmapError EINVAL (no such capability, fixed, or its condition is off), EOPNOTSUPP (needs a header), and what a
   * listener throws; then nothing has changed
   */
  set(changes: Partial<Record<Capability, boolean>>): void {
    const wanted = new Set(this.#enabled);
    for (const [name, on] of Object.entries(changes) as [Capability, boolean][]) {
      this.#check(name, on);
      if (on) wanted.add(name);
      else wanted.delete(name);
    }
    for (const [name, needs = []] of Object.entries(NEEDS) as [Capability, readonly Capability[]][]) {
      if (!wanted.has(name) || needs.some((need) => wanted.has(need))) continue;
      if (changes[name]) throw this.#error('EINVAL', `${name} needs ${needs.join(' or ')}`);
      wanted.delete(name);
    }
    const before = this.#enabled;
    const told: CapabilityListener[] = [];
    this.#enabled = wanted;
    try {
      for (const listener of this.#listeners) {
        told.push(listener);
        listener(wanted);
      }
    } catch (error) {
      this.#enabled = before;
      for (const listener of told.slice(0, -1)) listener(before);
      throw error;
    }
  }

  /** Calls back when capabilities have been switched; the returned function takes that back. */
  listen(listener: CapabilityListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #check(name: Capability, on: boolean): void {
    if (FIXED.includes(name)) {
      if (!on) throw this.#error('EINVAL', `${name} cannot be switched off`);
    } else if (!OFFLOADS.includes(name)) {
      throw this.#error('EINVAL', `there is no capability '${name}'`);
    } else if (on && !this.available.has(name)) {
      throw this.#error('EOPNOTSUPP', `${name} needs a virtio-net header, which the port does not have`);
    }
  }

  /** RX_* for the receiving half (assembly/packet/receive.ts). */
  get receive(): number {
    return (this.has('rxcsum') ? RX_CSUM : 0) | (this.has('rxcsum6') ? RX_CSUM6 : 0) | (this.has('lro') ? RX_LRO : 0);
  }

  /**
   * Whether a frame may ask for what its metadata says.
   * @throws NetmapError EOPNOTSUPP, or EINVAL for segmentation of another IP version than the frame's
   */
  checkTransmit(frame: Uint8Array, metadata: PacketMetadata): void {
    const { flags = 0, gsoType = 0, vlan } = metadata;
    if (vlan !== undefined) this.#need('vlanhwtag');
    const needsCsum = (flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) !== 0;
    const gso = gsoType & ~VIRTIO_NET_HDR_GSO_ECN;
    if (!needsCsum && gso === VIRTIO_NET_HDR_GSO_NONE) {
      if (flags !== 0 && !this.available.has('txcsum')) this.#need('txcsum'); // there is no header to say it in
      return;
    }
    const { type, tags } = etherTypeOf(frame);
    if (type === ETHERTYPE_IPV4) this.#need('txcsum');
    else if (type === ETHERTYPE_IPV6) this.#need('txcsum6');
    else if (!this.has('txcsum') && !this.has('txcsum6')) this.#need('txcsum');
    if (gso === VIRTIO_NET_HDR_GSO_TCPV4) this.#needSegmentation('tso4', type === ETHERTYPE_IPV4);
    if (gso === VIRTIO_NET_HDR_GSO_TCPV6) this.#needSegmentation('tso6', type === ETHERTYPE_IPV6);
    if (tags === 0 && vlan === undefined) return;
    this.#need('vlanhwcsum');
    if (gso !== VIRTIO_NET_HDR_GSO_NONE) this.#need('vlanhwtso');
  }

  #needSegmentation(capability: Capability, fits: boolean): void {
    if (!fits) throw this.#error('EINVAL', `${capability} of a frame of another type`);
    this.#need(capability);
  }

  #need(capability: Capability): void {
    if (this.has(capability)) return;
    const why = this.available.has(capability) ? 'is off' : 'needs a virtio-net header, which the port does not have';
    throw this.#error('EOPNOTSUPP', `${capability} ${why}`);
  }

  #error(code: 'EINVAL' | 'EOPNOTSUPP', message: string): Error {
    return netmapError(code, message, { op: 'capabilities', port: this.#name });
  }
}
