// A machine whose devices do what a test tells them: for the driver's errors, and for what it writes to the registers.

import {
  CSB_KTOA_HWTAIL,
  NETMAP_IF_HOST_RX_RINGS,
  NETMAP_IF_HOST_TX_RINGS,
  NETMAP_IF_RING_OFS,
  NETMAP_IF_RX_RINGS,
  NETMAP_IF_TX_RINGS,
  NETMAP_RING_BUF_OFS,
  NETMAP_RING_NR_BUF_SIZE,
  NETMAP_RING_NUM_SLOTS,
  PTNET_IO_CSB_GH_BAL,
  PTNET_IO_CSB_HG_BAL,
  PTNET_IO_HOSTMEMID,
  PTNET_IO_MAC_HI,
  PTNET_IO_MAC_LO,
  PTNET_IO_NUM_RX_RINGS,
  PTNET_IO_NUM_RX_SLOTS,
  PTNET_IO_NUM_TX_RINGS,
  PTNET_IO_NUM_TX_SLOTS,
  PTNET_IO_PTCTL,
  PTNET_MDEV_IO_BUF_POOL_OBJNUM,
  PTNET_MDEV_IO_MEMID,
  PTNETMAP_PCI_DEVICE_ID,
  PTNETMAP_PCI_NETIF_ID,
  PTNETMAP_PCI_VENDOR_ID,
} from '../../src/abi.js';
import type { PciFunction, PtnetMachine } from '../../src/ptnet/driver-machine.js';
import { compileModule, instantiate } from '../../src/wasm/module.js';

const REGION = 0x20000;
const REGION_SIZE = 0x20000;
export const RAM = 0x80000;
export const SLOTS = 8;
/** Distances of the rings from the nifp. */
export const TX_OFS = 4096;
export const RX_OFS = 8192;

export class FakeFunction implements PciFunction {
  readonly vendorId = PTNETMAP_PCI_VENDOR_ID;
  readonly deviceId: number;
  readonly registers: Map<number, number>;
  /** Writes, as [register, value]. */
  readonly writes: [number, number][] = [];
  vectors = 2;
  memoryBar?: { base: number; size: number };
  handler: ((vector: number) => void) | undefined;
  onWrite: (offset: number, value: number) => void = () => {};

  constructor(deviceId: number, registers: readonly [number, number][]) {
    this.deviceId = deviceId;
    this.registers = new Map(registers);
  }

  ioRead(offset: number): number {
    return this.registers.get(offset) ?? 0;
  }

  ioWrite(offset: number, _size: 1 | 2 | 4, value: number): void {
    this.writes.push([offset, value]);
    this.onWrite(offset, value);
  }

  setInterruptHandler(handler: ((vector: number) => void) | undefined): void {
    this.handler = handler;
  }
}

/** One ptnet device with a tx and an rx ring, its memdev, and RAM for one driver. */
export class FakeMachine {
  readonly device: FakeFunction;
  readonly memdev: FakeFunction;
  readonly view: DataView;
  readonly u8: Uint8Array;
  functions: FakeFunction[];
  ramSize = 3 * 4096;
  /** Whether the host has taken the machine away. */
  gone = false;
  /** Addresses of the CSB arrays that the driver has programmed. */
  readonly csb = { atok: 0, ktoa: 0 };
  readonly #memory: WebAssembly.Memory;
  /** What PTCTL reads as after a command. */
  result = 0;

  constructor() {
    const memory = new WebAssembly.Memory({ initial: 16, maximum: 16 });
    this.u8 = new Uint8Array(memory.buffer);
    this.view = new DataView(memory.buffer);
    this.#memory = memory;
    this.device = new FakeFunction(PTNETMAP_PCI_NETIF_ID, [
      [PTNET_IO_NUM_TX_RINGS, 1],
      [PTNET_IO_NUM_RX_RINGS, 1],
      [PTNET_IO_NUM_TX_SLOTS, SLOTS],
      [PTNET_IO_NUM_RX_SLOTS, SLOTS],
      [PTNET_IO_HOSTMEMID, 7],
      [PTNET_IO_MAC_HI, 0x0250],
      [PTNET_IO_MAC_LO, 0x54010203],
    ]);
    this.device.onWrite = (offset, value) => {
      // RAM starts at guest-physical page 1.
      if (offset === PTNET_IO_CSB_GH_BAL) this.csb.atok = RAM + value - 4096;
      if (offset === PTNET_IO_CSB_HG_BAL) this.csb.ktoa = RAM + value - 4096;
      if (offset !== PTNET_IO_PTCTL) return;
      this.device.registers.set(PTNET_IO_PTCTL, this.result);
      if (value === 1 && this.result === 0) this.#create();
    };
    this.memdev = new FakeFunction(PTNETMAP_PCI_DEVICE_ID, [
      [PTNET_MDEV_IO_MEMID, 7],
      [PTNET_MDEV_IO_BUF_POOL_OBJNUM, 64],
    ]);
    this.memdev.memoryBar = { base: REGION, size: REGION_SIZE };
    this.functions = [this.device, this.memdev];
    for (const [field, value] of [
      [NETMAP_IF_TX_RINGS, 1],
      [NETMAP_IF_RX_RINGS, 1],
      [NETMAP_IF_HOST_TX_RINGS, 1],
      [NETMAP_IF_HOST_RX_RINGS, 1],
    ]) {
      this.view.setUint32(REGION + field, value, true);
    }
    this.setDirectory(0, TX_OFS);
    this.setDirectory(2, RX_OFS);
    for (const ofs of [TX_OFS, RX_OFS]) {
      this.view.setUint32(REGION + ofs + NETMAP_RING_BUF_OFS, 0x10000 - ofs, true);
      this.view.setUint32(REGION + ofs + NETMAP_RING_NUM_SLOTS, SLOTS, true);
      this.view.setUint32(REGION + ofs + NETMAP_RING_NR_BUF_SIZE, 512, true);
    }
  }

  setDirectory(i: number, ofs: number): void {
    this.view.setInt32(REGION + NETMAP_IF_RING_OFS + 8 * i, ofs, true);
  }

  /** CSB_ENABLE of a port that stands at slot 2 of its tx ring, and has nothing received. */
  #create(): void {
    const { atok, ktoa } = this.csb;
    for (const [at, value] of [
      [atok, 2],
      [atok + 4, 2],
      [atok + 8, 1],
      [ktoa, 2],
      [ktoa + CSB_KTOA_HWTAIL, 1],
      [ktoa + 8, 1],
      [atok + 64 + 8, 1],
      [ktoa + 64 + 8, 1],
    ]) {
      this.view.setUint32(at, value, true);
    }
  }

  get machine(): PtnetMachine {
    const wasm = instantiate(compileModule(false), this.#memory);
    const isGone = (): boolean => this.gone;
    return {
      get gone() {
        return isGone();
      },
      functions: this.functions,
      ram: { base: RAM, size: this.ramSize },
      views: { i32: new Int32Array(this.#memory.buffer), u8: this.u8, wasm },
      wasm,
      waiting: {
        canBlock: false,
        seq: () => 0,
        sleep: () => false,
        sleepAsync: async () => false,
        service: () => {},
        wake: () => {},
      },
    };
  }
}
