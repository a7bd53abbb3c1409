// assembly/packet: exact copies and RFC 1071 checksums, against naive loops.
import { checksumAdd, checksumFold, packetChecksum } from '../packet/checksum';
import { packetCopy } from '../packet/copy';
import { allBytes, area, check, eq, expectTable, random, sameBytes, seed } from './include/check';

const MAX: u32 = 65535;
const src = area(MAX + 256);
const dst = area(MAX + 256);

function fillRandom(p: usize, len: u32, value: u32): void {
  seed(value);
  for (let i: u32 = 0; i < len; i++) store<u8>(p + i, <u8>(random() >> 11));
}

/** RFC 1071 by the book: big-endian words, an odd last byte padded with zero; then as a word in memory order. */
function naiveChecksum(p: usize, len: u32): u32 {
  let sum: u32 = 0;
  for (let i: u32 = 0; i < len; i++) {
    sum += i & 1 ? <u32>load<u8>(p + i) : (<u32>load<u8>(p + i)) << 8;
    if (sum > 0xffff) sum -= 0xffff;
  }
  const big = ~sum & 0xffff;
  return (big >> 8) | ((big & 0xff) << 8);
}

describe('checksum', () => {
  test('RFC 1071, section 3: the sum of 00 01 f2 03 f4 f5 f6 f7 is ddf2', () => {
    store<u64>(src, 0xf7f6f5f403f20100);
    const stored = packetChecksum(src, 8);
    eq(((stored & 0xff) << 8) | (stored >> 8), ~0xddf2 & 0xffff);
    eq(checksumFold(checksumAdd(src, 8, 0)), stored);
  });

  test('an IPv4 header (45 00 00 73 .. c0 a8 00 c7) sums to b861, and with it in place to zero', () => {
    const header: u8[] = [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 0x01, 0xc0, 0xa8, 0, 0xc7];
    for (let i = 0; i < 20; i++) store<u8>(src + i, header[i]);
    eq(packetChecksum(src, 20), 0x61b8);
    store<u16>(src, <u16>packetChecksum(src, 20), 10);
    eq(packetChecksum(src, 20), 0);
  });

  test('nothing sums to zero, whose complement is ffff; all ones sum to ones', () => {
    eq(packetChecksum(src, 0), 0xffff);
    memory.fill(src, 0, 128);
    eq(packetChecksum(src, 128), 0xffff);
    memory.fill(src, 0xff, 128);
    eq(packetChecksum(src, 128), 0);
  });

  test('agrees with a byte loop for every length 0..300 at every alignment 0..16, odd lengths included', () => {
    fillRandom(src, 400, 3);
    for (let shift: u32 = 0; shift <= 16; shift++) {
      for (let len: u32 = 0; len <= 300; len++) {
        check(packetChecksum(src + shift, len) == naiveChecksum(src + shift, len), shift * 1000 + len);
      }
    }
    expectTable();
  });

  test('agrees with a byte loop for 1500, 9000 and 65535 bytes of random data and of all ones', () => {
    const lengths: u32[] = [1499, 1500, 1514, 9000, 65534, 65535];
    for (let ones: u32 = 0; ones < 2; ones++) {
      if (ones) memory.fill(src, 0xff, MAX + 4);
      else fillRandom(src, MAX + 4, 5);
      for (let shift: u32 = 0; shift < 4; shift++) {
        for (let i = 0; i < lengths.length; i++) {
          check(
            packetChecksum(src + shift, lengths[i]) == naiveChecksum(src + shift, lengths[i]),
            shift * 100000 + lengths[i],
          );
        }
      }
    }
    expectTable();
  });

  test('agrees with a byte loop for 0..200 and 1400..1600 bytes at offsets 0..15: random data, all ones, zeros', () => {
    for (let fill: u32 = 0; fill < 3; fill++) {
      if (fill == 0) fillRandom(src, 1700, 29);
      else memory.fill(src, fill == 1 ? 0xff : 0, 1700);
      for (let shift: u32 = 0; shift < 16; shift++) {
        for (let len: u32 = 0; len <= 1600; len = len == 200 ? 1400 : len + 1) {
          const label = (fill * 100 + shift) * 10000 + len;
          check(packetChecksum(src + shift, len) == naiveChecksum(src + shift, len), label);
        }
      }
    }
    expectTable();
  });

  test('bytes behind the end do not count', () => {
    for (let len: u32 = 0; len <= 130; len++) {
      memory.fill(src, 0, 300);
      fillRandom(src, len, len + 1);
      const alone = packetChecksum(src, len);
      memory.fill(src + len, 0xff, 64);
      check(packetChecksum(src, len) == alone, len);
    }
    expectTable();
  });

  test('partial sums of pieces of even length add up to the sum of the whole', () => {
    fillRandom(src, 400, 7);
    for (let cut: u32 = 0; cut <= 300; cut += 2) {
      for (let len = cut; len <= 300; len += 37) {
        const sum = checksumAdd(src + cut, len - cut, checksumAdd(src, cut, 0));
        check(checksumFold(sum) == packetChecksum(src, len), cut * 1000 + len);
      }
    }
    expectTable();
  });

  test('fold adds the carries around until 16 bits are left, and complements', () => {
    const sums: u64[] = [
      0,
      1,
      0xffff,
      0x10000,
      0x1ffff,
      0xffffffff,
      0x100000000,
      0x1ffffffff,
      0xffffffff00000000,
      u64.MAX_VALUE,
    ];
    for (let i = 0; i < sums.length; i++) {
      let s = sums[i];
      while (s > 0xffff) s = (s & 0xffff) + (s >> 16);
      check(checksumFold(sums[i]) == (<u32>~s & 0xffff), i);
    }
    seed(11);
    for (let i = 0; i < 10000; i++) {
      const sum = ((<u64>random()) << 32) | random();
      let s = sum;
      while (s > 0xffff) s = (s & 0xffff) + (s >> 16);
      check(checksumFold(sum) == (<u32>~s & 0xffff), 1000 + i);
    }
    expectTable();
  });
});

