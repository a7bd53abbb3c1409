// IPv4 (RFC 791), IPv6 (RFC 8200), TCP (RFC 9293) and UDP (RFC 768): offsets in their headers, and numbers. Fields are in
// network byte order on the wire.

// IPv4 header
//   0       1     2          4     6          8     9       10     12    16    20
//   +-------+-----+----------+-----+----------+-----+-------+------+-----+-----+--------
//   |ver|ihl| tos | tot_len  | id  |flags|ofs | ttl | proto | csum | src | dst | options
//   +-------+-----+----------+-----+----------+-----+-------+------+-----+-----+--------
export const IPV4_HDR_LEN = 20;
export const IPV4_TOS = 1;
export const IPV4_TOT_LEN = 2;
export const IPV4_ID = 4;
export const IPV4_FRAG = 6;
export const IPV4_TTL = 8;
export const IPV4_PROTO = 9;
export const IPV4_CSUM = 10;
export const IPV4_SRC = 12;
export const IPV4_DST = 16;
export const IPV4_DF = 0x4000;
export const IPV4_FRAG_MASK = 0x3fff; // more fragments, or an offset

// IPv6 header
//   0                    4      6      7      8     24    40
//   +--------------------+------+------+------+-----+-----+------------------
//   |ver|class|flow label| plen | next | hops | src | dst | extension headers
//   +--------------------+------+------+------+-----+-----+------------------
export const IPV6_HDR_LEN = 40;
export const IPV6_PLEN = 4;
export const IPV6_NEXT = 6;
export const IPV6_HOPS = 7;
export const IPV6_SRC = 8;
export const IPV6_DST = 24;

// IPv6 extension headers: next header in byte 0, length in byte 1 (not the fragment header, which is 8 bytes)
export const IPV6_EXT_LEN = 1;
export const IPV6_EXT_SEGMENTS_LEFT = 3; // routing header
export const IPV6_EXT_FRAG = 2; // fragment header: offset and M
export const IPV6_EXT_FRAG_MASK = 0xfff9;
export const IPV6_MAX_EXT = 8; // ours: a packet with more is not looked into

// IP protocol numbers
export const IPPROTO_HOPOPTS = 0;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_ROUTING = 43;
export const IPPROTO_FRAGMENT = 44;
export const IPPROTO_AH = 51;
export const IPPROTO_DSTOPTS = 60;

// TCP header
//   0       2       4     8     12      13      14       16     18    20
//   +-------+-------+-----+-----+-------+-------+--------+------+-----+--------
//   | sport | dport | seq | ack |doff|..| flags | window | csum | urg | options
//   +-------+-------+-----+-----+-------+-------+--------+------+-----+--------
export const TCP_HDR_LEN = 20;
export const TCP_SEQ = 4;
export const TCP_ACK = 8;
export const TCP_DOFF = 12;
export const TCP_FLAGS = 13;
export const TCP_WINDOW = 14;
export const TCP_CSUM = 16;
export const TH_FIN = 0x01;
export const TH_SYN = 0x02;
export const TH_RST = 0x04;
export const TH_PUSH = 0x08;
export const TH_ACK = 0x10;
export const TH_URG = 0x20;
export const TH_ECE = 0x40;
export const TH_CWR = 0x80;

// TCP options as nearly every stack sends them after the handshake: NOP, NOP, timestamps
export const TCP_TS_HDR_LEN = 32; // of a header with just these
export const TCP_TS_KIND = 20; // the four bytes 01 01 08 0a
export const TCP_TS_KIND_LE = 0x0a080101; // the same, as a little-endian word
export const TCP_TS_VAL = 24;
export const TCP_TS_ECR = 28;

// UDP header
//   0       2       4     6      8
//   +-------+-------+-----+------+
//   | sport | dport | len | csum |
//   +-------+-------+-----+------+
export const UDP_HDR_LEN = 8;
export const UDP_LEN = 4;
export const UDP_CSUM = 6;
