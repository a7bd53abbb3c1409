// The ptnet driver in netmap mode (if_ptnet.c, ptnet_nm_*): the guest's side. It knows registers, the memory BAR, its own
// RAM and interrupts, and nothing of the host.

import { GKRING_ATOK, GKRING_KTOA, GKRING_NSLOTS, GKRING_RING, GKRING_SIZE } from '../../assembly/abi/arena.js';
import {
  CSB_ATOK_APPL_NEED_KICK,
  CSB_ATOK_CUR,
  CSB_ATOK_HEAD,
  CSB_ENTRY_SIZE,
  CSB_KTOA_HWCUR,
  CSB_KTOA_KERN_NEED_KICK,
} from '../../assembly/abi/csb.js';
import {
  NETMAP_PAGE_SIZE,
  NETMAP_RING_SLOT,
  NETMAP_SLOT_SIZE,
  NR_ACCEPT_VNET_HDR,
  NR_RX_RINGS_ONLY,
  NR_TX_RINGS_ONLY,
} from '../../assembly/abi/netmap.js';
import {
  PTNET_IO_CSB_GH_BAH,
  PTNET_IO_CSB_GH_BAL,
  PTNET_IO_CSB_HG_BAH,
  PTNET_IO_CSB_HG_BAL,
  PTNET_IO_HOSTMEMID,
  PTNET_IO_KICK_BASE,
  PTNET_IO_MAC_HI,
  PTNET_IO_MAC_LO,
  PTNET_IO_NIFP_OFS,
  PTNET_IO_NUM_RX_RINGS,
  PTNET_IO_NUM_RX_SLOTS,
  PTNET_IO_NUM_TX_RINGS,
  PTNET_IO_NUM_TX_SLOTS,
  PTNET_IO_PTCTL,
  PTNET_IO_PTFEAT,
  PTNET_IO_VNET_HDR_LEN,
  PTNET_MDEV_IO_BUF_POOL_OBJNUM,
  PTNET_MDEV_IO_MEMID,
  PTNETMAP_F_VNET_HDR,
  PTNETMAP_PCI_DEVICE_ID,
  PTNETMAP_PCI_NETIF_ID,
  PTNETMAP_PCI_VENDOR_ID,
  PTNETMAP_PTCTL_CREATE,
  PTNETMAP_PTCTL_DELETE,
} from '../../assembly/abi/ptnet.js';
import { VIRTIO_NET_HDR_MRG_LEN } from '../../assembly/abi/virtio-net.js';
import { errnoName, netmapError } from '../errors.js';
import { NetmapIf, NetmapRing } from '../ring/ring.js';
import type { PciFunction, PtnetMachine } from './driver-machine.js';
import { type GuestKring, GuestPort } from './driver-port.js';

/** How a guest's driver attaches to its devices. */
export interface DriverOptions {
  /**
   * Whether packets may have the 12-byte virtio-net header. Default: the guest's tunable `dev.netmap.ptnet_vnet_hdr`. The
   * first user of the rings decides: the network interface asks for it, a netmap application only with
   * NR_ACCEPT_VNET_HDR. DIFF: the drivers ask for it when they attach, and netmap applications have to accept it.
   */
  readonly vnetHdr?: boolean;
}

/** Pages of guest RAM that a driver takes at most: for atok and ktoa, the two arrays of the CSB, and for its krings. */
const PAGES_PER_DEVICE = 3;
/** Bytes that caches may load as one: no two of the three have any in common, as they have different writers. */
const LINES = 128;
/** How long (ms) the host may take to see what was published before its loop is stopped; usually it takes microseconds. */
const SETTLE_LIMIT = 100;

