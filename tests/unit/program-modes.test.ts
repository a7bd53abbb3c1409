// REGISTER by a program with a memory of its own, in every mode and with every flag: the answer, the netmap_if and the
// rings are those that a program in the host's own memory gets, and so is what can be sent and received by them.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { abi, Netmap, type NetmapInterface, type NetmapPort, type NetmapRing } from '../../src/index.js';
import type { DeviceAnswer, ProgramRequest } from '../../src/ioctl/messages.js';
import type { HostPort } from '../../src/netmap/host-port.js';
import { nextTurn } from '../../src/threads/turn.js';
import { type Descriptor, directDescriptor, ProgramHarness } from '../support/program-harness.js';

const MODES = {
  DEFAULT: abi.NR_REG_DEFAULT,
  ALL_NIC: abi.NR_REG_ALL_NIC,
  SW: abi.NR_REG_SW,
  NIC_SW: abi.NR_REG_NIC_SW,
  ONE_NIC: abi.NR_REG_ONE_NIC,
  PIPE_MASTER: abi.NR_REG_PIPE_MASTER,
  PIPE_SLAVE: abi.NR_REG_PIPE_SLAVE,
  NULL: abi.NR_REG_NULL,
  ONE_SW: abi.NR_REG_ONE_SW,
  'nine, which is none': 9,
};
const FLAGS = {
  none: 0,
  NR_EXCLUSIVE: abi.NR_EXCLUSIVE,
  NR_RX_RINGS_ONLY: abi.NR_RX_RINGS_ONLY,
  NR_TX_RINGS_ONLY: abi.NR_TX_RINGS_ONLY,
  'neither direction': abi.NR_RX_RINGS_ONLY | abi.NR_TX_RINGS_ONLY,
  'poll flags': abi.NR_NO_TX_POLL | abi.NR_DO_RX_POLL,
  NR_MONITOR_RX: abi.NR_MONITOR_RX,
  'NR_MONITOR_TX and RX': abi.NR_MONITOR_TX | abi.NR_MONITOR_RX,
  NR_ZCOPY_MON: abi.NR_ZCOPY_MON,
  'bits without a meaning': 0x1000 | 0x100000,
};
const COUNTS = { txRings: 3, rxRings: 2, txSlots: 512, rxSlots: 256 };
/** What a request may open, and how a host comes to have it. */
const PORTS: Record<string, { name: string; make(netmap: Netmap): Promise<unknown> }> = {
  'VALE port': { name: 'vale0:a', make: (netmap) => netmap.open('vale0:b') },
  'persistent port': {
    name: 'per0',
    make: async (netmap) => {
      await netmap.newInterface('per0', COUNTS);
      await netmap.valeAttach('vale1:per0');
      return netmap.open('vale1:b');
    },
  },
  'end of a pipe': { name: 'p{1', make: (netmap) => netmap.open('netmap:p}1', COUNTS) },
  'end of a named pipe': { name: 'vale2:q}name', make: (netmap) => netmap.open('vale2:q{name', COUNTS) },
  NIC: {
    name: 'eth0',
    make: (netmap) => netmap.addInterface('eth0', { ...COUNTS, hostTxRings: 2, hostRxRings: 1 }),
  },
  'interface that is none': { name: 'eth7', make: async () => undefined },
  'port without a name': { name: '', make: async () => undefined },
};

let real: Netmap;
let program: ProgramHarness;
let netmap: Netmap;

beforeEach(async () => {
  [real, netmap] = [await Netmap.create(), await Netmap.create()];
  program = await ProgramHarness.start(real);
});
afterEach(async () => {
  const { failures } = program;
  await program.close();
  await real.close();
  await netmap.close();
  assert.deepEqual(failures, []);
});

/** What an answer says, but for the memory, of which a program has its own. */
function said({ errno, status, body }: DeviceAnswer): unknown {
  const { offset: _, memsize: __, memId: ___, ...rest } = body ?? {};
  return { errno, status, body: rest };
}

