// ptnet devices on the bus of a v86 that is only pretended: registers, windows, MSI-X, resets, and guests that mean harm.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { Netmap } from '../../src/control/netmap.js';
import { attachPtnet, type V86Ptnet } from '../../src/hosts/v86.js';
import type { HostPort } from '../../src/netmap/host-port.js';
import { FAKE_RAM, FakeV86 } from '../support/fake-v86.js';

const [GH_BAH, GH_BAL, HG_BAH, HG_BAL, KICK] = [52, 56, 60, 64, 128];
const [ATOK, KTOA] = [0x3000, 0x4000];
const MESSAGE = 0xfee01000 + 4; // logical destination 1

let netmap: Netmap;
let v86: FakeV86;
let ptnet: V86Ptnet;
let io: number;
let table: number;

beforeEach(async () => {
  const privatePools = { priv_buf_num: 64, priv_ring_num: 4 };
  netmap = await Netmap.create({ memorySize: 512 << 20, privatePools });
  v86 = new FakeV86();
  ptnet = await attachPtnet(v86, { netmap, name: 'vale0:a' });
  io = v86.bar('ptnet', 0);
  table = v86.bar('ptnet', 2);
});
afterEach(() => netmap.close());

const set = (offset: number, value: number): void => v86.out(io + offset, 4, value);
const get = (offset: number): number => v86.in(io + offset, 4) >>> 0;

function create(atok = ATOK, ktoa = KTOA): number {
  set(GH_BAH, 0);
  set(GH_BAL, atok);
  set(HG_BAH, 0);
  set(HG_BAL, ktoa);
  set(4, 1);
  return get(4);
}

/** Programs and unmasks a vector, and switches MSI-X on. */
function useMsix(vector: number, data: number, address = MESSAGE): void {
  const entry = table + 16 * vector;
  v86.store(entry, 4, address | 0);
  v86.store(entry + 4, 4, 0);
  v86.store(entry + 8, 4, data);
  v86.store(entry + 12, 4, 0);
  setControl(0x8000);
}

/** Message control of the MSI-X capability, as v86 writes it into the space. */
function setControl(bits: number): void {
  const { space } = v86.device('ptnet');
  space[0x10] = (space[0x10] & 0xffff) | ((bits | 1) << 16);
}

const broadcast = (): Uint8Array => Uint8Array.from({ length: 60 }, (_, i) => (i < 6 ? 0xff : i));

async function receiveOne(): Promise<void> {
  const port = await netmap.open('vale0:sender');
  await port.send(broadcast());
  await port.close();
}

