// The ptnet device: the host's side of a passed-through port, driven by register accesses and interrupts only.
// Everything that the guest writes is hostile: addresses go through the embedder's translator, indices are checked by
// the kernel loop, and no value makes this code throw.

import {
  CSB_ENTRY_SIZE,
  EINVAL,
  ENXIO,
  KLOOP_IRQ_PENDING,
  PTNET_IO_CSB_GH_BAH,
  PTNET_IO_CSB_GH_BAL,
  PTNET_IO_CSB_HG_BAH,
  PTNET_IO_CSB_HG_BAL,
  PTNET_IO_HOSTMEMID,
  PTNET_IO_KICK_BASE,
  PTNET_IO_MAC_HI,
  PTNET_IO_MAC_LO,
  PTNET_IO_NIFP_OFS,
  PTNET_IO_NUM_RX_RINGS,
  PTNET_IO_NUM_RX_SLOTS,
  PTNET_IO_NUM_TX_RINGS,
  PTNET_IO_NUM_TX_SLOTS,
  PTNET_IO_PTCTL,
  PTNET_IO_PTFEAT,
  PTNET_IO_SIZE,
  PTNET_IO_VNET_HDR_LEN,
  PTNET_MAX_RINGS,
  PTNETMAP_F_VNET_HDR,
  PTNETMAP_PCI_NETIF_ID,
  PTNETMAP_PCI_VENDOR_ID,
  PTNETMAP_PTCTL_CREATE,
  PTNETMAP_PTCTL_DELETE,
} from '../abi.js';
import { netmapError } from '../errors.js';
import { KernelLoop, type LoopMode } from '../kloop/loop.js';
import type { ArenaOwner } from '../memory/arena.js';
import { isHeaderLength } from '../netmap/port-header.js';
import type { OpenPort } from '../netmap/register.js';
import { type AccessSize, RegisterFile } from './device-registers.js';

/**
 * Turns a guest-physical range into an address in the arena's memory, or refuses it with undefined. Asked each time that
 * the guest writes a CSB address.
 */
export type Translate = (guestPhysical: number, length: number) => number | undefined;

export interface DeviceOptions {
  readonly mode: LoopMode;
  readonly mac: Uint8Array;
  readonly translate: Translate;
  /** Records of the thread that runs the loop and of the one that takes interrupts; asked at each CREATE. */
  readonly threads: () => { loop: number; guest: number };
}

export class PtnetDevice {
  readonly vendorId = PTNETMAP_PCI_VENDOR_ID;
  readonly deviceId = PTNETMAP_PCI_NETIF_ID;
  /** Class code: network controller, Ethernet. */
  readonly classCode = 0x020000;
  readonly port: OpenPort;
  readonly loop: KernelLoop;
  readonly #arena: ArenaOwner;
  readonly #options: DeviceOptions;
  readonly #registers: RegisterFile;
  #features = 0;
  #result = 0;
  readonly #csb = new Map<number, number>();
  #atok = 0;
  #ktoa = 0;

