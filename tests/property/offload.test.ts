// The offload functions of assembly/packet against the oracle, byte for byte, over random packets cut anywhere.
// PTNET_FUZZ_RUNS: how many packets of each kind (default 1000); PTNET_FUZZ_SEED and PTNET_FUZZ_PATH repeat a run.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import * as abi from '../../src/abi.js';
import { coalesce, type Frame, NO_VNET, type Output } from './offload-coalesce-oracle.js';
import * as oracle from './offload-oracle.js';
import {
  Batch,
  build,
  cuts,
  cuttable,
  damage,
  noise,
  portion,
  shape,
  spoil,
  step,
  vnetBytes,
} from './offload-packets.js';
import { tcpStreams } from './offload-streams.js';
import { Offload } from './offload-wasm.js';

const RUNS = Number(process.env['PTNET_FUZZ_RUNS'] ?? 1000);
const SEED = process.env['PTNET_FUZZ_SEED'];
const PATH = process.env['PTNET_FUZZ_PATH'];

function check<T extends [unknown, ...unknown[]]>(property: fc.IProperty<T>, share = 1): void {
  fc.assert(property, {
    numRuns: Math.ceil(RUNS * share),
    ...(SEED === undefined ? {} : { seed: Number(SEED) }),
    ...(PATH === undefined ? {} : { path: PATH }),
  });
}

const wasm = new Offload(true);

/** A random frame: well-formed, damaged, or bytes without meaning. */
const anyFrame = fc.oneof(
  shape.map(build),
  fc.tuple(shape.map(build), damage).map(([frame, how]) => spoil(frame, how)),
  fc.uint8Array({ maxLength: 200 }),
);

describe('headers', () => {
  test('every frame, whole or damaged, is parsed as the oracle does, and never read behind its end', () => {
    check(
      fc.property(anyFrame, (frame) => {
        const expected = oracle.parse(frame);
        const found = wasm.parse(frame);
        if (expected.result < 0) assert.equal(found.result, expected.result);
        else assert.deepEqual(found, expected);
      }),
      5,
    );
  });

  test('a frame may end anywhere in its headers, and its IP packet may say that it does', () => {
    const agree = (frame: Uint8Array): void => {
      const expected = oracle.parse(frame);
      const found = wasm.parse(frame);
      assert.deepEqual(found.result < 0 ? found.result : found, expected.result < 0 ? expected.result : expected);
    };
    check(
      fc.property(shape, (random) => {
        const frame = build({ ...random, payload: random.payload % 20 });
        for (let end = 0; end < frame.length; end++) agree(frame.subarray(0, end));
        const { l3, l3Proto } = oracle.parse(frame);
        const field = l3 + (l3Proto === 0x0800 ? 2 : 4);
        if (field + 2 > frame.length) return;
        const length = oracle.be16(frame, field);
        for (let says = Math.max(0, length - 300); says < length + 3; says++) {
          oracle.put16(frame, field, says);
          agree(frame);
        }
      }),
      0.1,
    );
  });
});

