// What holds of every kind of port that can be opened by a name, kind by kind and pair by pair: exclusive opens, partial
// reads, unread frames, monitors, attaching twice, deleting, learning.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { POLLERR, POLLIN } from '../../src/abi.js';
import type { ErrnoCode } from '../../src/errors.js';
import { type HostPort, Netmap, type NetmapPort } from '../../src/index.js';

const SLOTS = { txSlots: 16, rxSlots: 16 };
const privatePools = { priv_buf_size: 128, priv_buf_num: 4, priv_ring_size: 512, priv_ring_num: 2 };
const mac = (n: number): number[] => [2, 0, 0, 0, 0, n];
const BROADCAST = new Array(6).fill(0xff);
const frame = (to: number[], from: number, n = from): Uint8Array => {
  const bytes = new Uint8Array(60);
  bytes.set([...to, ...mac(from), 8, 0, n]);
  return bytes;
};

let netmap: Netmap;
let clean: unknown;
const opened: { close(): Promise<void> }[] = [];
const open = async (spec: string): Promise<HostPort> => {
  const port = await netmap.open(spec, SLOTS);
  opened.push(port);
  return port;
};
const rejects = (promise: Promise<unknown>, code: ErrnoCode, what?: string): Promise<void> =>
  assert.rejects(promise, { code }, what);

function send(port: NetmapPort, ...frames: Uint8Array[]): void {
  for (const one of frames) assert.ok(port.trySend(one));
  assert.equal(port.txsync(), 0);
}
function taken(port: NetmapPort): number[] {
  port.rxsync();
  return port.recv().map((bytes) => bytes[14]);
}

/** A kind of port, and who is at its other end. */
interface Kind {
  readonly kind: string;
  readonly spec: string;
  /** Makes what the name needs, and the port that the subject's frames come out of and that feeds it. */
  other(): Promise<NetmapPort>;
  /** What the port is called on a bridge. */
  readonly onBridge: string;
  /** Unread frames are there when it is opened again. */
  readonly keepsUnread: boolean;
  readonly deleted: ErrnoCode;
  /** valeAttach, while the port is not open. */
  readonly attached: ErrnoCode | undefined;
}
const KINDS: readonly Kind[] = [
  {
    kind: 'ephemeral VALE port',
    spec: 'vale0:x',
    other: () => open('vale0:y'),
    onBridge: 'vale1:x',
    keepsUnread: false,
    deleted: 'ENXIO',
    attached: 'EINVAL',
  },
  {
    kind: 'persistent port',
    spec: 'netmap:per0',
    other: async () => {
      await netmap.newInterface('per0', SLOTS);
      await netmap.valeAttach('vale0:per0');
      return open('vale0:y');
    },
    onBridge: 'vale1:per0',
    keepsUnread: false,
    deleted: 'EBUSY',
    attached: 'EBUSY',
  },
  {
    kind: 'pipe end',
    spec: 'netmap:p{1',
    other: () => open('netmap:p}1'),
    onBridge: 'vale1:p{1',
    keepsUnread: true,
    deleted: 'ENXIO',
    attached: 'EINVAL',
  },
  {
    kind: 'NIC',
    spec: 'netmap:eth0',
    other: async () => {
      const nic = await netmap.addInterface('eth0', SLOTS);
      opened.push(nic);
      return nic.wire;
    },
    onBridge: 'vale1:eth0',
    keepsUnread: false,
    deleted: 'EINVAL',
    attached: undefined,
  },
];

beforeEach(async () => {
  netmap = await Netmap.create({ memorySize: 1 << 25, privatePools });
  clean = await netmap.inspect();
});
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
  for (const { name } of await netmap.valeList()) await netmap.valeDetach(name);
  await netmap.deleteInterface('per0').catch(() => {});
  assert.deepEqual(await netmap.inspect(), clean, 'something is left behind');
  await netmap.close();
});