  /** @throws NetmapError EINVAL when the port has more rings than there are doorbells (32) */
  constructor(arena: ArenaOwner, port: OpenPort, options: DeviceOptions) {
    const rings = port.tx.length + port.rx.length;
    if (rings > PTNET_MAX_RINGS) {
      throw netmapError('EINVAL', `${rings} rings, a ptnet device has ${PTNET_MAX_RINGS}`, {
        op: 'passthrough',
        port: port.info.name,
      });
    }
    this.port = port;
    this.#arena = arena;
    this.#options = options;
    this.loop = new KernelLoop(arena, port);
    this.#registers = new RegisterFile(PTNET_IO_SIZE, {
      read: (offset) => this.#read(offset),
      write: (offset, value) => this.#write(offset, value),
    });
  }

  /** Interrupt vectors: one a ring, tx rings first. */
  get vectors(): number {
    return this.port.tx.length + this.port.rx.length;
  }

  /** Bitmap of the vectors raised since the last call. Called by the guest's thread when it is woken. */
  takeInterrupts(): number {
    return Atomics.exchange(this.#arena.u32, (this.loop.ptr + KLOOP_IRQ_PENDING) >>> 2, 0);
  }

  /** A read from BAR 0. */
  ioRead(offset: number, size: AccessSize): number {
    return this.#registers.read(offset, size);
  }

  /** A write to BAR 0, doorbells included. Doorbells are better rung by the thread itself (wasm.kloopKick). */
  ioWrite(offset: number, size: AccessSize, value: number): void {
    this.#registers.write(offset, size, value);
  }

  /** Function-level reset: the loop stops, everything that the guest has set is forgotten. */
  reset(): void {
    this.loop.halt();
    this.#features = 0;
    this.#result = 0;
    this.#csb.clear();
    this.#atok = 0;
    this.#ktoa = 0;
    this.#setHdrLen(this.port.adapter.nicHdrLen);
    this.#registers.reset();
  }

  /** Stops the loop and leaves CSB mode; the caller closes the port, and frees the device when nobody can see it. */
  stop(): void {
    this.reset();
    this.loop.leaveCsb();
  }

  free(): void {
    this.loop.free();
  }

  #read(offset: number): number {
    const { info, adapter, tx, rx } = this.port;
    const { mac } = this.#options;
    switch (offset) {
      case PTNET_IO_PTFEAT:
        return this.#features;
      case PTNET_IO_PTCTL:
        return this.#result;
      case PTNET_IO_MAC_LO:
        return (mac[2] << 24) | (mac[3] << 16) | (mac[4] << 8) | mac[5];
      case PTNET_IO_MAC_HI:
        return (mac[0] << 8) | mac[1];
      case PTNET_IO_NIFP_OFS:
        return info.offset;
      case PTNET_IO_NUM_TX_RINGS:
        return tx.length;
      case PTNET_IO_NUM_RX_RINGS:
        return rx.length;
      case PTNET_IO_NUM_TX_SLOTS:
        return adapter.geometry.txSlots;
      case PTNET_IO_NUM_RX_SLOTS:
        return adapter.geometry.rxSlots;
      case PTNET_IO_VNET_HDR_LEN:
        return adapter.hdrLen;
      case PTNET_IO_HOSTMEMID:
        return info.memId;
      default:
        return 0;
    }
  }

  #write(offset: number, value: number): void {
    if (offset >= PTNET_IO_KICK_BASE) {
      this.#arena.wasm.kloopKick(this.loop.ptr, (offset - PTNET_IO_KICK_BASE) >>> 2, 0);
      return;
    }
    switch (offset) {
      case PTNET_IO_PTFEAT:
        this.#features = value & (this.port.adapter.negotiatesHeader ? PTNETMAP_F_VNET_HDR : 0);
        break;
      case PTNET_IO_PTCTL:
        this.#result = this.#control(value);
        break;
      case PTNET_IO_VNET_HDR_LEN:
        this.#setHdrLen(value);
        break;
      case PTNET_IO_CSB_GH_BAH:
      case PTNET_IO_CSB_HG_BAH:
        this.#csb.set(offset, value);
        break;
      case PTNET_IO_CSB_GH_BAL:
        this.#atok = this.#mapCsb(PTNET_IO_CSB_GH_BAH, value);
        break;
      case PTNET_IO_CSB_HG_BAL:
        this.#ktoa = this.#mapCsb(PTNET_IO_CSB_HG_BAH, value);
        break;
      default: // read-only, deprecated and unused registers
    }
  }

  #control(command: number): number {
    if (command === PTNETMAP_PTCTL_DELETE) return -this.loop.halt();
    if (command !== PTNETMAP_PTCTL_CREATE) return EINVAL;
    if (this.loop.running) return 0;
    if (this.#atok === 0 || this.#ktoa === 0) return ENXIO;
    const enabled = this.loop.enableCsb(this.#atok, this.#ktoa);
    if (enabled < 0) return -enabled;
    const { loop, guest } = this.#options.threads();
    return -this.loop.start({ mode: this.#options.mode, thread: loop, guest });
  }

  /** Writing a low half maps the array (address 0 unmaps it) and stops the loop, which may be using the old one. */
  #mapCsb(high: number, low: number): number {
    this.loop.halt();
    const address = (this.#csb.get(high) ?? 0) * 2 ** 32 + low;
    if (address === 0) return 0;
    const length = CSB_ENTRY_SIZE * this.vectors;
    const mapped = this.#options.translate(address, length);
    if (mapped === undefined || !Number.isSafeInteger(mapped) || mapped % CSB_ENTRY_SIZE !== 0) return 0;
    return mapped;
  }

  /**
   * A length that the port cannot have is not stored: the guest reads back what is in force. A guest that changes it while
   * its loop runs has packets of both lengths in its rings; before CREATE, what has come with the old one is dropped.
   */
  #setHdrLen(length: number): void {
    const { adapter } = this.port;
    if (!adapter.negotiatesHeader || !isHeaderLength(length)) return;
    if (this.loop.running) adapter.hdrLen = length;
    else adapter.changeHeader(length, this.#options.threads().guest);
  }
}
