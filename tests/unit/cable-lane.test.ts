// One lane of a cable between two rings that the test has made, sound ones and others.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Copy, copyByModule, copyByQuads, copyByWords } from '../../src/cable/copy.js';
import { Tally } from '../../src/cable/counters.js';
import { EMPTY, FULL, Lane, LIMIT } from '../../src/cable/lane.js';
import { abi } from '../../src/index.js';
import { FakeRing } from '../support/fake-ring.js';

const { NS_INDIRECT, NS_MOREFRAG } = abi;
const ALL = [Infinity, Infinity] as const;

/** A lane with 16 slots and buffers of 256 bytes on either side, unless said otherwise; the tx ring is free. */
function makeLane(from = {}, to = {}) {
  const src = new FakeRing({ slots: 16, bufSize: 256, ...from });
  const dst = new FakeRing({ slots: 16, bufSize: 256, ...to });
  dst.tail = dst.ring.numSlots - 1;
  const tally = new Tally();
  return { src, dst, tally, lane: new Lane(src.ring, dst.ring, tally) };
}

const bytes = (length: number, seed = 1): Uint8Array => Uint8Array.from({ length }, (_, i) => seed * 17 + i * 3);

test('all ways of copying copy exactly so many bytes, wherever they lie', (t) => {
  const size = 1024;
  const views = [1, 1].map((pages) => {
    const memory = new WebAssembly.Memory({ initial: pages });
    return { memory, i32: new Int32Array(memory.buffer), u8: new Uint8Array(memory.buffer) };
  });
  const [src, dst] = views;
  src.u8.set(bytes(2 * size));
  const ways: Copy[] = [copyByWords(dst, src), copyByQuads(dst, src)];
  const byModule = copyByModule(dst, src);
  if (byModule) ways.push(byModule);
  else t.diagnostic('this engine has no modules with two memories');
  assert.equal(copyByModule({ ...dst, memory: undefined }, src), undefined);
  for (const copy of ways) {
    for (const len of [0, 1, 2, 3, 4, 5, 7, 8, 12, 15, 31, 32, 33, 63, 64, 127, 128, 129, 255, 1000]) {
      for (const [from, to] of [
        [0, 0],
        [4, 8],
        [1, 1],
        [2, 4],
        [64, 63],
      ]) {
        dst.u8.fill(0xee);
        copy(to, from, len);
        const expected = new Uint8Array(2 * size).fill(0xee);
        expected.set(src.u8.subarray(from, from + len), to);
        assert.deepEqual(dst.u8.subarray(0, 2 * size), expected, `${len} bytes from ${from} to ${to}`);
      }
    }
  }
});

test('a bad slot takes its packet with it, is counted, and the next packet passes', () => {
  const { src, dst, tally, lane } = makeLane();
  const { numBufs } = src.ring;
  const bad: [number, number, number?][] = [
    [60, 0, 0],
    [60, 0, 1],
    [60, 0, numBufs],
    [60, 0, -1],
    [60, 0, 0x7fffffff],
    [257, 0],
    [0xffff, 0],
    [60, NS_INDIRECT],
  ];
  for (const [len, flags, bufIdx] of bad) src.arrive(bytes(60), flags, len, bufIdx);
  src.arrive(bytes(60), NS_MOREFRAG);
  src.arrive(bytes(60), 0, 300);
  src.arrive(bytes(60, 2), 0);
  assert.equal(lane.move(...ALL), true);
  assert.deepEqual([tally.drops.badSlot, tally.frames, tally.bytes], [bad.length + 1, 1, 60]);
  assert.deepEqual(dst.ring.slot(0), { bufIdx: 2, len: 60, flags: 0 });
  assert.deepEqual(dst.ring.buf(0, 60), bytes(60, 2));
  assert.deepEqual([dst.ring.head, dst.ring.cur, src.ring.head, src.ring.cur], [1, 1, 11, 11]);
});

