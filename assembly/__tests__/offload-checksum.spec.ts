// assembly/packet/offload and the pieces and updates of assembly/packet/checksum: vectors by hand, and byte loops.
import { EINVAL } from '../abi/errno';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../abi/ether';
import { IPPROTO_TCP, IPPROTO_UDP, TH_ACK } from '../abi/inet';
import { CSUM_BAD, CSUM_GOOD, CSUM_NONE, PACKET_SIZE } from '../abi/offload';
import {
  checksumAddIov,
  checksumCopy,
  checksumFold,
  checksumUpdate16,
  checksumUpdate32,
  packetChecksum,
} from '../packet/checksum';
import { packetParse } from '../packet/headers';
import { offloadComplete, offloadValidate, vnetBuild, vnetRead, vnetWrite } from '../packet/offload';
import {
  allBytes,
  area,
  check,
  eq,
  expectTable,
  guarded,
  guardsIntact,
  random,
  sameBytes,
  seed,
} from './include/check';
import {
  be16,
  ether,
  fill,
  ipv4,
  ipv6,
  naivePseudo,
  naiveSum,
  put16,
  setPiece,
  tcp,
  tcpFrame,
  udpFrame,
} from './include/offload';

const f = guarded(4096);
const g = guarded(4096);
const iov = guarded(512);
const packet = guarded(PACKET_SIZE);
const hdr = guarded(12);

function swap(word: u32): u32 {
  return ((word & 0xff) << 8) | ((word >> 8) & 0xff);
}

function validate(at: usize, len: u32): u32 {
  packetParse(at, len, packet);
  return offloadValidate(at, packet);
}

describe('checksums of pieces', () => {
  test('three pieces cut anywhere sum like the whole, odd ones in the middle included', () => {
    seed(5);
    for (let i: u32 = 0; i < 64; i++) store<u8>(f + i, random());
    for (let len: u32 = 60; len <= 61; len++) {
      const whole = ~naiveSum(f, len, 0) & 0xffff;
      for (let a: u32 = 0; a <= len; a++) {
        for (let b = a; b <= len; b++) {
          // The pieces lie apart, and at odd addresses.
          memory.copy(g + 1, f, a);
          memory.copy(g + 101, f + a, b - a);
          memory.copy(g + 202, f + b, len - b);
          setPiece(iov, 0, g + 1, a);
          setPiece(iov, 1, g + 101, b - a);
          setPiece(iov, 2, g + 202, len - b);
          check(swap(checksumFold(checksumAddIov(iov, 3, 0, 0))) == whole, a * 100 + b);
        }
      }
    }
    expectTable();
  });

  test('summing may start anywhere, also within or behind a piece', () => {
    for (let from: u32 = 0; from <= 61; from++) {
      setPiece(iov, 0, f, 7);
      setPiece(iov, 1, f + 7, 0);
      setPiece(iov, 2, f + 7, 20);
      setPiece(iov, 3, f + 27, 34);
      const expected = ~naiveSum(f + from, 61 - from, 0) & 0xffff;
      check(swap(checksumFold(checksumAddIov(iov, 4, from, 0))) == expected, from);
    }
    expectTable();
  });

  test('copying and summing in one pass does both exactly, for every length 0..700 and 1400..1600', () => {
    const big = area(2048);
    const g = area(2048);
    for (let i: u32 = 0; i < 2048; i++) store<u8>(big + i, random());
    for (let len: u32 = 0; len <= 1600; len = len == 700 ? 1400 : len + 1) {
      const src = big + (len & 15);
      const dst = g + 64 + (len & 3);
      memory.fill(g, 0x77, 2048);
      const sum = checksumCopy(dst, src, len, 0);
      check(checksumFold(sum) == packetChecksum(src, len), len);
      check(swap(checksumFold(sum)) == (~naiveSum(src, len, 0) & 0xffff), len);
      check(sameBytes(dst, src, len), len);
      check(allBytes(g, dst - g, 0x77) && allBytes(dst + len, 64, 0x77), len);
    }
    expectTable();
  });

  test('carries are not lost: the largest and the most awkward words, up to 256 KiB', () => {
    const big = area(262144);
    const fills: u8[] = [0xff, 0x80, 0x7f, 0xfe, 0x01];
    for (let k = 0; k < fills.length; k++) {
      for (let stripe: u32 = 0; stripe < 3; stripe++) {
        memory.fill(big, fills[k], 262144);
        // Every second or fourth word 0 or ffff, so that averages are rounded all the time.
        for (let i: u32 = 0; stripe != 0 && i < 262144; i += stripe << 2) store<u16>(big + i, stripe == 1 ? 0 : 0xffff);
        const lengths: u32[] = [1500, 9000, 65535, 262143];
        for (let j = 0; j < lengths.length; j++) {
          const label = (k * 10 + stripe) * 1000000 + lengths[j];
          check(swap(packetChecksum(big, lengths[j])) == (~naiveSum(big, lengths[j], 0) & 0xffff), label);
        }
      }
    }
    expectTable();
  });

  test('carries are not lost where every average is rounded up, or all of the lower halves are left out', () => {
    const big = area(262144);
    // Upper halves of the eight words of a lane that are averaged: 12 of them in truth, 24 after three roundings.
    const upper: u32[] = [0, 1, 1, 2, 1, 2, 2, 3];
    const bases: u32[] = [0, 1, 4, 0x7ff8, 0xfff8, 0xfffc];
    for (let k = 0; k < bases.length; k++) {
      for (let low: u32 = 0; low < 2; low++) {
        for (let i: u32 = 0; i < 262144; i += 4) {
          const half = (bases[k] + (low == 0 ? upper[(i >> 4) & 7] : 0)) & 0xffff;
          store<u32>(big + i, (half << 16) | (low == 0 ? 0 : 0xffff));
        }
        const expected = ~naiveSum(big, 262143, 0) & 0xffff;
        check(swap(packetChecksum(big, 262143)) == expected, k * 10 + low);
        check(swap(checksumFold(checksumCopy(area(262144), big, 262143, 0))) == expected, k * 10 + low + 2);
      }
    }
    expectTable();
  });
});

