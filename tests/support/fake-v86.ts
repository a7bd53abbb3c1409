// What attachPtnet needs of a v86, without an emulator: a PCI bus, ports, memory-mapped ranges, RAM and a local APIC that
// note what is done to them.

const RAM_BASE = 0x20000;
const APIC = 0x8000;
const APIC_SIZE = 184;
export const FAKE_RAM = 1 << 20;

interface Device {
  readonly pci_id: number;
  readonly pci_space: number[];
  readonly pci_bars: ({ size: number } | undefined)[];
  readonly name: string;
}

type Port = Partial<Record<`${'read' | 'write'}${1 | 2 | 4}`, (value: number) => number>>;
type Access = (address: number, value: number) => number;

export class FakeV86 {
  readonly ports = new Map<number, Port>();
  readonly ranges: { address: number; size: number; read8: Access; write8: Access; read32: Access; write32: Access }[] =
    [];
  readonly devices: (Device & { space: Int32Array })[] = [];
  readonly memory = new WebAssembly.Memory({ initial: 32, maximum: 64 });
  /** Vectors that the CPU was told to look at, and pulses of the pin. */
  readonly taken: number[] = [];
  readonly pulses: string[] = [];
  onHandle: () => void = () => {};
  rebooted = 0;
  readonly v86: { cpu: Record<string, unknown> };

  constructor() {
    const { memory } = this;
    const devices: unknown[] = [];
    const cpu = {
      wasm_memory: memory,
      mem8: { byteOffset: RAM_BASE },
      memory_size: Int32Array.of(FAKE_RAM),
      acpi_enabled: Uint8Array.of(1),
      get_apic_addr: () => APIC,
      get_state_apic: () => new Uint8Array(memory.buffer, APIC, APIC_SIZE),
      handle_irqs: () => {
        this.onHandle();
        this.#takeVectors();
      },
      reboot_internal: () => {
        this.rebooted++;
      },
      devices: {
        pci: {
          devices,
          register_device: (device: Device) => {
            const space = new Int32Array(Uint8Array.from(device.pci_space).buffer);
            devices[device.pci_id] = device;
            this.devices.push({ ...device, space });
            return space;
          },
          raise_irq: (id: number) => this.pulses.push(`+${id >> 3}`),
          lower_irq: (id: number) => this.pulses.push(`-${id >> 3}`),
        },
      },
      io: {
        register_read: (port: number, _device: object, r8: Access, r16: Access, r32: Access) => {
          Object.assign(this.#port(port), { read1: r8, read2: r16, read4: r32 });
        },
        register_write: (port: number, _device: object, w8: Access, w16: Access, w32: Access) => {
          Object.assign(this.#port(port), { write1: w8, write2: w16, write4: w32 });
        },
        mmap_register: (
          address: number,
          size: number,
          read8: Access,
          write8: Access,
          read32: Access,
          write32: Access,
        ) => {
          this.ranges.push({ address, size, read8, write8, read32, write32 });
        },
      },
    };
    this.v86 = { cpu };
  }

  readonly listeners = new Map<string, (frame: Uint8Array) => void>();
  /** What was sent over the bus. */
  readonly sent: [string, Uint8Array][] = [];
  readonly bus = { send: (event: string, data: Uint8Array): void => void this.sent.push([event, data]) };

  add_listener(event: string, listener: (frame: Uint8Array) => void): void {
    this.listeners.set(event, listener);
  }
  remove_listener(event: string): void {
    this.listeners.delete(event);
  }

  /** The function of this name, by number. */
  device(name: string, n = 0): Device & { space: Int32Array } {
    return this.devices.filter((device) => device.name === name)[n];
  }

  /** A BAR's address, as its register has it. */
  bar(name: string, bar: number, n = 0): number {
    return (this.device(name, n).space[4 + bar] & ~15) >>> 0;
  }

  in(port: number, size: 1 | 2 | 4): number {
    return this.ports.get(port)?.[`read${size}`]?.(port) ?? -1;
  }

  out(port: number, size: 1 | 2 | 4, value: number): void {
    this.ports.get(port)?.[`write${size}`]?.(value);
  }

  /** A load of the guest from a memory BAR; v86 gives addresses as signed words. */
  load(address: number, size: 1 | 4): number {
    const range = this.#range(address);
    return (size === 1 ? range.read8(address | 0, 0) : range.read32(address | 0, 0)) >>> 0;
  }

  store(address: number, size: 1 | 4, value: number): void {
    const range = this.#range(address);
    if (size === 1) range.write8(address | 0, value);
    else range.write32(address | 0, value);
  }

  readonly ram = {
    size: FAKE_RAM,
    load: (address: number): number => new DataView(this.memory.buffer).getInt32(RAM_BASE + address, true),
    store: (address: number, value: number): void =>
      new DataView(this.memory.buffer).setInt32(RAM_BASE + address, value, true),
  };

  #port(port: number): Port {
    const known = this.ports.get(port) ?? {};
    this.ports.set(port, known);
    return known;
  }

  #range(address: number): FakeV86['ranges'][number] {
    const found = this.ranges.find((range) => address >= range.address && address < range.address + range.size);
    if (!found) throw new Error(`nothing is mapped at ${address}`);
    return found;
  }

  /** What is pending in IRR, with its mark in TMR. */
  #takeVectors(): void {
    const words = new Uint32Array(this.memory.buffer, APIC, APIC_SIZE / 4);
    for (let vector = 0; vector < 256; vector++) {
      const bit = 1 << (vector & 31);
      if ((words[16 + (vector >> 5)] & bit) === 0) continue;
      words[16 + (vector >> 5)] &= ~bit;
      this.taken.push(words[32 + (vector >> 5)] & bit ? -vector : vector);
    }
  }
}
