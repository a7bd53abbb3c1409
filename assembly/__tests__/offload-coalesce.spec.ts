// assembly/packet/coalesce and flow: what is merged and what a merged packet looks like; what is not, one reason at a time.
import { E2BIG } from '../abi/errno';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_QINQ } from '../abi/ether';
import { IPPROTO_TCP, TH_ACK, TH_CWR, TH_ECE, TH_FIN, TH_PUSH, TH_RST, TH_SYN, TH_URG } from '../abi/inet';
import {
  LRO_FLOWS,
  LRO_MAX_FRAMES,
  LRO_MAX_PIECES,
  LRO_OUT,
  LRO_SIZE,
  OUT_IOV,
  OUT_LEN,
  OUT_PIECES,
  OUT_SIZE,
  OUT_VNET,
  RX_ALL,
  RX_CSUM,
  RX_CSUM6,
  RX_LRO,
} from '../abi/offload';
import { coalesceAdd, coalesceBatch, coalesceFlush, coalesceReset } from '../packet/coalesce';
import { vnetWrite } from '../packet/offload';
import { check, digest, eq, expectTable, guarded, guardsIntact } from './include/check';
import {
  be16,
  be32,
  ether,
  fill,
  ipIsRight,
  ipv4,
  ipv6,
  naivePseudo,
  payloadByte,
  put16,
  put32,
  setPiece,
  tcp,
  tcpFrame,
  udpFrame,
} from './include/offload';

const lro = guarded(LRO_SIZE);
const frames = guarded(LRO_MAX_FRAMES * 512);
const whole = guarded(66000);
const hdr = guarded(12);
const iov = guarded(LRO_MAX_FRAMES * 8 + 8);

const IP: usize = 14;
const TCP: usize = 34; // behind an IPv4 header

function frame(i: u32): usize {
  return frames + <usize>i * 512;
}

/** Segment `i` of a stream: sequence number and IPv4 id follow from `i`. `words` of TCP options are time stamps if 3. */
function segment(i: u32, v6: bool = false, size: u32 = 100, words: u32 = 0, port: u32 = 1000): u32 {
  const at = frame(i);
  const ip = ether(at, 0, v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4);
  const len = 20 + words * 4 + size;
  const l4 = v6 ? ipv6(ip, IPPROTO_TCP, len) : ipv4(ip, IPPROTO_TCP, len, 0, 0xfffe + i);
  tcp(l4, <u32>0xffffff00 + i * 100, size, words);
  put16(l4, port);
  if (words == 3) {
    put32(l4 + 20, 0x0101080a);
    put32(l4 + 24, <u32>0xfffffffe + i);
    put32(l4 + 28, 77 + i);
  }
  fill(ip, l4, IPPROTO_TCP);
  return <u32>(l4 - at) + len;
}

function fix(i: u32): void {
  fill(frame(i) + IP, frame(i) + TCP, IPPROTO_TCP);
}

function add(i: u32, len: u32): void {
  eq(coalesceAdd(lro, frame(i), len, 0), 1);
}

function out(i: u32, offset: usize): u32 {
  return load<u32>(lro + LRO_OUT + <usize>i * OUT_SIZE + offset);
}

function vnet(i: u32): usize {
  return lro + LRO_OUT + <usize>i * OUT_SIZE + OUT_VNET;
}

/** Puts the pieces of output packet `i` together at `whole`; returns the length. */
function gather(i: u32): u32 {
  let len: u32 = 0;
  const pieces: usize = out(i, OUT_IOV);
  for (let k: u32 = 0; k < out(i, OUT_PIECES); k++) {
    const piece = pieces + <usize>k * 8;
    memory.copy(whole + len, load<u32>(piece), load<u32>(piece, 4));
    len += load<u32>(piece, 4);
  }
  eq(len, out(i, OUT_LEN), 'length');
  return len;
}

