// The ring between a TAP's reader and the interface's thread.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FrameRing } from '../../src/io/frame-ring.js';

const MAX = 100;

/** Gives a frame of `length` bytes of value `length`; false when there is no room. */
function give(ring: FrameRing, length: number): boolean {
  const at = ring.reserve();
  if (at < 0) return false;
  ring.u8.fill(length, at, at + length);
  ring.commit(length);
  return true;
}

test('frames come out as they went in, in order, at every position of the ring', () => {
  const lengths = fc.array(fc.integer({ min: 1, max: MAX }), { maxLength: 300 });
  fc.assert(
    fc.property(fc.integer({ min: 256, max: 800 }), lengths, fc.infiniteStream(fc.boolean()), (size, list, takes) => {
      const producer = FrameRing.create(size, MAX);
      const consumer = new FrameRing(producer.buffer, MAX);
      const waiting: number[] = [];
      const take = (): void => {
        const frame = consumer.peek();
        const length = waiting.shift();
        if (length === undefined) {
          assert.equal(frame, undefined);
          return;
        }
        assert.deepEqual(frame, new Uint8Array(length).fill(length));
        assert.deepEqual(consumer.peek(), frame);
        consumer.shift();
        consumer.release();
      };
      for (const length of list) {
        while (!give(producer, length)) {
          assert.notEqual(waiting.length, 0, 'an empty ring has room');
          take();
        }
        waiting.push(length);
        if (takes.next().value) take();
      }
      while (waiting.length !== 0) take();
      take();
    }),
  );
});

test('the room of shifted frames is not given back before release', () => {
  const producer = FrameRing.create(256, MAX);
  const consumer = new FrameRing(producer.buffer, MAX);
  while (give(producer, MAX));
  while (consumer.peek()) consumer.shift();
  assert.equal(producer.reserve(), -1);
  consumer.release();
  assert.ok(producer.reserve() >= 0);
});

test('whenFilled resolves when a frame comes, and when the ring stops', async () => {
  const alive = setInterval(() => {}, 1000); // Atomics.waitAsync does not hold the event loop
  const producer = FrameRing.create(256, MAX);
  const consumer = new FrameRing(producer.buffer, MAX);
  const filled = consumer.whenFilled();
  assert.ok(filled);
  give(producer, 1);
  await filled;
  assert.equal(consumer.whenFilled(), undefined);
  consumer.shift();
  const stopped = consumer.whenFilled();
  assert.ok(stopped);
  producer.stop();
  await stopped;
  assert.equal(consumer.whenFilled(), undefined);
  assert.ok(consumer.stopped);
  clearInterval(alive);
});
