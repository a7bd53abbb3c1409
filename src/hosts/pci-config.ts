// The configuration space of a PCI function, as its guest finds it after a reset.

import { MSIX_PBA } from './msix.js';

/** A base address register. */
export interface Bar {
  readonly kind: 'io' | 'memory';
  readonly address: number;
  /** A power of two; bytes. */
  readonly size: number;
  readonly prefetchable?: boolean;
}

export interface PciConfig {
  readonly vendorId: number;
  readonly deviceId: number;
  readonly classCode: number;
  /** By number; null: there is none. */
  readonly bars: readonly (Bar | null)[];
  /** Vectors of the MSI-X capability, whose table and pending bits are in this BAR. */
  readonly msix?: { readonly vectors: number; readonly bar: number };
}

/** Where the MSI-X capability is, and its message control. */
const MSIX_CAPABILITY = 0x40;
export const MSIX_CONTROL = MSIX_CAPABILITY + 2;
const CAP_ID_MSIX = 0x11;
export const COMMAND = 4;
const COMMAND_IO_AND_MEMORY = 3;
/** In the command register: the function does not assert its pin. */
export const COMMAND_INTX_DISABLE = 0x400;
/** Word of BAR 0. */
const BAR_WORD = 4;
const STATUS_CAPABILITIES = 0x10;
const INTERRUPT_PIN_A = 1;

/** What a guest may write besides BARs, by word: command, cache line and latency, interrupt line. */
const WRITABLE: Readonly<Record<number, number>> = { [COMMAND]: 0x0507, 12: 0xffff, 60: 0xff };
/** Enable and function mask of message control, which is the capability's high half. */
const MSIX_WRITABLE = 0xc0000000;

/**
 * Puts back what a guest has changed of a configuration space and must not have: for emulators that let it write
 * everything. BARs that the function has are the emulator's.
 * @param space now
 * @param initial as it was at first
 */
export function protectConfig(space: Int32Array, initial: Int32Array, { bars, msix }: PciConfig): void {
  for (let word = 0; word < initial.length; word++) {
    if (bars[word - BAR_WORD]) continue;
    const at = 4 * word;
    const writable = msix && at === MSIX_CAPABILITY ? MSIX_WRITABLE : (WRITABLE[at] ?? 0);
    space[word] = (space[word] & writable) | (initial[word] & ~writable);
  }
}

/** A configuration space after a reset of the machine. BARs stay where the emulator has them. */
export function resetConfig(space: Int32Array, initial: Int32Array, { bars }: PciConfig): void {
  for (let word = 0; word < initial.length; word++) if (!bars[word - BAR_WORD]) space[word] = initial[word];
}

/** 256 bytes. */
export function configSpace({ vendorId, deviceId, classCode, bars, msix }: PciConfig): Uint8Array {
  const bytes = new Uint8Array(256);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, vendorId, true);
  view.setUint16(2, deviceId, true);
  view.setUint16(COMMAND, COMMAND_IO_AND_MEMORY, true);
  view.setUint32(8, (classCode << 8) >>> 0, true); // revision 0
  view.setUint16(0x2c, vendorId, true);
  view.setUint16(0x2e, deviceId, true);
  for (const [i, bar] of bars.entries()) {
    if (bar) view.setUint32(0x10 + 4 * i, bar.address | (bar.kind === 'io' ? 1 : bar.prefetchable ? 8 : 0), true);
  }
  if (!msix) return bytes;
  view.setUint16(6, STATUS_CAPABILITIES, true);
  bytes[0x34] = MSIX_CAPABILITY;
  bytes[0x3d] = INTERRUPT_PIN_A;
  bytes[MSIX_CAPABILITY] = CAP_ID_MSIX;
  view.setUint16(MSIX_CONTROL, msix.vectors - 1, true);
  view.setUint32(MSIX_CAPABILITY + 4, msix.bar, true);
  view.setUint32(MSIX_CAPABILITY + 8, MSIX_PBA | msix.bar, true);
  return bytes;
}
