// The frame that pkt-gen sends: UDP over IPv4 in Ethernet, with correct checksums for all addresses of its ranges.

import type { AddressRange, MacRange } from './options.js';

export interface FrameOptions {
  readonly size: number;
  /** Below `size`: each frame has a random size from this to `size` - 1, and no UDP checksum. */
  readonly minSize: number;
  readonly srcMac: MacRange;
  readonly dstMac: MacRange;
  readonly src: AddressRange;
  readonly dst: AddressRange;
  readonly randomSrc: boolean;
  readonly randomDst: boolean;
}

/** What a sender sends: one frame after the other. */
export interface FrameSource {
  /** The frame at hand, in its first `size` bytes. */
  readonly bytes: Uint8Array;
  readonly size: number;
  /** Whether the frames differ; if so, from the first of these bytes to before the last one. */
  readonly varies: boolean;
  readonly variable: readonly [start: number, end: number];
  /** Goes on to the next frame. */
  next(): void;
}

/** The same bytes again and again. */
export function fixedFrame(bytes: Uint8Array): FrameSource {
  return { bytes, size: bytes.length, varies: false, variable: [0, 0], next: () => {} };
}

const ETHER_SIZE = 14;
const IP_SIZE = 20;
const IP_SUM_AT = ETHER_SIZE + 10;
const UDP_AT = ETHER_SIZE + IP_SIZE;
const UDP_SUM_AT = UDP_AT + 6;
const PAYLOAD_AT = UDP_AT + 8;
const UDP = 17;
const PAYLOAD = new TextEncoder().encode('ptnet pkt-gen payload ');

const MAC_SIZE = 6;

export class Frame implements FrameSource {
  readonly bytes: Uint8Array;
  readonly varies: boolean;
  readonly variable: readonly [start: number, end: number];
  size: number;
  readonly #options: FrameOptions;
  readonly #view: DataView;
  #srcMac: number;
  #dstMac: number;
  readonly #src: AddressRange;
  readonly #dst: AddressRange;
  /** Sums of what does not change, addresses and ports left out. */
  readonly #ipSum: number;
  readonly #udpSum: number;

  constructor(options: FrameOptions) {
    const { size, minSize, srcMac, dstMac, src, dst } = options;
    const bytes = new Uint8Array(size);
    const view = new DataView(bytes.buffer);
    view.setUint16(12, 0x0800);
    view.setUint8(ETHER_SIZE, 0x45);
    view.setUint8(ETHER_SIZE + 1, 0x10); // low delay, as netmap's
    view.setUint16(ETHER_SIZE + 6, 0x4000); // do not fragment
    view.setUint8(ETHER_SIZE + 8, 64);
    view.setUint8(ETHER_SIZE + 9, UDP);
    for (let i = PAYLOAD_AT; i < size; i++) bytes[i] = PAYLOAD[(i - PAYLOAD_AT) % PAYLOAD.length];
    this.bytes = bytes;
    const macsVary = srcMac.first !== srcMac.last || dstMac.first !== dstMac.last;
    const addressesVary = [src, dst].some((r) => r.firstIp !== r.lastIp || r.firstPort !== r.lastPort);
    this.varies = macsVary || addressesVary || minSize < size;
    this.variable = [macsVary ? 0 : ETHER_SIZE + 2, PAYLOAD_AT];
    this.size = size;
    this.#options = options;
    this.#view = view;
    this.#srcMac = srcMac.first;
    this.#dstMac = dstMac.first;
    this.#src = src;
    this.#dst = dst;
    this.#ipSum = sum(bytes, ETHER_SIZE, UDP_AT);
    this.#udpSum = sum(bytes, PAYLOAD_AT, size) + UDP;
    this.#write(src.firstIp, src.firstPort, dst.firstIp, dst.firstPort);
    this.#writeMacs();
    if (minSize < size) this.next();
  }

  /**
   * The next combination, in netmap's order: source ports, source addresses, destination ports and addresses. MAC
   * addresses go on by themselves, each with every frame.
   */
  next(): void {
    const { srcMac, dstMac, size, minSize, randomSrc, randomDst } = this.#options;
    if (this.variable[0] === 0) {
      this.#srcMac = this.#srcMac === srcMac.last ? srcMac.first : this.#srcMac + 1;
      this.#dstMac = this.#dstMac === dstMac.last ? dstMac.first : this.#dstMac + 1;
      this.#writeMacs();
    }
    if (minSize < size) this.size = minSize + Math.floor(Math.random() * (size - minSize));
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
    if (randomSrc) [srcIp, srcPort] = oneOf(this.#src);
    if (randomDst) [dstIp, dstPort] = oneOf(this.#dst);
    this.#write(srcIp, srcPort, dstIp, dstPort);
  }

  #writeMacs(): void {
    this.bytes.set(macOf(this.#dstMac), 0);
    this.bytes.set(macOf(this.#srcMac), MAC_SIZE);
  }

  #write(srcIp: number, srcPort: number, dstIp: number, dstPort: number): void {
    const view = this.#view;
    const addresses = (srcIp >>> 16) + (srcIp & 0xffff) + (dstIp >>> 16) + (dstIp & 0xffff);
    view.setUint32(ETHER_SIZE + 12, srcIp);
    view.setUint32(ETHER_SIZE + 16, dstIp);
    view.setUint16(UDP_AT, srcPort);
    view.setUint16(UDP_AT + 2, dstPort);
    const { size } = this;
    const udpSize = size - UDP_AT;
    view.setUint16(ETHER_SIZE + 2, size - ETHER_SIZE);
    view.setUint16(UDP_AT + 4, udpSize);
    view.setUint16(IP_SUM_AT, 0xffff - fold(this.#ipSum + addresses + size - ETHER_SIZE));
    const udpSum = 0xffff - fold(this.#udpSum + addresses + srcPort + dstPort + 2 * udpSize) || 0xffff; // 0 = no sum
    view.setUint16(UDP_SUM_AT, this.#options.minSize < this.#options.size ? 0 : udpSum);
  }
}

function oneOf({ firstIp, lastIp, firstPort, lastPort }: AddressRange): [ip: number, port: number] {
  const between = (first: number, last: number): number => first + Math.floor(Math.random() * (last - first + 1));
  return [between(firstIp, lastIp), between(firstPort, lastPort)];
}

/** The bytes of a 48-bit number. */
export function macOf(value: number): number[] {
  return Array.from({ length: MAC_SIZE }, (_, i) => Math.floor(value / 256 ** (MAC_SIZE - 1 - i)) % 256);
}

/** The range of one address. */
export function macRange(mac: readonly number[]): MacRange {
  const value = mac.reduce((n, byte) => n * 256 + byte, 0);
  return { first: value, last: value };
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
