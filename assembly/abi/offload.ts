// Working memory of the offload functions: ours, private, given by their callers. Fields are 32 bit unless a comment says
// otherwise. Packets in pieces are lists of pairs: address, length.

// piece of a packet
export const IOV_ADDR = 0;
export const IOV_LEN = 4;
export const IOV_SIZE = 8;

// struct packet: what packetParse found, offsets from the first byte of the frame
export const PACKET_RESULT = 0; // i32: PARSED_*, or -PARSE_*
export const PACKET_FLAGS = 4; // PACKET_F_*
export const PACKET_L3 = 8; // the IP header
export const PACKET_L4 = 12; // what follows the IP header and its options or extension headers
export const PACKET_HDR_LEN = 16; // the payload: all headers that were parsed lie before it
export const PACKET_PAYLOAD = 20; // bytes of payload
export const PACKET_END = 24; // end of the payload; what follows is padding
export const PACKET_L3_PROTO = 28; // u16: ETHERTYPE_*
export const PACKET_L4_PROTO = 30; // u8: IPPROTO_*, valid from PARSED_L3 on
export const PACKET_VLANS = 31; // u8: number of VLAN tags
export const PACKET_SIZE = 32;

// how far packetParse came
export const PARSED_L2 = 2; // not IP
export const PARSED_L3 = 3; // IP, of which there is only a fragment, or neither TCP nor UDP
export const PARSED_L4 = 4; // TCP or UDP

// why packetParse or segmentPrepare refused, negated
export const PARSE_SHORT = 1; // a header ends behind the frame, or the datagram behind its packet
export const PARSE_VLAN = 2; // more than VLAN_MAX_TAGS tags
export const PARSE_VERSION = 3; // IP version and Ethernet type differ, or an impossible header length
export const PARSE_IP_LENGTH = 4; // the IP length is smaller than the headers or larger than the frame
export const PARSE_EXTENSION = 5; // more than IPV6_MAX_EXT extension headers
export const PARSE_L4_LENGTH = 6; // impossible TCP data offset or UDP length
export const SEGMENT_PROTOCOL = 7; // not what gso_type says, or not to be segmented (fragment, AH, source route)
export const SEGMENT_LIMIT = 8; // the headers alone fill a segment
export const SEGMENT_NO_ROOM = 9; // from segmentNext: the destination is too small; nothing was written

// flags of struct packet
export const PACKET_F_FRAGMENT = 1; // an IP fragment, the first one included
export const PACKET_F_OPTIONS = 2; // IPv4 options, or IPv6 extension headers
export const PACKET_F_ROUTED = 4; // IPv6 routing header with segments left: the checksum has another destination
export const PACKET_F_AUTH = 8; // IPv6 authentication header

// what offloadValidate found
export const CSUM_NONE = 0; // nothing to validate
export const CSUM_GOOD = 1;
export const CSUM_BAD = 2;
export const CSUM_PARTIAL = 3; // not in it yet: the header says where it goes, and nothing can have gone wrong

// struct segmenter: one packet while it is cut
export const SEG_FRAG = 0; // address of the pair with the next payload byte
export const SEG_OFS = 4; // offset of that byte in it
export const SEG_LEFT = 8; // payload bytes not sent
export const SEG_MSS = 12; // payload bytes of a segment
export const SEG_COUNT = 16; // segments not sent
export const SEG_L3_SUM = 20; // sum of the IPv4 header without length, id and checksum
export const SEG_L4_SUM = 24; // sum of L4 header and pseudo header without length, sequence number, flags and checksum
export const SEG_ID = 28; // IPv4 id of the next segment
export const SEG_SEQ = 32; // TCP sequence number of the next segment
export const SEG_TCP_FLAGS = 36; // of the packet; for the next segment without CWR, once the first is out
export const SEG_MAX_LEN = 40; // length of the longest segment
export const SEG_PACKET = 64; // struct packet
export const SEG_HEADER = 96; // copy of the first bytes of the frame
export const SEG_HEADER_SIZE = 480; // headers longer than this are refused
export const SEG_SIZE = 576;

