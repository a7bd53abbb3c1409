// The flows of a receive batch that coalesce.ts may still add segments to, and which segments those are.
//
// The rules are those of Linux's GRO, so that cutting the packet again gives back what came: same Ethernet header and tags,
// addresses, ports, TTL or hop limit, TOS or class and flow label, DF; ids that count up, or with DF do not move at all; no
// IP options or extension headers; flags ACK and PSH only; no segment longer than the first. A shorter one, or PSH, is the
// last. Two rules are FreeBSD's: acknowledgements and time stamps may move on, never back, and the packet then has the last
// ones, with the last window; options other than time stamps are never merged.
import { ETHERTYPE_IPV4 } from '../abi/ether';
import {
  IPPROTO_TCP,
  IPV4_CSUM,
  IPV4_DF,
  IPV4_FRAG,
  IPV4_HDR_LEN,
  IPV4_ID,
  IPV4_SRC,
  IPV4_TOT_LEN,
  IPV4_TTL,
  IPV6_HDR_LEN,
  IPV6_HOPS,
  IPV6_PLEN,
  IPV6_SRC,
  TCP_ACK,
  TCP_CSUM,
  TCP_DOFF,
  TCP_FLAGS,
  TCP_HDR_LEN,
  TCP_SEQ,
  TCP_TS_HDR_LEN,
  TCP_TS_KIND,
  TCP_TS_KIND_LE,
  TCP_TS_VAL,
  TCP_WINDOW,
  TH_ACK,
  TH_PUSH,
} from '../abi/inet';
import {
  FLOW_ACK,
  FLOW_COUNT,
  FLOW_FRAME,
  FLOW_HDR_LEN,
  FLOW_ID,
  FLOW_ID_STEP,
  FLOW_L3,
  FLOW_L3_PROTO,
  FLOW_L4,
  FLOW_LAST_PIECE,
  FLOW_LAST_TCP,
  FLOW_LEN,
  FLOW_MSS,
  FLOW_OUT,
  FLOW_SEQ,
  FLOW_SIZE,
  FLOW_TSVAL,
  LRO_FLOW,
  LRO_FLOWS,
  LRO_HASHES,
  LRO_MAX_PIECES,
  LRO_NEXT_FLOW,
  OUT_LEN,
  OUT_PIECES,
  OUT_VNET,
  PACKET_FLAGS,
  PACKET_HDR_LEN,
  PACKET_L3,
  PACKET_L3_PROTO,
  PACKET_L4,
  PACKET_PAYLOAD,
  PIECE_ADDR,
  PIECE_LEN,
  PIECE_NEXT,
} from '../abi/offload';
import { VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_TCPV6 } from '../abi/virtio-net';
import { checksumFold } from './checksum';
import { load16, load32, store16 } from './headers';
import { ipv4Checksum, pseudoSum, vnetWrite } from './offload';

function isV4(packet: usize): bool {
  return <u32>load<u16>(packet, PACKET_L3_PROTO) == ETHERTYPE_IPV4;
}

/** A hash, never 0, of addresses and ports. */
export function flowHash(frame: usize, packet: usize): u32 {
  const ip = frame + load<u32>(packet, PACKET_L3);
  let h: u64 = load<u32>(frame + load<u32>(packet, PACKET_L4)); // the ports
  if (isV4(packet)) {
    h ^= load<u64>(ip, IPV4_SRC);
  } else {
    h ^= load<u64>(ip, IPV6_SRC) ^ rotl<u64>(load<u64>(ip, IPV6_SRC + 8), 17);
    h ^= rotl<u64>(load<u64>(ip, IPV6_SRC + 16), 31) ^ rotl<u64>(load<u64>(ip, IPV6_SRC + 24), 47);
  }
  h *= 0x9e3779b97f4a7c15;
  return <u32>(h >> 32) | 1;
}

/** The open flow of the segment's addresses and ports, 0 = none. */
export function flowFind(lro: usize, hash: u32, frame: usize, packet: usize): usize {
  for (let i: u32 = 0; i < <u32>LRO_FLOWS; i++) {
    if (load<u32>(lro + ((<usize>i) << 2), LRO_HASHES) != hash) continue;
    const flow = lro + LRO_FLOW + <usize>i * FLOW_SIZE;
    if (sameFlow(flow, frame, packet)) return flow;
  }
  return 0;
}

