// A packet that an interface has received, on its way into a batch (coalesce.ts): what its virtio-net header says is
// checked first, since a host may write anything there.
//
// DIFF: the guest drivers look at the checksum's place only, and at GSO fields not at all.
import { ETHER_HDR_LEN } from '../abi/ether';
import { LRO_VNET, RECEIVE_CSUM, RECEIVE_FULL, RECEIVE_HEADER, RECEIVE_SHORT } from '../abi/offload';
import {
  VIRTIO_NET_HDR_CSUM_OFFSET,
  VIRTIO_NET_HDR_CSUM_START,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_NET_HDR_GSO_SIZE,
  VIRTIO_NET_HDR_GSO_TYPE,
} from '../abi/virtio-net';
import { coalesceAdd } from './coalesce';
import { vnetRead } from './offload';

/**
 * Adds the packet of `len` bytes at `packet` to a batch: `hdrLen` bytes of virtio-net header (10 or 12), then a frame. The
 * frame stays there until the batch has been delivered. Returns 0, or a reason to drop it (-RECEIVE_*).
 */
export function receiveAdd(lro: usize, packet: usize, len: u32, hdrLen: u32): i32 {
  if (len < hdrLen + ETHER_HDR_LEN) return -RECEIVE_SHORT;
  const vnet = lro + LRO_VNET;
  if (vnetRead(packet, vnet) != 0) return -RECEIVE_HEADER;
  const isGso = load<u8>(vnet, VIRTIO_NET_HDR_GSO_TYPE) != VIRTIO_NET_HDR_GSO_NONE;
  if (isGso && load<u16>(vnet, VIRTIO_NET_HDR_GSO_SIZE) == 0) return -RECEIVE_HEADER;
  const frameLen = len - hdrLen;
  if ((load<u8>(vnet) & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0) {
    const at = <u32>load<u16>(vnet, VIRTIO_NET_HDR_CSUM_START) + <u32>load<u16>(vnet, VIRTIO_NET_HDR_CSUM_OFFSET);
    if (at + 2 > frameLen) return -RECEIVE_CSUM;
  }
  return coalesceAdd(lro, packet + hdrLen, frameLen, vnet) ? 0 : -RECEIVE_FULL;
}
