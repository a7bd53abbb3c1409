// Options, monitors, headers and the requests beside REGISTER of a program with a memory of its own: as netmap(4) has them,
// and the real host is left as it was.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { guestUpstream } from '../../src/exec/guest-upstream.js';
import { abi, Netmap, PtnetDriver } from '../../src/index.js';
import type { DeviceAnswer, ProgramRequest } from '../../src/ioctl/messages.js';
import type { HostPort } from '../../src/netmap/host-port.js';
import { nextTurn } from '../../src/threads/turn.js';
import { type Descriptor, directDescriptor, ProgramHarness } from '../support/program-harness.js';

const { NETMAP_REQ_OPT_CSB: CSB, NETMAP_REQ_OPT_EXTMEM: EXTMEM, NETMAP_REQ_OPT_OFFSETS: OFFSETS } = abi;
const ALL = { mode: abi.NR_REG_ALL_NIC };
const FRAME = Uint8Array.from({ length: 90 }, (_, i) => (i < 6 ? 0xff : i));

let real: Netmap;
let program: ProgramHarness;

beforeEach(async () => {
  real = await Netmap.create();
  program = await ProgramHarness.start(real);
});
afterEach(async () => {
  const { failures } = program;
  await program.close();
  await real.close();
  assert.deepEqual(failures, []);
});

interface Bound {
  readonly descriptor: Descriptor;
  readonly port: HostPort;
  readonly answer: DeviceAnswer;
}
async function bind(name: string, given: Partial<ProgramRequest> = {}): Promise<Bound> {
  const descriptor = program.descriptor();
  const answer = await descriptor.request({ name, body: ALL, ...given });
  assert.equal(answer.errno, 0);
  return { descriptor, port: descriptor.port as HostPort, answer };
}

/** Waits for a packet: its bytes, the flags of its first slot, and how many slots it has. */
async function receive(port: HostPort, ringIndex = 0): Promise<{ bytes: Uint8Array; flags: number; slots: number }> {
  const ring = port.rxRings[ringIndex];
  for (let turns = 0; ring.head === ring.tail; turns++) {
    assert.ok(turns < 10_000, 'a packet has come');
    await nextTurn();
    port.rxsync();
  }
  const parts: number[] = [];
  const { flags } = ring.slot(ring.head);
  let slots = 0;
  for (let more = true; more; slots++) {
    const slot = ring.slot(ring.head);
    parts.push(...ring.buf(ring.head, slot.len));
    more = (slot.flags & abi.NS_MOREFRAG) !== 0;
    ring.advance(1);
  }
  port.rxsync();
  return { bytes: Uint8Array.from(parts), flags, slots };
}

