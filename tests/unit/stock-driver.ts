// A driver of the ptnet device as those of FreeBSD and Linux are: their order of accesses, their notifications, one MSI-X
// vector for each ring. It sees registers, BARs, configuration space and RAM of a v86 that is only pretended.
import assert from 'node:assert/strict';
import type { FakeV86 } from '../support/fake-v86.js';

const [PTFEAT, PTCTL, MAC_LO, MAC_HI, NIFP_OFS, NUM_TX_RINGS, NUM_RX_RINGS] = [0, 4, 8, 12, 24, 28, 32];
const [NUM_TX_SLOTS, NUM_RX_SLOTS, VNET_HDR_LEN, HOSTMEMID, GH_BAH, KICK] = [36, 40, 44, 48, 52, 128];
const [MEMID, BUF_OFS, BUF_SIZE] = [8, 88, 96];
const [CREATE, DELETE] = [1, 2];
const [HEAD, CUR, APPL_NEED_KICK, SYNC_FLAGS] = [0, 4, 8, 12];
const [HWCUR, HWTAIL, KERN_NEED_KICK] = [0, 4, 8];
const [FORCE_READ, FORCE_RECLAIM] = [1, 2];
const [MSIX_CONTROL, ENABLE, MASK_ALL] = [0x42, 0x8000, 0x4000];
const FIRST_VECTOR = 0x50;

/** A kring of the guest's. */
class Ring {
  head = 0;
  cur = 0;
  hwcur = 0;
  hwtail = 0;
  interrupts = 0;

  readonly driver: StockDriver;
  readonly index: number;
  readonly isTx: boolean;
  readonly slots: number;
  /** Address in BAR 1. */
  readonly ring: number;

  constructor(driver: StockDriver, index: number, isTx: boolean, slots: number, ring: number) {
    this.driver = driver;
    this.index = index;
    this.isTx = isTx;
    this.slots = slots;
    this.ring = ring;
  }

  atok(word: number, value?: number): number {
    return this.#csb(this.driver.csb + 64 * this.index + word, value);
  }
  ktoa(word: number, value?: number): number {
    return this.#csb(this.driver.csb + 4096 + 64 * this.index + word, value);
  }
  #csb(address: number, value?: number): number {
    const { ram } = this.driver.v86;
    if (value !== undefined) ram.store(address, value);
    return ram.load(address);
  }

  next(slot: number): number {
    return slot + 1 === this.slots ? 0 : slot + 1;
  }
  get space(): number {
    return (this.hwtail - this.head + this.slots) % this.slots;
  }
  publish(): void {
    this.atok(CUR, this.cur);
    this.atok(HEAD, this.head);
  }
  fetch(): void {
    this.hwtail = this.ktoa(HWTAIL);
    this.hwcur = this.ktoa(HWCUR);
  }
  kick(flags: number): void {
    this.atok(SYNC_FLAGS, flags);
    this.driver.write(KICK + 4 * this.index, 1);
  }

  /** "Sync from CSB", after CREATE: the kring, and the header of the ring. */
  synchronise(): void {
    this.head = this.atok(HEAD);
    this.cur = this.atok(CUR);
    this.fetch();
    for (const [at, value] of [
      [20, this.head],
      [24, this.cur],
      [28, this.hwtail],
    ])
      this.driver.store(this.ring + at, value);
  }

  /** txsync and rxsync of netmap mode. `cur` and `head` are the application's. */
  sync(flags = 0): void {
    this.atok(APPL_NEED_KICK, 0);
    if (this.isTx) this.hwcur = this.ktoa(HWCUR);
    else this.fetch();
    const moved = this.head !== this.hwcur;
    if (this.isTx || moved) this.publish();
    const forced = this.isTx && (flags & FORCE_RECLAIM) !== 0;
    let notify = ((moved || this.cur === this.hwtail) && this.ktoa(KERN_NEED_KICK) !== 0) || forced;
    if (this.isTx && (this.cur === this.hwtail || forced)) this.fetch();
    if (this.cur === this.hwtail) {
      this.atok(APPL_NEED_KICK, 1);
      this.fetch();
      if (this.cur !== this.hwtail) this.atok(APPL_NEED_KICK, 0);
    }
    if (!this.isTx) notify = (this.head !== this.hwcur || this.cur === this.hwtail) && this.ktoa(KERN_NEED_KICK) !== 0;
    if (notify) this.kick(flags);
  }
}

