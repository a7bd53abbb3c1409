// VLAN tags, which the kernel takes out of frames and tells beside them.

import { PACKET_HEADER } from './packet-socket.js';

export const TAG_SIZE = 4;
const MAC_PAIR = 12;
const ETHERTYPE_VLAN = 0x8100;

// Flags of struct tpacket_auxdata and tpacket2_hdr.
const TP_STATUS_VLAN_VALID = 0x10;
const TP_STATUS_VLAN_TPID_VALID = 0x40;

// struct virtio_net_hdr
const NEEDS_CSUM = 1;
const HDR_LEN = 2;
const CSUM_START = 6;

/** Whether a packet of this status had a tag. */
export function hasTag(status: number): boolean {
  return (status & TP_STATUS_VLAN_VALID) !== 0;
}

/** Puts the tag back into a packet of `length` bytes at `at`, a virtio-net header in front; it gets longer by TAG_SIZE. */
export function insertTag(u8: Uint8Array, at: number, length: number, status: number, tpid: number, tci: number): void {
  const tag = at + PACKET_HEADER + MAC_PAIR;
  u8.copyWithin(tag + TAG_SIZE, tag, at + length);
  const type = (status & TP_STATUS_VLAN_TPID_VALID) !== 0 ? tpid : ETHERTYPE_VLAN;
  u8[tag] = type >>> 8;
  u8[tag + 1] = type;
  u8[tag + 2] = tci >>> 8;
  u8[tag + 3] = tci;
  // What the header counts from the frame's start lies behind the tag.
  if ((u8[at] & NEEDS_CSUM) !== 0) addTo16(u8, at + CSUM_START, TAG_SIZE);
  if (u8[at + HDR_LEN] !== 0 || u8[at + HDR_LEN + 1] !== 0) addTo16(u8, at + HDR_LEN, TAG_SIZE);
}

function addTo16(u8: Uint8Array, at: number, n: number): void {
  const sum = u8[at] + 256 * u8[at + 1] + n;
  u8[at] = sum;
  u8[at + 1] = sum >>> 8;
}