describe('options of REGISTER', () => {
  for (const mode of [abi.NR_REG_ALL_NIC, abi.NR_REG_NIC_SW]) {
    test(`mode ${mode}: packets lie behind their offsets, on either way`, async () => {
      const nic = await real.addInterface('eth0');
      const offsets = { max: 128, initial: 64, bits: 16 };
      const { port, answer } = await bind('eth0', { body: { mode }, options: [OFFSETS], offsets });
      assert.deepEqual([answer.status, answer.maxOffset], [{ [OFFSETS]: 0 }, 128]);
      const [tx, rx] = [port.txRings[0], port.rxRings[0]];
      assert.deepEqual([tx.offsetMask, tx.offset(0), rx.offset(0)], [0xffff, 64, 64]);
      for (const offset of [64, 100, 128]) {
        tx.setOffset(tx.head, offset);
        await port.send(FRAME);
        assert.deepEqual((await receive(nic.wire)).bytes, FRAME);
        await nic.wire.send(FRAME);
        assert.deepEqual((await receive(port)).bytes, FRAME);
      }
      assert.equal(rx.offset(1), 64);
      // Behind the offset the buffer holds less than the packet has: it comes in two slots.
      const big = new Uint8Array(2040).fill(7);
      await nic.wire.send(big);
      const { bytes, slots } = await receive(port);
      assert.deepEqual([bytes, slots], [big, mode === abi.NR_REG_ALL_NIC ? 1 : slots]);
    });
  }

  test('offsets that are larger than the maximum are cropped to it', async () => {
    const peer = await real.open('netmap:p}1');
    const { port } = await bind('p{1', { options: [OFFSETS], offsets: { max: 32, initial: 0, bits: 0 } });
    const [ring] = port.txRings;
    ring.u8.set(FRAME, ring.bufBase + ring.slot(0).bufIdx * ring.bufSize + 32);
    ring.setSlot(0, FRAME.length);
    ring.setOffset(0, 1500);
    ring.advance(1);
    port.txsync();
    assert.deepEqual((await receive(peer)).bytes, FRAME);
  });

  test('offsets are refused as by the host, with their status', async () => {
    const host = await Netmap.create();
    const nics = [await real.addInterface('eth0'), await host.addInterface('eth0')];
    for (const netmap of [real, host]) await netmap.open('netmap:eth0');
    const { bufSize } = (await bind('p{1')).port.txRings[0];
    for (const offsets of [
      { max: 2 ** 20, initial: 0, bits: 0 },
      { max: bufSize, initial: 0, bits: 0 },
      { max: 64, initial: 65, bits: 0 },
      { max: 64, initial: 0, bits: 3 },
      { max: 64, initial: 0, bits: 65 },
    ]) {
      for (const flags of [0, abi.NR_ZCOPY_MON]) {
        const [mine, theirs] = [program.descriptor(), directDescriptor(host)];
        const request = { name: 'eth0', body: { ...ALL, flags }, options: [OFFSETS], offsets };
        const { errno, status } = await mine.request(request);
        const expected = await theirs.request({
          ...request,
          offsets: offsets.max === bufSize ? { ...offsets, max: 2048 } : offsets,
        });
        assert.deepEqual([errno, status], [expected.errno, expected.status], JSON.stringify({ offsets, flags }));
        await mine.close();
        await theirs.close();
      }
    }
    for (const nic of nics) await nic.close();
    await host.close();
  });

  test('unknown options and EXTMEM keep their status, and the descriptor stays unbound', async () => {
    const descriptor = program.descriptor();
    const before = await real.inspect();
    for (const option of [77, EXTMEM, abi.NETMAP_REQ_OPT_SYNC_KLOOP_MODE]) {
      const answer = await descriptor.request({ name: 'vale0:a', body: ALL, options: [option] });
      assert.deepEqual([answer.errno, answer.status[option] ?? abi.EOPNOTSUPP], [-abi.EOPNOTSUPP, abi.EOPNOTSUPP]);
    }
    assert.deepEqual(await real.inspect(), before);
    assert.equal((await descriptor.request({ name: 'vale0:a', body: ALL })).errno, 0);
  });

  test('the CSB is in its own memory, and a kernel loop runs its own rings', async () => {
    const nic = await real.addInterface('eth0');
    for (const mode of [abi.NR_REG_ALL_NIC, abi.NR_REG_NIC_SW]) {
      const held = program.own.reserve(8192);
      const csb = { atok: held.base, ktoa: held.base + 4096, end: program.own.memory.buffer.byteLength };
      const refused = await program.descriptor().request({ name: 'eth0', body: { mode }, options: [CSB], csb });
      assert.equal(refused.errno, -abi.EINVAL, 'without NR_EXCLUSIVE');
      const body = { mode, flags: abi.NR_EXCLUSIVE };
      const { descriptor, port, answer } = await bind('eth0', { body, options: [CSB], csb });
      assert.ok(answer.status[CSB] === 0);
      assert.equal(port.txsync(), -abi.EBUSY);
      assert.equal(port.pollOnce(abi.POLLIN), abi.POLLERR);
      const start = { type: abi.NETMAP_REQ_SYNC_KLOOP_START, body: { sleepUs: 0 } };
      const { run } = await descriptor.request(start);
      assert.equal((await descriptor.request(start)).errno, -abi.EBUSY);
      const { i32, wasm } = port.waiting.arena;
      const [tx] = port.txRings;
      tx.buf(0).set(FRAME);
      tx.setSlot(0, FRAME.length);
      for (const field of [abi.CSB_ATOK_CUR, abi.CSB_ATOK_HEAD]) Atomics.store(i32, (csb.atok + field) >>> 2, 1);
      wasm.kloopKick(run?.loop ?? 0, 0, port.waiting.ptr);
      wasm.kloopPass(port.waiting.ptr);
      assert.deepEqual((await receive(nic.wire)).bytes, FRAME);
      assert.equal((await descriptor.request({ type: abi.NETMAP_REQ_SYNC_KLOOP_STOP })).errno, 0);
      await descriptor.close();
      held.release();
    }
  });
});

