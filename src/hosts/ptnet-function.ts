// A ptnet device for an emulator: BAR 0, with the CSB mirrored if the guest's RAM is not in the host's memory, and MSI-X.
// What the emulator must do is in `PtnetPlatform`; docs/embedding.md says how. Nothing that a guest does makes this throw.

import {
  PTNET_IO_CSB_GH_BAH,
  PTNET_IO_CSB_GH_BAL,
  PTNET_IO_CSB_HG_BAH,
  PTNET_IO_CSB_HG_BAL,
  PTNET_IO_KICK_BASE,
  PTNET_IO_PTCTL,
  PTNET_IO_PTFEAT,
  PTNET_IO_SIZE,
  PTNET_IO_VNET_HDR_LEN,
  PTNETMAP_PTCTL_CREATE,
  PTNETMAP_PTCTL_DELETE,
} from '../abi.js';
import { type AccessSize, RegisterFile } from '../ptnet/device-registers.js';
import type { HostedMachine, PciFunction } from '../ptnet/driver-machine.js';
import { CsbMirror, type GuestRam } from './csb-mirror.js';
import { MSIX_ENABLE, MsixTable } from './msix.js';

/** What an emulator gives to a ptnet device. */
export interface PtnetPlatform {
  /** For the mirror of the CSB. */
  readonly ram: GuestRam;
  /** The message control word of the MSI-X capability, as the guest has last written it. */
  msixControl(): number;
  /** A message (MSI) of the device: a write to this address. Those for a local APIC are at 0xfee00000. */
  sendMessage(address: number, data: number): void;
  /** An interrupt while MSI-X is off: the pin, to be pulsed, as the device has no register that would acknowledge it. */
  pulseIntx(): void;
}

/** Guest-physical address of a machine's RAM. */
const RAM_GPA = 4096;

export class PtnetFunction {
  readonly #function: PciFunction;
  readonly #platform: PtnetPlatform;
  readonly #registers: RegisterFile;
  readonly #msix: MsixTable;
  readonly #mirror: CsbMirror | undefined;
  readonly #high = new Map<number, number>();
  /** Addresses of the mirrored arrays, as the device knows them. */
  readonly #atok: number;
  readonly #ktoa: number;
  readonly #concurrent: boolean;
  /** Length of the virtio-net header before the guest has asked for one. */
  readonly #hdrLen: number;
  readonly #stop: (() => void) | undefined;

