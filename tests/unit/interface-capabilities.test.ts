// Capabilities of an interface: which there are, what depends on what, and what each does to frames in both directions.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import * as abi from '../../src/abi.js';
import { type Capability, Netmap, PtnetDriver, PtnetInterface, type RxFrame } from '../../src/index.js';
import * as oracle from '../property/offload-oracle.js';
import { build } from '../property/offload-packets.js';

const TIMEOUT = { timeout: 30_000 };
const CSUM = abi.VIRTIO_NET_HDR_F_NEEDS_CSUM;
const VALID = abi.VIRTIO_NET_HDR_F_DATA_VALID;

let netmap: Netmap;
let interfaces: PtnetInterface[];

beforeEach(async () => {
  netmap = await Netmap.create({ memorySize: 512 << 20 });
  interfaces = [];
});

afterEach(async () => {
  for (const netif of interfaces) netif.down();
  await netmap.close();
});

interface End {
  readonly netif: PtnetInterface;
  readonly received: RxFrame[];
}

async function makeEnd(
  name: string,
  options: { vnetHdr?: boolean; carryHeader?: boolean; gso?: boolean } = {},
): Promise<End> {
  const guest = await netmap.createGuest();
  await guest.passthrough(name);
  const [driver] = PtnetDriver.probe(
    await guest.machine(),
    options.vnetHdr === undefined ? {} : { vnetHdr: options.vnetHdr },
  );
  const netif = new PtnetInterface(driver, options);
  const received: RxFrame[] = [];
  netif.onReceive((frames) => {
    for (const { data, metadata } of frames) received.push({ data: data.slice(), metadata });
  });
  netif.up();
  interfaces.push(netif);
  return { netif, received };
}

/** Both ends of a switch. */
const pair = async (vnetHdr?: boolean): Promise<[End, End]> => {
  const options = vnetHdr === undefined ? {} : { vnetHdr };
  return [await makeEnd('vale0:a', options), await makeEnd('vale0:b', options)];
};

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 2000 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.ok(condition());
}

const PACKET = {
  vlans: [],
  v6: false,
  extensions: [],
  options: 0,
  fragment: 0,
  proto: 6,
  flags: 16,
  tcpOptions: 0,
  padding: 0,
  slack: 0,
  seed: 1,
};

/** A TCP packet with right checksums, as a broadcast. */
function tcp(payload: number, more: object = {}): Uint8Array {
  const frame = build({ ...PACKET, payload, ...more } as Parameters<typeof build>[0]);
  frame.fill(0xff, 0, 6);
  frame.set([2, 0, 0, 0, 0, 1], 6);
  frame[oracle.parse(frame).l4 + 12] &= 0xf0; // reserved bits
  oracle.fillChecksums(frame);
  return frame;
}

/** The same with the pseudo header's sum in the checksum field, and the metadata that says so. */
function partial(frame: Uint8Array, gsoSize = 0) {
  const { l3Proto, l4, hdrLen } = oracle.parse(frame);
  const data = frame.slice();
  const parsed = oracle.parse(data);
  oracle.put16(data, l4 + 16, oracle.sum(oracle.pseudoHeader(data, parsed, data.length - l4)));
  const gsoType = gsoSize === 0 ? 0 : l3Proto === 0x0800 ? abi.VIRTIO_NET_HDR_GSO_TCPV4 : abi.VIRTIO_NET_HDR_GSO_TCPV6;
  return {
    data,
    metadata: { flags: CSUM, gsoType, hdrLen: gsoSize === 0 ? 0 : hdrLen, gsoSize, csumStart: l4, csumOffset: 16 },
  };
}

/** Segment `i` of a stream. */
function segment(i: number, size: number, v6 = false): Uint8Array {
  const frame = tcp(size, { v6, seed: 7 });
  const { l3, l4 } = oracle.parse(frame);
  new DataView(frame.buffer, frame.byteOffset).setUint32(l4 + 4, 1000 + i * size);
  if (!v6) oracle.put16(frame, l3 + 4, 100 + i);
  oracle.fillChecksums(frame);
  return frame;
}

