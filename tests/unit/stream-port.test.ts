// Interfaces with Web streams behind them: frames both ways, waiting in both directions, and what is refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { abi, Netmap, openStream } from '../../src/index.js';

const TIMEOUT = { timeout: 30_000 };
const frame = (byte: number, length = 60): Uint8Array => new Uint8Array(length).fill(byte).fill(0xff, 0, 6);
const soon = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test('frames go both ways, also such as need several slots', TIMEOUT, async () => {
  const netmap = await Netmap.create();
  const stream = await openStream(netmap, 'stream:s0,slots=64');
  const port = await netmap.open('netmap:s0');
  assert.equal(port.txRings[0].numSlots, 64);
  const writer = stream.writable.getWriter();
  const reader = stream.readable.getReader();
  for (const length of [14, 60, 1514, 9000]) {
    await port.send(frame(1, length));
    assert.deepEqual((await reader.read()).value, frame(1, length));
    await writer.write(frame(2, length));
    assert.equal(await port.poll(abi.POLLIN, { timeout: 5000 }), abi.POLLIN);
    assert.deepEqual(port.recv(), [frame(2, length)]);
  }
  await writer.write(new Uint8Array(5));
  await writer.write(new Uint8Array(1 << 20));
  const bytes = 14 + 60 + 1514 + 9000;
  assert.deepEqual(stream.counters(), {
    rxPackets: 4,
    rxBytes: bytes,
    txPackets: 4,
    txBytes: bytes,
    rxDrops: { runt: 1, oversized: 1 },
  });
  await stream.close();
  assert.equal((await reader.read()).done, true);
  await assert.rejects(writer.write(frame(1)), { code: 'EIO' });
  await stream.ended;
  assert.equal(await port.poll(abi.POLLIN), abi.POLLERR);
  await netmap.close();
});

test('a writer waits for the receiver, and loses nothing', TIMEOUT, async () => {
  const netmap = await Netmap.create();
  const stream = await openStream(netmap, 's0');
  const writer = stream.writable.getWriter();
  let written = 0;
  const count = 5000;
  const writing = (async () => {
    for (let i = 0; i < count; i++) {
      const bytes = frame(0);
      new DataView(bytes.buffer).setUint32(14, i);
      await writer.write(bytes);
      written++;
    }
  })();
  await soon(50);
  assert.equal(written, 0, 'nobody has the interface open');
  const port = await netmap.open('netmap:s0');
  await soon(100);
  assert.equal(written, port.rxRings[0].numSlots - 1);
  let next = 0;
  for await (const frames of port) {
    for (const bytes of frames) assert.equal(new DataView(bytes.buffer).getUint32(14), next++);
    if (next === count) break;
  }
  await writing;
  const wire = (await netmap.inspect()).ports.find(({ name }) => name === 's0 (wire)');
  for (const [reason, n] of Object.entries(wire?.counters.drops ?? { none: 1 })) assert.equal(n, 0, reason);
  await stream.close();
  await netmap.close();
});

test('a transmitter waits for the reader', TIMEOUT, async () => {
  const netmap = await Netmap.create();
  const stream = await openStream(netmap, 'stream:s0,slots=16');
  const port = await netmap.open('netmap:s0');
  let sent = 0;
  const count = 2000;
  const sending = (async () => {
    for (; sent < count; sent++) await port.send(frame(sent & 0xff));
    // What the wire had no room for is still in the ring.
    for (const [ring] = port.txRings; ring.space < ring.numSlots - 1; await soon(1)) port.txsync();
  })();
  await soon(100);
  assert.ok(sent < 150, `${sent} frames wait`);
  let received = 0;
  for await (const bytes of stream) {
    assert.equal(bytes[20], received++ & 0xff);
    if (received === count) break;
  }
  await sending;
  assert.equal(stream.counters().txPackets, count);
  await stream.close();
  await netmap.close();
});

test('the streams of a stack: two interfaces patched together', TIMEOUT, async () => {
  const netmap = await Netmap.create();
  const a = await openStream(netmap, 'a0');
  const b = await openStream(netmap, 'b0', a);
  const [left, right] = [await netmap.open('netmap:a0'), await netmap.open('netmap:b0')];
  await left.send(frame(1));
  assert.equal(await right.poll(abi.POLLIN, { timeout: 5000 }), abi.POLLIN);
  assert.deepEqual(right.recv(), [frame(1)]);
  await right.send(frame(2));
  assert.equal(await left.poll(abi.POLLIN, { timeout: 5000 }), abi.POLLIN);
  assert.deepEqual(left.recv(), [frame(2)]);
  await b.close();
  await b.ended;
  await a.close();
  await netmap.close();
});

test('a stack that fails is told', TIMEOUT, async () => {
  const netmap = await Netmap.create();
  const readable = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue('no frame' as unknown as Uint8Array),
  });
  const stream = await openStream(netmap, 's0', { readable, writable: new WritableStream() });
  await assert.rejects(stream.ended, { code: 'EIO', message: /the stack has failed: .*a frame is a Uint8Array/ });
  await stream.close();
  await assert.rejects(openStream(netmap, 'tap:s0'), { code: 'EINVAL' });
  await assert.rejects(openStream(netmap, 'stream:s0,speed=1'), { code: 'EINVAL', message: /no option 'speed'/ });
  await netmap.close();
});
