// A guest as the host knows it: its RAM, and the devices on its bus. Control thread only.

import { NETMAP_PAGE_SIZE } from '../abi.js';
import { netmapError } from '../errors.js';
import type { LoopMode } from '../kloop/loop.js';
import type { ArenaOwner, MemoryRange } from '../memory/arena.js';
import type { OpenPort } from '../netmap/register.js';
import { PtnetDevice, type Translate } from '../ptnet/device.js';
import { PtnetMemdev } from '../ptnet/memdev.js';
import type { GivenTunables } from '../tunables/check.js';
import { resolveTunables } from '../tunables/resolve.js';
import { DEFAULT_TUNABLES, type Tunables } from '../tunables/table.js';

/** How a guest is made. */
export interface GuestOptions {
  /** Bytes of RAM: three pages a device. Default 384 KiB, for 32 devices. */
  readonly ramSize?: number;
  /**
   * For an embedder whose guest has RAM of its own in the host's memory: turns a guest-physical range into an address
   * there, or refuses it with undefined. No RAM is then made. Asked each time that the guest writes a CSB address.
   * Control thread only.
   */
  readonly translate?: Translate;
  /** Tunables of the guest's kernel. Default: those of the host. */
  readonly tunables?: GivenTunables;
}

/** A PCI function as the guest's thread needs to know it; plain data. */
export interface FunctionInfo {
  readonly vendorId: number;
  readonly deviceId: number;
  readonly vectors: number;
  readonly memoryBar: { readonly base: number; readonly size: number } | null;
  /** Address of the device's struct kloop: where its doorbells go. 0 for a memdev. */
  readonly loop: number;
}

export interface GuestInfo {
  readonly id: number;
  readonly ram: MemoryRange;
  readonly functions: readonly FunctionInfo[];
  /** Of the guest's kernel. */
  readonly tunables: Tunables;
}

const DEFAULT_RAM = 96 * NETMAP_PAGE_SIZE;
/** Guest-physical address of the first byte of RAM: address 0 means "none" in the CSB registers. */
const RAM_GPA = NETMAP_PAGE_SIZE;

export class GuestRecord {
  readonly id: number;
  readonly ram: MemoryRange;
  readonly #arena: ArenaOwner;
  readonly #functions: (PtnetDevice | PtnetMemdev)[] = [];
  /** Record of the thread that the guest runs in. */
  thread: number;
  /** The host has closed it; what is left waits for its thread to end. */
  closing = false;

  readonly #translate: Translate;
  readonly #tunables: Tunables;

  /** @param host tunables of the host, which the guest's default to */
  constructor(arena: ArenaOwner, id: number, thread: number, options: GuestOptions, host: Tunables = DEFAULT_TUNABLES) {
    const { translate, ramSize = translate ? 0 : DEFAULT_RAM } = options;
    if (!translate && (!Number.isSafeInteger(ramSize) || ramSize < NETMAP_PAGE_SIZE || ramSize > 1 << 30)) {
      throw netmapError('EINVAL', `ramSize ${ramSize} is not within 4 KiB..1 GiB`, { op: 'createGuest' });
    }
    this.#arena = arena;
    this.#tunables = resolveTunables({ defaults: host, values: options.tunables ?? {} });
    this.id = id;
    this.thread = thread;
    this.ram = { base: translate ? 0 : arena.allocRegion(ramSize, `RAM of guest ${id}`), size: ramSize };
    this.#translate = translate ?? ((gpa, length) => this.#ramAddress(gpa, length));
  }

  get devices(): PtnetDevice[] {
    return this.#functions.filter((f) => f instanceof PtnetDevice);
  }

  /** Puts a ptnet device for an open port on the bus, and a memdev if its region has none yet. */
  addDevice(open: OpenPort, mode: LoopMode, mac: Uint8Array, loopThread: () => number): PtnetDevice {
    const device = new PtnetDevice(this.#arena, open, {
      mode,
      mac,
      translate: this.#translate,
      threads: () => ({ loop: mode === 'direct' ? this.thread : loopThread(), guest: this.thread }),
    });
    const { region } = open.adapter;
    const known = this.#functions.some((f) => f instanceof PtnetMemdev && f.region === region);
    if (!known) this.#functions.push(new PtnetMemdev(region));
    this.#functions.push(device);
    return device;
  }

  /** The function with this index on the bus. @throws NetmapError ENXIO */
  functionAt(index: number): PtnetDevice | PtnetMemdev {
    const found = this.#functions[index];
    if (!found) throw netmapError('ENXIO', `guest ${this.id} has no function ${index}`, { op: 'io' });
    return found;
  }

  info(): GuestInfo {
    const functions = this.#functions.map((f): FunctionInfo => {
      const { vendorId, deviceId } = f;
      if (f instanceof PtnetDevice)
        return { vendorId, deviceId, vectors: f.vectors, memoryBar: null, loop: f.loop.ptr };
      const { base, size } = f.memoryBar;
      return { vendorId, deviceId, vectors: 0, memoryBar: { base, size }, loop: 0 };
    });
    return { id: this.id, ram: this.ram, functions, tunables: this.#tunables };
  }

  /** Stops all loops and forgets what the guest has set up: the guest's thread has died, or another takes over. */
  reset(): void {
    for (const device of this.devices) device.reset();
  }

  /** Stops all loops for good. Nobody touches them or the RAM any more once the registry is quiescent: then `free`. */
  stop(): void {
    for (const device of this.devices) device.stop();
  }

  free(): void {
    for (const device of this.devices) device.free();
    if (this.ram.size !== 0) this.#arena.freeRegion(this.ram.base);
  }

  #ramAddress(gpa: number, length: number): number | undefined {
    const at = gpa - RAM_GPA;
    return at >= 0 && at + length <= this.ram.size ? this.ram.base + at : undefined;
  }
}
