// Segmentation in software (the GSO branch of bdg_mismatch_datapath): a packet that a stack left to its device to cut
// becomes frames for a destination that takes no virtio-net headers. The caller prepares a packet, and then asks for one
// segment after the other, giving each a place; nothing is written to the source.
//
// DIFF: netmap ignores gso_size, wants all headers in the first fragment, knows no extension headers, sums 20 bytes of an
// IPv4 header with options, leaves CWR on every segment, takes what lies behind the IP packet for payload, and sends
// nothing at all for a packet without payload. A packet whose protocol is not that of gso_type is refused here.
import { ETHERTYPE_IPV4 } from '../abi/ether';
import {
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPV4_CSUM,
  IPV4_ID,
  IPV4_TOT_LEN,
  IPV6_HDR_LEN,
  IPV6_PLEN,
  TCP_CSUM,
  TCP_FLAGS,
  TCP_SEQ,
  TH_CWR,
  TH_FIN,
  TH_PUSH,
  UDP_CSUM,
  UDP_LEN,
} from '../abi/inet';
import {
  IOV_ADDR,
  IOV_LEN,
  IOV_SIZE,
  PACKET_F_AUTH,
  PACKET_F_ROUTED,
  PACKET_FLAGS,
  PACKET_HDR_LEN,
  PACKET_L3,
  PACKET_L3_PROTO,
  PACKET_L4,
  PACKET_L4_PROTO,
  PACKET_PAYLOAD,
  PARSED_L4,
  SEG_COUNT,
  SEG_FRAG,
  SEG_HEADER,
  SEG_HEADER_SIZE,
  SEG_ID,
  SEG_L3_SUM,
  SEG_L4_SUM,
  SEG_LEFT,
  SEG_MAX_LEN,
  SEG_MSS,
  SEG_OFS,
  SEG_PACKET,
  SEG_SEQ,
  SEG_TCP_FLAGS,
  SEGMENT_LIMIT,
  SEGMENT_NO_ROOM,
  SEGMENT_PROTOCOL,
} from '../abi/offload';
import {
  VIRTIO_NET_HDR_GSO_ECN,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_NET_HDR_GSO_SIZE,
  VIRTIO_NET_HDR_GSO_TYPE,
  VIRTIO_NET_HDR_GSO_UDP,
} from '../abi/virtio-net';
import { checksumAdd, checksumCopy, checksumFold } from './checksum';
import { packetCopy } from './copy';
import { headersParse, load16, load32, store16, store32 } from './headers';
import { iovLength, pseudoSum } from './offload';

/**
 * Begins to cut the packet of `n` pieces at `iov` (cut anywhere, without its virtio-net header) as the header at `hdr`,
 * read and checked by vnetRead, asks: segments of at most `limit` bytes, counted as the whole frame, and of at most
 * gso_size bytes of payload unless that is 0. Returns the number of segments, or a negative reason (-PARSE_*, -SEGMENT_*).
 * `iov` and the struct segmenter `state` are private and stay as they are until the last segment is out.
 */
