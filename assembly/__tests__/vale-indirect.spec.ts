// assembly/vale, NS_INDIRECT: packets that lie in registered ranges and not in the slots' buffers.
import {
  KRING_LOOP,
  KRING_OFS_MASK,
  KRING_OFS_MAX,
  PORT_RANGES,
  PORT_RANGES_MAX,
  STAT_BAD_SLOT,
  STAT_BYTES,
  STAT_DROP_BAD_SLOT,
  STAT_PACKETS,
} from '../abi/arena';
import { NETMAP_SLOT_PTR, NS_BUF_CHANGED, NS_INDIRECT, NS_MOREFRAG } from '../abi/netmap';
import { area, check, eq, expectTable, guardsIntact } from './include/check';
import { askCut, askSum, frameGood, frameLen, header, lengthOf, makePacket, TCP4, UDP6 } from './include/packets';
import * as unlikePorts from './include/unlike';
import { ALL, drain, holds, mac, newBridge, putBytes, received, send, valePort } from './include/vale';
import {
  advance,
  bufOf,
  head,
  rxKring,
  setSlot,
  setWord,
  slotAt,
  slotFlags,
  slotLen,
  slots,
  stat,
  sync,
  txKring,
} from './include/world';

const SIZE: u32 = 4096;
const range = area(SIZE);
let a: usize = 0;
let b: usize = 0;
let tx: usize = 0;
let rx: usize = 0;

function register(port: usize, i: u32, address: u64, length: u64): void {
  store<u64>(port + PORT_RANGES + ((<usize>i) << 3), address | (length << 32));
}

function two(): void {
  const bridge = newBridge();
  a = valePort(bridge, 0);
  b = valePort(bridge, 1);
  tx = txKring(a);
  rx = rxKring(b);
  send(txKring(b), ALL, mac(1), 60, 0);
  sync(txKring(b));
  drain(a);
  register(a, 3, range, SIZE);
}

/** Puts an indirect slot at head; its own buffer index is none. */
function point(tx: usize, ptr: u64, len: u32, flags: u32 = 0): void {
  const i = head(tx);
  setSlot(tx, i, 0xffffffff, len, NS_INDIRECT | flags);
  store<u64>(slotAt(tx, i), ptr, NETMAP_SLOT_PTR);
  advance(tx, 1);
}

