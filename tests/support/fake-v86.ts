// What attachPtnet needs of a v86, without an emulator: a PCI bus, ports, memory-mapped ranges, RAM and a local APIC that
// note what is done to them.

/** Address of guest-physical 0 in the memory. */
export const RAM_BASE = 0x20000;
const APIC = 0x8000;
const APIC_SIZE = 184;
const GRANULE = 0x20000;
export const FAKE_RAM = 1 << 20;

interface Device {
  readonly pci_id: number;
  readonly pci_space: number[];
  readonly pci_bars: ({ size: number } | undefined)[];
  readonly name: string;
}

type Access = (address: number, value: number) => number;
type PortAccess = (value: number) => number;
type Port = Partial<Record<`${'read' | 'write'}${1 | 2 | 4}`, PortAccess>>;

export class FakeV86 {
  readonly ports: Port[] = [];
  /** Handlers of physical memory, by address over the granule. */
  readonly maps = { read8: [] as Access[], write8: [] as Access[], read32: [] as Access[], write32: [] as Access[] };
  /** Bytes mapped by each call. */
  readonly ranges: { address: number; size: number }[] = [];
  readonly devices: (Device & { space: Int32Array })[] = [];
  /** As v86's: it grows, and has no maximum. */
  readonly memory: WebAssembly.Memory;
  /** Bytes of RAM that the firmware is told of. */
  announced: number | undefined;
  /** Vectors that the CPU was told to look at, and pulses of the pin. */
  readonly taken: number[] = [];
  readonly pulses: string[] = [];
  onHandle: () => void = () => {};
  /** Called in the middle of each change that is made to the emulator. */
  onChange: () => void = () => {};
  rebooted = 0;
  readonly v86: { cpu: Record<string, unknown> };

  constructor(ram = FAKE_RAM) {
    const memory = new WebAssembly.Memory({ initial: (RAM_BASE + ram) / 65536 });
    this.memory = memory;
    this.ram = { ...this.ram, size: ram };
    const devices: unknown[] = [];
    const device_spaces: unknown[] = [];
    const { maps, ports } = this;
    const cpu = {
      memory_map_read8: maps.read8,
      memory_map_write8: maps.write8,
      memory_map_read32: maps.read32,
      memory_map_write32: maps.write32,
      wasm_memory: memory,
      mem8: { byteOffset: RAM_BASE },
      memory_size: Int32Array.of(ram),
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
        rtc: { cmos_write: (index: number, value: number) => this.#cmos(index, value) },
        pci: {
          devices,
          device_spaces,
          register_device: (device: Device) => {
            const space = new Int32Array(Uint8Array.from(device.pci_space).buffer);
            device_spaces[device.pci_id] = space;
            this.onChange();
            devices[device.pci_id] = device;
            this.devices.push({ ...device, space });
            return space;
          },
          pci_write8: (at: number, value: number) => this.#writeConfig(at, 1, value),
          pci_write16: (at: number, value: number) => this.#writeConfig(at, 2, value),
          pci_write32: (at: number, value: number) => this.#writeConfig(at, 4, value),
          raise_irq: (id: number) => this.pulses.push(`+${id >> 3}`),
          lower_irq: (id: number) => this.pulses.push(`-${id >> 3}`),
        },
      },
      io: {
        ports,
        register_read: (port: number, _device: object, r8: PortAccess, r16: PortAccess, r32: PortAccess) => {
          this.#port(port).read1 = r8;
          this.onChange();
          Object.assign(this.#port(port), { read1: r8, read2: r16, read4: r32 });
        },
        register_write: (port: number, _device: object, w8: PortAccess, w16: PortAccess, w32: PortAccess) => {
          this.#port(port).write1 = w8;
          this.onChange();
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
          for (let at = address; at < address + size; at += GRANULE) {
            maps.read8[at / GRANULE] = read8;
            maps.write8[at / GRANULE] = write8;
            this.onChange();
            maps.read32[at / GRANULE] = read32;
            maps.write32[at / GRANULE] = write32;
          }
          this.ranges.push({ address, size });
        },
      },
    };
    this.v86 = { cpu };
  }

  readonly listeners = new Map<string, (frame: Uint8Array) => void>();
  /** What was sent over the bus. */
  readonly sent: [string, Uint8Array][] = [];
  /** Called when something is. */
  onSend: () => void = () => {};
  readonly bus = {
    send: (event: string, data: Uint8Array): void => {
      this.onSend();
      this.sent.push([event, data]);
    },
  };

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
    return this.ports[port]?.[`read${size}`]?.(port) ?? -1;
  }

  out(port: number, size: 1 | 2 | 4, value: number): void {
    this.ports[port]?.[`write${size}`]?.(value);
  }

  /** A load of the guest from a memory BAR; v86 gives addresses as signed words. */
  load(address: number, size: 1 | 4): number {
    const { read8, read32 } = this.maps;
    return mapped(size === 1 ? read8 : read32, address)(address | 0, 0) >>> 0;
  }

  store(address: number, size: 1 | 4, value: number): void {
    const { write8, write32 } = this.maps;
    mapped(size === 1 ? write8 : write32, address)(address | 0, value);
  }

  ram = {
    size: FAKE_RAM,
    load: (address: number): number => new DataView(this.memory.buffer).getInt32(RAM_BASE + address, true),
    store: (address: number, value: number): void =>
      new DataView(this.memory.buffer).setInt32(RAM_BASE + address, value, true),
  };

  /** The guest writes to the configuration space of a function, through the bus. */
  configure(name: string, offset: number, size: 1 | 2 | 4, value: number, n = 0): void {
    const { pci } = this.v86.cpu['devices'] as { pci: Record<string, (at: number, value: number) => void> };
    pci[`pci_write${8 * size}`]((0x80000000 | (this.device(name, n).pci_id << 8) | offset) >> 0, value);
  }

  #cmos(index: number, value: number): void {
    const units = ((this.announced ?? 16 << 20) - (16 << 20)) / 65536;
    if (index === 0x34) this.announced = (16 << 20) + ((units & 0xff00) | value) * 65536;
    if (index === 0x35) this.announced = (16 << 20) + ((units & 0xff) | (value << 8)) * 65536;
  }

  /** v86 lets the guest write everything. */
  #writeConfig(address: number, size: 1 | 2 | 4, value: number): void {
    const device = this.devices.find(({ pci_id }) => pci_id === ((address >>> 8) & 0xffff));
    const bytes = new Uint8Array(device?.space.buffer ?? new ArrayBuffer(256));
    for (let i = 0; i < size; i++) bytes[(address & 0xff) + i] = value >>> (8 * i);
  }

  /** What can be seen of the emulator: to be compared with what it was. */
  get state(): object {
    const { pci } = this.v86.cpu['devices'] as { pci: Record<string, object> };
    const { devices, device_spaces, ...functions } = pci;
    const { reboot_internal } = this.v86.cpu;
    const { read8, write8, read32, write32 } = this.maps;
    const ports = this.ports.map((port) => ({ ...port }));
    const lists = [ports, read8, write8, read32, write32, devices, device_spaces, functions, { reboot_internal }];
    return lists.map((list) => Object.entries(list));
  }

  #port(port: number): Port {
    this.ports[port] ??= {};
    return this.ports[port];
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

/** The handler of an address. */
function mapped(map: readonly Access[], address: number): Access {
  const handler = map[Math.floor(address / GRANULE)];
  if (!handler) throw new Error(`nothing is mapped at ${address}`);
  return handler;
}
