// assembly/packet/headers: where headers are, what is refused, and that nothing behind the frame is looked at.
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../abi/ether';
import { IPPROTO_TCP, IPPROTO_UDP } from '../abi/inet';
import {
  PACKET_END,
  PACKET_F_AUTH,
  PACKET_F_FRAGMENT,
  PACKET_F_OPTIONS,
  PACKET_F_ROUTED,
  PACKET_FLAGS,
  PACKET_HDR_LEN,
  PACKET_L3,
  PACKET_L3_PROTO,
  PACKET_L4,
  PACKET_L4_PROTO,
  PACKET_PAYLOAD,
  PACKET_RESULT,
  PACKET_SIZE,
  PACKET_VLANS,
  PARSE_EXTENSION,
  PARSE_IP_LENGTH,
  PARSE_L4_LENGTH,
  PARSE_SHORT,
  PARSE_VERSION,
  PARSE_VLAN,
  PARSED_L2,
  PARSED_L3,
  PARSED_L4,
} from '../abi/offload';
import { packetParse } from '../packet/headers';
import { check, eq, expectTable, guarded, guardsIntact } from './include/check';
import { ether, ipv4, ipv6, put16, tcp, tcpFrame, udpFrame } from './include/offload';

const ROOM: u32 = 512;
const f = guarded(ROOM);
const packet = guarded(PACKET_SIZE);
const other = guarded(PACKET_SIZE);

function field(offset: usize): u32 {
  return load<u32>(packet + offset);
}

/** Parses, and parses again with other bytes behind the frame: the result must be the same, byte for byte. */
function parse(len: u32): i32 {
  memory.fill(f + len, 0, ROOM - len);
  const first = packetParse(f, len, other);
  memory.fill(f + len, 0xff, ROOM - len);
  const result = packetParse(f, len, packet);
  eq(result, first);
  eq(memory.compare(packet, other, PACKET_SIZE), 0);
  eq(load<i32>(packet, PACKET_RESULT), result);
  return result;
}

function expectHeaders(l3: u32, l4: u32, hdrLen: u32, payload: u32, flags: u32): void {
  eq(field(PACKET_L3), l3, 'l3');
  eq(field(PACKET_L4), l4, 'l4');
  eq(field(PACKET_HDR_LEN), hdrLen, 'header');
  eq(field(PACKET_PAYLOAD), payload, 'payload');
  eq(field(PACKET_END), hdrLen + payload, 'end');
  eq(field(PACKET_FLAGS), flags, 'flags');
}