const OFFLOADS: Capability[] = [
  'rxcsum',
  'rxcsum6',
  'txcsum',
  'txcsum6',
  'tso4',
  'tso6',
  'lro',
  'vlanhwtag',
  'vlanhwcsum',
  'vlanhwtso',
];

describe('the set', () => {
  test('has all where there is a header, all on, and without a header those that need none', TIMEOUT, async () => {
    const { netif } = await makeEnd('vale0:a');
    assert.deepEqual([...netif.capabilities].sort(), [...OFFLOADS, 'vlanmtu', 'jumbomtu'].sort());
    assert.deepEqual(netif.enabledCapabilities, netif.capabilities);
    const bare = (await makeEnd('vale0:b', { vnetHdr: false })).netif;
    assert.deepEqual([...bare.capabilities], ['vlanmtu', 'jumbomtu']);
    const pipe = (await makeEnd('netmap:p{1')).netif;
    assert.equal(pipe.headerLength, 0);
    const carrier = (await makeEnd('netmap:p}1', { carryHeader: true, gso: false })).netif;
    assert.equal(carrier.headerLength, 12);
    assert.equal(carrier.enabledCapabilities.has('tso4') || carrier.enabledCapabilities.has('vlanhwtso'), false);
    assert.ok(carrier.enabledCapabilities.has('lro'));
  });

  test('follows the tunables of the guest', TIMEOUT, async () => {
    const made: PtnetInterface[] = [];
    for (const [name, tunables, options] of [
      ['a', { 'dev.netmap.ptnet_vnet_hdr': 0 }, {}],
      ['b', { ptnet_gso: 0 }, {}],
      ['c', { 'dev.netmap.ptnet_vnet_hdr': 0, ptnet_gso: 0 }, { vnetHdr: true }],
    ] as const) {
      const guest = await netmap.createGuest({ tunables });
      await guest.passthrough(`vale0:${name}`);
      const [driver] = PtnetDriver.probe(await guest.machine(), options);
      made.push(new PtnetInterface(driver));
    }
    assert.deepEqual(
      made.map((netif) => [
        netif.headerLength,
        netif.enabledCapabilities.has('txcsum'),
        netif.enabledCapabilities.has('tso4'),
      ]),
      [
        [0, false, false],
        [12, true, false],
        [12, true, false],
      ],
    );
  });

  test('keeps its dependencies, and listeners are told', TIMEOUT, async () => {
    const { netif } = await makeEnd('vale0:a');
    const told: string[][] = [];
    const stop = netif.onCapabilities((enabled) => told.push(OFFLOADS.filter((name) => !enabled.has(name))));
    netif.setCapabilities({ txcsum: false });
    netif.setCapabilities({ txcsum6: false });
    assert.throws(() => netif.setCapabilities({ tso4: true }), { code: 'EINVAL', message: /tso4 needs txcsum/ });
    netif.setCapabilities({ tso4: true, txcsum: true });
    netif.setCapabilities({ rxcsum: false });
    netif.setCapabilities({ rxcsum6: false });
    stop();
    netif.setCapabilities({ rxcsum: true });
    assert.deepEqual(told, [
      ['txcsum', 'tso4'],
      ['txcsum', 'txcsum6', 'tso4', 'tso6', 'vlanhwcsum', 'vlanhwtso'],
      ['txcsum6', 'tso6', 'vlanhwcsum', 'vlanhwtso'],
      ['rxcsum', 'txcsum6', 'tso6', 'vlanhwcsum', 'vlanhwtso'],
      ['rxcsum', 'rxcsum6', 'txcsum6', 'tso6', 'lro', 'vlanhwcsum', 'vlanhwtso'],
    ]);
  });

  test('refuses what it does not have, and changes nothing then', TIMEOUT, async () => {
    const { netif } = await makeEnd('vale0:a', { vnetHdr: false });
    assert.throws(() => netif.setCapabilities({ lro: true }), {
      code: 'EOPNOTSUPP',
      op: 'capabilities',
      port: 'ptnet0',
    });
    assert.throws(() => netif.setCapabilities({ vlanmtu: false }), { code: 'EINVAL' });
    assert.throws(() => netif.setCapabilities({ toe4: true } as never), {
      code: 'EINVAL',
      message: /no capability 'toe4'/,
    });
    netif.setCapabilities({ lro: false });
    assert.deepEqual(netif.enabledCapabilities, netif.capabilities);
    const able = (await makeEnd('vale0:b')).netif;
    able.onCapabilities(() => {
      throw new Error('the device says no');
    });
    assert.throws(() => able.setCapabilities({ lro: false }), /says no/);
    assert.ok(able.enabledCapabilities.has('lro'));
  });
});

