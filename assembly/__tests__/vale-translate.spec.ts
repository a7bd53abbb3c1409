// assembly/vale, ports whose virtio-net headers have different lengths: headers, checksums, segments.
import {
  KRING_HWLEASE,
  KRING_MAILTAIL,
  PORT_MFS,
  STAT_DELIVERED,
  STAT_DELIVERED_BYTES,
  STAT_DROP_GSO,
  STAT_FORWARDED,
  STAT_PACKETS,
} from '../abi/arena';
import { check, digest, eq, expectTable, guardsIntact, sameBytes } from './include/check';
import {
  askCut,
  askSum,
  frame,
  frameGood,
  frameLen,
  gather,
  get16,
  header,
  headersOf,
  isTcp,
  l4Of,
  lengthOf,
  makePacket,
  put16,
  setVnet,
  submit,
  TCP4,
  TCP6,
  UDP4,
  UDP6,
} from './include/packets';
import { arrived, b, cutsTo, dst, isPacket, LENGTHS, rx, tx, unlike } from './include/unlike';
import { drain, mac, received } from './include/vale';
import { bufOf, head, setWord, slotLen, stat, sync, word } from './include/world';

describe('translation, headers', () => {
  test('a plain packet gets the header of its destination: zeros, the first ten bytes, or none', () => {
    for (let path: u32 = 0; path < 2; path++) {
      for (let s = 0; s < 3; s++) {
        for (let d = 0; d < 3; d++) {
          if (s == d) continue;
          unlike(LENGTHS[s], LENGTHS[d], path == 0);
          for (let len: u32 = 0; len < 70; len++) {
            const label = ((path * 10 + s) * 10 + d) * 100 + len;
            makePacket(LENGTHS[s], <u32>len % 4, len, dst, mac(0));
            if (s != 0 && d != 0) for (let h: u32 = 0; h < LENGTHS[s]; h++) store<u8>(header() + h, 0x81 + h); // opaque
            submit(tx, []);
            check(sync(tx) == 0 && received(b) == 1 && arrived(0, 1, LENGTHS[d]), label);
            drain(b);
          }
          check(
            stat(tx, STAT_FORWARDED) == 70 && stat(tx, STAT_PACKETS) == 70 && stat(rx, STAT_DELIVERED) == 70,
            s * 10 + d,
          );
        }
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('fragments stay as they are; a slot of just the header goes away with it', () => {
    for (let s = 0; s < 3; s++) {
      for (let d = 0; d < 3; d++) {
        if (s == d) continue;
        unlike(LENGTHS[s], LENGTHS[d]);
        for (let first: u32 = 0; first < 40; first++) {
          const hdr = LENGTHS[s];
          const label = (s * 10 + d) * 100 + first;
          makePacket(hdr, TCP4, 200, dst, mac(0));
          const alone = first == 0 && hdr != 0;
          submit(tx, [hdr + (alone ? 0 : 14 + first), hdr + 60, hdr + 61, hdr + 90]);
          const frags: u32 = alone && LENGTHS[d] == 0 ? 4 : 5;
          check(sync(tx) == 0 && received(b) == frags && arrived(0, frags, LENGTHS[d]), label);
          const i = head(rx);
          if (frags == 5) check(slotLen(rx, i) == LENGTHS[d] + (alone ? 0 : 14 + first), label);
          check(slotLen(rx, (i + frags - 1) % 32) == 164, label);
          drain(b);
        }
      }
    }
    expectTable();
  });

  test('between ports with headers of 10 and 12 bytes a GSO packet stays whole', () => {
    for (let s = 1; s < 3; s++) {
      unlike(LENGTHS[s], LENGTHS[3 - s]);
      makePacket(LENGTHS[s], TCP4, 5000, dst, mac(0));
      askCut(TCP4, 1460);
      submit(tx, []);
      const frags: u32 = s == 1 ? 4 : 3; // a full buffer and two bytes more of header do not fit a buffer
      check(sync(tx) == 0 && received(b) == frags && arrived(0, frags, LENGTHS[3 - s]), s);
      if (s == 1) check(slotLen(rx, head(rx)) == 2048 && slotLen(rx, head(rx) + 1) == 2, s);
    }
    expectTable();
    eq(guardsIntact(), 1);
  });
});

describe('translation, checksums', () => {
  test('is completed for TCP and UDP over IPv4 and IPv6, wherever the packet is cut, and nothing else changes', () => {
    for (let s = 1; s < 3; s++) {
      const hdr = LENGTHS[s];
      for (let kind: u32 = TCP4; kind <= UDP6; kind++) {
        unlike(hdr, 0, kind < 2, 32, 512, 512);
        for (let cut = hdr; cut < hdr + headersOf(kind) + 13; cut++) {
          if (cut != hdr && cut < hdr + 14) continue;
          const label = (s * 10 + kind) * 1000 + cut;
          makePacket(hdr, kind, 31, dst, mac(0));
          askSum(kind);
          submit(tx, cut == hdr ? [hdr, hdr + 15, hdr + 18] : [cut, cut + 1, cut + 4]);
          const source = bufOf(tx, (head(tx) + 28) % 32);
          const before = digest(source, cut);
          sync(tx);
          const frags: u32 = cut == hdr ? 3 : 4;
          check(received(b) == frags && isPacket(0, frags), label);
          const p = gather(rx, head(rx), frags);
          const len = lengthOf(rx, head(rx), frags);
          check(len == frameLen && frameGood(p, len, kind), label);
          check(digest(source, cut) == before, label);
          const field: usize = l4Of(kind) + (isTcp(kind) ? 16 : 6);
          check(
            sameBytes(p, frame(), field) && sameBytes(p + field + 2, frame() + field + 2, len - <u32>field - 2),
            label,
          );
          drain(b);
        }
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('that comes out as 0 is stored as ffff', () => {
    unlike(10, 0);
    makePacket(10, UDP4, 20, dst, mac(0));
    askSum(UDP4);
    submit(tx, []);
    sync(tx);
    const sum = get16(bufOf(rx, 0) + 40);
    drain(b);
    put16(frame() + 42, (get16(frame() + 42) + sum) % 0xffff); // now the rest sums up to all ones
    submit(tx, []);
    sync(tx);
    eq(received(b), 1);
    eq(get16(bufOf(rx, head(rx)) + 40), 0xffff);
    eq(frameGood(bufOf(rx, head(rx)), frameLen, UDP4), 1);
  });

  test('without NEEDS_CSUM it is left alone, whatever else the header says', () => {
    unlike(12, 0);
    makePacket(12, TCP4, 100, dst, mac(0));
    setVnet(2, 0, 1460, 0xffff, 0xffff);
    submit(tx, []);
    sync(tx);
    eq(arrived(0, 1, 0), 1);
  });
});

describe('translation, segments', () => {
  test('4000 bytes of payload become 1514, 1514 and 1134 (TCP over IPv4), or 1514, 1514 and 1098 (UDP)', () => {
    for (let path: u32 = 0; path < 2; path++) {
      for (let s = 1; s < 3; s++) {
        unlike(LENGTHS[s], 0, path == 0);
        for (let gsoSize: u32 = 0; gsoSize < 3; gsoSize++) {
          const size: u32 = gsoSize == 0 ? 0 : gsoSize == 1 ? 1460 : 9000;
          cutsTo(TCP4, 4054, size, LENGTHS[s], [], [1514, 1514, 1134], path * 100 + s * 10 + gsoSize);
          cutsTo(
            UDP4,
            4042,
            size == 1460 ? 1472 : size,
            LENGTHS[s],
            [],
            [1514, 1514, 1098],
            path * 100 + s * 10 + gsoSize + 3,
          );
          cutsTo(TCP6, 4074, 0, LENGTHS[s], [], [1514, 1514, 1194], path * 100 + s * 10 + gsoSize + 6);
          cutsTo(UDP6, 4062, 0, LENGTHS[s], [], [1514, 1514, 1158], path * 100 + s * 10 + gsoSize + 6);
        }
        check(stat(tx, STAT_FORWARDED) == 12 && stat(rx, STAT_DELIVERED) == 36, path);
        check(word(rx, KRING_HWLEASE) == word(rx, KRING_MAILTAIL), path);
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });

  test('gso_size is kept: segments of that much payload, the last one the rest, even if there is one segment only', () => {
    unlike(12, 0, true, 64, 4096);
    cutsTo(TCP4, 54 + 1000, 100, 12, [], [154, 154, 154, 154, 154, 154, 154, 154, 154, 154], 0);
    cutsTo(TCP4, 54 + 101, 100, 12, [], [154, 55], 1);
    cutsTo(TCP4, 54 + 100, 100, 12, [], [154], 2);
    cutsTo(TCP4, 54, 100, 12, [], [54], 3);
    cutsTo(UDP4, 42 + 250, 100, 12, [], [142, 142, 92], 4);
    expectTable();
    eq(stat(rx, STAT_DELIVERED_BYTES), 10 * 154 + 154 + 55 + 154 + 54 + 142 + 142 + 92);
  });

  test('the mfs of the destination bounds the frames, and headers alone that do not fit it drop the packet', () => {
    unlike(12, 0, true, 64, 4096);
    setWord(b, PORT_MFS, 600);
    cutsTo(TCP4, 1500, 1446, 12, [], [600, 600, 408], 0);
    cutsTo(TCP4, 1500, 500, 12, [], [554, 554, 500], 1);
    setWord(b, PORT_MFS, 64);
    cutsTo(UDP4, 42 + 50, 0, 12, [], [64, 64, 48], 2);
    cutsTo(TCP6, 74 + 50, 0, 12, [], [], 3);
    check(stat(tx, STAT_DROP_GSO) == 1, 4);
    setWord(b, PORT_MFS, 65535);
    cutsTo(TCP4, 2000, 0, 12, [], [2000], 5);
    expectTable();
  });

  test('wherever the packet is cut, in its headers or behind them, and with the virtio-net header in a slot of its own', () => {
    for (let s = 1; s < 3; s++) {
      const hdr = LENGTHS[s];
      for (let kind: u32 = TCP4; kind <= UDP6; kind++) {
        unlike(hdr, 0, kind < 2, 32, 512, 512);
        const headers = headersOf(kind);
        for (let cut: u32 = 14; cut < headers + 12; cut++) {
          const at = hdr + cut;
          const cuts: u32[] = [cut % 2 ? hdr : at, at + 1, at + 2, at + 5, at + 20];
          cutsTo(
            kind,
            headers + 250,
            100,
            hdr,
            cuts,
            [headers + 100, headers + 100, headers + 50],
            (s * 10 + kind) * 1000 + cut,
          );
        }
      }
    }
    expectTable();
    eq(guardsIntact(), 1);
  });
});
