// The virtio-net header (virtio 1.2, 5.1.6) that may precede a frame in its first slot, fields little-endian. A port uses
// none, the form without num_buffers, or the one with it.

// struct virtio_net_hdr: 10 bytes, or 12
//   0       1          2         4          6            8             10            12
//   +-------+----------+---------+----------+------------+-------------+-------------+
//   | flags | gso_type | hdr_len | gso_size | csum_start | csum_offset | num_buffers |
//   +-------+----------+---------+----------+------------+-------------+-------------+
export const VIRTIO_NET_HDR_LEN = 10;
export const VIRTIO_NET_HDR_MRG_LEN = 12;
export const VIRTIO_NET_HDR_FLAGS = 0;
export const VIRTIO_NET_HDR_GSO_TYPE = 1;
export const VIRTIO_NET_HDR_HDR_LEN = 2; // bytes of headers: a hint
export const VIRTIO_NET_HDR_GSO_SIZE = 4; // payload bytes per segment
export const VIRTIO_NET_HDR_CSUM_START = 6; // where summing starts, from the first byte of the frame
export const VIRTIO_NET_HDR_CSUM_OFFSET = 8; // where the checksum goes, from csum_start
export const VIRTIO_NET_HDR_NUM_BUFFERS = 10; // ignored, and written as 0

// virtio-net header: flags
export const VIRTIO_NET_HDR_F_NEEDS_CSUM = 1; // the checksum field has the pseudo header's sum only
export const VIRTIO_NET_HDR_F_DATA_VALID = 2; // the checksum was right
export const VIRTIO_NET_HDR_F_MASK = 3; // the flags that there are

// virtio-net header: gso_type
export const VIRTIO_NET_HDR_GSO_NONE = 0;
export const VIRTIO_NET_HDR_GSO_TCPV4 = 1;
export const VIRTIO_NET_HDR_GSO_UDP = 3;
export const VIRTIO_NET_HDR_GSO_TCPV6 = 4;
export const VIRTIO_NET_HDR_GSO_ECN = 0x80; // a bit beside the type: the segment has CWR set