describe('transmit', () => {
  const refused: [string, Capability[], ReturnType<typeof partial>][] = [
    ['a checksum over IPv4', ['txcsum'], partial(tcp(100))],
    ['a checksum over IPv6', ['txcsum6'], partial(tcp(100, { v6: true }))],
    ['segmentation over IPv4', ['tso4'], partial(tcp(5000), 1000)],
    ['segmentation over IPv6', ['tso6'], partial(tcp(5000, { v6: true }), 1000)],
    ['a checksum behind a tag', ['vlanhwcsum'], partial(tcp(100, { vlans: [0x8100] }))],
    ['segmentation behind a tag', ['vlanhwtso'], partial(tcp(5000, { vlans: [0x8100] }), 1000)],
  ];
  for (const [what, off, { data, metadata }] of refused) {
    test(`${what} is taken, and refused without ${off}`, TIMEOUT, async () => {
      const [a, b] = await pair();
      b.netif.setCapabilities({ vlanhwtag: false });
      assert.equal(a.netif.transmit(data, metadata), 0);
      await until(() => b.received.length === 1);
      assert.deepEqual(b.received[0], { data, metadata });
      a.netif.setCapabilities(Object.fromEntries(off.map((name) => [name, false])));
      assert.throws(() => a.netif.transmit(data, metadata), {
        code: 'EOPNOTSUPP',
        message: new RegExp(`${off} is off`),
      });
      assert.equal(a.netif.transmit(data), 0);
    });
  }

  test('a tag in the metadata is a tag, and without a header nothing may be said', TIMEOUT, async () => {
    const [a] = await pair();
    const { data, metadata } = partial(tcp(100));
    a.netif.setCapabilities({ vlanhwcsum: false });
    assert.throws(() => a.netif.transmit(data, { ...metadata, vlan: 1 }), { message: /vlanhwcsum is off/ });
    assert.equal(a.netif.transmit(data, { vlan: 1 }), 0);
    const bare = (await makeEnd('vale0:c', { vnetHdr: false })).netif;
    assert.throws(() => bare.transmit(data, { flags: VALID }), { code: 'EOPNOTSUPP' });
    assert.equal(bare.transmit(data, {}), 0);
  });

  test(
    'a tag travels in the metadata, with places that move; without vlanhwtag it stays in the frame',
    TIMEOUT,
    async () => {
      const [a, b] = await pair();
      const { data, metadata } = partial(tcp(200));
      const vlan = (5 << 13) | 42;
      a.netif.transmit(data, { ...metadata, vlan });
      a.netif.transmit(data.slice(0, 60), { vlan });
      await until(() => b.received.length === 2);
      assert.deepEqual(b.received[0], { data, metadata: { ...metadata, vlan } });
      assert.deepEqual(b.received[1].data, data.slice(0, 60));
      assert.equal(b.received[1].metadata.vlan, vlan);
      b.netif.setCapabilities({ vlanhwtag: false });
      a.netif.transmit(data, { ...metadata, vlan });
      await until(() => b.received.length === 3);
      const tagged = b.received[2];
      assert.deepEqual([...tagged.data.subarray(12, 16)], [0x81, 0, 0xa0, 42]);
      assert.deepEqual(tagged.data.subarray(16), data.subarray(12));
      assert.equal(tagged.metadata.csumStart, metadata.csumStart + 4);
      a.netif.setCapabilities({ vlanhwtag: false });
      assert.throws(() => a.netif.transmit(data, { vlan }), { code: 'EOPNOTSUPP', message: /vlanhwtag is off/ });
      assert.throws(() => b.netif.transmit(new Uint8Array(65534), { vlan: 1 }), { code: 'EINVAL' });
    },
  );
});

