// A ptnet device as a network interface: frames go in and out whole, the header carries the metadata, and netmap
// applications take the rings over without anything being lost.
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { EMSGSIZE, ENETDOWN, ENOBUFS, NS_MOREFRAG, POLLIN } from '../../src/abi.js';
import type { NetmapOptions } from '../../src/control/control.js';
import { Netmap } from '../../src/control/netmap.js';
import { PtnetDriver } from '../../src/ptnet/driver.js';
import { PtnetInterface } from '../../src/ptnet/interface.js';
import type { PacketMetadata } from '../../src/ptnet/interface-header.js';

const TIMEOUT = { timeout: 30_000 };

const hosts: Netmap[] = [];

/** A host that is closed when its test has ended, however that was: one that is open keeps the process alive. */
async function makeHost(options: NetmapOptions): Promise<Netmap> {
  const netmap = await Netmap.create(options);
  hosts.push(netmap);
  return netmap;
}

afterEach(async () => {
  for (const netmap of hosts.splice(0)) await netmap.close();
});

interface Received {
  readonly data: Uint8Array;
  readonly metadata: PacketMetadata;
}

interface End {
  readonly driver: PtnetDriver;
  readonly nif: PtnetInterface;
  readonly received: Received[];
}

async function pair(
  vnetHdr: boolean,
  names = ['vale0:a', 'vale0:b'],
  config = {},
): Promise<{ netmap: Netmap; ends: End[] }> {
  const netmap = await makeHost({ memorySize: 512 << 20 });
  const ends: End[] = [];
  for (const name of names) {
    const guest = await netmap.createGuest();
    await guest.passthrough(name, config);
    const [driver] = PtnetDriver.probe(await guest.machine(), { vnetHdr });
    const nif = new PtnetInterface(driver);
    const received: Received[] = [];
    nif.onReceive((frames) => {
      for (const { data, metadata } of frames) received.push({ data: data.slice(), metadata });
    });
    nif.up();
    ends.push({ driver, nif, received });
  }
  return { netmap, ends };
}

function frame(length: number, fill: number): Uint8Array {
  const data = new Uint8Array(length).fill(fill);
  data.fill(0xff, 0, 6);
  data.set([2, 0, 0, 0, 0, fill], 6);
  return data;
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 2000 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.ok(condition());
}

for (const vnetHdr of [false, true]) {
  test(`frames of every size cross whole, ${vnetHdr ? 'with' : 'without'} header`, TIMEOUT, async () => {
    const { netmap, ends } = await pair(vnetHdr);
    const [a, b] = ends;
    assert.equal(a.driver.vnetHdrLen, vnetHdr ? 12 : 0);
    assert.equal(a.nif.headerLength, a.driver.vnetHdrLen);
    const sizes = [14, 60, 1500, 2099, 2100, 2101, 2112, 2113, 4224, 9014, 65536];
    for (const [i, size] of sizes.entries()) assert.equal(a.nif.transmit(frame(size, i + 1)), 0);
    await until(() => b.received.length === sizes.length);
    for (const [i, size] of sizes.entries()) assert.deepEqual(b.received[i].data, frame(size, i + 1), `${size} bytes`);
    const bytes = sizes.reduce((n, size) => n + size, 0);
    const { opackets, obytes, omcasts } = a.nif.counters();
    assert.deepEqual({ opackets, obytes, omcasts }, { opackets: sizes.length, obytes: bytes, omcasts: sizes.length });
    const { ipackets, ibytes, iqdrops } = b.nif.counters();
    assert.deepEqual({ ipackets, ibytes, iqdrops }, { ipackets: sizes.length, ibytes: bytes, iqdrops: 0 });
    await netmap.close();
  });
}

