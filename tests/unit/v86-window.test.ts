// The RAM window of a v86 that is only pretended: where things lie, what the guest reaches, and that the memory may grow.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { Netmap } from '../../src/control/netmap.js';
import { attachPtnet, type V86Ptnet } from '../../src/hosts/v86.js';
import { FakeV86, RAM_BASE } from '../support/fake-v86.js';

const RAM = 20 << 20;
const MIB = 1 << 20;
const [GH_BAH, GH_BAL, HG_BAH, HG_BAL, KICK] = [52, 56, 60, 64, 128];
const [ATOK, KTOA] = [0x3000, 0x4000];
const SLOTS = 64;
const ENXIO = 6;

/** A guest's view of its device: rings and buffers are its RAM, at the BAR's address. */
class WindowGuest {
  readonly v86 = new FakeV86(RAM);
  readonly ptnet: V86Ptnet;
  readonly window: number;
  readonly size: number;
  readonly #io: number;

  static async make(netmap: Netmap, name: string): Promise<WindowGuest> {
    const v86 = new FakeV86(RAM);
    const port = { netmap, name, txSlots: SLOTS, rxSlots: SLOTS };
    return new WindowGuest(v86, await attachPtnet(v86, port, { window: 'ram' }));
  }

  constructor(v86: FakeV86, ptnet: V86Ptnet) {
    this.v86 = v86;
    this.ptnet = ptnet;
    this.window = v86.bar('ptnetmap-memdev', 1);
    this.size = v86.device('ptnetmap-memdev').pci_bars[1]?.size ?? 0;
    this.#io = v86.bar('ptnet', 0);
  }

  /** v86's allocator wants more. */
  grow(): void {
    this.v86.memory.grow(1);
  }

