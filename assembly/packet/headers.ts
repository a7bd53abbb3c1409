// Where the headers of a frame are: Ethernet, VLAN tags, IPv4 with options, IPv6 with extension headers, TCP, UDP.
// netmap looks for them in its software segmentation only, with one kind of tag, no extension headers and no bounds in IP.
// Every length is checked before what it covers is read, and every field is read once: the frame may be somebody else's
// memory, and change meanwhile.
import {
  ETHER_HDR_LEN,
  ETHER_TYPE,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  ETHERTYPE_QINQ,
  ETHERTYPE_VLAN,
  VLAN_MAX_TAGS,
  VLAN_TAG_LEN,
} from '../abi/ether';
import {
  IPPROTO_AH,
  IPPROTO_DSTOPTS,
  IPPROTO_FRAGMENT,
  IPPROTO_HOPOPTS,
  IPPROTO_ROUTING,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPV4_FRAG,
  IPV4_FRAG_MASK,
  IPV4_HDR_LEN,
  IPV4_PROTO,
  IPV4_TOT_LEN,
  IPV6_EXT_FRAG,
  IPV6_EXT_FRAG_MASK,
  IPV6_EXT_LEN,
  IPV6_EXT_SEGMENTS_LEFT,
  IPV6_HDR_LEN,
  IPV6_MAX_EXT,
  IPV6_NEXT,
  IPV6_PLEN,
  TCP_DOFF,
  TCP_HDR_LEN,
  UDP_HDR_LEN,
  UDP_LEN,
} from '../abi/inet';
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

export function load16(p: usize): u32 {
  return <u32>bswap<u16>(load<u16>(p));
}

export function load32(p: usize): u32 {
  return bswap<u32>(load<u32>(p));
}

export function store16(p: usize, value: u32): void {
  store<u16>(p, bswap<u16>(<u16>value));
}

export function store32(p: usize, value: u32): void {
  store<u32>(p, bswap<u32>(value));
}

/** Parses the `len` bytes at `frame` into the struct packet `out`. Returns PARSED_*, or -PARSE_*. */
export function packetParse(frame: usize, len: u32, out: usize): i32 {
  return headersParse(frame, len, len, out);
}

/** The same for a frame of `len` bytes of which only the first `avail` lie at `frame`: the headers must be among them. */
export function headersParse(frame: usize, avail: u32, len: u32, out: usize): i32 {
  v128.store(out, i64x2.splat(0));
  v128.store(out, i64x2.splat(0), 16);
  const result = parseEther(frame, avail, len, out);
  store<i32>(out, result, PACKET_RESULT);
  return result;
}

function parseEther(frame: usize, avail: u32, len: u32, out: usize): i32 {
  if (avail < <u32>ETHER_HDR_LEN) return -PARSE_SHORT;
  let type = load16(frame + ETHER_TYPE);
  let l3: u32 = ETHER_HDR_LEN;
  let tags: u32 = 0;
  while (type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ) {
    if (tags == VLAN_MAX_TAGS) return -PARSE_VLAN;
    if (avail - l3 < <u32>VLAN_TAG_LEN) return -PARSE_SHORT;
    type = load16(frame + l3 + 2);
    l3 += VLAN_TAG_LEN;
    tags++;
  }
  store<u32>(out, l3, PACKET_L3);
  store<u16>(out, type, PACKET_L3_PROTO);
  store<u8>(out, tags, PACKET_VLANS);
  store<u32>(out, l3, PACKET_HDR_LEN);
  store<u32>(out, len - l3, PACKET_PAYLOAD);
  store<u32>(out, len, PACKET_END);
  if (type == ETHERTYPE_IPV4) return parseIpv4(frame, l3, avail, len, out);
  if (type == ETHERTYPE_IPV6) return parseIpv6(frame, l3, avail, len, out);
  return PARSED_L2;
}

function parseIpv4(frame: usize, l3: u32, avail: u32, len: u32, out: usize): i32 {
  if (avail - l3 < <u32>IPV4_HDR_LEN) return -PARSE_SHORT;
  const ip = frame + l3;
  const first = <u32>load<u8>(ip);
  const hdrLen = (first & 15) << 2;
  if (first >> 4 != 4 || hdrLen < <u32>IPV4_HDR_LEN) return -PARSE_VERSION;
  if (avail - l3 < hdrLen) return -PARSE_SHORT;
  const total = load16(ip + IPV4_TOT_LEN);
  if (total < hdrLen || total > len - l3) return -PARSE_IP_LENGTH;
  let flags: u32 = hdrLen != IPV4_HDR_LEN ? PACKET_F_OPTIONS : 0;
  if ((load16(ip + IPV4_FRAG) & IPV4_FRAG_MASK) != 0) flags |= PACKET_F_FRAGMENT;
  return parseL4(frame, l3 + hdrLen, avail, l3 + total, <u32>load<u8>(ip, IPV4_PROTO), flags, out);
}