for (const { kind, spec, other, onBridge, keepsUnread, deleted, attached } of KINDS) {
  describe(kind, () => {
    test('is open for several or for one', async () => {
      await other();
      const first = await open(spec);
      const second = await open(spec);
      await rejects(open(`${spec}/x`), 'EBUSY');
      await rejects(open(`${spec}-0/Rx`), 'EBUSY');
      await first.close();
      await rejects(open(`${spec}/x`), 'EBUSY', 'somebody still has it');
      await second.close();
      const alone = await open(`${spec}/x`);
      for (const suffix of ['', '/x', '-0', '/R', '/T']) await rejects(open(`${spec}${suffix}`), 'EBUSY', suffix);
      await alone.close();
      const half = await open(`${spec}/Rx`);
      const rest = await open(`${spec}/Tx`);
      await rejects(open(`${spec}/T`), 'EBUSY');
      await half.close();
      await rest.close();
      await open(spec);
    });

    test('gives frames in parts, takes slots back in parts, and has n - 1 of them', async () => {
      const feed = await other();
      const port = await open(spec);
      const numbers = Array.from({ length: 10 }, (_, n) => n);
      send(feed, ...numbers.map((n) => frame(BROADCAST, 1, n)));
      const [ring] = port.rxRings;
      const got: number[] = [];
      for (const part of [0, 3, 1, 0, 6]) {
        port.rxsync();
        assert.equal((ring.tail - ring.head + 16) % 16, 10 - got.length);
        for (let i = 0; i < part; i++) {
          got.push(ring.buf(ring.head)[14]);
          ring.advance(1);
        }
      }
      assert.deepEqual(got, numbers);
      port.rxsync();
      feed.txsync();
      const room = Array.from({ length: 15 }, (_, n) => frame(BROADCAST, 1, 20 + n));
      send(feed, ...room);
      port.rxsync();
      assert.equal((ring.tail - ring.head + 16) % 16, 15, 'all slots but one hold a frame');
    });

    test(`unread frames are ${keepsUnread ? 'there' : 'gone'} when it is opened again`, async () => {
      const feed = await other();
      const first = await open(spec);
      send(feed, frame(BROADCAST, 1, 1), frame(BROADCAST, 1, 2));
      await first.close();
      const again = await open(spec);
      assert.deepEqual(taken(again), keepsUnread ? [1, 2] : []);
      send(feed, frame(BROADCAST, 1, 3));
      assert.deepEqual(taken(again), [3]);
    });

    for (const [suffix, sees] of [
      ['/t', [7]],
      ['/r', [5]],
      ['/rt', [5, 7]],
      ['/z', [5, 7]],
    ] as const) {
      test(`is watched by ${suffix}, exclusive or not, until it is closed`, async () => {
        const feed = await other();
        await rejects(open(`${spec}${suffix}`), 'EINVAL', 'not before it is open');
        const port = await open(`${spec}/x`);
        const monitor = await open(`${spec}${suffix}`);
        const seen: number[] = [];
        send(feed, frame(BROADCAST, 1, 5));
        assert.deepEqual(taken(port), [5]);
        port.rxsync();
        seen.push(...taken(monitor));
        send(port, frame(BROADCAST, 2, 7));
        assert.deepEqual(taken(feed), [7]);
        feed.rxsync();
        port.txsync();
        seen.push(...taken(monitor));
        assert.deepEqual(seen, sees);
        assert.equal(port.rxsync(), 0);
        await port.close();
        assert.ok(monitor.pollOnce(POLLIN) & POLLERR);
        await rejects(open(`${spec}${suffix}`), 'EINVAL', 'not after it is closed');
        await monitor.close();
        send(feed, frame(BROADCAST, 1, 6));
      });
    }

    test(`is put on a bridge: ${attached ?? 'once, while it is not open'}`, async () => {
      await other();
      const port = await open(spec);
      if (attached) {
        await rejects(netmap.valeAttach(onBridge), attached, 'while it is open');
        await port.close();
        await rejects(netmap.valeAttach(onBridge), attached);
        return;
      }
      await rejects(netmap.valeAttach(onBridge), 'EBUSY', 'while it is open');
      const monitor = await open(`${spec}/r`);
      await port.close();
      await netmap.valeAttach(onBridge);
      await rejects(netmap.valeAttach(onBridge), 'EBUSY');
      await rejects(netmap.valeAttach(onBridge.replace('vale1', 'vale2')), 'EBUSY');
      await rejects(open(spec), 'EBUSY');
      await rejects(open(`${spec}{1`), 'EBUSY');
      await rejects(open(`${spec}/t`), 'EINVAL', 'not open, so there is nothing to watch');
      assert.ok(monitor.pollOnce(POLLIN) & POLLERR);
      await netmap.valeDetach(onBridge);
      await rejects(netmap.valeDetach(onBridge), 'ENXIO');
      await open(spec);
    });

    test(`is not deleted as an interface (${deleted}), open or not`, async () => {
      await other();
      const port = await open(spec);
      const name = spec.replace('netmap:', '');
      await rejects(netmap.deleteInterface(name), deleted);
      await port.close();
      await rejects(netmap.deleteInterface(name), deleted);
    });
  });
}

/** Ways onto a bridge: a port that sends into it and receives from it. */
const MEMBERS: Readonly<Record<string, (bridge: string, name: string) => Promise<NetmapPort>>> = {
  'an ephemeral port': (bridge, name) => open(`${bridge}:${name}`),
  'a persistent port': async (bridge, name) => {
    await netmap.newInterface(name, SLOTS);
    await netmap.valeAttach(`${bridge}:${name}`);
    const port = await open(`netmap:${name}`);
    opened.splice(-1, 0, { close: () => netmap.valeDetach(`${bridge}:${name}`).then(() => {}) });
    return port;
  },
  'a NIC': async (bridge, name) => {
    const nic = await netmap.addInterface(name, SLOTS);
    opened.push(nic);
    await netmap.valeAttach(`${bridge}:${name}`);
    return nic.wire;
  },
};

describe('on one bridge', () => {
  for (const [from, joinFrom] of Object.entries(MEMBERS)) {
    for (const [to, joinTo] of Object.entries(MEMBERS)) {
      test(`${to} is found by ${from} once it has sent, and flooded before`, async () => {
        const made: string[] = [];
        const named = (name: string): string => {
          made.push(name);
          return name;
        };
        const a = await joinFrom('vale0', named('a'));
        const b = await joinTo('vale0', named('b'));
        const c = await open('vale0:c');
        send(a, frame(mac(2), 1, 1));
        assert.deepEqual([taken(b), taken(c)], [[1], [1]], 'flooded');
        send(b, frame(mac(1), 2, 2));
        assert.deepEqual([taken(a), taken(c)], [[2], []], 'known');
        send(a, frame(mac(2), 1, 3));
        assert.deepEqual([taken(b), taken(c)], [[3], []], 'learned');
        send(c, frame(BROADCAST, 2, 4));
        send(a, frame(mac(2), 1, 5));
        assert.deepEqual([taken(a), taken(b), taken(c)], [[4], [4], [5]], 'moved');
        for (const one of opened.splice(0).reverse()) await one.close();
        for (const name of made) await netmap.deleteInterface(name).catch(() => {});
      });
    }
  }
});
