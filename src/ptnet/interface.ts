// PtnetInterface: a ptnet device as an ordinary network interface (the driver's second life, if_ptnet.c): frames of a
// stack are copied in and out, and the virtio-net header carries the offload metadata.

import { EAGAIN, EINVAL, EMSGSIZE, ENETDOWN, ENOBUFS } from '../../assembly/abi/errno.js';
import { VIRTIO_NET_HDR_MRG_LEN } from '../../assembly/abi/virtio-net.js';
import { netmapError } from '../errors.js';
import type { PtnetDriver } from './driver.js';
import {
  checkMetadata,
  type PacketMetadata,
  type RxFrame,
  type TxFrame,
  toFrame,
  toPacket,
} from './interface-header.js';
import { MAX_PACKET, newCounters, type QueueCounters, RxQueue, TxQueue } from './interface-queue.js';

/** Counters in the terms of struct if_data. */
export interface InterfaceCounters {
  readonly ipackets: number;
  readonly ibytes: number;
  readonly imcasts: number;
  readonly iqdrops: number;
  readonly ierrors: number;
  readonly opackets: number;
  readonly obytes: number;
  readonly omcasts: number;
  readonly oqdrops: number;
  readonly oerrors: number;
  /** Times that a transmit queue found no room and waited for the host. */
  readonly stalls: number;
}

/** Limits of the MTU, in bytes (the driver's). */
const MTU_MIN = 46;
const MTU_MAX = 65536;
const ETHER_MIN = 14;
/** The longest virtio-net header; over a pipe it may be there although the port knows nothing of it. */
const HEADER_MAX = VIRTIO_NET_HDR_MRG_LEN;

/** A guest's ptnet device as a network interface (if_ptnet.c without netmap mode). */
export class PtnetInterface {
  readonly driver: PtnetDriver;
  readonly #past = { rx: newCounters(), tx: newCounters() };
  #mtu = 1500;
  #tx: TxQueue[] = [];
  #rx: RxQueue[] = [];
  #stop: AbortController | undefined;
  #unlisten: () => void = () => {};
  #handler: (frames: RxFrame[]) => void = () => {};
  #packetHandler: ((packets: Uint8Array[]) => void) | undefined;
  #roomHandler: () => void = () => {};
  #held = false;

