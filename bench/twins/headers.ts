// assembly/packet/headers.ts, and the checksums of offload.ts, in JavaScript: TCP over IPv4 and IPv6 without tags and
// extension headers, the rest behind the same tests. Sums are of little-endian words, as they lie in memory.
import { abi } from 'ptnet';
import { checksumAdd, checksumFold } from './checksum.js';
import { type Memory, notInTheBench } from './memory.js';

const { CSUM_BAD, CSUM_GOOD, CSUM_NONE, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_QINQ, ETHERTYPE_VLAN } = abi;
const { ETHER_HDR_LEN, ETHER_TYPE, IPPROTO_AH, IPPROTO_DSTOPTS, IPPROTO_FRAGMENT, IPPROTO_HOPOPTS } = abi;
const { IPPROTO_ROUTING, IPPROTO_TCP, IPV4_FRAG, IPV4_FRAG_MASK, IPV4_HDR_LEN, IPV4_PROTO, IPV4_SRC } = abi;
const { IPV4_TOT_LEN, IPV6_HDR_LEN, IPV6_NEXT, IPV6_PLEN, IPV6_SRC, PACKET_F_FRAGMENT, PACKET_F_OPTIONS } = abi;
const { PACKET_F_ROUTED, PARSED_L2, PARSED_L3, PARSED_L4, PARSE_IP_LENGTH, PARSE_L4_LENGTH, PARSE_SHORT } = abi;
const { PARSE_VERSION, TCP_DOFF, TCP_HDR_LEN } = abi;

/** struct packet. */
export interface Packet {
  result: number;
  flags: number;
  l3: number;
  l4: number;
  hdrLen: number;
  payload: number;
  end: number;
  l3Proto: number;
  l4Proto: number;
}

export const newPacket = (): Packet => ({
  result: 0,
  flags: 0,
  l3: 0,
  l4: 0,
  hdrLen: 0,
  payload: 0,
  end: 0,
  l3Proto: 0,
  l4Proto: 0,
});

export const swap16 = (value: number): number => ((value & 0xff) << 8) | ((value >>> 8) & 0xff);

/** Parses a frame of `len` bytes of which the first `avail` lie at `frame`. Returns PARSED_*, or -PARSE_*. */
export function headersParse(view: DataView, frame: number, avail: number, len: number, out: Packet): number {
  out.flags = 0;
  out.l4 = 0;
  out.l4Proto = 0;
  const result = parseEther(view, frame, avail, len, out);
  out.result = result;
  return result;
}

function parseEther(view: DataView, frame: number, avail: number, len: number, out: Packet): number {
  if (avail < ETHER_HDR_LEN) return -PARSE_SHORT;
  const type = view.getUint16(frame + ETHER_TYPE);
  const l3 = ETHER_HDR_LEN;
  if (type === ETHERTYPE_VLAN || type === ETHERTYPE_QINQ) notInTheBench();
  out.l3 = l3;
  out.l3Proto = type;
  out.hdrLen = l3;
  out.payload = len - l3;
  out.end = len;
  if (type === ETHERTYPE_IPV4) return parseIpv4(view, frame, l3, avail, len, out);
  if (type === ETHERTYPE_IPV6) return parseIpv6(view, frame, l3, avail, len, out);
  return PARSED_L2;
}

function parseIpv4(view: DataView, frame: number, l3: number, avail: number, len: number, out: Packet): number {
  if (avail - l3 < IPV4_HDR_LEN) return -PARSE_SHORT;
  const ip = frame + l3;
  const first = view.getUint8(ip);
  const hdrLen = (first & 15) << 2;
  if (first >>> 4 !== 4 || hdrLen < IPV4_HDR_LEN) return -PARSE_VERSION;
  if (avail - l3 < hdrLen) return -PARSE_SHORT;
  const total = view.getUint16(ip + IPV4_TOT_LEN);
  if (total < hdrLen || total > len - l3) return -PARSE_IP_LENGTH;
  let flags = hdrLen !== IPV4_HDR_LEN ? PACKET_F_OPTIONS : 0;
  if ((view.getUint16(ip + IPV4_FRAG) & IPV4_FRAG_MASK) !== 0) flags |= PACKET_F_FRAGMENT;
  return parseL4(view, frame, l3 + hdrLen, avail, l3 + total, view.getUint8(ip + IPV4_PROTO), flags, out);
}

