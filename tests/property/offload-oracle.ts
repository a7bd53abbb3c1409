// What the offload functions should do, written the slow and obvious way: whole packets as arrays, checksums by the book
// over bytes that are put together for it, no state between segments.

import * as abi from '../../src/abi.js';

export const be16 = (bytes: Uint8Array, at: number): number => bytes[at] * 256 + bytes[at + 1];
export const be32 = (bytes: Uint8Array, at: number): number => be16(bytes, at) * 65536 + be16(bytes, at + 2);

export function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = (value >> 8) & 255;
  bytes[at + 1] = value & 255;
}

export function put32(bytes: Uint8Array, at: number, value: number): void {
  put16(bytes, at, Math.floor(value / 65536) % 65536);
  put16(bytes, at + 2, value % 65536);
}

export const concat = (...parts: (Uint8Array | number[])[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((p) => [...p]));

/** RFC 1071: the sum of big-endian words, an odd byte padded with zero, carries added back. */
export function sum(bytes: Uint8Array): number {
  let total = 0;
  for (let i = 0; i < bytes.length; i++) {
    total += i % 2 === 0 ? bytes[i] * 256 : bytes[i];
    if (total > 0xffff) total -= 0xffff;
  }
  return total;
}

export const checksum = (bytes: Uint8Array): number => 0xffff - sum(bytes);

export interface Parsed {
  /** PARSED_* or -PARSE_*; the rest means something only if it is positive. */
  result: number;
  flags: number;
  l3: number;
  l4: number;
  hdrLen: number;
  payload: number;
  end: number;
  l3Proto: number;
  l4Proto: number;
  vlans: number;
}

/** What packetParse says of the frame, if it looks for headers among the first `seen` bytes. */
export function parse(frame: Uint8Array, seen = frame.length): Parsed {
  const out = { result: 0, flags: 0, l3: 14, l4: 0, hdrLen: 0, payload: 0, end: 0, l3Proto: 0, l4Proto: 0, vlans: 0 };
  const stop = (result: number): Parsed => ({ ...out, result });
  if (frame.length < 14) return stop(-abi.PARSE_SHORT);
  out.l3Proto = be16(frame, 12);
  while (out.l3Proto === 0x8100 || out.l3Proto === 0x88a8) {
    if (out.vlans === 8) return stop(-abi.PARSE_VLAN);
    if (frame.length < out.l3 + 4) return stop(-abi.PARSE_SHORT);
    out.l3Proto = be16(frame, out.l3 + 2);
    out.l3 += 4;
    out.vlans++;
  }
  const packet = frame.subarray(out.l3);
  let datagram: Uint8Array;
  if (out.l3Proto === 0x0800) {
    if (packet.length < 20) return stop(-abi.PARSE_SHORT);
    const hdrLen = (packet[0] % 16) * 4;
    if (packet[0] >> 4 !== 4 || hdrLen < 20) return stop(-abi.PARSE_VERSION);
    if (packet.length < hdrLen) return stop(-abi.PARSE_SHORT);
    const total = be16(packet, 2);
    if (total < hdrLen || total > packet.length) return stop(-abi.PARSE_IP_LENGTH);
    if (hdrLen > 20) out.flags |= abi.PACKET_F_OPTIONS;
    if ((be16(packet, 6) & 0x3fff) !== 0) out.flags |= abi.PACKET_F_FRAGMENT;
    out.l4Proto = packet[9];
    out.l4 = out.l3 + hdrLen;
    datagram = packet.subarray(hdrLen, total);
  } else if (out.l3Proto === 0x86dd) {
    if (packet.length < 40) return stop(-abi.PARSE_SHORT);
    if (packet[0] >> 4 !== 6) return stop(-abi.PARSE_VERSION);
    if (be16(packet, 4) > packet.length - 40) return stop(-abi.PARSE_IP_LENGTH);
    out.l4Proto = packet[6];
    out.l4 = out.l3 + 40;
    datagram = packet.subarray(40, 40 + be16(packet, 4));
    for (let count = 0; [0, 43, 44, 51, 60].includes(out.l4Proto); count++) {
      if (out.flags & abi.PACKET_F_FRAGMENT) break;
      if (count === 8) return stop(-abi.PARSE_EXTENSION);
      if (datagram.length < 8 || out.l4 + 8 > seen) return stop(-abi.PARSE_SHORT);
      out.flags |= abi.PACKET_F_OPTIONS;
      let size = 8 + datagram[1] * 8;
      if (out.l4Proto === 43 && datagram[3] > 0) out.flags |= abi.PACKET_F_ROUTED;
      if (out.l4Proto === 51) out.flags |= abi.PACKET_F_AUTH;
      if (out.l4Proto === 51) size = 8 + datagram[1] * 4;
      if (out.l4Proto === 44) size = 8;
      if (out.l4Proto === 44 && (be16(datagram, 2) & 0xfff9) !== 0) out.flags |= abi.PACKET_F_FRAGMENT;
      if (datagram.length < size || out.l4 + size > seen) return stop(-abi.PARSE_SHORT);
      out.l4Proto = datagram[0];
      out.l4 += size;
      datagram = datagram.subarray(size);
    }
  } else {
    return { ...out, result: abi.PARSED_L2, hdrLen: out.l3, payload: packet.length, end: frame.length };
  }
  let hdrLen = 0;
  const whole = (out.flags & abi.PACKET_F_FRAGMENT) === 0;
  if (whole && out.l4Proto === 6) {
    if (datagram.length < 20 || out.l4 + 20 > seen) return stop(-abi.PARSE_SHORT);
    hdrLen = (datagram[12] >> 4) * 4;
    if (hdrLen < 20) return stop(-abi.PARSE_L4_LENGTH);
    if (datagram.length < hdrLen || out.l4 + hdrLen > seen) return stop(-abi.PARSE_SHORT);
  } else if (whole && out.l4Proto === 17) {
    if (datagram.length < 8 || out.l4 + 8 > seen) return stop(-abi.PARSE_SHORT);
    hdrLen = 8;
    if (be16(datagram, 4) < 8 || be16(datagram, 4) > datagram.length) return stop(-abi.PARSE_L4_LENGTH);
    datagram = datagram.subarray(0, be16(datagram, 4));
  }
  out.hdrLen = out.l4 + hdrLen;
  out.payload = datagram.length - hdrLen;
  out.end = out.l4 + datagram.length;
  return { ...out, result: hdrLen > 0 ? abi.PARSED_L4 : abi.PARSED_L3 };
}

/** The pseudo header of RFC 9293 or RFC 8200, for the frame's addresses. */
export function pseudoHeader(frame: Uint8Array, { l3, l3Proto, l4Proto }: Parsed, length: number): Uint8Array {
  return l3Proto === 0x0800
    ? concat(frame.subarray(l3 + 12, l3 + 20), [0, l4Proto, length >> 8, length & 255])
    : concat(frame.subarray(l3 + 8, l3 + 40), [0, 0, length >> 8, length & 255, 0, 0, 0, l4Proto]);
}

const checksumAt = ({ l4, l4Proto }: Parsed): number => l4 + (l4Proto === 6 ? 16 : 6);

/** Puts the right checksums into a frame whose lengths are right. */
export function fillChecksums(frame: Uint8Array): void {
  const packet = parse(frame);
  if (packet.l3Proto === 0x0800 && packet.result >= abi.PARSED_L3) {
    put16(frame, packet.l3 + 10, 0);
    put16(frame, packet.l3 + 10, checksum(frame.subarray(packet.l3, packet.l4)));
  }
  if (packet.result !== abi.PARSED_L4) return;
  put16(frame, checksumAt(packet), 0);
  const datagram = frame.subarray(packet.l4, packet.end);
  const value = checksum(concat(pseudoHeader(frame, packet, datagram.length), datagram));
  put16(frame, checksumAt(packet), packet.l4Proto === 17 && value === 0 ? 0xffff : value);
}

/** Puts the pseudo header's sum into the checksum field, as a stack does that leaves the rest to its device. */
export function fillPartial(frame: Uint8Array): void {
  const packet = parse(frame);
  put16(frame, checksumAt(packet), sum(pseudoHeader(frame, packet, packet.end - packet.l4)));
}

/** What offloadValidate says. */
export function validate(frame: Uint8Array): number {
  const packet = parse(frame);
  if (packet.result < abi.PARSED_L3) return abi.CSUM_NONE;
  const isV4 = packet.l3Proto === 0x0800;
  if (isV4 && sum(frame.subarray(packet.l3, packet.l4)) !== 0xffff) return abi.CSUM_BAD;
  if (packet.result !== abi.PARSED_L4 || (packet.flags & abi.PACKET_F_ROUTED) !== 0) return abi.CSUM_NONE;
  if (packet.l4Proto === 17 && be16(frame, packet.l4 + 6) === 0) return isV4 ? abi.CSUM_NONE : abi.CSUM_BAD;
  const datagram = frame.subarray(packet.l4, packet.end);
  const all = concat(pseudoHeader(frame, packet, datagram.length), datagram);
  return sum(all) === 0xffff ? abi.CSUM_GOOD : abi.CSUM_BAD;
}

/** What offloadComplete makes of the frame; undefined if it refuses. */
export function complete(frame: Uint8Array, start: number, offset: number): Uint8Array | undefined {
  if (start + offset + 2 > frame.length) return undefined;
  const out = frame.slice();
  const value = checksum(frame.subarray(start));
  put16(out, start + offset, value === 0 ? 0xffff : value);
  return out;
}

/** The segments of the frame, or why there are none. */
export function segment(frame: Uint8Array, gsoType: number, gsoSize: number, limit: number): Uint8Array[] | number {
  const packet = parse(frame, abi.SEG_HEADER_SIZE);
  if (packet.result < 0) return packet.result;
  const proto = (gsoType & 0x7f) === abi.VIRTIO_NET_HDR_GSO_UDP ? 17 : 6;
  const cannot = (packet.flags & (abi.PACKET_F_ROUTED | abi.PACKET_F_AUTH)) !== 0;
  if (gsoType === 0 || packet.result !== abi.PARSED_L4 || packet.l4Proto !== proto || cannot) {
    return -abi.SEGMENT_PROTOCOL;
  }
  const { l3, l4, hdrLen } = packet;
  if (limit <= hdrLen) return -abi.SEGMENT_LIMIT;
  const mss = Math.min(limit - hdrLen, gsoSize === 0 ? limit : gsoSize);
  const payload = frame.subarray(hdrLen, packet.end);
  const count = Math.max(1, Math.ceil(payload.length / mss));
  return Array.from({ length: count }, (_, i) => {
    const out = concat(frame.subarray(0, hdrLen), payload.subarray(i * mss, (i + 1) * mss));
    if (packet.l3Proto === 0x0800) {
      put16(out, l3 + 2, out.length - l3);
      put16(out, l3 + 4, be16(frame, l3 + 4) + i);
    } else {
      put16(out, l3 + 4, out.length - l3 - 40);
    }
    if (proto === 6) {
      put32(out, l4 + 4, (be32(frame, l4 + 4) + i * mss) % 2 ** 32);
      if (i > 0) out[l4 + 13] &= ~abi.TH_CWR;
      if (i < count - 1) out[l4 + 13] &= ~(abi.TH_FIN | abi.TH_PUSH);
    } else {
      put16(out, l4 + 4, out.length - l4);
    }
    fillChecksums(out);
    return out;
  });
}