test('slots without bytes are no frames', () => {
  const { src, dst, tally, lane } = makeLane();
  src.arrive(bytes(0), 0);
  src.arrive(bytes(60), NS_MOREFRAG);
  src.arrive(bytes(0), NS_MOREFRAG);
  src.arrive(bytes(10), 0);
  lane.move(...ALL);
  assert.deepEqual([tally.drops.empty, tally.frames], [1, 1]);
  assert.deepEqual([dst.ring.slot(0).len, dst.ring.slot(0).flags], [60, NS_MOREFRAG]);
  assert.deepEqual([dst.ring.slot(1).len, dst.ring.slot(1).flags, dst.ring.head], [10, 0, 2]);
});

test('a packet whose end has not come waits, with cur at the tail, and passes whole', () => {
  const { src, dst, lane } = makeLane();
  src.arrive(bytes(100), NS_MOREFRAG);
  assert.equal(lane.move(...ALL), true); // cur has moved: the port is to know
  assert.equal(lane.move(...ALL), false);
  assert.deepEqual([lane.waits, src.ring.head, src.ring.cur, dst.ring.head], [EMPTY, 0, 1, 0]);
  src.arrive(bytes(50), 0);
  assert.equal(lane.move(...ALL), true);
  assert.deepEqual([src.ring.head, src.ring.cur, dst.ring.head], [2, 2, 2]);
});

test('a packet without an end is dropped when it fills the ring, and so is the rest of it', () => {
  const { src, tally, lane } = makeLane();
  while (src.arrive(bytes(60), NS_MOREFRAG));
  lane.move(...ALL);
  assert.deepEqual([tally.drops.fragments, src.ring.head], [1, 15]);
  for (let k = 0; k < 3; k++) src.arrive(bytes(60), NS_MOREFRAG);
  lane.move(...ALL);
  src.arrive(bytes(60), 0);
  src.arrive(bytes(61), 0);
  lane.move(...ALL);
  assert.deepEqual([tally.drops.fragments, tally.frames, tally.bytes], [1, 1, 61]);
});

test('a packet of more than 64 slots is dropped', () => {
  const { src, tally, lane } = makeLane({ slots: 200 }, { slots: 200 });
  for (let k = 0; k < 64; k++) src.arrive(bytes(1), k < 63 ? NS_MOREFRAG : 0);
  for (let k = 0; k < 65; k++) src.arrive(bytes(1), k < 64 ? NS_MOREFRAG : 0);
  src.arrive(bytes(7), 0);
  lane.move(...ALL);
  assert.deepEqual([tally.drops.fragments, tally.frames, tally.bytes], [1, 2, 71]);
});

test('without room everything waits, with cur of the tx ring at its tail', () => {
  const { src, dst, tally, lane } = makeLane();
  dst.tail = 2;
  for (let k = 0; k < 3; k++) src.arrive(bytes(60), 0);
  assert.equal(lane.move(...ALL), true);
  assert.deepEqual([lane.waits, src.ring.head, src.ring.cur, dst.ring.head, dst.ring.cur], [FULL, 2, 2, 2, 2]);
  src.arrive(bytes(60), NS_MOREFRAG);
  src.arrive(bytes(60), 0);
  dst.tail = 4; // room for the one slot, and for half of the packet
  lane.move(...ALL);
  assert.deepEqual([lane.waits, tally.frames, dst.ring.head, dst.ring.cur], [FULL, 3, 3, 4]);
  assert.equal(lane.move(...ALL), false);
  dst.tail = 5;
  lane.move(...ALL);
  assert.deepEqual([lane.waits, tally.frames, dst.ring.head, dst.ring.cur], [EMPTY, 4, 5, 5]);
});

test('a packet that the other ring can never hold is dropped', () => {
  const { src, tally, lane } = makeLane({}, { slots: 4 });
  for (let k = 0; k < 4; k++) src.arrive(bytes(60), k < 3 ? NS_MOREFRAG : 0);
  src.arrive(bytes(60), 0);
  lane.move(...ALL);
  assert.deepEqual([tally.drops.tooLong, tally.frames], [1, 1]);
});