/** Output packet `i` is frame `k`, as it is, and its checksum was right. */
function isFrame(i: u32, k: u32, len: u32, flags: u32 = 2): bool {
  return (
    out(i, OUT_PIECES) == 1 &&
    out(i, OUT_LEN) == len &&
    load<u32>(out(i, OUT_IOV)) == <u32>frame(k) &&
    load<u64>(vnet(i)) == flags &&
    load<u32>(vnet(i), 8) == 0
  );
}

describe('merging', () => {
  test('three IPv4 segments become one: lengths, checksums, id and sequence number of the first', () => {
    coalesceReset(lro, 65535, RX_ALL);
    for (let i: u32 = 0; i < 3; i++) add(i, segment(i));
    eq(coalesceFlush(lro), 1);
    eq(out(0, OUT_PIECES), 3);
    eq(gather(0), 354);
    eq(be16(whole + IP + 2), 340);
    eq(be16(whole + IP + 4), 0xfffe);
    eq(ipIsRight(whole + IP), 1);
    eq(be32(whole + TCP + 4), 0xffffff00);
    eq(load<u8>(whole + TCP, 13), TH_ACK);
    eq(be16(whole + TCP + 16), naivePseudo(whole + IP, whole + TCP, IPPROTO_TCP), 'partial checksum');
    for (let i: u32 = 0; i < 300; i++) check(load<u8>(whole + 54 + i) == payloadByte(i % 100), i);
    expectTable();
    // NEEDS_CSUM, TCPV4, 54 bytes of header, 100 of payload, from 34, at 16.
    eq(load<u64>(vnet(0)), <u64>0x0101 | (54 << 16) | ((<u64>100) << 32) | ((<u64>34) << 48));
    eq(load<u32>(vnet(0), 8), 16);
  });

  test('IPv6 segments with time stamps: the last ones, with the last acknowledgement and window', () => {
    coalesceReset(lro, 65535, RX_ALL);
    for (let i: u32 = 0; i < 3; i++) {
      const len = segment(i, true, 100, 3);
      const l4 = frame(i) + 54;
      put32(l4 + 8, <u32>0xfffffffe + i * 3);
      put16(l4 + 14, 100 + i);
      fill(frame(i) + IP, l4, IPPROTO_TCP);
      add(i, len);
    }
    eq(coalesceFlush(lro), 1);
    eq(gather(0), 386);
    const l4 = whole + 54;
    eq(be16(whole + IP + 4), 332);
    eq(be32(l4 + 8), 4);
    eq(be16(l4 + 14), 102);
    eq(be32(l4 + 24), 0);
    eq(be32(l4 + 28), 79);
    eq(be16(l4 + 16), naivePseudo(whole + IP, l4, IPPROTO_TCP));
    eq(load<u64>(vnet(0)), <u64>0x0401 | (86 << 16) | ((<u64>100) << 32) | ((<u64>54) << 48));
  });

  test('PSH and a shorter segment are the last of a packet; a longer one is the first of the next', () => {
    coalesceReset(lro, 65535, RX_ALL);
    add(0, segment(0));
    const pushed = segment(1);
    store<u8>(frame(1) + TCP, TH_ACK | TH_PUSH, 13);
    fix(1);
    add(1, pushed);
    add(2, segment(2));
    add(3, segment(3, false, 99));
    put32(frame(4) + TCP + 4, 0);
    const odd = segment(4);
    put32(frame(4) + TCP + 4, be32(frame(4) + TCP + 4) - 1); // follows the shorter one
    fix(4);
    add(4, odd);
    add(5, segment(5, false, 101));
    eq(coalesceFlush(lro), 4);
    eq(out(0, OUT_PIECES), 2);
    eq(gather(0), 254);
    eq(load<u8>(whole + TCP, 13), TH_ACK | TH_PUSH);
    eq(out(1, OUT_PIECES), 2);
    eq(gather(1), 253);
    eq(isFrame(2, 4, 154) && isFrame(3, 5, 155), 1);
  });

  test('Ethernet padding is left out of a merged packet, and kept in a frame that goes alone', () => {
    coalesceReset(lro, 65535, RX_ALL);
    for (let i: u32 = 0; i < 3; i++) {
      const len = segment(i, false, 2);
      put32(frame(i) + TCP + 4, 100 + i * 2);
      fix(i);
      memory.fill(frame(i) + len, 0x99, 4);
      add(i, len + 4);
    }
    const alone = segment(3, false, 2, 0, 2000);
    memory.fill(frame(3) + alone, 0x99, 4);
    add(3, alone + 4);
    eq(coalesceFlush(lro), 2);
    eq(gather(0), 60);
    eq(isFrame(1, 3, 60), 1);
  });

  test('with DF an id that stays is as good as one that counts up; without, or by turns, it is not', () => {
    const ids: u32[] = [5, 5, 5, 5, 6, 7, 5, 5, 6, 5, 6, 6];
    const pieces: u32[] = [3, 3, 2, 2];
    for (let k: u32 = 0; k < 4; k++) {
      coalesceReset(lro, 65535, RX_ALL);
      for (let i: u32 = 0; i < 3; i++) {
        const len = segment(i);
        put16(frame(i) + IP + 4, ids[k * 3 + i]);
        fix(i);
        add(i, len);
      }
      eq(coalesceFlush(lro), pieces[k] == 3 ? 1 : 2);
      eq(out(0, OUT_PIECES), pieces[k]);
    }
    coalesceReset(lro, 65535, RX_ALL);
    for (let i: u32 = 0; i < 2; i++) {
      const len = segment(i);
      put16(frame(i) + IP + 4, 5);
      put16(frame(i) + IP + 6, 0);
      fix(i);
      add(i, len);
    }
    eq(coalesceFlush(lro), 2);
  });

  test('no packet is longer than the limit, or has more than 64 pieces', () => {
    coalesceReset(lro, 354, RX_ALL);
    for (let i: u32 = 0; i < 7; i++) add(i, segment(i));
    eq(coalesceFlush(lro), 3);
    eq(out(0, OUT_LEN), 354);
    eq(out(1, OUT_LEN), 354);
    eq(isFrame(2, 6, 154), 1);
    coalesceReset(lro, 65535, RX_ALL);
    for (let i: u32 = 0; i < 70; i++) add(i, segment(i));
    eq(coalesceFlush(lro), 2);
    eq(out(0, OUT_PIECES), LRO_MAX_PIECES);
    eq(out(1, OUT_PIECES), 6);
  });

  test('sixteen flows in turn are merged; with seventeen each ends the next, and nothing is lost', () => {
    for (let n: u32 = LRO_FLOWS; n <= <u32>LRO_FLOWS + 1; n++) {
      coalesceReset(lro, 65535, RX_ALL);
      for (let i: u32 = 0; i < n * 3; i++) {
        const len = segment(i, false, 100, 0, 1000 + (i % n));
        put32(frame(i) + TCP + 4, 100 + (i / n) * 100);
        put16(frame(i) + IP + 4, i / n);
        fix(i);
        add(i, len);
      }
      const count = coalesceFlush(lro);
      eq(count, n == LRO_FLOWS ? n : n * 3);
      for (let i: u32 = 0; i < count; i++) {
        check(out(i, OUT_PIECES) == (n == LRO_FLOWS ? 3 : 1), n * 100 + i);
        check(be16(<usize>load<u32>(out(i, OUT_IOV)) + TCP) == 1000 + (i % n), n * 100 + i);
      }
      expectTable();
    }
  });
});

