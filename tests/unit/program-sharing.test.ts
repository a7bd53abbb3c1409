// Descriptors of a program that bind the same rings of a port: they are the same rings, as in the memory of the host, and
// the real port has those open that some descriptor has bound.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { guestUpstream } from '../../src/exec/guest-upstream.js';
import { abi, Netmap, type NetmapInterface, type NetmapRing } from '../../src/index.js';
import { HostPort } from '../../src/netmap/host-port.js';
import type { PortInfo } from '../../src/netmap/register.js';
import { nextTurn } from '../../src/threads/turn.js';
import { type Descriptor, directDescriptor, ProgramHarness } from '../support/program-harness.js';

const RINGS = 3;
const COUNTS = { txRings: RINGS, rxRings: RINGS, txSlots: 128, rxSlots: 128, hostTxRings: 1, hostRxRings: 1 };
const [ALL, ONE, SW, BOTH] = [abi.NR_REG_ALL_NIC, abi.NR_REG_ONE_NIC, abi.NR_REG_SW, abi.NR_REG_NIC_SW];
const { NR_EXCLUSIVE, NR_RX_RINGS_ONLY, NR_TX_RINGS_ONLY } = abi;
const PATIENCE = 10_000;

let real: Netmap;
let program: ProgramHarness;
let nic: NetmapInterface;
/** What the program's own host has free when it has nothing open. */
let idle: unknown;

const inUse = async (host: Netmap): Promise<unknown> => {
  const { ports, regions, memory } = await host.inspect();
  return { ports: ports.map(({ name }) => name), regions, memory };
};

