// The RAM of a v86, from whose end windows are taken before it runs.

import { netmapError } from '../errors.js';
import type { WindowSpace } from './ram-window.js';
import { CMOS_RAM_START, type V86Machine } from './v86-emulator.js';

/** Bytes of RAM that the guest is told of, where they are fewer than there are. */
const announced = new WeakMap<object, number>();

/** Windows are at the end: so the firmware's tables, at the end of the RAM that it knows, are below them. */
export function ramSpace(v86: V86Machine): WindowSpace {
  return {
    memory: v86.cpu.wasm_memory,
    base: v86.ramBase,
    ramSize: () => announced.get(v86.cpu) ?? v86.ram.size,
    announce(size) {
      if (size <= CMOS_RAM_START) {
        const why = `the window leaves the guest ${Math.max(0, size)} bytes of RAM: memory_size is ${v86.ram.size}`;
        throw netmapError('ENOSPC', why, { op: 'attachPtnet' });
      }
      announced.set(v86.cpu, size);
      v86.announceRam(size);
    },
  };
}