/** The netmap_if as a 32-bit program reads it, and the rings that it names. */
function directory(port: HostPort | undefined): unknown {
  if (!port) return undefined;
  const { nifp } = port;
  const { i32 } = port.waiting.arena;
  const entries = nifp.txRings + nifp.hostTxRings + nifp.rxRings + nifp.hostRxRings;
  const rings = Array.from({ length: entries }, (_, i) => {
    const offset = i32[(nifp.ptr + abi.NETMAP_IF_RING_OFS + 4 * i) >>> 2];
    const found = [...port.txRings, ...port.rxRings].find(({ ptr }) => ptr === nifp.ptr + offset);
    return found ? [found.ringId, found.dir, found.numSlots, found.head, found.cur, found.tail] : offset;
  });
  return { ...{ tx: nifp.txRings, rx: nifp.rxRings, hostTx: nifp.hostTxRings, hostRx: nifp.hostRxRings }, rings };
}

async function free(host: Netmap): Promise<unknown> {
  const { ports, regions, memory } = await host.inspect();
  return { ports: ports.map(({ name }) => name), regions, memory };
}

for (const [kind, { name, make }] of Object.entries(PORTS)) {
  describe(`REGISTER of a ${kind}`, () => {
    for (const [modeName, mode] of Object.entries(MODES)) {
      test(`mode ${modeName}: as in the memory of the host`, async () => {
        for (const host of [real, netmap]) {
          await make(host);
          // Monitors want a port that somebody has open.
          if (name === 'eth0') await host.open('netmap:eth0*');
          else if (kind !== 'interface that is none' && name !== '') await host.open(specOf(name), COUNTS);
        }
        const before = [await free(real), await free(program.own)];
        for (const [flagName, flags] of Object.entries(FLAGS)) {
          for (const ringId of [0, 1, 2, 3]) {
            const what = `${flagName}, ring ${ringId}`;
            const request: Partial<ProgramRequest> = {
              name,
              body: { ...COUNTS, mode, flags, ringId, memId: memIdOf(mode) },
            };
            const [mine, theirs] = [program.descriptor(), directDescriptor(netmap)];
            const [answer, expected] = [await mine.request(request), await theirs.request(request)];
            assert.deepEqual(said(answer), said(expected), what);
            assert.deepEqual(directory(mine.port), directory(theirs.port), what);
            if (answer.errno === 0) {
              assert.equal(mine.port?.nifp.name, theirs.port?.nifp.name, what);
              assert.equal(answer.body?.['memId'], 1);
              assert.equal((await mine.request(request)).errno, -abi.EBUSY, what);
            }
            await mine.close();
            await theirs.close();
          }
        }
        assert.deepEqual([await free(real), await free(program.own)], before);
      });
    }
  });
}

function memIdOf(mode: number): number {
  return mode === abi.NR_REG_NULL ? 1 : 0;
}

function specOf(name: string): string {
  return name.startsWith('vale') ? name : `netmap:${name}`;
}

const FRAMES = 150;
const LENGTH = 60;

/** Frame `number` of ring `ring`. */
function frame(ring: number, number: number): Uint8Array {
  const bytes = new Uint8Array(LENGTH).fill(number & 0xff);
  bytes.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, ring]);
  new DataView(bytes.buffer).setUint32(14, number, true);
  return bytes;
}

/** Sends numbered frames by one ring, as there is room. */
async function sendOn(port: NetmapPort, ring: NetmapRing, id: number, count: number): Promise<void> {
  for (let number = 0; number < count; await nextTurn()) {
    for (; number < count && ring.space !== 0; number++) {
      ring.buf(ring.head).set(frame(id, number));
      ring.setSlot(ring.head, LENGTH);
      ring.advance(1);
    }
    port.txsync();
  }
  while (port.isOpen && ring.head !== (ring.tail + 1) % ring.numSlots && port.txsync() === 0) await nextTurn();
}