export class StockDriver {
  readonly tx: Ring[] = [];
  readonly rx: Ring[] = [];
  /** Length of the virtio-net header that was agreed on. */
  header = 0;
  /** What the interface has received, and whether its transmit queue is stopped. */
  readonly received: Uint8Array[] = [];
  stopped = false;
  /** Backend users: the interface when it is up, netmap mode. */
  #users = 0;
  #up = false;
  #window = 0;
  #buffers = 0;
  #bufferSize = 0;

  readonly v86: FakeV86;
  /** Number of the ptnet device. */
  readonly device: number;
  /** Address of two pages of RAM. */
  readonly csb: number;

  constructor(v86: FakeV86, device: number, csb: number) {
    this.v86 = v86;
    this.device = device;
    this.csb = csb;
  }

  read(offset: number): number {
    return this.v86.in(this.v86.bar('ptnet', 0, this.device) + offset, 4) >>> 0;
  }
  write(offset: number, value: number): void {
    this.v86.out(this.v86.bar('ptnet', 0, this.device) + offset, 4, value);
  }
  load(address: number): number {
    return this.v86.load(address, 4);
  }
  store(address: number, value: number): void {
    this.v86.store(address, 4, value);
  }

  /** Loads the driver: probe and attach. */
  attach(): void {
    this.write(PTFEAT, 1);
    const features = this.read(PTFEAT);
    const [tx, rx] = [this.read(NUM_TX_RINGS), this.read(NUM_RX_RINGS)];
    assert.ok((tx + rx) * 64 <= 4096);
    for (let at = this.csb; at < this.csb + 8192; at += 4) this.v86.ram.store(at, 0);
    for (const [i, value] of [0, this.csb, 0, this.csb + 4096].entries()) this.write(GH_BAH + 4 * i, value);
    assert.ok(this.read(MAC_HI) < 0x10000 && this.read(MAC_LO) !== 0);
    this.#enableMsix(tx + rx);
    this.#findMemory();
    this.#negotiate(features);
    const nifp = this.#window + this.read(NIFP_OFS);
    const directory = (i: number): number => nifp + this.load(nifp + 56 + 4 * i);
    const hostTx = Math.max(1, this.load(nifp + 36));
    for (let i = 0; i < tx; i++) this.tx.push(new Ring(this, i, true, this.read(NUM_TX_SLOTS), directory(i)));
    for (let i = 0; i < rx; i++) {
      this.rx.push(new Ring(this, tx + i, false, this.read(NUM_RX_SLOTS), directory(tx + hostTx + i)));
    }
  }

  /** Unloads it. */
  detach(): void {
    this.write(PTCTL, DELETE);
    for (let i = 0; i < 4; i++) this.write(GH_BAH + 4 * i, 0);
    this.#configure(0);
    this.tx.length = this.rx.length = 0;
  }

  /** A netmap application opens the device, or the interface is brought up. */
  register(what: 'interface' | 'netmap'): void {
    if (this.#users++ === 0) {
      for (const ring of [...this.tx, ...this.rx]) {
        ring.ktoa(KERN_NEED_KICK, 1);
        ring.atok(APPL_NEED_KICK, ring.isTx ? 0 : 1);
      }
      this.#negotiate(this.read(PTFEAT));
      this.write(PTCTL, CREATE);
      assert.equal(this.read(PTCTL), 0, 'CREATE');
      for (const ring of [...this.tx, ...this.rx]) ring.synchronise();
    }
    if (what === 'netmap') return;
    this.#up = true;
    for (const ring of this.rx) this.#poll(ring); // flushes what is pending
  }

