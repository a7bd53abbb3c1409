// A receive batch by itself: what becomes of packets with any header, whatever the interface around it does.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RX_ALL, RX_CSUM, RX_CSUM6, RX_LRO } from '../../assembly/abi/offload.js';
import * as abi from '../../src/abi.js';
import { LONGEST_PACKET, type RxFrame, toFrame, toPacket } from '../../src/ptnet/interface-header.js';
import { BATCH_PACKETS, ReceiveBatch, type ReceiveDrop } from '../../src/ptnet/interface-receive.js';
import * as oracle from '../property/offload-oracle.js';
import { build } from '../property/offload-packets.js';

const CSUM = abi.VIRTIO_NET_HDR_F_NEEDS_CSUM;
const VALID = abi.VIRTIO_NET_HDR_F_DATA_VALID;
const MRG = 12;

interface Shape {
  readonly v6?: boolean;
  readonly vlans?: number[];
}

/** Segment `i` of a TCP stream, with right checksums. */
function segment(i: number, payload: number, { v6 = false, vlans = [] }: Shape = {}): Uint8Array {
  const shape = { vlans, v6, extensions: [], options: 0, fragment: 0, proto: 6, flags: 16, tcpOptions: 0 };
  const frame = build({ ...shape, padding: 0, slack: 0, seed: 1, payload } as Parameters<typeof build>[0]);
  const { l3, l4 } = oracle.parse(frame);
  frame[l4 + 12] &= 0xf0; // reserved bits
  new DataView(frame.buffer, frame.byteOffset).setUint32(l4 + 4, 1000 + i * payload);
  if (!v6) oracle.put16(frame, l3 + 4, 100 + i);
  oracle.fillChecksums(frame);
  return frame;
}

/** A packet: a header of `length` bytes with these first ones, and a frame. */
function packet(header: number[], frame: Uint8Array, length = MRG): Uint8Array {
  const bytes = new Uint8Array(length + frame.length);
  bytes.set(header);
  bytes.set(frame, length);
  return bytes;
}

const le = (value: number): number[] => [value & 0xff, value >>> 8];
const header = (flags: number, type: number, size: number, start: number, offset: number): number[] => [
  flags,
  type,
  0,
  0,
  ...le(size),
  ...le(start),
  ...le(offset),
];

/** The TCP frame with the pseudo header's sum for a checksum, and a header that says so. */
function partial(frame: Uint8Array, gsoSize = 0, start?: number): Uint8Array {
  const parsed = oracle.parse(frame);
  const data = frame.slice();
  oracle.put16(data, parsed.l4 + 16, oracle.sum(oracle.pseudoHeader(data, parsed, data.length - parsed.l4)));
  const type = gsoSize === 0 ? 0 : parsed.l3Proto === 0x0800 ? 1 : 4;
  return packet(header(CSUM, type, gsoSize, start ?? parsed.l4, 16), data);
}

/** Runs a batch; a new one, unless there is one. */
function receive(caps: number, packets: Uint8Array[], batch = new ReceiveBatch(MRG)) {
  const drops: ReceiveDrop[] = [];
  batch.begin();
  for (const bytes of packets) {
    batch.u8.set(bytes, batch.reserve());
    batch.add(bytes.length);
  }
  const frames: RxFrame[] = batch
    .finish(caps, toFrame, (reason) => drops.push(reason))
    .map(({ data, metadata }) => ({ data: data.slice(), metadata }));
  return { frames, drops };
}

test('a checksum may be the last two bytes of a frame, and not one byte behind', () => {
  const frame = segment(0, 100);
  const end = frame.length - 2;
  const { frames, drops } = receive(RX_ALL, [
    packet(header(CSUM, 0, 0, end - 10, 10), frame),
    packet(header(CSUM, 0, 0, end - 10, 11), frame),
    packet(header(CSUM, 0, 0, 0xffff, 0xffff), frame),
  ]);
  assert.deepEqual(drops, ['csum', 'csum']);
  assert.equal(frames.length, 1);
});