  get = (offset: number): number => this.v86.in(this.#io + offset, 4) >>> 0;
  set = (offset: number, value: number): void => this.v86.out(this.#io + offset, 4, value);
  load = (address: number): number => this.v86.ram.load(address) >>> 0;
  store = (address: number, value: number): void => this.v86.ram.store(address, value | 0);

  program(atok: bigint, ktoa: bigint): number {
    this.set(GH_BAH, Number(atok >> 32n));
    this.set(GH_BAL, Number(atok & 0xffffffffn));
    this.set(HG_BAH, Number(ktoa >> 32n));
    this.set(HG_BAL, Number(ktoa & 0xffffffffn));
    this.set(4, 1);
    return this.get(4);
  }

  create(): number {
    return this.program(BigInt(ATOK), BigInt(KTOA));
  }

  /** Addresses of the first tx and rx ring: the region's first netmap_if is the guest's. */
  get rings(): { tx: number; rx: number } {
    const nifp = this.window + this.get(24);
    return { tx: nifp + this.load(nifp + 56), rx: nifp + this.load(nifp + 56 + 8) };
  }

  buffer(ring: number, slot: number): number {
    return ring + this.load(ring) + this.load(ring + 256 + 16 * slot) * this.load(ring + 12);
  }

  /** Puts a frame of 60 bytes with a number into the tx ring's next slot, and rings the bell. False when it is full. */
  send(n: number): boolean {
    const { tx } = this.rings;
    const head = this.load(ATOK);
    if (head === this.load(KTOA + 4)) this.set(KICK, 1);
    if (head === this.load(KTOA + 4)) return false;
    const at = this.buffer(tx, head);
    for (let i = 0; i < 60; i += 4) this.store(at + i, i === 56 ? n : 0xffffffff);
    this.store(tx + 256 + 16 * head + 4, 60);
    const next = (head + 1) % SLOTS;
    this.store(ATOK + 4, next);
    this.store(ATOK, next);
    this.set(KICK, 1);
    return true;
  }

  /** Numbers of the frames that have been received. */
  receive(): number[] {
    const { rx } = this.rings;
    this.set(KICK + 4, 1);
    const numbers: number[] = [];
    let head = this.load(ATOK + 64);
    for (; head !== this.load(KTOA + 64 + 4); head = (head + 1) % SLOTS) {
      numbers.push(this.load(this.buffer(rx, head) + 56));
    }
    this.store(ATOK + 64 + 4, head);
    this.store(ATOK + 64, head);
    this.set(KICK + 4, 1);
    return numbers;
  }
}

const numberOf = (frame: Uint8Array): number => new DataView(frame.buffer).getUint32(56, true);
const frameOf = (n: number): Uint8Array => {
  const frame = new Uint8Array(60).fill(0xff);
  new DataView(frame.buffer).setUint32(56, n, true);
  return frame;
};

let netmap: Netmap;
let guest: WindowGuest;

beforeEach(async () => {
  netmap = await Netmap.create({ memorySize: 256 << 20 });
  guest = await WindowGuest.make(netmap, 'vale0:a');
});
afterEach(async () => {
  await guest.ptnet.close();
  await netmap.close();
});

describe('the place', () => {
  test('is the end of RAM, which the firmware is not told of, and nothing is mapped there', () => {
    assert.ok(guest.size >= MIB / 4 && Math.log2(guest.size) % 1 === 0);
    assert.equal(guest.window, RAM - guest.size);
    assert.equal(guest.v86.announced, guest.window);
    assert.deepEqual(
      guest.v86.ranges.map(({ address }) => address >= 0x80000000),
      [true],
      'the MSI-X table only',
    );
  });

  test('holds rings as the port’s, with the layout of i386', () => {
    const { tx, rx } = guest.rings;
    assert.deepEqual([guest.load(tx + 8), guest.load(rx + 8)], [SLOTS, SLOTS]);
    assert.deepEqual([guest.get(28), guest.get(32), guest.get(36), guest.get(40)], [1, 1, SLOTS, SLOTS]);
    assert.ok(tx >= guest.window && guest.buffer(rx, SLOTS - 1) + 2112 <= RAM);
  });

  test('is below the first for further devices', async () => {
    const slots = { txSlots: SLOTS, rxSlots: SLOTS };
    const ports = ['netmap:p{1', 'netmap:p}1'].map((name) => ({ netmap, name, ...slots }));
    const more = await attachPtnet(guest.v86, ports, { window: 'ram' });
    const second = guest.v86.bar('ptnetmap-memdev', 1, 1);
    assert.ok(second < guest.window);
    assert.equal(guest.v86.announced, second);
    assert.equal(guest.v86.devices.length, 5);
    assert.equal(more.cables.length, 2);
    await more.close();
  });

  test('must leave the guest some RAM; loops are of the emulator’s thread', async () => {
    const before = (await netmap.inspect()).ports;
    const port = { netmap, name: 'vale1:x', txSlots: SLOTS, rxSlots: SLOTS };
    const small = new FakeV86(16 << 20);
    await assert.rejects(attachPtnet(small, port, { window: 'ram' }), { code: 'ENOSPC' });
    assert.equal(small.announced, undefined);
    const other = new FakeV86(RAM);
    await assert.rejects(attachPtnet(other, { ...port, loop: 'notify' }, { window: 'ram' }), { code: 'EINVAL' });
    other.memory.grow = () => {
      throw new RangeError();
    };
    await assert.rejects(attachPtnet(other, port, { window: 'ram' }), { code: 'ENOMEM' });
    assert.equal(other.announced, RAM);
    const full = new FakeV86(RAM);
    full.onChange = () => {
      throw new Error('in the middle');
    };
    await assert.rejects(attachPtnet(full, port, { window: 'ram' }), { message: 'in the middle' });
    assert.equal(full.announced, RAM);
    assert.deepEqual((await netmap.inspect()).ports, before);
  });
});

test('frames go out with the doorbell and come in with one, while the memory grows', async () => {
  const host = await netmap.open('vale0:host');
  assert.equal(guest.create(), 0);
  for (let n = 0; n < 3 * SLOTS; n++) {
    guest.grow();
    assert.ok(guest.send(n));
    guest.grow();
    host.rxsync();
    assert.deepEqual(host.recv().map(numberOf), [n]);
    await host.send(frameOf(n));
    guest.grow();
    assert.deepEqual(guest.receive(), [n]);
  }
  assert.deepEqual([guest.ptnet.faults, guest.ptnet.lostMessages], [0, 0]);
  const [{ aToB, bToA }] = guest.ptnet.cables.map((cable) => cable.counters());
  assert.deepEqual([aToB.frames, bToA.frames], [3 * SLOTS, 3 * SLOTS]);
});

test('a guest that waits gets its interrupt from the event loop', async () => {
  const host = await netmap.open('vale0:host');
  guest.create();
  const table = guest.v86.bar('ptnet', 2);
  for (const [i, word] of [0xfee01004 | 0, 0, 0x51, 0].entries()) guest.v86.store(table + 16 + 4 * i, 4, word);
  guest.v86.device('ptnet').space[0x10] = 0x80010000 | (guest.v86.device('ptnet').space[0x10] & 0xffff);
  guest.grow();
  await host.send(frameOf(7));
  const end = performance.now() + 10_000;
  while (guest.v86.taken.length === 0 && performance.now() < end) await new Promise((go) => setTimeout(go, 1));
  assert.deepEqual(guest.v86.taken, [0x51]);
  assert.deepEqual(guest.receive(), [7]);
});

test('two emulators on a pipe: nothing is lost, and a sender waits', async () => {
  const ends = await Promise.all(['netmap:p{1', 'netmap:p}1'].map((name) => WindowGuest.make(netmap, name)));
  const [a, b] = ends;
  for (const end of ends) assert.equal(end.create(), 0);
  let sent = 0;
  while (a.send(sent)) sent++;
  assert.equal(sent, 2 * (SLOTS - 1), 'the rings of both pipes are full');
  const got: number[] = [];
  const end = performance.now() + 20_000;
  while (got.length < 10_000 && performance.now() < end) {
    a.grow();
    got.push(...b.receive());
    b.grow();
    while (sent < 10_000 && a.send(sent)) sent++;
    await new Promise(setImmediate);
  }
  assert.deepEqual(
    got,
    Array.from({ length: 10_000 }, (_, n) => n),
  );
  for (const { ptnet } of ends) await ptnet.close();
});

/** What a guest's device has no business with: v86's own state, and RAM below the window but for CSBs. */
class Surroundings {
  readonly #guest: WindowGuest;
  readonly #before: Uint8Array;

  constructor(guest: WindowGuest) {
    this.#guest = guest;
    this.#before = Uint8Array.from(this.#now());
  }

  #now(): Uint8Array {
    return new Uint8Array(this.#guest.v86.memory.buffer, 0, RAM_BASE + this.#guest.window);
  }

  /** Whether nothing has changed, but for two entries at each of these guest-physical addresses. */
  same(except: readonly number[]): boolean {
    const now = this.#now();
    for (const at of except) {
      this.#before.set(now.subarray(RAM_BASE + at, RAM_BASE + at + 128), RAM_BASE + at);
    }
    return Buffer.compare(now, this.#before) === 0;
  }
}

describe('a guest that means harm', () => {
  test('programs CSB addresses over all 64 bits: those outside of its RAM are none', () => {
    const { window, v86 } = guest;
    const edges = [0, 64, 0x1000, ATOK, window - 128, window - 64, window, window + 4096, RAM - 128, RAM - 64, RAM];
    const memoryEnd = v86.memory.buffer.byteLength - RAM_BASE;
    const addresses = new Set<bigint>();
    for (const base of [...edges, memoryEnd - (4 << 20), memoryEnd - 128].map(BigInt)) {
      for (const delta of [-64n, -1n, 0n, 1n, 64n]) addresses.add(BigInt.asUintN(64, base + delta));
    }
    for (let bit = 0n; bit < 64n; bit++) {
      for (const base of edges.map(BigInt)) addresses.add(BigInt.asUintN(64, base + (1n << bit)));
      addresses.add(BigInt.asUintN(64, -(1n << bit)));
      addresses.add(BigInt.asUintN(64, -(1n << bit) - BigInt(RAM_BASE)));
    }
    new Uint8Array(v86.memory.buffer, RAM_BASE, window).fill(0x5a);
    const surroundings = new Surroundings(guest);
    let accepted = 0;
    for (const address of addresses) {
      const valid = address > 0n && address % 64n === 0n && address + 128n <= BigInt(window);
      for (const [atok, ktoa] of [
        [address, BigInt(KTOA)],
        [BigInt(ATOK), address],
      ]) {
        const places = [Number(valid ? address : 0n), ATOK, KTOA];
        assert.equal(guest.program(atok, ktoa), valid ? 0 : ENXIO, `0x${address.toString(16)}`);
        guest.set(KICK, 1);
        guest.set(KICK + 4, 1);
        guest.set(4, 2);
        assert.ok(surroundings.same(places), `0x${address.toString(16)}`);
        accepted += valid ? 1 : 0;
      }
    }
    assert.ok(accepted > 40 && addresses.size > 500);
    assert.equal(guest.ptnet.faults, 0);
  });

  test('writes to all of the region and of the CSB: the host goes on, and nothing outside has changed', async () => {
    const host = await netmap.open('vale0:host');
    const { window, size, v86 } = guest;
    let seed = 1;
    const random = (n: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * n);
    };
    const odd = (): number =>
      random(2) ? [0, 1, SLOTS - 1, SLOTS, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff][random(8)] : random(2 ** 32);
    const saved = Uint8Array.from(new Uint8Array(v86.memory.buffer, RAM_BASE + window, size));
    const surroundings = new Surroundings(guest);
    const rings = guest.rings.rx + 4096 - window;
    for (let i = 0; i < 20_000; i++) {
      if (random(50) === 0) guest.grow();
      if (random(100) === 0) guest.create();
      const at = random(4) ? random(rings / 4) * 4 : random(size / 4) * 4;
      guest.store(window + at, odd());
      guest.store((random(2) ? ATOK : KTOA) + 4 * random(32), random(2) ? random(SLOTS) : odd());
      guest.set(KICK + 4 * random(4), 1);
      if (i % 64 === 0) {
        await host.send(frameOf(i));
        host.rxsync();
        for (const frame of host.recv()) assert.ok(frame.length <= 2112 * SLOTS);
      }
    }
    assert.ok(surroundings.same([ATOK, KTOA]));
    assert.equal(guest.ptnet.faults, 0);
    guest.set(4, 2);
    new Uint8Array(v86.memory.buffer, RAM_BASE + window, size).set(saved);
    host.rxsync();
    host.recv();
    assert.equal(guest.create(), 0, 'for a program that behaves, the device is as good as new');
    let ok = 0;
    for (let n = 0; n < 4 * SLOTS; n++) {
      if (!guest.send(n)) guest.create();
      host.rxsync();
      ok += host.recv().filter((frame) => frame.length === 60 && numberOf(frame) === n).length;
    }
    assert.ok(ok >= 2 * SLOTS, `${ok} frames came through`);
  });
});

test('a reboot resets the device: nothing of the CSB is touched any more', async () => {
  const host = await netmap.open('vale0:host');
  guest.create();
  (guest.v86.v86.cpu['reboot_internal'] as () => void)();
  const hwtail = guest.load(KTOA + 64 + 4);
  await host.send(frameOf(1));
  guest.set(KICK + 4, 1);
  assert.equal(guest.load(KTOA + 64 + 4), hwtail);
  guest.set(4, 1);
  assert.equal(guest.get(4), ENXIO, 'no address is programmed');
});

test('after close the device does not answer, the port is free, and the window is zero', async () => {
  guest.create();
  guest.send(1);
  await guest.ptnet.close();
  assert.equal(guest.get(28), 0xffffffff);
  guest.set(KICK, 1);
  guest.set(4, 1);
  assert.ok(new Uint8Array(guest.v86.memory.buffer, RAM_BASE + guest.window, guest.size).every((byte) => byte === 0));
  await (await netmap.open('vale0:a')).close();
  assert.equal(guest.ptnet.faults, 0);
});