function isExtension(proto: number): boolean {
  return (
    proto === IPPROTO_HOPOPTS ||
    proto === IPPROTO_ROUTING ||
    proto === IPPROTO_FRAGMENT ||
    proto === IPPROTO_AH ||
    proto === IPPROTO_DSTOPTS
  );
}

function parseIpv6(view: DataView, frame: number, l3: number, avail: number, len: number, out: Packet): number {
  if (avail - l3 < IPV6_HDR_LEN) return -PARSE_SHORT;
  if (view.getUint8(frame + l3) >>> 4 !== 6) return -PARSE_VERSION;
  const payload = view.getUint16(frame + l3 + IPV6_PLEN);
  if (payload > len - l3 - IPV6_HDR_LEN) return -PARSE_IP_LENGTH;
  const proto = view.getUint8(frame + l3 + IPV6_NEXT);
  const l4 = l3 + IPV6_HDR_LEN;
  if (isExtension(proto)) notInTheBench();
  return parseL4(view, frame, l4, avail, l4 + payload, proto, 0, out);
}

function parseL4(
  view: DataView,
  frame: number,
  l4: number,
  avail: number,
  end: number,
  proto: number,
  flags: number,
  out: Packet,
): number {
  out.flags = flags;
  out.l4 = l4;
  out.l4Proto = proto;
  out.hdrLen = l4;
  out.payload = end - l4;
  out.end = end;
  if ((flags & PACKET_F_FRAGMENT) !== 0) return PARSED_L3;
  const room = Math.min(end, avail) - l4;
  if (proto !== IPPROTO_TCP) notInTheBench();
  if (room < TCP_HDR_LEN) return -PARSE_SHORT;
  const hdrLen = (view.getUint8(frame + l4 + TCP_DOFF) >>> 4) << 2;
  if (hdrLen < TCP_HDR_LEN) return -PARSE_L4_LENGTH;
  if (hdrLen > room) return -PARSE_SHORT;
  out.hdrLen = l4 + hdrLen;
  out.payload = end - l4 - hdrLen;
  return PARSED_L4;
}

/** Sum of `len` bytes (even) of headers. */
export function sumWords(view: DataView, at: number, len: number, sum: number): number {
  for (let i = at; i < at + len; i += 2) sum += view.getUint16(i, true);
  return sum;
}

/** The pseudo header's sum for the IP header at `ip`, of a datagram of `len` bytes. */
export function pseudoSum(view: DataView, ip: number, isV4: boolean, proto: number, len: number): number {
  const sum = (proto << 8) + swap16(len);
  return isV4 ? sumWords(view, ip + IPV4_SRC, 8, sum) : sumWords(view, ip + IPV6_SRC, 32, sum);
}

export function ipv4Checksum(view: DataView, ip: number, len: number): number {
  return checksumFold(sumWords(view, ip, len, 0));
}

/** CSUM_GOOD, CSUM_BAD, or CSUM_NONE, for a frame that was parsed. */
export function offloadValidate(mem: Memory, frame: number, packet: Packet): number {
  const { view } = mem;
  if (packet.result < PARSED_L3) return CSUM_NONE;
  const { l3, l4 } = packet;
  const isV4 = packet.l3Proto === ETHERTYPE_IPV4;
  if (isV4 && ipv4Checksum(view, frame + l3, l4 - l3) !== 0) return CSUM_BAD;
  if (packet.result !== PARSED_L4 || (packet.flags & PACKET_F_ROUTED) !== 0) return CSUM_NONE;
  const len = packet.end - l4;
  const pseudo = pseudoSum(view, frame + l3, isV4, packet.l4Proto, len);
  return checksumFold(checksumAdd(mem, frame + l4, len, pseudo)) === 0 ? CSUM_GOOD : CSUM_BAD;
}