describe('checksums', () => {
  test('the sum of a packet does not depend on how it is cut', () => {
    check(
      fc.property(fc.integer({ min: 0, max: 3000 }), fc.nat(), cuts, portion, (n, seed, at, part) => {
        const bytes = noise(n, seed);
        const from = Math.floor(part * n);
        const expected = oracle.sum(bytes.subarray(from));
        assert.equal(wasm.sum(bytes, at, from), expected);
      }),
    );
  });

  test('a checksum is completed wherever the packet is cut, or refused if its place is outside', () => {
    const place = fc.oneof(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 65535 }));
    check(
      fc.property(fc.integer({ min: 0, max: 300 }), fc.nat(), cuts, place, place, (n, seed, at, start, offset) => {
        const bytes = noise(n, seed);
        assert.deepEqual(wasm.complete(bytes, at, start, offset), oracle.complete(bytes, start, offset));
      }),
    );
  });

  test('completing a partial checksum gives the packet that a sender without offloads would have made', () => {
    check(
      fc.property(cuttable, cuts, (random, at) => {
        const frame = build({ ...random, padding: 0, slack: 0 });
        const partial = frame.slice();
        oracle.fillPartial(partial);
        const { l4, l4Proto } = oracle.parse(frame);
        const found = wasm.complete(partial, at, l4, l4Proto === 6 ? 16 : 6);
        assert.ok(found);
        // Of the two zeros of one's complement, TCP senders use the one and we the other.
        if (l4Proto === 6 && oracle.be16(frame, l4 + 16) === 0) oracle.put16(frame, l4 + 16, 0xffff);
        assert.deepEqual(found, frame);
      }),
    );
  });

  test('received frames are good, bad, or not to be judged, as the oracle says', () => {
    check(
      fc.property(anyFrame, fc.option(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 }))), (bytes, flip) => {
        const frame = bytes.slice();
        if (flip && frame.length > 0) frame[flip[0] % frame.length] ^= flip[1];
        assert.equal(wasm.validate(frame), oracle.validate(frame));
      }),
      3,
    );
  });

  test('updating a checksum for a changed word or address is the same as summing again', () => {
    const bytes = fc.uint8Array({ minLength: 20, maxLength: 20 });
    const swapped = (value: number): number => ((value & 255) << 8) | (value >> 8);
    check(
      fc.property(
        bytes,
        fc.integer({ min: 0, max: 8 }),
        fc.uint8Array({ minLength: 4, maxLength: 4 }),
        (data, word, change) => {
          data[0] |= 1; // a header of zeros has a checksum of its own
          const at = 2 + word * 2;
          const after = data.slice();
          const view = new DataView(after.buffer);
          const before = view.getUint16(at, true);
          after.set(change.subarray(0, 2), at);
          const check16 = wasm.api.checksumUpdate16(swapped(oracle.checksum(data)), before, view.getUint16(at, true));
          assert.equal(check16, swapped(oracle.checksum(after)));
          const wide = Math.min(at, 16);
          after.set(data);
          const before32 = view.getUint32(wide, true);
          after.set(change, wide);
          const check32 = wasm.api.checksumUpdate32(
            swapped(oracle.checksum(data)),
            before32,
            view.getUint32(wide, true),
          );
          assert.equal(check32, swapped(oracle.checksum(after)));
        },
      ),
    );
  });

  test('copying and summing in one pass copies exactly and sums what it copies', () => {
    check(
      fc.property(fc.integer({ min: 0, max: 400 }), fc.nat(), fc.integer({ min: 0, max: 17 }), (n, seed, shift) => {
        const bytes = noise(n, seed);
        const src = wasm.putLast(bytes);
        const dst = 65536 + 64 + shift;
        wasm.bytes.fill(0xa5, 65536, dst + n + 64);
        const stored = wasm.api.checksumFold(wasm.api.checksumCopy(dst, src, n, 0n));
        assert.equal(0xffff - (((stored & 255) << 8) | (stored >> 8)), oracle.sum(bytes));
        assert.deepEqual(wasm.bytes.slice(dst, dst + n), bytes);
        assert.ok(wasm.bytes.subarray(65536, dst).every((byte) => byte === 0xa5));
        assert.ok(wasm.bytes.subarray(dst + n, dst + n + 64).every((byte) => byte === 0xa5));
      }),
    );
  });
});

describe('virtio-net headers', () => {
  test('a header with an unknown type or flag is refused; others are read as they are', () => {
    check(
      fc.property(vnetBytes, (bytes) => {
        const view = new DataView(bytes.buffer);
        const bad = ![0, 1, 3, 4].includes(bytes[1] & 0x7f) || (bytes[0] & ~3) !== 0;
        const header = {
          flags: bytes[0],
          gsoType: bytes[1],
          hdrLen: view.getUint16(2, true),
          gsoSize: view.getUint16(4, true),
          csumStart: view.getUint16(6, true),
          csumOffset: view.getUint16(8, true),
        };
        assert.deepEqual(wasm.readVnet(bytes), bad ? -abi.EINVAL : header);
      }),
    );
  });

  test('a header is built for TCP and UDP; only TCP is cut', () => {
    check(
      fc.property(shape, fc.constantFrom(0, 1460), (random, gsoSize) => {
        const frame = build(random);
        const { result, l3Proto, l4, l4Proto, hdrLen } = oracle.parse(frame);
        const possible = result === abi.PARSED_L4 && (gsoSize === 0 || l4Proto === 6);
        const cut = { gsoType: l3Proto === 0x0800 ? 1 : 4, hdrLen, gsoSize };
        const csum = { flags: 1, csumStart: l4, csumOffset: l4Proto === 6 ? 16 : 6 };
        const expected = { ...NO_VNET, ...csum, ...(gsoSize > 0 ? cut : {}) };
        assert.deepEqual(wasm.buildVnet(frame, gsoSize), possible ? expected : -abi.EINVAL);
      }),
    );
  });
});

const gsoType = fc.constantFrom(0, 1, 3, 4, 0x80, 0x81, 0x84);
const gsoSize = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 2000 }));
const limit = fc.oneof(fc.constant(1514), fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 9014 }));

