// Ethernet headers with VLAN tags (IEEE 802.1Q), as far as an interface looks at them.

import {
  ETHER_HDR_LEN,
  ETHER_SRC,
  ETHER_TYPE,
  ETHERTYPE_QINQ,
  ETHERTYPE_VLAN,
  VLAN_TAG_LEN,
} from '../../assembly/abi/ether.js';

/** The type of what a frame of `length` bytes at `at` carries, and the number of VLAN tags in front of it. */
export function etherTypeOf(u8: Uint8Array, at = 0, length = u8.length): { type: number; tags: number } {
  const end = at + length;
  let tags = 0;
  for (let p = at + ETHER_TYPE; ; p += VLAN_TAG_LEN, tags++) {
    const type = p + 2 <= end ? (u8[p] << 8) | u8[p + 1] : 0;
    if (type !== ETHERTYPE_VLAN && type !== ETHERTYPE_QINQ) return { type, tags };
  }
}

/** A copy of a frame with a tag. @param tci priority, DEI and VLAN id: 16 bits */
export function withTag(frame: Uint8Array, tci: number): Uint8Array {
  const tagged = new Uint8Array(frame.length + VLAN_TAG_LEN);
  tagged.set(frame.subarray(0, ETHER_TYPE));
  tagged.set([ETHERTYPE_VLAN >>> 8, ETHERTYPE_VLAN & 0xff, tci >>> 8, tci & 0xff], ETHER_TYPE);
  tagged.set(frame.subarray(ETHER_TYPE), ETHER_TYPE + VLAN_TAG_LEN);
  return tagged;
}

/** Takes the outer tag, if there is one, out of the frame of `length` bytes at `at`; its TCI. The frame then begins 4 bytes later. */
export function takeTag(u8: Uint8Array, at: number, length: number): number | undefined {
  if (length < ETHER_HDR_LEN + VLAN_TAG_LEN) return undefined;
  const type = at + ETHER_TYPE;
  if (((u8[type] << 8) | u8[type + 1]) !== ETHERTYPE_VLAN) return undefined;
  const tci = (u8[type + 2] << 8) | u8[type + 3];
  u8.copyWithin(at + VLAN_TAG_LEN, at, at + ETHER_SRC + ETHER_SRC);
  return tci;
}