for (const v6 of [false, true]) {
  const other = v6 ? RX_CSUM : RX_CSUM6;
  test(`a packet of IPv${v6 ? 6 : 4} is cut, with nothing said, when only the other version has its checksums off`, () => {
    const frame = segment(0, 3000, { v6 });
    const { frames } = receive(other | RX_LRO, [partial(frame, 1000)]);
    assert.deepEqual(
      frames.map(({ data, metadata }) => [oracle.parse(data).payload, metadata.flags ?? 0, metadata.gsoType ?? 0]),
      Array(3).fill([1000, 0, 0]),
    );
    const own = receive(v6 ? RX_CSUM6 : RX_CSUM, [partial(frame, 1000)]);
    assert.deepEqual(
      own.frames.map(({ metadata }) => metadata.flags),
      [VALID, VALID, VALID],
    );
  });

  test(`the version of IP (${v6 ? 6 : 4}) is found behind tags of both kinds`, () => {
    for (const vlans of [[0x8100], [0x88a8], [0x88a8, 0x8100]]) {
      const frame = segment(0, 100, { v6, vlans });
      assert.deepEqual(receive(other, [partial(frame)]).frames, [{ data: frame, metadata: {} }]);
    }
  });
}

test('num_buffers is 0, and a header of 10 bytes ends where the frame begins', () => {
  const frame = segment(0, 100);
  for (const length of [10, 12]) {
    const batch = new ReceiveBatch(length);
    batch.begin();
    const bytes = packet([VALID, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 7].slice(0, length), frame, length);
    batch.u8.set(bytes, batch.reserve());
    batch.add(bytes.length);
    const [got] = batch.finish(RX_ALL, toPacket, () => {});
    assert.deepEqual([...got], [VALID, ...Array(length - 1).fill(0), ...frame]);
  }
});

describe('segments are not merged', () => {
  const two = (change: (frame: Uint8Array) => Uint8Array): number =>
    receive(RX_ALL, [change(segment(0, 500)), change(segment(1, 500))]).frames.length;

  test('(but they are when nothing is wrong)', () => {
    assert.equal(
      two((frame) => partial(frame)),
      1,
    );
    assert.equal(
      two((frame) => packet([VALID], frame)),
      1,
    );
  });

  test('when the checksum of the IPv4 header is wrong, whatever the virtio-net header says', () => {
    const spoil = (frame: Uint8Array): Uint8Array => {
      frame[24] ^= 1;
      return frame;
    };
    assert.equal(
      two((frame) => packet([VALID], spoil(frame))),
      2,
    );
    assert.equal(
      two((frame) => partial(spoil(frame))),
      2,
    );
  });

  test('when they have one id and may be fragmented on their way', () => {
    const sameId = (fragment: number): number =>
      two((frame) => {
        const { l3 } = oracle.parse(frame);
        oracle.put16(frame, l3 + 4, 7);
        oracle.put16(frame, l3 + 6, fragment);
        oracle.fillChecksums(frame);
        return packet([], frame);
      });
    assert.equal(sameId(0), 2);
    assert.equal(sameId(0x4000), 1); // DF
  });

  test('when the checksum to be completed is not that of TCP', () => {
    assert.equal(
      two((frame) => partial(frame, 0, 36)),
      2,
    );
  });
});

test('a packet is cut into 512 pieces at the most', () => {
  const { frames, drops } = receive(RX_ALL & ~RX_LRO, [partial(segment(0, 513), 1), partial(segment(0, 512), 1)]);
  assert.equal(frames.length, 512);
  assert.deepEqual(drops, ['gso']);
});

test('a batch is cut into 8192 pieces at the most', () => {
  const packets = Array.from({ length: 100 }, () => partial(segment(0, 500), 1));
  const { frames, drops } = receive(RX_ALL & ~RX_LRO, packets);
  assert.equal(frames.length, 16 * 500);
  assert.deepEqual(drops, Array(84).fill('gso'));
});

test('a batch has room for a longest packet, or none', () => {
  const batch = new ReceiveBatch(MRG);
  batch.begin();
  let longest = 0;
  for (let at = batch.reserve(); at >= 0; at = batch.reserve(), longest++) {
    batch.u8.fill(0, at, at + LONGEST_PACKET);
    batch.add(LONGEST_PACKET);
  }
  assert.equal(longest, 3); // of the bytes of four: the rest of the memory is another's
  batch.begin();
  let short = 0;
  for (; batch.reserve() >= 0; short++) batch.add(MRG + 60);
  assert.equal(short, BATCH_PACKETS);
});

test('nothing of an earlier batch is in a later one', () => {
  const batch = new ReceiveBatch(MRG);
  const secret = new Uint8Array(65536).fill(0xa5);
  receive(RX_ALL, [packet([], secret), packet([], secret)], batch);
  const stream = Array.from({ length: 5 }, (_, i) => segment(i, 501));
  const packets = [...stream.map((frame) => packet([], frame)), packet([], new Uint8Array(14))];
  for (const caps of [RX_ALL, RX_CSUM | RX_CSUM6, 0]) {
    assert.deepEqual(receive(caps, packets, batch), receive(caps, packets));
  }
});
