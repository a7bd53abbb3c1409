// Where things lie in a region: offsets that guests, tools and C programs see, with netmap's buffers of 2048 bytes.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  NETMAP_IF_RING_OFS,
  NETMAP_IF_SIZE,
  NETMAP_IF_VERSION,
  NETMAP_RING_BUF_ALIGN,
  NETMAP_RING_BUF_OFS,
  NETMAP_RING_HEAD,
  NETMAP_RING_OFFSET_MASK,
  NETMAP_RING_SEM,
  NETMAP_RING_SIZE,
  NI_PRIV_MEM,
} from '../../src/abi.js';
import { Netmap, type NetmapRing } from '../../src/index.js';
import type { HostPort } from '../../src/netmap/host-port.js';

const OPTIONS = {
  memorySize: 512 << 20,
  privatePools: { priv_buf_size: 2048 },
  pools: { if_num: 20, ring_num: 20, buf_num: 8192, buf_size: 2048 },
};

const indices = (ring: NetmapRing): number[] => Array.from({ length: ring.numSlots }, (_, i) => ring.slot(i).bufIdx);
const sequence = (first: number, count: number): number[] => Array.from({ length: count }, (_, i) => first + i);

describe('the region of a fresh VALE port', () => {
  let netmap: Netmap;
  let port: HostPort;
  let view: DataView;
  before(async () => {
    netmap = await Netmap.create(OPTIONS);
    port = await netmap.open('vale0:golden');
    view = new DataView(netmap.memory.buffer, port.info.regionBase, port.info.memsize);
  });
  after(() => netmap.close());

  const u32 = (offset: number): number => view.getUint32(offset, true);
  const u64 = (offset: number): bigint => view.getBigUint64(offset, true);

  test('has nr_memsize 42369024, and its nifp at nr_offset 0', () => {
    assert.equal(port.info.memsize, 42_369_024);
    assert.equal(port.info.offset, 0);
    assert.equal(port.info.numBufs, 20482);
  });

  test('has a nifp with the name, NI_PRIV_MEM, one ring each way, and host rings reported as 1', () => {
    const bytes = new Uint8Array(view.buffer, view.byteOffset, 16);
    assert.equal(Buffer.from(bytes).toString('latin1'), 'vale0:golden\0\0\0\0');
    assert.equal(u32(NETMAP_IF_VERSION), 0);
    assert.deepEqual([20, 24, 28, 32, 36, 40].map(u32), [NI_PRIV_MEM, 1, 1, 0, 1, 1]);
    assert.deepEqual([44, 48, 52].map(u32), [0, 0, 0]);
    const { nifp } = port;
    assert.deepEqual(
      [nifp.name, nifp.flags, nifp.txRings, nifp.rxRings, nifp.bufsHead, nifp.hostTxRings, nifp.hostRxRings],
      ['vale0:golden', NI_PRIV_MEM, 1, 1, 0, 1, 1],
    );
  });

  test('has a directory of 64-bit entries: tx 32768, no host tx ring, rx 12288, no host rx ring', () => {
    const entries = sequence(0, 4).map((i) => u64(NETMAP_IF_SIZE + 8 * i));
    assert.deepEqual(entries, [32768n, 0n, 12288n, 0n]);
    assert.deepEqual(
      sequence(0, 4).map((i) => port.nifp.ringOfs(i)),
      [32768, 0, 12288, 0],
    );
    assert.equal(u64(NETMAP_IF_RING_OFS + 8 * 4), 0n);
  });

  test('has the rx ring at 12288 with buffers 2..1025, and the tx ring at 32768 with buffers 1026..2049', () => {
    const [rx] = port.rxRings;
    const [tx] = port.txRings;
    assert.deepEqual([rx.ptr - port.info.regionBase, tx.ptr - port.info.regionBase], [12288, 32768]);
    assert.deepEqual(indices(rx), sequence(2, 1024));
    assert.deepEqual(indices(tx), sequence(1026, 1024));
    for (const ring of [rx, tx]) {
      assert.ok(sequence(0, 1024).every((i) => ring.slot(i).len === 2048 && ring.slot(i).flags === 0));
      assert.ok(sequence(0, 1024).every((i) => ring.i32[ring.slotBase + 4 * i + 2] === 0));
    }
  });

  test('has its buffers from 421888 on', () => {
    assert.equal(u64(12288 + NETMAP_RING_BUF_OFS), 409_600n);
    assert.equal(u64(32768 + NETMAP_RING_BUF_OFS), 389_120n);
    for (const ring of [port.rxRings[0], port.txRings[0]]) {
      assert.equal(ring.bufBase - port.info.regionBase, 421_888);
      assert.equal(ring.bufAddress(0), ring.bufBase + ring.slot(0).bufIdx * 2048);
    }
  });

  test('has ring headers with num_slots, nr_buf_size, ringid, and dir 1 for tx and 0 for rx', () => {
    for (const [at, dir] of [
      [32768, 1],
      [12288, 0],
    ]) {
      assert.deepEqual([u32(at + 8), u32(at + 12)], [1024, 2048]);
      assert.deepEqual([view.getUint16(at + 16, true), view.getUint16(at + 18, true)], [0, dir]);
    }
    assert.deepEqual([port.txRings[0].dir, port.rxRings[0].dir], [1, 0]);
  });

  test('starts with head = cur = 0, and with tail 1023 of the tx and 0 of the rx ring', () => {
    assert.deepEqual(
      [0, 4, 8].map((field) => u32(32768 + NETMAP_RING_HEAD + field)),
      [0, 0, 1023],
    );
    assert.deepEqual(
      [0, 4, 8].map((field) => u32(12288 + NETMAP_RING_HEAD + field)),
      [0, 0, 0],
    );
  });

  test('has neither flags, timestamps, packet offsets nor an alignment, and leaves sem to the user', () => {
    for (const at of [12288, 32768]) {
      assert.deepEqual([u32(at + 32), u64(at + 40), u64(at + 48)], [0, 0n, 0n]);
      assert.deepEqual([u64(at + NETMAP_RING_OFFSET_MASK), u64(at + NETMAP_RING_BUF_ALIGN)], [0n, 0n]);
      const sem = new Uint8Array(view.buffer, view.byteOffset + at + NETMAP_RING_SEM, 128);
      assert.ok(sem.every((byte) => byte === 0));
      assert.equal(at + NETMAP_RING_SEM + 128, at + NETMAP_RING_SIZE);
    }
  });
});