// Changes of a segment that keep it from being merged: bits, offset, value.
// biome-ignore format: a table
const CHANGES: u32[] = [
  8, 14 + 1, 1, // TOS
  8, 14 + 8, 63, // TTL
  16, 14 + 6, 0, // DF
  16, 14 + 4, 3, // id
  32, 34 + 4, 0xffffff65, // sequence number: a byte is missing
  32, 34 + 4, 0xffffff63, // a byte overlaps
  8, 34 + 12, 0x51, // reserved bit
  8, 34 + 13, TH_ACK | TH_FIN,
  8, 34 + 13, TH_ACK | TH_PUSH | TH_FIN,
  8, 34 + 13, TH_ACK | TH_SYN,
  8, 34 + 13, TH_ACK | TH_RST,
  8, 34 + 13, TH_ACK | TH_URG,
  8, 34 + 13, TH_ACK | TH_ECE,
  8, 34 + 13, TH_ACK | TH_CWR,
  8, 34 + 13, 0,
];
const NCHANGES: u32 = 15;

/** Makes change `how` to a segment, or (from NCHANGES on) changes a bit of an Ethernet address. */
function change(at: usize, how: u32): void {
  if (how >= NCHANGES) {
    const p = at + how - NCHANGES;
    store<u8>(p, load<u8>(p) ^ 1);
    return;
  }
  const width = CHANGES[how * 3];
  const p = at + CHANGES[how * 3 + 1];
  const value = CHANGES[how * 3 + 2];
  if (width == 8) store<u8>(p, value);
  else if (width == 16) put16(p, value);
  else put32(p, value);
}