beforeEach(async () => {
  real = await Netmap.create();
  program = await ProgramHarness.start(real);
  idle = await inUse(program.own);
  nic = await real.addInterface('eth0', COUNTS);
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
}

async function bind(mode: number, ringId = 0, flags = 0, name = 'eth0'): Promise<Bound> {
  const descriptor = program.descriptor();
  const { errno } = await descriptor.request({ name, body: { mode, ringId, flags } });
  assert.equal(errno, 0);
  return { descriptor, port: descriptor.port as HostPort };
}

async function errnoOf(mode: number, ringId = 0, flags = 0): Promise<number> {
  const descriptor = program.descriptor();
  const { errno } = await descriptor.request({ name: 'eth0', body: { mode, ringId, flags } });
  await descriptor.close();
  return errno;
}

/** Whether another program may have a ring of the real port for itself. */
async function isFree(ring: number | 'host', direction: 'R' | 'T'): Promise<boolean> {
  try {
    await (
      await real.open(ring === 'host' ? `netmap:eth0^/x${direction}` : `netmap:eth0-${ring}/x${direction}`)
    ).close();
    return true;
  } catch {
    return false;
  }
}

function numbered(number: number): Uint8Array {
  const frame = new Uint8Array(60).fill(0xff, 0, 6);
  new DataView(frame.buffer).setUint32(14, number, true);
  return frame;
}

function put(ring: NetmapRing, number: number): void {
  ring.buf(ring.head).set(numbered(number));
  ring.setSlot(ring.head, 60);
  ring.advance(1);
}

/** The next `count` numbers that come in a ring. */
async function take(sync: () => number, ring: NetmapRing, count: number): Promise<number[]> {
  const numbers: number[] = [];
  const limit = performance.now() + PATIENCE;
  while (numbers.length < count) {
    assert.ok(performance.now() < limit, `${numbers.length} of ${count} frames have come`);
    assert.equal(sync(), 0);
    for (; ring.head !== ring.tail && numbers.length < count; ring.advance(1)) {
      numbers.push(new DataView(ring.buf(ring.head).slice(0, 60).buffer).getUint32(14, true));
    }
    await nextTurn();
  }
  sync();
  return numbers;
}

/** Frames of the wire come to the program's rx ring, and those of its tx ring go there. */
async function passes(port: HostPort, place: number, ring: number, first = 0): Promise<void> {
  const numbers = Array.from({ length: 60 }, (_, i) => first + i);
  for (const number of numbers) put(nic.wire.txRings[ring], number);
  nic.wire.txsync();
  assert.deepEqual(await take(() => port.rxsync(), port.rxRings[place], 60), numbers);
  for (const number of numbers) put(port.txRings[place], number);
  port.txsync();
  assert.deepEqual(await take(() => nic.wire.rxsync(), nic.wire.rxRings[ring], 60), numbers);
}

const addresses = (rings: readonly NetmapRing[]): number[] => rings.map(({ ptr }) => ptr);

describe('descriptors of a program on one port', () => {
  for (const order of ['the wide one first', 'the narrow ones first']) {
    test(`one with all rings, and one for each ring: the same rings; ${order}`, async () => {
      let [all] = order === 'the wide one first' ? [await bind(ALL)] : [];
      const ones = [await bind(ONE, 0), await bind(ONE, 1), await bind(ONE, 2)];
      all ??= await bind(ALL);
      for (const [ring, { port }] of ones.entries()) {
        assert.deepEqual(addresses(port.txRings), [all.port.txRings[ring].ptr]);
        assert.deepEqual(addresses(port.rxRings), [all.port.rxRings[ring].ptr]);
        await passes(port, 0, ring);
        await passes(all.port, ring, ring, 1000);
      }
      assert.notEqual(all.port.info.offset, ones[0].port.info.offset);
      // What each one sees is what the other one has left.
      put(nic.wire.txRings[1], 1);
      put(nic.wire.txRings[1], 2);
      nic.wire.txsync();
      assert.deepEqual(await take(() => all.port.rxsync(), all.port.rxRings[1], 1), [1]);
      assert.deepEqual(await take(() => ones[1].port.rxsync(), ones[1].port.rxRings[0], 1), [2]);
    });
  }

  test('one closes after the other, and nothing is lost on the way', async () => {
    const [all, one] = [await bind(ALL), await bind(ONE, 1)];
    for (let number = 0; number < 50; number++) put(nic.wire.txRings[1], number);
    nic.wire.txsync();
    for (let number = 0; number < 50; number++) put(all.port.txRings[1], number);
    all.port.txsync();
    await all.descriptor.close();
    for (let number = 50; number < 100; number++) put(nic.wire.txRings[1], number);
    nic.wire.txsync();
    const numbers = Array.from({ length: 100 }, (_, i) => i);
    assert.deepEqual(await take(() => one.port.rxsync(), one.port.rxRings[0], 100), numbers);
    for (let number = 50; number < 100; number++) put(one.port.txRings[0], number);
    one.port.txsync();
    assert.deepEqual(await take(() => nic.wire.rxsync(), nic.wire.rxRings[1], 100), numbers);
    await passes(one.port, 0, 1);
    await one.descriptor.close();
    assert.deepEqual(await inUse(program.own), idle);
  });

  test('the real port has those rings open that some descriptor has bound', async () => {
    const free = async (): Promise<string> => {
      let found = '';
      for (const ring of [0, 1, 2]) {
        for (const way of ['T', 'R'] as const) found += (await isFree(ring, way)) ? way : '-';
      }
      return found;
    };
    assert.equal(await free(), 'TRTRTR');
    const sends = await bind(ONE, 0, NR_TX_RINGS_ONLY);
    assert.equal(await free(), '-RTRTR');
    const all = await bind(ALL);
    assert.equal(await free(), '------');
    const one = await bind(ONE, 1);
    const receives = await bind(ONE, 2, NR_RX_RINGS_ONLY);
    await all.descriptor.close();
    assert.equal(await free(), '-R--T-');
    await one.descriptor.close();
    assert.equal(await free(), '-RTRT-');
    await receives.descriptor.close();
    await sends.descriptor.close();
    assert.equal(await free(), 'TRTRTR');
  });

  test('both directions of a ring can be bound one by one', async () => {
    const sends = await bind(ONE, 0, NR_TX_RINGS_ONLY);
    const receives = await bind(ONE, 0, NR_RX_RINGS_ONLY);
    put(nic.wire.txRings[0], 5);
    nic.wire.txsync();
    assert.deepEqual(await take(() => receives.port.rxsync(), receives.port.rxRings[0], 1), [5]);
    put(sends.port.txRings[0], 6);
    sends.port.txsync();
    assert.deepEqual(await take(() => nic.wire.rxsync(), nic.wire.rxRings[0], 1), [6]);
  });

  test('exclusive openings are refused as by the host, in either order', async () => {
    const shared = await bind(ONE, 0);
    assert.equal(await errnoOf(ONE, 0, NR_EXCLUSIVE), -abi.EBUSY);
    assert.equal(await errnoOf(ALL, 0, NR_EXCLUSIVE), -abi.EBUSY);
    const exclusive = await bind(ONE, 1, NR_EXCLUSIVE);
    assert.equal(await errnoOf(ONE, 1), -abi.EBUSY);
    assert.equal(await errnoOf(ALL), -abi.EBUSY);
    assert.equal(await errnoOf(ONE, 3), -abi.EINVAL);
    await passes(shared.port, 0, 0);
    await passes(exclusive.port, 0, 1);
    await exclusive.descriptor.close();
    const all = await bind(ALL);
    await passes(all.port, 1, 1);
    await passes(shared.port, 0, 0);
  });

  test('a ring that is bound again has nothing of the time before', async () => {
    const stays = await bind(ONE, 0);
    const first = await bind(ONE, 1);
    for (let number = 0; number < 20; number++) put(nic.wire.txRings[1], number);
    nic.wire.txsync();
    assert.deepEqual(await take(() => first.port.rxsync(), first.port.rxRings[0], 5), [0, 1, 2, 3, 4]);
    put(first.port.txRings[0], 77); // never synced
    await first.descriptor.close();
    const again = await bind(ONE, 1);
    await passes(again.port, 0, 1, 100);
    await passes(stays.port, 0, 0);
  });

  test('host rings and NIC rings, in descriptors of their own and in one', async () => {
    const [host, one] = [await bind(SW), await bind(ONE, 2)];
    const both = await bind(BOTH);
    assert.equal(both.port.rxRings[2].ptr, one.port.rxRings[0].ptr);
    assert.equal(both.port.rxRings[RINGS].ptr, host.port.rxRings[0].ptr);
    await passes(one.port, 0, 2);
    await passes(both.port, 1, 1);
    for (const descriptor of [host, both]) {
      put(nic.stack.txRings[0], 8);
      nic.stack.txsync();
      const ring = descriptor.port.rxRings[descriptor === host ? 0 : RINGS];
      assert.deepEqual(await take(() => descriptor.port.rxsync(), ring, 1), [8]);
    }
    await both.descriptor.close();
    assert.equal(await isFree(1, 'R'), true);
    assert.equal(await isFree('host', 'R'), false);
    await passes(one.port, 0, 2);
  });

  test('NIC rings that are bound without host rings are refused with them, and go on', async () => {
    const [all, host] = [await bind(ALL), await bind(SW)];
    assert.equal(await errnoOf(BOTH), -abi.EBUSY);
    const one = await bind(ONE, 1);
    assert.equal(one.port.rxRings[0].ptr, all.port.rxRings[1].ptr);
    await passes(one.port, 0, 1);
    await host.descriptor.close();
    for (const { descriptor } of [all, one]) await descriptor.close();
    await bind(BOTH);
  });

  test('an interface that goes is POLLERR for all of them; a new one of its name is another port', async () => {
    const old = [await bind(ALL), await bind(ONE, 1), await bind(ONE, 2)];
    const waits = old.map(({ port }) => port.poll(abi.POLLIN, { timeout: PATIENCE }));
    await nic.close();
    for (const wait of waits) assert.equal((await wait) & abi.POLLERR, abi.POLLERR);
    nic = await real.addInterface('eth0', COUNTS);
    const fresh = await bind(ALL);
    await passes(fresh.port, 1, 1);
    for (const { descriptor } of old) await descriptor.close();
    await passes(fresh.port, 2, 2);
  });

  test('monitors of one port are each one of their own', async () => {
    const peer = await real.open('vale0:peer');
    const first = await bind(ALL, 0, 0, 'vale0:a');
    const [one, two] = await Promise.all([0, 1].map(() => bind(ALL, 0, abi.NR_MONITOR_RX, 'vale0:a')));
    assert.notEqual(one.port.rxRings[0].ptr, two.port.rxRings[0].ptr);
    await peer.send(numbered(3));
    assert.deepEqual(await take(() => first.port.rxsync(), first.port.rxRings[0], 1), [3]);
    for (const { port } of [one, two]) assert.deepEqual(await take(() => port.rxsync(), port.rxRings[0], 1), [3]);
    // A monitor is one for every thread: who waits until it sends learns that it does not.
    for (const { descriptor, port } of [one, two, first]) {
      const info = await descriptor.shared?.();
      assert.equal(info?.kind === abi.PORT_KIND_MONITOR, port !== first.port);
      const other = new HostPort(port.waiting, info as PortInfo, { close: async () => {}, call: async () => {} });
      assert.equal(other.pollOnce(abi.POLLOUT), port.pollOnce(abi.POLLOUT));
      assert.equal(other.pollOnce(abi.POLLOUT) & abi.POLLERR, port === first.port ? 0 : abi.POLLERR);
    }
    await peer.close();
  });

  test('ports and rings in every order: the errors of the host, and every bound ring works', async () => {
    const direct = await Netmap.create();
    await direct.addInterface('eth0', COUNTS);
    const before = [await inUse(real), await inUse(program.own), await inUse(direct)];
    let seed = 11;
    const random = (n: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 16) % n;
    };
    for (let round = 0; round < 12; round++) {
      const open: { mine: Descriptor; theirs: Descriptor; rings: number[] }[] = [];
      for (let step = 0; step < 12; step++) {
        if (open.length !== 0 && random(3) === 0) {
          const [{ mine, theirs }] = open.splice(random(open.length), 1);
          await Promise.all([mine.close(), theirs.close()]);
        } else {
          const mode = [ALL, ONE, ONE, ONE, SW][random(5)];
          const flags = [0, 0, 0, NR_EXCLUSIVE][random(4)];
          const body = { mode, flags, ringId: mode === ONE ? random(RINGS) : 0 };
          const [mine, theirs] = [program.descriptor(), directDescriptor(direct)];
          const answers = await Promise.all([mine, theirs].map((one) => one.request({ name: 'eth0', body })));
          assert.equal(answers[0].errno, answers[1].errno);
          if (answers[0].errno === 0) {
            const rings = mode === SW ? [] : mode === ALL ? [0, 1, 2] : [body.ringId];
            open.push({ mine, theirs, rings });
          } else await Promise.all([mine.close(), theirs.close()]);
        }
        for (const { mine, rings } of open) {
          for (const [place, ring] of rings.entries()) await passes(mine.port as HostPort, place, ring, step);
        }
      }
      for (const { mine, theirs } of open) await Promise.all([mine.close(), theirs.close()]);
      assert.deepEqual([await inUse(real), await inUse(program.own), await inUse(direct)], before);
    }
    await direct.close();
  });

  test('requests at the same time, as threads make them', async () => {
    const all = await bind(ALL);
    for (let round = 0; round < 5; round++) {
      const ones = await Promise.all([0, 1, 2, 0, 1, 2].map((ring) => bind(ONE, ring)));
      await Promise.all(ones.slice(0, 3).map(({ port }, ring) => passes(port, 0, ring)));
      await Promise.all(ones.map(({ descriptor }) => descriptor.close()));
    }
    await passes(all.port, 0, 0);
  });

  test('in a guest: the rings of a ptnet interface', async () => {
    const eth = await real.addInterface('eth1', { txRings: 2, rxRings: 2 });
    const guest = await real.createGuest();
    await guest.passthrough('netmap:eth1');
    const upstream = guestUpstream({ netmap: real, machine: await guest.machine() });
    const inGuest = await ProgramHarness.start({ ...upstream, close: async () => {} });
    const open = async (mode: number, ringId = 0): Promise<Bound> => {
      const descriptor = inGuest.descriptor();
      const { errno } = await descriptor.request({ name: 'ptnet0', body: { mode, ringId } });
      assert.equal(errno, 0);
      return { descriptor, port: descriptor.port as HostPort };
    };
    const [all, one] = [await open(ALL), await open(ONE, 1)];
    assert.equal(one.port.rxRings[0].ptr, all.port.rxRings[1].ptr);
    for (const [first, closes] of [[1], [2, all]] as const) {
      await closes?.descriptor.close();
      put(eth.wire.txRings[1], first);
      eth.wire.txsync();
      assert.deepEqual(await take(() => one.port.rxsync(), one.port.rxRings[0], 1), [first]);
      put(one.port.txRings[0], first);
      one.port.txsync();
      assert.deepEqual(await take(() => eth.wire.rxsync(), eth.wire.rxRings[1], 1), [first]);
    }
    assert.deepEqual(inGuest.failures, []);
    await inGuest.close();
    await guest.close();
  });
});
