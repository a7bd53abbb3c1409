// A guest that means harm. It has what a confined guest has: its registers, its memory BAR, its RAM. It drives its device
// well enough to be taken seriously, and writes anything anywhere in between, while the host works on the same words.
import { abi, type NetmapPort, type PciFunction, type PtnetMachine } from '../../src/index.js';
import { addresses, BROADCAST, mac, writeFrame } from './frames.js';
import { takeFrames } from './ping-pong.js';
import { burn, Random } from './support.js';

const {
  CSB_ATOK_APPL_NEED_KICK,
  CSB_ATOK_CUR,
  CSB_ATOK_HEAD,
  CSB_ENTRY_SIZE,
  CSB_KTOA_HWTAIL,
  NETMAP_PAGE_SIZE,
  NETMAP_RING_SLOT,
  PTNET_IO_CSB_GH_BAH,
  PTNET_IO_CSB_GH_BAL,
  PTNET_IO_CSB_HG_BAH,
  PTNET_IO_CSB_HG_BAL,
  PTNET_IO_KICK_BASE,
  PTNET_IO_NIFP_OFS,
  PTNET_IO_PTCTL,
  PTNET_IO_SIZE,
  PTNET_IO_VNET_HDR_LEN,
  PTNETMAP_PTCTL_CREATE,
  PTNETMAP_PTCTL_DELETE,
} = abi;
const SIZES = [1, 2, 4] as const;

export interface HostileOptions {
  readonly writes: number;
  /** Register accesses are slow: one a so many steps. */
  readonly registersEvery: number;
  readonly seed: number;
}

export type Pressure = 'idle' | 'heads' | 'wrong heads' | 'doorbells';

export class Attacker {
  readonly #random: Random;
  readonly #device: PciFunction;
  readonly #bar: { readonly base: number; readonly size: number };
  readonly #machine: PtnetMachine;
  readonly #sinks: readonly NetmapPort[];
  readonly #u8: Uint8Array;
  readonly #i32: Int32Array;
  readonly #nifp: number;
  readonly #macs: Int32Array[];
  /** Addresses of the rings, tx first, as the directory tells them before anything is spoilt. */
  readonly #rings: number[];
  readonly #slots: number;
  /** Address and size of buffers. */
  readonly #pool: number;
  readonly #bufSize: number;
  readonly #numBufs: number;
  writes = 0;

