// The frame that pkt-gen sends: UDP over IPv4 in Ethernet, with correct checksums for all addresses of its ranges.

import type { AddressRange } from './options.js';

export interface FrameOptions {
  readonly size: number;
  readonly srcMac: readonly number[];
  readonly dstMac: readonly number[];
  readonly src: AddressRange;
  readonly dst: AddressRange;
}

const ETHER_SIZE = 14;
const IP_SIZE = 20;
const IP_SUM_AT = ETHER_SIZE + 10;
const UDP_AT = ETHER_SIZE + IP_SIZE;
const UDP_SUM_AT = UDP_AT + 6;
const PAYLOAD_AT = UDP_AT + 8;
const UDP = 17;
const PAYLOAD = new TextEncoder().encode('ptnet pkt-gen payload ');

/** The addresses, ports and checksums: all bytes that differ between the frames of one generator. */
export const VARIABLE_START = IP_SUM_AT;
export const VARIABLE_END = PAYLOAD_AT;

export class Frame {
  readonly bytes: Uint8Array;
  /** Whether the frames differ. */
  readonly varies: boolean;
  readonly #view: DataView;
  readonly #src: AddressRange;
  readonly #dst: AddressRange;
  /** Sums of what does not change, addresses and ports left out. */
  readonly #ipSum: number;
  readonly #udpSum: number;

  constructor({ size, srcMac, dstMac, src, dst }: FrameOptions) {
    const bytes = new Uint8Array(size);
    const view = new DataView(bytes.buffer);
    bytes.set(dstMac, 0);
    bytes.set(srcMac, 6);
    view.setUint16(12, 0x0800);
    view.setUint8(ETHER_SIZE, 0x45);
    view.setUint8(ETHER_SIZE + 1, 0x10); // low delay, as netmap's
    view.setUint16(ETHER_SIZE + 2, size - ETHER_SIZE);
    view.setUint16(ETHER_SIZE + 6, 0x4000); // do not fragment
    view.setUint8(ETHER_SIZE + 8, 64);
    view.setUint8(ETHER_SIZE + 9, UDP);
    view.setUint16(UDP_AT + 4, size - UDP_AT);
    for (let i = PAYLOAD_AT; i < size; i++) bytes[i] = PAYLOAD[(i - PAYLOAD_AT) % PAYLOAD.length];
    this.bytes = bytes;
    this.varies = [src, dst].some((r) => r.firstIp !== r.lastIp || r.firstPort !== r.lastPort);
    this.#view = view;
    this.#src = src;
    this.#dst = dst;
    this.#ipSum = sum(bytes, ETHER_SIZE, UDP_AT);
    this.#udpSum = sum(bytes, UDP_AT, size) + UDP + (size - UDP_AT);
    this.#write(src.firstIp, src.firstPort, dst.firstIp, dst.firstPort);
  }

  /** The next combination, in netmap's order: source ports, source addresses, destination ports and addresses. */
  next(): void {
    const view = this.#view;
    let srcIp = view.getUint32(ETHER_SIZE + 12);
    let dstIp = view.getUint32(ETHER_SIZE + 16);
    let srcPort = view.getUint16(UDP_AT);
    let dstPort = view.getUint16(UDP_AT + 2);
    if (++srcPort > this.#src.lastPort) {
      srcPort = this.#src.firstPort;
      if (++srcIp > this.#src.lastIp) {
        srcIp = this.#src.firstIp;
        if (++dstPort > this.#dst.lastPort) {
          dstPort = this.#dst.firstPort;
          if (++dstIp > this.#dst.lastIp) dstIp = this.#dst.firstIp;
        }
      }
    }
    this.#write(srcIp, srcPort, dstIp, dstPort);
  }

  #write(srcIp: number, srcPort: number, dstIp: number, dstPort: number): void {
    const view = this.#view;
    const addresses = (srcIp >>> 16) + (srcIp & 0xffff) + (dstIp >>> 16) + (dstIp & 0xffff);
    view.setUint32(ETHER_SIZE + 12, srcIp);
    view.setUint32(ETHER_SIZE + 16, dstIp);
    view.setUint16(UDP_AT, srcPort);
    view.setUint16(UDP_AT + 2, dstPort);
    view.setUint16(IP_SUM_AT, 0xffff - fold(this.#ipSum + addresses));
    view.setUint16(UDP_SUM_AT, 0xffff - fold(this.#udpSum + addresses + srcPort + dstPort) || 0xffff); // 0 = no sum
  }
}

/** Sum of big-endian 16-bit words; an odd last byte is the high half of one. */
function sum(bytes: Uint8Array, start: number, end: number): number {
  let total = 0;
  for (let i = start; i < end; i += 2) total += (bytes[i] << 8) | (i + 1 < end ? bytes[i + 1] : 0);
  return total;
}

function fold(total: number): number {
  while (total > 0xffff) total = (total & 0xffff) + Math.floor(total / 0x10000);
  return total;
}

/** A locally administered address made of a name (FNV-1a), so that every port of a host has one of its own. */
export function macOfName(name: string): number[] {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return [0x02, 0x50, hash >>> 24, (hash >>> 16) & 0xff, (hash >>> 8) & 0xff, hash & 0xff];
}
