// Regions for each data model: what of the directory and of the ring headers lies where, and who may open what.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NETMAP_IF_RING_OFS, NR_TIMESTAMP } from '../../src/abi.js';
import { Netmap } from '../../src/control/netmap.js';
import type { DataModel } from '../../src/memory/data-model.js';

/** Per model: bytes of an entry of ring_ofs; ts and the bytes of its words; offset_mask. */
const COLUMNS: [DataModel, number, number, number, number][] = [
  ['lp64', 8, 40, 8, 56],
  ['wasm32', 4, 40, 8, 56],
  ['i386', 4, 36, 4, 44],
];

describe('a region for', () => {
  for (const [dataModel, entry, ts, word, offsetMask] of COLUMNS) {
    test(dataModel, async () => {
      const netmap = await Netmap.create();
      const port = await netmap.open('vale0:a', { txRings: 2, rxRings: 1, dataModel, offsets: { max: 64, bits: 40 } });
      const { nifp, txRings, rxRings } = port;
      const view = new DataView(netmap.memory.buffer);
      const expected = [...txRings, undefined, ...rxRings, undefined].map((ring) => (ring ? ring.ptr - nifp.ptr : 0));
      for (const [i, ofs] of expected.entries()) {
        assert.equal(view.getInt32(nifp.ptr + NETMAP_IF_RING_OFS + entry * i, true), ofs);
        assert.equal(nifp.ringOfs(i), ofs);
      }
      const [rx] = rxRings;
      assert.equal(view.getBigUint64(rx.ptr + offsetMask, true), (1n << 40n) - 1n);
      assert.equal(rx.offsetMask, -1);
      rx.flags = NR_TIMESTAMP;
      port.rxsync();
      const read = (at: number): number => (word === 8 ? Number(view.getBigInt64(at, true)) : view.getUint32(at, true));
      const seconds = read(rx.ptr + ts);
      assert.ok(Math.abs(seconds - Date.now() / 1000) < 60, `${seconds} s`);
      assert.ok(read(rx.ptr + ts + word) < 1e6);
      // Everything else between flags and sem is 0.
      const header = new Uint8Array(netmap.memory.buffer.slice(rx.ptr, rx.ptr + 128));
      header
        .fill(0, 32, 36)
        .fill(0, ts, ts + 2 * word)
        .fill(0, offsetMask, offsetMask + 8);
      assert.ok(header.subarray(32).every((byte) => byte === 0));
      await netmap.close();
    });
  }
});

test('frames pass between regions of all models, also with a guest’s device on an i386 one', async () => {
  const netmap = await Netmap.create();
  const sender = await netmap.open('vale0:s', { dataModel: 'i386' });
  const receivers = [
    await netmap.open('vale0:l'),
    await netmap.open('vale0:w', { dataModel: 'wasm32' }),
    await netmap.open('vale0:i', { dataModel: 'i386' }),
  ];
  await sender.send(Uint8Array.from({ length: 60 }, () => 0xff));
  for (const port of receivers) {
    port.rxsync();
    assert.equal(port.recv().length, 1);
  }
  const guest = await netmap.createGuest();
  await guest.passthrough('vale1:g', { dataModel: 'i386' });
  await netmap.close();
});

test('an opening takes the model of its region; one whose rings would differ is refused', async () => {
  const netmap = await Netmap.create();
  const first = await netmap.open('netmap:p{1', { dataModel: 'i386' });
  const other = await netmap.open('netmap:p}1');
  assert.deepEqual([first.info.dataModel, other.info.dataModel], ['i386', 'i386']);
  assert.equal(other.nifp.ringOfs(0), other.txRings[0].ptr - other.nifp.ptr);
  const wide = await netmap.open('vale0:a');
  const before = await netmap.inspect();
  await assert.rejects(netmap.open('vale0:a', { dataModel: 'i386' }), /EINVAL.*rings for lp64, not for i386/);
  await assert.rejects(netmap.open('netmap:p}1', { dataModel: 'wasm32' }), /EINVAL.*rings for i386, not for wasm32/);
  await assert.rejects(netmap.open('vale0:b', { dataModel: 'ilp32' as DataModel }), /EINVAL: data model 'ilp32'/);
  assert.deepEqual(await netmap.inspect(), before);
  const narrow = await netmap.open('vale0:a', { dataModel: 'wasm32' });
  assert.equal(narrow.nifp.ringOfs(1), 0);
  assert.equal(narrow.nifp.ringOfs(0), wide.txRings[0].ptr - narrow.nifp.ptr);
  await netmap.close();
});
