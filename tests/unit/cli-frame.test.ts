// The frames of pkt-gen, and the loops that write and count slots, over a pipe in one thread.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Frame, type FrameOptions, fixedFrame, macOf, macOfName, macRange } from '../../src/cli/programs/frame.js';
import type { AddressRange } from '../../src/cli/programs/options.js';
import { FrameWriter, pendingSlots, takeSlots } from '../../src/cli/programs/slots.js';
import { moveSlots, Netmap, type NetmapPort } from '../../src/index.js';

const range = (firstIp: number, lastIp = firstIp, firstPort = 1234, lastPort = firstPort): AddressRange => ({
  firstIp,
  lastIp,
  firstPort,
  lastPort,
});

const BASE: FrameOptions = {
  size: 60,
  minSize: 60,
  srcMac: { first: 0x020000000001, last: 0x020000000001 },
  dstMac: { first: 0xffffffffffff, last: 0xffffffffffff },
  src: range(0x0a000001),
  dst: range(0x0a010001),
  randomSrc: false,
  randomDst: false,
};

const frameOf = (size: number, src = range(0x0a000001), dst = range(0x0a010001)): Frame =>
  new Frame({ ...BASE, size, minSize: size, src, dst });

/** RFC 1071 over bytes, by the book. */
function internetSum(...parts: Uint8Array[]): number {
  let total = 0;
  for (const part of parts) {
    for (let i = 0; i < part.length; i += 2) total += part[i] * 256 + (part[i + 1] ?? 0);
  }
  while (total > 0xffff) total = (total % 0x10000) + Math.floor(total / 0x10000);
  return total;
}

/** Checks lengths and both checksums of a frame; returns `src:port>dst:port` in hexadecimal. */
function checkFrame(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  assert.equal(view.getUint16(12), 0x0800);
  assert.equal(view.getUint16(16), bytes.length - 14);
  assert.equal(view.getUint16(38), bytes.length - 34);
  assert.equal(internetSum(bytes.subarray(14, 34)), 0xffff, 'IP checksum');
  const pseudo = Uint8Array.of(...bytes.subarray(26, 34), 0, 17, ...bytes.subarray(38, 40));
  assert.notEqual(view.getUint16(40), 0, 'a UDP checksum of 0 means that there is none');
  assert.equal(internetSum(pseudo, bytes.subarray(34)), 0xffff, 'UDP checksum');
  const hex = (at: number, width: 2 | 4): string =>
    (width === 2 ? view.getUint16(at) : view.getUint32(at)).toString(16).padStart(2 * width, '0');
  return `${hex(26, 4)}:${hex(34, 2)}>${hex(30, 4)}:${hex(36, 2)}`;
}

async function pipe(): Promise<{ netmap: Netmap; a: NetmapPort; b: NetmapPort }> {
  const netmap = await Netmap.create({ memorySize: 1 << 28 });
  return {
    netmap,
    a: await netmap.open('netmap:p{1', { txSlots: 16, rxSlots: 16 }),
    b: await netmap.open('netmap:p}1'),
  };
}

describe('a frame', () => {
  for (const size of [60, 61, 64, 1000, 1514, 65535]) {
    test(`of ${size} bytes has correct lengths and checksums`, () => {
      const { bytes, varies } = frameOf(size);
      assert.equal(bytes.length, size);
      assert.equal(varies, false);
      assert.equal(checkFrame(bytes), '0a000001:04d2>0a010001:04d2');
    });
  }

  test('has a UDP checksum of 0xffff where the sum is 0', () => {
    const bytes = new Set<number>();
    const frame = frameOf(60, range(0, 0, 0, 0xffff));
    for (let i = 0; i < 0x10000; i++) {
      bytes.add(new DataView(frame.bytes.buffer).getUint16(40));
      frame.next();
    }
    assert.equal(bytes.has(0), false);
    assert.equal(bytes.has(0xffff), true);
  });

  test('goes through all combinations in the order of netmap, and starts again', () => {
    const frame = frameOf(60, range(0xfffffffe, 0xffffffff, 7, 8), range(1, 2, 9, 10));
    const seen: string[] = [];
    for (let i = 0; i < 17; i++) {
      seen.push(checkFrame(frame.bytes));
      frame.next();
    }
    assert.equal(frame.varies, true);
    assert.equal(new Set(seen).size, 16);
    assert.equal(seen[16], seen[0]);
    assert.deepEqual(seen.slice(0, 6), [
      'fffffffe:0007>00000001:0009',
      'fffffffe:0008>00000001:0009',
      'ffffffff:0007>00000001:0009',
      'ffffffff:0008>00000001:0009',
      'fffffffe:0007>00000001:000a',
      'fffffffe:0008>00000001:000a',
    ]);
  });

  test('comes from a locally administered unicast address that the name of the port decides', () => {
    const mac = macOfName('vale0:a');
    assert.equal(mac[0] & 3, 2);
    assert.deepEqual(mac, macOfName('vale0:a'));
    assert.notDeepEqual(mac, macOfName('vale0:b'));
  });
});

