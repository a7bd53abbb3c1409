// A host with small regions, and a program that makes requests to its device.

import assert from 'node:assert/strict';
import { NIOCCTRL } from '../../src/abi.js';
import { Netmap } from '../../src/control/netmap.js';
import { errnoName } from '../../src/errors.js';
import type { DeviceOptions, NetmapFile } from '../../src/ioctl/netmap-file.js';
import { type HeaderFields, Program, type Reply } from './program.js';

const privatePools = { priv_buf_size: 128, priv_buf_num: 4, priv_ring_size: 512, priv_ring_num: 2 };
const pools = { if_size: 512, if_num: 16, ring_size: 512, ring_num: 128, buf_size: 128, buf_num: 1024 };
/** Slots that keep regions small. */
export const SLOTS = { txSlots: 8, rxSlots: 8 };
const MEMORY = 1 << 24;
const PRIVATE = 1 << 23;
/** Where a program lies that shares the arena's memory. */
export const PROGRAM = { base: PRIVATE, size: 1 << 16 };

export class IoctlWorld {
  readonly netmap: Netmap;
  readonly program: Program;
  readonly file: NetmapFile;

  private constructor(netmap: Netmap, program: Program, file: NetmapFile) {
    this.netmap = netmap;
    this.program = program;
    this.file = file;
  }

  /** With a program that has a memory of its own or, `inArena`, a window of the arena's. */
  static async create(inArena = false, device: DeviceOptions = {}, threads = 0): Promise<IoctlWorld> {
    const memory = new WebAssembly.Memory({ initial: MEMORY >>> 16, maximum: MEMORY >>> 16, shared: true });
    const regions = PROGRAM.base + PROGRAM.size;
    const netmap = await Netmap.create({
      memory,
      privateRange: { base: 64, size: PRIVATE - 64 },
      regionRange: { base: regions, size: MEMORY - regions },
      privatePools,
      pools,
      threads,
    });
    if (inArena) {
      const program = new Program(memory.buffer, PROGRAM.base, PROGRAM.size);
      return new IoctlWorld(netmap, program, netmap.openDevice({ ...PROGRAM, ...device }));
    }
    const program = new Program();
    const own = { memory: program.bytes.buffer as ArrayBuffer };
    return new IoctlWorld(netmap, program, netmap.openDevice({ ...own, ...device }));
  }

  /** Another descriptor of the same program. */
  open(options: DeviceOptions = {}): NetmapFile {
    const { program } = this;
    const window = { base: program.base, size: program.bytes.length };
    if (program.base !== 0) return this.netmap.openDevice({ ...window, ...options });
    return this.netmap.openDevice({ memory: program.bytes.buffer as ArrayBuffer, ...options });
  }

  /** Makes a request: its result, as the name of an errno or ''. */
  async ctrl(type: number, fields: HeaderFields = {}, file: NetmapFile = this.file): Promise<string> {
    return named(await file.ioctlAsync(NIOCCTRL, this.program.request(type, fields)));
  }

  /** Makes a request that must succeed: what it comes back with. */
  async get(type: number, fields: HeaderFields = {}, file: NetmapFile = this.file): Promise<Reply> {
    const at = this.program.request(type, fields);
    assert.equal(named(await file.ioctlAsync(NIOCCTRL, at)), '');
    return this.program.reply(at);
  }

  /** Everything that a request which fails must leave as it was. */
  async state(): Promise<unknown> {
    const { ports, ...rest } = await this.netmap.inspect();
    return { ...rest, ports: ports.map(({ counters: _, ...port }) => port) };
  }
}

export const named = (result: number): string => (result === 0 ? '' : errnoName(result));