  constructor(driver: PtnetDriver) {
    this.driver = driver;
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

  /** Whether frames pass: up, and no netmap application has the rings. The link itself is always there. */
  get isRunning(): boolean {
    return this.isUp && !this.driver.netmapMode && !this.driver.machine.gone;
  }

  /** Who takes received frames. They are valid until the handler returns. */
  onReceive(handler: (frames: RxFrame[]) => void): void {
    this.#handler = handler;
  }

  /**
   * Who takes received packets unparsed, instead of the handler of frames: bytes from the virtio-net header on (without
   * one, from the Ethernet header on), valid until the handler returns. Undefined takes that back.
   */
  onPackets(handler: ((packets: Uint8Array[]) => void) | undefined): void {
    this.#packetHandler = handler;
  }

  /** Whom to tell that there is room again for packets that `offer` has refused with -EAGAIN. */
  onRoom(handler: () => void): void {
    this.#roomHandler = handler;
  }

  /** Leaves received frames in the ring (true), or takes them again: back-pressure of a stack. */
  holdReceive(held: boolean): void {
    this.#held = held;
    if (!held) this.#resume();
  }

  /** Brings the interface up; an interface that is up keeps the process alive. @throws NetmapError as PtnetDriver.open */
  up(): void {
    if (this.isUp) return;
    const { tx, rx } = this.driver.acquire();
    this.#tx = tx.map((kring) => new TxQueue(this.driver, kring));
    this.#rx = rx.map((kring) => new RxQueue(this.driver, kring));
    this.#stop = new AbortController();
    this.#unlisten = this.driver.onModeChange(() => {
      this.#resume();
    });
    void this.#serve(this.#stop.signal);
    this.#roomHandler();
  }

  /** Takes the interface down. Frames that wait for room are dropped and counted; what the host has got, it sends. */
  down(): void {
    if (!this.#stop) return;
    this.flush();
    this.#stop.abort();
    this.#stop = undefined;
    this.#unlisten();
    for (const queue of this.#tx) addCounters(this.#past.tx, queue.counters);
    for (const queue of this.#rx) addCounters(this.#past.rx, queue.counters);
    this.#tx = [];
    this.#rx = [];
    this.driver.release();
    this.#roomHandler(); // what waits is refused with -ENETDOWN
  }

  /**
   * Sends a frame: bytes from the Ethernet header on, without the FCS. They are copied at once if there is room, else
   * when there is, and must not change until then.
   * @param metadata what the host or the receiver shall do; needs a virtio-net header (driver option `vnetHdr`)
   * @param flow picks the queue; frames of one flow keep their order
   * @returns 0, -ENETDOWN, -ENOBUFS when the queue is full, or -EMSGSIZE for a frame that the ring cannot hold
   * @throws NetmapError EINVAL (frame or metadata), EOPNOTSUPP (metadata without a header)
   */
  transmit(data: Uint8Array, metadata?: PacketMetadata, flow = 0): number {
    this.#check(data, metadata);
    if (!this.isRunning) return -ENETDOWN;
    const queue = this.#tx[flow % this.#tx.length];
    if (!queue.holds(data.length + this.driver.vnetHdrLen)) return -EMSGSIZE;
    if (!queue.enqueue({ data, metadata })) return -ENOBUFS;
    queue.drain();
    return 0;
  }

  /** The same for many frames, which the host is told of together. @returns how many were taken */
  transmitBatch(frames: readonly TxFrame[], flow = 0): number {
    for (const { data, metadata } of frames) this.#check(data, metadata);
    if (!this.isRunning) return 0;
    const queue = this.#tx[flow % this.#tx.length];
    let taken = 0;
    for (const frame of frames) {
      if (!queue.holds(frame.data.length + this.driver.vnetHdrLen) || !queue.enqueue(frame)) break;
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
    if (packet.length < this.driver.vnetHdrLen + ETHER_MIN || packet.length > MAX_PACKET + HEADER_MAX) return -EINVAL;
    const queue = this.#tx[flow % this.#tx.length];
    if (!queue.holds(packet.length)) return -EMSGSIZE;
    return queue.offer(packet) ? 0 : -EAGAIN;
  }

  /** Tells the host of offered packets. */
  push(): void {
    if (this.isRunning) for (const queue of this.#tx) queue.push();
  }

  /** Whether a packet that `offer` has refused with -EAGAIN would be refused again. */
  get awaitsRoom(): boolean {
    return this.isUp && this.#tx.some((queue) => queue.stalled);
  }

  /** Drops all frames that wait for room (if_qflush). */
  flush(): void {
    for (const queue of this.#tx) queue.flush();
  }

  counters(): InterfaceCounters {
    const rx = { ...this.#past.rx };
    const tx = { ...this.#past.tx };
    for (const queue of this.#rx) addCounters(rx, queue.counters);
    for (const queue of this.#tx) addCounters(tx, queue.counters);
    return {
      ipackets: rx.packets,
      ibytes: rx.bytes,
      imcasts: rx.multicasts,
      iqdrops: rx.drops,
      ierrors: rx.errors,
      opackets: tx.packets,
      obytes: tx.bytes,
      omcasts: tx.multicasts,
      oqdrops: tx.drops,
      oerrors: tx.errors,
      stalls: tx.stalls,
    };
  }

  #check(data: Uint8Array, metadata?: PacketMetadata): void {
    if (data.length < ETHER_MIN || data.length > MAX_PACKET) {
      throw netmapError('EINVAL', `a frame of ${data.length} bytes`, { op: 'transmit', port: this.name });
    }
    if (!metadata) return;
    checkMetadata(metadata, data.length);
    if (this.driver.vnetHdrLen === 0 && ((metadata.flags ?? 0) | (metadata.gsoType ?? 0)) !== 0) {
      throw netmapError('EOPNOTSUPP', 'offloads need a virtio-net header', { op: 'transmit', port: this.name });
    }
  }

  /** One activation of each queue. True when some queue has used up its budget. */
  #work(): boolean {
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

  /** Works on what has come meanwhile, and goes on with it as a timer's business. */
  #resume(): void {
    if (this.isRunning && this.#work()) setTimeout(() => this.#resume(), 0);
  }

  /** The packets or frames of one activation of a queue, to whoever takes them. */
  #receive(queue: RxQueue): boolean {
    const active = (): boolean => this.isRunning && !this.#held;
    const packetHandler = this.#packetHandler;
    if (packetHandler) return queue.receive(toPacket, packetHandler, active);
    return queue.receive(toFrame, this.#handler, active);
  }

  /** Works when the host interrupts; between activations the thread's other events have their turn. */
  async #serve(signal: AbortSignal): Promise<void> {
    const { machine } = this.driver;
    const { waiting } = machine;
    while (!signal.aborted && !machine.gone) {
      const seen = waiting.seq();
      waiting.service();
      const more = this.isRunning && this.#work();
      try {
        await waiting.sleepAsync(seen, more ? 0 : Infinity, signal);
      } catch {
        return; // taken down
      }
    }
  }
}

function addCounters(sum: QueueCounters, part: QueueCounters): void {
  sum.packets += part.packets;
  sum.bytes += part.bytes;
  sum.multicasts += part.multicasts;
  sum.errors += part.errors;
  sum.drops += part.drops;
  sum.stalls += part.stalls;
}
