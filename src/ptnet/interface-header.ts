// What a stack gives and gets: frames, and the virtio-net header (virtio 1.2, 5.1.6) between their metadata and the
// first bytes of a packet.

import { ETHER_HDR_LEN, VLAN_TAG_LEN } from '../../assembly/abi/ether.js';
import {
  VIRTIO_NET_HDR_CSUM_START,
  VIRTIO_NET_HDR_F_MASK,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_ECN,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_TCPV6,
  VIRTIO_NET_HDR_GSO_UDP,
  VIRTIO_NET_HDR_MRG_LEN,
} from '../../assembly/abi/virtio-net.js';
import { netmapError } from '../errors.js';
import { takeTag, withTag } from './interface-frame.js';

/** Largest frame, in bytes, as in the driver (PTNET_MAX_PKT_SIZE). */
export const MAX_PACKET = 65536;
/** The longest packet: a frame with its virtio-net header. */
export const LONGEST_PACKET = MAX_PACKET + VIRTIO_NET_HDR_MRG_LEN;

/** What travels with a frame: fields of struct virtio_net_hdr, and a VLAN tag. Absent fields are 0; absent `vlan`: no tag. */
export interface PacketMetadata {
  /** VIRTIO_NET_HDR_F_NEEDS_CSUM (1): complete the checksum; VIRTIO_NET_HDR_F_DATA_VALID (2): it was found right. */
  readonly flags?: number;
  /** VIRTIO_NET_HDR_GSO_*: 0 none, 1 TCPv4, 3 UDP, 4 TCPv6; bit 0x80 ECN. */
  readonly gsoType?: number;
  /** Bytes of headers, a hint. */
  readonly hdrLen?: number;
  /** Payload bytes of a segment. */
  readonly gsoSize?: number;
  /** Byte of the frame at which summing starts. */
  readonly csumStart?: number;
  /** Where the checksum goes, in bytes from csumStart. */
  readonly csumOffset?: number;
  /** TCI of the outer IEEE 802.1Q tag, which is then not in the frame: priority, DEI, VLAN id (16 bits). `vlanhwtag`. */
  readonly vlan?: number;
}

/** A frame on its way to the host: bytes from the Ethernet header on, and what the stack asks of the host. */
export interface TxFrame {
  readonly data: Uint8Array;
  readonly metadata?: PacketMetadata | undefined;
}

/** A frame from the host. `data` lies in memory that is used again: it is valid until the receive handler returns. */
export interface RxFrame {
  readonly data: Uint8Array;
  readonly metadata: PacketMetadata;
}

const NONE: PacketMetadata = Object.freeze({});
const GSO_TYPES = [VIRTIO_NET_HDR_GSO_NONE, VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_UDP, VIRTIO_NET_HDR_GSO_TCPV6];

/** @throws NetmapError EINVAL when a field is out of its range, or a place lies outside the frame of `length` bytes */
export function checkMetadata(metadata: PacketMetadata, length: number): void {
  const { flags = 0, gsoType = 0, hdrLen = 0, gsoSize = 0, csumStart = 0, csumOffset = 0, vlan = 0 } = metadata;
  // 16 bits each; an array of them would be most of what this check costs.
  if (!isU16(flags) || !isU16(gsoType) || !isU16(hdrLen) || !isU16(gsoSize)) throw invalid('a field out of range');
  if (!isU16(csumStart) || !isU16(csumOffset) || !isU16(vlan)) throw invalid('a field out of range');
  if (flags & ~VIRTIO_NET_HDR_F_MASK) throw invalid(`flags ${flags}`);
  if (!GSO_TYPES.includes(gsoType & ~VIRTIO_NET_HDR_GSO_ECN) || gsoType > 0xff) throw invalid(`gsoType ${gsoType}`);
  if (gsoType === VIRTIO_NET_HDR_GSO_ECN || gsoType === (VIRTIO_NET_HDR_GSO_ECN | VIRTIO_NET_HDR_GSO_UDP))
    throw invalid('ECN is a bit of TCP types');
  if (gsoType !== 0 && gsoSize === 0) throw invalid('gsoType without gsoSize');
  if (flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && csumStart + csumOffset + 2 > length)
    throw invalid('the checksum lies outside the frame');
  if (hdrLen > length) throw invalid(`hdrLen ${hdrLen}`);
}

