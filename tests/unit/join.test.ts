// An interface joined to a stack, with Web streams as the stack.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Netmap, openTap, PtnetDriver, PtnetInterface } from '../../src/index.js';
import { joinInterface, type StackAdapter } from '../../src/io/join.js';
import { streamAdapter } from '../../src/io/stream-adapter.js';

let netmap: Netmap;
let interfaces: PtnetInterface[];

beforeEach(async () => {
  netmap = await Netmap.create();
  interfaces = [];
});

afterEach(async () => {
  for (const netif of interfaces) netif.down();
  await netmap.close();
});

async function makeInterface(port: string, vnetHdr: boolean, carryHeader = false): Promise<PtnetInterface> {
  const guest = await netmap.createGuest();
  await guest.passthrough(port);
  const [driver] = PtnetDriver.probe(await guest.machine(), { vnetHdr });
  const netif = new PtnetInterface(driver, { carryHeader });
  interfaces.push(netif);
  return netif;
}

/** A stack that sends when told to, and keeps what it gets, at most `room` frames unread. */
class Stack {
  readonly #out = new TransformStream<Uint8Array, Uint8Array>({}, { highWaterMark: 64 }, { highWaterMark: 64 });
  readonly #in: TransformStream<Uint8Array, Uint8Array>;
  readonly adapter: StackAdapter;
  readonly #writer = this.#out.writable.getWriter();
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;

