// PtnetInterface: a ptnet device as an ordinary network interface (the driver's second life, if_ptnet.c): frames of a
// stack are copied in and out, and the virtio-net header carries the offload metadata.

import { EAGAIN, EINVAL, EMSGSIZE, ENETDOWN, ENOBUFS } from '../../assembly/abi/errno.js';
import { ETHER_HDR_LEN, VLAN_TAG_LEN } from '../../assembly/abi/ether.js';
import { VIRTIO_NET_HDR_MRG_LEN } from '../../assembly/abi/virtio-net.js';
import { netmapError } from '../errors.js';
import type { PtnetDriver } from './driver.js';
import { Capabilities, type Capability, type CapabilityListener } from './interface-capabilities.js';
import { type InterfaceCounters, Tally } from './interface-counters.js';
import {
  checkMetadata,
  MAX_PACKET,
  type PacketMetadata,
  type RxFrame,
  type TxFrame,
  toFrame,
  toPacket,
  toUntaggedFrame,
} from './interface-header.js';
import { ReceiveBatch } from './interface-receive.js';
import { RxQueue } from './interface-rx.js';
import { InterfaceService, shielded } from './interface-service.js';
import { TxQueue } from './interface-tx.js';

export interface PtnetInterfaceOptions {
  /**
   * For a port that has no virtio-net headers, as a pipe: packets begin with one of 12 bytes all the same, as the
   * interface at the other end must have agreed to. A switch would take it for the Ethernet header. Ignored where the
   * port has headers. Default false.
   */
  readonly carryHeader?: boolean;
  /** Whether segmentation offload begins switched on. Default: the guest's tunable `ptnet_gso`. */
  readonly gso?: boolean;
}

/** Limits of the MTU, in bytes (the driver's). */
const MTU_MIN = 46;
const MTU_MAX = 65536;

/** Drivers whose rings an interface serves: two would take each other's packets. */
const served = new WeakSet<PtnetDriver>();

/** A guest's ptnet device as a network interface (if_ptnet.c without netmap mode). */
export class PtnetInterface {
  readonly driver: PtnetDriver;
  readonly #tally = new Tally();
  readonly #carriesHeader: boolean;
  readonly #capabilities: Capabilities;
  #headerLength: number;
  readonly #service: InterfaceService;
  #mtu = 1500;
  #tx: TxQueue[] = [];
  #rx: RxQueue[] = [];
  #stop: AbortController | undefined;
  #unlisten: () => void = () => {};
  #handler: (frames: RxFrame[]) => void = () => {};
  #packetHandler: ((packets: Uint8Array[]) => void) | undefined;
  #roomHandler: () => void = () => {};
  #held = false;