describe('the bus', () => {
  test('has a memdev and a ptnet, with netmap’s ids, classes and BARs', () => {
    const bytes = (name: string): DataView => new DataView(v86.device(name).space.buffer);
    const memdev = bytes('ptnetmap-memdev');
    const device = bytes('ptnet');
    assert.deepEqual([memdev.getUint32(0, true), memdev.getUint32(8, true)], [0x000c1b36, 0xff000000]);
    assert.deepEqual([device.getUint32(0, true), device.getUint32(8, true)], [0x000d1b36, 0x02000000]);
    assert.deepEqual([memdev.getUint8(0x10) & 1, memdev.getUint8(0x14) & 15], [1, 8]);
    assert.deepEqual([device.getUint8(0x10) & 1, device.getUint32(0x14, true), device.getUint8(0x18) & 15], [1, 0, 0]);
    assert.deepEqual(
      v86.devices.map(({ pci_bars }) => pci_bars.map((bar) => bar?.size)),
      [
        [128, v86.ranges[0].size],
        [256, undefined, 4096],
      ],
    );
    assert.equal(Math.log2(v86.ranges[0].size) % 1, 0);
    assert.equal(v86.bar('ptnetmap-memdev', 1) % v86.ranges[0].size, 0);
    const capability = device.getUint8(0x34);
    assert.equal(device.getUint16(6, true) & 0x10, 0x10);
    assert.deepEqual(
      [0, 4, 8].map((at) => device.getUint32(capability + at, true)),
      [0x00010011, 2, 0x802],
    );
    assert.equal(device.getUint8(0x3d), 1);
    assert.equal(v86.in(0xae00, 1), 0, 'no hot-plug event');
  });

  test('takes several devices, a memdev for each region, until it is full', async () => {
    await attachPtnet(v86, [
      { netmap, name: 'netmap:p{1', txRings: 2, rxRings: 2 },
      { netmap, name: 'netmap:p}1', shareRegion: true },
    ]);
    assert.equal(v86.devices.length, 5);
    const taken = v86.ranges.map(({ address, size }) => [address, address + size]).sort((a, b) => a[0] - b[0]);
    for (const [i, [start]] of taken.slice(1).entries()) assert.ok(start >= taken[i][1], 'BARs do not overlap');
    const before = await netmap.inspect();
    const many = Array.from({ length: 9 }, (_, i) => ({ netmap, name: `vale2:${i}`, txSlots: 8, rxSlots: 8 }));
    await assert.rejects(attachPtnet(v86, []), { code: 'EINVAL' });
    await assert.rejects(attachPtnet(v86, many), { code: 'ENOSPC' });
    assert.deepEqual((await netmap.inspect()).ports, before.ports);
  });

  test('is refused where it is not ready, or of another make', async () => {
    const name = 'vale0:x';
    await assert.rejects(attachPtnet({ add_listener() {}, remove_listener() {} }, { netmap, name }), {
      code: 'EINVAL',
    });
    for (const [field, value] of [
      ['get_state_apic', () => new Uint8Array(200)],
      ['handle_irqs', undefined],
    ] as const) {
      const other = new FakeV86();
      other.v86.cpu[field] = value;
      await assert.rejects(attachPtnet(other, { netmap, name }), { code: 'EOPNOTSUPP' });
    }
    const other = new FakeV86();
    other.v86.cpu['acpi_enabled'] = Uint8Array.of(0);
    await assert.rejects(attachPtnet(other, { netmap, name }), { code: 'EINVAL' });
    assert.equal((await netmap.inspect()).ports.length, 1);
  });
});

describe('the region', () => {
  let window: number;
  let port: HostPort;
  beforeEach(async () => {
    window = v86.bar('ptnetmap-memdev', 1);
    port = await netmap.open('vale0:other', { dataModel: 'i386' });
  });

  test('is seen through BAR 1, with the directory of i386', () => {
    const nifp = window + get(24);
    assert.deepEqual([v86.load(nifp + 24, 4), v86.load(nifp + 28, 4)], [1, 1]);
    const tx = nifp + v86.load(nifp + 56, 4);
    const rx = nifp + v86.load(nifp + 56 + 8, 4);
    assert.deepEqual([v86.load(tx + 8, 4), v86.load(tx + 18, 1), v86.load(rx + 18, 1)], [1024, 1, 0]);
    v86.store(tx + 256, 1, 7);
    v86.store(tx + 257, 1, 1);
    assert.equal(v86.load(tx + 256, 4) & 0xffff, 0x107);
    v86.store(tx + 262, 4, 0x12345678); // unaligned
    assert.deepEqual([v86.load(tx + 262, 4), v86.load(tx + 265, 1)], [0x12345678, 0x12]);
  });

  test('ends where it ends: all ones, and writes that do nothing', async () => {
    const memory = new Uint8Array(netmap.memory.buffer);
    const [{ memsize }] = (await netmap.inspect()).regions;
    const { size } = v86.ranges[0];
    assert.ok(memsize < size);
    const before = Uint8Array.from(memory.subarray(port.info.regionBase, port.info.regionBase + 65536));
    assert.equal(v86.load(window + memsize, 4), 0xffffffff);
    assert.equal(v86.load(window + memsize - 2, 4) >>> 16, 0xffff);
    for (let at = memsize - 3; at < memsize + 65536; at += 3) v86.store(window + at, 4, 0x5a5a5a5a);
    v86.store(window + size - 1, 4, 0x5a5a5a5a);
    assert.deepEqual(memory.subarray(port.info.regionBase, port.info.regionBase + 65536), before);
  });
});