test(
  'metadata arrives as it was sent; what is out of range, or has no header to travel in, is refused',
  TIMEOUT,
  async () => {
    const { netmap, ends } = await pair(true);
    const [a, b] = ends;
    const metadata = { flags: 1, gsoType: 0x81, hdrLen: 66, gsoSize: 1448, csumStart: 34, csumOffset: 16 };
    const ipv4 = frame(4000, 1);
    ipv4.set([0x08, 0x00], 12);
    a.nif.transmit(ipv4, metadata);
    await until(() => b.received.length === 1);
    assert.deepEqual(b.received[0].metadata, metadata);
    const wrong: PacketMetadata[] = [
      { vlan: 65536 },
      { flags: 4 },
      { gsoType: 2, gsoSize: 100 },
      { gsoType: 1 },
      { gsoType: 0x80, gsoSize: 100 },
      { gsoType: 0x83, gsoSize: 100 },
      { flags: 1, csumStart: 59, csumOffset: 0 },
      { hdrLen: 61 },
      { gsoSize: 65536 },
      { csumStart: -1 },
      { csumStart: 1.5 },
    ];
    for (const bad of wrong)
      assert.throws(() => a.nif.transmit(frame(60, 1), bad), { code: 'EINVAL' }, JSON.stringify(bad));
    for (const size of [0, 13, 65537]) assert.throws(() => a.nif.transmit(new Uint8Array(size)), { code: 'EINVAL' });
    await netmap.close();
    const bare = await pair(false);
    assert.throws(() => bare.ends[0].nif.transmit(frame(60, 1), { flags: 1, csumStart: 34, csumOffset: 6 }), {
      code: 'EOPNOTSUPP',
    });
    await bare.netmap.close();
  },
);

test(
  'the transmit queue is bounded: -ENOBUFS when it is full, and nothing that was taken is lost',
  TIMEOUT,
  async () => {
    const { netmap, ends } = await pair(false, ['netmap:p{1', 'netmap:p}1'], { txSlots: 64, rxSlots: 64 });
    const [a, b] = ends;
    b.nif.down(); // nobody takes frames: ring and queue fill up
    let taken = 0;
    while (a.nif.transmit(frame(60, taken % 251)) === 0) taken++;
    assert.equal(a.nif.transmit(frame(60, 0)), -ENOBUFS);
    assert.ok(taken >= 4096 && taken < 4096 + 64, `${taken} frames taken`);
    b.nif.up();
    await until(() => b.received.length === taken);
    assert.ok(b.received.every(({ data }, i) => data[11] === i % 251));
    assert.ok(a.nif.counters().stalls > 0);
    await netmap.close();
  },
);

test('flush drops what waits for room, counts it, and leaves what the host has got', TIMEOUT, async () => {
  const { netmap, ends } = await pair(false, ['netmap:p{1', 'netmap:p}1'], { txSlots: 64, rxSlots: 64 });
  const [a, b] = ends;
  b.nif.holdReceive(true);
  for (let i = 0; i < 1000; i++) assert.equal(a.nif.transmit(frame(60, i % 251)), 0);
  const given = a.nif.counters().opackets;
  assert.ok(given > 0 && given < 1000);
  a.nif.flush();
  assert.equal(a.nif.counters().oqdrops, 1000 - given);
  b.nif.holdReceive(false);
  await until(() => b.received.length === given);
  assert.equal(a.nif.transmit(frame(61, 7)), 0);
  await until(() => b.received.length === given + 1);
  assert.equal(b.received[given].data.length, 61);
  await netmap.close();
});

test(
  'an activation takes 512 frames at the most; the rest comes when the thread has had its turn',
  TIMEOUT,
  async () => {
    const { netmap, ends } = await pair(false, ['netmap:p{1', 'netmap:p}1'], { txSlots: 1024, rxSlots: 1024 });
    const [a, b] = ends;
    b.nif.holdReceive(true);
    assert.equal(a.nif.transmitBatch(Array.from({ length: 900 }, (_, i) => ({ data: frame(60, i % 251) }))), 900);
    assert.equal(a.nif.counters().opackets, 900);
    const turns: number[] = [];
    let before = 0;
    const look = (): void => {
      if (b.received.length !== before) turns.push(b.received.length - before);
      before = b.received.length;
    };
    b.nif.holdReceive(false);
    look();
    while (b.received.length < 900) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      look();
    }
    assert.equal(turns[0], 512);
    assert.ok(b.received.every(({ data }, i) => data[11] === i % 251));
    await netmap.close();
  },
);