export function segmentPrepare(iov: usize, n: u32, hdr: usize, limit: u32, state: usize): i32 {
  store<u32>(state, 0, SEG_COUNT);
  const len = <u32>min<u64>(iovLength(iov, n), u32.MAX_VALUE);
  const avail = min<u32>(len, SEG_HEADER_SIZE);
  const header = state + SEG_HEADER;
  const packet = state + SEG_PACKET;
  gatherHeader(iov, avail, header);
  const result = headersParse(header, avail, len, packet);
  if (result < 0) return result;
  const gsoType = <u32>load<u8>(hdr, VIRTIO_NET_HDR_GSO_TYPE);
  // The ECN bit alone means TCP, as in netmap; so does either TCP type, whatever the version of IP.
  const isUdp = (gsoType & ~VIRTIO_NET_HDR_GSO_ECN) == VIRTIO_NET_HDR_GSO_UDP;
  const proto: u32 = isUdp ? IPPROTO_UDP : IPPROTO_TCP;
  if (
    gsoType == VIRTIO_NET_HDR_GSO_NONE ||
    result != PARSED_L4 ||
    <u32>load<u8>(packet, PACKET_L4_PROTO) != proto ||
    (load<u32>(packet, PACKET_FLAGS) & (PACKET_F_ROUTED | PACKET_F_AUTH)) != 0
  ) {
    return -SEGMENT_PROTOCOL;
  }
  const hdrLen = load<u32>(packet, PACKET_HDR_LEN);
  if (hdrLen >= limit) return -SEGMENT_LIMIT;
  const payload = load<u32>(packet, PACKET_PAYLOAD);
  const gsoSize = <u32>load<u16>(hdr, VIRTIO_NET_HDR_GSO_SIZE);
  const mss = min<u32>(limit - hdrLen, gsoSize == 0 ? u32.MAX_VALUE : gsoSize);
  const count = payload == 0 ? 1 : (payload + mss - 1) / mss;
  store<u32>(state, mss, SEG_MSS);
  store<u32>(state, payload, SEG_LEFT);
  store<u32>(state, count, SEG_COUNT);
  store<u32>(state, hdrLen + min<u32>(mss, payload), SEG_MAX_LEN);
  prepareHeader(state, header, packet, proto);
  let skip = hdrLen;
  while (skip != 0 && skip >= load<u32>(iov, IOV_LEN)) {
    skip -= load<u32>(iov, IOV_LEN);
    iov += IOV_SIZE;
  }
  store<u32>(state, <u32>iov, SEG_FRAG);
  store<u32>(state, skip, SEG_OFS);
  return count;
}

/** Copies the first `len` bytes of a packet that has as many. */
function gatherHeader(iov: usize, len: u32, dst: usize): void {
  while (len != 0) {
    const m = min<u32>(load<u32>(iov, IOV_LEN), len);
    packetCopy(dst, load<u32>(iov, IOV_ADDR), m);
    dst += m;
    len -= m;
    iov += IOV_SIZE;
  }
}

/** Takes what differs between segments out of the header, and sums the rest once. */
function prepareHeader(state: usize, header: usize, packet: usize, proto: u32): void {
  const isV4 = <u32>load<u16>(packet, PACKET_L3_PROTO) == ETHERTYPE_IPV4;
  const ip = header + load<u32>(packet, PACKET_L3);
  const l4 = header + load<u32>(packet, PACKET_L4);
  if (isV4) {
    store<u32>(state, load16(ip + IPV4_ID), SEG_ID);
    store<u16>(ip, 0, IPV4_TOT_LEN);
    store<u16>(ip, 0, IPV4_ID);
    store<u16>(ip, 0, IPV4_CSUM);
    store<u32>(state, fold(checksumAdd(ip, <u32>(l4 - ip), 0)), SEG_L3_SUM);
  }
  if (proto == IPPROTO_TCP) {
    store<u32>(state, load32(l4 + TCP_SEQ), SEG_SEQ);
    store<u32>(state, load<u8>(l4, TCP_FLAGS), SEG_TCP_FLAGS);
    store<u32>(l4, 0, TCP_SEQ);
    store<u8>(l4, 0, TCP_FLAGS);
    store<u16>(l4, 0, TCP_CSUM);
  } else {
    store<u16>(l4, 0, UDP_LEN);
    store<u16>(l4, 0, UDP_CSUM);
  }
  const l4Len = <u32>(header + load<u32>(packet, PACKET_HDR_LEN) - l4);
  store<u32>(state, fold(checksumAdd(l4, l4Len, pseudoSum(ip, isV4, proto, 0))), SEG_L4_SUM);
}

function fold(sum: u64): u32 {
  return ~checksumFold(sum) & 0xffff;
}

/**
 * Writes the next segment to the `dstSize` bytes at `dst`. Returns its length; 0 when there is none left;
 * -SEGMENT_NO_ROOM, with nothing done, when it does not fit.
 */