describe('interrupts', () => {
  test('are messages to the local APIC, as edges, with the CSB in the guest’s RAM already', async () => {
    assert.equal(create(), 0);
    useMsix(1, 0x51);
    let seen = 0;
    v86.onHandle = () => {
      seen = v86.ram.load(KTOA + 64 + 4);
    };
    await receiveOne();
    assert.deepEqual(v86.taken, [0x51]);
    assert.equal(seen, 1, 'hwtail');
  });

  test('wait while the vector or the function is masked, and are sent once', async () => {
    create();
    useMsix(1, 0x51);
    v86.store(table + 16 + 12, 4, 1);
    await receiveOne();
    assert.deepEqual(v86.taken, []);
    assert.equal(v86.load(table + 0x800, 4), 2);
    v86.store(table + 0x800, 4, 0); // read-only
    setControl(0xc000);
    v86.store(table + 16 + 12, 4, 0);
    assert.equal(v86.load(table + 0x800, 1), 2);
    setControl(0x8000);
    set(KICK + 4, 1);
    assert.equal(v86.load(table + 0x800, 4), 0);
    assert.deepEqual(v86.taken, [0x51]);
  });

  test('that a store lets go are taken later: an instruction is under way', async () => {
    create();
    useMsix(1, 0x51);
    v86.store(table + 16 + 12, 4, 1);
    await receiveOne();
    let calls = 0;
    v86.onHandle = () => {
      calls++;
    };
    v86.store(table + 16 + 12, 1, 0);
    assert.equal(calls, 0);
    (v86.v86.cpu['handle_irqs'] as () => void)(); // the emulator's own next look
    assert.deepEqual(v86.taken, [0x51]);
  });

  test('pulse the pin while MSI-X is off', async () => {
    create();
    await receiveOne();
    const slot = v86.device('ptnet').pci_id >> 3;
    assert.deepEqual(v86.pulses, [`+${slot}`, `-${slot}`]);
    v86.device('ptnet').space[1] |= 0x400; // INTx disable
    const hwtail = v86.ram.load(KTOA + 64 + 4);
    v86.ram.store(ATOK + 64 + 4, hwtail);
    v86.ram.store(ATOK + 64, hwtail);
    await receiveOne();
    assert.equal(v86.pulses.length, 2);
    assert.deepEqual(v86.taken, []);
  });

  test('that no APIC takes are counted', async () => {
    create();
    let lost = 0;
    for (const [address, data] of [
      [0x1000, 0x51], // not an APIC's address
      [0xfee02004, 0x51], // another processor
      [0xfee05000, 0x51],
      [MESSAGE, 0x451], // NMI
      [MESSAGE, 0x0f], // the processor's own vectors
    ]) {
      useMsix(1, data, address);
      await receiveOne();
      const hwtail = v86.ram.load(KTOA + 64 + 4);
      v86.ram.store(ATOK + 64 + 4, hwtail);
      v86.ram.store(ATOK + 64, hwtail); // released
      set(KICK + 4, 1);
      assert.equal(ptnet.lostMessages, ++lost, `${address.toString(16)} ${data.toString(16)}`);
    }
    v86.store(table + 16 + 4, 4, 1); // above 4 GiB
    await receiveOne();
    assert.equal(ptnet.lostMessages, lost + 1);
    assert.deepEqual(v86.taken, []);
  });

  test('of a CPU that fails inside do not reach who has sent the packet', async () => {
    create();
    useMsix(1, 0x51);
    v86.onHandle = () => {
      throw new Error('the guest is broken');
    };
    await receiveOne();
    assert.equal(ptnet.faults, 1);
  });
});

describe('the CSB', () => {
  test('is checked at each use, when RAM’s view has changed, too', async () => {
    assert.equal(create(FAKE_RAM - 128, KTOA), 0);
    v86.memory.grow(1);
    v86.ram.store(FAKE_RAM - 128 + 64 + 8, 1);
    useMsix(1, 0x51);
    await receiveOne();
    assert.equal(v86.ram.load(KTOA + 64 + 4), 1);
    assert.deepEqual(v86.taken, [0x51]);
    for (const [atok, ktoa] of [
      [FAKE_RAM - 64, KTOA],
      [ATOK, 0xffffffc0],
      [ATOK, 0x80000000],
      [ATOK + 4, KTOA],
    ]) {
      assert.equal(create(atok, ktoa), 6);
    }
  });

  test('hears a flag that was set without a doorbell', async () => {
    create();
    useMsix(1, 0x51);
    v86.ram.store(ATOK + 64 + 8, 0);
    set(KICK, 1);
    await receiveOne();
    assert.deepEqual(v86.taken, []);
    v86.ram.store(ATOK + 64 + 8, 1); // as a driver does at the end of its poll
    await receiveOne();
    assert.deepEqual(v86.taken, [0x51]);
  });
});

