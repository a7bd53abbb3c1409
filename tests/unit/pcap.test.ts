import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { type PcapFrame, readPcap, writePcap } from '../../src/io/pcap.js';

// Seen from where the compiled test lies: build/ts/tests/unit.
const DATA = new URL('../../../../tests/data/', import.meta.url);
const EINVAL = { name: 'NetmapError', code: 'EINVAL' };

const FRAMES: PcapFrame[] = [
  { data: Uint8Array.of(1, 2, 3, 4, 5), seconds: 0xffffffff, nanoseconds: 999999000, originalLength: 1500 },
  { data: new Uint8Array(0), seconds: 0, nanoseconds: 0, originalLength: 0 },
  { data: Uint8Array.of(6), seconds: 1, nanoseconds: 1000, originalLength: 1 },
];

/** The same file in the other byte order, written out by hand: the fields' offsets and widths are the format's. */
function swapByteOrder(file: Uint8Array): Uint8Array {
  const bytes = file.slice();
  const view = new DataView(bytes.buffer);
  const swap32 = (offset: number) => view.setUint32(offset, view.getUint32(offset, true), false);
  for (const offset of [0, 8, 12, 16, 20]) swap32(offset);
  for (const offset of [4, 6]) view.setUint16(offset, view.getUint16(offset, true), false);
  for (let offset = 24; offset < bytes.length; ) {
    const length = view.getUint32(offset + 8, true);
    for (const field of [0, 4, 8, 12]) swap32(offset + field);
    offset += 16 + length;
  }
  return bytes;
}

describe('real captures', () => {
  for (const [file, frames, longest] of [
    ['real-wire.pcap', 1173, 1514],
    ['real-gso.pcap', 376, 65226],
  ] as const) {
    test(`${file} has ${frames} frames and is written back as it was read`, () => {
      const bytes = readFileSync(new URL(file, DATA));
      const capture = readPcap(bytes);
      assert.equal(capture.linkType, 1);
      assert.equal(capture.nanosecond, false);
      assert.equal(capture.frames.length, frames);
      assert.equal(Math.max(...capture.frames.map(({ data }) => data.length)), longest);
      const written = writePcap(capture.frames, capture);
      assert.deepEqual(written.subarray(24), new Uint8Array(bytes).subarray(24));
      assert.deepEqual(readPcap(written), capture);
    });
  }
});

describe('both byte orders and both units of time are read', () => {
  for (const nanosecond of [false, true]) {
    for (const order of ['little', 'big'] as const) {
      test(`${order}-endian, ${nanosecond ? 'nanoseconds' : 'microseconds'}`, () => {
        const file = writePcap(FRAMES, { nanosecond, linkType: 101 });
        const capture = readPcap(order === 'little' ? file : swapByteOrder(file));
        assert.deepEqual(capture, { linkType: 101, nanosecond, frames: FRAMES });
      });
    }
  }
});

test('the written header is the format’s', () => {
  const header = [0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];
  assert.deepEqual([...writePcap([])], header);
  assert.deepEqual(readPcap(Uint8Array.from(header)), { linkType: 1, nanosecond: true, frames: [] });
  assert.deepEqual([...writePcap([], { nanosecond: false }).subarray(0, 4)], [0xd4, 0xc3, 0xb2, 0xa1]);
});

test('microsecond files cut the nanoseconds', () => {
  const frames = [{ ...FRAMES[0], nanoseconds: 123456789 }];
  assert.equal(readPcap(writePcap(frames)).frames[0].nanoseconds, 123456789);
  assert.equal(readPcap(writePcap(frames, { nanosecond: false })).frames[0].nanoseconds, 123456000);
});

test('frames are views of the file, at any offset of its buffer', () => {
  const file = writePcap(FRAMES);
  const shifted = new Uint8Array(file.length + 3);
  shifted.set(file, 3);
  const capture = readPcap(shifted.subarray(3));
  assert.deepEqual(capture.frames, FRAMES);
  assert.equal(capture.frames[0].data.buffer, shifted.buffer);
});

test('a fraction of a second or more is carried over', () => {
  const file = writePcap([{ data: Uint8Array.of(1), seconds: 5, nanoseconds: 0, originalLength: 1 }]);
  new DataView(file.buffer).setUint32(28, 1500000000, true);
  const [frame] = readPcap(file).frames;
  assert.deepEqual([frame.seconds, frame.nanoseconds], [6, 500000000]);
});

test('a file cut at any byte but a frame’s end is refused, and the message names the offset', () => {
  const file = writePcap(FRAMES);
  const ends = [24, 24 + 16 + 5, 24 + 16 + 5 + 16, file.length];
  for (let length = 0; length <= file.length; length++) {
    const cut = file.subarray(0, length);
    if (ends.includes(length)) assert.equal(readPcap(cut).frames.length, ends.indexOf(length));
    else assert.throws(() => readPcap(cut), { ...EINVAL, message: /truncated: .* at offset \d+ has \d+ of \d+ bytes/ });
  }
  assert.throws(() => readPcap(file.subarray(0, 10)), { message: /file header at offset 0 has 10 of 24 bytes/ });
  assert.throws(() => readPcap(file.subarray(0, 47)), { message: /header of frame 1 at offset 45 has 2 of 16 bytes/ });
  assert.throws(() => readPcap(file.subarray(0, 42)), { message: /frame 0 at offset 40 has 2 of 5 bytes/ });
});

test('a frame that claims 4 GiB is refused', () => {
  const file = writePcap(FRAMES);
  new DataView(file.buffer).setUint32(32, 0xffffffff, true);
  assert.throws(() => readPcap(file), { ...EINVAL, message: /frame 0 at offset 40 claims 4294967295 bytes/ });
});

test('other files are refused', () => {
  const other = new TextEncoder().encode('this is no capture file at all');
  assert.throws(() => readPcap(other), { ...EINVAL, message: /no pcap magic number at offset 0 \(0x74686973\)/ });
  const version = writePcap([]);
  version[4] = 3;
  assert.throws(() => readPcap(version), { ...EINVAL, message: /version 3 at offset 4/ });
});

test('values that do not fit their fields are not written', () => {
  for (const wrong of [
    { seconds: -1 },
    { seconds: 2 ** 32 },
    { seconds: 0.5 },
    { nanoseconds: 1e9 },
    { nanoseconds: Number.NaN },
    { originalLength: 2 ** 32 },
  ]) {
    assert.throws(() => writePcap([FRAMES[0], { ...FRAMES[1], ...wrong }]), { ...EINVAL, message: /of frame 1 is/ });
  }
  assert.throws(() => writePcap([], { linkType: 65536 }), EINVAL);
});