describe('packetParse', () => {
  test('TCP over IPv4: 14 + 20 + 20', () => {
    eq(parse(tcpFrame(f, false, 1, 10)), PARSED_L4);
    expectHeaders(14, 34, 54, 10, 0);
    eq(load<u16>(packet, PACKET_L3_PROTO), ETHERTYPE_IPV4);
    eq(load<u8>(packet, PACKET_L4_PROTO), IPPROTO_TCP);
    eq(load<u8>(packet, PACKET_VLANS), 0);
  });

  test('UDP over IPv6: 14 + 40 + 8', () => {
    eq(parse(udpFrame(f, true, 10)), PARSED_L4);
    expectHeaders(14, 54, 62, 10, 0);
    eq(load<u16>(packet, PACKET_L3_PROTO), ETHERTYPE_IPV6);
    eq(load<u8>(packet, PACKET_L4_PROTO), IPPROTO_UDP);
  });

  test('up to eight VLAN tags of either kind are skipped, nine are refused', () => {
    for (let tags: u32 = 0; tags < 9; tags++) {
      eq(parse(tcpFrame(f, false, 1, 10, 16, tags)), PARSED_L4);
      expectHeaders(14 + tags * 4, 34 + tags * 4, 54 + tags * 4, 10, 0);
      eq(load<u8>(packet, PACKET_VLANS), tags);
    }
    eq(parse(tcpFrame(f, false, 1, 10, 16, 9)), -PARSE_VLAN);
  });

  test('padding behind the IP packet is not payload', () => {
    const len = tcpFrame(f, false, 1, 1);
    eq(parse(len + 5), PARSED_L4);
    expectHeaders(14, 34, 54, 1, 0);
  });

  test('other types end at the Ethernet header', () => {
    ether(f, 1, 0x0806);
    eq(parse(60), PARSED_L2);
    expectHeaders(18, 0, 18, 42, 0);
  });

  test('IPv4 and TCP options are part of the headers', () => {
    const ip = ether(f, 0, ETHERTYPE_IPV4);
    for (let words: u32 = 1; words <= 10; words++) {
      tcp(ipv4(ip, IPPROTO_TCP, 20 + words * 4 + 9, words), 1, 9, words);
      eq(parse(34 + words * 4 + 20 + words * 4 + 9), PARSED_L4);
      expectHeaders(14, 34 + words * 4, 54 + words * 8, 9, PACKET_F_OPTIONS);
    }
  });

  test('fragments are flagged, the first one too, and their L4 header is not looked at', () => {
    const len = tcpFrame(f, false, 1, 10);
    const words: u32[] = [0x2000, 0x2001, 0x0001, 0x1fff, 0x6000];
    for (let i = 0; i < words.length; i++) {
      put16(f + 20, words[i]);
      eq(parse(len), PARSED_L3);
      expectHeaders(14, 34, 34, 30, PACKET_F_FRAGMENT);
    }
    put16(f + 20, 0x8000); // the reserved bit is none
    eq(parse(len), PARSED_L4);
  });

  test('protocols without ports end at the IP header', () => {
    const ip = ether(f, 0, ETHERTYPE_IPV4);
    ipv4(ip, 1, 8);
    eq(parse(42), PARSED_L3);
    expectHeaders(14, 34, 34, 8, 0);
  });

  test('IPv4: version, header length and total length are checked', () => {
    const len = tcpFrame(f, false, 1, 10);
    store<u8>(f, 0x55, 14);
    eq(parse(len), -PARSE_VERSION);
    store<u8>(f, 0x44, 14);
    eq(parse(len), -PARSE_VERSION);
    store<u8>(f, 0x4f, 14);
    eq(parse(len), -PARSE_SHORT); // 60 bytes of header, 50 of packet
    store<u8>(f, 0x45, 14);
    put16(f + 16, 51);
    eq(parse(len), -PARSE_IP_LENGTH);
    put16(f + 16, 19);
    eq(parse(len), -PARSE_IP_LENGTH);
    put16(f + 16, 39);
    eq(parse(len), -PARSE_SHORT); // the TCP header ends behind the packet
    put16(f + 16, 40);
    eq(parse(len), PARSED_L4);
    expectHeaders(14, 34, 54, 0, 0);
  });

  test('TCP data offset and UDP length are checked', () => {
    const len = tcpFrame(f, false, 1, 10);
    store<u8>(f, 0x40, 34 + 12);
    eq(parse(len), -PARSE_L4_LENGTH);
    store<u8>(f, 0x80, 34 + 12);
    eq(parse(len), -PARSE_SHORT);
    const udp = udpFrame(f, false, 10);
    put16(f + 38, 7);
    eq(parse(udp), -PARSE_L4_LENGTH);
    put16(f + 38, 19);
    eq(parse(udp), -PARSE_L4_LENGTH);
    put16(f + 38, 9);
    eq(parse(udp), PARSED_L4);
    expectHeaders(14, 34, 42, 1, 0);
  });

  test('IPv6: version and payload length are checked; a jumbogram is refused', () => {
    const len = tcpFrame(f, true, 1, 10);
    store<u8>(f, 0x45, 14);
    eq(parse(len), -PARSE_VERSION);
    store<u8>(f, 0x60, 14);
    put16(f + 18, 31);
    eq(parse(len), -PARSE_IP_LENGTH);
    put16(f + 18, 0);
    eq(parse(len), -PARSE_SHORT);
  });

  test('a frame cut anywhere is refused, and parsed from the length on that its headers and packet have', () => {
    for (let kind: u32 = 0; kind < 4; kind++) {
      const v6 = (kind & 1) != 0;
      const len = kind < 2 ? tcpFrame(f, v6, 1, 3, 16, 2) : udpFrame(f, v6, 3);
      for (let cut: u32 = 0; cut < len; cut++) check(packetParse(f, cut, packet) < 0, kind * 1000 + cut);
      check(packetParse(f, len, packet) == PARSED_L4, kind * 1000 + len);
    }
    expectTable();
    for (let cut: u32 = 0; cut < 62; cut++) {
      udpFrame(f, true, 0);
      parse(cut); // the same whatever lies behind it
    }
  });
});