  constructor(headerLength: number, room = 64) {
    this.#in = new TransformStream({}, { highWaterMark: room }, { highWaterMark: 0 });
    this.#reader = this.#in.readable.getReader();
    this.adapter = streamAdapter({ readable: this.#out.readable, writable: this.#in.writable }, headerLength);
  }

  send(frame: Uint8Array): Promise<void> {
    return this.#writer.write(frame);
  }

  async next(): Promise<Uint8Array> {
    const { value } = await this.#reader.read();
    assert.ok(value);
    return value;
  }
}

/** A broadcast of `length` bytes that carries a number, with `header` bytes of virtio-net header in front. */
function frame(length: number, number: number, header = 0): Uint8Array {
  const bytes = new Uint8Array(header + length).fill(number, header);
  bytes.fill(0xff, header, header + 6);
  bytes.set([0x02, 0, 0, 0, 0, 1], header + 6);
  new DataView(bytes.buffer).setUint32(header + 14, number);
  return bytes;
}

const numberOf = (bytes: Uint8Array, header = 0): number => new DataView(bytes.buffer).getUint32(header + 14);

async function makePair(path: 'vale' | 'pipe', vnetHdr: boolean, headerLength: number, carryHeader = false) {
  const names = path === 'vale' ? ['vale0:a', 'vale0:b'] : ['netmap:p{1', 'netmap:p}1'];
  const made = [];
  for (const name of names) {
    const netif = await makeInterface(name, vnetHdr, carryHeader);
    const stack = new Stack(headerLength);
    const joint = joinInterface(netif, stack.adapter);
    netif.up();
    made.push({ netif, stack, joint });
  }
  return made;
}

for (const [name, path, vnetHdr, header, carry] of [
  ['over VALE without headers', 'vale', false, 0, false],
  ['over VALE with headers', 'vale', true, 12, false],
  ['over a pipe that carries headers', 'pipe', true, 12, true],
] as const) {
  test(`packets of 60 bytes to 64 KiB pass as they are ${name}`, async () => {
    const [a, b] = await makePair(path, vnetHdr, header, carry);
    for (const [number, length] of [60, 1514, 9014, 65536, 61].entries()) {
      const sent = frame(length, number, header);
      if (header !== 0) sent.set([1, 1, 54, 0, 0xa8, 5, 34, 0, 16, 0, 0, 0]);
      await a.stack.send(sent);
      assert.deepEqual(await b.stack.next(), sent);
    }
    for (const { joint } of [a, b]) await joint.close();
    assert.equal(a.joint.counters().drops, 0);
  });
}

test('a stack that does not read holds the sender up, and nothing is lost over a pipe', async () => {
  const [a, b] = await makePair('pipe', false, 0);
  const total = 5000;
  let sent = 0;
  const sender = (async () => {
    for (; sent < total; sent++) await a.stack.send(frame(60, sent));
  })();
  await sleep(200);
  assert.ok(sent < total, `${sent} of ${total} were taken although nobody reads`);
  for (let i = 0; i < total; i++) assert.equal(numberOf(await b.stack.next()), i);
  await sender;
  assert.ok(a.joint.counters().stalls > 0);
  for (const { joint } of [a, b]) await joint.close();
});

test('packets for an interface that is down are dropped and counted, those that come later pass', async () => {
  const [a, b] = await makePair('vale', false, 0);
  a.netif.down();
  await a.stack.send(frame(60, 1));
  while (a.joint.counters().drops === 0) await sleep(1);
  a.netif.up();
  await a.stack.send(frame(60, 2));
  assert.equal(numberOf(await b.stack.next()), 2);
  for (const { joint } of [a, b]) await joint.close();
});

test('a sender that waits for room goes on when the interface goes down', async () => {
  const a = await makeInterface('netmap:p{1', false);
  await netmap.open('netmap:p}1'); // takes nothing
  a.up();
  const stack = new Stack(0);
  const joint = joinInterface(a, stack.adapter);
  for (let i = 0; i < 1024; i++) await stack.send(frame(60, i));
  while (joint.counters().stalls === 0) await sleep(1);
  a.down();
  while (joint.counters().drops === 0) await sleep(1);
  await joint.close();
});

test('a joint tells when its stack has ended, and why', async () => {
  const netif = await makeInterface('vale0:a', false);
  const nothing = new WritableStream<Uint8Array>();
  const empty = new ReadableStream<Uint8Array>({ start: (controller) => controller.close() });
  const quiet = joinInterface(netif, streamAdapter({ readable: empty, writable: nothing }));
  await quiet.ended;
  await quiet.close();
  const failing = new ReadableStream<Uint8Array>({ start: (controller) => controller.error(new Error('no power')) });
  const failed = joinInterface(netif, streamAdapter({ readable: failing, writable: new WritableStream() }));
  await assert.rejects(failed.ended, { code: 'EIO', message: /no power/ });
  await failed.close();
  const strange = new ReadableStream({ start: (controller) => controller.enqueue('a frame') });
  const confused = joinInterface(netif, streamAdapter({ readable: strange, writable: new WritableStream() }));
  await assert.rejects(confused.ended, { code: 'EIO', message: /Uint8Array/ });
  await confused.close();
});

test('an interface has one joint at a time; the next one may come when it is closed', async () => {
  const [a, b] = await makePair('vale', false, 0);
  const second = new Stack(0);
  assert.throws(() => joinInterface(b.netif, second.adapter), { code: 'EBUSY', op: 'join' });
  await a.stack.send(frame(60, 1));
  assert.equal(numberOf(await b.stack.next()), 1);
  await b.joint.close();
  const joint = joinInterface(b.netif, second.adapter);
  await b.joint.close();
  await a.stack.send(frame(60, 2));
  assert.equal(numberOf(await second.next()), 2);
  await joint.close();
  await a.joint.close();
});

test('an adapter that throws ends its joint, and nothing else', async () => {
  const quiet: StackAdapter = {
    headerLength: 0,
    peek: () => undefined,
    shift: () => {},
    idle: () => new Promise(() => {}),
    write: () => true,
    ended: false,
    close: async () => {},
  };
  const no = (): never => {
    throw new Error('no power');
  };
  const [a, b] = await Promise.all(['vale0:a', 'vale0:b'].map((name) => makeInterface(name, false)));
  a.up();
  b.up();
  const bad: Partial<StackAdapter>[] = [
    { peek: no },
    { write: no },
    { write: () => false, whenRoom: async () => no() },
    { write: () => false, whenRoom: no },
  ];
  for (const part of bad) {
    const joint = joinInterface(b, { ...quiet, ...part });
    a.transmit(frame(60, 1));
    await assert.rejects(joint.ended, { code: 'EIO' });
    await joint.close();
  }
  const received: number[] = [];
  b.onReceive((frames) => received.push(...frames.map(({ data }) => data.length)));
  a.transmit(frame(61, 2));
  while (!received.includes(61)) await sleep(1);
});

test('a joint closes although its stack does not answer', async () => {
  const netif = await makeInterface('vale0:a', false);
  const readable = new ReadableStream<Uint8Array>({ cancel: () => new Promise(() => {}) });
  const writable = new WritableStream<Uint8Array>({ write: () => new Promise(() => {}) });
  const joint = joinInterface(netif, streamAdapter({ readable, writable }));
  const other = await makeInterface('vale0:b', false);
  netif.up();
  other.up();
  other.transmit(frame(60, 1));
  await sleep(5);
  await joint.close();
  await joint.ended;
});

test('a stack that sends no more still gets what comes for it', async () => {
  const [netif, other] = [await makeInterface('vale0:a', false), await makeInterface('vale0:b', false)];
  netif.up();
  other.up();
  const got: Uint8Array[] = [];
  const writable = new WritableStream<Uint8Array>({ write: (packet) => void got.push(packet) });
  const readable = new ReadableStream<Uint8Array>({ start: (controller) => controller.close() });
  const joint = joinInterface(netif, streamAdapter({ readable, writable }));
  await joint.ended;
  assert.equal(other.transmit(frame(60, 7)), 0);
  while (got.length === 0) await sleep(1);
  assert.equal(numberOf(got[0]), 7);
  await joint.close();
});

test('a stack is told of the capabilities when it is joined, and when they are switched', async () => {
  const netif = await makeInterface('vale0:a', true);
  const told: boolean[] = [];
  const adapter = new Stack(12).adapter;
  adapter.setCapabilities = (enabled) => told.push(enabled.has('tso4'));
  const joint = joinInterface(netif, adapter);
  netif.setCapabilities({ tso4: false });
  await joint.close();
  netif.setCapabilities({ tso4: true });
  assert.deepEqual(told, [true, false]);
});

test('header lengths that differ are refused', async () => {
  const netif = await makeInterface('vale0:a', true);
  assert.throws(() => joinInterface(netif, new Stack(0).adapter), { code: 'EINVAL' });
  const pipe = await makeInterface('netmap:p{1', true);
  assert.throws(() => joinInterface(pipe, new Stack(12).adapter), { code: 'EINVAL' });
});

test('an offer is answered with an errno when the length is wrong or the interface is down', async () => {
  const netif = await makeInterface('vale0:a', true);
  assert.equal(netif.offer(new Uint8Array(100)), -100);
  netif.up();
  assert.equal(netif.offer(new Uint8Array(25)), -22);
  assert.equal(netif.offer(new Uint8Array(65536 + 13)), -22);
  assert.equal(netif.offer(frame(60, 0, 12)), 0);
});

test('TAP options are checked before anything is opened', async () => {
  await assert.rejects(openTap({ name: 'x'.repeat(16) }), { code: 'EINVAL' });
  await assert.rejects(openTap({ ringSize: 1000 }), { code: 'EINVAL' });
});
