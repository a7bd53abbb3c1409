// What socket backends keep about others: bounded, and right whatever arrives.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { COUNTERS_SIZE, CounterWriter, type DropReason, sumCounters } from '../../src/io/backends/counters.js';
import { FrameReader, MAX_FRAME } from '../../src/io/backends/frame-stream.js';
import { MacTable } from '../../src/io/backends/mac-table.js';
import type { Injector } from '../../src/io/backends/packets.js';

/** The addresses of a frame to station `to` from station `from`. */
function addresses(to: number, from: number): Uint8Array {
  const bytes = new Uint8Array(14);
  const view = new DataView(bytes.buffer);
  view.setUint32(1, to);
  view.setUint32(7, from);
  return bytes;
}

test('a table of stations is bounded, forgets, and does not learn group addresses', () => {
  const table = new MacTable<string>(3);
  for (let i = 1; i <= 4; i++) table.learn(addresses(0, i), 0, `peer ${i}`, 0);
  assert.equal(table.size, 3);
  assert.equal(table.lookup(addresses(1, 9), 0, 0), undefined, 'the first one has made room');
  assert.equal(table.lookup(addresses(4, 9), 0, 0), 'peer 4');
  table.learn(addresses(0, 4), 0, 'elsewhere', 200_000);
  assert.equal(table.lookup(addresses(4, 9), 0, 400_000), 'elsewhere');
  assert.equal(table.lookup(addresses(3, 9), 0, 400_000), undefined, 'it has aged');
  table.forget('elsewhere');
  assert.equal(table.lookup(addresses(4, 9), 0, 400_000), undefined);
  const group = addresses(5, 6);
  group[6] = 1;
  const before = table.size;
  table.learn(group, 0, 'nobody', 0);
  assert.equal(table.size, before);
  group[0] = 1;
  assert.equal(table.lookup(group, 0, 0), undefined);
});

/** An injector that keeps what it gets, and takes what is no runt. */
class Sink implements Pick<Injector, 'packets' | 'bytes' | 'pushFrom' | 'flush'> {
  readonly frames: Uint8Array[] = [];
  packets = 0;
  bytes = 0;

  pushFrom(source: Uint8Array, start: number, length: number): DropReason | undefined {
    if (length < 14) return 'runt';
    this.frames.push(Uint8Array.from(source.subarray(start, start + length)));
    this.packets++;
    this.bytes += length;
    return undefined;
  }

  flush(): boolean {
    return true;
  }
}

function reader(): { sink: Sink; frames: FrameReader; drops: () => object } {
  const sink = new Sink();
  const block = new SharedArrayBuffer(COUNTERS_SIZE);
  const frames = new FrameReader(sink as unknown as Injector, new CounterWriter(block));
  return { sink, frames, drops: () => sumCounters([block]).rxDrops };
}

/** Gives bytes to a reader in pieces. @returns whether all were taken */
function feed(frames: FrameReader, bytes: Uint8Array, cuts: readonly number[]): boolean {
  const places = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
  return places.slice(1).every((end, i) => frames.push(bytes.slice(places[i], end)));
}

const cuts = fc.array(fc.nat(), { maxLength: 20 });

test('frames come out of a stream as they went in, wherever it is cut', () => {
  const length = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.constant(MAX_FRAME));
  fc.assert(
    fc.property(fc.array(length, { maxLength: 12 }), cuts, (lengths, at) => {
      const { sink, frames, drops } = reader();
      const sent = lengths.map((size, i) => new Uint8Array(size).fill(i + 1));
      const bytes = Buffer.concat(
        sent.flatMap((frame) => {
          const head = Buffer.alloc(4);
          head.writeUInt32BE(frame.length);
          return [head, frame];
        }),
      );
      assert.ok(feed(frames, bytes, at));
      frames.end();
      assert.deepEqual(
        sink.frames,
        sent.filter((frame) => frame.length >= 14),
      );
      const runts = sent.length - sink.frames.length;
      assert.deepEqual(drops(), runts === 0 ? {} : { runt: runts });
    }),
    { numRuns: 200 },
  );
});

test('a wrong length is one error, wherever it was cut', () => {
  const { frames: stream, drops } = reader();
  assert.equal(stream.push(Uint8Array.of(0, 0)), true);
  assert.equal(stream.push(Uint8Array.of(0, 0)), false);
  stream.end();
  assert.deepEqual(drops(), { framing: 1 });
});

test('bytes of any kind end in frames, or in an error that is counted', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.boolean(), cuts, (bytes, small, at) => {
      const { sink, frames, drops } = reader();
      if (small) for (let i = 0; i < bytes.length; i += 5) bytes[i] = 0; // lengths that may be
      const taken = feed(frames, bytes, at);
      if (taken) frames.end();
      const { framing = 0 } = drops() as { framing?: number };
      assert.ok(framing <= 1 && (taken || framing === 1));
      assert.ok(sink.bytes <= bytes.length);
    }),
    { numRuns: 500 },
  );
});
