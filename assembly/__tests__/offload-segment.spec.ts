// assembly/packet/segment: the worked examples of netmap's software segmentation, flags, limits, pieces, refusals.
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../abi/ether';
import { IPPROTO_TCP, IPPROTO_UDP, TH_ACK, TH_CWR, TH_ECE, TH_FIN, TH_PUSH, TH_SYN, TH_URG } from '../abi/inet';
import {
  PARSE_IP_LENGTH,
  PARSE_SHORT,
  SEG_MAX_LEN,
  SEG_SIZE,
  SEGMENT_LIMIT,
  SEGMENT_NO_ROOM,
  SEGMENT_PROTOCOL,
} from '../abi/offload';
import {
  VIRTIO_NET_HDR_GSO_ECN,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_TCPV6,
  VIRTIO_NET_HDR_GSO_UDP,
} from '../abi/virtio-net';
import { vnetWrite } from '../packet/offload';
import { segmentNext, segmentPrepare } from '../packet/segment';
import { allBytes, check, digest, eq, expectTable, guarded, guardsIntact, sameBytes } from './include/check';
import {
  be16,
  be32,
  ether,
  fill,
  ipIsRight,
  ipv4,
  ipv6,
  l4IsRight,
  payloadByte,
  put16,
  put32,
  setPiece,
  tcp,
  tcpFrame,
  udpFrame,
} from './include/offload';

const TCPV4: u32 = VIRTIO_NET_HDR_GSO_TCPV4;
const TCPV6: u32 = VIRTIO_NET_HDR_GSO_TCPV6;
const UDP: u32 = VIRTIO_NET_HDR_GSO_UDP;

const f = guarded(66000);
const g = guarded(66000);
const out = guarded(66000);
const iov = guarded(512);
const hdr = guarded(12);
const state = guarded(SEG_SIZE);

function prepare(pieces: u32, gsoType: u32, gsoSize: u32, limit: u32): i32 {
  vnetWrite(hdr, 0, gsoType, 0, gsoSize, 0, 0);
  return segmentPrepare(iov, pieces, hdr, limit, state);
}

/** The frame at f, in one piece. */
function whole(len: u32, gsoType: u32, gsoSize: u32, limit: u32): i32 {
  setPiece(iov, 0, f, len);
  return prepare(1, gsoType, gsoSize, limit);
}

function next(): u32 {
  memory.fill(out, 0x77, 4096);
  const len = segmentNext(state, out, 4096);
  eq(allBytes(out + len, 64, 0x77), 1, 'nothing behind the segment');
  return len;
}

/** The payload at `p` is the packet's from byte `from` on. */
function payloadIs(p: usize, from: u32, len: u32): bool {
  for (let i: u32 = 0; i < len; i++) if (load<u8>(p + i) != payloadByte(from + i)) return false;
  return true;
}