describe('what is not merged', () => {
  test('every difference but in what may differ: three packets, unchanged, in order', () => {
    for (let how: u32 = 0; how < NCHANGES + 12; how++) {
      coalesceReset(lro, 65535, RX_ALL);
      const len = segment(0);
      segment(1);
      segment(2);
      change(frame(1), how);
      fix(1);
      const before = digest(frame(1), len);
      for (let i: u32 = 0; i < 3; i++) add(i, len);
      check(coalesceFlush(lro) == 3, how);
      for (let i: u32 = 0; i < 3; i++) check(isFrame(i, i, len), how * 10 + i);
      check(digest(frame(1), len) == before, how);
    }
    expectTable();
  });

  test('IPv6: traffic class, flow label and hop limit', () => {
    const places: u32[] = [0, 1, 2, 3, 7];
    for (let k = 0; k < places.length; k++) {
      coalesceReset(lro, 65535, RX_ALL);
      for (let i: u32 = 0; i < 2; i++) {
        const len = segment(i, true);
        if (i == 1) store<u8>(frame(1) + IP + places[k], load<u8>(frame(1) + IP + places[k]) ^ 1);
        if (i == 1 && places[k] == 0) store<u8>(frame(1) + IP, 0x61);
        add(i, len);
      }
      eq(coalesceFlush(lro), 2);
    }
  });

  test('time stamps or acknowledgements that go back, other options, options on one side only', () => {
    for (let how: u32 = 0; how < 5; how++) {
      coalesceReset(lro, 65535, RX_ALL);
      for (let i: u32 = 0; i < 2; i++) {
        const len = segment(i, false, 100, how == 2 ? i * 3 : 3);
        if (how == 0 && i == 1) put32(frame(i) + TCP + 24, 0xfffffffd);
        if (how == 1) put32(frame(i) + TCP + 20, 0x01010502);
        if (how == 3) put32(frame(i) + TCP + 20, 0x080a0101);
        if (how == 4) put32(frame(i) + TCP + 8, 5000 - i);
        fix(i);
        add(i, len);
      }
      eq(coalesceFlush(lro), 2);
    }
  });

  test('IPv4 options, tags that differ, segments without data', () => {
    coalesceReset(lro, 65535, RX_ALL);
    for (let i: u32 = 0; i < 2; i++) {
      const ip = ether(frame(i), 0, ETHERTYPE_IPV4);
      const l4 = ipv4(ip, IPPROTO_TCP, 120, 1, i);
      tcp(l4, 1 + i * 100, 100);
      fill(ip, l4, IPPROTO_TCP);
      add(i, 158);
    }
    eq(coalesceFlush(lro), 2);
    coalesceReset(lro, 65535, RX_ALL);
    for (let i: u32 = 0; i < 3; i++) {
      const len = tcpFrame(frame(i), true, 1 + i * 100, 100, TH_ACK, 1);
      if (i == 2) put16(frame(i) + 14, 101);
      add(i, len);
    }
    eq(coalesceFlush(lro), 2);
    eq(out(0, OUT_PIECES), 2);
    coalesceReset(lro, 65535, RX_ALL);
    for (let i: u32 = 0; i < 3; i++) add(i, segment(i, false, 0));
    eq(coalesceFlush(lro), 3);
  });

  test('more than one tag, or one of another kind: no header speaks of such frames', () => {
    for (let how: u32 = 0; how < 2; how++) {
      coalesceReset(lro, 65535, RX_ALL);
      let len: u32 = 0;
      for (let i: u32 = 0; i < 2; i++) {
        len = tcpFrame(frame(i), true, 1 + i * 100, 100, TH_ACK, 1 + how);
        if (how == 0) put16(frame(i) + 12, ETHERTYPE_QINQ);
        add(i, len);
      }
      eq(coalesceFlush(lro), 2);
      eq(isFrame(0, 0, len, 0) && isFrame(1, 1, len, 0), 1);
    }
  });

  test('a wrong checksum: the frame goes on without DATA_VALID, and ends its flow', () => {
    coalesceReset(lro, 65535, RX_ALL);
    for (let i: u32 = 0; i < 3; i++) {
      const len = segment(i);
      if (i == 1) store<u8>(frame(i) + 60, 0);
      add(i, len);
    }
    eq(coalesceFlush(lro), 3);
    eq(isFrame(0, 0, 154) && isFrame(1, 1, 154, 0) && isFrame(2, 2, 154), 1);
  });

  test('other traffic ends no flow; a fragment or a malformed packet ends all', () => {
    for (let how: u32 = 0; how < 4; how++) {
      coalesceReset(lro, 65535, RX_ALL);
      add(0, segment(0));
      const at = frame(1);
      let len = udpFrame(at, false, 10);
      if (how == 1) ether(at, 0, 0x0806);
      if (how == 2) len = 20;
      if (how == 3) len = segment(1);
      if (how == 3) put16(at + IP + 6, 0x2000);
      add(1, len);
      segment(2);
      put32(frame(2) + TCP + 4, 0xffffff64);
      put16(frame(2) + IP + 4, 0xffff);
      fix(2);
      add(2, 154);
      eq(coalesceFlush(lro), how < 2 ? 2 : 3);
    }
  });
});

