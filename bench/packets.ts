// TCP packets as a kernel sends them, with the time stamp option: bench/native/packets.h is the same in C, byte for byte.
import { abi } from 'ptnet';
import { macOf } from './program.js';

const { ETHER_HDR_LEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6, IPPROTO_TCP, IPV4_HDR_LEN, IPV6_HDR_LEN } = abi;
const { TCP_TS_HDR_LEN } = abi;

/** Bytes of a frame that fills an MTU of 1500. */
export const FULL_FRAME = 1514;

export type IpVersion = 4 | 6;

/** Bytes of Ethernet, IP and TCP headers. */
export function headersOf(version: IpVersion): number {
  return ETHER_HDR_LEN + (version === 4 ? IPV4_HDR_LEN : IPV6_HDR_LEN) + TCP_TS_HDR_LEN;
}

export interface TcpPacket {
  readonly version: IpVersion;
  /** Which connection (0 …). */
  readonly flow: number;
  /** Which segment of the connection; `size` is the same in all. */
  readonly index: number;
  /** Bytes of the frame. */
  readonly size: number;
  readonly flags: number;
}

/** One's complement sum of big-endian words; a last odd byte is a high one. */
function sumOf(view: DataView, from: number, to: number, sum: number): number {
  for (let i = from; i + 1 < to; i += 2) sum += view.getUint16(i);
  return (to - from) & 1 ? sum + (view.getUint8(to - 1) << 8) : sum;
}

function complement(sum: number): number {
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

/** A frame with correct checksums. */
export function tcpPacket({ version, flow, index, size, flags }: TcpPacket): Uint8Array {
  const frame = new Uint8Array(size);
  const view = new DataView(frame.buffer);
  const ip = ETHER_HDR_LEN;
  const tcp = headersOf(version) - TCP_TS_HDR_LEN;
  const payload = size - headersOf(version);
  frame.set([...macOf(2), ...macOf(1)]);
  view.setUint16(12, version === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
  if (version === 4) {
    view.setUint16(ip, 0x4500);
    view.setUint16(ip + 2, size - ip);
    view.setUint16(ip + 4, 1000 + index);
    view.setUint16(ip + 6, abi.IPV4_DF);
    view.setUint16(ip + 8, (64 << 8) | IPPROTO_TCP);
    view.setUint32(ip + 12, 0x0a000001);
    view.setUint32(ip + 16, 0x0a000002);
    view.setUint16(ip + 10, complement(sumOf(view, ip, tcp, 0)));
  } else {
    view.setUint16(ip, 0x6000);
    view.setUint16(ip + 4, size - tcp);
    view.setUint16(ip + 6, (IPPROTO_TCP << 8) | 64);
    for (const [at, last] of [
      [ip + 8, 1],
      [ip + 24, 2],
    ]) {
      view.setUint16(at, 0xfd00);
      view.setUint8(at + 15, last);
    }
  }
  view.setUint16(tcp, 40000 + flow);
  view.setUint16(tcp + 2, 5201);
  view.setUint32(tcp + 4, 1_000_000 + index * payload);
  view.setUint32(tcp + 8, 77);
  view.setUint16(tcp + 12, ((TCP_TS_HDR_LEN / 4) << 12) | flags);
  view.setUint16(tcp + 14, 512);
  view.setUint32(tcp + 20, 0x0101080a);
  view.setUint32(tcp + 24, 5000 + index);
  view.setUint32(tcp + 28, 4000);
  for (let i = tcp + TCP_TS_HDR_LEN, x = flow * 1000 + index; i < size; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) | 0;
    frame[i] = x >>> 24;
  }
  const addresses = version === 4 ? ip + 12 : ip + 8;
  const pseudo = sumOf(view, addresses, tcp, IPPROTO_TCP + size - tcp);
  view.setUint16(tcp + 16, complement(sumOf(view, tcp, size, pseudo)));
  return frame;
}
