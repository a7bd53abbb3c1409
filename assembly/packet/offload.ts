// Checksums that a stack leaves to its device, and the virtio-net header that says so (nm_os offload helpers, NETMAP's
// bdg_mismatch_datapath). Called by the switch for a destination without headers, and by the interface.
import { ETHERTYPE_IPV4 } from '../abi/ether';
import { EINVAL } from '../abi/errno';
import {
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPV4_DST,
  IPV4_HDR_LEN,
  IPV4_SRC,
  IPV6_DST,
  IPV6_SRC,
  TCP_CSUM,
  UDP_CSUM,
} from '../abi/inet';
import {
  CSUM_BAD,
  CSUM_GOOD,
  CSUM_NONE,
  IOV_ADDR,
  IOV_LEN,
  IOV_SIZE,
  PACKET_END,
  PACKET_F_ROUTED,
  PACKET_FLAGS,
  PACKET_HDR_LEN,
  PACKET_L3,
  PACKET_L3_PROTO,
  PACKET_L4,
  PACKET_L4_PROTO,
  PACKET_RESULT,
  PARSED_L3,
  PARSED_L4,
} from '../abi/offload';
import {
  VIRTIO_NET_HDR_CSUM_OFFSET,
  VIRTIO_NET_HDR_CSUM_START,
  VIRTIO_NET_HDR_F_MASK,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_ECN,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_NET_HDR_GSO_SIZE,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_TCPV6,
  VIRTIO_NET_HDR_GSO_TYPE,
  VIRTIO_NET_HDR_GSO_UDP,
  VIRTIO_NET_HDR_HDR_LEN,
  VIRTIO_NET_HDR_NUM_BUFFERS,
} from '../abi/virtio-net';
import { checksumAdd, checksumAddIov, checksumFold, packetChecksum } from './checksum';

/** The pseudo header's sum for the IP header at `ip`, of a datagram of `len` bytes. */
export function pseudoSum(ip: usize, isV4: bool, proto: u32, len: u32): u64 {
  let sum = ((<u64>(proto & 0xff)) << 8) + bswap<u16>(<u16>len);
  if (isV4) {
    sum += load<u32>(ip, IPV4_SRC);
    sum += load<u32>(ip, IPV4_DST);
    return sum;
  }
  // Two addresses of 16 bytes, one behind the other.
  for (let p = ip + IPV6_SRC; p < ip + IPV6_DST + 16; p += 8) {
    const w = load<u64>(p);
    sum += (w & 0xffffffff) + (w >> 32);
  }
  return sum;
}

/** Bytes in the `n` pieces at `iov`. */
export function iovLength(iov: usize, n: u32): u64 {
  let len: u64 = 0;
  for (let i: u32 = 0; i < n; i++) len += load<u32>(iov + <usize>i * IOV_SIZE, IOV_LEN);
  return len;
}

/**
 * Completes the checksum of a packet of `n` pieces, whose headers may lie in any of them: sums from `start` to the end and
 * stores the result `offset` bytes behind `start`. Returns 0, or -EINVAL if that is outside of the packet.
 * DIFF: netmap looks at the first fragment only, does not store but goes on if the place is outside, gets fragments of odd
 * length wrong, and stores a computed 0, which in UDP means that there is no checksum. As Linux does, ffff is stored then,
 * whatever the protocol.
 */
export function offloadComplete(iov: usize, n: u32, start: u32, offset: u32): i32 {
  const at = <u64>start + offset;
  if (at + 2 > iovLength(iov, n)) return -EINVAL;
  const sum = checksumFold(checksumAddIov(iov, n, start, 0));
  const value = sum == 0 ? 0xffff : sum;
  storeByte(iov, <u32>at, value & 0xff);
  storeByte(iov, <u32>at + 1, value >> 8);
  return 0;
}

/** Stores byte `at` of a packet in pieces that is longer than that. */
function storeByte(iov: usize, at: u32, value: u32): void {
  let len = load<u32>(iov, IOV_LEN);
  while (at >= len) {
    at -= len;
    iov += IOV_SIZE;
    len = load<u32>(iov, IOV_LEN);
  }
  store<u8>(<usize>load<u32>(iov, IOV_ADDR) + at, value);
}

/** Whether the header checksum of an IP packet (at least PARSED_L3) is right; IPv6 has none. */
export function offloadIpValid(frame: usize, packet: usize): bool {
  if (<u32>load<u16>(packet, PACKET_L3_PROTO) != ETHERTYPE_IPV4) return true;
  const l3 = load<u32>(packet, PACKET_L3);
  return ipv4Checksum(frame + l3, load<u32>(packet, PACKET_L4) - l3) == 0;
}

/** The checksum of an IPv4 header; without options, which is nearly always, in a third of the time. */
export function ipv4Checksum(ip: usize, len: u32): u32 {
  if (len != IPV4_HDR_LEN) return packetChecksum(ip, len);
  const a = load<u64>(ip);
  const b = load<u64>(ip, 8);
  return checksumFold((a & 0xffffffff) + (a >> 32) + (b & 0xffffffff) + (b >> 32) + load<u32>(ip, 16));
}