describe('frames with a header', () => {
  test('NEEDS_CSUM and GSO go through with it; DATA_VALID is believed, but not for the IPv4 header', () => {
    coalesceReset(lro, 65535, RX_ALL);
    const len = segment(0);
    put16(frame(0) + TCP + 16, 0x1234); // nobody sums
    vnetWrite(hdr, 2, 0, 0, 0, 0, 0);
    eq(coalesceAdd(lro, frame(0), len, hdr), 1);
    segment(1);
    eq(coalesceAdd(lro, frame(1), len, hdr), 1);
    segment(2);
    vnetWrite(hdr, 1, 0, 0, 0, 34, 6); // not TCP's place
    eq(coalesceAdd(lro, frame(2), len, hdr), 1);
    segment(3);
    vnetWrite(hdr, 1, 1, 54, 50, 34, 16);
    eq(coalesceAdd(lro, frame(3), len, hdr), 1);
    segment(4);
    put16(frame(4) + IP + 10, 0x1234);
    vnetWrite(hdr, 2, 0, 0, 0, 0, 0);
    eq(coalesceAdd(lro, frame(4), len, hdr), 1);
    segment(5);
    vnetWrite(hdr, 0, 0, 0, 0, 0, 0);
    eq(coalesceAdd(lro, frame(5), len, hdr), 1);
    segment(6);
    vnetWrite(hdr, 2, 1, 54, 50, 0, 0);
    eq(coalesceAdd(lro, frame(6), len, hdr), 1);
    eq(coalesceFlush(lro), 6);
    eq(out(0, OUT_PIECES), 2);
    eq(load<u64>(vnet(1)), <u64>1 | ((<u64>34) << 48));
    eq(load<u32>(vnet(1), 8), 6);
    eq(load<u64>(vnet(2)), <u64>0x0101 | (54 << 16) | ((<u64>50) << 32) | ((<u64>34) << 48));
    eq(isFrame(3, 4, len) && isFrame(4, 5, len), 1);
    eq(load<u64>(vnet(5)), <u64>0x0102 | (54 << 16) | ((<u64>50) << 32));
  });
});

