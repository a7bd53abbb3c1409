// The switch between ports whose virtio-net headers have different lengths, on a host and on an oracle: random packets,
// right and wrong headers, any fragments, small buffers and rings; and real traffic of a stack with offloads.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import * as abi from '../../src/abi.js';
import { readPcap } from '../../src/io/pcap.js';
import type { HostPort } from '../../src/netmap/host-port.js';
import * as oracle from './offload-oracle.js';
import { build, cuts, cuttable, damage, noise, shape, spoil, vnetBytes } from './offload-packets.js';
import { tcpStreams } from './offload-streams.js';
import { fragmentsOf, Host, receive, transmit } from './translate-host.js';
import { deliver, type Side, type Slot } from './translate-oracle.js';

const DATA = new URL('../../../../tests/data/', import.meta.url);
const MAX_FRAME = 1514;
const SLOTS = 1024;
const BROADCAST = [255, 255, 255, 255, 255, 255];
const MAC_A = [2, 0, 0, 0, 0, 10];
const MAC_B = [2, 0, 0, 0, 0, 11];
/** Who has sent what was captured. */
const STATIONS = [
  [2, 0, 0, 0, 10, 1],
  [2, 0, 0, 0, 11, 1],
];

const packet = fc.record({
  frame: fc.oneof(
    { weight: 3, arbitrary: cuttable.map(build) },
    shape.map(build),
    fc.tuple(shape, damage).map(([one, how]) => spoil(build(one), how as { bytes: [number, number][]; keep: number })),
    fc.tuple(fc.integer({ min: 0, max: 3000 }), fc.nat()).map(([length, seed]) => noise(length, seed)),
  ),
  ask: fc.constantFrom('nothing', 'sum', 'sum', 'cut', 'cut', 'cut', 'random'),
  gsoSize: fc.oneof(fc.constantFrom(0, 1446, 1448, 1460, 65535), fc.integer({ min: 1, max: 4000 })),
  random: vnetBytes,
  numBuffers: fc.nat({ max: 0xffff }),
  cuts,
  broadcast: fc.boolean(),
});

type Packet = typeof packet extends fc.Arbitrary<infer T> ? T : never;

/** Ten bytes of virtio-net header for the frame. */
function headerFor(frame: Uint8Array, { ask, gsoSize, random }: Packet): Uint8Array {
  const { result, l3Proto, l4, l4Proto, hdrLen } = oracle.parse(frame);
  if (ask === 'random' || (ask !== 'nothing' && result !== abi.PARSED_L4)) return random;
  const header = new DataView(new ArrayBuffer(10));
  if (ask !== 'nothing') {
    const isTcp = l4Proto === abi.IPPROTO_TCP;
    header.setUint8(0, abi.VIRTIO_NET_HDR_F_NEEDS_CSUM);
    if (ask === 'cut') header.setUint8(1, isTcp ? (l3Proto === abi.ETHERTYPE_IPV4 ? 1 : 4) : 3);
    header.setUint16(2, hdrLen, true);
    header.setUint16(4, ask === 'cut' ? gsoSize : 0, true);
    header.setUint16(6, l4, true);
    header.setUint16(8, isTcp ? abi.TCP_CSUM : abi.UDP_CSUM, true);
    oracle.fillPartial(frame);
  }
  return new Uint8Array(header.buffer);
}

function slotsFor(one: Packet, { hdrLen, bufSize }: Side): Uint8Array[] {
  const frame = one.frame.slice();
  const header = headerFor(frame, one);
  frame.set((one.broadcast ? BROADCAST : MAC_B).slice(0, frame.length));
  if (frame.length > 6) frame.set(MAC_A.slice(0, frame.length - 6), 6);
  const all = oracle.concat(header, [one.numBuffers & 255, one.numBuffers >> 8]);
  return fragmentsOf(oracle.concat(all.subarray(0, hdrLen), frame), hdrLen, one.cuts, bufSize);
}

