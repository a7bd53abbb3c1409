// assembly/vale, ports with headers of different lengths: headers that lie, buffers and rings that are too small, bad slots.
import {
  KRING_HWLEASE,
  KRING_MAILTAIL,
  KRING_NBUFS,
  PORT_MFS,
  SCRATCH_DEST,
  STAT_BAD_SLOT,
  STAT_DELIVERED,
  STAT_DROP_BAD_SLOT,
  STAT_DROP_GSO,
  STAT_DROP_HEADER,
  STAT_DROP_NO_SPACE,
  STAT_DROP_SELF,
  STAT_DROP_SHORT,
  STAT_DROP_TOO_LONG,
  STAT_FORWARDED,
  STAT_PACKETS,
  THREAD_SCRATCH,
} from '../abi/arena';
import { NS_MOREFRAG } from '../abi/netmap';
import { valeDeliver } from '../vale/deliver';
import { valeGather } from '../vale/gather';
import { allBytes, below, check, digest, eq, expectTable, guardsIntact, sameBytes, seed } from './include/check';
import {
  askCut,
  askSum,
  csumOffset,
  frame,
  frameGood,
  frameLen,
  gather,
  gsoTypeOf,
  header,
  headersOf,
  l4Of,
  lengthOf,
  makePacket,
  put16,
  setVnet,
  submit,
  TCP4,
  UDP4,
  UDP6,
} from './include/packets';
import { a, arrived, b, dst, isPacket, LENGTHS, rx, tx, unlike } from './include/unlike';
import { ALL, drain, mac, received, send } from './include/vale';
import {
  advance,
  bufOf,
  head,
  self,
  setSlot,
  setWord,
  slotAt,
  slotFlags,
  slotIdx,
  slotLen,
  slots,
  stat,
  sync,
  turnTo,
  word,
} from './include/world';

/** A plain packet of 60 bytes, to send around others. */
function submitSmall(hdr: u32): void {
  makePacket(hdr, UDP4, 18, dst, mac(0));
  submit(tx, []);
}

/** What was made last is dropped and counted under `reason`, and the packets around it pass. */
function drops(hdr: u32, cuts: u32[], reason: u32, label: i64): void {
  const before = stat(tx, reason);
  const all = stat(tx, STAT_PACKETS);
  const arrivedBefore = stat(rx, STAT_DELIVERED);
  submit(tx, cuts);
  submitSmall(hdr);
  check(sync(tx) == 0 && received(b) == 1 && arrived(0, 1, 0), label);
  check(stat(tx, reason) == before + 1 && stat(tx, STAT_PACKETS) == all + 2, label);
  check(stat(rx, STAT_DELIVERED) == arrivedBefore + 1, label);
  check(word(rx, KRING_HWLEASE) == word(rx, KRING_MAILTAIL), label);
  drain(b);
}