test(
  'netmap mode takes the rings and gives them back; frames that were queued to the host arrive',
  TIMEOUT,
  async () => {
    const { netmap, ends } = await pair(false);
    const [a, b] = ends;
    for (let i = 1; i <= 5; i++) a.nif.transmit(frame(60, i));
    const port = b.driver.open();
    assert.equal(a.nif.transmit(frame(61, 6)), 0);
    assert.equal(b.nif.isRunning, false);
    assert.equal(b.nif.transmit(frame(60, 1)), -ENETDOWN);
    const taken: Uint8Array[] = [];
    while (taken.length + b.received.length < 6) {
      await port.poll(POLLIN);
      taken.push(...port.recv());
    }
    assert.deepEqual([...b.received.map(({ data }) => data[11]), ...taken.map((data) => data[11])], [1, 2, 3, 4, 5, 6]);
    assert.equal(taken.at(-1)?.length, 61);
    await port.close();
    assert.equal(b.nif.isRunning, true);
    a.nif.transmit(frame(62, 7));
    await until(() => b.received.at(-1)?.data.length === 62);
    await netmap.close();
  },
);

test('down and up again: counters stay, frames pass; the MTU has the limits of the driver', TIMEOUT, async () => {
  const { netmap, ends } = await pair(true);
  const [a, b] = ends;
  a.nif.transmit(frame(60, 1));
  await until(() => b.received.length === 1);
  a.nif.down();
  assert.equal(a.nif.transmit(frame(60, 2)), -ENETDOWN);
  a.nif.up();
  assert.equal(a.nif.transmitBatch([{ data: frame(60, 3) }, { data: frame(60, 4) }]), 2);
  await until(() => b.received.length === 3);
  assert.equal(a.nif.counters().opackets, 3);
  for (const mtu of [45, 65537, 1.5, Number.NaN]) assert.throws(() => (a.nif.mtu = mtu), { code: 'EINVAL' });
  a.nif.mtu = 9000;
  assert.equal(a.nif.mtu, 9000);
  await netmap.close();
});

test('a frame that the ring cannot hold is refused with -EMSGSIZE, and the ring stays whole', TIMEOUT, async () => {
  const { netmap, ends } = await pair(false, ['vale0:a', 'vale0:b'], { txSlots: 16, rxSlots: 16 });
  const [a, b] = ends;
  const most = 15 * 2112; // one slot of a ring always stays unused
  assert.equal(a.nif.transmit(frame(most + 1, 1)), -EMSGSIZE);
  assert.equal(a.nif.offer(frame(most + 1, 1)), -EMSGSIZE);
  assert.equal(a.nif.transmit(frame(most, 2)), 0);
  await until(() => b.received.length === 1);
  assert.deepEqual(b.received[0].data, frame(most, 2));
  await netmap.close();
  const tagging = await pair(true, ['vale0:a', 'vale0:b'], { txSlots: 16, rxSlots: 16 });
  const [{ nif }] = tagging.ends;
  assert.equal(nif.transmit(frame(most - 12, 1), { vlan: 1 }), -EMSGSIZE, 'the tag takes room, too');
  assert.equal(nif.transmitBatch([{ data: frame(most - 12, 1), metadata: { vlan: 1 } }]), 0);
  assert.equal(nif.transmit(frame(most - 16, 1), { vlan: 1 }), 0);
  await until(() => tagging.ends[1].received.length === 1);
  await tagging.netmap.close();
});

