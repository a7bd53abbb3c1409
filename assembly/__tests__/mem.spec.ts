// assembly/mem: exchange of slots between two rings by an application, and zeroing of freed memory.
import { KRING_NBUFS, KRING_RING, PORT_KIND_NULL } from '../abi/arena';
import { NETMAP_PAGE_SIZE, NS_BUF_CHANGED, NS_MOREFRAG, NETMAP_RING_TAIL } from '../abi/netmap';
import { slotsCopy, slotsSwap } from '../mem/exchange';
import { memZero } from '../mem/zero';
import { allBytes, area, check, eq, expectTable, guardsIntact, sameBytes } from './include/check';
import {
  bufOf,
  cur,
  head,
  newPort,
  newRegion,
  rxKring,
  setHead,
  setSlot,
  slotFlags,
  slotIdx,
  slotLen,
  slots,
  txKring,
  word,
} from './include/world';

const RXN: u32 = 5;
const TXN: u32 = 8;
const region = newRegion(64, 128);
const rx = rxKring(newPort(PORT_KIND_NULL, 1, 1, RXN, region));
const tx = txKring(newPort(PORT_KIND_NULL, 1, 1, TXN, region));
const other = newRegion(64, 96);
const far = txKring(newPort(PORT_KIND_NULL, 1, 1, TXN, other));

function ring(kr: usize): usize {
  return word(kr, KRING_RING);
}

function setRange(kr: usize, from: u32, count: u32): void {
  setHead(kr, from);
  store<u32>(ring(kr), (from + count) % slots(kr), NETMAP_RING_TAIL);
}

function copy(limit: u32): u32 {
  return slotsCopy(ring(rx), ring(far), limit, RXN, TXN, region.base, other.base, 128, 96, 64, 64);
}

/** Numbers the slots: index base + i, length 60 + i, and a payload that tells where it came from. */
function number(kr: usize, base: u32, flags: u32): void {
  for (let i: u32 = 0; i < slots(kr); i++) {
    setSlot(kr, i, base + i, 60 + i, flags);
    memory.fill(bufOf(kr, i), <u8>(base + i), 60 + i);
  }
}

describe('swapping slots of one region', () => {
  test('moves min(ready, space, limit) slots for every position of both rings', () => {
    for (let r: u32 = 0; r < RXN; r++) {
      for (let t: u32 = 0; t < TXN; t++) {
        for (let ready: u32 = 0; ready < RXN; ready++) {
          for (let space: u32 = 0; space < TXN; space++) {
            for (let limit: u32 = 0; limit <= 9; limit += 3) {
              setRange(rx, r, ready);
              setRange(tx, t, space);
              const want = min(min(ready, space), limit);
              const label = (((r * 10 + t) * 10 + ready) * 10 + space) * 10 + limit;
              check(slotsSwap(ring(rx), ring(tx), limit, RXN, TXN) == want, label);
              check(head(rx) == (r + want) % RXN && cur(rx) == head(rx), label);
              check(head(tx) == (t + want) % TXN && cur(tx) == head(tx), label);
            }
          }
        }
      }
    }
    expectTable();
  });

  test('exchanges the buffers, takes length and MOREFRAG along, and flags both as changed', () => {
    for (let r: u32 = 0; r < RXN; r++) {
      for (let t: u32 = 0; t < TXN; t++) {
        number(rx, 20, 0x0400 | NS_MOREFRAG); // the fragment count of a VALE port does not travel
        number(tx, 40, 0x0002);
        setRange(rx, r, 3);
        setRange(tx, t, 6);
        slotsSwap(ring(rx), ring(tx), 8, RXN, TXN);
        for (let k: u32 = 0; k < 3; k++) {
          const i = (r + k) % RXN;
          const j = (t + k) % TXN;
          check(slotIdx(tx, j) == 20 + i && slotLen(tx, j) == 60 + i, r * 100 + t * 10 + k);
          check(slotFlags(tx, j) == (NS_BUF_CHANGED | NS_MOREFRAG), r * 100 + t * 10 + k);
          check(slotIdx(rx, i) == 40 + j && slotFlags(rx, i) == NS_BUF_CHANGED, r * 100 + t * 10 + k);
          check(allBytes(bufOf(tx, j), 60 + i, <u8>(20 + i)), r * 100 + t * 10 + k);
        }
        check(slotIdx(rx, (r + 3) % RXN) == 20 + ((r + 3) % RXN), r * 100 + t);
        check(slotIdx(tx, (t + 3) % TXN) == 40 + ((t + 3) % TXN), r * 100 + t);
      }
    }
    expectTable();
  });
});