describe('translation, malformed packets', () => {
  test('unknown flags and types are dropped on the way to a port without header, and pass to one with another', () => {
    for (let s = 1; s < 3; s++) {
      const hdr = LENGTHS[s];
      for (let value: u32 = 0; value < 256; value++) {
        const type = value & 0x7f;
        const bad = type == 2 || type > 4;
        if (value % 32 == 0) unlike(hdr, 0, (value & 32) == 0);
        makePacket(hdr, TCP4, 100, dst, mac(0));
        setVnet(0, value, 0, 0, 0);
        if (bad) drops(hdr, [], STAT_DROP_HEADER, s * 1000 + value);
        makePacket(hdr, TCP4, 100, dst, mac(0));
        setVnet(value, 0, 0, 34, 16);
        if (value > 3) drops(hdr, [], STAT_DROP_HEADER, s * 1000 + value);
        if (value % 16 != 9) continue;
        unlike(hdr, 22 - hdr);
        makePacket(hdr, TCP4, 100, dst, mac(0));
        setVnet(value, value, 9, 9999, 9999);
        submit(tx, []);
        check(sync(tx) == 0 && received(b) == 1 && arrived(0, 1, 22 - hdr), s * 1000 + value);
        unlike(hdr, 0);
      }
    }
    expectTable();
  });

  test('a checksum that is to be stored behind the end is refused, one in the last two bytes is not', () => {
    for (let start: u32 = 0; start < 130; start += 3) {
      unlike(12, 0);
      for (let offset: u32 = 0; offset < 130; offset++) {
        makePacket(12, TCP4, 46, dst, mac(0)); // 100 bytes
        setVnet(1, 0, 0, start, offset);
        const label = start * 1000 + offset;
        if (start + offset > 98) {
          drops(12, offset % 2 ? [] : [12 + 60, 12 + 61], STAT_DROP_HEADER, label);
        } else {
          submit(tx, []);
          check(sync(tx) == 0 && received(b) == 1 && slotLen(rx, head(rx)) == 100, label);
          const p = bufOf(rx, head(rx));
          check(sameBytes(p, frame(), start + offset), label);
          check(sameBytes(p + start + offset + 2, frame() + start + offset + 2, 98 - start - offset), label);
          drain(b);
        }
      }
    }
    const far: u32[] = [0xffff, 0xffff, 0xffff, 0, 0, 0xffff, 0xffff, 1, 1, 0xffff];
    for (let k = 0; k < far.length; k += 2) {
      makePacket(12, TCP4, 46, dst, mac(0));
      setVnet(1, 0, 0, far[k], far[k + 1]);
      drops(12, [], STAT_DROP_HEADER, -k - 2);
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('a first slot shorter than the header, or nothing behind it, drops the packet', () => {
    for (let s = 1; s < 3; s++) {
      for (let d = 0; d < 3; d++) {
        if (s == d) continue;
        unlike(LENGTHS[s], LENGTHS[d]);
        for (let first: u32 = 0; first < LENGTHS[s] + 14; first++) {
          setSlot(tx, head(tx), slotIdx(tx, head(tx)), first, first == LENGTHS[s] ? 0 : first & 1 ? NS_MOREFRAG : 0);
          advance(tx, 1);
          if (first & 1) send(tx, ALL, mac(0), 60, 1);
          check(sync(tx) == 0 && received(b) == 0, (s * 10 + d) * 100 + first);
        }
        check(stat(tx, STAT_DROP_SHORT) == LENGTHS[s] + 14, s * 10 + d);
      }
    }
    expectTable();
  });

  test('a packet that cannot be cut is dropped: no IP, headers cut off, lengths that lie, another protocol, a fragment', () => {
    for (let kind: u32 = TCP4; kind <= UDP6; kind++) {
      unlike(12, 0, kind < 2);
      for (let len: u32 = 14; len < headersOf(kind); len++) {
        makePacket(12, kind, 0, dst, mac(0));
        askCut(kind, 100);
        submit(tx, []);
        setSlot(tx, (head(tx) + 31) % 32, slotIdx(tx, (head(tx) + 31) % 32), 12 + len, 0);
        submitSmall(12);
        check(sync(tx) == 0 && received(b) == 1 && stat(tx, STAT_DROP_GSO) == len - 13, kind * 100 + len);
        drain(b);
      }
      const l4 = l4Of(kind);
      for (let how = 0; how < 8; how++) {
        makePacket(12, kind, 3000, dst, mac(0));
        askCut(kind, 1000);
        const p = frame();
        if (how == 0) put16(p + 12, 0x0806);
        else if (how == 1) store<u8>(p + 14, 0x15);
        else if (how == 2) put16(p + (kind < 2 ? 16 : 18), frameLen);
        else if (how == 3) store<u8>(p + (kind < 2 ? 23 : 20), 47);
        else if (how == 4) setVnet(1, gsoTypeOf(kind ^ 1), 1000, l4, csumOffset(kind));
        else if (how == 5 && kind < 2) put16(p + 20, 0x2000);
        else if (how == 6 && kind < 2) put16(p + 16, 19);
        else if (how == 7 && (kind & 1) == 0) store<u8>(p + l4 + 12, 0x40);
        else continue;
        drops(12, [], STAT_DROP_GSO, kind * 10 + how);
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });
});

describe('translation, after a lookup of the user’s', () => {
  test('packets shorter than the header, or with nothing behind it, are dropped and counted', () => {
    const scratch: usize = word(self, THREAD_SCRATCH);
    for (let s = 1; s < 3; s++) {
      for (let d = 0; d < 3; d++) {
        if (s == d) continue;
        unlike(LENGTHS[s], LENGTHS[d], false);
        for (let len: u32 = 0; len <= LENGTHS[s] + 1; len++) {
          const i = head(tx);
          setSlot(tx, i, slotIdx(tx, i), len, 0);
          memory.fill(bufOf(tx, i), 0, 64);
          advance(tx, 1);
          const count = valeGather(tx, scratch, head(tx));
          store<u32>(scratch, 1, SCRATCH_DEST);
          valeDeliver(tx, a, scratch, count, self);
          const label = (s * 10 + d) * 100 + len;
          check(received(b) == (len > LENGTHS[s] ? 1 : 0), label);
          check(stat(tx, STAT_DROP_HEADER) == min(len, LENGTHS[s]) + 1, label);
        }
        check(slotLen(rx, 0) == LENGTHS[d] + 1, s * 10 + d);
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });
});

describe('translation, buffers and rings', () => {
  test('what does not fit a buffer goes on in the next slot, and needs 64 slots at the most', () => {
    unlike(0, 12, true, 128, 2048, 64);
    for (let len: u32 = 42; len < 4300; len += len < 300 ? 1 : 97) {
      makePacket(0, UDP4, len - 42, dst, mac(0));
      const first = min<u32>(len, 2048);
      const third = len > 4096 ? len - 4096 : 0;
      const second = len - first - third;
      const frags = (first + 12 + 63) / 64 + (second + 63) / 64 + (third + 63) / 64;
      submit(tx, []);
      check(sync(tx) == 0 && received(b) == (frags <= 64 ? frags : 0), len);
      if (frags <= 64) check(arrived(0, frags, 12), len);
      else check(stat(tx, STAT_DROP_TOO_LONG) == stat(tx, STAT_PACKETS) - stat(tx, STAT_FORWARDED), len);
      drain(b);
    }
    check(stat(tx, STAT_DROP_TOO_LONG) > 1, 0);
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('a segment that needs more than 64 slots drops its packet', () => {
    for (let size: u32 = 64 * 64 - 2; size < 64 * 64 + 3; size++) {
      unlike(12, 0, true, 128, 2048, 64);
      setWord(b, PORT_MFS, size);
      makePacket(12, UDP4, 4500, dst, mac(0));
      askCut(UDP4, 0);
      submit(tx, []);
      const fits = size <= 64 * 64;
      check(sync(tx) == 0 && (received(b) != 0) == fits, size);
      check(stat(tx, STAT_DROP_TOO_LONG) == (fits ? 0 : 1) && stat(tx, STAT_FORWARDED) == (fits ? 1 : 0), size);
    }
    expectTable();
  });

  test('buffers of 64 KiB: a slot holds 65535 bytes', () => {
    unlike(0, 12, true, 4, 65536, 65536);
    makePacket(0, UDP4, 65535 - 42 - 5, dst, mac(0));
    setSlot(tx, 0, slotIdx(tx, 0), frameLen, 0);
    memory.copy(bufOf(tx, 0), frame(), frameLen);
    advance(tx, 1);
    sync(tx);
    eq(received(b), 2);
    eq(slotLen(rx, 0), 65535);
    eq(arrived(0, 2, 12), 1);
  });

  test('a checksum whose two bytes lie in two slots is right', () => {
    for (let pad: u32 = 0; pad < 3; pad++) {
      unlike(12, 0, true, 64, 512, 64);
      makePacket(12, UDP4, 200, dst, mac(0));
      askSum(UDP4);
      submit(tx, [12 + 40 - pad, 12 + 41 - pad + pad * 2, 12 + 105]);
      sync(tx);
      const frags = received(b);
      check(isPacket(0, frags) && lengthOf(rx, 0, frags) == frameLen, pad);
      check(frameGood(gather(rx, 0, frags), frameLen, UDP4), pad);
    }
    expectTable();
  });

  test('a segment longer than a buffer takes several slots, flagged as one packet', () => {
    for (let kind: u32 = TCP4; kind <= UDP6; kind++) {
      const perSegment = (headersOf(kind) + 800 + 255) / 256;
      unlike(12, 0, true, 2 * perSegment + 2, 2048, 256); // the ring has room for it, and no more
      makePacket(12, kind, 1700, dst, mac(0));
      askCut(kind, 800);
      submit(tx, []);
      check(sync(tx) == 0 && received(b) == 2 * perSegment + 1, kind);
      for (let k: u32 = 0; k < 3; k++) {
        const i = k * perSegment;
        const frags = k == 2 ? 1 : perSegment;
        const len = headersOf(kind) + (k == 2 ? 100 : 800);
        check(k == 2 ? slotFlags(rx, i) == 0 : isPacket(i, frags), kind * 10 + k);
        check(lengthOf(rx, i, frags) == len && frameGood(gather(rx, i, frags), len, kind), kind * 10 + k);
        check(
          sameBytes(gather(rx, i, frags) + headersOf(kind), frame() + headersOf(kind) + k * 800, len - headersOf(kind)),
          k,
        );
      }
      check(stat(rx, STAT_DELIVERED) == 3 && stat(tx, STAT_FORWARDED) == 1, kind);
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('a packet that does not fit what is left of the ring is dropped whole, and smaller ones behind it pass', () => {
    for (let path: u32 = 0; path < 2; path++) {
      for (let room: u32 = 0; room <= 8; room++) {
        unlike(12, 0, path == 0, 16);
        turnTo(rx, 11);
        for (let k: u32 = 0; k < 15 - room; k++) submitSmall(12);
        sync(tx);
        makePacket(12, TCP4, 3000, dst, mac(0));
        askCut(TCP4, 1000);
        submit(tx, []);
        for (let k: u32 = 0; k < 4; k++) submitSmall(12);
        sync(tx);
        const label = path * 100 + room;
        const fits = room >= 3;
        const small = min<u32>(4, fits ? room - 3 : room);
        check(received(b) == 15 - room + (fits ? 3 : 0) + small, label);
        check(stat(tx, STAT_DROP_NO_SPACE) == (fits ? 0 : 1) + 4 - small, label);
        for (let k: u32 = 15 - room; k < received(b); k++) {
          const len = slotLen(rx, (head(rx) + k) % 16);
          check(len == (fits && k < 18 - room ? 1054 : 60), label);
        }
        check(word(rx, KRING_HWLEASE) == word(rx, KRING_MAILTAIL), label);
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test("a bad slot of the receiver's drops the packet that meets it; it and the slots before it are empty", () => {
    const bad: u32[] = [0, 1, 66, 0x80000000, 0xffffffff];
    for (let cut = 0; cut < 2; cut++) {
      for (let k = 0; k < bad.length; k++) {
        for (let at: u32 = 1; at < 4; at++) {
          unlike(12, 0, true, 32, 2048, 2048);
          const label = (cut * 10 + k) * 10 + at;
          check(word(rx, KRING_NBUFS) == 66, label);
          setSlot(rx, at, bad[k], 77, 2);
          const base = bufOf(rx, 0) - <usize>slotIdx(rx, 0) * 2048;
          const reserved = digest(base, 4096);
          submitSmall(12);
          makePacket(12, TCP4, 3000, dst, mac(0));
          if (cut) askCut(TCP4, 1000);
          submit(tx, [1000, 2000]);
          submitSmall(12);
          check(sync(tx) == 0 && received(b) == at + 2 && digest(base, 4096) == reserved, label);
          for (let i: u32 = 1; i <= at; i++) check(load<u32>(slotAt(rx, i), 4) == 0, label);
          check(slotIdx(rx, at) == bad[k] && slotLen(rx, 0) == 60 && slotLen(rx, at + 1) == 60, label);
          check(allBytes(bufOf(rx, at + 2), 2048, 0xa5), label);
          check(stat(rx, STAT_BAD_SLOT) == 1 && stat(tx, STAT_DROP_BAD_SLOT) == 1, label);
          check(stat(tx, STAT_FORWARDED) == 2 && stat(rx, STAT_DELIVERED) == 2, label);
        }
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('random headers, cuts and slots: nothing is written outside, every packet is forwarded or counted', () => {
    seed(77);
    for (let s = 1; s < 3; s++) {
      for (let d = 0; d < 3; d++) {
        if (s == d) continue;
        unlike(LENGTHS[s], LENGTHS[d], false, 64, 512, 256);
        const source = bufOf(tx, 0) - <usize>slotIdx(tx, 0) * 512;
        const target = bufOf(rx, 0) - <usize>slotIdx(rx, 0) * 256;
        for (let round = 0; round < 1500; round++) {
          const before = head(tx);
          makePacket(LENGTHS[s], below(4), below(4) == 0 ? below(2000) : below(100), dst, mac(0));
          askCut(below(4), below(300));
          if (below(3) == 0) store<u8>(header() + 1, 0);
          for (let k = below(4); k != 0; k--) store<u8>(header() + below(12), <u8>below(below(4) == 0 ? 256 : 5));
          for (let k = below(3); k != 0; k--) store<u8>(frame() + 12 + below(60), <u8>below(256));
          submit(tx, [LENGTHS[s] + 14 + below(60), LENGTHS[s] + 80 + below(400)]);
          const idx = slotIdx(tx, before);
          if (below(3) == 0) setSlot(tx, before, below(132), below(513), slotFlags(tx, before));
          if (below(8) == 0) setSlot(rx, below(64), below(200), 0, 0);
          const sent = digest(source, 130 * 512);
          const reserved = digest(target, 512);
          check(sync(tx) == 0 && digest(source, 130 * 512) == sent && digest(target, 512) == reserved, round);
          setSlot(tx, before, idx, 0, 0);
          if (below(3) != 0) drain(b);
        }
        const dropped =
          stat(tx, STAT_DROP_SHORT) +
          stat(tx, STAT_DROP_SELF) +
          stat(tx, STAT_DROP_HEADER) +
          stat(tx, STAT_DROP_GSO) +
          stat(tx, STAT_DROP_TOO_LONG) +
          stat(tx, STAT_DROP_NO_SPACE) +
          stat(tx, STAT_DROP_BAD_SLOT);
        check(stat(tx, STAT_FORWARDED) + dropped == stat(tx, STAT_PACKETS), s * 10 + d);
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });
});