  unregister(what: 'interface' | 'netmap'): void {
    if (what === 'interface') this.#up = false;
    else for (const ring of [...this.tx, ...this.rx]) ring.atok(APPL_NEED_KICK, 1);
    if (--this.#users === 0) this.write(PTCTL, DELETE);
  }

  /** The CPU takes what is in its APIC. */
  takeInterrupts(): void {
    (this.v86.v86.cpu['handle_irqs'] as () => void)();
    const base = FIRST_VECTOR + 16 * this.device;
    const mine = this.v86.taken.filter((vector) => vector >= base && vector < base + 16);
    this.v86.taken.splice(0, Infinity, ...this.v86.taken.filter((vector) => !mine.includes(vector)));
    for (const vector of mine) {
      const ring = [...this.tx, ...this.rx][vector - base];
      ring.interrupts++;
      if (!this.#up) continue; // an application's poll
      if (ring.isTx) this.stopped = false;
      else {
        ring.atok(APPL_NEED_KICK, 0);
        this.#poll(ring);
      }
    }
  }

  /** The network stack sends a frame. False: the queue is stopped. */
  transmit(frame: Uint8Array, queue = 0): boolean {
    const ring = this.tx[queue];
    const least = 2;
    if (ring.space < least) ring.fetch();
    if (ring.space < least) {
      this.stopped = true;
      ring.atok(APPL_NEED_KICK, 1);
      ring.fetch();
      if (ring.space < least) return false;
      this.stopped = false;
      ring.atok(APPL_NEED_KICK, 0);
    }
    this.fill(ring, ring.head, frame);
    ring.head = ring.cur = ring.next(ring.head);
    ring.publish();
    if (ring.ktoa(KERN_NEED_KICK)) ring.kick(FORCE_RECLAIM);
    return true;
  }

  /** A frame behind an empty header, in a slot. */
  fill(ring: Ring, slot: number, frame: Uint8Array): void {
    const at = ring.ring + 256 + 16 * slot;
    const buffer = this.#buffers + this.load(at) * this.#bufferSize;
    const bytes = new Uint8Array(this.header + frame.length);
    bytes.set(frame, this.header);
    for (const [i, byte] of bytes.entries()) this.v86.store(buffer + i, 1, byte);
    this.store(at + 4, bytes.length);
  }

  /** The frame in a slot. */
  take(ring: Ring, slot: number): Uint8Array {
    const at = ring.ring + 256 + 16 * slot;
    const buffer = this.#buffers + this.load(at) * this.#bufferSize;
    const length = this.load(at + 4) & 0xffff;
    assert.ok(length >= this.header);
    return Uint8Array.from({ length: length - this.header }, (_, i) => this.v86.load(buffer + this.header + i, 1));
  }

  /** NAPI: up to 64 packets a time, until there is none. */
  #poll(ring: Ring): void {
    for (;;) {
      ring.fetch();
      let work = 0;
      for (; work < 64 && ring.head !== ring.hwtail; work++) {
        this.received.push(this.take(ring, ring.head));
        ring.head = ring.cur = ring.next(ring.head);
      }
      if (work < 64) {
        ring.atok(APPL_NEED_KICK, 1);
        ring.fetch();
      }
      if (work > 0) {
        ring.publish();
        if (ring.ktoa(KERN_NEED_KICK)) ring.kick(FORCE_READ);
      }
      if (ring.head === ring.hwtail) return;
      ring.atok(APPL_NEED_KICK, 0);
    }
  }

  #negotiate(features: number): void {
    this.write(VNET_HDR_LEN, 12);
    this.header = this.read(VNET_HDR_LEN);
    assert.equal(this.header, features & 1 ? 12 : 0);
  }

  /** The memdev of this device's region, by its id. */
  #findMemory(): void {
    const { v86 } = this;
    const memdevs = v86.devices.filter(({ name }) => name === 'ptnetmap-memdev');
    const found = memdevs.flatMap((_, n) => {
      const io = v86.bar('ptnetmap-memdev', 0, n);
      return v86.in(io + MEMID, 4) === this.read(HOSTMEMID) ? [{ io, window: v86.bar('ptnetmap-memdev', 1, n) }] : [];
    });
    assert.equal(found.length, 1, 'one memdev for a region');
    const [{ io, window }] = found;
    this.#window = window;
    this.#buffers = window + v86.in(io + BUF_OFS, 4);
    this.#bufferSize = v86.in(io + BUF_SIZE, 4);
  }

  /** As Linux does: everything masked, the entries, then vector by vector. */
  #enableMsix(vectors: number): void {
    const { v86 } = this;
    const control = new DataView(v86.device('ptnet', this.device).space.buffer).getUint16(MSIX_CONTROL, true);
    assert.equal((control & 0x7ff) + 1, vectors, 'a vector for each ring');
    const table = v86.bar('ptnet', 2, this.device);
    this.#configure(ENABLE | MASK_ALL);
    for (let i = 0; i < vectors; i++) v86.store(table + 16 * i + 12, 4, 1);
    for (let i = 0; i < vectors; i++) {
      v86.store(table + 16 * i, 4, 0xfee01004);
      v86.store(table + 16 * i + 4, 4, 0);
      v86.store(table + 16 * i + 8, 4, FIRST_VECTOR + 16 * this.device + i);
    }
    this.#configure(ENABLE);
    for (let i = 0; i < vectors; i++) v86.store(table + 16 * i + 12, 4, 0);
  }

  #configure(control: number): void {
    const word = this.v86.device('ptnet', this.device).space[MSIX_CONTROL >> 2] >>> 16;
    this.v86.configure('ptnet', MSIX_CONTROL, 2, (word & 0x7ff) | control, this.device);
  }
}