/** Takes `count` frames out of one ring: the numbers of each sender, in the order in which they came. */
async function takeFrom(port: NetmapPort, ring: NetmapRing, count: number): Promise<Map<number, number[]>> {
  const numbers = new Map<number, number[]>();
  const limit = performance.now() + 20_000;
  for (let taken = 0; taken < count; await nextTurn()) {
    assert.ok(performance.now() < limit, `${taken} of ${count} frames have come`);
    port.rxsync();
    for (; ring.head !== ring.tail; taken++) {
      const bytes = Uint8Array.from(ring.buf(ring.head, ring.slot(ring.head).len));
      const [id, number] = [bytes[11], new DataView(bytes.buffer).getUint32(14, true)];
      assert.deepEqual(bytes, frame(id, number));
      numbers.set(id, [...(numbers.get(id) ?? []), number]);
      ring.advance(1);
    }
  }
  port.rxsync();
  return numbers;
}

const IN_ORDER = Array.from({ length: FRAMES }, (_, i) => i);

async function bind(name: string, body: Record<string, number>, more: Partial<ProgramRequest> = {}): Promise<Bound> {
  const descriptor = program.descriptor();
  const answer = await descriptor.request({ name, body: { mode: abi.NR_REG_ALL_NIC, ...body }, ...more });
  assert.equal(answer.errno, 0);
  return { descriptor, port: descriptor.port as HostPort, answer };
}
interface Bound {
  readonly descriptor: Descriptor;
  readonly port: HostPort;
  readonly answer: DeviceAnswer;
}

