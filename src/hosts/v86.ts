// ptnet devices inside v86, the x86 emulator: `attachPtnet` puts ptnetmap-memdev and ptnet on its PCI bus.

import {
  PTNET_IO_KICK_BASE,
  PTNET_IO_SIZE,
  PTNET_MDEV_IO_SIZE,
  PTNETMAP_PCI_DEVICE_ID,
  PTNETMAP_PCI_NETIF_ID,
} from '../abi.js';
import type { Cable } from '../cable/cable.js';
import type { Guest } from '../control/guests.js';
import type { Netmap } from '../control/netmap.js';
import type { PassthroughOptions } from '../control/operations.js';
import { netmapError } from '../errors.js';
import type { HostedMachine, PciFunction } from '../ptnet/driver-machine.js';
import { deliverMsi } from './msi.js';
import { MSIX_BAR_SIZE } from './msix.js';
import {
  type Bar,
  COMMAND,
  COMMAND_INTX_DISABLE,
  configSpace,
  MSIX_CONTROL,
  type PciConfig,
  protectConfig,
  resetConfig,
} from './pci-config.js';
import { PtnetFunction } from './ptnet-function.js';
import { RamWindow } from './ram-window.js';
import { regionWindow } from './region-window.js';
import { type BarHandlers, MMIO_GRANULE, type V86Emulator, V86Machine } from './v86-emulator.js';
import { ramSpace } from './v86-ram.js';

/** A port of the host that a guest is to have. */
export interface V86Port extends PassthroughOptions {
  readonly netmap: Netmap;
  /** Its netmap(4) name. */
  readonly name: string;
}

/** How a guest reaches rings and buffers. */
export interface V86Options {
  /**
   * `mmio`, the default: each access is a call into the host, and the guest sees its region of the host's memory.
   *
   * `ram`: accesses are the guest's own loads and stores, many times faster. The region lies in RAM at the end of the
   * emulator's memory, which the guest is not told of, and a cable carries the frames: the guest sees those only. Linux
   * wants the kernel parameter `pci=nocrs` then.
   */
  readonly window?: 'mmio' | 'ram';
}

/** What has been put into an emulator. */
export interface V86Ptnet {
  readonly guest: Guest;
  /** With a RAM window, the cables between the guest's memory (`a`) and the ports (`b`), in the ports' order. */
  readonly cables: readonly Cable[];
  /** Interrupt messages that the guest had told the devices to send, and that no local APIC takes. */
  readonly lostMessages: number;
  /** Accesses of the guest that failed in the host, and read as all ones. Must stay 0. */
  readonly faults: number;
  /** Takes the ports away. The devices stay on the bus, and do not answer any more. */
  close(): Promise<void>;
}

/** The first PCI device number that is tried: below are v86's own. */
const FIRST_SLOT = 19;
const LAST_SLOT = 29;
/** Where BARs are put: v86's memory BARs do not move, so these are in the window that SeaBIOS tells of. */
const FIRST_MEMORY = 0x80000000;
const MEMORY_END = 0xe0000000;
const FIRST_IO = 0xd000;
const IO_END = 0xe000;

/** What of an emulator's bus is given away. */
interface Bus {
  memory: number;
  io: number;
}
const buses = new WeakMap<object, Bus>();

/**
 * Puts a ptnet device for each port on the PCI bus of a v86, and a memdev for each region. The emulator must be ready and
 * not have run yet (`autostart: false`, `'emulator-ready'`), and have an APIC (`acpi: true`).
 *
 * The guest sees its region, and no other part of a host's memory. Ports are opened with the layout for i386 and, unless
 * `loop` says otherwise, served by the emulator's own thread. If it fails, the emulator and the host are as they were, but for
 * the pages that a RAM window has added to the emulator's memory, which cannot shrink.
 * @throws NetmapError EINVAL (not ready, no ACPI, no ports, ports of different hosts, a loop mode that a RAM window has not),
 *   EOPNOTSUPP (another version of v86), ENOSPC (no place on the bus, or in RAM), and what `Netmap.open` throws
 */
