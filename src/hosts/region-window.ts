// A memory BAR that shows a region of the host's memory, and nothing else, to a guest whose loads and stores come one by one.

import type { AccessSize } from '../ptnet/device-registers.js';
import type { HostedMachine } from '../ptnet/driver-machine.js';
import type { BarHandlers } from './v86-emulator.js';

/** Beyond the region, reads give all ones and writes do nothing; also when the host has taken the machine away. */
export function regionWindow(machine: HostedMachine, base: number, size: number): BarHandlers {
  const { views } = machine;
  const readByte = (offset: number): number => (offset < size ? views.u8[base + offset] : 0xff);
  return {
    read(offset: number, bytes: AccessSize): number {
      if (machine.gone) return 0xffffffff >>> (32 - 8 * bytes);
      if (bytes === 4 && (offset & 3) === 0 && offset < size) return views.i32[(base + offset) >>> 2];
      let value = 0;
      for (let i = 0; i < bytes; i++) value |= readByte(offset + i) << (8 * i);
      return value;
    },
    write(offset: number, bytes: AccessSize, value: number): void {
      if (machine.gone) return;
      if (bytes === 4 && (offset & 3) === 0 && offset < size) {
        views.i32[(base + offset) >>> 2] = value;
        return;
      }
      for (let i = 0; i < bytes; i++) if (offset + i < size) views.u8[base + offset + i] = value >>> (8 * i);
    },
  };
}
