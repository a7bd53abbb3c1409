// What the coalescing should do with a receive batch: a list of packets, each a list of segments that is only ever looked
// at as a whole, and written out at the end.

import * as abi from '../../src/abi.js';
import {
  be16,
  be32,
  concat,
  fillChecksums,
  type Parsed,
  parse,
  pseudoHeader,
  put16,
  sum,
  validate,
} from './offload-oracle.js';

export interface Vnet {
  flags: number;
  gsoType: number;
  hdrLen: number;
  gsoSize: number;
  csumStart: number;
  csumOffset: number;
}

export const NO_VNET: Vnet = { flags: 0, gsoType: 0, hdrLen: 0, gsoSize: 0, csumStart: 0, csumOffset: 0 };

export interface Frame {
  bytes: Uint8Array;
  /** The header that it came with. */
  vnet?: Vnet;
}

interface Segment {
  bytes: Uint8Array;
  packet: Parsed;
}

interface Packet {
  segments: Segment[];
  vnet: Vnet;
  key: string;
}

export interface Output {
  bytes: Uint8Array;
  pieces: number;
  vnet: Vnet;
}

const tcpFlags = ({ bytes, packet }: Segment): number => bytes[packet.l4 + 13];
const isPush = (segment: Segment): boolean => (tcpFlags(segment) & abi.TH_PUSH) !== 0;
const hasStamps = ({ packet }: Segment): boolean => packet.hdrLen - packet.l4 === 32;
const later = (a: number, b: number): boolean => (b - a) >>> 0 < 0x80000000;

/** Addresses and ports. */
function keyOf(bytes: Uint8Array, { l3, l3Proto, l4 }: Parsed): string {
  const addresses = l3Proto === 0x0800 ? bytes.subarray(l3 + 12, l3 + 20) : bytes.subarray(l3 + 8, l3 + 40);
  return `${l3Proto} ${addresses} ${bytes.subarray(l4, l4 + 4)}`;
}

/** A segment that may be merged with others at all. */
function isPlain(segment: Segment): boolean {
  const { bytes, packet } = segment;
  const { l4, hdrLen, flags, payload } = packet;
  if (flags !== 0 || payload === 0 || (bytes[l4 + 12] & 15) !== 0) return false;
  if (tcpFlags(segment) !== abi.TH_ACK && tcpFlags(segment) !== (abi.TH_ACK | abi.TH_PUSH)) return false;
  return hdrLen - l4 === 20 || (hasStamps(segment) && be32(bytes, l4 + 20) === 0x0101080a);
}

/** The header's bytes that must be the same in all segments, the others as zeros. */
function constantPart({ bytes, packet }: Segment): string {
  const { l3, l3Proto, l4, hdrLen } = packet;
  const header = bytes.slice(0, hdrLen);
  const changing = l3Proto === 0x0800 ? [2, 3, 4, 5, 10, 11] : [4, 5];
  for (const at of changing) header[l3 + at] = 0;
  for (const at of [4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19]) header[l4 + at] = 0;
  for (let at = l4 + 24; at < hdrLen; at++) header[at] = 0;
  return `${header}`;
}

function idsContinue(segments: Segment[]): boolean {
  const { l3, l3Proto } = segments[0].packet;
  if (l3Proto !== 0x0800) return true;
  const ids = segments.map(({ bytes }) => be16(bytes, l3 + 4));
  const counting = ids.every((id, i) => id === (ids[0] + i) % 65536);
  const fixed = (segments[0].bytes[l3 + 6] & 0x40) !== 0 && ids.every((id) => id === ids[0]);
  return counting || fixed;
}

/** Whether `next` may be added to the segments. */
function mayFollow(segments: Segment[], next: Segment, limit: number): boolean {
  const first = segments[0];
  const last = segments[segments.length - 1];
  const all = [...segments, next];
  const payload = all.reduce((bytes, segment) => bytes + segment.packet.payload, 0);
  const { l4 } = first.packet;
  return (
    constantPart(first) === constantPart(next) &&
    next.packet.payload <= first.packet.payload &&
    all.length <= abi.LRO_MAX_PIECES &&
    first.packet.hdrLen + payload <= Math.min(limit, 65535) &&
    (be32(last.bytes, l4 + 4) + last.packet.payload) % 2 ** 32 === be32(next.bytes, l4 + 4) &&
    later(be32(last.bytes, l4 + 8), be32(next.bytes, l4 + 8)) &&
    (!hasStamps(first) || later(be32(last.bytes, l4 + 24), be32(next.bytes, l4 + 24))) &&
    idsContinue(all)
  );
}