// struct lro: the frames of one receive batch and what became of them
export const LRO_NFRAMES = 0; // pieces in use
export const LRO_NOUTS = 4; // output packets in use
export const LRO_LIMIT = 8; // bytes of the largest output packet
export const LRO_NEXT_FLOW = 12; // flow to give up when there are too many
export const LRO_CAPS = 16; // RX_*: what the stack wants done
export const LRO_VNET = 20; // 12 bytes: the header of the packet being added
export const LRO_PACKET = 32; // struct packet of the frame being added
export const LRO_HASHES = 64; // LRO_FLOWS hashes, 0 = free
export const LRO_FLOW = 128; // LRO_FLOWS structs flow
export const LRO_OUT = 1152; // LRO_MAX_FRAMES output packets
export const LRO_PIECE = 17536; // LRO_MAX_FRAMES pieces, chained
export const LRO_IOV = 25728; // LRO_MAX_FRAMES pairs: made from the chains by coalesceFlush
export const LRO_DROPS = 29824; // packets that receiveBatch dropped
export const LRO_SIZE = 29888;
export const LRO_FLOWS = 16;
export const LRO_MAX_FRAMES = 512;
export const LRO_MAX_PIECES = 64; // of one output packet: NETMAP_MAX_FRAGS
export const LRO_MAX_LIMIT = 65535;

// what is done for a stack with received packets: its enabled capabilities
export const RX_CSUM = 1; // validate checksums of IPv4 packets
export const RX_CSUM6 = 2; // validate checksums of IPv6 packets
export const RX_LRO = 4; // merge segments, of IP versions whose checksums are validated
export const RX_ALL = 7;

// why receiveAdd refused a packet, negated
export const RECEIVE_SHORT = 1; // no room for the virtio-net and the Ethernet header
export const RECEIVE_HEADER = 2; // unknown flags or gso_type, or a gso_type without gso_size
export const RECEIVE_CSUM = 3; // the checksum is to go outside the frame

// output packet of struct lro
export const OUT_IOV = 0; // address of the first of its pairs; from receiveBatch that of the packet, header first
export const OUT_PIECES = 4;
export const OUT_LEN = 8; // bytes of the frame; from receiveBatch those of the packet
export const OUT_FIRST = 12; // address of the first piece; from receiveBatch whether the stack wants it cut
export const OUT_VNET = 16; // struct virtio_net_hdr, 12 bytes
export const OUT_SIZE = 32;

// piece in the chain of an output packet
export const PIECE_ADDR = 0;
export const PIECE_LEN = 4;
export const PIECE_NEXT = 8; // address of the next piece, 0 = last
export const PIECE_SIZE = 16;

// struct flow: an output packet to which segments may still be added
export const FLOW_OUT = 0; // address of the output packet
export const FLOW_LAST_PIECE = 4; // address of its last piece
export const FLOW_FRAME = 8; // address of its first frame
export const FLOW_LAST_TCP = 12; // address of the TCP header of its last frame
export const FLOW_L3 = 16;
export const FLOW_L4 = 20;
export const FLOW_HDR_LEN = 24;
export const FLOW_L3_PROTO = 28;
export const FLOW_MSS = 32; // payload bytes of the first frame
export const FLOW_COUNT = 36; // frames in it
export const FLOW_LEN = 40; // bytes in it
export const FLOW_SEQ = 44; // sequence number that must come next
export const FLOW_ACK = 48; // of the last frame
export const FLOW_TSVAL = 52; // of the last frame
export const FLOW_ID = 56; // IPv4 id that must come next
export const FLOW_ID_STEP = 60; // 1, or 0 when the sender uses one id for all
export const FLOW_SIZE = 64;
