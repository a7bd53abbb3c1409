// Packet offsets: room before the packets, on every kind of port that has it.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { ErrnoCode } from '../../src/errors.js';
import { type HostPort, moveSlots, Netmap, type OffsetOptions, type OpenOptions } from '../../src/index.js';

const small = { txSlots: 8, rxSlots: 8 };
const privatePools = { priv_buf_size: 128, priv_buf_num: 4, priv_ring_size: 512, priv_ring_num: 2 };
const frame = (length: number, n = 1): Uint8Array => Uint8Array.from({ length }, (_, i) => (i < 6 ? 0xff : i + n));

describe('packet offsets', () => {
  let netmap: Netmap;
  before(async () => {
    netmap = await Netmap.create({ memorySize: 1 << 25, shared: false, privatePools });
  });
  after(() => netmap.close());

  async function use(
    opens: [string, OpenOptions][],
    body: (...ports: HostPort[]) => Promise<void> | void,
  ): Promise<void> {
    const state = (await netmap.inspect()).regions;
    const ports: HostPort[] = [];
    for (const [spec, options] of opens) ports.push(await netmap.open(spec, { ...small, ...options }));
    await body(...ports);
    for (const port of ports) await port.close();
    assert.deepEqual((await netmap.inspect()).regions, state);
  }

  const rows: [string, string, string][] = [
    ['VALE', 'vale0:a', 'vale0:b'],
    ['pipe', 'vale0:p{1', 'vale0:p}1'],
  ];
  for (const [kind, from, to] of rows) {
    test(`${kind}: frames lie behind the offset of their slot, on either side`, () =>
      use(
        [
          ['vale0:p', {}],
          [from, { offsets: { max: 64, initial: 16 } }],
          [to, { offsets: { max: 64, initial: 48 } }],
        ],
        async (_, a, b) => {
          assert.deepEqual([a.maxOffset, b.maxOffset], [64, 64]);
          const [tx] = a.txRings;
          const expected = kind === 'VALE' ? 48 : 16;
          for (let i = 0; i < 20; i++) {
            await a.send(frame(40, i));
            b.rxsync();
            const [rx] = b.rxRings;
            if (i === 0) assert.deepEqual([tx.offset(0), tx.room(0), rx.offset(0)], [16, 112, expected]);
            assert.deepEqual([...rx.buf(rx.head, 40)], [...frame(40, i)]);
            assert.deepEqual(b.recv(), [frame(40, i)]);
          }
          const at = tx.head;
          tx.setOffset(at, 20);
          tx.buf(at, 30).set(frame(30));
          tx.setSlot(at, 30);
          tx.advance(1);
          a.txsync();
          b.rxsync();
          if (kind === 'VALE') assert.deepEqual(b.recv(), [frame(30)]);
          else assert.equal(b.rxRings[0].offset(at), 20, 'the slot is copied');
        },
      ));
  }

  test('a pipe: packets on their way stay where they are when an end is opened again with another offset', () =>
    use(
      [
        ['vale0:p', {}],
        ['vale0:p}1', { offsets: { max: 64 } }],
      ],
      async (_, receiver) => {
        const open = (end: string, initial: number): Promise<HostPort> =>
          netmap.open(`vale0:p${end}1`, { ...small, offsets: { max: 64, initial } });
        const sender = await open('{', 16);
        await sender.send(frame(40, 1));
        receiver.rxsync();
        await sender.send(frame(40, 2));
        await sender.close();
        const tx = await open('{', 32);
        await receiver.close();
        const rx = await open('}', 48);
        rx.rxsync();
        assert.deepEqual(rx.recv(), [frame(40, 1), frame(40, 2)]);
        await tx.send(frame(40, 3));
        assert.equal(tx.txRings[0].offset(2), 32);
        rx.rxsync();
        assert.deepEqual(rx.recv(), [frame(40, 3)]);
        await tx.close();
        await rx.close();
      },
    ));

  test('a fragment has room behind its offset; what does not fit is refused', () =>
    use(
      [
        ['vale0:a', { offsets: { max: 100 } }],
        ['vale0:b', { offsets: { max: 100, initial: 100 } }],
        ['vale0:c', {}],
      ],
      async (a, b, c) => {
        await c.send(frame(28));
        await c.send(frame(29));
        for (const port of [a, b]) port.rxsync();
        assert.deepEqual([a.recv().length, b.recv().length], [2, 1]);
        assert.equal((await c.counters()).drops['tooLong'], 1);
        const [tx] = a.txRings;
        tx.setOffset(0, 99);
        tx.setSlot(0, 30);
        tx.setOffset(1, 1000); // cropped to 100
        tx.setSlot(1, 28);
        tx.u8.set(frame(28), tx.bufBase + tx.slot(1).bufIdx * tx.bufSize + 100);
        tx.advance(2);
        a.txsync();
        c.rxsync();
        assert.deepEqual(c.recv(), [frame(28)]);
        assert.equal((await a.counters()).drops['badSlot'], 1);
        await a.send(frame(60)); // three slots of at most 28 bytes
        c.rxsync();
        assert.equal(c.rxRings[0].space, 3);
        assert.deepEqual(c.recv()[0].length, 60);
      },
    ));

  for (const max of [116, 117, 127, 128]) {
    test(`offsets of up to ${max} in buffers of 128 bytes: the header of 12 has no room, the packet is dropped`, () =>
      use(
        [
          ['vale0:a', {}],
          ['vale0:b', { offsets: { max, initial: max } }],
        ],
        async (a, b) => {
          await netmap.setPortHeader('vale0:b', 12);
          const [rx] = b.rxRings;
          const buffers = rx.u8.subarray(rx.bufBase, rx.bufBase + rx.numBufs * rx.bufSize).fill(0xa5);
          await a.send(frame(60));
          assert.equal((await a.counters()).drops['tooLong'], 1);
          assert.ok(buffers.every((byte) => byte === 0xa5));
          b.rxsync();
          assert.deepEqual(b.recv(), []);
        },
      ));
  }

  test('NICs, their host rings and copy monitors have them too', async () => {
    const eth0 = await netmap.addInterface('eth0', small);
    await use(
      [
        ['netmap:eth0*', { offsets: { max: 32, initial: 32 } }],
        ['netmap:eth0/rt', { offsets: { max: 8, initial: 8 } }],
      ],
      async (port, monitor) => {
        await port.send(frame(60));
        await eth0.wire.send(frame(60, 2));
        await eth0.stack.send(frame(60, 3));
        eth0.wire.rxsync();
        port.rxsync();
        monitor.rxsync();
        assert.deepEqual(eth0.wire.recv(), [frame(60)]);
        assert.equal(port.rxRings[0].offset(0), 32);
        assert.equal(monitor.rxRings[0].offset(0), 8);
        assert.deepEqual(port.recv(), [frame(60, 2), frame(60, 3)]);
        assert.deepEqual(monitor.recv(), [frame(60), frame(60, 2)]);
      },
    );
    await eth0.close();
  });

  test('bits outside the mask are the application’s', () =>
    use([['vale0:a', { offsets: { max: 7, initial: 5, bits: 3 } }]], (a) => {
      const [ring] = a.txRings;
      const ptr = ring.slotBase + 2;
      assert.deepEqual([ring.offsetMask, ring.i32[ptr]], [7, 5]);
      ring.i32[ptr] = 0x123456 << 3;
      ring.setOffset(0, 6);
      assert.deepEqual([ring.i32[ptr], ring.offset(0)], [(0x123456 << 3) | 6, 6]);
    }));

  test('a ring has one set of them; a new opening must be content with it', () =>
    use([['vale0:a', { offsets: { max: 60, initial: 4, bits: 8 } }]], async (a) => {
      const again = await netmap.open('vale0:a', { ...small, offsets: { max: 30, initial: 9, bits: 6 } });
      assert.deepEqual([again.maxOffset, again.txRings[0].offset(0)], [60, 4]);
      await again.close();
      for (const offsets of [{ max: 61, bits: 8 }, { max: 1, bits: 9 }, { max: 0 }]) {
        await assert.rejects(netmap.open('vale0:a', { ...small, offsets }), { code: 'EBUSY' });
      }
      assert.equal(a.txRings[0].offset(0), 4);
    }));

  test('an opening that has not asked for offsets writes nothing behind a buffer', () =>
    use(
      [
        ['vale0:a', { offsets: { max: 100, initial: 100 } }],
        ['vale0:a', {}],
        ['vale0:b', {}],
      ],
      (_, again, b) => {
        const [tx] = again.txRings;
        const at = tx.bufBase + tx.slot(0).bufIdx * tx.bufSize;
        tx.u8.fill(0xa5, at, at + 2 * tx.bufSize);
        assert.equal(again.trySend(frame(20)), true); // fits behind the offset
        assert.deepEqual([...tx.u8.subarray(at + 100, at + 120)], [...frame(20)]);
        assert.equal(again.trySend(frame(128)), true);
        again.txsync();
        b.rxsync();
        assert.deepEqual(b.recv(), [frame(20), frame(128)]);
        const next = tx.bufBase + (tx.slot(1).bufIdx + 1) * tx.bufSize;
        assert.ok(!tx.u8.subarray(next, next + 100).some((byte) => byte !== 0 && byte !== 0xa5));
      },
    ));

  test('rings with offsets are not moved slot by slot', () =>
    use([['vale0:a', { offsets: { max: 8 } }]], (a) => {
      assert.throws(() => moveSlots(a.rxRings[0], a.txRings[0], 1), { code: 'EOPNOTSUPP' });
    }));

  const refused: [string, OffsetOptions, ErrnoCode][] = [
    ['vale0:a', { max: 129 }, 'EINVAL'],
    ['vale0:a', { max: 8, bits: 3 }, 'EINVAL'],
    ['vale0:a', { max: 8, bits: 65 }, 'EINVAL'],
    ['vale0:a', { max: 8, initial: 9 }, 'EINVAL'],
    ['vale0:a', { max: -1 }, 'EINVAL'],
    ['vale0:a', { max: 1.5 }, 'EINVAL'],
    ['vale0:b/z', { max: 8 }, 'EOPNOTSUPP'],
  ];
  for (const [spec, offsets, code] of refused) {
    test(`${spec} ${JSON.stringify(offsets)}: ${code}`, () =>
      use([['vale0:b', {}]], async () => {
        const state = await netmap.inspect();
        await assert.rejects(netmap.open(spec, { ...small, offsets }), { code });
        assert.deepEqual(await netmap.inspect(), state);
      }));
  }

  test('a guest’s device has none', async () => {
    const guest = await netmap.createGuest();
    await assert.rejects(guest.passthrough('vale0:g', { ...small, offsets: { max: 8 } }), { code: 'EOPNOTSUPP' });
    await guest.close();
  });
});
