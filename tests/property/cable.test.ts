// A lane of a cable against a model: packets of any shape arrive piece by piece, room comes and goes, and what comes out
// must be what a queue would give, slot by slot. And garbage: whatever the rings say, only buffers, slots and indices of
// the destination are written, with bytes of the source's buffers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Tally } from '../../src/cable/counters.js';
import { Lane } from '../../src/cable/lane.js';
import { abi } from '../../src/index.js';
import { FakeRing } from '../support/fake-ring.js';

const RUNS = Number(process.env['PTNET_FUZZ_RUNS'] ?? 1000);
const { NETMAP_MAX_FRAGS, NETMAP_RING_CUR, NETMAP_RING_HEAD, NETMAP_RING_SLOT, NS_INDIRECT, NS_MOREFRAG } = abi;

interface Fragment {
  readonly len: number;
  /** What is wrong with it, if anything: its index, its length, NS_INDIRECT. */
  readonly fault: 'none' | 'index' | 'length' | 'indirect';
}

const bufSize = fc.constantFrom(64, 100, 128, 192, 256);
const geometry = fc.record({ slots: fc.integer({ min: 2, max: 80 }), bufSize, skew: fc.constantFrom(0, 0, 1, 2) });
const fault = fc.oneof(
  { weight: 60, arbitrary: fc.constant('none' as const) },
  { weight: 1, arbitrary: fc.constantFrom('index' as const, 'length' as const, 'indirect' as const) },
);
const fragment = fc.record({ len: fc.oneof(fc.constantFrom(0, 60, 64), fc.integer({ min: 1, max: 256 })), fault });
const packet = fc.oneof(
  { weight: 6, arbitrary: fc.array(fragment, { minLength: 1, maxLength: 1 }) },
  { weight: 3, arbitrary: fc.array(fragment, { minLength: 2, maxLength: 6 }) },
  { weight: 1, arbitrary: fc.array(fragment, { minLength: 7, maxLength: 90, size: 'max' }) },
);
const step = fc.oneof(
  fc.record({ op: fc.constant('arrive' as const), count: fc.integer({ min: 1, max: 20 }) }),
  fc.record({ op: fc.constant('move' as const), slots: fc.integer({ min: 0, max: 40 }), bytes: fc.nat(4000) }),
  fc.record({ op: fc.constant('drain' as const), count: fc.integer({ min: 1, max: 20 }) }),
);

/** A slot of the destination as it comes out. */
type Out = readonly [len: number, more: boolean, bytes: string];

/** Bytes of fragment `k` of packet `p`. */
const payload = (p: number, k: number, len: number): Uint8Array =>
  Uint8Array.from({ length: len }, (_, i) => p * 29 + k * 7 + i * 3);
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/** What a queue makes of the packets: slots of the destination in order, and how many packets are counted as what. */
function model(packets: readonly Fragment[][], src: FakeRing, dst: FakeRing, noBuffer: ReadonlySet<number>) {
  const outs: Out[] = [];
  const counts = { frames: 0, bytes: 0, badSlot: 0, badBuffer: 0, fragments: 0, tooLong: 0, empty: 0 };
  const most = Math.min(NETMAP_MAX_FRAGS, src.ring.numSlots - 1);
  const size = dst.ring.bufSize;
  for (const [p, fragments] of packets.entries()) {
    const total = fragments.reduce((sum, { len }) => sum + len, 0);
    const need = fragments.reduce((sum, { len }) => sum + Math.ceil(len / size), 0);
    if (fragments.length > most) counts.fragments++;
    else if (fragments.some(({ fault }) => fault !== 'none')) counts.badSlot++;
    else if (total === 0) counts.empty++;
    else if (need > NETMAP_MAX_FRAGS) counts.fragments++;
    else if (need > dst.ring.numSlots - 1) counts.tooLong++;
    else {
      const slots = Array.from({ length: need }, (_, i) => (outs.length + i) % dst.ring.numSlots);
      if (slots.some((i) => noBuffer.has(i))) {
        counts.badBuffer++;
        for (const _ of slots) outs.push([0, false, '']);
        continue;
      }
      counts.frames++;
      counts.bytes += total;
      const parts = fragments.flatMap(({ len }, k) =>
        Array.from({ length: Math.ceil(len / size) }, (_, i) =>
          payload(p, k, len).subarray(i * size, Math.min(len, (i + 1) * size)),
        ),
      );
      for (const [i, part] of parts.entries()) outs.push([part.length, i + 1 < parts.length, text(part)]);
    }
  }
  return { outs, counts };
}