/** One packet of several segments: the last one's news in the first one's header. */
function merge(segments: Segment[]): Output {
  const { packet } = segments[0];
  const { l3, l4, hdrLen } = packet;
  const last = segments[segments.length - 1].bytes;
  const out = concat(
    segments[0].bytes.subarray(0, hdrLen),
    ...segments.map(({ bytes, packet: { end } }) => bytes.subarray(hdrLen, end)),
  );
  const isV4 = packet.l3Proto === 0x0800;
  put16(out, l3 + (isV4 ? 2 : 4), out.length - (isV4 ? l3 : l3 + 40));
  out.set(last.subarray(l4 + 8, l4 + 16), l4 + 8);
  out.set(last.subarray(l4 + 20, hdrLen), l4 + 20);
  fillChecksums(out);
  put16(out, l4 + 16, sum(pseudoHeader(out, packet, out.length - l4)));
  const vnet = {
    flags: abi.VIRTIO_NET_HDR_F_NEEDS_CSUM,
    gsoType: isV4 ? abi.VIRTIO_NET_HDR_GSO_TCPV4 : abi.VIRTIO_NET_HDR_GSO_TCPV6,
    hdrLen,
    gsoSize: packet.payload,
    csumStart: l4,
    csumOffset: 16,
  };
  return { bytes: out, pieces: segments.length, vnet };
}

/** The flows that are open, in the places that they have; a new one takes the first free place, or the next in turn. */
class OpenFlows {
  readonly #places: (Packet | undefined)[] = new Array(abi.LRO_FLOWS).fill(undefined);
  #turn = 0;

  find(key: string): Packet | undefined {
    return this.#places.find((packet) => packet?.key === key);
  }

  end(packet: Packet): void {
    this.#places[this.#places.indexOf(packet)] = undefined;
  }

  endAll(): void {
    this.#places.fill(undefined);
  }

  add(packet: Packet): void {
    const free = this.#places.indexOf(undefined);
    if (free >= 0) {
      this.#places[free] = packet;
    } else {
      this.#places[this.#turn] = packet;
      this.#turn = (this.#turn + 1) % this.#places.length;
    }
  }
}

/**
 * Whether the frame's checksums are known to be right, and its guest is sure to want to know; `partial`: TCP's is still to
 * be completed.
 */
function judge({ bytes, vnet }: Frame): 'good' | 'partial' | undefined {
  const { l3, l3Proto, l4, result, vlans } = parse(bytes);
  if (vlans > 1 || (vlans === 1 && be16(bytes, 12) !== 0x8100)) return undefined;
  if (!vnet || (vnet.gsoType === 0 && vnet.flags === 0)) return validate(bytes) === abi.CSUM_GOOD ? 'good' : undefined;
  if (vnet.gsoType !== 0 || result < abi.PARSED_L3) return undefined;
  if (l3Proto === 0x0800 && sum(bytes.subarray(l3, l4)) !== 0xffff) return undefined;
  if ((vnet.flags & abi.VIRTIO_NET_HDR_F_NEEDS_CSUM) === 0) return 'good';
  const tcpSum = result === abi.PARSED_L4 && vnet.csumStart === l4 && vnet.csumOffset === 16;
  return tcpSum ? 'partial' : undefined;
}

/** The output packets of a batch. */
export function coalesce(frames: readonly Frame[], limit: number): Output[] {
  const packets: Packet[] = [];
  const flows = new OpenFlows();
  for (const frame of frames) {
    const { bytes } = frame;
    const packet = parse(bytes);
    const segment = { bytes, packet };
    const verdict = judge(frame);
    const vnet = verdict === 'good' ? { ...NO_VNET, flags: abi.VIRTIO_NET_HDR_F_DATA_VALID } : (frame.vnet ?? NO_VNET);
    const single: Packet = { segments: [segment], vnet, key: '' };
    if (packet.result === abi.PARSED_L4 && packet.l4Proto === 6) {
      single.key = keyOf(bytes, packet);
      const open = flows.find(single.key);
      const plain = verdict !== undefined && isPlain(segment);
      if (open && plain && mayFollow(open.segments, segment, limit)) {
        open.segments.push(segment);
        if (isPush(segment) || packet.payload < open.segments[0].packet.payload) flows.end(open);
        continue;
      }
      if (open) flows.end(open);
      if (plain && !isPush(segment)) flows.add(single);
    } else if (packet.result < 0 || (packet.result === abi.PARSED_L3 && packet.l4Proto === 6)) {
      flows.endAll();
    }
    packets.push(single);
  }
  return packets.map(({ segments, vnet }) =>
    segments.length > 1 ? merge(segments) : { bytes: segments[0].bytes, pieces: 1, vnet },
  );
}