test('buffers of 64 KiB: a slot never has more bytes than its length can say', TIMEOUT, async () => {
  const netmap = await Netmap.create({
    memorySize: 1 << 30,
    privatePools: { priv_buf_size: 65536, priv_buf_num: 400 },
  });
  const nifs: PtnetInterface[] = [];
  const received: Uint8Array[] = [];
  for (const name of ['vale0:a', 'vale0:b']) {
    const guest = await netmap.createGuest();
    await guest.passthrough(name, { txSlots: 64, rxSlots: 64 });
    const [driver] = PtnetDriver.probe(await guest.machine(), { vnetHdr: false });
    const nif = new PtnetInterface(driver);
    nif.onReceive((frames) => received.push(...frames.map(({ data }) => data.slice())));
    nif.up();
    nifs.push(nif);
  }
  const sizes = [65536, 65535, 65528, 65529];
  for (const size of sizes) assert.equal(nifs[0].transmit(frame(size, 1)), 0);
  await until(() => received.length === sizes.length);
  assert.deepEqual(
    received.map(({ length }) => length),
    sizes,
  );
  assert.deepEqual(received[0], frame(65536, 1));
  await netmap.close();
});

describe('a pipe peer that writes to the rings', () => {
  const names = ['netmap:p{1', 'netmap:p}1'];

  test('spoils transmit slots: frames are dropped and counted, nothing throws, the rest passes', TIMEOUT, async () => {
    const { netmap, ends } = await pair(false, names, { txSlots: 64, rxSlots: 64 });
    const [a, b] = ends;
    const [{ ring }] = a.driver.acquire(false).tx;
    ring.setBufIdx(1, 0x7fffffff);
    ring.setBufIdx(4, 1);
    assert.equal(a.nif.transmit(frame(60, 1)), 0);
    assert.equal(a.nif.transmit(frame(60, 2)), 0);
    assert.equal(a.nif.transmit(frame(6000, 3)), 0); // slots 2 to 4
    assert.equal(a.nif.offer(frame(60, 4)), 0);
    a.nif.push();
    await until(() => b.received.length === 2);
    assert.deepEqual(
      b.received.map(({ data }) => data),
      [frame(60, 1), frame(60, 4)],
    );
    const { opackets, oerrors } = a.nif.counters();
    assert.deepEqual({ opackets, oerrors }, { opackets: 2, oerrors: 2 });
    assert.deepEqual(b.nif.counters().drops, { short: 4 });
    a.driver.release();
    await netmap.close();
  });

  test('spoils indices: nothing is written or read outside the ring, and it goes on', TIMEOUT, async () => {
    const { netmap, ends } = await pair(false, names, { txSlots: 64, rxSlots: 64 });
    const [a, b] = ends;
    const { tx, rx } = a.driver.acquire(false);
    const [{ ring }] = tx;
    for (const head of [64, 70, 0x7fffffff, -1]) {
      const outside = ring.i32.slice(ring.slotBase + 4 * 64, ring.slotBase + 4 * 80);
      ring.head = head;
      assert.equal(a.nif.transmit(frame(60, 1)), 0);
      assert.deepEqual(ring.i32.slice(ring.slotBase + 4 * 64, ring.slotBase + 4 * 80), outside);
      assert.ok(ring.head < 64);
    }
    await until(() => b.received.length === 4);
    const [{ ring: input }] = rx;
    for (const [field, value] of [
      ['head', 70],
      ['head', -1],
      ['tail', 1000],
    ] as const) {
      for (let i = 0; i < 64; i++) input.setSlot(i, 60, NS_MOREFRAG); // a packet without an end
      if (field === 'head') input.head = value;
      else input.i32[(input.ptr + 28) >>> 2] = value;
      b.nif.transmit(frame(60, 2));
      await new Promise((resolve) => setTimeout(resolve, 5));
      assert.ok(input.head < 64);
    }
    b.nif.transmit(frame(61, 3));
    await until(() => a.received.at(-1)?.data.length === 61);
    a.driver.release();
    await netmap.close();
  });

  test('never ends a packet: the full ring is dropped, and the next packets pass', TIMEOUT, async () => {
    const { netmap, ends } = await pair(false, names, { txSlots: 16, rxSlots: 16 });
    const [a, b] = ends;
    const port = b.driver.open(); // the interface waits
    const sender = a.driver.open();
    for (let i = 0; i < 15; i++) assert.ok(sender.trySend(frame(60, i)));
    sender.txsync();
    await sender.close();
    const [ring] = port.rxRings;
    port.rxsync();
    for (let i = 0; i < 16; i++) ring.setSlot(i, 60, NS_MOREFRAG);
    await port.close();
    await until(() => b.nif.counters().drops.long === 1);
    a.nif.transmit(frame(61, 1));
    await until(() => b.received.at(-1)?.data.length === 61);
    await netmap.close();
  });

  test('lies about the geometry: the interface does not come up', TIMEOUT, async () => {
    const { netmap, ends } = await pair(false, names, { txSlots: 64, rxSlots: 64 });
    const [{ driver, nif }] = ends;
    const [{ ring }] = driver.acquire(false).tx;
    driver.release();
    nif.down();
    const i32 = ring.i32;
    for (const [offset, value] of [
      [0, 0x7fffff00], // buf_ofs
      [8, 1 << 20], // num_slots
      [12, 1 << 24], // nr_buf_size
      [12, 0],
    ]) {
      const at = (ring.ptr + offset) >>> 2;
      const before = i32[at];
      i32[at] = value;
      assert.throws(() => nif.up(), { code: 'ENXIO' });
      i32[at] = before;
    }
    nif.up();
    await netmap.close();
  });
});