/** Whether the switch drops the packet before it looks for a destination. */
function tooShort(slots: readonly Uint8Array[], hdrLen: number): boolean {
  const first = slots[0].length - hdrLen;
  return (first === 0 && slots.length > 1 ? slots[1].length : first) < abi.ETHER_HDR_LEN;
}

const side = fc.record({
  hdrLen: fc.constantFrom(0, 10, 12),
  mfs: fc.oneof(fc.constant(1514), fc.integer({ min: 64, max: 9000 })),
  slots: fc.oneof(fc.constant(SLOTS), fc.integer({ min: 2, max: 80 })),
});

describe('ports with headers of any lengths', () => {
  const hosts: Host[] = [];
  before(async () => {
    for (const bufSize of [128, 512, 2048]) hosts.push(await Host.create(bufSize));
  });
  after(async () => {
    for (const { control } of hosts) await control.close();
  });

  test('deliver what the oracle says, slot for slot, and count what they drop', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: 2 }),
        fc.tuple(side, side, side),
        fc.array(fc.array(packet, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 3 }),
        async (which, sides, batches) => {
          const host = hosts[which];
          const [from, ...to] = sides.map((one) => ({ ...one, bufSize: host.bufSize }));
          const a = await host.open('vale0:a', from.hdrLen, { txSlots: SLOTS, rxSlots: SLOTS, mfs: from.mfs });
          const ports: HostPort[] = [];
          for (const [i, { hdrLen, mfs, slots }] of to.entries()) {
            ports.push(await host.open(`vale0:${'bc'[i]}`, hdrLen, { txSlots: 8, rxSlots: slots, mfs }));
            const adapter = host.control.registry.adapters.get(`vale0:${'bc'[i]}`);
            if (hdrLen === 0) assert.equal(adapter?.mfs, mfs);
          }
          try {
            const hello = oracle.concat(new Uint8Array(to[0].hdrLen), BROADCAST, MAC_B, new Uint8Array(48));
            transmit(ports[0], [[hello]]);
            receive(a);
            receive(ports[1]);
            const { drops: none } = await a.counters();
            const expected: Record<string, number> = { ...none };
            const arrived = [
              { packets: 0, bytes: 0 },
              { packets: 1, bytes: 60 + to[1].hdrLen },
            ];
            for (const batch of batches) {
              const packets = batch.map((one) => ({ slots: slotsFor(one, from), broadcast: one.broadcast }));
              const fine = packets.filter(
                ({ slots }) => slots.length <= abi.NETMAP_MAX_FRAGS && !tooShort(slots, from.hdrLen),
              );
              for (const { slots } of packets) {
                if (slots.length > abi.NETMAP_MAX_FRAGS) expected['fragments']++;
                else if (tooShort(slots, from.hdrLen)) expected['short']++;
              }
              transmit(
                a,
                packets.map(({ slots }) => slots),
              );
              for (const [i, port] of ports.entries()) {
                const mine = fine.filter(({ broadcast }) => i === 0 || broadcast).map(({ slots }) => slots);
                const { frames, drops } = deliver(mine, from, to[i], to[i].slots - 1);
                for (const reason of drops) expected[reason]++;
                const slots = receive(port);
                assert.deepEqual(slots, frames.flat());
                arrived[i].packets += frames.length;
                arrived[i].bytes += slots.reduce((sum, { bytes }) => sum + bytes.length, 0);
              }
            }
            assert.deepEqual((await a.counters()).drops, expected);
            for (const [i, port] of ports.entries()) {
              const { rxPackets, rxBytes, badSlots } = await port.counters();
              assert.deepEqual({ packets: rxPackets, bytes: rxBytes }, arrived[i]);
              assert.equal(badSlots, 0);
            }
          } finally {
            for (const port of [a, ...ports]) await port.close();
          }
        },
      ),
      { numRuns: 400 },
    );
  });
});

const capture = (name: string): Uint8Array[] =>
  readPcap(readFileSync(new URL(name, DATA))).frames.map(({ data }) => data);