  /** @param sinks ports of accomplices, who make room for the attacker's frames */
  constructor(machine: PtnetMachine, sinks: readonly NetmapPort[], seed: number) {
    this.#machine = machine;
    this.#sinks = sinks;
    this.#u8 = machine.views.u8;
    this.#i32 = machine.views.i32;
    this.#random = new Random(seed);
    this.#device = machine.functions.find(({ vectors }) => vectors !== 0) as PciFunction;
    const memdev = machine.functions.find(({ memoryBar }) => memoryBar) as PciFunction;
    this.#bar = memdev.memoryBar as { base: number; size: number };
    this.#numBufs = memdev.ioRead(abi.PTNET_MDEV_IO_BUF_POOL_OBJNUM, 4);
    this.#nifp = this.#bar.base + this.#device.ioRead(PTNET_IO_NIFP_OFS, 4);
    const directory = [abi.NETMAP_IF_RING_OFS, abi.NETMAP_IF_RING_OFS + 2 * abi.NETMAP_IF_RING_OFS_SIZE];
    this.#rings = directory.map((entry) => this.#nifp + this.#i32[(this.#nifp + entry) >>> 2]);
    const word = (field: number): number => this.#i32[(this.#rings[0] + field) >>> 2];
    this.#slots = word(abi.NETMAP_RING_NUM_SLOTS);
    this.#pool = this.#rings[0] + word(abi.NETMAP_RING_BUF_OFS);
    this.#bufSize = word(abi.NETMAP_RING_NR_BUF_SIZE);
    // From everywhere but from the neighbours' addresses: a switch believes whom it hears.
    this.#macs = [mac(1), mac(2), BROADCAST, mac(200)].flatMap((to) =>
      [9, 10, 11].map((n) => addresses(to, [2, 0, 0, 0, 0, n])),
    );
  }

  /** Writes `writes` words or bytes. */
  run({ writes, registersEvery }: HostileOptions): void {
    this.#create();
    const random = this.#random;
    const steps = [
      this.#traffic,
      this.#traffic,
      this.#csb,
      this.#csb,
      this.#slot,
      this.#header,
      this.#anywhere,
      this.#frame,
    ];
    while (this.writes < writes) {
      steps[random.below(steps.length)].call(this);
      if (random.below(20) === 0) this.#kick();
      if (random.below(registersEvery) === 0) this.#register();
    }
    this.#device.ioWrite(PTNET_IO_PTCTL, 4, PTNETMAP_PTCTL_DELETE);
  }

  get #atok(): number {
    return this.#machine.ram.base;
  }

  get #ktoa(): number {
    return this.#machine.ram.base + NETMAP_PAGE_SIZE;
  }

  #store(address: number, value: number): void {
    Atomics.store(this.#i32, address >>> 2, value | 0);
    this.writes++;
  }

  #out(register: number, value: number, size: 1 | 2 | 4 = 4): void {
    this.#device.ioWrite(register, size, value);
    this.writes++;
  }

  /** What a driver does. */
  #create(): void {
    this.#out(PTNET_IO_CSB_GH_BAH, 0);
    this.#out(PTNET_IO_CSB_GH_BAL, NETMAP_PAGE_SIZE);
    this.#out(PTNET_IO_CSB_HG_BAH, 0);
    this.#out(PTNET_IO_CSB_HG_BAL, 2 * NETMAP_PAGE_SIZE);
    this.#out(PTNET_IO_PTCTL, PTNETMAP_PTCTL_CREATE);
  }

  /** Sends what is free and releases what has come, as a driver would, so that the host goes on. */
  #traffic(): void {
    for (const i of [0, 1]) {
      const tail = Atomics.load(this.#i32, (this.#ktoa + i * CSB_ENTRY_SIZE + CSB_KTOA_HWTAIL) >>> 2);
      const atok = this.#atok + i * CSB_ENTRY_SIZE;
      this.#store(atok + CSB_ATOK_CUR, tail);
      this.#store(atok + CSB_ATOK_HEAD, tail);
      this.#store(atok + CSB_ATOK_APPL_NEED_KICK, 1);
    }
    this.#kick();
  }

  #csb(): void {
    const random = this.#random;
    const array = random.below(3) === 0 ? this.#ktoa : this.#atok;
    this.#store(array + random.below(2) * CSB_ENTRY_SIZE + 4 * random.below(5), this.#index());
  }

  /** A slot of its rings: any index, length and flags, together or one of them. */
  #slot(): void {
    const random = this.#random;
    const slot = this.#rings[random.below(2)] + NETMAP_RING_SLOT + 16 * random.below(this.#slots);
    const kind = random.below(4);
    if (kind === 0) this.#store(slot, this.#index());
    else if (kind === 1) this.#store(slot + 4, this.#length() | (this.#flags() << 16));
    else if (kind === 2) this.#store(slot + 8 + 4 * random.below(2), random.next());
    else {
      this.#store(slot, 2 + random.below(200));
      this.#store(slot + 4, (14 + random.below(1500)) | (this.#flags() << 16));
    }
  }

  #header(): void {
    const base = this.#random.below(4) === 0 ? this.#nifp : this.#rings[this.#random.below(2)];
    this.#store(base + 4 * this.#random.below(64), this.#index());
  }

  /** A byte or word anywhere in the BAR or in RAM. */
  #anywhere(): void {
    const random = this.#random;
    const { base, size } = random.below(2) === 0 ? this.#bar : this.#machine.ram;
    if (random.below(2) === 0) {
      this.#store(base + 4 * random.below(size >>> 2), this.#index());
    } else {
      this.#u8[base + random.below(size)] = random.next();
      this.writes++;
    }
  }

  /** A sound frame in a sound slot. */
  #frame(): void {
    const random = this.#random;
    const i = random.below(this.#slots);
    const w = (this.#rings[0] + NETMAP_RING_SLOT + 16 * i) >>> 2;
    const index = 2 + random.below(this.#slots);
    const len = 60 + random.below(1400);
    const at = this.#pool + index * this.#bufSize;
    writeFrame(this.#i32, this.#u8, at, len, this.#macs[random.below(this.#macs.length)], 1, 77);
    this.#i32[w] = index;
    this.#i32[w + 1] = len;
    this.writes += 2;
  }

  /** A value that is wrong by one, by a sign, by a lap, or at random. */
  #index(): number {
    const random = this.#random;
    const n = this.#slots;
    const near = [0, 1, 2, n - 2, n - 1, n, n + 1, 2 * n, -1, -2, -n, 0x7fffffff, -0x80000000, 0x10000, 1 << 21];
    switch (random.below(5)) {
      case 0:
        return near[random.below(near.length)];
      case 1:
        return random.next();
      case 2: // a buffer before or behind the region
        return this.#numBufs - 2 + random.below(4 + n);
      default:
        return random.below(n);
    }
  }

  #address(): number {
    const random = this.#random;
    const near = random.below(this.#machine.ram.size + 4 * NETMAP_PAGE_SIZE);
    const address = [near, near, random.next() % 2 ** 28, -near >>> 0][random.below(4)];
    return random.below(4) === 0 ? address : (address & ~63) >>> 0;
  }

  #length(): number {
    const lengths = [0, 1, 9, 10, 11, 12, 13, 14, 59, 60, 1514, 2047, 2048, 2049, 2111, 2112, 2113, 0x7fff, 0xffff];
    return lengths[this.#random.below(lengths.length)];
  }

  #flags(): number {
    return this.#random.below(2) === 0 ? 0 : this.#random.below(0x10000);
  }

  /** A doorbell of a ring that is there, or is not, in any width. */
  #kick(): void {
    const random = this.#random;
    const beyond = random.below(10) === 0;
    const at = PTNET_IO_KICK_BASE + (beyond ? random.below(PTNET_IO_SIZE) : 4 * random.below(2));
    this.#out(at, random.next(), SIZES[random.below(3)]);
  }

  #register(): void {
    const random = this.#random;
    const kind = random.below(6);
    if (kind === 0) {
      this.#out(PTNET_IO_PTCTL, [PTNETMAP_PTCTL_CREATE, PTNETMAP_PTCTL_DELETE, random.next()][random.below(3)]);
      this.#create();
    } else if (kind === 1) {
      // a CSB at an odd place: over the driver's own state, at the end of RAM, beyond it, unaligned
      this.#out(random.below(2) === 0 ? PTNET_IO_CSB_GH_BAH : PTNET_IO_CSB_HG_BAH, random.below(2) * this.#index());
      this.#out(PTNET_IO_CSB_GH_BAL, this.#address());
      this.#out(PTNET_IO_CSB_HG_BAL, this.#address());
      this.#out(PTNET_IO_PTCTL, PTNETMAP_PTCTL_CREATE);
      this.#traffic();
    } else if (kind === 2) {
      this.#out(PTNET_IO_VNET_HDR_LEN, [0, 0, 0, 0, 0, 10, 12, random.next()][random.below(8)]);
    } else if (kind === 3) {
      this.#out(random.below(PTNET_IO_SIZE), random.next(), SIZES[random.below(3)]);
    } else if (kind === 4) {
      for (const f of this.#machine.functions) f.ioRead(random.below(2 * PTNET_IO_SIZE), SIZES[random.below(3)]);
    } else {
      this.#create();
    }
  }

  /** For `ms`: endless moves of head with doorbells, of the given kind; or the same work for the processor without. */
  press(ms: number, kind: Pressure): number {
    const until = performance.now() + ms;
    let moves = 0;
    while (performance.now() < until) {
      if (kind === 'idle') burn(100);
      else for (let k = 0; k < 100; k++, moves++) this.#move(kind, moves);
      for (const sink of this.#sinks) {
        sink.rxsync();
        takeFrames(sink);
      }
    }
    return moves;
  }

  #move(kind: Pressure, moves: number): void {
    let head = Atomics.load(this.#i32, (this.#ktoa + CSB_KTOA_HWTAIL) >>> 2); // all that is free
    if (kind === 'wrong heads') head = moves & 1 ? this.#slots + 7 : head + 2;
    if (kind !== 'doorbells') {
      this.#store(this.#atok + CSB_ATOK_CUR, head);
      this.#store(this.#atok + CSB_ATOK_HEAD, head);
    }
    this.#device.ioWrite(PTNET_IO_KICK_BASE, 4, 1);
  }

  /** Starts the device, with full-sized frames to everybody in all slots. */
  prepare(): void {
    this.#create();
    for (let i = 0; i < this.#slots; i++) {
      const w = (this.#rings[0] + NETMAP_RING_SLOT + 16 * i) >>> 2;
      writeFrame(this.#i32, this.#u8, this.#pool + this.#i32[w] * this.#bufSize, 1514, this.#macs[6], 1, 77);
      this.#i32[w + 1] = 1514;
    }
  }
}