describe('slots', () => {
  test('are filled, sent, counted and taken back around the ring', async () => {
    const { netmap, a, b } = await pipe();
    const writer = new FrameWriter(a.txRings[0], frameOf(100));
    const totals = { packets: 0, bytes: 0 };
    for (const [wanted, count] of [
      [10, 10],
      [100, 15],
      [3, 3],
      [15, 15],
    ]) {
      assert.equal(writer.fill(wanted), count);
      a.txsync();
      assert.equal(pendingSlots(a.txRings[0]), count);
      b.rxsync();
      assert.equal(takeSlots(b.rxRings[0], 1000, totals), count);
      b.rxsync();
      a.txsync();
      assert.equal(pendingSlots(a.txRings[0]), 0);
    }
    assert.deepEqual(totals, { packets: 43, bytes: 4300 });
    await netmap.close();
  });

  test('of a frame of several count as one packet', async () => {
    const { netmap, a, b } = await pipe();
    await a.send(new Uint8Array(5000));
    b.rxsync();
    const totals = { packets: 0, bytes: 0 };
    assert.equal(takeSlots(b.rxRings[0], 1000, totals), 3);
    assert.deepEqual(totals, { packets: 1, bytes: 5000 });
    await netmap.close();
  });

  test('have the next addresses each, when there is a range', async () => {
    const { netmap, a, b } = await pipe();
    const writer = new FrameWriter(a.txRings[0], frameOf(60, range(1, 5)));
    const seen: string[] = [];
    for (let i = 0; i < 4; i++) {
      writer.fill(6);
      a.txsync();
      b.rxsync();
      for (const frame of b.recv()) seen.push(checkFrame(frame).slice(7, 8));
      b.rxsync();
      a.txsync();
    }
    assert.equal(seen.join(''), '123451234512345123451234');
    await netmap.close();
  });

  test('whose buffers a zero-copy bridge has exchanged are filled again', async () => {
    const { netmap, a, b } = await pipe();
    const c = await netmap.open('netmap:p{2');
    const d = await netmap.open('netmap:p}2');
    const writer = new FrameWriter(a.txRings[0], frameOf(60));
    let frames = 0;
    for (let i = 0; i < 8; i++) {
      frames += writer.fill(15);
      a.txsync();
      b.rxsync();
      moveSlots(b.rxRings[0], c.txRings[0], 1000);
      c.txsync();
      d.rxsync();
      for (const frame of d.recv()) {
        checkFrame(frame);
        frames--;
      }
      for (const port of [d, c, b, a]) {
        port.txsync();
        port.rxsync();
      }
    }
    assert.equal(frames, 0);
    await netmap.close();
  });
});

describe('frames that differ', () => {
  const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

  test('have MAC addresses in turn, each range by itself', () => {
    const srcMac = { first: 0x0200000000ff, last: 0x020000000101 };
    const dstMac = { first: 6, last: 7 };
    const frame = new Frame({ ...BASE, srcMac, dstMac });
    const seen = Array.from({ length: 4 }, () => {
      const macs = hexOf(frame.bytes.subarray(0, 12));
      checkFrame(frame.bytes);
      frame.next();
      return macs;
    });
    assert.deepEqual(seen, [
      '0000000000060200000000ff',
      '000000000007020000000100',
      '000000000006020000000101',
      '0000000000070200000000ff',
    ]);
    assert.deepEqual(macOf(0x010203040506), [1, 2, 3, 4, 5, 6]);
    assert.deepEqual(macRange([1, 2, 3, 4, 5, 6]), { first: 0x010203040506, last: 0x010203040506 });
  });

  test('have random sizes, of which all lengths in the frame tell, and no UDP checksum', () => {
    const frame = new Frame({ ...BASE, size: 100, minSize: 60 });
    const sizes = new Set<number>();
    for (let i = 0; i < 2000; i++) {
      const { bytes, size } = frame;
      sizes.add(size);
      const view = new DataView(bytes.buffer);
      assert.deepEqual([view.getUint16(16), view.getUint16(38), view.getUint16(40)], [size - 14, size - 34, 0]);
      assert.equal(internetSum(bytes.subarray(14, 34)), 0xffff);
      frame.next();
    }
    assert.deepEqual([Math.min(...sizes), Math.max(...sizes)], [60, 99]);
  });

  test('have random addresses within their range', () => {
    const src = range(0x0a000001, 0x0a0000ff, 1, 9);
    const frame = new Frame({ ...BASE, src, randomSrc: true });
    const seen = new Set<string>();
    for (let i = 0; i < 500; i++) {
      frame.next();
      seen.add(checkFrame(frame.bytes));
      const view = new DataView(frame.bytes.buffer);
      assert.ok(view.getUint32(26) >= src.firstIp && view.getUint32(26) <= src.lastIp);
      assert.ok(view.getUint16(34) >= 1 && view.getUint16(34) <= 9);
    }
    assert.ok(seen.size > 250);
  });

  test('and fixed ones go through the rings with their sizes', async () => {
    const { netmap, a, b } = await pipe();
    try {
      const writer = new FrameWriter(a.txRings[0], new Frame({ ...BASE, size: 90, minSize: 60 }));
      const from = a.txRings[0].head;
      assert.equal(writer.fill(10), 10);
      a.txsync();
      b.rxsync();
      const frames = b.recv();
      for (const frame of frames) assert.equal(new DataView(frame.buffer).getUint16(16), frame.length - 14);
      assert.equal(
        writer.bytesOf(from, 10),
        frames.reduce((n, frame) => n + frame.length, 0),
      );
      b.rxsync();
      const fixed = new FrameWriter(a.txRings[0], fixedFrame(Uint8Array.of(1, 2, 3)));
      a.txsync();
      assert.equal(fixed.fill(2), 2);
      a.txsync();
      b.rxsync();
      assert.deepEqual(b.recv(), [Uint8Array.of(1, 2, 3), Uint8Array.of(1, 2, 3)]);
    } finally {
      await netmap.close();
    }
  });
});