test('slots that name no buffer are passed on empty, without the packet', () => {
  const { src, dst, tally, lane } = makeLane();
  for (const [i, idx] of [0, 1, dst.ring.numBufs, -1].entries()) dst.ring.setBufIdx(2 * i, idx);
  const before = dst.u8.slice();
  for (let k = 0; k < 4; k++) src.arrive(bytes(60), 0);
  lane.move(...ALL);
  assert.deepEqual([tally.drops.badBuffer, tally.frames], [2, 2]);
  const lens = [0, 1, 2, 3].map((i) => dst.ring.slot(i).len);
  assert.deepEqual(lens, [0, 60, 0, 60]);
  const { bufBase, bufSize } = dst.ring;
  for (const i of [1, 3]) before.set(bytes(60), bufBase + (2 + i) * bufSize);
  assert.deepEqual(dst.u8.subarray(bufBase), before.subarray(bufBase));
});

test('limits of slots and of bytes are kept, and more is waiting', () => {
  const { src, tally, lane } = makeLane();
  for (let k = 0; k < 10; k++) src.arrive(bytes(100), 0);
  assert.equal(lane.move(3, Infinity), true);
  assert.deepEqual([lane.waits, lane.moved, tally.frames], [LIMIT, 3, 3]);
  lane.move(Infinity, 250);
  assert.deepEqual([lane.waits, tally.frames], [LIMIT, 6]);
  lane.move(0, Infinity);
  assert.deepEqual([lane.waits, lane.moved, tally.frames], [LIMIT, 0, 6]);
});

test('heads and tails out of range move nothing and are counted; whoever insists is not waited upon', () => {
  for (const value of [16, -1, 0x7fffffff]) {
    const { src, dst, tally, lane } = makeLane();
    src.arrive(bytes(60), 0);
    for (const spoil of [
      () => (src.ring.head = value),
      () => (src.tail = value),
      () => (dst.ring.head = value),
      () => (dst.tail = value),
    ]) {
      const [sHead, sTail, dHead, dTail] = [src.ring.head, src.ring.tail, dst.ring.head, dst.ring.tail];
      spoil();
      assert.equal(lane.move(...ALL), true);
      assert.equal(lane.move(...ALL), false);
      [src.ring.head, src.tail, dst.ring.head, dst.tail] = [sHead, sTail, dHead, dTail];
      lane.move(0, 0); // a sound look
    }
    assert.deepEqual([tally.badRings, tally.frames], [8, 0]);
  }
});

test('packets lie behind the offsets of their slots, which are cropped; less room takes more slots', () => {
  const [src, dst] = [1, 2].map(() => new FakeRing({ slots: 16, bufSize: 256, offsetMask: 0xffff }));
  dst.tail = 15;
  const tally = new Tally();
  const lane = new Lane(src.ring, dst.ring, tally, { srcOffset: 64, dstOffset: 128 });
  for (const [i, [from, to]] of [
    [0, 0],
    [64, 100],
    [5000, 9999], // cropped to 64 and 128
  ].entries()) {
    const packet = bytes(120, i + 1);
    src.arrive(new Uint8Array(), 0, packet.length);
    src.ring.setOffset(i, from);
    src.u8.set(packet, src.ring.bufBase + (2 + i) * 256 + Math.min(from, 64));
    dst.ring.setOffset(i, to);
    lane.move(...ALL);
    const at = dst.ring.bufBase + (2 + i) * 256 + Math.min(to, 128);
    assert.deepEqual(dst.u8.slice(at, at + packet.length), packet);
    assert.equal(dst.ring.slot(i).len, packet.length);
  }
  assert.deepEqual([tally.frames, tally.bytes, tally.drops.badSlot], [3, 360, 0]);
  // 192 bytes are there behind 64; 128 fit behind 128.
  src.arrive(bytes(192), 0, 192);
  src.arrive(bytes(193), 0, 193);
  for (const i of [3, 4]) {
    src.ring.setOffset(i, 64);
    dst.ring.setOffset(i, 128);
  }
  lane.move(...ALL);
  assert.deepEqual(
    [3, 4].map((i) => dst.ring.slot(i)),
    [
      { bufIdx: 5, len: 128, flags: NS_MOREFRAG },
      { bufIdx: 6, len: 64, flags: 0 },
    ],
  );
  assert.deepEqual([tally.frames, tally.drops.badSlot], [4, 1]);
});