export async function attachPtnet(
  emulator: V86Emulator,
  ports: V86Port | readonly V86Port[],
  { window = 'mmio' }: V86Options = {},
): Promise<V86Ptnet> {
  const all = [ports].flat() as V86Port[];
  if (all.length === 0) throw netmapError('EINVAL', 'no ports', { op: 'attachPtnet' });
  const v86 = new V86Machine(emulator);
  const [{ netmap }] = all;
  if (all.some((port) => port.netmap !== netmap)) {
    throw netmapError('EINVAL', 'the ports are of different hosts', { op: 'attachPtnet' });
  }
  const space = ramSpace(v86);
  const ramSize = space.ramSize();
  const given = window === 'ram' ? await RamWindow.open(all, space) : await passThrough(netmap, all);
  try {
    const bus = { ...(buses.get(v86.cpu) ?? { memory: FIRST_MEMORY, io: FIRST_IO }) };
    const attachment = v86.whole(() => new Attachment(v86, bus, given, all));
    buses.set(v86.cpu, bus);
    given.machine.serve(attachment.signal);
    return {
      guest: given.guest,
      cables: given.cables,
      get lostMessages() {
        return attachment.lostMessages;
      },
      get faults() {
        return v86.faults;
      },
      close: async () => {
        attachment.close();
        await given.close();
      },
    };
  } catch (error) {
    await given.close();
    if (window === 'ram') space.announce(ramSize);
    throw error;
  }
}

/** A guest with its devices, and where its region is, if that is in its RAM. */
interface Given {
  readonly guest: Guest;
  readonly machine: HostedMachine;
  readonly cables: readonly Cable[];
  /** Guest-physical. */
  readonly address?: number;
  readonly size?: number;
  kicked?(device: number): void;
  close(): Promise<void>;
}

/** A guest of the ports' own host. */
async function passThrough(netmap: Netmap, ports: readonly V86Port[]): Promise<Given> {
  const guest = await netmap.createGuest({ ramSize: 4096 * ports.length });
  try {
    for (const { name, netmap: _, ...options } of ports) {
      await guest.passthrough(name, { dataModel: 'i386', loop: 'direct', ...options });
    }
    return { guest, machine: await guest.machine(), cables: [], close: () => guest.close() };
  } catch (error) {
    await guest.close();
    throw error;
  }
}

class Attachment {
  lostMessages = 0;
  readonly #v86: V86Machine;
  readonly #bus: Bus;
  readonly #devices: PtnetFunction[] = [];
  readonly #given: Given;
  readonly #stop = new AbortController();

  constructor(v86: V86Machine, bus: Bus, given: Given, ports: readonly V86Port[]) {
    const { machine } = given;
    this.#v86 = v86;
    this.#bus = bus;
    this.#given = given;
    v86.answerHotplug();
    for (const device of machine.functions) {
      if (device.deviceId === PTNETMAP_PCI_DEVICE_ID) this.#addMemdev(machine, device);
      if (device.deviceId !== PTNETMAP_PCI_NETIF_ID) continue;
      const page = this.#devices.length;
      const { loop } = ports[page];
      this.#addDevice(machine, device, page, loop !== undefined && loop !== 'direct');
    }
  }

