// What of v86 is used beyond its documented surface: names that its release builds keep, checked before they are relied on.
// Tried with the npm package v86 0.5.462.

import { netmapError } from '../errors.js';
import type { AccessSize } from '../ptnet/device-registers.js';
import type { GuestRam } from './csb-mirror.js';
import { Undo } from './undo.js';

/** The part of v86's class `V86` that is documented and used here. */
export interface V86Emulator {
  // biome-ignore lint/suspicious/noExplicitAny: listeners are typed by event in v86's own declarations
  add_listener(event: any, listener: (value: any) => void): void;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  remove_listener(event: any, listener: (value: any) => void): void;
}

type Read = (address: number) => number;
type Write = (value: number, address: number) => void;

interface V86Cpu {
  readonly devices: { readonly pci: V86Pci; readonly rtc?: { cmos_write?(index: number, value: number): void } };
  readonly io: V86Io;
  readonly wasm_memory: WebAssembly.Memory;
  readonly mem8: { readonly byteOffset: number };
  readonly memory_size: Int32Array | Uint32Array;
  readonly acpi_enabled: Uint8Array;
  /** Handlers of physical memory, by address over MMIO_GRANULE. */
  readonly memory_map_read8: unknown[];
  readonly memory_map_write8: unknown[];
  readonly memory_map_read32: unknown[];
  readonly memory_map_write32: unknown[];
  get_apic_addr(): number;
  get_state_apic(): Uint8Array;
  handle_irqs(): void;
  reboot_internal(): void;
}

interface V86Pci {
  /** By `pci_id`; and their configuration spaces. */
  readonly devices: readonly unknown[];
  readonly device_spaces: readonly unknown[];
  register_device(device: object): Int32Array;
  raise_irq(pciId: number): void;
  lower_irq(pciId: number): void;
  /** Writes to configuration spaces, by the ports' mechanism: the address has the function's id in bits 8 to 23. */
  pci_write8: ConfigWrite;
  pci_write16: ConfigWrite;
  pci_write32: ConfigWrite;
}

type ConfigWrite = (address: number, value: number) => void;
const CONFIG_WRITES = ['pci_write8', 'pci_write16', 'pci_write32'] as const;

/** What v86 wants to know of a PCI function. */
export interface V86Function {
  readonly pci_id: number;
  /** The bytes of its configuration space. */
  readonly pci_space: readonly number[];
  readonly pci_bars: readonly ({ readonly size: number } | undefined)[];
  readonly name: string;
}

interface V86Io {
  /** By number; an entry is changed when its port is registered. */
  readonly ports: object[];
  register_read(port: number, device: object, read8: Read, read16: Read, read32: Read): void;
  register_write(port: number, device: object, write8: Write, write16: Write, write32: Write): void;
  mmap_register(
    address: number,
    size: number,
    read8: Read,
    write8: (address: number, value: number) => void,
    read32: Read,
    write32: (address: number, value: number) => void,
  ): void;
}

/** Accesses to a BAR, at offsets in it. */
export interface BarHandlers {
  read(offset: number, size: AccessSize): number;
  write(offset: number, size: AccessSize, value: number): void;
}

/** Memory BARs are mapped in units of this many bytes. */
export const MMIO_GRANULE = 0x20000;
/** struct apic of v86: its size tells whether it is the one that is known here; the words of TMR and IRR. */
const APIC_STATE_SIZE = 184;
const APIC_IRR = 64;
const APIC_TMR = 128;

/** Where the firmware looks how much RAM there is: two bytes, units of 64 KiB above 16 MiB. */
const CMOS_RAM = 0x34;
const CMOS_RAM_UNIT = 0x10000;
export const CMOS_RAM_START = 16 << 20;

/** The innards of a v86 that is ready and does not run yet. */
export class V86Machine {
  readonly cpu: V86Cpu;
  readonly ram: GuestRam;
  /** Accesses that failed in the host: they read as all ones. Must stay 0. */
  faults = 0;
  #accessing = false;
  #undo = new Undo();

  /** @throws NetmapError EINVAL (not ready, or without ACPI), EOPNOTSUPP (a v86 of another make) */
  constructor(emulator: V86Emulator) {
    const cpu = (emulator as { v86?: { cpu?: V86Cpu } }).v86?.cpu;
    if (!cpu?.devices?.pci) {
      throw netmapError('EINVAL', 'the emulator is not ready: wait for emulator-ready, with autostart false', {
        op: 'attachPtnet',
      });
    }
    checkMake(cpu);
    if (cpu.acpi_enabled[0] === 0) {
      throw netmapError('EINVAL', 'the emulator has no local APIC: it was made without acpi: true', {
        op: 'attachPtnet',
      });
    }
    this.cpu = cpu;
    this.ram = guestRam(cpu);
  }