describe('what the stack does not want', () => {
  test('NEEDS_CSUM segments are merged with others; a single one keeps its header', () => {
    coalesceReset(lro, 65535, RX_ALL);
    const len = segment(0);
    vnetWrite(hdr, 1, 0, 0, 0, 34, 16);
    eq(coalesceAdd(lro, frame(0), len, hdr), 1);
    segment(1);
    vnetWrite(hdr, 0, 0, 0, 0, 0, 0);
    eq(coalesceAdd(lro, frame(1), len, hdr), 1);
    segment(9);
    vnetWrite(hdr, 1, 0, 0, 0, 34, 16);
    eq(coalesceAdd(lro, frame(9), len, hdr), 1);
    eq(coalesceFlush(lro), 2);
    eq(out(0, OUT_PIECES), 2);
    eq(load<u64>(vnet(1)), <u64>1 | ((<u64>34) << 48));
  });

  test('without RX_LRO frames are validated and not merged; without RX_CSUM nothing is done to IPv4, nor without RX_CSUM6 to IPv6', () => {
    for (let caps: u32 = 0; caps <= <u32>RX_ALL; caps++) {
      coalesceReset(lro, 65535, caps);
      for (let i: u32 = 0; i < 2; i++) {
        const len = segment(i);
        eq(coalesceAdd(lro, frame(i), len, 0), 1);
      }
      for (let i: u32 = 2; i < 4; i++) {
        const len = segment(i, true);
        eq(coalesceAdd(lro, frame(i), len, 0), 1);
      }
      const lro4 = (caps & RX_LRO) != 0 && (caps & RX_CSUM) != 0;
      const lro6 = (caps & RX_LRO) != 0 && (caps & RX_CSUM6) != 0;
      const n = coalesceFlush(lro);
      eq(n, 4 - (lro4 ? 1 : 0) - (lro6 ? 1 : 0));
      eq(load<u8>(vnet(0)), lro4 ? 1 : (caps & RX_CSUM) != 0 ? 2 : 0);
      eq(load<u8>(vnet(n - 1)), lro6 ? 1 : (caps & RX_CSUM6) != 0 ? 2 : 0);
    }
  });
});

describe('batches', () => {
  test('coalesceBatch is reset, frames, flush; a full batch takes no more', () => {
    for (let i: u32 = 0; i < <u32>LRO_MAX_FRAMES; i++) setPiece(iov, i, frame(i), segment(i));
    eq(coalesceBatch(lro, iov, LRO_MAX_FRAMES, 65535), LRO_MAX_FRAMES / LRO_MAX_PIECES);
    eq(coalesceAdd(lro, frame(0), 154, 0), 0);
    eq(coalesceBatch(lro, iov, LRO_MAX_FRAMES + 1, 65535), -E2BIG);
    eq(coalesceBatch(lro, iov, 0, 65535), 0);
    eq(coalesceFlush(lro), 0);
  });

  test('nothing was written outside', () => {
    eq(guardsIntact(), 1);
  });
});