describe('receive', () => {
  test('a checksum that begins in the tag keeps the tag in the frame, and never lies outside', TIMEOUT, async () => {
    const [a, b] = await pair();
    const frame = tcp(100, { vlans: [0x8100] });
    for (const start of [2, 17, 18]) {
      const packet = new Uint8Array(12 + frame.length);
      packet.set(frame, 12);
      packet.set([CSUM, 0, 0, 0, 0, 0, start, 0, frame.length - 2 - start, 0]);
      assert.equal(a.netif.offer(packet), 0);
    }
    a.netif.push();
    await until(() => b.received.length === 3);
    assert.deepEqual(
      b.received.map(({ data, metadata }) => [data.length - frame.length, metadata.csumStart, 'vlan' in metadata]),
      [
        [0, 2, false],
        [0, 17, false],
        [-4, 14, true],
      ],
    );
  });

  test(
    'frames that say nothing are validated: right ones say so, wrong ones and others say nothing',
    TIMEOUT,
    async () => {
      const [a, b] = await pair();
      const right = tcp(100);
      const wrong = tcp(100);
      wrong[60] ^= 1;
      const arp = right.slice(0, 60);
      arp[13] = 6;
      for (const frame of [right, wrong, arp, tcp(100, { v6: true })]) a.netif.transmit(frame);
      await until(() => b.received.length === 4);
      assert.deepEqual(
        b.received.map(({ metadata }) => metadata.flags ?? 0),
        [VALID, 0, 0, VALID],
      );
      assert.deepEqual(b.received[1].data, wrong);
    },
  );

  for (const v6 of [false, true]) {
    const name = v6 ? 'rxcsum6' : 'rxcsum';
    test(`without ${name} checksums are complete, and nothing is said`, TIMEOUT, async () => {
      const [a, b] = await pair();
      b.netif.setCapabilities({ [name]: false });
      const frame = tcp(1000, { v6 });
      const { data, metadata } = partial(frame);
      a.netif.transmit(frame);
      a.netif.transmit(data, metadata);
      const other = partial(tcp(1000, { v6: !v6 }));
      a.netif.transmit(other.data, other.metadata);
      await until(() => b.received.length === 3);
      assert.deepEqual(b.received[0], { data: frame, metadata: {} });
      assert.deepEqual(b.received[1], { data: frame, metadata: {} });
      assert.deepEqual(b.received[2], other);
    });

    test(`segments of TCPv${v6 ? 6 : 4} are merged, and cut again without lro`, TIMEOUT, async () => {
      const [a, b] = await pair();
      const segments = Array.from({ length: 30 }, (_, i) => segment(i, 1000, v6));
      a.netif.transmitBatch(segments.map((data) => ({ data })));
      await until(() => b.received.length > 0);
      assert.equal(b.received.length, 1);
      const { data, metadata } = b.received[0];
      assert.equal(b.netif.counters().ipackets, 30);
      const gsoType = v6 ? abi.VIRTIO_NET_HDR_GSO_TCPV6 : abi.VIRTIO_NET_HDR_GSO_TCPV4;
      assert.deepEqual(
        { ...metadata, hdrLen: 0, csumStart: 0 },
        { flags: CSUM, gsoType, hdrLen: 0, gsoSize: 1000, csumStart: 0, csumOffset: 16 },
      );
      b.netif.setCapabilities({ lro: false });
      a.netif.transmit(data, metadata);
      await until(() => b.received.length === 31);
      assert.deepEqual(
        b.received.slice(1).map((frame) => frame.data),
        segments,
      );
      assert.ok(b.received.slice(1).every((frame) => frame.metadata.flags === VALID && !frame.metadata.gsoType));
      b.netif.setCapabilities({ rxcsum: false, rxcsum6: false });
      a.netif.transmit(data, metadata);
      await until(() => b.received.length === 61);
      assert.deepEqual(
        b.received.slice(31),
        segments.map((bytes) => ({ data: bytes, metadata: {} })),
      );
    });
  }

  test('packets for a stack that takes them unparsed are merged, too', TIMEOUT, async () => {
    const [a, b] = await pair();
    const packets: Uint8Array[] = [];
    b.netif.onPackets((list) => packets.push(...list.map((packet) => packet.slice())));
    a.netif.transmitBatch([0, 1, 2].map((i) => ({ data: segment(i, 500) })));
    await until(() => packets.length > 0);
    assert.deepEqual([...packets[0].subarray(0, 6)], [CSUM, abi.VIRTIO_NET_HDR_GSO_TCPV4, 54, 0, 0xf4, 1]);
    assert.equal(packets[0].length, 12 + 54 + 1500);
  });

  test('headers that lie are dropped, and counted by reason; what comes after them passes', TIMEOUT, async () => {
    const [a, b] = await pair();
    b.netif.setCapabilities({ lro: false });
    const frame = tcp(100);
    const packet = (...header: number[]): Uint8Array => {
      const bytes = new Uint8Array(12 + frame.length);
      bytes.set(header);
      bytes.set(frame, 12);
      return bytes;
    };
    const bad = [
      packet(4), // flags
      packet(0, 2), // gso_type
      packet(0, 1), // no gso_size
      packet(1, 0, 0, 0, 0, 0, 0xff, 0xff, 16), // csum_start
      packet(1, 0, 0, 0, 0, 0, 34, 0, 0xff, 0xff), // csum_offset
      packet(0, 3, 0, 0, 100), // UDP, but it is TCP
      packet(1, 1, 0, 0, 1, 0, 34, 0, 16).subarray(0, 12 + 54), // nothing to cut: one segment
    ];
    for (const bytes of bad) assert.equal(a.netif.offer(bytes), 0);
    a.netif.push();
    const small = partial(tcp(2000), 1); // 2000 pieces
    a.netif.transmit(small.data, small.metadata);
    a.netif.transmit(frame);
    await until(() => b.received.some(({ data }) => data.length === frame.length));
    const { drops, iqdrops } = b.netif.counters();
    assert.deepEqual(drops, { header: 3, csum: 2, gso: iqdrops - 5 });
    assert.ok(drops.gso >= 2);
    b.netif.down();
    assert.deepEqual(b.netif.counters().drops, drops);
  });

  test('a packet that is shorter than its headers, or has bad slots, is dropped', TIMEOUT, async () => {
    const host = await netmap.open('netmap:p{1');
    const { netif, received } = await makeEnd('netmap:p}1', { carryHeader: true });
    const port = netif.driver.open({ flags: abi.NR_ACCEPT_VNET_HDR }); // the interface waits meanwhile
    for (const length of [25, 72, 72, 72]) assert.ok(host.trySend(new Uint8Array(length)));
    host.txsync();
    await port.poll(abi.POLLIN);
    const [ring] = port.rxRings;
    ring.i32[ring.slotBase + 4] = 0x7fffffff; // buffer index of the second
    ring.i32[ring.slotBase + 9] = 0xffff; // length of the third
    await port.close();
    await until(() => received.length === 1);
    assert.deepEqual(netif.counters().drops, { short: 1, slot: 2 });
    await host.close();
  });
});