  /** Runs `change`. If it throws, what it has put into the emulator is out of it again. */
  whole<T>(change: () => T): T {
    try {
      return change();
    } catch (error) {
      this.#undo.restore();
      throw error;
    } finally {
      this.#undo = new Undo();
    }
  }

  /** Address of guest-physical 0 in the emulator's memory, which v86 takes in whole pages. */
  get ramBase(): number {
    return this.cpu.mem8.byteOffset;
  }

  /**
   * Tells the firmware that the machine has so much RAM, a multiple of 64 KiB above 16 MiB. What is above stays memory for
   * the guest's loads and stores, and the firmware puts its tables below.
   */
  announceRam(size: number): void {
    const units = (size - CMOS_RAM_START) / CMOS_RAM_UNIT;
    const { rtc } = this.cpu.devices;
    rtc?.cmos_write?.(CMOS_RAM, units & 0xff);
    rtc?.cmos_write?.(CMOS_RAM + 1, units >>> 8);
  }

  /** Whether a PCI function is there. */
  hasFunction(pciId: number): boolean {
    return this.cpu.devices.pci.devices[pciId] !== undefined;
  }

  /** Puts a PCI function on the bus. Returns its configuration space, which the guest writes. */
  addFunction(device: V86Function): Int32Array {
    const { pci } = this.cpu.devices;
    this.#undo.keep(pci.devices, device.pci_id);
    this.#undo.keep(pci.device_spaces, device.pci_id);
    return pci.register_device(device);
  }

  /** Calls `written` after the guest has written to the configuration space of a function. */
  onConfigWrite(pciId: number, written: () => void): void {
    const { pci } = this.cpu.devices;
    for (const name of CONFIG_WRITES) {
      this.#undo.keep(pci, name);
      const write = pci[name];
      pci[name] = (address, value) => {
        write.call(pci, address, value);
        if (((address >>> 8) & 0xffff) === pciId) this.#safely(written);
      };
    }
  }

  /** Calls what must not throw into the emulator. */
  #safely(call: () => void): void {
    try {
      call();
    } catch {
      this.faults++;
    }
  }

  /** Maps a memory BAR. */
  mapMemory(address: number, size: number, bar: BarHandlers): void {
    const base = address | 0; // v86 gives addresses as signed words
    const { memory_map_read8, memory_map_write8, memory_map_read32, memory_map_write32 } = this.cpu;
    for (let at = address; at < address + size; at += MMIO_GRANULE) {
      for (const map of [memory_map_read8, memory_map_write8, memory_map_read32, memory_map_write32]) {
        this.#undo.keep(map, at / MMIO_GRANULE);
      }
    }
    this.cpu.io.mmap_register(
      address,
      Math.max(size, MMIO_GRANULE),
      (at) => bar.read((at - base) >>> 0, 1),
      (at, value) => bar.write((at - base) >>> 0, 1, value),
      (at) => bar.read((at - base) >>> 0, 4) | 0,
      (at, value) => bar.write((at - base) >>> 0, 4, value),
    );
  }

  /**
   * Accesses to memory that may end in an interrupt. An instruction is under way: the CPU takes the interrupt later.
   * What they throw does not reach the emulator.
   */
  guarded({ read, write }: BarHandlers): BarHandlers {
    const guard = <T>(access: () => T, otherwise: T): T => {
      this.#accessing = true;
      try {
        return access();
      } catch {
        this.faults++;
        return otherwise;
      } finally {
        this.#accessing = false;
      }
    };
    return {
      read: (offset, size) => guard(() => read(offset, size), 0xffffffff >>> (32 - 8 * size)),
      write: (offset, size, value) => guard(() => write(offset, size, value), undefined),
    };
  }

  /** Answers the ports of an I/O BAR. v86 moves them when the guest moves the BAR. */
  mapPorts(address: number, size: number, bar: BarHandlers): void {
    const { io } = this.cpu;
    for (let offset = 0; offset < size; offset++) {
      this.#keepPort(address + offset);
      const read = (bytes: AccessSize) => () => {
        try {
          return bar.read(offset, bytes) | 0;
        } catch {
          this.faults++;
          return -1 >>> (32 - 8 * bytes);
        }
      };
      const write = (bytes: AccessSize) => (value: number) => {
        this.#safely(() => bar.write(offset, bytes, value));
      };
      io.register_read(address + offset, bar, read(1), read(2), read(4));
      io.register_write(address + offset, bar, write(1), write(2), write(4));
    }
  }

  /** Puts a vector into the local APIC, as an edge. */
  deliver(vector: number): void {
    const { cpu } = this;
    const words = new Uint32Array(cpu.wasm_memory.buffer, cpu.get_apic_addr(), APIC_STATE_SIZE / 4);
    const bit = 1 << (vector & 31);
    words[(APIC_IRR >> 2) + (vector >> 5)] |= bit;
    words[(APIC_TMR >> 2) + (vector >> 5)] &= ~bit;
    this.#handle();
  }

  /** A short assertion of a function's interrupt pin. */
  pulseIntx(pciId: number): void {
    const { pci } = this.cpu.devices;
    pci.raise_irq(pciId);
    pci.lower_irq(pciId);
  }

  /** Calls `reset` when the machine reboots. */
  onReset(reset: () => void): void {
    const { cpu } = this;
    this.#undo.keep(cpu, 'reboot_internal');
    const reboot = cpu.reboot_internal;
    cpu.reboot_internal = () => {
      reset();
      reboot.call(cpu);
    };
  }

  /** Answers the hot-plug controller's ports. */
  answerHotplug(): void {
    for (let i = 0; i < HOTPLUG_SIZE; i++) this.#keepPort(HOTPLUG_PORTS + i);
    answerHotplug(this.cpu.io);
  }

  #keepPort(port: number): void {
    const { ports } = this.cpu.io;
    this.#undo.keep(ports, port);
    ports[port] = { ...ports[port] };
  }

  /** The CPU takes pending interrupts, and wakes from HLT; in the middle of a memory access it does so soon by itself. */
  #handle(): void {
    if (this.#accessing) return;
    try {
      this.cpu.handle_irqs();
    } catch {
      this.faults++; // the caller may be another guest's doorbell
    }
  }
}