describe('RFC 1624', () => {
  test('the example of section 4: dd2f, 5555 becomes 3285, gives 0000', () => {
    eq(checksumUpdate16(swap(0xdd2f), swap(0x5555), swap(0x3285)), 0);
  });

  test('a word or an address that changes moves the checksum as summing again would', () => {
    ipv4(f, IPPROTO_TCP, 100);
    for (let i: u32 = 0; i < 300; i++) {
      put16(f + 10, 0);
      const before = packetChecksum(f, 20);
      const ttl = load<u16>(f, 8);
      store<u16>(f, random(), 8);
      const after = packetChecksum(f, 20);
      check(checksumUpdate16(before, ttl, load<u16>(f, 8)) == after, i);
      const address = load<u32>(f, 12);
      store<u32>(f, random(), 12);
      check(checksumUpdate32(after, address, load<u32>(f, 12)) == packetChecksum(f, 20), 1000 + i);
    }
    expectTable();
  });
});

describe('offloadComplete', () => {
  test('completes TCP and UDP, v4 and v6, wherever the packet is cut in two', () => {
    for (let kind: u32 = 0; kind < 4; kind++) {
      const v6 = (kind & 1) != 0;
      const isTcp = kind < 2;
      const proto: u32 = isTcp ? IPPROTO_TCP : IPPROTO_UDP;
      const len = isTcp ? tcpFrame(f, v6, 77, 11) : udpFrame(f, v6, 11);
      const l4: u32 = v6 ? 54 : 34;
      const offset: u32 = isTcp ? 16 : 6;
      for (let cut: u32 = 0; cut <= len; cut++) {
        memory.copy(g + 1, f, len);
        put16(g + 1 + l4 + offset, naivePseudo(g + 15, g + 1 + l4, proto));
        memory.copy(g + 1003, g + 1 + cut, len - cut);
        memory.fill(g + 1 + cut, 0x77, len - cut);
        setPiece(iov, 0, g + 1, cut);
        setPiece(iov, 1, g + 1003, len - cut);
        check(offloadComplete(iov, 2, l4, offset) == 0, kind * 1000 + cut);
        check(sameBytes(g + 1, f, cut) && sameBytes(g + 1003, f + cut, len - cut), kind * 1000 + cut);
      }
    }
    expectTable();
  });

  test('a place that is not in the packet is refused, and nothing is written', () => {
    memory.fill(g, 0x77, 256);
    setPiece(iov, 0, g, 50);
    setPiece(iov, 1, g + 100, 50);
    const places: u32[] = [99, 0, 0, 99, 100, 0, 65535, 65535, 34, 65, 0xffffffff, 0xffffffff, 0xffffffff, 1];
    for (let i = 0; i < places.length; i += 2) {
      eq(offloadComplete(iov, 2, places[i], places[i + 1]), -EINVAL);
    }
    eq(offloadComplete(iov, 0, 0, 0), -EINVAL);
    eq(allBytes(g, 256, 0x77), 1);
    eq(offloadComplete(iov, 2, 34, 64), 0); // the last two bytes
    eq(allBytes(g, 148, 0x77) && allBytes(g + 150, 100, 0x77), 1);
  });

  test('a computed 0 is stored as ffff: in UDP, 0 means none', () => {
    const len = udpFrame(f, false, 2);
    put16(f + 42, 0);
    fill(f + 14, f + 34, IPPROTO_UDP);
    put16(f + 42, be16(f + 40)); // the payload that makes the checksum 0
    put16(f + 40, naivePseudo(f + 14, f + 34, IPPROTO_UDP));
    setPiece(iov, 0, f, len);
    eq(offloadComplete(iov, 1, 34, 6), 0);
    eq(be16(f + 40), 0xffff);
    eq(validate(f, len), CSUM_GOOD);
  });
});

