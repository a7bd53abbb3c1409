// A host inside the memory of an emulator: the region lies in a window of the guest's RAM, so that the guest's accesses to
// rings and buffers are plain loads and stores; private state lies in pages of that memory which are no guest RAM. Each
// device has one end of a pipe, and a cable joins the other end with the real port, in the other memory.

import { NR_EXCLUSIVE } from '../abi.js';
import { type Cable, joinPorts } from '../cable/cable.js';
import type { Guest } from '../control/guests.js';
import { Netmap } from '../control/netmap.js';
import type { PassthroughOptions } from '../control/operations.js';
import { netmapError } from '../errors.js';
import { type GlobalPoolParams, globalRegionPools, POOL_LIMITS, RESERVED_BUFS, regionLayout } from '../memory/pools.js';
import { GLOBAL_MEM_ID } from '../memory/region.js';
import type { HostPort } from '../netmap/host-port.js';
import type { HostedMachine } from '../ptnet/driver-machine.js';

/** A port of a host, for a guest that is to have its rings in its own RAM. */
export interface WindowPort extends PassthroughOptions {
  readonly netmap: Netmap;
  readonly name: string;
}

/** Where an emulator has its guest's RAM. */
export interface WindowSpace {
  readonly memory: WebAssembly.Memory;
  /** Address of guest-physical 0, a multiple of 4096. It stays the same when the memory grows. */
  readonly base: number;
  /** Bytes of RAM that the guest knows of, now: where a CSB may be. */
  ramSize(): number;
  /** Sets that, before the guest runs. @throws NetmapError ENOSPC: too little */
  announce(ramSize: number): void;
}

const WASM_PAGE = 65536;
const RING_HEADER = 256;
const SLOT = 16;
const IF_SIZE = 1024;
/** Private state: the threads' table, scratch memory, rings' twins and leases. */
const PRIVATE_SIZE = 4 << 20;

export class RamWindow {
  readonly guest: Guest;
  readonly machine: HostedMachine;
  /** One a port: `a` is the guest's side. */
  readonly cables: readonly Cable[];
  /** Address and bytes of the window, guest-physical. */
  readonly address: number;
  readonly size: number;
  readonly #netmap: Netmap;
  readonly #real: readonly HostPort[];

  private constructor(
    netmap: Netmap,
    guest: Guest,
    machine: HostedMachine,
    { cables, real, address, size }: Pick<RamWindow, 'cables' | 'address' | 'size'> & { real: readonly HostPort[] },
  ) {
    this.#netmap = netmap;
    this.guest = guest;
    this.machine = machine;
    this.cables = cables;
    this.#real = real;
    this.address = address;
    this.size = size;
  }

  /**
   * Opens the ports, and makes a host with a device for each in the guest's memory.
   * @throws NetmapError EINVAL (a loop mode that needs another thread), ENOMEM (the memory does not grow), what
   *   `space.announce` and `Netmap.open` throw
   */
  static async open(ports: readonly WindowPort[], space: WindowSpace): Promise<RamWindow> {
    for (const { loop = 'direct', name } of ports) {
      if (loop === 'direct') continue;
      const why = `loop mode '${loop}' needs memory that is shared between threads`;
      throw netmapError('EINVAL', why, { op: 'attachPtnet', port: name });
    }
    const undo: (() => Promise<unknown>)[] = [];
    try {
      const real: HostPort[] = [];
      for (const { netmap, name, loop: _, mac: __, dataModel: ___, ...options } of ports) {
        const port = await netmap.open(name, { ...options, flags: (options.flags ?? 0) | NR_EXCLUSIVE });
        undo.push(() => port.close());
        real.push(port);
      }
      const pools = poolsFor(real);
      const { ifPool, ringPool, bufPool } = globalRegionPools(pools);
      const { memsize } = regionLayout(ifPool, ringPool, bufPool);
      const size = Math.max(WASM_PAGE, 2 ** Math.ceil(Math.log2(memsize)));
      const before = space.ramSize();
      const address = (Math.floor(before / size) - 1) * size;
      space.announce(address);
      undo.push(async () => space.announce(before));
      const { memory } = space;
      const netmap = await Netmap.create({
        memory,
        privateRange: { base: addPages(memory), size: PRIVATE_SIZE },
        regionRange: { base: space.base + address, size },
        pools,
      });
      undo.push(() => netmap.close());
      // Asked each time that the guest writes an address, which may be any number of 64 bits.
      const translate = (gpa: number, length: number): number | undefined =>
        gpa >= 0 && gpa + length <= space.ramSize() ? space.base + gpa : undefined;
      const guest = await netmap.createGuest({ translate });
      const cables: Cable[] = [];
      for (const [i, port] of real.entries()) {
        const counts = countsOf(port);
        const pipe = (end: '{' | '}'): string => `netmap:w${i}${end}1@${GLOBAL_MEM_ID}`;
        const { mac = randomAddress() } = ports[i];
        await guest.passthrough(pipe('{'), { ...counts, mac, loop: 'direct', dataModel: 'i386', shareRegion: true });
        const end = await netmap.open(pipe('}'), { ...counts, shareRegion: true });
        const cable = joinPorts(end, port);
        undo.push(() => cable.close());
        cables.push(cable);
      }
      const machine = await guest.machine();
      return new RamWindow(netmap, guest, machine, { cables, real, address, size });
    } catch (error) {
      await all(undo.reverse()).catch(() => {}); // the first error is the one to tell
      throw error;
    }
  }

