// Ethernet (IEEE 802.3) sizes used by the switch.
export const ETHER_HDR_LEN = 14;
export const ETHER_ADDR_LEN = 6;
export const ETHER_SRC = 6;
export const ETHER_TYPE = 12;