function sameFlow(flow: usize, frame: usize, packet: usize): bool {
  const other: usize = load<u32>(flow, FLOW_FRAME);
  const a = frame + load<u32>(packet, PACKET_L3);
  const b = other + load<u32>(flow, FLOW_L3);
  const ports = load<u32>(frame + load<u32>(packet, PACKET_L4));
  if (
    load<u32>(flow, FLOW_L3_PROTO) != <u32>load<u16>(packet, PACKET_L3_PROTO) ||
    load<u32>(other + load<u32>(flow, FLOW_L4)) != ports
  ) {
    return false;
  }
  if (isV4(packet)) return load<u64>(a, IPV4_SRC) == load<u64>(b, IPV4_SRC);
  const src = v128.xor(v128.load(a, IPV6_SRC), v128.load(b, IPV6_SRC));
  const dst = v128.xor(v128.load(a, IPV6_SRC + 16), v128.load(b, IPV6_SRC + 16));
  return !v128.any_true(v128.or(src, dst));
}

/** Whether a segment (validated, PARSED_L4, TCP) is of the kind that may be merged with others. */
export function isPlainSegment(frame: usize, packet: usize): bool {
  const l4 = load<u32>(packet, PACKET_L4);
  const tcp = frame + l4;
  const hdrLen = load<u32>(packet, PACKET_HDR_LEN) - l4;
  return (
    load<u32>(packet, PACKET_FLAGS) == 0 &&
    load<u32>(packet, PACKET_PAYLOAD) != 0 &&
    (<u32>load<u8>(tcp, TCP_FLAGS) & ~TH_PUSH) == TH_ACK &&
    (load<u8>(tcp, TCP_DOFF) & 15) == 0 && // reserved bits
    (hdrLen == TCP_HDR_LEN || (hdrLen == TCP_TS_HDR_LEN && load<u32>(tcp, TCP_TS_KIND) == TCP_TS_KIND_LE))
  );
}

/** Opens a flow with a plain segment, which is the packet `out` of the one piece. Another flow may have to end for it. */
export function flowOpen(lro: usize, hash: u32, frame: usize, packet: usize, out: usize, piece: usize): void {
  let i: u32 = 0;
  while (i < <u32>LRO_FLOWS && load<u32>(lro + ((<usize>i) << 2), LRO_HASHES) != 0) i++;
  if (i == LRO_FLOWS) {
    i = load<u32>(lro, LRO_NEXT_FLOW);
    store<u32>(lro, (i + 1) % LRO_FLOWS, LRO_NEXT_FLOW);
    flowClose(lro, lro + LRO_FLOW + <usize>i * FLOW_SIZE);
  }
  store<u32>(lro + ((<usize>i) << 2), hash, LRO_HASHES);
  const flow = lro + LRO_FLOW + <usize>i * FLOW_SIZE;
  const l3 = load<u32>(packet, PACKET_L3);
  const l4 = load<u32>(packet, PACKET_L4);
  const tcp = frame + l4;
  const hdrLen = load<u32>(packet, PACKET_HDR_LEN);
  const payload = load<u32>(packet, PACKET_PAYLOAD);
  store<u32>(flow, <u32>out, FLOW_OUT);
  store<u32>(flow, <u32>piece, FLOW_LAST_PIECE);
  store<u32>(flow, <u32>frame, FLOW_FRAME);
  store<u32>(flow, l3, FLOW_L3);
  store<u32>(flow, l4, FLOW_L4);
  store<u32>(flow, hdrLen, FLOW_HDR_LEN);
  store<u32>(flow, load<u16>(packet, PACKET_L3_PROTO), FLOW_L3_PROTO);
  store<u32>(flow, payload, FLOW_MSS);
  store<u32>(flow, 0, FLOW_COUNT);
  store<u32>(flow, hdrLen, FLOW_LEN);
  store<u32>(flow, 1, FLOW_ID_STEP);
  store<u32>(flow, load16(frame + l3 + IPV4_ID), FLOW_ID); // means nothing in IPv6
  moveOn(flow, tcp, payload, load32(tcp + TCP_SEQ));
}