describe('other regions', () => {
  let netmap: Netmap;
  before(async () => {
    netmap = await Netmap.create(OPTIONS);
  });
  after(() => netmap.close());

  test('a second port with this mem id gets the next objects, and a nifp of its own', async () => {
    const a = await netmap.open('vale0:a', { txSlots: 16, rxSlots: 16 });
    const b = await netmap.open(`vale0:b@${a.memId}`, { txSlots: 16, rxSlots: 16 });
    assert.deepEqual([a.info.offset, b.info.offset], [0, 1024]);
    assert.deepEqual(indices(b.rxRings[0]), sequence(34, 16));
    assert.deepEqual(indices(b.txRings[0]), sequence(50, 16));
    assert.equal(b.rxRings[0].bufBase, a.rxRings[0].bufBase);
    await a.close();
    await b.close();
  });

  test('the global region has mem id 1, and its ports have no NI_PRIV_MEM', async () => {
    const port = await netmap.open('vale0:g@1', { txSlots: 16, rxSlots: 16 });
    assert.equal(port.memId, 1);
    assert.equal(port.nifp.flags, 0);
    await port.close();
  });

  test('several rings: all rx rings are allocated before the tx rings; the directory has tx first', async () => {
    const port = await netmap.open('vale0:m', { txRings: 2, rxRings: 3, txSlots: 16, rxSlots: 16 });
    const ringPool = 12288;
    const ringSize = 20480;
    assert.deepEqual(
      sequence(0, 7).map((i) => port.nifp.ringOfs(i)),
      [3, 4, -1, 0, 1, 2, -1].map((k) => (k < 0 ? 0 : ringPool + k * ringSize)),
    );
    assert.deepEqual(
      [...port.txRings, ...port.rxRings].map((ring) => [ring.ringId, ring.dir]),
      [
        [0, 1],
        [1, 1],
        [0, 0],
        [1, 0],
        [2, 0],
      ],
    );
    await port.close();
  });

  test('a port of one ring has only that one in its directory', async () => {
    const port = await netmap.open('vale0:one-1', { txRings: 2, rxRings: 2, txSlots: 16, rxSlots: 16 });
    const present = sequence(0, 6).map((i) => port.nifp.ringOfs(i) !== 0);
    assert.deepEqual(present, [false, true, false, false, true, false]);
    assert.deepEqual([port.nifp.txRings, port.nifp.rxRings], [2, 2]);
    await port.close();
    const tx = await netmap.open('vale0:one/T', { txSlots: 16, rxSlots: 16 });
    assert.deepEqual([tx.nifp.ringOfs(0) !== 0, tx.nifp.ringOfs(2)], [true, 0]);
    assert.deepEqual([tx.txRings.length, tx.rxRings.length], [1, 0]);
    await tx.close();
  });

  test('a tx ring of a pipe and the rx ring at the other end name the same buffers', async () => {
    const a = await netmap.open('netmap:p{1');
    const b = await netmap.open('netmap:p}1');
    assert.deepEqual(indices(a.txRings[0]), indices(b.rxRings[0]));
    assert.deepEqual(indices(b.txRings[0]), indices(a.rxRings[0]));
    assert.deepEqual(indices(a.rxRings[0]), sequence(2, 1024));
    assert.deepEqual(indices(a.txRings[0]), sequence(1026, 1024));
    assert.equal(a.memId, b.memId);
    assert.deepEqual([a.nifp.name, b.nifp.name], ['p{1', 'p}1']);
    await a.close();
    await b.close();
  });

  test('extra buffers are a list through their first words, the last one allocated in front', async () => {
    const port = await netmap.open('vale0:x', { txSlots: 16, rxSlots: 16, extraBufs: 3 });
    const [ring] = port.rxRings;
    assert.equal(port.info.extraBufs, 3);
    const list: number[] = [];
    for (let i = port.nifp.bufsHead; i !== 0; i = ring.i32[(ring.bufBase + i * 2048) >>> 2]) list.push(i);
    assert.deepEqual(list, [36, 35, 34]); // 32 are in the rings
    const [{ free }] = (await netmap.inspect()).regions;
    assert.equal(free.buf, port.info.numBufs - 2 - 32 - 3);
    await port.close();
    const none = await netmap.open('vale0:x', { txSlots: 16, rxSlots: 16 });
    assert.deepEqual([none.info.extraBufs, none.nifp.bufsHead], [0, 0]);
    await none.close();
  });

  test('fewer extra buffers are granted when the pool has no more', async () => {
    const a = await netmap.open('vale0:a@1', { txSlots: 16, rxSlots: 16, extraBufs: 100_000 });
    assert.equal(a.info.extraBufs, a.info.numBufs - 2 - 32);
    const [{ free }] = (await netmap.inspect()).regions;
    assert.equal(free.buf, 0);
    await a.close();
    assert.deepEqual((await netmap.inspect()).regions, []);
  });

  test('a name of 16 characters and more is cut in the nifp, not elsewhere', async () => {
    const port = await netmap.open('valelongname:longport', { txSlots: 16, rxSlots: 16 });
    assert.equal(port.name, 'valelongname:longport');
    assert.equal(port.nifp.name, 'valelongname:lo');
    await port.close();
  });
});