describe('offloadValidate', () => {
  test('a SYN summed by hand is good, and bad with any bit changed that a checksum covers', () => {
    // 192.168.0.1:1234 to 192.168.0.199:80, no options.
    const bytes: u8[] = [
      2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 0x28, 0, 1, 0x40, 0, 0x40, 6, 0xb8, 0xb6, 192, 168, 0, 1,
      192, 168, 0, 199, 4, 0xd2, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0x28, 0xa7, 0, 0,
    ];
    for (let i = 0; i < 54; i++) store<u8>(f + i, bytes[i]);
    eq(validate(f, 54), CSUM_GOOD);
    for (let i: u32 = 14; i < 54; i++) {
      for (let bit: u32 = 0; bit < 8; bit++) {
        store<u8>(f + i, <u32>load<u8>(f + i) ^ (1 << bit));
        const verdict = validate(f, 54);
        // A changed version, length, fragment field or protocol is malformed, or something else.
        if (i >= 26 && i != 46) check(verdict == CSUM_BAD, i * 10 + bit);
        else check(verdict != CSUM_GOOD, i * 10 + bit);
        store<u8>(f + i, <u32>load<u8>(f + i) ^ (1 << bit));
      }
    }
    expectTable();
  });

  test('TCP and UDP, v4 and v6, odd and even: good; one byte changed: bad; padding does not count', () => {
    for (let payload: u32 = 0; payload < 40; payload++) {
      for (let kind: u32 = 0; kind < 4; kind++) {
        const v6 = (kind & 1) != 0;
        const len = kind < 2 ? tcpFrame(f, v6, 3, payload) : udpFrame(f, v6, payload);
        const label = payload * 10 + kind;
        check(validate(f, len) == CSUM_GOOD, label);
        memory.fill(f + len, 0x99, 7);
        check(validate(f, len + 7) == CSUM_GOOD, label);
        store<u8>(f + len - 1, load<u8>(f + len - 1) ^ 1);
        check(validate(f, len) == CSUM_BAD, label);
      }
    }
    expectTable();
  });

  test('UDP without a checksum is not judged in IPv4, and bad in IPv6', () => {
    const v4 = udpFrame(f, false, 5);
    put16(f + 40, 0);
    eq(validate(f, v4), CSUM_NONE);
    const v6 = udpFrame(f, true, 5);
    put16(f + 60, 0);
    eq(validate(f, v6), CSUM_BAD);
  });

  test('a wrong IPv4 header is bad whatever it carries; options are part of it', () => {
    const ip = ether(f, 0, ETHERTYPE_IPV4);
    const l4 = ipv4(ip, IPPROTO_TCP, 20, 3);
    tcp(l4, 1, 0);
    fill(ip, l4, IPPROTO_TCP);
    eq(validate(f, 66), CSUM_GOOD);
    store<u8>(ip, 7, 31); // an option
    eq(validate(f, 66), CSUM_BAD);
    ipv4(ip, 1, 8);
    put16(ip + 10, ~naiveSum(ip, 10, naiveSum(ip + 12, 8, 0)));
    eq(validate(f, 42), CSUM_NONE);
    put16(ip + 10, be16(ip + 10) ^ 1);
    eq(validate(f, 42), CSUM_BAD);
  });

  test('fragments, other protocols, source routes and malformed packets are not judged', () => {
    const len = tcpFrame(f, false, 1, 10);
    put16(f + 20, 0x2000);
    put16(f + 24, ~naiveSum(f + 14, 10, naiveSum(f + 26, 8, 0)));
    eq(validate(f, len), CSUM_NONE);
    ether(f, 0, 0x0806);
    eq(validate(f, len), CSUM_NONE);
    eq(validate(f, 10), CSUM_NONE);
    const p = ipv6(ether(f, 0, ETHERTYPE_IPV6), 43, 28);
    memory.fill(p, 0, 8);
    store<u8>(p, IPPROTO_TCP);
    tcp(p + 8, 1, 0);
    put16(p + 24, 0);
    put16(p + 24, ~naiveSum(p + 8, 20, naiveSum(f + 22, 32, 6 + 20)));
    eq(validate(f, 82), CSUM_GOOD);
    store<u8>(p, 1, 3);
    eq(validate(f, 82), CSUM_NONE);
  });
});