/** What every segment of a flow changes. */
function moveOn(flow: usize, tcp: usize, payload: u32, seq: u32): void {
  store<u32>(flow, <u32>tcp, FLOW_LAST_TCP);
  store<u32>(flow, load<u32>(flow, FLOW_COUNT) + 1, FLOW_COUNT);
  store<u32>(flow, load<u32>(flow, FLOW_LEN) + payload, FLOW_LEN);
  store<u32>(flow, seq + payload, FLOW_SEQ);
  store<u32>(flow, load32(tcp + TCP_ACK), FLOW_ACK);
  if (load<u32>(flow, FLOW_HDR_LEN) - load<u32>(flow, FLOW_L4) == TCP_TS_HDR_LEN) {
    store<u32>(flow, load32(tcp + TCP_TS_VAL), FLOW_TSVAL);
  }
  const id = load<u32>(flow, FLOW_ID) + load<u32>(flow, FLOW_ID_STEP);
  store<u32>(flow, id & 0xffff, FLOW_ID);
}

/** Whether a plain segment of the flow's addresses and ports is the one to come next, and `limit` leaves room for it. */
export function flowContinues(flow: usize, frame: usize, packet: usize, limit: u32): bool {
  const first: usize = load<u32>(flow, FLOW_FRAME);
  const l3 = load<u32>(packet, PACKET_L3);
  const l4 = load<u32>(packet, PACKET_L4);
  const hdrLen = load<u32>(packet, PACKET_HDR_LEN);
  const payload = load<u32>(packet, PACKET_PAYLOAD);
  if (
    load<u32>(flow, FLOW_L3) != l3 ||
    load<u32>(flow, FLOW_HDR_LEN) != hdrLen ||
    payload > load<u32>(flow, FLOW_MSS) ||
    load<u32>(flow, FLOW_COUNT) >= <u32>LRO_MAX_PIECES ||
    load<u32>(flow, FLOW_LEN) + payload > limit
  ) {
    return false;
  }
  const tcp = frame + l4;
  if (load32(tcp + TCP_SEQ) != load<u32>(flow, FLOW_SEQ)) return false;
  if (<i32>(load32(tcp + TCP_ACK) - load<u32>(flow, FLOW_ACK)) < 0) return false;
  if (hdrLen - l4 == TCP_TS_HDR_LEN && <i32>(load32(tcp + TCP_TS_VAL) - load<u32>(flow, FLOW_TSVAL)) < 0) return false;
  // The Ethernet header: 14 bytes, and 4 for every tag.
  if (load<u64>(frame) != load<u64>(first) || load<u16>(frame, 8) != load<u16>(first, 8)) return false;
  for (let i: u32 = 10; i < l3; i += 4) if (load<u32>(frame + i) != load<u32>(first + i)) return false;
  return isV4(packet) ? continuesV4(flow, frame + l3, first + l3) : continuesV6(frame + l3, first + l3);
}

function continuesV4(flow: usize, ip: usize, first: usize): bool {
  const fragment = load<u16>(ip, IPV4_FRAG); // DF, or nothing
  if (load<u16>(ip) != load<u16>(first) || fragment != load<u16>(first, IPV4_FRAG)) return false;
  if (load<u8>(ip, IPV4_TTL) != load<u8>(first, IPV4_TTL)) return false;
  const id = load16(ip + IPV4_ID);
  const next = load<u32>(flow, FLOW_ID);
  if (id == next) return true;
  if (load<u32>(flow, FLOW_COUNT) != 1 || fragment != bswap<u16>(<u16>IPV4_DF) || id != ((next - 1) & 0xffff))
    return false;
  store<u32>(flow, id, FLOW_ID);
  store<u32>(flow, 0, FLOW_ID_STEP);
  return true;
}

function continuesV6(ip: usize, first: usize): bool {
  return load<u32>(ip) == load<u32>(first) && load<u8>(ip, IPV6_HOPS) == load<u8>(first, IPV6_HOPS);
}