test('a handler that lets packets come again while it has some gets them afterwards, in order', TIMEOUT, async () => {
  const [a, b] = await pair();
  const seen: number[] = [];
  b.netif.onReceive((frames) => {
    b.netif.holdReceive(true);
    b.netif.holdReceive(false);
    for (const { data } of frames) seen.push(data[20]);
  });
  for (let i = 0; i < 200; i++) a.netif.transmit(new Uint8Array(60).fill(0xff, 0, 6).fill(2, 6, 12).fill(i, 20, 21));
  await until(() => seen.length === 200);
  assert.deepEqual(
    seen,
    Array.from({ length: 200 }, (_, i) => i),
  );
});

test('frames from before an interface was up have no header, and are not taken for others', TIMEOUT, async () => {
  const sender = await netmap.open('vale0:a');
  const guest = await netmap.createGuest();
  await guest.passthrough('vale0:b');
  const [driver] = PtnetDriver.probe(await guest.machine());
  const frame = tcp(100);
  await sender.send(frame);
  const netif = new PtnetInterface(driver);
  interfaces.push(netif);
  const received: RxFrame[] = [];
  netif.onReceive((frames) => received.push(...frames.map(({ data, metadata }) => ({ data: data.slice(), metadata }))));
  netif.up();
  await sender.send(frame);
  await until(() => received.length > 0);
  assert.deepEqual(received, [
    { data: frame, metadata: { flags: VALID, gsoType: 0, hdrLen: 0, gsoSize: 0, csumStart: 0, csumOffset: 0 } },
  ]);
  const port = await (async () => {
    assert.throws(() => driver.open(), { code: 'EIO' });
    netif.down();
    return driver.open();
  })();
  assert.equal(driver.vnetHdrLen, 0);
  assert.throws(() => netif.up(), { code: 'EBUSY' });
  await port.close();
  netif.up();
  assert.equal(driver.vnetHdrLen, 12);
});