const isU16 = (value: number): boolean => (value & 0xffff) === value;

function invalid(what: string): Error {
  return netmapError('EINVAL', `metadata: ${what}`, { op: 'transmit' });
}

/** Writes a header of `length` bytes (10 or 12) at `at`. */
export function writeHeader(u8: Uint8Array, at: number, length: number, metadata: PacketMetadata = NONE): void {
  u8.fill(0, at, at + length);
  if (metadata === NONE) return;
  const put16 = (offset: number, value = 0): void => {
    u8[at + offset] = value;
    u8[at + offset + 1] = value >>> 8;
  };
  u8[at] = metadata.flags ?? 0;
  u8[at + 1] = metadata.gsoType ?? 0;
  put16(2, metadata.hdrLen);
  put16(4, metadata.gsoSize);
  put16(6, metadata.csumStart);
  put16(8, metadata.csumOffset);
}

/** Reads a header of `length` bytes at `at`; with none, or an empty one, nothing is said about the frame. */
export function readHeader(u8: Uint8Array, at: number, length: number): PacketMetadata {
  if (length === 0 || (u8[at] | u8[at + 1]) === 0) return NONE;
  const get16 = (offset: number): number => u8[at + offset] | (u8[at + offset + 1] << 8);
  return {
    flags: u8[at],
    gsoType: u8[at + 1],
    hdrLen: get16(2),
    gsoSize: get16(4),
    csumStart: get16(6),
    csumOffset: get16(8),
  };
}

/** What goes into the ring: a frame whose tag is in its metadata, with the tag in it. */
export function taggedFrame(frame: TxFrame): TxFrame {
  const { metadata } = frame;
  if (metadata?.vlan === undefined) return frame;
  const { vlan, flags = 0, hdrLen = 0, csumStart = 0, ...rest } = metadata;
  const shift = flags & VIRTIO_NET_HDR_F_NEEDS_CSUM ? VLAN_TAG_LEN : 0;
  const moved = { flags, hdrLen: hdrLen === 0 ? 0 : hdrLen + VLAN_TAG_LEN, csumStart: csumStart + shift };
  return { data: withTag(frame.data, vlan), metadata: { ...rest, ...moved } };
}

/** Makes what a receive handler gets of a packet of `length` bytes at `at`, its virtio-net header included. */
export type MakeReceived<T> = (u8: Uint8Array, at: number, length: number, headerLength: number) => T;

export const toFrame: MakeReceived<RxFrame> = (u8, at, length, headerLength) => ({
  data: u8.subarray(at + headerLength, at + length),
  metadata: readHeader(u8, at, headerLength),
});

/** The same; the outer VLAN tag moves from the frame to the metadata. */
export const toUntaggedFrame: MakeReceived<RxFrame> = (u8, at, length, headerLength) => {
  const frame = at + headerLength;
  // A checksum that begins within the Ethernet header or the tag has no place without the tag.
  const start = u8[at + VIRTIO_NET_HDR_CSUM_START] | (u8[at + VIRTIO_NET_HDR_CSUM_START + 1] << 8);
  const keepsTag = (u8[at] & VIRTIO_NET_HDR_F_NEEDS_CSUM) !== 0 && start < ETHER_HDR_LEN + VLAN_TAG_LEN;
  if (keepsTag) return toFrame(u8, at, length, headerLength);
  const vlan = takeTag(u8, frame, length - headerLength);
  if (vlan === undefined) return toFrame(u8, at, length, headerLength);
  const { flags = 0, hdrLen = 0, csumStart = 0, ...rest } = readHeader(u8, at, headerLength);
  const moved = {
    flags,
    hdrLen: Math.max(hdrLen - VLAN_TAG_LEN, 0),
    csumStart: flags & VIRTIO_NET_HDR_F_NEEDS_CSUM ? Math.max(csumStart - VLAN_TAG_LEN, 0) : csumStart,
  };
  return { data: u8.subarray(frame + VLAN_TAG_LEN, at + length), metadata: { ...rest, ...moved, vlan } };
};

export const toPacket: MakeReceived<Uint8Array> = (u8, at, length) => u8.subarray(at, at + length);
