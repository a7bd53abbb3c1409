// ptnetmap-memdev: the PCI device through which a guest finds a region. BAR 0 tells its geometry, BAR 1 is the region.

import {
  PTNET_MDEV_IO_BUF_POOL_OBJNUM,
  PTNET_MDEV_IO_BUF_POOL_OBJSZ,
  PTNET_MDEV_IO_BUF_POOL_OFS,
  PTNET_MDEV_IO_IF_POOL_OBJNUM,
  PTNET_MDEV_IO_IF_POOL_OBJSZ,
  PTNET_MDEV_IO_IF_POOL_OFS,
  PTNET_MDEV_IO_MEMID,
  PTNET_MDEV_IO_MEMSIZE_HI,
  PTNET_MDEV_IO_MEMSIZE_LO,
  PTNET_MDEV_IO_RING_POOL_OBJNUM,
  PTNET_MDEV_IO_RING_POOL_OBJSZ,
  PTNET_MDEV_IO_RING_POOL_OFS,
  PTNET_MDEV_IO_SIZE,
  PTNETMAP_PCI_DEVICE_ID,
  PTNETMAP_PCI_VENDOR_ID,
} from '../abi.js';
import type { Region } from '../memory/region.js';
import { type AccessSize, RegisterFile } from './device-registers.js';

export class PtnetMemdev {
  readonly vendorId = PTNETMAP_PCI_VENDOR_ID;
  readonly deviceId = PTNETMAP_PCI_DEVICE_ID;
  /** Class code as QEMU has it: 0xff, others. */
  readonly classCode = 0xff0000;
  readonly region: Region;
  readonly #registers: RegisterFile;

  constructor(region: Region) {
    this.region = region;
    const values = registerValues(region);
    this.#registers = new RegisterFile(PTNET_MDEV_IO_SIZE, {
      read: (offset) => values.get(offset) ?? 0,
      write: () => {}, // all registers are read-only
    });
  }

  /** BAR 1: address of the region in the arena's memory, its size, and the size that the BAR reports (a power of two). */
  get memoryBar(): { base: number; size: number; barSize: number } {
    const { memsize } = this.region.layout;
    return { base: this.region.base, size: memsize, barSize: 2 ** Math.ceil(Math.log2(memsize)) };
  }

  /** A read from BAR 0. */
  ioRead(offset: number, size: AccessSize): number {
    return this.#registers.read(offset, size);
  }

  /** A write to BAR 0: ignored. */
  ioWrite(offset: number, size: AccessSize, value: number): void {
    this.#registers.write(offset, size, value);
  }
}

function registerValues({ memId, layout, pools }: Region): Map<number, number> {
  return new Map([
    [PTNET_MDEV_IO_MEMSIZE_LO, layout.memsize % 2 ** 32],
    [PTNET_MDEV_IO_MEMSIZE_HI, Math.floor(layout.memsize / 2 ** 32)],
    [PTNET_MDEV_IO_MEMID, memId],
    [PTNET_MDEV_IO_IF_POOL_OFS, layout.ifPoolOffset],
    [PTNET_MDEV_IO_IF_POOL_OBJNUM, pools.ifPool.objtotal],
    [PTNET_MDEV_IO_IF_POOL_OBJSZ, pools.ifPool.objsize],
    [PTNET_MDEV_IO_RING_POOL_OFS, layout.ringPoolOffset],
    [PTNET_MDEV_IO_RING_POOL_OBJNUM, pools.ringPool.objtotal],
    [PTNET_MDEV_IO_RING_POOL_OBJSZ, pools.ringPool.objsize],
    [PTNET_MDEV_IO_BUF_POOL_OFS, layout.bufPoolOffset],
    [PTNET_MDEV_IO_BUF_POOL_OBJNUM, pools.bufPool.objtotal],
    [PTNET_MDEV_IO_BUF_POOL_OBJSZ, pools.bufPool.objsize],
  ]);
}
