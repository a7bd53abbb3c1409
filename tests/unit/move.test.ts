// moveSlots on rings that others can write: a program shares a region with a guest, and either may be mistaken or mean harm.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import {
  NETMAP_RING_BUF_OFS as BUF_OFS,
  NETMAP_RING_NR_BUF_SIZE as BUF_SIZE,
  NETMAP_RING_CUR as CUR,
  NETMAP_RING_NUM_SLOTS as NUM_SLOTS,
  NETMAP_RING_TAIL as TAIL,
} from '../../src/abi.js';
import { type HostPort, loopback, moveSlots, Netmap, type NetmapRing } from '../../src/index.js';

const SLOTS = 8;
const privatePools = { priv_buf_size: 128, priv_buf_num: 4, priv_ring_size: 512, priv_ring_num: 2 };
const pools = { if_size: 256, if_num: 10, ring_size: 512, ring_num: 24, buf_size: 128, buf_num: 256 };
const frame = new Uint8Array(60).fill(0xff);

describe('moveSlots', () => {
  let netmap: Netmap;
  let a: HostPort;
  let b: HostPort;
  const memory = new WebAssembly.Memory({ initial: 512 });
  const all = (): Uint8Array => new Uint8Array(memory.buffer);
  const put = (ring: NetmapRing, field: number, value: number): void => {
    ring.i32[(ring.ptr + field) >>> 2] = value;
  };

  beforeEach(async () => {
    netmap = await Netmap.create({ memory, privatePools });
    const options = { txSlots: SLOTS, rxSlots: SLOTS };
    a = await netmap.open('vale0:a', options);
    b = await netmap.open('vale0:b', options);
    const sender = await netmap.open('vale0:s', options);
    for (let i = 0; i < 4; i++) await sender.send(frame);
    a.rxsync();
    assert.equal(a.rxRings[0].space, 4);
  });
  afterEach(() => netmap.close());

  for (const copy of [false, true]) {
    test(`${copy ? 'copies' : 'swaps'} nothing where an index is none of the ring's, and touches nothing`, () => {
      const [[rx], [tx]] = [a.rxRings, (copy ? b : a).txRings];
      for (const ring of [rx, tx]) {
        for (const field of [CUR, TAIL]) {
          for (const index of [SLOTS, SLOTS + 1, 1 << 16, 0x0fffffff, 0x10000000, 0x7fffffff, 0x80000000, 0xffffffff]) {
            const saved = ring.i32[(ring.ptr + field) >>> 2];
            put(ring, field, index);
            const before = all().slice();
            assert.equal(moveSlots(rx, tx, 1000, copy), 0, `${field} ${index}`);
            put(ring, field, index);
            assert.equal(Buffer.compare(all(), before), 0, `${field} ${index}`);
            put(ring, field, saved);
          }
        }
      }
      assert.equal(moveSlots(rx, tx, 1000, copy), 4);
    });

    test(`${copy ? 'copies' : 'swaps'} by what the rings were when they were opened`, () => {
      const [[rx], [tx]] = [a.rxRings, (copy ? b : a).txRings];
      for (const ring of [rx, tx]) {
        put(ring, NUM_SLOTS, 0xffffffff);
        put(ring, BUF_SIZE, 0x10000);
        put(ring, BUF_OFS, 0x01000000);
      }
      assert.equal(moveSlots(rx, tx, 1000, copy), 4);
      const slot = tx.slot(0);
      assert.equal(slot.len, 60);
      assert.deepEqual(tx.buf(0, 60), frame);
    });
  }
});

test('a loopback ends its turn, though the tail of its ring is written again and again', {
  timeout: 60_000,
}, async () => {
  const netmap = await Netmap.create({ memorySize: 1 << 25, shared: false, pools });
  const { wire } = await netmap.addInterface('eth0', { txSlots: SLOTS, rxSlots: SLOTS });
  const [rx] = wire.rxRings;
  const w = (rx.ptr + TAIL) >>> 2;
  let syncs = 0; // since the last poll
  let most = 0;
  const rxsync = wire.rxsync.bind(wire);
  const txsync = wire.txsync.bind(wire);
  wire.rxsync = () => {
    syncs = 0;
    return rxsync();
  };
  wire.txsync = () => {
    most = Math.max(most, ++syncs);
    if (syncs < 1000) rx.i32[w] = (rx.cur + SLOTS - 1) % SLOTS;
    return txsync();
  };
  const stop = new AbortController();
  const ended = loopback(wire, { signal: stop.signal });
  const port = await netmap.open('netmap:eth0');
  await port.send(frame);
  await new Promise((go) => setTimeout(go, 50));
  assert.ok(most > 1 && most <= SLOTS + 1, `${most} syncs`);
  stop.abort(new Error('enough'));
  await assert.rejects(ended);
  await netmap.close();
});