  /** A doorbell of device `i` was rung: what its rings hold passes on now, while the guest's instruction is under way. */
  kicked(i: number): void {
    this.cables[i].pump();
    this.machine.waiting.service();
  }

  /** Ends cables, devices and the host in the window; the real ports are free again, also where one of these fails. */
  async close(): Promise<void> {
    await all([...this.cables, this.#netmap, ...this.#real].map((part) => () => part.close()));
  }
}

/** Takes all steps, one after the other, also when one fails. @throws what the first one has thrown that failed */
async function all(steps: readonly (() => Promise<unknown>)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const step of steps) await step().catch((error: unknown) => errors.push(error));
  if (errors.length !== 0) throw errors[0];
}

/** Rings as those of the real port; at least one in each direction. */
function countsOf({ txRings, rxRings, info }: HostPort) {
  const { txSlots, rxSlots } = info;
  return { txRings: Math.max(1, txRings.length), rxRings: Math.max(1, rxRings.length), txSlots, rxSlots };
}

/** A region with just the rings and buffers of these ports. Both ends of a pipe share its buffers. */
function poolsFor(ports: readonly HostPort[]): GlobalPoolParams {
  const counts = ports.map(countsOf);
  const rings = counts.reduce((n, { txRings, rxRings }) => n + txRings + rxRings, 0);
  const slots = counts.reduce(
    (n, { txRings, txSlots, rxRings, rxSlots }) => n + txRings * txSlots + rxRings * rxSlots,
    0,
  );
  const most = Math.max(...counts.flatMap(({ txSlots, rxSlots }) => [txSlots, rxSlots]));
  const bufSize = Math.max(...ports.flatMap(({ txRings, rxRings }) => [...txRings, ...rxRings].map((r) => r.bufSize)));
  return {
    if_num: Math.max(POOL_LIMITS.if.minNum, 2 * ports.length),
    if_size: IF_SIZE,
    ring_num: 2 * rings,
    ring_size: RING_HEADER + SLOT * most,
    buf_num: slots + RESERVED_BUFS,
    buf_size: bufSize,
  };
}

/** Pages behind what the emulator has: its own allocator goes on behind them. @throws NetmapError ENOMEM */
function addPages(memory: WebAssembly.Memory): number {
  try {
    return memory.grow(PRIVATE_SIZE / WASM_PAGE) * WASM_PAGE;
  } catch {
    throw netmapError('ENOMEM', "the emulator's memory does not grow", { op: 'attachPtnet' });
  }
}

/** A locally administered address: hosts do not know each other's, and their guests may meet on a switch. */
function randomAddress(): number[] {
  return [0x02, ...crypto.getRandomValues(new Uint8Array(5))];
}