test('a packet for slots without any room is dropped, and does not hold up the others', () => {
  const src = new FakeRing({ slots: 16, bufSize: 256 });
  const dst = new FakeRing({ slots: 16, bufSize: 256, offsetMask: 0xffff });
  dst.tail = 15;
  for (let i = 0; i < 16; i++) dst.ring.setOffset(i, 256);
  const tally = new Tally();
  const lane = new Lane(src.ring, dst.ring, tally);
  src.arrive(bytes(60), 0);
  lane.move(...ALL);
  assert.deepEqual([tally.drops.tooLong, lane.waits, src.ring.head], [1, EMPTY, 1]);
});

test('marks of received packets are kept where they are asked for', () => {
  for (const marks of [false, true]) {
    const [src, dst] = [new FakeRing({ slots: 16, bufSize: 256 }), new FakeRing({ slots: 16, bufSize: 100 })];
    dst.tail = 15;
    const lane = new Lane(src.ring, dst.ring, new Tally(), { marks });
    const one = abi.NS_TXMON | (1 << abi.NS_RFRAGS_SHIFT) | abi.NS_BUF_CHANGED;
    src.arrive(bytes(60), one);
    src.arrive(bytes(250), (2 << abi.NS_RFRAGS_SHIFT) | NS_MOREFRAG);
    src.arrive(bytes(50), 2 << abi.NS_RFRAGS_SHIFT);
    lane.move(...ALL);
    const flags = [0, 1, 2, 3, 4].map((i) => dst.ring.slot(i).flags);
    const four = marks ? 4 << abi.NS_RFRAGS_SHIFT : 0;
    assert.deepEqual(flags, [
      marks ? abi.NS_TXMON | (1 << abi.NS_RFRAGS_SHIFT) : 0,
      ...[four | NS_MOREFRAG, four | NS_MOREFRAG, four | NS_MOREFRAG, four],
    ]);
  }
});

test('an indirect packet is read where it lies, also in memory that has come later, and nowhere else', () => {
  for (const shared of [false, true]) {
    const src = new FakeRing({ slots: 16, bufSize: 256, shared, grows: 1 });
    const dst = new FakeRing({ slots: 16, bufSize: 256 });
    dst.tail = 15;
    const tally = new Tally();
    const lane = new Lane(src.ring, dst.ring, tally, { indirect: true });
    const point = (low: number, high: number, len: number): void => {
      const i = src.ring.tail;
      src.arrive(new Uint8Array(), NS_INDIRECT, len);
      src.ring.i32[src.ring.slotBase + 4 * i + 2] = low;
      src.ring.i32[src.ring.slotBase + 4 * i + 3] = high;
    };
    let end = src.u8.length;
    src.u8.set(bytes(600), end - 600);
    point(end - 600, 0, 600);
    point(end - 599, 0, 600);
    point(end - 600, 1, 600);
    point(-1, 0, 2);
    lane.move(...ALL);
    assert.deepEqual([tally.frames, tally.drops.badSlot], [1, 3]);
    assert.deepEqual(
      [0, 1, 2].flatMap((i) => [...dst.ring.buf(i, dst.ring.slot(i).len)]),
      [...bytes(600)],
    );
    if (!shared) continue;
    src.memory.grow(1);
    end += 65536;
    new Uint8Array(src.memory.buffer).set(bytes(200, 3), end - 200);
    point(end - 200, 0, 200);
    lane.move(...ALL);
    assert.deepEqual(dst.ring.buf(3, 200), bytes(200, 3));
  }
});