/** One ptnet interface of a guest: `ptnet0`, `ptnet1`, … in the order in which the bus shows them. */
export class PtnetDriver {
  readonly name: string;
  readonly mac: Uint8Array;
  readonly txRings: number;
  readonly rxRings: number;
  readonly txSlots: number;
  readonly rxSlots: number;
  readonly machine: PtnetMachine;
  readonly memId: number;
  /** Interrupts that have arrived. */
  interrupts = 0;
  /** Doorbells that were rung. */
  kicks = 0;
  readonly #device: PciFunction;
  readonly #memory: { readonly base: number; readonly size: number };
  readonly #numBufs: number;
  readonly #csb: number;
  /** Bytes from atok to ktoa, and from there to the krings: with few rings, all are in one page, as is good with many guests. */
  readonly #apart: number;
  /** Whether the device has agreed to virtio-net headers. */
  readonly #offersHeader: boolean;
  #hdrLen: number;
  readonly #nifp: NetmapIf;
  #krings: { tx: GuestKring[]; rx: GuestKring[] } | undefined;
  #users = 0;
  #netmapPorts = 0;
  readonly #modeListeners = new Set<() => void>();
  #attached = true;

  /** Finds the ptnet devices on the bus and attaches to each. @throws NetmapError as the constructor */
  static probe(machine: PtnetMachine, options: DriverOptions = {}): PtnetDriver[] {
    const isPtnet = (f: PciFunction): boolean =>
      f.vendorId === PTNETMAP_PCI_VENDOR_ID && f.deviceId === PTNETMAP_PCI_NETIF_ID;
    return machine.functions.filter(isPtnet).map((device, unit) => new PtnetDriver(machine, device, unit, options));
  }