function parseIpv6(frame: usize, l3: u32, avail: u32, len: u32, out: usize): i32 {
  if (avail - l3 < <u32>IPV6_HDR_LEN) return -PARSE_SHORT;
  if (load<u8>(frame + l3) >> 4 != 6) return -PARSE_VERSION;
  const room = len - l3 - IPV6_HDR_LEN;
  const payload = load16(frame + l3 + IPV6_PLEN);
  if (payload > room) return -PARSE_IP_LENGTH; // a jumbogram has 0, and no header fits into that
  let proto = <u32>load<u8>(frame + l3, IPV6_NEXT);
  let l4 = l3 + IPV6_HDR_LEN;
  const end = l4 + payload;
  const headEnd = min(end, avail);
  let flags: u32 = 0;
  let count: u32 = 0;
  while (isExtension(proto) && (flags & PACKET_F_FRAGMENT) == 0) {
    if (count++ == IPV6_MAX_EXT) return -PARSE_EXTENSION;
    if (headEnd - l4 < 8) return -PARSE_SHORT;
    const ext = frame + l4;
    let size = (<u32>load<u8>(ext, IPV6_EXT_LEN) + 1) << 3;
    if (proto == IPPROTO_FRAGMENT) {
      size = 8;
      // An atomic fragment (RFC 6946) is the whole packet.
      if ((load16(ext + IPV6_EXT_FRAG) & IPV6_EXT_FRAG_MASK) != 0) flags |= PACKET_F_FRAGMENT;
    } else if (proto == IPPROTO_AH) {
      size = (<u32>load<u8>(ext, IPV6_EXT_LEN) + 2) << 2;
      flags |= PACKET_F_AUTH;
    } else if (proto == IPPROTO_ROUTING && load<u8>(ext, IPV6_EXT_SEGMENTS_LEFT) != 0) {
      flags |= PACKET_F_ROUTED;
    }
    flags |= PACKET_F_OPTIONS;
    if (headEnd - l4 < size) return -PARSE_SHORT;
    proto = load<u8>(ext);
    l4 += size;
  }
  return parseL4(frame, l4, avail, end, proto, flags, out);
}

function isExtension(proto: u32): bool {
  return (
    proto == IPPROTO_HOPOPTS ||
    proto == IPPROTO_ROUTING ||
    proto == IPPROTO_FRAGMENT ||
    proto == IPPROTO_AH ||
    proto == IPPROTO_DSTOPTS
  );
}

/** `l4` is at most `end`, the datagram's, and at most `avail`. */
function parseL4(frame: usize, l4: u32, avail: u32, end: u32, proto: u32, flags: u32, out: usize): i32 {
  store<u32>(out, flags, PACKET_FLAGS);
  store<u32>(out, l4, PACKET_L4);
  store<u8>(out, proto, PACKET_L4_PROTO);
  store<u32>(out, l4, PACKET_HDR_LEN);
  store<u32>(out, end - l4, PACKET_PAYLOAD);
  store<u32>(out, end, PACKET_END);
  if ((flags & PACKET_F_FRAGMENT) != 0) return PARSED_L3;
  const room = min(end, avail) - l4;
  let hdrLen: u32 = 0;
  if (proto == IPPROTO_TCP) {
    if (room < <u32>TCP_HDR_LEN) return -PARSE_SHORT;
    hdrLen = (<u32>load<u8>(frame + l4, TCP_DOFF) >> 4) << 2;
    if (hdrLen < <u32>TCP_HDR_LEN) return -PARSE_L4_LENGTH;
    if (hdrLen > room) return -PARSE_SHORT;
  } else if (proto == IPPROTO_UDP) {
    if (room < <u32>UDP_HDR_LEN) return -PARSE_SHORT;
    hdrLen = UDP_HDR_LEN;
    const length = load16(frame + l4 + UDP_LEN);
    if (length < hdrLen || length > end - l4) return -PARSE_L4_LENGTH;
    end = l4 + length; // what the IP packet has behind it is not the datagram's
    store<u32>(out, end, PACKET_END);
  } else {
    return PARSED_L3;
  }
  store<u32>(out, l4 + hdrLen, PACKET_HDR_LEN);
  store<u32>(out, end - l4 - hdrLen, PACKET_PAYLOAD);
  return PARSED_L4;
}