/**
 * Validates the checksums of the frame that `packetParse` described in `packet`: CSUM_GOOD, CSUM_BAD, or CSUM_NONE where
 * nothing can be said of it: fragments, no TCP or UDP, no checksum (UDP over IPv4), another destination in the pseudo
 * header (source routes), malformed headers. Nobody should drop a frame for CSUM_BAD but its stack, which may know better
 * (home addresses, for instance).
 */
export function offloadValidate(frame: usize, packet: usize): u32 {
  const result = load<i32>(packet, PACKET_RESULT);
  if (result < PARSED_L3) return CSUM_NONE;
  if (!offloadIpValid(frame, packet)) return CSUM_BAD;
  if (result != PARSED_L4 || (load<u32>(packet, PACKET_FLAGS) & PACKET_F_ROUTED) != 0) return CSUM_NONE;
  const isV4 = <u32>load<u16>(packet, PACKET_L3_PROTO) == ETHERTYPE_IPV4;
  const proto = <u32>load<u8>(packet, PACKET_L4_PROTO);
  const l4 = load<u32>(packet, PACKET_L4);
  const len = load<u32>(packet, PACKET_END) - l4;
  if (proto == IPPROTO_UDP && load<u16>(frame + l4, UDP_CSUM) == 0) return isV4 ? CSUM_NONE : CSUM_BAD;
  const pseudo = pseudoSum(frame + load<u32>(packet, PACKET_L3), isV4, proto, len);
  return checksumFold(checksumAdd(frame + l4, len, pseudo)) == 0 ? CSUM_GOOD : CSUM_BAD;
}

/** Reads the virtio-net header at `src`, once, into the 12 bytes at `dst`. Returns 0, or -EINVAL if it is a bad one. */
export function vnetRead(src: usize, dst: usize): i32 {
  store<u64>(dst, load<u64>(src));
  store<u32>(dst, load<u16>(src, VIRTIO_NET_HDR_CSUM_OFFSET), VIRTIO_NET_HDR_CSUM_OFFSET);
  const type = <u32>load<u8>(dst, VIRTIO_NET_HDR_GSO_TYPE) & ~VIRTIO_NET_HDR_GSO_ECN;
  const known =
    type == VIRTIO_NET_HDR_GSO_NONE ||
    type == VIRTIO_NET_HDR_GSO_TCPV4 ||
    type == VIRTIO_NET_HDR_GSO_UDP ||
    type == VIRTIO_NET_HDR_GSO_TCPV6;
  return known && (<u32>load<u8>(dst) & ~VIRTIO_NET_HDR_F_MASK) == 0 ? 0 : -EINVAL;
}

/** Writes the 12 bytes of a virtio-net header. */
export function vnetWrite(
  hdr: usize,
  flags: u32,
  gsoType: u32,
  hdrLen: u32,
  gsoSize: u32,
  csumStart: u32,
  csumOffset: u32,
): void {
  store<u8>(hdr, flags);
  store<u8>(hdr, gsoType, VIRTIO_NET_HDR_GSO_TYPE);
  store<u16>(hdr, hdrLen, VIRTIO_NET_HDR_HDR_LEN);
  store<u16>(hdr, gsoSize, VIRTIO_NET_HDR_GSO_SIZE);
  store<u16>(hdr, csumStart, VIRTIO_NET_HDR_CSUM_START);
  store<u16>(hdr, csumOffset, VIRTIO_NET_HDR_CSUM_OFFSET);
  store<u16>(hdr, 0, VIRTIO_NET_HDR_NUM_BUFFERS);
}

/**
 * The virtio-net header for the TCP or UDP packet that `packetParse` described: its checksum field has the pseudo header's
 * sum, and with `gsoSize` not 0 it is to be cut (TCP only). Returns 0, or -EINVAL for a packet that cannot be asked for.
 */
export function vnetBuild(hdr: usize, packet: usize, gsoSize: u32): i32 {
  const isTcp = <u32>load<u8>(packet, PACKET_L4_PROTO) == IPPROTO_TCP;
  if (load<i32>(packet, PACKET_RESULT) != PARSED_L4 || (gsoSize != 0 && !isTcp)) return -EINVAL;
  let type: u32 = VIRTIO_NET_HDR_GSO_NONE;
  if (gsoSize != 0) {
    const isV4 = <u32>load<u16>(packet, PACKET_L3_PROTO) == ETHERTYPE_IPV4;
    type = isV4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
  }
  const hdrLen = type == VIRTIO_NET_HDR_GSO_NONE ? 0 : load<u32>(packet, PACKET_HDR_LEN);
  const csumOffset = isTcp ? TCP_CSUM : UDP_CSUM;
  vnetWrite(hdr, VIRTIO_NET_HDR_F_NEEDS_CSUM, type, hdrLen, gsoSize, load<u32>(packet, PACKET_L4), csumOffset);
  return 0;
}