export function segmentNext(state: usize, dst: usize, dstSize: u32): i32 {
  const count = load<u32>(state, SEG_COUNT);
  if (count == 0) return 0;
  const packet = state + SEG_PACKET;
  const hdrLen = load<u32>(packet, PACKET_HDR_LEN);
  const left = load<u32>(state, SEG_LEFT);
  const payload = min<u32>(left, load<u32>(state, SEG_MSS));
  const len = hdrLen + payload;
  if (len > dstSize) return -SEGMENT_NO_ROOM;
  packetCopy(dst, state + SEG_HEADER, hdrLen);
  const sum = copyPayload(state, dst + hdrLen, payload);
  store<u32>(state, left - payload, SEG_LEFT);
  store<u32>(state, count - 1, SEG_COUNT);

  const l3 = load<u32>(packet, PACKET_L3);
  const ip = dst + l3;
  if (<u32>load<u16>(packet, PACKET_L3_PROTO) == ETHERTYPE_IPV4) {
    const id = load<u32>(state, SEG_ID);
    const totLen = <u32>bswap<u16>(<u16>(len - l3));
    const idWord = <u32>bswap<u16>(<u16>id);
    store<u16>(ip, totLen, IPV4_TOT_LEN);
    store<u16>(ip, idWord, IPV4_ID);
    store<u16>(ip, checksumFold(<u64>load<u32>(state, SEG_L3_SUM) + totLen + idWord), IPV4_CSUM);
    store<u32>(state, id + 1, SEG_ID);
  } else {
    store16(ip + IPV6_PLEN, len - l3 - IPV6_HDR_LEN);
  }
  const l4 = load<u32>(packet, PACKET_L4);
  const l4Sum = sum + load<u32>(state, SEG_L4_SUM);
  if (<u32>load<u8>(packet, PACKET_L4_PROTO) == IPPROTO_TCP) {
    finishTcp(state, dst + l4, len - l4, payload, l4Sum, count == 1);
  } else {
    finishUdp(dst + l4, len - l4, l4Sum);
  }
  return len;
}

/** RFC 9293; FIN and PSH belong to the last segment, CWR to the first (RFC 3168, 6.1.2), the other flags to all. */
function finishTcp(state: usize, tcp: usize, len: u32, payload: u32, sum: u64, isLast: bool): void {
  const seq = load<u32>(state, SEG_SEQ);
  const flags = load<u32>(state, SEG_TCP_FLAGS);
  const sent: u32 = isLast ? flags : flags & ~(TH_FIN | TH_PUSH);
  store32(tcp + TCP_SEQ, seq);
  store<u8>(tcp, sent, TCP_FLAGS);
  sum += <u64>bswap<u32>(seq) + (sent << 8) + <u32>bswap<u16>(<u16>len);
  store<u16>(tcp, checksumFold(sum), TCP_CSUM);
  store<u32>(state, seq + payload, SEG_SEQ);
  store<u32>(state, flags & ~TH_CWR, SEG_TCP_FLAGS);
}

/** Each segment is a datagram of its own, as in netmap: no IP fragments. */
function finishUdp(udp: usize, len: u32, sum: u64): void {
  const word = <u32>bswap<u16>(<u16>len);
  store<u16>(udp, word, UDP_LEN);
  const value = checksumFold(sum + word + word); // in the pseudo header too
  store<u16>(udp, value == 0 ? 0xffff : value, UDP_CSUM);
}

/** Copies the next `len` bytes of payload, and returns their sum. The headers are of even length. */
function copyPayload(state: usize, dst: usize, len: u32): u64 {
  let frag: usize = load<u32>(state, SEG_FRAG);
  let ofs = load<u32>(state, SEG_OFS);
  let sum: u64 = 0;
  let odd: u32 = 0;
  while (len != 0) {
    const room = load<u32>(frag, IOV_LEN) - ofs;
    const m = min<u32>(room, len);
    sum += checksumCopy(dst, <usize>load<u32>(frag, IOV_ADDR) + ofs, m, 0) << (odd << 3);
    odd ^= m & 1;
    dst += m;
    len -= m;
    ofs += m;
    if (m == room) {
      frag += IOV_SIZE;
      ofs = 0;
    }
  }
  store<u32>(state, <u32>frag, SEG_FRAG);
  store<u32>(state, ofs, SEG_OFS);
  return sum;
}