/** The header with which a stack hands the frame to its device: to be cut to the MTU, or summed, or neither. */
function stackHeader(frame: Uint8Array): Uint8Array {
  const packet = oracle.parse(frame);
  const { l3Proto, l4, l4Proto, hdrLen } = packet;
  const header = new DataView(new ArrayBuffer(12));
  if (packet.result !== abi.PARSED_L4 || oracle.validate(frame) !== abi.CSUM_BAD) return new Uint8Array(header.buffer);
  header.setUint8(0, abi.VIRTIO_NET_HDR_F_NEEDS_CSUM);
  header.setUint16(6, l4, true);
  header.setUint16(8, l4Proto === abi.IPPROTO_TCP ? abi.TCP_CSUM : abi.UDP_CSUM, true);
  if (frame.length > MAX_FRAME) {
    header.setUint8(1, l3Proto === abi.ETHERTYPE_IPV4 ? 1 : 4);
    header.setUint16(4, MAX_FRAME - hdrLen, true);
  }
  return new Uint8Array(header.buffer);
}

/** The packets that slots hold. */
function framesOf(slots: readonly Slot[]): Uint8Array[] {
  const frames: Uint8Array[] = [];
  let pieces: Uint8Array[] = [];
  for (const { bytes, flags } of slots) {
    pieces.push(bytes);
    if (flags & abi.NS_MOREFRAG) continue;
    frames.push(oracle.concat(...pieces));
    pieces = [];
  }
  return frames;
}

describe('real traffic', () => {
  let host: Host;
  before(async () => {
    host = await Host.create(2048);
  });
  after(() => host.control.close());

  /** What arrives at the second port of the frames that each station has sent through the first. */
  async function replay(
    frames: readonly Uint8Array[],
    from: number,
    to: number,
    header: (frame: Uint8Array) => Uint8Array,
  ): Promise<Uint8Array[]> {
    const arrived: Uint8Array[] = [];
    for (const station of STATIONS) {
      const a = await host.open('vale1:a', from, {});
      const b = await host.open('vale1:b', to, {});
      for (const [i, frame] of frames.entries()) {
        if (String(frame.subarray(6, 12)) !== String(station)) continue;
        const packet = oracle.concat(header(frame).subarray(0, from), frame);
        // Some cut in odd places, some with the header in a slot of its own.
        const cut = from === 0 || i % 3 === 0 ? [] : i % 3 === 1 ? [0] : [0.4001, 0.7];
        transmit(a, [fragmentsOf(packet, from, cut, host.bufSize)]);
        arrived.push(...framesOf(receive(b)));
      }
      const { drops } = await a.counters();
      assert.deepEqual(Object.values(drops).filter(Boolean), []);
      await a.close();
      await b.close();
    }
    return arrived;
  }

  for (const from of [10, 12]) {
    test(`of a stack with offloads, from a port with a header of ${from} bytes to one without`, async () => {
      const sent = capture('real-gso.pcap');
      const arrived = await replay(sent, from, 0, stackHeader);
      assert.ok(arrived.length > sent.length && arrived.every(({ length }) => length <= MAX_FRAME));
      assert.deepEqual(
        arrived.filter((frame) => oracle.validate(frame) === abi.CSUM_BAD),
        [],
      );
      const [before, after] = [sent, arrived].map(tcpStreams);
      assert.ok(before.size > 1);
      assert.deepEqual([...after.keys()].sort(), [...before.keys()].sort());
      for (const [key, { bytes, seen }] of before) {
        assert.deepEqual(after.get(key)?.bytes, bytes);
        assert.deepEqual(after.get(key)?.seen, seen);
      }
    });

    test(`of a wire, from a port without header to one with ${from} bytes: every frame, behind zeros`, async () => {
      const sent = capture('real-wire.pcap');
      const arrived = await replay(sent, 0, from, () => new Uint8Array(0));
      const texts = (frames: readonly Uint8Array[]): string[] => frames.map(String).sort();
      assert.deepEqual(texts(arrived), texts(sent.map((frame) => oracle.concat(new Uint8Array(from), frame))));
    });
  }
});