  /**
   * @param machine of a guest with a page of RAM for each device, or one whose CSB addresses are translated
   * @param page of that RAM, which nobody else uses; undefined: the kernel loop works on the guest's own CSB
   * @param concurrent the kernel loop runs in another thread than the emulator
   */
  constructor(
    machine: HostedMachine,
    device: PciFunction,
    platform: PtnetPlatform,
    page: number | undefined,
    concurrent: boolean,
  ) {
    const { vectors } = device;
    const offset = (page ?? 0) * 4096;
    this.#function = device;
    this.#concurrent = concurrent;
    this.#hdrLen = device.ioRead(PTNET_IO_VNET_HDR_LEN, 4);
    this.#platform = platform;
    this.#atok = RAM_GPA + offset;
    this.#ktoa = this.#atok + 64 * vectors;
    if (page !== undefined) {
      this.#mirror = new CsbMirror(platform.ram, machine.views, machine.ram.base + offset, vectors, concurrent);
    }
    this.#msix = new MsixTable(vectors, (address, data) => platform.sendMessage(address, data));
    this.#registers = new RegisterFile(PTNET_IO_SIZE, {
      read: (register) => device.ioRead(register, 4),
      write: (register, value) => this.#write(register, value),
    });
    device.setInterruptHandler((vector) => this.#interrupt(vector));
    this.#stop = this.#mirror && machine.mirror(this.#mirror);
  }

  /** A read from BAR 0. */
  ioRead(offset: number, size: AccessSize): number {
    return this.#registers.read(offset, size);
  }

  /** A write to BAR 0. */
  ioWrite(offset: number, size: AccessSize, value: number): void {
    this.#registers.write(offset, size, value);
  }

  /** A read from BAR 2. */
  msixRead(offset: number, size: AccessSize): number {
    return this.#msix.read(offset, size);
  }

  /** A write to BAR 2. */
  msixWrite(offset: number, size: AccessSize, value: number): void {
    this.#msix.write(offset, size, value, this.#platform.msixControl());
  }

  /** Message control may have changed: sends what it held back. */
  msixChanged(): void {
    this.#msix.flush(this.#platform.msixControl());
  }

  /** A reset of the machine: the loop stops, and all that the guest has set is forgotten. */
  reset(): void {
    if (this.#mirror) this.#mirror.running = false;
    for (const [register, value] of [
      [PTNET_IO_PTCTL, PTNETMAP_PTCTL_DELETE],
      [PTNET_IO_CSB_GH_BAH, 0],
      [PTNET_IO_CSB_GH_BAL, 0],
      [PTNET_IO_CSB_HG_BAH, 0],
      [PTNET_IO_CSB_HG_BAL, 0],
      [PTNET_IO_PTFEAT, 0],
      [PTNET_IO_VNET_HDR_LEN, this.#hdrLen],
    ]) {
      this.#function.ioWrite(register, 4, value);
    }
    this.#mirror?.setAtok(0);
    this.#mirror?.setKtoa(0);
    this.#high.clear();
    this.#registers.reset();
    this.#msix.reset();
  }

  /** The emulator goes: nothing of the guest's is touched any more. */
  close(): void {
    if (this.#mirror) this.#mirror.running = false;
    this.#function.setInterruptHandler(undefined);
    this.#stop?.();
  }

  #write(register: number, value: number): void {
    const mirror = this.#mirror;
    if (!mirror) {
      this.#forward(register, value);
      return;
    }
    switch (register) {
      case PTNET_IO_CSB_GH_BAH:
      case PTNET_IO_CSB_HG_BAH:
        this.#high.set(register, value);
        break;
      case PTNET_IO_CSB_GH_BAL:
        mirror.running = false;
        this.#map(register, mirror.setAtok(this.#address(PTNET_IO_CSB_GH_BAH, value)) ? this.#atok : 0);
        break;
      case PTNET_IO_CSB_HG_BAL:
        mirror.running = false;
        this.#map(register, mirror.setKtoa(this.#address(PTNET_IO_CSB_HG_BAH, value)) ? this.#ktoa : 0);
        break;
      case PTNET_IO_PTCTL:
        this.#control(mirror, value);
        break;
      default:
        this.#forward(register, value);
    }
  }

  /** Doorbells, too. A kernel loop of this thread runs in a pass that copies the CSB; for another thread's it is done here. */
  #forward(register: number, value: number): void {
    const elsewhere = this.#concurrent && register >= PTNET_IO_KICK_BASE;
    if (elsewhere) this.#mirror?.copyIn();
    this.#function.ioWrite(register, 4, value);
    if (elsewhere) this.#mirror?.copyOut();
    this.msixChanged();
  }

  #address(high: number, low: number): number {
    return (this.#high.get(high) ?? 0) * 2 ** 32 + low;
  }

  #map(register: number, address: number): void {
    this.#function.ioWrite(register, 4, address);
  }

  #control(mirror: CsbMirror, command: number): void {
    const wasRunning = mirror.running;
    if (command === PTNETMAP_PTCTL_DELETE) mirror.running = false;
    this.#function.ioWrite(PTNET_IO_PTCTL, 4, command);
    if (command !== PTNETMAP_PTCTL_CREATE || wasRunning) return;
    if (this.#function.ioRead(PTNET_IO_PTCTL, 4) === 0) mirror.created();
  }

  #interrupt(vector: number): void {
    this.#mirror?.copyOut();
    const control = this.#platform.msixControl();
    if (control & MSIX_ENABLE) this.#msix.raise(vector, control);
    else this.#platform.pulseIntx();
  }
}