describe('memory', () => {
  test('mem id 1 is its region, 0 leaves the choice, and there are no others', async () => {
    await real.open('vale5:other');
    const descriptor = program.descriptor();
    for (const type of [abi.NETMAP_REQ_REGISTER, abi.NETMAP_REQ_PORT_INFO_GET, abi.NETMAP_REQ_POOLS_INFO_GET]) {
      const { errno } = await descriptor.request({ type, name: 'vale0:a', body: { ...ALL, memId: 2 } });
      assert.equal(errno, -abi.EINVAL);
    }
    const made = { type: abi.NETMAP_REQ_VALE_NEWIF, name: 'per0', body: { memId: 1 } };
    assert.equal((await descriptor.request(made)).body?.['memId'], 1);
    const { answer } = await bind('per0', { body: { ...ALL, memId: 1, extraBufs: 7 } });
    const own = (await program.own.inspect()).regions[0];
    assert.deepEqual(
      ['memId', 'memsize', 'extraBufs'].map((field) => answer.body?.[field]),
      [1, own.memsize, 7],
    );
    const info = { type: abi.NETMAP_REQ_PORT_INFO_GET, name: 'per0' };
    for (const memId of [0, 1]) {
      const { body } = await descriptor.request({ ...info, body: { memId } });
      assert.deepEqual([body?.['memId'], body?.['memsize']], [1, own.memsize]);
    }
    assert.equal(
      (await real.inspect()).regions.find(({ memId }) => memId === 1),
      undefined,
    );
  });

  test('a null port wants a mem id, as the host does, and counts as bound', async () => {
    const descriptor = program.descriptor();
    const body = { mode: abi.NR_REG_NULL, txRings: 1, txSlots: 16 };
    assert.equal((await descriptor.request({ name: 'x', body })).errno, -abi.EINVAL);
    assert.equal((await descriptor.request({ name: 'x', body: { ...body, memId: 1 } })).errno, 0);
    assert.equal((await descriptor.request({ name: 'eth9', body: ALL })).errno, -abi.EBUSY);
    await descriptor.close();
    assert.deepEqual((await program.own.inspect()).ports, []);
  });

  test('buffers may be exchanged between its ports, host rings or not', async () => {
    const nic = await real.addInterface('eth0');
    const peer = await real.open('netmap:p}1');
    const [a, b] = [await bind('eth0', { body: { mode: abi.NR_REG_NIC_SW } }), await bind('p{1')];
    await nic.stack.send(FRAME);
    await nextTurn();
    const [from, to] = [a.port.rxRings[1], b.port.txRings[0]];
    while (from.head === from.tail) {
      a.port.rxsync();
      await nextTurn();
    }
    const { bufIdx, len } = from.slot(from.head);
    from.setBufIdx(from.head, to.slot(to.head).bufIdx);
    from.setSlot(from.head, 0, abi.NS_BUF_CHANGED);
    to.setBufIdx(to.head, bufIdx);
    to.setSlot(to.head, len, abi.NS_BUF_CHANGED);
    for (const ring of [from, to]) ring.advance(1);
    for (const { port } of [a, b]) port.pollOnce(abi.POLLIN | abi.POLLOUT);
    assert.deepEqual((await receive(peer)).bytes, FRAME);
    const before = (await program.own.inspect()).regions[0].free;
    assert.ok(before.buf > 0);
  });

  test('ports that come and go in any order leave both hosts as they were', async () => {
    await real.addInterface('eth0', { txRings: 2, rxRings: 2, txSlots: 128, rxSlots: 128 });
    const modes = [abi.NR_REG_ALL_NIC, abi.NR_REG_SW, abi.NR_REG_NIC_SW, abi.NR_REG_ONE_SW, abi.NR_REG_ONE_NIC];
    const { port: keeps } = await bind('vale9:stays');
    const count = async () =>
      Promise.all(
        [real, program.own].map(async (host) => {
          const { ports, regions, memory } = await host.inspect();
          return { ports: ports.length, regions, memory };
        }),
      );
    const before = await count();
    let seed = 7;
    for (let round = 0; round < 20; round++) {
      const open: Descriptor[] = [];
      for (let i = 0; i < 4; i++) {
        seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
        const name = (seed >>> 8) % 2 ? 'eth0' : `vale${i}:a`;
        const mode = name === 'eth0' ? modes[(seed >>> 16) % modes.length] : abi.NR_REG_ALL_NIC;
        const descriptor = program.descriptor();
        const { errno } = await descriptor.request({ name, body: { mode, extraBufs: 5 } });
        // NIC rings that are bound without host rings are not bound with them.
        if (errno !== 0) assert.deepEqual([errno, mode], [-abi.EBUSY, abi.NR_REG_NIC_SW]);
        open.splice((seed >>> 20) % (open.length + 1), 0, descriptor);
      }
      for (const descriptor of open) await descriptor.close();
    }
    assert.deepEqual(await count(), before);
    assert.ok(keeps.isOpen);
  });
});