for (const threads of [0, 1]) {
  test(`what has come with another header is dropped and counted, with ${threads} loop workers`, TIMEOUT, async () => {
    const host = await Netmap.create({ memorySize: 512 << 20, threads });
    const sender = await host.open('vale0:a');
    const guest = await host.createGuest();
    await guest.passthrough('vale0:b', { rxRings: 2 });
    const [driver] = PtnetDriver.probe(await guest.machine());
    const netif = new PtnetInterface(driver);
    const received: RxFrame[] = [];
    netif.onReceive((frames) =>
      received.push(...frames.map(({ data, metadata }) => ({ data: data.slice(), metadata }))),
    );
    const frame = tcp(1000);
    const headers = async (): Promise<number> =>
      (await host.inspect()).ports.find(({ name }) => name === 'vale0:b')?.counters.drops.header ?? 0;
    for (let round = 1; round <= 3; round++) {
      for (let i = 0; i < 4; i++) assert.ok(sender.trySend(frame));
      sender.txsync();
      netif.up();
      assert.equal(await headers(), round * 8 - 4);
      await sender.send(frame);
      await until(() => received.length === round);
      assert.deepEqual(received[round - 1].data, frame);
      netif.down();
      for (let i = 0; i < 4; i++) assert.ok(sender.trySend(frame));
      sender.txsync();
      const port = driver.open(); // without headers
      assert.equal(await headers(), round * 8);
      await sender.send(frame);
      let frames: Uint8Array[] = [];
      await until(() => {
        port.rxsync();
        if (frames.length === 0) frames = port.recv();
        return frames.length > 0;
      });
      assert.deepEqual(frames, [frame]);
      await port.close();
    }
    assert.deepEqual(netif.counters().drops, {});
    await host.close();
  });
}