  /** Aborts at the end. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  close(): void {
    this.#stop.abort();
    for (const device of this.#devices) device.close();
  }

  #addMemdev(machine: HostedMachine, device: PciFunction): void {
    const { base, size } = device.memoryBar ?? { base: 0, size: 0 };
    const io = this.#ioBar(PTNET_MDEV_IO_SIZE);
    const memory = this.#windowBar() ?? this.#memoryBar(Math.max(MMIO_GRANULE, 2 ** Math.ceil(Math.log2(size))), true);
    if (memory.address >= FIRST_MEMORY) {
      this.#v86.mapMemory(memory.address, memory.size, regionWindow(machine, base, size));
    }
    this.#v86.mapPorts(io.address, io.size, registers(device));
    this.#register('ptnetmap-memdev', { ...identity(device), classCode: 0xff0000, bars: [io, memory] });
  }

  #addDevice(machine: HostedMachine, device: PciFunction, page: number, concurrent: boolean): void {
    const v86 = this.#v86;
    const io = this.#ioBar(PTNET_IO_SIZE);
    const table = this.#memoryBar(MSIX_BAR_SIZE, false);
    const { vectors } = device;
    const config: PciConfig = {
      ...identity(device),
      classCode: 0x020000,
      bars: [io, null, table],
      msix: { vectors, bar: 2 },
    };
    let space: Int32Array | undefined;
    const model = new PtnetFunction(
      machine,
      device,
      {
        ram: v86.ram,
        msixControl: () => (space ? space[MSIX_CONTROL >>> 2] >>> 16 : 0),
        sendMessage: (address, data) => {
          if (!deliverMsi(address, data, (vector) => v86.deliver(vector))) this.lostMessages++;
        },
        pulseIntx: () => {
          if (space && (space[COMMAND >>> 2] & COMMAND_INTX_DISABLE) === 0) v86.pulseIntx(pciId);
        },
      },
      this.#given.kicked ? undefined : page,
      concurrent,
    );
    v86.mapPorts(io.address, io.size, this.#kicking(page, registers(model)));
    const msix: BarHandlers = {
      read: (offset, size) => model.msixRead(offset, size),
      write: (offset, size, value) => model.msixWrite(offset, size, value),
    };
    v86.mapMemory(table.address, table.size, v86.guarded(msix));
    const { pciId, space: registered } = this.#register('ptnet', config, () => model.msixChanged());
    space = registered;
    this.#devices.push(model);
    v86.onReset(() => model.reset());
  }

  /** Registers whose doorbells are told of. */
  #kicking(device: number, bar: BarHandlers): BarHandlers {
    const given = this.#given;
    if (!given.kicked) return bar;
    return {
      read: bar.read,
      write: (offset, size, value) => {
        bar.write(offset, size, value);
        if (offset >= PTNET_IO_KICK_BASE) given.kicked?.(device);
      },
    };
  }

  /** A function on the bus. `written` is called when its configuration has been. */
  #register(name: string, config: PciConfig, written = () => {}): { pciId: number; space: Int32Array } {
    let slot = FIRST_SLOT;
    while (this.#v86.hasFunction(slot << 3)) slot++;
    if (slot > LAST_SLOT) throw netmapError('ENOSPC', 'no slot is left on the PCI bus', { op: 'attachPtnet' });
    const pciId = slot << 3;
    const space = this.#v86.addFunction({
      pci_id: pciId,
      pci_space: [...configSpace(config)],
      pci_bars: config.bars.map((bar) => (bar ? { size: bar.size } : undefined)),
      name,
    });
    const initial = Int32Array.from(space);
    this.#v86.onConfigWrite(pciId, () => {
      protectConfig(space, initial, config);
      written();
    });
    this.#v86.onReset(() => resetConfig(space, initial, config));
    return { pciId, space };
  }

  #ioBar(size: number): Bar {
    const address = this.#bus.io;
    if (address + size > IO_END) throw netmapError('ENOSPC', 'no I/O ports are left', { op: 'attachPtnet' });
    this.#bus.io += PTNET_IO_SIZE;
    return { kind: 'io', address, size };
  }

  /** The BAR over a RAM window: what v86 has there is RAM, so nothing is mapped. */
  #windowBar(): Bar | undefined {
    const { address, size } = this.#given;
    if (address === undefined || size === undefined) return undefined;
    return { kind: 'memory', address, size, prefetchable: true };
  }

  #memoryBar(size: number, prefetchable: boolean): Bar {
    const mapped = Math.max(size, MMIO_GRANULE);
    const address = Math.ceil(this.#bus.memory / mapped) * mapped;
    if (address + mapped > MEMORY_END) {
      throw netmapError('ENOSPC', `no ${mapped} bytes are left for a memory BAR`, { op: 'attachPtnet' });
    }
    this.#bus.memory = address + mapped;
    return { kind: 'memory', address, size, prefetchable };
  }
}

const identity = ({ vendorId, deviceId }: PciFunction): { vendorId: number; deviceId: number } => ({
  vendorId,
  deviceId,
});

const registers = (of: Pick<PciFunction, 'ioRead' | 'ioWrite'>): BarHandlers => ({
  read: (offset, size) => of.ioRead(offset, size),
  write: (offset, size, value) => of.ioWrite(offset, size, value),
});