describe('TCP', () => {
  test('4000 bytes over IPv4 become 1514, 1514 and 1134, ids and sequence numbers counting up', () => {
    const len = tcpFrame(f, false, 0xfffffff0, 4000);
    const before = digest(f, len);
    eq(whole(len, TCPV4, 0, 1514), 3);
    eq(load<u32>(state, SEG_MAX_LEN), 1514);
    const lengths: u32[] = [1514, 1514, 1134];
    for (let i: u32 = 0; i < 3; i++) {
      eq(next(), lengths[i]);
      eq(be16(out + 16), lengths[i] - 14, 'total length');
      eq(be16(out + 18), 7 + i, 'id');
      eq(be32(out + 38), <u32>0xfffffff0 + i * 1460, 'sequence number');
      eq(ipIsRight(out + 14) && l4IsRight(out + 14, out + 34, IPPROTO_TCP), 1, 'checksums');
      eq(payloadIs(out + 54, i * 1460, lengths[i] - 54), 1, 'payload');
      eq(sameBytes(out, f, 16), 1);
      eq(load<u32>(out, 42), load<u32>(f, 42), 'acknowledgement');
    }
    eq(next(), 0);
    eq(next(), 0);
    eq(digest(f, len), before, 'the source is as it was');
  });

  test('IPv6 has a payload length and no id; tags stay; gso_size counts payload', () => {
    const len = tcpFrame(f, true, 9, 1000, TH_ACK, 2);
    eq(whole(len, TCPV6, 400, 1514), 3);
    const payloads: u32[] = [400, 400, 200];
    for (let i: u32 = 0; i < 3; i++) {
      eq(next(), 82 + payloads[i]);
      eq(be16(out + 26), 20 + payloads[i]);
      eq(be32(out + 66), 9 + i * 400);
      eq(l4IsRight(out + 22, out + 62, IPPROTO_TCP), 1);
      eq(payloadIs(out + 82, i * 400, payloads[i]), 1);
      eq(sameBytes(out, f, 26), 1);
    }
    eq(next(), 0);
  });

  test('extension headers are in every segment, and in its payload length', () => {
    const p = ipv6(ether(f, 0, ETHERTYPE_IPV6), 60, 16 + 20 + 100);
    memory.fill(p, 0, 16);
    store<u8>(p, IPPROTO_TCP);
    store<u8>(p, 1, 1);
    tcp(p + 16, 1, 100);
    eq(whole(190, TCPV6, 60, 1514), 2);
    eq(next(), 150);
    eq(be16(out + 18), 96);
    eq(sameBytes(out + 54, f + 54, 16), 1);
    // The checksum's pseudo header has TCP and its length.
    const word = be16(out + 70 + 16);
    put16(out + 18, 80);
    memory.copy(out + 54, out + 70, 80);
    fill(out + 14, out + 54, IPPROTO_TCP);
    eq(be16(out + 54 + 16), word);
    eq(next(), 130);
  });

  test('FIN and PSH are on the last segment only, CWR on the first, everything else on all', () => {
    const all: u32 = TH_FIN | TH_PUSH | TH_ACK | TH_URG | TH_ECE | TH_CWR;
    const types: u32[] = [TCPV4, TCPV4 | VIRTIO_NET_HDR_GSO_ECN];
    for (let k = 0; k < 2; k++) {
      const len = tcpFrame(f, false, 1, 300, all);
      eq(whole(len, types[k], 100, 1514), 3);
      const expected: u32[] = [
        TH_ACK | TH_URG | TH_ECE | TH_CWR,
        TH_ACK | TH_URG | TH_ECE,
        TH_ACK | TH_URG | TH_ECE | TH_FIN | TH_PUSH,
      ];
      for (let i = 0; i < 3; i++) {
        eq(next(), 154);
        eq(load<u8>(out, 47), expected[i]);
        eq(l4IsRight(out + 14, out + 34, IPPROTO_TCP), 1);
      }
    }
  });

  test('the checksum of an IPv4 header covers its options, in every segment', () => {
    const ip = ether(f, 0, ETHERTYPE_IPV4);
    const l4 = ipv4(ip, IPPROTO_TCP, 24 + 300, 3, 0xffff);
    tcp(l4, 1, 300, 1);
    eq(whole(14 + 32 + 24 + 300, TCPV4, 100, 1514), 3);
    for (let i: u32 = 0; i < 3; i++) {
      eq(next(), 170);
      eq(be16(out + 18), (0xffff + i) & 0xffff);
      eq(ipIsRight(out + 14) && l4IsRight(out + 14, out + 46, IPPROTO_TCP), 1);
      eq(sameBytes(out + 34, f + 34, 12), 1);
    }
  });

  test('the ECN bit alone, and the type of the other version of IP, mean TCP', () => {
    const len = tcpFrame(f, false, 1, 300);
    eq(whole(len, VIRTIO_NET_HDR_GSO_ECN, 100, 1514), 3);
    eq(whole(len, TCPV6, 100, 1514), 3);
  });

  test('one segment when all fits, also without payload: it is the packet, completed', () => {
    for (let payload: u32 = 0; payload < 4; payload++) {
      const len = tcpFrame(f, false, 1, payload, TH_ACK | TH_FIN | TH_CWR | TH_SYN);
      memory.copy(g, f, len);
      put16(f + 50, 0x1234);
      put16(f + 24, 0x1234);
      eq(whole(len, TCPV4, 1000, 1514), 1);
      eq(next(), len);
      eq(sameBytes(out, g, len), 1);
      eq(next(), 0);
    }
  });

  test('64 KiB go out as 46 segments', () => {
    const len = tcpFrame(f, false, 1, 65495);
    eq(whole(len, TCPV4, 1448, 1514), 46);
    let total: u32 = 0;
    for (let i = 0; i < 46; i++) {
      const payload = next() - 54;
      eq(ipIsRight(out + 14) && l4IsRight(out + 14, out + 34, IPPROTO_TCP), 1);
      eq(payloadIs(out + 54, total, payload), 1);
      total += payload;
    }
    eq(total, 65495);
    eq(next(), 0);
  });
});

describe('UDP', () => {
  test('4000 bytes over IPv4 become 1514, 1514 and 1098: datagrams of their own, each with a length and a checksum', () => {
    const len = udpFrame(f, false, 4000);
    eq(whole(len, UDP, 0, 1514), 3);
    const lengths: u32[] = [1480, 1480, 1064];
    let sent: u32 = 0;
    for (let i: u32 = 0; i < 3; i++) {
      eq(next(), 34 + lengths[i]);
      eq(be16(out + 38), lengths[i]);
      eq(be16(out + 18), 7 + i);
      eq(be16(out + 20), 0x4000, 'no fragments');
      eq(ipIsRight(out + 14) && l4IsRight(out + 14, out + 34, IPPROTO_UDP), 1);
      eq(payloadIs(out + 42, sent, lengths[i] - 8), 1);
      sent += lengths[i] - 8;
    }
    eq(sent, 4000);
  });

  test('a computed 0 is sent as ffff', () => {
    const len = udpFrame(f, false, 4);
    put16(f + 42, 0);
    put16(f + 44, 1);
    // The second datagram's payload is chosen so that its sum is all ones.
    put16(f + 38, 10);
    put16(f + 16, 30);
    fill(f + 14, f + 34, IPPROTO_UDP);
    const word = be16(f + 40);
    put16(f + 38, 12);
    put16(f + 16, 32);
    put16(f + 44, word);
    eq(whole(len, UDP, 2, 1514), 2);
    eq(next(), 44);
    eq(be16(out + 40), word);
    eq(next(), 44);
    eq(be16(out + 40), 0xffff);
  });

  test('bytes behind the datagram are not payload', () => {
    const len = udpFrame(f, false, 100);
    put16(f + 38, 50);
    eq(whole(len, UDP, 30, 1514), 2);
    eq(next(), 72);
    eq(next(), 54);
  });
});