/** Adds a segment that continues the flow, as the piece. Returns whether it must be the last. */
export function flowAppend(flow: usize, frame: usize, packet: usize, piece: usize): bool {
  const hdrLen = load<u32>(packet, PACKET_HDR_LEN);
  const payload = load<u32>(packet, PACKET_PAYLOAD);
  const mss = load<u32>(flow, FLOW_MSS);
  const last: usize = load<u32>(flow, FLOW_LAST_PIECE);
  if (load<u32>(flow, FLOW_COUNT) == 1) store<u32>(last, hdrLen + mss, PIECE_LEN); // without padding
  store<u32>(last, <u32>piece, PIECE_NEXT);
  store<u32>(piece, <u32>frame + hdrLen, PIECE_ADDR);
  store<u32>(piece, payload, PIECE_LEN);
  store<u32>(piece, 0, PIECE_NEXT);
  store<u32>(flow, <u32>piece, FLOW_LAST_PIECE);
  const tcp = frame + load<u32>(packet, PACKET_L4);
  moveOn(flow, tcp, payload, load<u32>(flow, FLOW_SEQ));
  return payload < mss || (load<u8>(tcp, TCP_FLAGS) & TH_PUSH) != 0;
}

/** Ends a flow: its packet is complete. */
export function flowClose(lro: usize, flow: usize): void {
  const i = <u32>(flow - lro - LRO_FLOW) / FLOW_SIZE;
  store<u32>(lro + ((<usize>i) << 2), 0, LRO_HASHES);
  if (load<u32>(flow, FLOW_COUNT) > 1) finish(flow);
}

export function flowCloseAll(lro: usize): void {
  for (let i: u32 = 0; i < <u32>LRO_FLOWS; i++) {
    if (load<u32>(lro + ((<usize>i) << 2), LRO_HASHES) != 0) flowClose(lro, lro + LRO_FLOW + <usize>i * FLOW_SIZE);
  }
}

/** Makes the first frame's headers those of the whole packet, and writes its virtio-net header. */
function finish(flow: usize): void {
  const out: usize = load<u32>(flow, FLOW_OUT);
  const first: usize = load<u32>(flow, FLOW_FRAME);
  const last: usize = load<u32>(flow, FLOW_LAST_TCP);
  const l3 = load<u32>(flow, FLOW_L3);
  const l4 = load<u32>(flow, FLOW_L4);
  const hdrLen = load<u32>(flow, FLOW_HDR_LEN);
  const len = load<u32>(flow, FLOW_LEN);
  const isIpv4 = load<u32>(flow, FLOW_L3_PROTO) == ETHERTYPE_IPV4;
  const ip = first + l3;
  const tcp = first + l4;
  if (isIpv4) {
    store16(ip + IPV4_TOT_LEN, len - l3);
    store<u16>(ip, 0, IPV4_CSUM);
    store<u16>(ip, ipv4Checksum(ip, IPV4_HDR_LEN), IPV4_CSUM);
  } else {
    store16(ip + IPV6_PLEN, len - l3 - IPV6_HDR_LEN);
  }
  store<u32>(tcp, load<u32>(last, TCP_ACK), TCP_ACK);
  store<u8>(tcp, load<u8>(last, TCP_FLAGS), TCP_FLAGS);
  store<u16>(tcp, load<u16>(last, TCP_WINDOW), TCP_WINDOW);
  if (hdrLen - l4 == TCP_TS_HDR_LEN) store<u64>(tcp, load<u64>(last, TCP_TS_VAL), TCP_TS_VAL); // and the echo
  const pseudo = checksumFold(pseudoSum(ip, isIpv4, IPPROTO_TCP, len - l4));
  store<u16>(tcp, ~pseudo, TCP_CSUM); // not complemented: the rest of the sum is still to come
  store<u32>(out, load<u32>(flow, FLOW_COUNT), OUT_PIECES);
  store<u32>(out, len, OUT_LEN);
  const type = isIpv4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
  vnetWrite(out + OUT_VNET, VIRTIO_NET_HDR_F_NEEDS_CSUM, type, hdrLen, load<u32>(flow, FLOW_MSS), l4, TCP_CSUM);
}
