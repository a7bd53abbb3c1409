// A ptnet device as a network interface: frames go in and out whole, the header carries the metadata, and netmap
// applications take the rings over without anything being lost.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EMSGSIZE, ENETDOWN, ENOBUFS, POLLIN } from '../../src/abi.js';
import { Netmap } from '../../src/control/netmap.js';
import { PtnetDriver } from '../../src/ptnet/driver.js';
import { PtnetInterface } from '../../src/ptnet/interface.js';
import type { PacketMetadata } from '../../src/ptnet/interface-header.js';

const TIMEOUT = { timeout: 30_000 };

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
  const netmap = await Netmap.create({ memorySize: 512 << 20 });
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
    a.nif.transmit(frame(4000, 1), metadata);
    await until(() => b.received.length === 1);
    assert.deepEqual(b.received[0].metadata, metadata);
    const wrong: PacketMetadata[] = [
      { vlan: 65536 },
      { flags: 4 },
      { gsoType: 2, gsoSize: 100 },
      { gsoType: 1 },
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