describe('copy', () => {
  test('copies exactly the length, for every length 0..300, 16 source and 3 destination alignments', () => {
    fillRandom(src, 400, 13);
    for (let s: u32 = 0; s < 16; s++) {
      for (let d: u32 = 0; d < 3; d++) {
        const at = dst + 64 + d * 7;
        for (let len: u32 = 0; len <= 300; len++) {
          memory.fill(dst, 0x77, 500);
          packetCopy(at, src + s, len);
          const label = (s * 10 + d) * 1000 + len;
          check(sameBytes(at, src + s, len), label);
          check(allBytes(dst, at - dst, 0x77), label);
          check(allBytes(at + len, dst + 500 - at - len, 0x77), label);
        }
      }
    }
    expectTable();
  });

  test('copies exactly the length of large frames', () => {
    const lengths: u32[] = [1499, 1500, 1514, 1518, 2047, 2048, 9000, 16384, 65535];
    fillRandom(src, MAX + 8, 17);
    for (let s: u32 = 0; s < 8; s++) {
      for (let i = 0; i < lengths.length; i++) {
        memory.fill(dst, 0x77, lengths[i] + 192);
        packetCopy(dst + 64, src + s, lengths[i]);
        check(sameBytes(dst + 64, src + s, lengths[i]), s * 100000 + lengths[i]);
        check(allBytes(dst, 64, 0x77) && allBytes(dst + 64 + lengths[i], 128, 0x77), s * 100000 + lengths[i]);
      }
    }
    expectTable();
  });

  test('is exact for every length 0..300 at 16 alignments of the source', () => {
    fillRandom(src, 400, 23);
    for (let s: u32 = 0; s < 16; s++) {
      for (let len: u32 = 0; len <= 300; len++) {
        memory.fill(dst, 0x77, 500);
        packetCopy(dst + 64, src + s, len);
        check(sameBytes(dst + 64, src + s, len), s * 1000 + len);
        check(allBytes(dst, 64, 0x77) && allBytes(dst + 64 + len, 500 - 64 - len, 0x77), s * 1000 + len);
      }
    }
    expectTable();
  });

  test('leaves the source as it was', () => {
    fillRandom(src, 400, 19);
    fillRandom(dst, 400, 19);
    for (let len: u32 = 0; len <= 300; len++) packetCopy(dst + 1000, src, len);
    eq(sameBytes(src, dst, 400), 1);
  });
});