  /** @throws NetmapError ENOMEM (no memdev, or no RAM for the CSB), ENXIO (a register reads nonsense), ENOSPC (vectors) */
  constructor(machine: PtnetMachine, device: PciFunction, unit: number, options: DriverOptions = {}) {
    this.machine = machine;
    this.name = `ptnet${unit}`;
    this.#device = device;
    const wantsHeader = options.vnetHdr ?? machine.tunables?.['dev.netmap.ptnet_vnet_hdr'] !== 0;
    this.#write(PTNET_IO_PTFEAT, wantsHeader ? PTNETMAP_F_VNET_HDR : 0);
    this.#offersHeader = (this.#read(PTNET_IO_PTFEAT) & PTNETMAP_F_VNET_HDR) !== 0;
    this.txRings = this.#read(PTNET_IO_NUM_TX_RINGS);
    this.rxRings = this.#read(PTNET_IO_NUM_RX_RINGS);
    const rings = this.txRings + this.rxRings;
    if (rings * CSB_ENTRY_SIZE > NETMAP_PAGE_SIZE) throw this.#error('ENOMEM', `${rings} rings do not fit a CSB page`);
    if (device.vectors < rings) throw this.#error('ENOSPC', `${device.vectors} interrupt vectors for ${rings} rings`);
    this.#csb = unit * PAGES_PER_DEVICE * NETMAP_PAGE_SIZE;
    this.#apart = Math.ceil((rings * CSB_ENTRY_SIZE) / LINES) * LINES;
    const end = this.#csb + PAGES_PER_DEVICE * NETMAP_PAGE_SIZE;
    if (end > machine.ram.size) throw this.#error('ENOMEM', `${end} bytes of RAM wanted, ${machine.ram.size} there`);
    this.mac = this.#readMac();
    this.txSlots = this.#read(PTNET_IO_NUM_TX_SLOTS);
    this.rxSlots = this.#read(PTNET_IO_NUM_RX_SLOTS);
    this.memId = this.#read(PTNET_IO_HOSTMEMID);
    const memdev = this.#findMemdev();
    this.#memory = memdev.memoryBar as { base: number; size: number };
    this.#numBufs = memdev.ioRead(PTNET_MDEV_IO_BUF_POOL_OBJNUM, 4);
    const nifpOfs = this.#read(PTNET_IO_NIFP_OFS);
    if (nifpOfs >= this.#memory.size) throw this.#error('ENXIO', `NIFP_OFS ${nifpOfs} is outside the memory BAR`);
    this.#nifp = new NetmapIf(machine.views, this.#memory.base + nifpOfs);
    // Everything is in order: from here on the device knows of this driver.
    machine.views.u8.fill(0, machine.ram.base + this.#csb, machine.ram.base + end);
    this.#programCsb(true);
    device.setInterruptHandler(() => {
      this.interrupts++;
    });
    this.#hdrLen = this.#read(PTNET_IO_VNET_HDR_LEN);
  }

  /** Length of the virtio-net header that each packet carries now: 0, 10 or 12. Settled by the first user of the rings. */
  get vnetHdrLen(): number {
    return this.#hdrLen;
  }

  /** Whether packets can have a virtio-net header: the tunable is on, and the port is one that has them. */
  get offersHeader(): boolean {
    return this.#offersHeader;
  }

  /** Whether the device is this driver's: until `detach`. */
  get isAttached(): boolean {
    return this.#attached;
  }

  /** Whether the host has taken away the port behind the device. Nothing moves any more, and open ports get POLLERR. */
  get linkDown(): boolean {
    return this.#device.linkDown === true;
  }

  get nifp(): NetmapIf {
    return this.#nifp;
  }

  /**
   * Opens the interface in netmap mode (REGISTER in the guest). The first opening starts the host's kernel loop.
   * @param options flags: NR_ACCEPT_VNET_HDR for an application that understands virtio-net headers, NR_NO_TX_POLL,
   *   NR_RX_RINGS_ONLY, NR_TX_RINGS_ONLY; ring: only this one of each direction, or the first where that has fewer
   * @throws NetmapError EINVAL (no such ring); EIO when packets have a header that is not accepted; else the errno that PTCTL returned
   */
  open(options: { readonly flags?: number; readonly ring?: number } = {}): GuestPort {
    const { flags = 0, ring } = options;
    const most = Math.max(this.txRings, this.rxRings);
    if (ring !== undefined && !(Number.isInteger(ring) && ring >= 0 && ring < most)) {
      throw this.#error('EINVAL', `there is no ring ${ring}`);
    }
    const accepts = (flags & NR_ACCEPT_VNET_HDR) !== 0;
    const krings = this.acquire(accepts);
    if (this.#hdrLen !== 0 && !accepts) {
      this.release();
      throw this.#error('EIO', `packets have a header of ${this.#hdrLen} bytes and NR_ACCEPT_VNET_HDR is not set`);
    }
    this.#netmapPorts++;
    this.#tellMode();
    const pick = (of: readonly GuestKring[], without: number): readonly GuestKring[] => {
      if (flags & without || of.length === 0) return [];
      return ring === undefined ? of : [of[ring] ?? of[0]];
    };
    const bound = { tx: pick(krings.tx, NR_RX_RINGS_ONLY), rx: pick(krings.rx, NR_TX_RINGS_ONLY) };
    return new GuestPort(this, bound, flags, () => {
      this.#netmapPorts--;
      this.release();
      this.#tellMode();
    });
  }

  /** Whether netmap applications have the rings; the interface mode leaves them alone meanwhile. */
  get netmapMode(): boolean {
    return this.#netmapPorts !== 0;
  }

  /** Calls back when netmap mode begins and when it ends, and at `detach`; the returned function takes that back. */
  onModeChange(listener: () => void): () => void {
    this.#modeListeners.add(listener);
    return () => this.#modeListeners.delete(listener);
  }

  #tellMode(): void {
    for (const listener of this.#modeListeners) listener();
  }

  /**
   * One more user of the rings. The first one starts the host's kernel loop, and settles whether packets have a header.
   * @throws NetmapError ENXIO when the device is gone; else the errno that PTCTL returned
   */
  acquire(wantsHeader: boolean): { tx: readonly GuestKring[]; rx: readonly GuestKring[] } {
    if (!this.#attached || this.machine.gone) throw this.#error('ENXIO', 'the device is gone');
    if (this.#users === 0) {
      const before = this.#read(PTNET_IO_VNET_HDR_LEN);
      this.#negotiate(wantsHeader && this.#offersHeader ? VIRTIO_NET_HDR_MRG_LEN : 0);
      try {
        this.#start();
      } catch (error) {
        this.#negotiate(before);
        throw error;
      }
    }
    this.#users++;
    return this.#krings as { tx: GuestKring[]; rx: GuestKring[] };
  }

  /** One user less; the last one stops the host's kernel loop. */
  release(): void {
    this.#users--;
    if (this.#users !== 0 || !this.#attached || this.machine.gone) return;
    this.#settle();
    this.#write(PTNET_IO_PTCTL, PTNETMAP_PTCTL_DELETE);
    this.#krings = undefined;
  }

  /**
   * Waits until the host has seen what was published: what a stopped loop has not, would be lost (sent slots), or come
   * again (released ones). DIFF: the drivers do not wait.
   */
  #settle(): void {
    const { i32 } = this.machine.views;
    const isPending = ({ atok, ktoa }: GuestKring): boolean =>
      Atomics.load(i32, (atok + CSB_ATOK_HEAD) >>> 2) !== Atomics.load(i32, (ktoa + CSB_KTOA_HWCUR) >>> 2);
    const pending = [...(this.#krings?.tx ?? []), ...(this.#krings?.rx ?? [])].filter(isPending);
    for (const kring of pending) this.kick(kring);
    const limit = performance.now() + SETTLE_LIMIT;
    while (pending.some(isPending) && performance.now() < limit);
  }

  /** txsync of a ring, with the doorbell if the host wants it. */
  txsync(kring: GuestKring, flags: number): void {
    const { wasm } = this.machine;
    if (wasm.ptnetTxsync(kring.ptr, flags) !== 0) this.#kickAndLook(kring);
  }

  /** rxsync of a ring, likewise. */
  rxsync(kring: GuestKring, flags: number): void {
    const { wasm } = this.machine;
    if (wasm.ptnetRxsync(kring.ptr, flags) !== 0) this.#kickAndLook(kring);
  }

  #kickAndLook(kring: GuestKring): void {
    try {
      this.kick(kring);
    } finally {
      // The host may have called handlers of interrupts: one of them has thrown, or the machine was taken away.
      if (!this.machine.gone) this.machine.wasm.ptnetKicked(kring.ptr);
    }
  }

  /** Rings the doorbell of a ring. */
  kick(kring: GuestKring): void {
    this.kicks++;
    this.#device.ioWrite(kring.doorbell, 4, 1);
  }

  /** Stops the device and forgets the CSB (detach, shutdown). Open ports get POLLERR; their owners close them. */
  detach(): void {
    if (!this.#attached) return;
    this.#attached = false;
    this.#write(PTNET_IO_PTCTL, PTNETMAP_PTCTL_DELETE);
    this.#programCsb(false);
    this.#device.setInterruptHandler(undefined);
    this.machine.waiting.wake();
    this.#tellMode();
  }

  /** Settles the header's length; the device keeps what its port cannot change. */
  #negotiate(length: number): void {
    this.#write(PTNET_IO_VNET_HDR_LEN, length);
    this.#hdrLen = this.#read(PTNET_IO_VNET_HDR_LEN);
  }

  #start(): void {
    const tx = this.#makeKrings(0, this.txRings, this.txSlots, 0);
    const rx = this.#makeKrings(this.txRings, this.rxRings, this.rxSlots, this.#nifp.hostTxRings);
    const { i32 } = this.machine.views;
    for (const [i, kring] of [...tx, ...rx].entries()) {
      Atomics.store(i32, (kring.ktoa + CSB_KTOA_KERN_NEED_KICK) >>> 2, 1);
      Atomics.store(i32, (kring.atok + CSB_ATOK_APPL_NEED_KICK) >>> 2, i < tx.length ? 0 : 1);
    }
    this.#write(PTNET_IO_PTCTL, PTNETMAP_PTCTL_CREATE);
    const result = this.#read(PTNET_IO_PTCTL);
    if (result !== 0) throw this.#error(errnoName(result), 'the host refused to start its kernel loop');
    // The host has initialised the CSB: take positions over from there.
    for (const { ptr, atok } of [...tx, ...rx]) {
      const head = Atomics.load(i32, (atok + CSB_ATOK_HEAD) >>> 2);
      const cur = Atomics.load(i32, (atok + CSB_ATOK_CUR) >>> 2);
      this.machine.wasm.ptnetSyncFromCsb(ptr, head, cur);
    }
    this.#krings = { tx, rx };
  }

  /** Krings of one direction. What the ring's header says may be a peer's scribble: it is checked, and kept.  `hostBefore`: host rings in the directory before them. An entry of 0 is no ring. */
  #makeKrings(first: number, count: number, slots: number, hostBefore: number): GuestKring[] {
    const { views, ram } = this.machine;
    const csb = ram.base + this.#csb;
    const end = this.#memory.base + this.#memory.size;
    return Array.from({ length: count }, (_, k) => {
      const i = first + k;
      const ofs = this.#nifp.ringOfs(i + hostBefore);
      const at = this.#nifp.ptr + ofs;
      const inside = at >= this.#memory.base && at + NETMAP_RING_SLOT <= end;
      if (ofs === 0 || !inside) throw this.#error('ENXIO', `ring ${i} has directory entry ${ofs}`);
      const ring = new NetmapRing(views, at, this.#numBufs);
      const bufEnd = ring.bufBase + this.#numBufs * ring.bufSize;
      const fits = ring.bufSize > 0 && ring.bufBase >= this.#memory.base && bufEnd <= end;
      if (!fits || ring.numSlots !== slots || ring.slotBase * 4 + slots * NETMAP_SLOT_SIZE > end) {
        throw this.#error('ENXIO', `ring ${i} has ${ring.numSlots} slots and buffers of ${ring.bufSize} bytes`);
      }
      const ptr = csb + 2 * this.#apart + i * GKRING_SIZE;
      const atok = csb + i * CSB_ENTRY_SIZE;
      const ktoa = csb + this.#apart + i * CSB_ENTRY_SIZE;
      const set = (field: number, value: number): void => {
        views.i32[(ptr + field) >>> 2] = value;
      };
      views.u8.fill(0, ptr, ptr + GKRING_SIZE);
      set(GKRING_RING, at);
      set(GKRING_NSLOTS, ring.numSlots);
      set(GKRING_ATOK, atok);
      set(GKRING_KTOA, ktoa);
      return { ptr, doorbell: PTNET_IO_KICK_BASE + 4 * i, ring, atok, ktoa };
    });
  }

  /** High halves first: the write of a low half takes effect. Guest-physical addresses count from the start of RAM. */
  #programCsb(on: boolean): void {
    // Address 0 means "unmap" to the device; RAM starts at guest-physical page 1.
    const atok = on ? NETMAP_PAGE_SIZE + this.#csb : 0;
    this.#write(PTNET_IO_CSB_GH_BAH, 0);
    this.#write(PTNET_IO_CSB_GH_BAL, atok);
    this.#write(PTNET_IO_CSB_HG_BAH, 0);
    this.#write(PTNET_IO_CSB_HG_BAL, on ? atok + this.#apart : 0);
  }

  #findMemdev(): PciFunction {
    const found = this.machine.functions.find(
      (f) =>
        f.vendorId === PTNETMAP_PCI_VENDOR_ID &&
        f.deviceId === PTNETMAP_PCI_DEVICE_ID &&
        f.memoryBar !== undefined &&
        f.ioRead(PTNET_MDEV_IO_MEMID, 4) === this.memId,
    );
    if (!found) throw this.#error('ENOMEM', `there is no memdev for mem id ${this.memId}`);
    return found;
  }

  #readMac(): Uint8Array {
    const lo = this.#read(PTNET_IO_MAC_LO);
    const hi = this.#read(PTNET_IO_MAC_HI);
    return Uint8Array.of(hi >>> 8, hi, lo >>> 24, lo >>> 16, lo >>> 8, lo);
  }

  #read(offset: number): number {
    return this.#device.ioRead(offset, 4);
  }

  #write(offset: number, value: number): void {
    this.#device.ioWrite(offset, 4, value);
  }

  #error(code: string, message: string): Error {
    return netmapError(code === 'UNKNOWN' ? 'EIO' : (code as 'EIO'), message, { op: 'ptnet', port: this.name });
  }
}
