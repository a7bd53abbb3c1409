// Ethernet (IEEE 802.3) sizes and VLAN tags (IEEE 802.1Q). Types are numbers, in network byte order on the wire.
export const ETHER_HDR_LEN = 14;
export const ETHER_ADDR_LEN = 6;
export const ETHER_SRC = 6;
export const ETHER_TYPE = 12;

// VLAN tags: 4 bytes each, between the source address and the type
export const VLAN_TAG_LEN = 4;
export const VLAN_MAX_TAGS = 8; // ours: a frame with more is not looked into

// Ethernet types
export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_VLAN = 0x8100;
export const ETHERTYPE_IPV6 = 0x86dd;
export const ETHERTYPE_QINQ = 0x88a8;