/** Whoever is behind the two rings of a lane. */
class World {
  readonly src: FakeRing;
  readonly dst: FakeRing;
  readonly tally = new Tally();
  readonly lane: Lane;
  readonly outs: Out[] = [];
  readonly #arrivals: { bytes: Uint8Array; flags: number; len: number; bufIdx: number | undefined }[];
  readonly #noBuffer: ReadonlySet<number>;
  #taken = 0;

  constructor(src: FakeRing, dst: FakeRing, packets: readonly Fragment[][], noBuffer: ReadonlySet<number>) {
    this.src = src;
    this.dst = dst;
    this.#noBuffer = noBuffer;
    for (const i of noBuffer) dst.ring.setBufIdx(i, 0);
    dst.tail = dst.ring.numSlots - 1;
    this.lane = new Lane(src.ring, dst.ring, this.tally);
    this.#arrivals = packets.flatMap((fragments, p) =>
      fragments.map(({ len, fault }, k) => ({
        bytes: payload(p, k, len),
        flags: (k + 1 < fragments.length ? NS_MOREFRAG : 0) | (fault === 'indirect' ? NS_INDIRECT : 0),
        len: fault === 'length' ? src.ring.bufSize + 1 : len,
        bufIdx: fault === 'index' ? src.ring.numBufs : undefined,
      })),
    );
  }

  get done(): boolean {
    return this.#arrivals.length === 0 && this.src.ring.head === this.src.ring.tail;
  }

  arrive(count: number): void {
    for (let k = 0; k < count && this.#arrivals.length > 0; k++) {
      const { bytes, flags, len, bufIdx } = this.#arrivals[0];
      if (!this.src.arrive(bytes, flags, len, bufIdx)) return;
      this.#arrivals.shift();
    }
  }

  move(slots: number, bytes: number): void {
    const { ring } = this.dst;
    const before = ring.head;
    const { frames } = this.tally;
    this.lane.move(slots, bytes);
    assert.ok(slots > 0 || (ring.head === before && this.tally.frames === frames), 'nothing moves at a limit of 0');
    for (const { head, cur, tail, numSlots } of [ring, this.src.ring]) {
      const distance = (to: number): number => (to - head + numSlots) % numSlots;
      assert.ok(distance(cur) <= distance(tail), `head ${head}, cur ${cur}, tail ${tail} of ${numSlots}`);
    }
  }

  /** Takes up to `count` of the slots that were handed over, and gives their room back. */
  drain(count: number): void {
    const { ring } = this.dst;
    for (let k = 0; k < count && this.#taken !== ring.head; k++) {
      const { len, flags } = ring.slot(this.#taken);
      const bytes = this.#noBuffer.has(this.#taken) ? new Uint8Array(0) : ring.buf(this.#taken, len);
      this.outs.push([len, (flags & NS_MOREFRAG) !== 0, text(bytes)]);
      this.#taken = ring.next(this.#taken);
      this.dst.tail = (this.#taken + ring.numSlots - 1) % ring.numSlots;
    }
  }
}

test('a lane is a queue of whole packets', () => {
  fc.assert(
    fc.property(
      geometry,
      geometry,
      fc.array(packet, { maxLength: 40, size: 'max' }),
      fc.array(step, { maxLength: 60, size: 'max' }),
      fc.array(fc.nat(79), { maxLength: 2 }),
      (from, to, packets, steps, spoilt) => {
        const fitting = packets.map((fragments) =>
          fragments.map(({ len, fault }) => ({ len: Math.min(len, from.bufSize), fault })),
        );
        const noBuffer = new Set(spoilt.map((i) => i % to.slots).filter((i) => i % 3 === 0));
        const world = new World(new FakeRing(from), new FakeRing(to), fitting, noBuffer);
        for (const command of steps) {
          if (command.op === 'arrive') world.arrive(command.count);
          else if (command.op === 'drain') world.drain(command.count);
          else world.move(command.slots, command.bytes);
        }
        for (let k = 0; k < 5000 && !world.done; k++) {
          world.arrive(20);
          world.move(40, 4000);
          world.drain(Infinity);
        }
        world.drain(Infinity);
        assert.ok(world.done, 'the lane is stuck');
        const { outs, counts } = model(fitting, world.src, world.dst, noBuffer);
        assert.deepEqual(world.outs, outs);
        const { frames, bytes, drops } = world.tally;
        assert.deepEqual({ frames, bytes, ...drops }, counts);
      },
    ),
    { numRuns: RUNS },
  );
});

const garbage = fc.record({
  src: fc.uint8Array({ minLength: 64, maxLength: 320, size: 'max' }),
  dst: fc.uint8Array({ minLength: 64, maxLength: 320, size: 'max' }),
  /** head, cur, tail of both rings. */
  indices: fc.array(fc.oneof(fc.nat(17), fc.integer()), { minLength: 6, maxLength: 6 }),
  /** Slots that are made plausible. */
  sane: fc.array(fc.record({ i: fc.nat(15), idx: fc.integer({ min: 0, max: 19 }), word: fc.nat(0x3fffff) })),
});

test('whatever the rings say, nothing else than the buffers, slots and indices of the destination is written', () => {
  fc.assert(
    fc.property(fc.array(garbage, { minLength: 1, maxLength: 8 }), (rounds) => {
      const [src, dst] = [new FakeRing({ slots: 16, bufSize: 128 }), new FakeRing({ slots: 16, bufSize: 64, skew: 4 })];
      src.u8.fill(0x55, src.ring.bufBase + 2 * 128, src.ring.bufBase + 18 * 128);
      const lane = new Lane(src.ring, dst.ring, new Tally());
      for (const { indices, sane, ...bytes } of rounds) {
        for (const [k, side] of [src, dst].entries()) {
          side.u8.set(bytes[k === 0 ? 'src' : 'dst'].subarray(0, 256), side.ring.ptr + NETMAP_RING_SLOT);
          [side.ring.head, side.ring.cur, side.tail] = indices.slice(3 * k);
          for (const { i, idx, word } of sane) {
            side.ring.setBufIdx(i, idx);
            side.ring.i32[side.ring.slotBase + 4 * i + 1] = word;
          }
        }
        const [srcBefore, expected] = [src.u8.slice(), dst.u8.slice()];
        for (let k = 0; k < 4; k++) lane.move(64, 1 << 16);
        for (const [{ ring }, before] of [
          [src, srcBefore],
          [dst, expected],
        ] as const) {
          const now = new Uint8Array(ring.u8.buffer);
          for (const field of [NETMAP_RING_HEAD, NETMAP_RING_CUR]) {
            before.set(now.subarray(ring.ptr + field, ring.ptr + field + 4), ring.ptr + field);
          }
        }
        assert.deepEqual(Buffer.compare(src.u8, srcBefore), 0, 'the source is only read');
        const { ring } = dst;
        for (let i = 0; i < 16; i++) {
          const at = 4 * ring.slotBase + 16 * i + 4;
          expected.set(dst.u8.subarray(at, at + 4), at); // len and flags
        }
        const buffers = [ring.bufBase + 2 * 64, ring.bufBase + 18 * 64] as const;
        for (let at = buffers[0]; at < buffers[1]; at++) {
          if (dst.u8[at] !== expected[at]) assert.equal(dst.u8[at], 0x55, 'a byte that no buffer of the source holds');
        }
        expected.set(dst.u8.subarray(...buffers), buffers[0]);
        assert.equal(Buffer.compare(dst.u8, expected), 0, 'something else was written');
      }
    }),
    { numRuns: RUNS },
  );
});