/** An IPv6 frame with `n` extension headers of 8 bytes, all of the kind, before TCP. Returns its length. */
function extended(kind: u32, n: u32): u32 {
  let p = ipv6(ether(f, 0, ETHERTYPE_IPV6), n > 0 ? kind : IPPROTO_TCP, n * 8 + 30);
  for (let i: u32 = 0; i < n; i++) {
    memory.fill(p, 0, 8);
    store<u8>(p, i + 1 < n ? kind : IPPROTO_TCP);
    p += 8;
  }
  tcp(p, 1, 10);
  return 54 + n * 8 + 30;
}

describe('IPv6 extension headers', () => {
  test('hop-by-hop, routing, destination and atomic fragment headers are skipped, eight of them at most', () => {
    const kinds: u32[] = [0, 43, 60, 44];
    for (let k = 0; k < kinds.length; k++) {
      for (let n: u32 = 1; n <= 8; n++) {
        eq(parse(extended(kinds[k], n)), PARSED_L4);
        expectHeaders(14, 54 + n * 8, 74 + n * 8, 10, PACKET_F_OPTIONS);
      }
      eq(parse(extended(kinds[k], 9)), -PARSE_EXTENSION);
    }
  });

  test('a fragment is flagged, and what follows its header is not looked at', () => {
    const len = extended(44, 1);
    put16(f + 56, 1);
    eq(parse(len), PARSED_L3);
    expectHeaders(14, 62, 62, 30, PACKET_F_OPTIONS | PACKET_F_FRAGMENT);
    put16(f + 56, 8);
    eq(parse(len), PARSED_L3);
    put16(f + 56, 6); // reserved bits
    eq(parse(len), PARSED_L4);
  });

  test('a routing header with segments left is flagged, and so is an authentication header', () => {
    const routed = extended(43, 1);
    store<u8>(f, 1, 57);
    eq(parse(routed), PARSED_L4);
    eq(field(PACKET_FLAGS), PACKET_F_OPTIONS | PACKET_F_ROUTED);
    const authenticated = extended(51, 1);
    eq(parse(authenticated), PARSED_L4);
    expectHeaders(14, 62, 82, 10, PACKET_F_OPTIONS | PACKET_F_AUTH);
    store<u8>(f, 1, 55); // in words of 4 bytes, less 2
    eq(parse(authenticated), -PARSE_L4_LENGTH); // 4 bytes on there is no TCP header
  });

  test('a header that says that it is longer than the packet is refused', () => {
    const kinds: u32[] = [0, 43, 60, 51];
    for (let k = 0; k < kinds.length; k++) {
      const len = extended(kinds[k], 1);
      store<u8>(f, 255, 55);
      eq(parse(len), -PARSE_SHORT);
    }
  });

  test('headers that end behind the packet are refused, wherever it ends', () => {
    const len = extended(0, 3);
    for (let cut: u32 = 0; cut < len; cut++) {
      extended(0, 3);
      check(parse(cut) < 0, cut);
    }
    expectTable();
    extended(0, 3);
    for (let payload: u32 = 0; payload < 44; payload++) {
      put16(f + 18, payload);
      eq(parse(len), -PARSE_SHORT);
    }
  });

  test('nothing was written outside', () => {
    eq(guardsIntact(), 1);
  });
});