describe('pieces', () => {
  test('a packet cut into three anywhere, headers and odd pieces included, gives the same segments', () => {
    const len = tcpFrame(f, false, 1, 61);
    eq(whole(len, TCPV4, 21, 1514), 3);
    for (let i: u32 = 0; i < 3; i++) memory.copy(g + 30000 + i * 100, out, next());
    for (let a: u32 = 0; a <= len; a++) {
      for (let b = a; b <= len; b += 3) {
        memory.copy(g + 1, f, a);
        memory.copy(g + 1000, f + a, b - a);
        memory.copy(g + 2001, f + b, len - b);
        setPiece(iov, 0, g + 1, a);
        setPiece(iov, 1, g + 1000, b - a);
        setPiece(iov, 2, g + 2001, len - b);
        check(prepare(3, TCPV4, 21, 1514) == 3, a * 1000 + b);
        for (let i: u32 = 0; i < 3; i++) {
          const size = segmentNext(state, out, 4096);
          check(size > 0 && sameBytes(out, g + 30000 + i * 100, size), a * 1000 + b);
        }
        check(segmentNext(state, out, 4096) == 0, a * 1000 + b);
      }
    }
    expectTable();
  });

  test('padding behind the IP packet is not sent', () => {
    const len = tcpFrame(f, false, 1, 30);
    eq(whole(len + 18, TCPV4, 20, 1514), 2);
    eq(next(), 74);
    eq(next(), 64);
    eq(next(), 0);
  });
});

describe('limits and refusals', () => {
  test('the limit holds if gso_size is larger, or 0; gso_size if it is smaller', () => {
    const len = tcpFrame(f, false, 1, 1000);
    eq(whole(len, TCPV4, 1000, 154), 10);
    eq(whole(len, TCPV4, 0, 154), 10);
    eq(whole(len, TCPV4, 50, 154), 20);
    eq(whole(len, TCPV4, 1000, 55), 1000);
    eq(whole(len, TCPV4, 1000, 54), -SEGMENT_LIMIT);
    eq(whole(len, TCPV4, 1000, 0), -SEGMENT_LIMIT);
    eq(next(), 0);
  });

  test('a destination that is too small gets nothing, and may be replaced', () => {
    const len = tcpFrame(f, false, 1, 200);
    eq(whole(len, TCPV4, 100, 1514), 2);
    memory.fill(out, 0x77, 200);
    eq(segmentNext(state, out, 153), -SEGMENT_NO_ROOM);
    eq(allBytes(out, 200, 0x77), 1);
    eq(segmentNext(state, out, 154), 154);
    eq(allBytes(out + 154, 46, 0x77), 1);
    eq(next(), 154);
    eq(next(), 0);
  });

  test('another protocol than the type says, no type, fragments and source routes are refused', () => {
    const udp = udpFrame(f, false, 100);
    eq(whole(udp, TCPV4, 50, 1514), -SEGMENT_PROTOCOL);
    const len = tcpFrame(f, false, 1, 100);
    eq(whole(len, UDP, 50, 1514), -SEGMENT_PROTOCOL);
    eq(whole(len, VIRTIO_NET_HDR_GSO_NONE, 50, 1514), -SEGMENT_PROTOCOL);
    put16(f + 20, 0x2000);
    eq(whole(len, TCPV4, 50, 1514), -SEGMENT_PROTOCOL);
    ether(f, 0, 0x0806);
    eq(whole(len, TCPV4, 50, 1514), -SEGMENT_PROTOCOL);
    const kinds: u32[] = [43, 51];
    for (let k = 0; k < 2; k++) {
      const p = ipv6(ether(f, 0, ETHERTYPE_IPV6), kinds[k], 128);
      put32(p, 0x06000001);
      put32(p + 4, 0);
      tcp(p + 8, 1, 100);
      eq(whole(182, TCPV6, 50, 1514), -SEGMENT_PROTOCOL);
    }
  });

  test('malformed headers are refused with their reason; a refused packet has no segments', () => {
    const len = tcpFrame(f, false, 1, 100);
    for (let cut: u32 = 0; cut < 34; cut++) eq(whole(cut, TCPV4, 50, 1514), -PARSE_SHORT);
    for (let cut: u32 = 34; cut < len; cut++) eq(whole(cut, TCPV4, 50, 1514), -PARSE_IP_LENGTH);
    eq(next(), 0);
    eq(prepare(0, TCPV4, 50, 1514), -PARSE_SHORT);
  });

  test('nothing was written outside', () => {
    eq(guardsIntact(), 1);
  });
});