describe('indirect slots', () => {
  test('a frame anywhere in a range arrives like one in a buffer, and its receiver sees no flag', () => {
    two();
    for (let len: u32 = 14; len <= 256; len++) {
      const places: u32[] = [0, 1, 77, SIZE - len];
      for (let k = 0; k < places.length; k++) {
        const at = range + places[k];
        putBytes(at, mac(1), mac(0), len, 0, len);
        point(tx, at, len, NS_BUF_CHANGED);
        const sent = (head(tx) + slots(tx) - 1) % slots(tx);
        check(sync(tx) == 0 && received(b) == 1 && holds(rx, 0, mac(1), mac(0), len, len), len * 10 + k);
        check(slotFlags(rx, head(rx)) == 1 << 8 && slotFlags(tx, sent) == NS_INDIRECT, len * 10 + k);
        drain(b);
      }
    }
    eq(stat(tx, STAT_BAD_SLOT), 0);
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('addresses that are not wholly in one range are dropped and counted, with the whole packet', () => {
    const r: u64 = range;
    const wraps: u64 = 0x100000000;
    const top: u64 = 0xffffffffffffffff;
    // address, length
    const rows: u64[] = [
      r - 1,
      60,
      r + SIZE - 59,
      60,
      r + SIZE,
      0,
      r + SIZE,
      60,
      r + wraps,
      60,
      r | (wraps << 31),
      60,
      top,
      60,
      top - 29,
      60,
      0xffffffff,
      60,
      0xfffffff0,
      60,
      <u64>memory.size() * 65536 - 60,
      60,
      <u64>memory.size() * 65536 - 1,
      60,
      0,
      0,
      0,
      60,
      1,
      60,
      r,
      257,
      r,
      0xffff,
    ];
    for (let k = 0; k < rows.length; k += 2) {
      for (let frags: u32 = 1; frags <= 3; frags++) {
        for (let bad: u32 = 0; bad < frags; bad++) {
          two();
          for (let f: u32 = 0; f < frags; f++) {
            const more: u32 = f + 1 < frags ? NS_MOREFRAG : 0;
            if (f == bad) point(tx, rows[k], <u32>rows[k + 1], more);
            else send(tx, mac(1), mac(0), 20, 2, more, 20 * f);
          }
          send(tx, mac(1), mac(0), 61, 3);
          const label = k * 100 + frags * 10 + bad;
          check(sync(tx) == 0 && received(b) == 1 && holds(rx, 0, mac(1), mac(0), 61, 3), label);
          check(
            stat(tx, STAT_DROP_BAD_SLOT) == 1 && stat(tx, STAT_BAD_SLOT) == 1 && stat(tx, STAT_PACKETS) == 2,
            label,
          );
        }
      }
    }
    expectTable();
  });

  test('any of the entries counts, a free one and one of no bytes do not, and two that meet are two', () => {
    for (let i: u32 = 0; i < <u32>PORT_RANGES_MAX; i++) {
      two();
      register(a, 3, 0, 0);
      register(a, i, range + 100, 100);
      register(a, (i + 1) % PORT_RANGES_MAX, range + 200, 100);
      for (let from: u32 = 90; from < 250; from++) {
        putBytes(range + from, mac(1), mac(0), 60, 0, 60);
        point(tx, range + from, 60);
        const good: u32 = (from >= 100 && from <= 140) || (from >= 200 && from <= 240) ? 1 : 0;
        check(sync(tx) == 0 && received(b) == good, i * 1000 + from);
        drain(b);
      }
    }
    expectTable();
  });

  test('fragments in buffers and in ranges are one packet, whatever the order', () => {
    for (let kinds: u32 = 0; kinds < 16; kinds++) {
      two();
      for (let f: u32 = 0; f < 4; f++) {
        const more: u32 = f < 3 ? NS_MOREFRAG : 0;
        if ((kinds >> f) & 1) {
          const at = range + 100 * f + f;
          putBytes(at, mac(1), mac(0), 5, 50 * f, 50);
          point(tx, at, 50, more);
        } else {
          send(tx, mac(1), mac(0), 50, 5, more, 50 * f);
        }
      }
      check(sync(tx) == 0 && received(b) == 4 && stat(tx, STAT_BYTES) == 200, kinds);
      for (let f: u32 = 0; f < 4; f++) {
        const i = (head(rx) + f) % slots(rx);
        check((slotFlags(rx, i) == 4 << 8) | (f < 3 ? NS_MOREFRAG : 0) && slotLen(rx, i) == 50, kinds * 10 + f);
      }
      for (let f: u32 = 0; f < 4; f++) {
        const expected = area(50);
        putBytes(expected, mac(1), mac(0), 5, 50 * f, 50);
        check(memory.compare(bufOf(rx, (head(rx) + f) % slots(rx)), expected, 50) == 0, kinds * 10 + f);
      }
    }
    expectTable();
  });

  test('the ring’s packet offsets are not those of an indirect slot', () => {
    two();
    store<u64>(tx, 0xff, KRING_OFS_MASK);
    setWord(tx, KRING_OFS_MAX, 128);
    putBytes(range + 255, mac(1), mac(0), 256, 0, 256);
    point(tx, range + 255, 256);
    check(sync(tx) == 0 && received(b) == 1 && holds(rx, 0, mac(1), mac(0), 256, 256), 0);
    expectTable();
  });

  test('a range that is gone between two syncs is gone', () => {
    two();
    point(tx, range, 60);
    register(a, 3, 0, 0);
    check(sync(tx) == 0 && received(b) == 0 && stat(tx, STAT_DROP_BAD_SLOT) == 1, 0);
    expectTable();
  });

  test('a ring that a kernel loop runs has no indirect slots, whatever its port has registered', () => {
    two();
    setWord(tx, KRING_LOOP, <u32>area(256));
    putBytes(range, mac(1), mac(0), 60, 0, 60);
    point(tx, range, 60);
    check(sync(tx) == 0 && received(b) == 0 && stat(tx, STAT_DROP_BAD_SLOT) == 1, 0);
    setWord(tx, KRING_LOOP, 0);
    point(tx, range, 60);
    check(sync(tx) == 0 && received(b) == 1, 1);
    expectTable();
  });
});

/** The packet in slots of `cut` bytes each, all of them indirect, or every second one. */
function submitIndirect(hdr: u32, cut: u32, every: u32): void {
  const tx = unlikePorts.tx;
  const total = hdr + frameLen;
  for (let from: u32 = 0, f: u32 = 0; from < total; from += cut, f++) {
    const len = min(cut, total - from);
    const more: u32 = from + len < total ? NS_MOREFRAG : 0;
    if (f % every == 0) {
      point(tx, header() + from, len, more);
    } else {
      const i = head(tx);
      setSlot(tx, i, 2 + i, len, more);
      memory.copy(bufOf(tx, i), header() + from, len);
      advance(tx, 1);
    }
  }
}

describe('indirect slots, unlike headers', () => {
  test('headers are taken off and put on, and checksums completed', () => {
    const lengths: u32[] = [0, 10, 12];
    for (let s = 0; s < 3; s++) {
      for (let d = 0; d < 3; d++) {
        if (s == d) continue;
        for (let every: u32 = 1; every <= 2; every++) {
          unlikePorts.unlike(lengths[s], lengths[d]);
          register(unlikePorts.a, 0, header(), 80000);
          makePacket(lengths[s], UDP6, 701, unlikePorts.dst, mac(0));
          if (s != 0) askSum(UDP6);
          submitIndirect(lengths[s], 400, every);
          const label = (s * 10 + d) * 10 + every;
          check(sync(unlikePorts.tx) == 0 && received(unlikePorts.b) == 2, label);
          check(lengthOf(unlikePorts.rx, head(unlikePorts.rx), 2) == lengths[d] + frameLen, label);
          drain(unlikePorts.b);
        }
      }
    }
    expectTable();
  });

  test('a packet to be cut is cut', () => {
    for (let every: u32 = 1; every <= 2; every++) {
      unlikePorts.unlike(12, 0);
      register(unlikePorts.a, 0, header(), 80000);
      makePacket(12, TCP4, 4000, unlikePorts.dst, mac(0));
      askCut(TCP4, 1460);
      submitIndirect(12, 1400, every);
      check(sync(unlikePorts.tx) == 0 && received(unlikePorts.b) == 3, every);
      const lengths: u32[] = [1514, 1514, 1134];
      for (let k: u32 = 0; k < 3; k++) {
        const i = head(unlikePorts.rx) + k;
        check(
          slotLen(unlikePorts.rx, i) == lengths[k] && frameGood(bufOf(unlikePorts.rx, i), lengths[k], TCP4),
          every * 10 + k,
        );
      }
      drain(unlikePorts.b);
    }
    expectTable();
  });

  test('a header outside of the ranges drops its packet', () => {
    unlikePorts.unlike(12, 0);
    register(unlikePorts.a, 0, header() + 12, 80000 - 12);
    makePacket(12, TCP4, 100, unlikePorts.dst, mac(0));
    submitIndirect(12, 12, 1000);
    check(sync(unlikePorts.tx) == 0 && received(unlikePorts.b) == 0, 0);
    check(stat(unlikePorts.tx, STAT_DROP_BAD_SLOT) == 1, 1);
    expectTable();
  });
});