describe('segmentation', () => {
  test('segments are the oracle’s, byte for byte, wherever the packet is cut', () => {
    check(
      fc.property(cuttable, cuts, gsoSize, limit, (random, at, size, most) => {
        const frame = build(random);
        const type = random.proto === 17 ? 3 : random.v6 ? 0x84 : 0x81;
        assert.deepEqual(wasm.segment(frame, at, type, size, most), oracle.segment(frame, type, size, most));
      }),
    );
  });

  test('anything else is cut, or refused for the same reason', () => {
    check(
      fc.property(anyFrame, cuts, gsoType, gsoSize, limit, (frame, at, type, size, most) => {
        assert.deepEqual(wasm.segment(frame, at, type, size, most), oracle.segment(frame, type, size, most));
      }),
    );
  });

  test('headers longer than what is looked at are refused, and none that are as long', () => {
    const extension = (words: number) => ({ proto: 60, words, segmentsLeft: 0, fragment: 0 });
    const base = { vlans: [], v6: true, options: 0, fragment: 0, proto: 6, flags: 16, payload: 30, seed: 1 };
    const lengths = new Set<number>();
    for (let i = 0; i < 80; i++) {
      const extensions = [extension(20), extension(22 + Math.floor(i / 8))];
      const frame = build({ ...base, extensions, tcpOptions: i % 8, padding: 0, slack: 0 });
      const { hdrLen } = oracle.parse(frame);
      lengths.add(hdrLen);
      const found = wasm.segment(frame, [], 4, 10, 1514);
      assert.deepEqual(found, hdrLen > abi.SEG_HEADER_SIZE ? -abi.PARSE_SHORT : oracle.segment(frame, 4, 10, 1514));
    }
    assert.ok(lengths.has(abi.SEG_HEADER_SIZE - 2) && lengths.has(abi.SEG_HEADER_SIZE + 2), `${[...lengths]}`);
  });
});

describe('coalescing', () => {
  const steps = fc.array(step, { maxLength: 120, size: 'max' });
  const lroLimit = fc.constantFrom(65535, 65535, 2000, 400);

  function frames(list: readonly { odd: string; flow: number; payload: number; ackStep: number }[]): Frame[] {
    const batch = new Batch();
    return list.map((one) => {
      const bytes = batch.frame(one);
      if (one.odd === 'valid')
        return { bytes, vnet: { ...NO_VNET, flags: abi.VIRTIO_NET_HDR_F_DATA_VALID, csumStart: 3 } };
      if (one.odd === 'partial' || one.odd === 'partialOther') {
        const { l4 } = oracle.parse(bytes);
        const csumOffset = one.odd === 'partial' ? 16 : 6;
        return { bytes, vnet: { ...NO_VNET, flags: abi.VIRTIO_NET_HDR_F_NEEDS_CSUM, csumStart: l4, csumOffset } };
      }
      if (one.odd === 'gsoValid') return { bytes, vnet: { ...NO_VNET, flags: 2, gsoType: 4, hdrLen: 74, gsoSize: 9 } };
      if (one.odd === 'gso') return { bytes, vnet: { ...NO_VNET, flags: 1, gsoType: 1, hdrLen: 54, gsoSize: 9 } };
      return { bytes };
    });
  }

  test('a batch becomes the oracle’s packets, byte for byte', () => {
    let merged = 0;
    check(
      fc.property(steps, lroLimit, (list, most) => {
        const batch = frames(list);
        const expected = coalesce(batch, most);
        merged += batch.length - expected.length;
        assert.deepEqual(wasm.coalesce(batch, most), expected);
      }),
      0.5,
    );
    assert.ok(merged > RUNS, 'too little was merged for a test');
  });

  test('no stream loses, gains or changes a byte, and packets of a flow stay in order', () => {
    check(
      fc.property(steps, (list) => {
        const batch = frames(list);
        const outputs = wasm.coalesce(batch, 65535);
        assert.deepEqual(tcpStreams(outputs.flatMap(recut)), tcpStreams(batch.map(({ bytes }) => bytes)));
      }),
      0.2,
    );
  });

  test('a full batch takes no more frames, and ends as it is', () => {
    const { api, bytes } = wasm;
    const frame = new Batch().frame({ flow: 0, payload: 10, odd: '', ackStep: 0 });
    bytes.set(frame, 262144);
    api.coalesceReset(1024, 65535, abi.RX_ALL);
    for (let i = 0; i < abi.LRO_MAX_FRAMES; i++) assert.equal(api.coalesceAdd(1024, 262144, frame.length, 0), 1);
    assert.equal(api.coalesceAdd(1024, 262144, frame.length, 0), 0);
    assert.equal(api.coalesceFlush(1024), abi.LRO_MAX_FRAMES);
    assert.equal(api.coalesceBatch(1024, 32768, abi.LRO_MAX_FRAMES + 1, 65535), -abi.E2BIG);
  });
});

/** The frames that a merged packet was made of, but for acknowledgements and the like; any other packet as it is. */
function recut({ bytes, pieces, vnet }: Output): Uint8Array[] {
  if (pieces === 1) return [bytes];
  const segments = oracle.segment(bytes, vnet.gsoType, vnet.gsoSize, 65535);
  assert.ok(typeof segments !== 'number' && segments.length === pieces);
  return segments;
}