test('frames leave with a doorbell, and come back with hwcur', async () => {
  const other = await netmap.open('vale0:other');
  create();
  const window = v86.bar('ptnetmap-memdev', 1);
  const nifp = window + get(24);
  const tx = nifp + v86.load(nifp + 56, 4);
  const buffer = tx + v86.load(tx, 4) + v86.load(tx + 256, 4) * v86.load(tx + 12, 4);
  for (const [i, byte] of broadcast().entries()) v86.store(buffer + i, 1, byte);
  v86.store(tx + 260, 4, 60);
  v86.ram.store(ATOK + 4, 1);
  v86.ram.store(ATOK, 1);
  set(KICK, 1);
  assert.deepEqual([v86.ram.load(KTOA), v86.ram.load(KTOA + 4)], [1, 0]);
  other.rxsync();
  assert.deepEqual(other.recv(), [broadcast()]);
});

test('a loop worker may serve the device: doorbells, interrupts and the CSB pass between the threads', async () => {
  const threaded = await Netmap.create({ memorySize: 256 << 20, threads: 1 });
  const machine = new FakeV86();
  await attachPtnet(machine, { netmap: threaded, name: 'vale0:a', loop: 'notify' });
  const other = await threaded.open('vale0:other');
  v86 = machine;
  io = v86.bar('ptnet', 0);
  table = v86.bar('ptnet', 2);
  assert.equal(create(), 0);
  useMsix(1, 0x51);
  for (let n = 1; n <= 3; n++) {
    v86.ram.store(ATOK + 64 + 8, 0); // the loop interrupts all the same: the flag may be old
    await other.send(broadcast());
    const until = performance.now() + 10_000;
    while (v86.ram.load(KTOA + 64 + 4) !== n && performance.now() < until) await new Promise((go) => setTimeout(go, 1));
    assert.deepEqual([v86.ram.load(KTOA + 64 + 4), v86.ram.load(KTOA + 64 + 8)], [n, 1]);
    assert.deepEqual(new Set(v86.taken), new Set([0x51]));
    v86.ram.store(ATOK + 4, n);
    v86.ram.store(ATOK, n); // the slots are as they were made: frames of a whole buffer, which are too long
    set(KICK, 1);
    while (v86.ram.load(KTOA) !== n && performance.now() < until) {
      set(KICK, 1);
      await new Promise((go) => setTimeout(go, 1));
    }
    assert.equal(v86.ram.load(KTOA), n);
  }
  await threaded.close();
});

test('a reboot resets the devices: nothing of the CSB is touched any more', async () => {
  create();
  useMsix(1, 0x51);
  set(0, 1);
  set(44, 12);
  (v86.v86.cpu['reboot_internal'] as () => void)();
  assert.equal(v86.rebooted, 1);
  assert.deepEqual([get(0), get(44)], [0, 0]);
  assert.deepEqual([v86.load(table + 16 + 8, 4), v86.load(table + 16 + 12, 4)], [0, 1]);
  const before = v86.ram.load(KTOA + 64 + 4);
  await receiveOne();
  set(KICK, 1);
  assert.equal(v86.ram.load(KTOA + 64 + 4), before);
  set(4, 1);
  assert.equal(get(4), 6);
});

test('after close the device does not answer, and the port is free', async () => {
  create();
  await ptnet.close();
  assert.equal(get(28), 0xffffffff);
  set(KICK, 1);
  set(4, 1);
  assert.equal(v86.load(v86.bar('ptnetmap-memdev', 1), 4), 0xffffffff);
  v86.store(v86.bar('ptnetmap-memdev', 1), 4, 1);
  v86.store(table, 4, 1);
  await (await netmap.open('vale0:a')).close();
  assert.equal(ptnet.faults, 0);
});
