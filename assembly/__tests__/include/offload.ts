// TCP and UDP packets, with checksums summed byte by byte. The payload's byte i is a function of i.
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../abi/ether';
import { IPPROTO_TCP, IPPROTO_UDP, TH_ACK } from '../../abi/inet';
import { IOV_SIZE } from '../../abi/offload';

export function be16(p: usize): u32 {
  return ((<u32>load<u8>(p)) << 8) | load<u8>(p, 1);
}

export function be32(p: usize): u32 {
  return (be16(p) << 16) | be16(p + 2);
}

export function put16(p: usize, value: u32): void {
  store<u8>(p, value >> 8);
  store<u8>(p, value, 1);
}

export function put32(p: usize, value: u32): void {
  put16(p, value >> 16);
  put16(p + 2, value);
}

/** RFC 1071 by the book: the sum of big-endian words. */
export function naiveSum(p: usize, len: u32, sum: u32): u32 {
  for (let i: u32 = 0; i < len; i++) {
    sum += i & 1 ? <u32>load<u8>(p + i) : (<u32>load<u8>(p + i)) << 8;
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

function ipLength(ip: usize): u32 {
  return load<u8>(ip) >> 4 == 4 ? be16(ip + 2) : be16(ip + 4) + 40;
}

/** The sum of the pseudo header of the L4 packet at `l4`, which goes to the end of its IP packet. */
export function naivePseudo(ip: usize, l4: usize, proto: u32): u32 {
  const isV4 = load<u8>(ip) >> 4 == 4;
  const sum = naiveSum(ip + (isV4 ? 12 : 8), isV4 ? 8 : 32, proto);
  const length = ipLength(ip) - <u32>(l4 - ip);
  return sum + length > 0xffff ? sum + length - 0xffff : sum + length;
}

/** The IPv4 header's checksum is right, or there is none. */
export function ipIsRight(ip: usize): bool {
  return load<u8>(ip) >> 4 != 4 || naiveSum(ip, (<u32>(load<u8>(ip) & 15)) << 2, 0) == 0xffff;
}

export function l4IsRight(ip: usize, l4: usize, proto: u32): bool {
  const length = ipLength(ip) - <u32>(l4 - ip);
  return naiveSum(l4, length, naivePseudo(ip, l4, proto)) == 0xffff;
}

/** Puts in the right checksums. */
export function fill(ip: usize, l4: usize, proto: u32): void {
  if (load<u8>(ip) >> 4 == 4) {
    put16(ip + 10, 0);
    put16(ip + 10, ~naiveSum(ip, (<u32>(load<u8>(ip) & 15)) << 2, 0));
  }
  const field = l4 + (proto == IPPROTO_TCP ? 16 : 6);
  put16(field, 0);
  put16(field, ~naiveSum(l4, ipLength(ip) - <u32>(l4 - ip), naivePseudo(ip, l4, proto)));
}

export function payloadByte(i: u32): u8 {
  return <u8>(i * 7 + (i >> 8));
}

/** An Ethernet header of `tags` VLAN tags; returns what follows it. */
export function ether(at: usize, tags: u32, type: u32): usize {
  for (let i: usize = 0; i < 12; i++) store<u8>(at + i, i % 6 == 0 ? 2 : <u8>i);
  let p = at + 12;
  for (let i: u32 = 0; i < tags; i++) {
    put16(p, i & 1 ? 0x88a8 : 0x8100);
    put16(p + 2, 100 + i);
    p += 4;
  }
  put16(p, type);
  return p + 2;
}

/** An IPv4 header for `payload` bytes, with `words` of options; returns what follows it. */
export function ipv4(ip: usize, proto: u32, payload: u32, words: u32 = 0, id: u32 = 7): usize {
  const len = 20 + words * 4;
  memory.fill(ip, 1, len); // NOPs
  store<u8>(ip, 0x40 | (len >> 2));
  store<u8>(ip, 0, 1);
  put16(ip + 2, len + payload);
  put16(ip + 4, id);
  put16(ip + 6, 0x4000);
  store<u8>(ip, 64, 8);
  store<u8>(ip, proto, 9);
  put32(ip + 12, 0x0a000001);
  put32(ip + 16, 0x0a000002);
  return ip + len;
}

export function ipv6(ip: usize, next: u32, payload: u32): usize {
  memory.fill(ip, 0, 40);
  store<u8>(ip, 0x60);
  put16(ip + 4, payload);
  store<u8>(ip, next, 6);
  store<u8>(ip, 64, 7);
  for (let i: usize = 0; i < 32; i++) store<u8>(ip + 8 + i, 0xfd ^ <u8>(i * 3));
  return ip + 40;
}

export function tcp(l4: usize, seq: u32, payload: u32, words: u32 = 0, flags: u32 = TH_ACK): void {
  memory.fill(l4, 1, 20 + words * 4);
  put16(l4, 1000);
  put16(l4 + 2, 80);
  put32(l4 + 4, seq);
  put32(l4 + 8, 5000);
  store<u8>(l4, (5 + words) << 4, 12);
  store<u8>(l4, flags, 13);
  put16(l4 + 14, 501);
  put16(l4 + 18, 0);
  for (let i: u32 = 0; i < payload; i++) store<u8>(l4 + 20 + words * 4 + i, payloadByte(i));
}

/** A whole frame: TCP over IPv4 or IPv6, right checksums. Returns its length. */
export function tcpFrame(at: usize, v6: bool, seq: u32, payload: u32, flags: u32 = TH_ACK, tags: u32 = 0): u32 {
  const ip = ether(at, tags, v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4);
  const l4 = v6 ? ipv6(ip, IPPROTO_TCP, 20 + payload) : ipv4(ip, IPPROTO_TCP, 20 + payload);
  tcp(l4, seq, payload, 0, flags);
  fill(ip, l4, IPPROTO_TCP);
  return <u32>(l4 - at) + 20 + payload;
}

export function udpFrame(at: usize, v6: bool, payload: u32): u32 {
  const ip = ether(at, 0, v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4);
  const l4 = v6 ? ipv6(ip, IPPROTO_UDP, 8 + payload) : ipv4(ip, IPPROTO_UDP, 8 + payload);
  put16(l4, 53);
  put16(l4 + 2, 53);
  put16(l4 + 4, 8 + payload);
  for (let i: u32 = 0; i < payload; i++) store<u8>(l4 + 8 + i, payloadByte(i));
  fill(ip, l4, IPPROTO_UDP);
  return <u32>(l4 - at) + 8 + payload;
}

/** Piece `i` of a list of pieces. */
export function setPiece(iov: usize, i: u32, at: usize, len: u32): void {
  store<u32>(iov + i * IOV_SIZE, <u32>at);
  store<u32>(iov + i * IOV_SIZE, len, 4);
}