describe('traffic of a program', () => {
  /** From every ring to the ring that it ends in. */
  async function passes(from: NetmapPort, to: NetmapPort, pairs: [NetmapRing, NetmapRing][]): Promise<void> {
    await Promise.all(
      pairs.map(async ([sends, receives], id) => {
        const [numbers] = await Promise.all([takeFrom(to, receives, FRAMES), sendOn(from, sends, id, FRAMES)]);
        assert.deepEqual([...numbers], [[id, IN_ORDER]]);
      }),
    );
  }

  const zip = (a: readonly NetmapRing[], b: readonly NetmapRing[]): [NetmapRing, NetmapRing][] =>
    a.map((ring, i) => [ring, b[i]]);

  for (const [mode, ringId] of [
    [abi.NR_REG_ALL_NIC, 0],
    [abi.NR_REG_ONE_NIC, 1],
  ] as const) {
    for (const [kind, name, peerName] of [
      ['pipe', 'p{1', 'netmap:p}1'],
      ['named pipe', 'p}x', 'netmap:p{x'],
    ] as const) {
      test(`mode ${mode}: every ring of a ${kind}, both ways`, async () => {
        const counts = { txRings: 2, rxRings: 2 };
        const peer = await real.open(peerName, counts);
        const { port } = await bind(name, { mode, ringId });
        const [rx, tx] = [peer.rxRings, peer.txRings].map((rings) =>
          mode === abi.NR_REG_ONE_NIC ? [rings[ringId]] : rings,
        );
        await passes(port, peer, zip(port.txRings, rx));
        await passes(peer, port, zip(tx, port.rxRings));
      });
    }

    for (const [kind, name, make] of [
      ['VALE port', 'vale0:a', async () => {}],
      [
        'persistent port',
        'per0',
        async () => {
          await real.newInterface('per0', { txRings: 2, rxRings: 2 });
          await real.valeAttach('vale0:per0');
        },
      ],
    ] as const) {
      test(`mode ${mode}: a ${kind} sends and receives by its rings`, async () => {
        await make();
        const { port } = await bind(name, { mode, ringId, txRings: 2, rxRings: 2 });
        const peer = await real.open('vale0:peer', { txRings: 2, rxRings: 2 });
        // Broadcasts come in the first ring.
        for (const ring of port.txRings) await passes(port, peer, [[ring, peer.rxRings[0]]]);
        if (ringId === 0) for (const ring of peer.txRings) await passes(peer, port, [[ring, port.rxRings[0]]]);
      });
    }
  }

  describe('of a NIC', () => {
    let nic: NetmapInterface;
    beforeEach(async () => {
      nic = await real.addInterface('eth0', { txRings: 2, rxRings: 2, hostTxRings: 2, hostRxRings: 2 });
    });

    test('NIC rings: the wire, ring by ring', async () => {
      const { port } = await bind('eth0', {});
      await passes(port, nic.wire, zip(port.txRings, nic.wire.rxRings));
      await passes(nic.wire, port, zip(nic.wire.txRings, port.rxRings));
    });

    test('NIC and host rings: the wire and the host stack, ring by ring', async () => {
      const { port } = await bind('eth0', { mode: abi.NR_REG_NIC_SW });
      await passes(port, nic.wire, zip(port.txRings.slice(0, 2), nic.wire.rxRings));
      await passes(port, nic.stack, zip(port.txRings.slice(2), nic.stack.rxRings));
      await passes(nic.wire, port, zip(nic.wire.txRings, port.rxRings.slice(0, 2)));
      await passes(nic.stack, port, zip(nic.stack.txRings, port.rxRings.slice(2)));
    });

    for (const [mode, name] of [
      [abi.NR_REG_SW, 'all'],
      [abi.NR_REG_ONE_SW, 'one'],
    ] as const) {
      test(`${name} of the host rings`, async () => {
        const other = await real.open('netmap:eth0'); // without it, the stack sends by the wire
        const { port } = await bind('eth0', { mode, ringId: 1 });
        const [rx, tx] = [nic.stack.rxRings, nic.stack.txRings].map((rings) =>
          mode === abi.NR_REG_SW ? rings : [rings[1]],
        );
        await passes(port, nic.stack, zip(port.txRings, rx));
        await passes(nic.stack, port, zip(tx, port.rxRings));
        await other.close();
      });
    }

    test('nothing is lost by who waits for room, whatever is slow', async () => {
      const { port } = await bind('eth0', { mode: abi.NR_REG_NIC_SW });
      const count = 5000;
      const sent = sendOn(port, port.txRings[0], 1, count);
      for (let i = 0; i < 50; i++) await nextTurn();
      const [numbers] = await Promise.all([takeFrom(nic.wire, nic.wire.rxRings[0], count), sent]);
      assert.deepEqual([...numbers], [[1, Array.from({ length: count }, (_, i) => i)]]);
    });

    test('what was sent before a close arrives after it', async () => {
      const { port, descriptor } = await bind('eth0', { mode: abi.NR_REG_NIC_SW });
      const count = 900;
      for (let i = 0; i < count; i++) port.trySend(frame(1, i));
      port.txsync();
      const taken = takeFrom(nic.wire, nic.wire.rxRings[0], count);
      await descriptor.close();
      assert.equal((await taken).get(1)?.length, count);
    });

    test('marked frames are forwarded between its NIC rings and its host rings', async () => {
      const { port } = await bind('eth0', { mode: abi.NR_REG_NIC_SW });
      for (const [from, ring, to, receives] of [
        [nic.wire, port.rxRings[0], nic.stack, nic.stack.rxRings[0]],
        [nic.stack, port.rxRings[2], nic.wire, nic.wire.rxRings[0]],
      ] as const) {
        ring.flags = abi.NR_FORWARD;
        await from.send(frame(9, 7));
        while (ring.head === ring.tail) {
          await nextTurn();
          port.rxsync();
        }
        ring.setSlot(ring.head, LENGTH, abi.NS_FORWARD);
        ring.advance(1);
        const [numbers] = await Promise.all([
          takeFrom(to, receives, 1),
          (async () => {
            for (let i = 0; i < 20; i++, await nextTurn()) port.pollOnce(abi.POLLIN);
          })(),
        ]);
        assert.deepEqual([...numbers], [[9, [7]]]);
      }
    });

    test('it goes: its user gets POLLERR, and can close it and open another', async () => {
      for (const mode of [abi.NR_REG_ALL_NIC, abi.NR_REG_NIC_SW]) {
        const { port, descriptor } = await bind('eth0', { mode });
        const wait = port.poll(abi.POLLIN, { timeout: 20_000 });
        await real.removeInterface('eth0');
        assert.equal((await wait) & abi.POLLERR, abi.POLLERR);
        assert.equal(port.rxsync(), -abi.EIO);
        await descriptor.close();
        const answer = await descriptor.request({ name: 'eth0', body: { mode } });
        assert.equal(answer.errno, -abi.ENXIO);
        nic = await real.addInterface('eth0');
      }
    });
  });
});