test('what was transmitted before down arrives, and what was received does not come again', TIMEOUT, async () => {
  const netmap = await makeHost({ memorySize: 512 << 20, threads: 2 });
  const nifs: PtnetInterface[] = [];
  const received: number[] = [];
  for (const name of ['vale0:a', 'vale0:b']) {
    const guest = await netmap.createGuest();
    await guest.passthrough(name);
    const [driver] = PtnetDriver.probe(await guest.machine());
    nifs.push(new PtnetInterface(driver));
  }
  const [a, b] = nifs;
  b.onReceive((frames) => {
    received.push(...frames.map(({ data }) => data[11]));
    b.down();
    setTimeout(() => b.up(), 1);
  });
  b.up();
  for (let round = 0; round < 20; round++) {
    a.up();
    for (let i = 0; i < 10; i++) assert.equal(a.transmit(frame(60, 10 * round + i)), 0);
    a.down();
    await until(() => received.length >= 10 * round + 10);
  }
  assert.deepEqual(
    received,
    Array.from({ length: 200 }, (_, i) => i),
  );
  b.down();
  await new Promise((resolve) => setTimeout(resolve, 5));
  b.down();
  await netmap.close();
});

test('a handler that takes the interface down and up gets what is left afterwards', TIMEOUT, async () => {
  const { netmap, ends } = await pair(false, ['vale0:a', 'vale0:b'], { txRings: 2, rxRings: 2 });
  const [a, b] = ends;
  let got = 0;
  b.nif.onReceive((frames) => {
    if (got === 0) {
      b.nif.down();
      b.nif.up();
    }
    got += frames.length;
  });
  for (let i = 0; i < 1000; i++) assert.equal(a.nif.transmit(frame(60, i & 255), undefined, i), 0);
  await until(() => got === 1000);
  assert.equal(b.nif.counters().ipackets, 1000);
  await netmap.close();
});

test('a handler that throws is told of, and gets the next frames', TIMEOUT, async () => {
  const { netmap, ends } = await pair(false);
  const [a, b] = ends;
  let got = 0;
  const thrown: string[] = [];
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => thrown.push(error.message));
  try {
    b.nif.onReceive((frames) => {
      got += frames.length;
      if (got === 1) throw new Error('no memory');
    });
    a.nif.transmit(frame(60, 1));
    await until(() => thrown.length === 1);
    a.nif.transmit(frame(60, 2));
    await until(() => got === 2);
  } finally {
    process.removeAllListeners('uncaughtException');
    for (const listener of listeners) process.on('uncaughtException', listener);
  }
  assert.deepEqual(thrown, ['no memory']);
  await netmap.close();
});