describe('copying slots between regions', () => {
  test('copies the bytes exactly, keeps each ring its buffers, and lengths and MOREFRAG go along', () => {
    for (let r: u32 = 0; r < RXN; r++) {
      for (let t: u32 = 0; t < TXN; t++) {
        number(rx, 20, NS_MOREFRAG | NS_BUF_CHANGED | 0x0300);
        number(far, 20, 0x0002);
        memory.fill(other.base, 0x5a, 64 * 96);
        setRange(rx, r, 4);
        setRange(far, t, 7);
        check(copy(3) == 3, r * 10 + t);
        for (let k: u32 = 0; k < 3; k++) {
          const i = (r + k) % RXN;
          const j = (t + k) % TXN;
          const label = r * 100 + t * 10 + k;
          check(slotIdx(far, j) == 20 + j && slotLen(far, j) == 60 + i && slotFlags(far, j) == NS_MOREFRAG, label);
          check(slotIdx(rx, i) == 20 + i, label);
          check(sameBytes(bufOf(far, j), bufOf(rx, i), 60 + i), label);
          check(allBytes(bufOf(far, j) + 60 + i, 96 - 60 - i, 0x5a), label);
        }
        check(head(rx) == (r + 3) % RXN && head(far) == (t + 3) % TXN, r * 10 + t);
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('a slot whose buffer is out of range or too small on either side goes out empty, and touches nothing', () => {
    // rx index, tx index, length: rx buffers hold 128 bytes, tx buffers 96
    const rows: u32[][] = [
      [0, 20, 60],
      [1, 20, 60],
      [64, 20, 60],
      [0xffffffff, 20, 60],
      [0x02000002, 20, 60],
      [20, 0, 60],
      [20, 1, 60],
      [20, 64, 60],
      [20, 0xffffffff, 60],
      [20, 20, 97],
      [20, 20, 128],
      [20, 20, 129],
      [20, 20, 0xffff],
    ];
    for (let k = 0; k < rows.length; k++) {
      memory.fill(other.base, 0x5a, 64 * 96);
      number(rx, 20, 0);
      number(far, 30, 0);
      memory.fill(other.base, 0x5a, 64 * 96);
      setSlot(rx, 0, rows[k][0], rows[k][2], NS_MOREFRAG);
      setSlot(far, 0, rows[k][1], 33, 0);
      setRange(rx, 0, 2);
      setRange(far, 0, 2);
      check(copy(2) == 2, k);
      check(slotLen(far, 0) == 0 && slotFlags(far, 0) == NS_MOREFRAG && slotIdx(far, 0) == rows[k][1], k);
      check(slotLen(far, 1) == 61 && sameBytes(bufOf(far, 1), bufOf(rx, 1), 61), k);
      const second = <usize>slotIdx(far, 1) * 96;
      check(allBytes(other.base, second, 0x5a) && allBytes(other.base + second + 61, 64 * 96 - second - 61, 0x5a), k);
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('the largest index and the full length on both sides are good', () => {
    number(rx, 20, 0);
    number(far, 20, 0);
    setSlot(rx, 0, word(rx, KRING_NBUFS) - 1, 96, 0);
    setSlot(far, 0, 63, 0, 0);
    memory.fill(region.buf(63), 0x42, 128);
    setRange(rx, 0, 1);
    setRange(far, 0, 1);
    eq(copy(1), 1);
    eq(slotLen(far, 0), 96);
    eq(allBytes(other.buf(63), 96, 0x42), 1);
    eq(guardsIntact(), 1);
  });
});

describe('zeroing', () => {
  test('zeroes the range and nothing else, wherever the only non-zero byte is', () => {
    const p = area(4 * NETMAP_PAGE_SIZE);
    const lengths: u32[] = [
      0,
      64,
      128,
      NETMAP_PAGE_SIZE - 64,
      NETMAP_PAGE_SIZE,
      NETMAP_PAGE_SIZE + 64,
      2 * NETMAP_PAGE_SIZE,
    ];
    for (let k = 0; k < lengths.length; k++) {
      for (let at: u32 = 0; at < lengths[k]; at += lengths[k] > 128 ? 251 : 1) {
        memory.fill(p, 0x11, 64);
        memory.fill(p + 64, 0, lengths[k]);
        memory.fill(p + 64 + lengths[k], 0x11, 64);
        store<u8>(p + 64 + at, 1);
        memZero(p + 64, lengths[k]);
        check(allBytes(p + 64, lengths[k], 0), lengths[k] * 10000 + at);
        check(allBytes(p, 64, 0x11) && allBytes(p + 64 + lengths[k], 64, 0x11), lengths[k] * 10000 + at);
      }
    }
    expectTable();
  });

  test('zeroes memory that is full', () => {
    const p = area(4 * NETMAP_PAGE_SIZE);
    memory.fill(p, 0xff, 4 * NETMAP_PAGE_SIZE);
    memZero(p + 64, 3 * NETMAP_PAGE_SIZE);
    eq(allBytes(p, 64, 0xff), 1);
    eq(allBytes(p + 64, 3 * NETMAP_PAGE_SIZE, 0), 1);
    eq(allBytes(p + 64 + 3 * NETMAP_PAGE_SIZE, NETMAP_PAGE_SIZE - 64, 0xff), 1);
  });
});
