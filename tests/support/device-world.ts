// The host's side of passed-through ports without a control thread: an arena, its registry and port table, one thread, and
// RAM for a guest. For tests of the device model and of the kernel loop.

import { NR_EXCLUSIVE, NR_NO_TX_POLL, SCRATCH_SIZE, THREAD_SCRATCH } from '../../src/abi.js';
import type { LoopMode } from '../../src/kloop/loop.js';
import { ArenaOwner } from '../../src/memory/arena.js';
import { HostPort } from '../../src/netmap/host-port.js';
import { type OpenOptions, type OpenPort, PortTable } from '../../src/netmap/register.js';
import { Registry } from '../../src/netmap/registry.js';
import { PtnetDevice, type Translate } from '../../src/ptnet/device.js';
import { Thread } from '../../src/threads/thread.js';

export const BUF_SIZE = 128;
export const RAM_SIZE = 65536;
/** Guest-physical address of the first byte of RAM. */
export const RAM_GPA = 0x10000;
export const MAC = Uint8Array.of(0x02, 0x50, 0x54, 0xaa, 0xbb, 0xcc);

export class DeviceWorld {
  readonly arena: ArenaOwner;
  readonly thread: Thread;
  readonly ports: PortTable;
  /** Address of the guest's RAM. */
  readonly ram: number;
  /** What the translator was asked for: guest-physical address and length. */
  readonly asked: [number, number][] = [];
  /** The translator; it may be replaced. */
  translate: Translate = (gpa, length) => {
    const at = gpa - RAM_GPA;
    return at >= 0 && at + length <= RAM_SIZE ? this.ram + at : undefined;
  };

  constructor(shared = true) {
    this.arena = ArenaOwner.create({ memorySize: 1 << 24, shared });
    this.thread = Thread.claim(this.arena, 0, false);
    const scratch = this.arena.alloc(SCRATCH_SIZE, 'scratch');
    this.arena.store(this.thread.ptr + THREAD_SCRATCH, scratch);
    const privatePools = { priv_buf_size: BUF_SIZE, priv_buf_num: 4, priv_ring_size: 512, priv_ring_num: 2 };
    const pools = { if_size: 512, if_num: 16, ring_size: 512, ring_num: 128, buf_size: BUF_SIZE, buf_num: 1024 };
    this.ports = new PortTable(new Registry(this.arena, { privatePools, pools }));
    this.ram = this.arena.allocRegion(RAM_SIZE, 'guest RAM');
  }

  open(spec: string, options: OpenOptions = {}): Promise<OpenPort> {
    return this.ports.open(spec, { txSlots: 8, rxSlots: 8, ...options }, this.thread.id);
  }

  /** Opens a port as the device does. */
  openExclusive(spec: string, options: OpenOptions = {}): Promise<OpenPort> {
    return this.open(spec, { ...options, flags: NR_EXCLUSIVE | NR_NO_TX_POLL });
  }

  async hostPort(spec: string, options: OpenOptions = {}): Promise<HostPort> {
    const { info } = await this.open(spec, options);
    return new HostPort(this.thread, info, { close: () => this.ports.close(info.fd), call: async () => {} });
  }

  device(port: OpenPort, mode: LoopMode = 'direct'): PtnetDevice {
    return new PtnetDevice(this.arena, port, {
      mode,
      mac: MAC,
      translate: (gpa, length) => {
        this.asked.push([gpa, length]);
        return this.translate(gpa, length);
      },
      threads: () => ({ loop: this.thread.ptr, guest: this.thread.ptr }),
    });
  }

  /** The words of a CSB entry at an address: the first four of its sixteen. */
  entry(address: number, i: number): number[] {
    return [0, 4, 8, 12].map((field) => this.arena.load(address + 64 * i + field));
  }
}