test('who waits for room is told when the machine has gone', TIMEOUT, async () => {
  const netmap = await makeHost({ memorySize: 512 << 20 });
  await netmap.open('netmap:p{1'); // takes nothing
  const guest = await netmap.createGuest();
  await guest.passthrough('netmap:p}1');
  const [driver] = PtnetDriver.probe(await guest.machine());
  const nif = new PtnetInterface(driver);
  nif.up();
  while (nif.offer(frame(60, 1)) === 0);
  assert.ok(nif.awaitsRoom);
  let told = 0;
  nif.onRoom(() => told++);
  await guest.close();
  await until(() => told === 1);
  assert.equal(nif.awaitsRoom, false);
  assert.equal(nif.offer(frame(60, 1)), -ENETDOWN);
  nif.down();
  await netmap.close();
});

test('two interfaces of a driver are not up at the same time', TIMEOUT, async () => {
  const { netmap, ends } = await pair(true);
  const [{ driver, nif }] = ends;
  const other = new PtnetInterface(driver);
  assert.throws(() => other.up(), { code: 'EBUSY', op: 'up' });
  nif.down();
  other.up();
  assert.throws(() => nif.up(), { code: 'EBUSY' });
  other.down();
  nif.up();
  await netmap.close();
});

test('when the driver has detached, nothing is taken any more, and who waits for room is told', TIMEOUT, async () => {
  const { netmap, ends } = await pair(false, ['netmap:p{1', 'netmap:p}1']);
  const [a, b] = ends;
  b.nif.down();
  while (a.nif.offer(frame(60, 1)) === 0);
  let told = 0;
  a.nif.onRoom(() => told++);
  a.driver.detach();
  assert.equal(told, 1);
  assert.deepEqual([a.nif.linkUp, a.nif.isRunning, a.nif.transmit(frame(60, 1))], [false, false, -ENETDOWN]);
  a.nif.down();
  assert.throws(() => a.nif.up(), { code: 'ENXIO' });
  await netmap.close();
});

test('a stall is counted once, however often it is looked whether it is over', TIMEOUT, async () => {
  const { netmap, ends } = await pair(false, ['netmap:p{1', 'netmap:p}1'], { txSlots: 64, rxSlots: 64 });
  const [a, b] = ends;
  b.nif.holdReceive(true);
  while (a.nif.offer(frame(60, 1)) === 0);
  for (let i = 1; i <= 20; i++) {
    b.nif.transmit(frame(60, i));
    await until(() => a.received.length === i);
    assert.ok(a.nif.awaitsRoom);
  }
  assert.equal(a.nif.counters().stalls, 1);
  b.nif.holdReceive(false);
  await until(() => !a.nif.awaitsRoom);
  await netmap.close();
});

test('any number picks a queue', TIMEOUT, async () => {
  const { netmap, ends } = await pair(false, ['vale0:a', 'vale0:b'], { txRings: 3 });
  const [a, b] = ends;
  const flows = [-1, 1.5, Number.NaN, 2 ** 40];
  for (const flow of flows) assert.equal(a.nif.transmit(frame(60, 1), undefined, flow), 0);
  await until(() => b.received.length === flows.length);
  await netmap.close();
});

test('several queues: a flow keeps to one, and its order; all of them are served', TIMEOUT, async () => {
  const { netmap, ends } = await pair(false, ['vale0:a', 'vale0:b'], { txRings: 4, rxRings: 4 });
  const [a, b] = ends;
  const total = 400;
  for (let i = 0; i < total; i++) assert.equal(a.nif.transmit(frame(60 + (i % 8), i >> 3), undefined, i % 8), 0);
  await until(() => b.received.length === total);
  for (let flow = 0; flow < 8; flow++) {
    const numbers = b.received.filter(({ data }) => data.length === 60 + flow).map(({ data }) => data[11]);
    assert.deepEqual(
      numbers,
      Array.from({ length: total / 8 }, (_, i) => i),
    );
  }
  const port = a.driver.open();
  assert.deepEqual(
    port.txRings.map(({ head }) => head),
    [100, 100, 100, 100],
  );
  await port.close();
  await netmap.close();
});