describe('virtio-net headers', () => {
  test('types 0, 1, 3, 4, with and without the ECN bit, and flags 0..3 are taken; all else is refused', () => {
    for (let type: u32 = 0; type < 256; type++) {
      for (let flags: u32 = 0; flags < 256; flags++) {
        memory.fill(f, 0x77, 12);
        store<u8>(f, flags);
        store<u8>(f, type, 1);
        memory.fill(hdr, 0x66, 12);
        const t = type & 0x7f;
        const good = (t == 0 || t == 1 || t == 3 || t == 4) && flags < 4;
        check(vnetRead(f, hdr) == (good ? 0 : -EINVAL), type * 256 + flags);
        if (good) check(sameBytes(f, hdr, 10) && load<u16>(hdr, 10) == 0, type * 256 + flags);
      }
    }
    expectTable();
  });

  test('fields are written little-endian, where virtio has them', () => {
    memory.fill(hdr, 0x77, 12);
    vnetWrite(hdr, 1, 0x84, 0x1234, 0x5678, 0x9abc, 0xdef0);
    eq(load<u64>(hdr), 0x9abc567812348401);
    eq(load<u32>(hdr, 8), 0x0000def0);
  });

  test('a header for a checksum, for a cut, and none for what cannot be', () => {
    packetParse(f, tcpFrame(f, true, 1, 3000, TH_ACK, 1), packet);
    eq(vnetBuild(hdr, packet, 0), 0);
    eq(load<u64>(hdr), <u64>1 | ((<u64>58) << 48));
    eq(load<u32>(hdr, 8), 16);
    eq(vnetBuild(hdr, packet, 1420), 0);
    eq(load<u64>(hdr), ((<u64>58) << 48) | ((<u64>1420) << 32) | (78 << 16) | 0x0401);
    packetParse(f, udpFrame(f, false, 30), packet);
    eq(vnetBuild(hdr, packet, 1420), -EINVAL);
    eq(vnetBuild(hdr, packet, 0), 0);
    eq(load<u64>(hdr), <u64>1 | ((<u64>34) << 48));
    eq(load<u32>(hdr, 8), 6);
    ether(f, 0, 0x0806);
    packetParse(f, 60, packet);
    eq(vnetBuild(hdr, packet, 0), -EINVAL);
  });

  test('nothing was written outside', () => {
    eq(guardsIntact(), 1);
  });
});