/** Ports of a PCI hot-plug controller that Debian's SeaBIOS announces and v86 has not. */
const HOTPLUG_PORTS = 0xae00;
const HOTPLUG_SIZE = 0x20;

export type HotplugPorts = Partial<Pick<V86Io, 'register_read'>>;

/** Answers 0 on them, which is "no event": all ones, as unanswered ports read, would have Linux eject every PCI device. */
export function answerHotplug(io: HotplugPorts | undefined): void {
  if (typeof io?.register_read !== 'function') return;
  const none = (): number => 0;
  for (let i = 0; i < HOTPLUG_SIZE; i++) io.register_read(HOTPLUG_PORTS + i, {}, none, none, none);
}

/** RAM, by physical address. The view is made anew when the memory has grown. */
function guestRam(cpu: V86Cpu): GuestRam {
  const { wasm_memory: memory } = cpu;
  const base = cpu.mem8.byteOffset;
  const size = cpu.memory_size[0];
  let buffer = memory.buffer;
  let words = new Int32Array(buffer, base, size >>> 2);
  const view = (): Int32Array => {
    if (memory.buffer !== buffer) {
      buffer = memory.buffer;
      words = new Int32Array(buffer, base, size >>> 2);
    }
    return words;
  };
  return {
    size,
    load: (address) => view()[address >>> 2],
    store: (address, value) => {
      view()[address >>> 2] = value;
    },
  };
}

/** @throws NetmapError EOPNOTSUPP */
function checkMake(cpu: V86Cpu): void {
  const { pci } = cpu.devices;
  const used: [string, unknown][] = [
    ['pci.register_device', pci.register_device],
    ['pci.raise_irq', pci.raise_irq],
    ['pci.lower_irq', pci.lower_irq],
    ['pci.pci_write8', pci.pci_write8],
    ['pci.pci_write16', pci.pci_write16],
    ['pci.pci_write32', pci.pci_write32],
    ['io.register_read', cpu.io?.register_read],
    ['io.register_write', cpu.io?.register_write],
    ['io.mmap_register', cpu.io?.mmap_register],
    ['get_apic_addr', cpu.get_apic_addr],
    ['get_state_apic', cpu.get_state_apic],
    ['handle_irqs', cpu.handle_irqs],
    ['reboot_internal', cpu.reboot_internal],
    ['rtc.cmos_write', cpu.devices.rtc?.cmos_write],
  ];
  const lists: [string, unknown][] = [
    ['pci.devices', pci.devices],
    ['pci.device_spaces', pci.device_spaces],
    ['io.ports', cpu.io?.ports],
    ['memory_map_read8', cpu.memory_map_read8],
    ['memory_map_write8', cpu.memory_map_write8],
    ['memory_map_read32', cpu.memory_map_read32],
    ['memory_map_write32', cpu.memory_map_write32],
  ];
  const missing = [
    ...used.filter(([, value]) => typeof value !== 'function'),
    ...lists.filter(([, value]) => !Array.isArray(value)),
  ].map(([name]) => name);
  if (!(cpu.wasm_memory instanceof WebAssembly.Memory)) missing.push('wasm_memory');
  if (missing.length === 0 && cpu.get_state_apic().length !== APIC_STATE_SIZE) missing.push('the known local APIC');
  if (missing.length === 0) return;
  throw netmapError('EOPNOTSUPP', `this v86 has no ${missing.join(', ')}: another version than was tried`, {
    op: 'attachPtnet',
  });
}