describe('monitors', () => {
  for (const [kind, flags, mark] of [
    ['copy', abi.NR_MONITOR_TX | abi.NR_MONITOR_RX, abi.NS_TXMON],
    ['zero-copy', abi.NR_ZCOPY_MON, abi.NS_TXMON],
  ] as const) {
    test(`${kind}: what a port of the host sends and receives, sent frames marked`, async () => {
      const [a, b] = [await real.open('netmap:p{1'), await real.open('netmap:p}1')];
      const { port, answer, descriptor } = await bind('p{1', { body: { ...ALL, flags } });
      assert.equal((answer.body?.['flags'] ?? 0) & abi.NR_MONITOR_TX, abi.NR_MONITOR_TX);
      await a.send(FRAME);
      await receive(b);
      a.txsync();
      const sent = await receive(port);
      assert.deepEqual([sent.bytes, sent.flags & abi.NS_TXMON], [FRAME, mark]);
      await b.send(FRAME);
      await receive(a);
      const received = await receive(port);
      assert.deepEqual([received.bytes, received.flags & abi.NS_TXMON], [FRAME, 0]);
      assert.equal(port.pollOnce(abi.POLLOUT) & abi.POLLERR, abi.POLLERR);
      assert.equal(port.pollOnce(abi.POLLIN), 0);
      const wait = port.poll(abi.POLLIN, { timeout: 20_000 });
      await a.close();
      assert.equal((await wait) & abi.POLLERR, abi.POLLERR);
      assert.equal(port.rxsync(), -abi.EIO);
      await descriptor.close();
    });
  }
});

describe('frames', () => {
  for (const length of [10, 12]) {
    test(`of a port with a header of ${length} bytes pass as they are; who does not accept it gets EIO`, async () => {
      const [a, b] = [await real.open('vale0:a'), await real.open('vale0:b')];
      const set = { type: abi.NETMAP_REQ_PORT_HDR_SET, body: { length } };
      const descriptor = program.descriptor();
      for (const name of ['vale0:a', 'vale0:b']) {
        assert.equal((await descriptor.request({ ...set, name })).errno, 0);
        await (name === 'vale0:a' ? a : b).close();
      }
      const keeper = await real.open('vale0:b', { flags: abi.NR_ACCEPT_VNET_HDR });
      assert.equal((await descriptor.request({ ...set, name: 'vale0:b' })).errno, 0);
      const other = await real.open('vale0:a');
      await real.setPortHeader('vale0:a', length);
      assert.equal((await descriptor.request({ name: 'vale0:a', body: ALL })).errno, -abi.EIO);
      const { port } = await bind('vale0:a', { body: { ...ALL, flags: abi.NR_ACCEPT_VNET_HDR } });
      const got = await descriptor.request({ type: abi.NETMAP_REQ_PORT_HDR_GET, name: 'vale0:a' });
      assert.deepEqual(got.body, { length });
      const framed = new Uint8Array([...new Uint8Array(length), ...FRAME]);
      await port.send(framed);
      assert.deepEqual((await receive(keeper)).bytes, framed);
      await keeper.send(framed);
      assert.deepEqual((await receive(port)).bytes, framed);
      await other.close();
    });
  }

  test('of several slots keep their number; a slot may name a packet anywhere in the memory of the program', async () => {
    const peer = await real.open('vale0:b');
    const { port } = await bind('vale0:a');
    const big = Uint8Array.from({ length: 5000 }, (_, i) => (i < 6 ? 0xff : i * 7));
    await peer.send(big);
    const { bytes, flags, slots } = await receive(port);
    assert.deepEqual([bytes, flags >>> abi.NS_RFRAGS_SHIFT, slots], [big, slots, 3]);
    const held = program.own.reserve(8192);
    const [ring] = port.txRings;
    ring.u8.set(big, held.base + 101);
    const point = (low: number, high: number, length: number, flags = 0): void => {
      const at = ring.slotBase + 4 * ring.head + 2;
      ring.i32[at] = low;
      ring.i32[at + 1] = high;
      ring.setSlot(ring.head, length, abi.NS_INDIRECT | flags);
      ring.advance(1);
    };
    for (let at = 0; at < big.length; at += 2000) {
      const left = big.length - at;
      point(held.base + 101 + at, 0, Math.min(left, 2000), left > 2000 ? abi.NS_MOREFRAG : 0);
    }
    port.txsync();
    assert.deepEqual((await receive(peer)).bytes, big);
    // Outside of it there is nothing: the packet is dropped, and the next one passes.
    for (const [low, high] of [
      [0xfffff000, 0],
      [held.base, 1],
      [0, 0],
    ] as const) {
      point(low, high, 2000);
    }
    point(held.base, 0, 5000);
    await port.send(FRAME);
    assert.deepEqual((await receive(peer)).bytes, FRAME);
    held.release();
  });
});