  constructor(driver: PtnetDriver, options: PtnetInterfaceOptions = {}) {
    this.driver = driver;
    this.#carriesHeader = options.carryHeader === true && !driver.offersHeader;
    this.#headerLength = driver.offersHeader || this.#carriesHeader ? VIRTIO_NET_HDR_MRG_LEN : 0;
    const gso = options.gso ?? driver.machine.tunables?.['ptnet_gso'] !== 0;
    this.#capabilities = new Capabilities(driver.name, this.#headerLength !== 0, gso);
    this.#service = new InterfaceService(
      driver.machine,
      () => driver.machine.gone || driver.linkDown,
      () => this.isRunning,
      () => this.#activate(),
    );
  }

  /** ptnet0, ptnet1, … */
  get name(): string {
    return this.driver.name;
  }

  /** Six bytes. */
  get mac(): Uint8Array {
    return this.driver.mac;
  }

  get mtu(): number {
    return this.#mtu;
  }
  /** @throws NetmapError EINVAL outside 46..65536 */
  set mtu(mtu: number) {
    if (!Number.isInteger(mtu) || mtu < MTU_MIN || mtu > MTU_MAX) {
      throw netmapError('EINVAL', `mtu ${mtu} is not within ${MTU_MIN}..${MTU_MAX}`, { op: 'mtu', port: this.name });
    }
    this.#mtu = mtu;
  }

  get isUp(): boolean {
    return this.#stop !== undefined;
  }

  /** Whether the device and its driver are there, and the port behind it: otherwise the link is always up. */
  get linkUp(): boolean {
    return this.driver.isAttached && !this.driver.machine.gone && !this.driver.linkDown;
  }

  /** Bytes of virtio-net header in front of every packet: 0, 10 or 12. Settled at `up`; before, what is expected. */
  get headerLength(): number {
    return this.#headerLength;
  }

  /** What this interface could do. */
  get capabilities(): ReadonlySet<Capability> {
    return this.#capabilities.available;
  }

  /** What of it is switched on; at first all. */
  get enabledCapabilities(): ReadonlySet<Capability> {
    return this.#capabilities.enabled;
  }

  /**
   * Switches capabilities on and off, at any time. What depends on one that goes off goes off with it: `tso4` needs
   * `txcsum`, `tso6` `txcsum6`, `lro` `rxcsum` or `rxcsum6`, `vlanhwcsum` and `vlanhwtso` one of what they extend to tags.
   * Packets that are under way are not changed.
   * @throws NetmapError EINVAL (no such capability, one that is always on, or its condition is off), EOPNOTSUPP (needs a
   * header, which the port does not have), and what a joined stack's device answers; then nothing has changed
   */
  setCapabilities(changes: Partial<Record<Capability, boolean>>): void {
    this.#capabilities.set(changes);
  }

  /** Calls back when capabilities have been switched; the returned function takes that back. */
  onCapabilities(listener: CapabilityListener): () => void {
    return this.#capabilities.listen(listener);
  }

  /** Whether frames pass: up, and no netmap application has the rings. */
  get isRunning(): boolean {
    return this.isUp && !this.driver.netmapMode && this.linkUp;
  }

  /**
   * Who takes received frames. They are valid until the handler returns. What a handler of an interface throws is reported
   * as an uncaught exception, and the interface goes on.
   */
  onReceive(handler: (frames: RxFrame[]) => void): void {
    this.#handler = shielded(handler);
  }

  /**
   * Who takes received packets unparsed, instead of the handler of frames: bytes from the virtio-net header on (without
   * one, from the Ethernet header on), valid until the handler returns. Undefined takes that back.
   */
  onPackets(handler: ((packets: Uint8Array[]) => void) | undefined): void {
    this.#packetHandler = handler && shielded(handler);
  }

  /** Whom to tell that there is room again for packets that `offer` has refused with -EAGAIN. */
  onRoom(handler: () => void): void {
    this.#roomHandler = shielded(handler);
  }

  /** Leaves received frames in the ring (true), or takes them again: back-pressure of a stack. */
  holdReceive(held: boolean): void {
    this.#held = held;
    if (!held) this.#service.resume();
  }

  /**
   * Brings the interface up; an interface that is up keeps the process alive.
   * @throws NetmapError EBUSY when a netmap application has the port without the header that the interface needs, or
   * another interface of the driver is up; else as PtnetDriver.open
   */
  up(): void {
    if (this.isUp) return;
    const { driver } = this;
    if (served.has(driver)) throw netmapError('EBUSY', 'another interface has it', { op: 'up', port: this.name });
    const { tx, rx } = driver.acquire(true);
    if (driver.offersHeader && driver.vnetHdrLen === 0) {
      driver.release();
      throw netmapError('EBUSY', 'a netmap application has it without headers', { op: 'up', port: this.name });
    }
    if (!this.#carriesHeader) this.#headerLength = driver.vnetHdrLen;
    const batch = new ReceiveBatch(this.#headerLength);
    this.#tx = tx.map((kring) => new TxQueue(driver, kring, this.#headerLength));
    this.#rx = rx.map((kring) => new RxQueue(driver, kring, batch));
    served.add(driver);
    this.#stop = new AbortController();
    this.#unlisten = this.driver.onModeChange(() => {
      this.#service.resume();
      if (!this.linkUp) this.#roomHandler(); // what waits is refused with -ENETDOWN
    });
    void this.#service.serve(this.#stop.signal).then((gone) => {
      if (gone) this.#roomHandler(); // what waits is refused with -ENETDOWN
    });
    this.#roomHandler();
  }

  /** Takes the interface down. Frames that wait for room are dropped and counted; what the host has got, it sends. */
  down(): void {
    if (!this.#stop) return;
    this.flush();
    this.#stop.abort();
    this.#stop = undefined;
    served.delete(this.driver);
    this.#unlisten();
    this.#tally.add(this.#tx, this.#rx);
    this.#tx = [];
    this.#rx = [];
    this.driver.release();
    this.#roomHandler(); // what waits is refused with -ENETDOWN
  }

  /**
   * Sends a frame: bytes from the Ethernet header on, without the FCS. They are copied at once if there is room, else
   * when there is, and must not change until then.
   * @param metadata what the host or the receiver shall do, as far as the capabilities are switched on
   * @param flow an integer, picks the queue; frames of one flow keep their order
   * @returns 0, -ENETDOWN, -ENOBUFS when the queue is full, or -EMSGSIZE for a frame that the ring cannot hold
   * @throws NetmapError EINVAL (frame or metadata), EOPNOTSUPP (a capability that is off, or that needs a header)
   */
  transmit(data: Uint8Array, metadata?: PacketMetadata, flow = 0): number {
    this.#check(data, metadata);
    if (!this.isRunning) return -ENETDOWN;
    const queue = this.#queueOf(flow);
    if (!queue.holds(this.#packetLength(data, metadata))) return -EMSGSIZE;
    if (!queue.enqueue({ data, metadata })) return -ENOBUFS;
    queue.drain();
    return 0;
  }

  /**
   * The same for many frames, which the host is told of together.
   * @returns how many were taken: fewer when the queue is full, or at a frame that `transmit` would refuse with -EMSGSIZE
   * @throws NetmapError as `transmit`, and then none was taken
   */
  transmitBatch(frames: readonly TxFrame[], flow = 0): number {
    for (const { data, metadata } of frames) this.#check(data, metadata);
    if (!this.isRunning) return 0;
    const queue = this.#queueOf(flow);
    let taken = 0;
    for (const frame of frames) {
      if (!queue.holds(this.#packetLength(frame.data, frame.metadata)) || !queue.enqueue(frame)) break;
      taken++;
    }
    while (queue.drain());
    return taken;
  }

  /**
   * Copies a packet into the ring: bytes from the virtio-net header on (without one, from the Ethernet header on), which
   * pass unchecked. Unlike `transmit` it keeps nothing that finds no room. The host is told at `push`.
   * @param flow as in `transmit`
   * @returns 0, -EAGAIN when there is no room (see `onRoom`), -ENETDOWN, -EINVAL (length), -EMSGSIZE as transmit. Never throws.
   */
  offer(packet: Uint8Array, flow = 0): number {
    if (!this.isRunning) return -ENETDOWN;
    const { length } = packet;
    if (length < this.#headerLength + ETHER_HDR_LEN || length > this.#headerLength + MAX_PACKET) return -EINVAL;
    const queue = this.#queueOf(flow);
    if (!queue.holds(packet.length)) return -EMSGSIZE;
    return queue.offer(packet) ? 0 : -EAGAIN;
  }

  /** Tells the host of offered packets. */
  push(): void {
    if (this.isRunning) for (const queue of this.#tx) queue.push();
  }

  /** Whether a packet that `offer` has refused with -EAGAIN would be refused again. */
  get awaitsRoom(): boolean {
    return this.isRunning && this.#tx.some((queue) => queue.stalled);
  }

  /** Drops all frames that wait for room (if_qflush). */
  flush(): void {
    for (const queue of this.#tx) queue.flush();
  }

  counters(): InterfaceCounters {
    return this.#tally.with(this.#tx, this.#rx);
  }

  #queueOf(flow: number): TxQueue {
    return this.#tx[(flow >>> 0) % this.#tx.length];
  }

  /** Bytes in the ring: header, frame, and a tag that is in the metadata. */
  #packetLength(data: Uint8Array, metadata?: PacketMetadata): number {
    return this.#headerLength + data.length + (metadata?.vlan === undefined ? 0 : VLAN_TAG_LEN);
  }

  #check(data: Uint8Array, metadata?: PacketMetadata): void {
    const tag = metadata?.vlan === undefined ? 0 : VLAN_TAG_LEN;
    if (data.length < ETHER_HDR_LEN || data.length + tag > MAX_PACKET) {
      throw netmapError('EINVAL', `a frame of ${data.length} bytes`, { op: 'transmit', port: this.name });
    }
    if (!metadata) return;
    checkMetadata(metadata, data.length);
    this.#capabilities.checkTransmit(data, metadata);
  }

  /** One activation of each queue. True when some queue has used up its budget. */
  #activate(): boolean {
    let more = false;
    for (const queue of this.#tx) if (queue.length !== 0 && queue.drain()) more = true;
    for (const queue of this.#tx) if (queue.recovered()) this.#roomHandler();
    for (const queue of this.#rx) {
      if (this.#held) break;
      if (this.#receive(queue)) more = true;
      if (!this.isRunning) return false;
    }
    return more;
  }

  /** The packets or frames of one activation of a queue, to whoever takes them. */
  #receive(queue: RxQueue): boolean {
    const active = (): boolean => this.isRunning && !this.#held && this.#rx.includes(queue);
    const caps = this.#capabilities.receive;
    const packetHandler = this.#packetHandler;
    if (packetHandler) return queue.receive(caps, toPacket, packetHandler, active);
    const make = this.#capabilities.has('vlanhwtag') ? toUntaggedFrame : toFrame;
    return queue.receive(caps, make, this.#handler, active);
  }
}