describe('in a guest', () => {
  test('REGISTER has the modes of a ptnet interface, its errors, and its counts', async () => {
    const guest = await real.createGuest();
    await guest.passthrough('vale0:guest', { txRings: 2, rxRings: 2, txSlots: 64, rxSlots: 128 });
    const machine = await guest.machine();
    const upstream = guestUpstream({ netmap: { close: async () => {} } as Netmap, machine });
    const inside = await ProgramHarness.start(upstream);
    const descriptor = inside.descriptor();
    const errnoOf = async (given: Partial<ProgramRequest>) =>
      (await descriptor.request({ name: 'ptnet0', ...given, body: { ...ALL, ...given.body } })).errno;
    assert.equal(await errnoOf({ name: 'vale0:a' }), -abi.ENXIO);
    for (const mode of [abi.NR_REG_SW, abi.NR_REG_NIC_SW, abi.NR_REG_ONE_SW, abi.NR_REG_DEFAULT, 9]) {
      assert.equal(await errnoOf({ body: { mode } }), -abi.EINVAL);
    }
    assert.equal(await errnoOf({ body: { mode: abi.NR_REG_ONE_NIC, ringId: 2 } }), -abi.EINVAL);
    assert.equal(await errnoOf({ body: { flags: abi.NR_MONITOR_RX } }), -abi.EOPNOTSUPP);
    const offsets = { options: [OFFSETS], offsets: { max: 8, initial: 0, bits: 0 } };
    assert.equal(await errnoOf(offsets), -abi.EOPNOTSUPP);
    const info = await descriptor.request({ type: abi.NETMAP_REQ_PORT_INFO_GET, name: 'ptnet0' });
    assert.deepEqual([info.body?.['txRings'], info.body?.['txSlots'], info.body?.['rxSlots']], [2, 64, 128]);
    const one = { mode: abi.NR_REG_ONE_NIC, ringId: 1, flags: abi.NR_EXCLUSIVE };
    assert.equal(await errnoOf({ body: one }), 0);
    assert.deepEqual([descriptor.port?.txRings.length, descriptor.port?.txRings[0].ringId], [1, 1]);
    const second = inside.descriptor();
    assert.equal((await second.request({ name: 'ptnet0', body: ALL })).errno, -abi.EBUSY);
    assert.equal((await second.request({ name: 'ptnet0', body: { ...one, ringId: 0 } })).errno, 0);
    const peer = await real.open('vale0:peer');
    await second.port?.send(FRAME);
    assert.deepEqual((await receive(peer)).bytes, FRAME);
    await peer.send(FRAME);
    assert.deepEqual((await receive(second.port as HostPort)).bytes, FRAME);
    await inside.close();
    assert.equal(PtnetDriver.probe(machine)[0].open().isOpen, true);
    await guest.close();
  });
});
