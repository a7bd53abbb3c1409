// The packets that an interface has received, on their way to its stack: what their virtio-net headers say is checked,
// since a host may write anything there; checksums are validated or completed, and segments merged (coalesce.ts), as the
// stack's capabilities say.
//
// DIFF: the guest drivers look at the checksum's place only, at GSO fields not at all, and leave the rest to the stack.
import { ETHER_HDR_LEN, ETHER_TYPE, ETHERTYPE_IPV6, ETHERTYPE_QINQ, ETHERTYPE_VLAN, VLAN_TAG_LEN } from '../abi/ether';
import {
  IOV_ADDR,
  IOV_LEN,
  IOV_SIZE,
  LRO_DROPS,
  LRO_MAX_LIMIT,
  LRO_OUT,
  LRO_VNET,
  OUT_FIRST,
  OUT_IOV,
  OUT_LEN,
  OUT_PIECES,
  OUT_SIZE,
  OUT_VNET,
  RECEIVE_CSUM,
  RECEIVE_HEADER,
  RECEIVE_SHORT,
  RX_CSUM,
  RX_CSUM6,
  RX_LRO,
} from '../abi/offload';
import {
  VIRTIO_NET_HDR_CSUM_OFFSET,
  VIRTIO_NET_HDR_CSUM_START,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_NET_HDR_GSO_SIZE,
  VIRTIO_NET_HDR_GSO_TYPE,
  VIRTIO_NET_HDR_MRG_LEN,
  VIRTIO_NET_HDR_NUM_BUFFERS,
} from '../abi/virtio-net';
import { coalesceAdd, coalesceFlush, coalesceReset } from './coalesce';
import { packetCopy } from './copy';
import { load16 } from './headers';
import { offloadComplete, vnetRead } from './offload';

/**
 * Works on a batch: `n` packets (at most LRO_MAX_FRAMES), given as pairs at `list`, each `hdrLen` bytes of virtio-net header
 * (10 or 12) and a frame, in memory that nobody else writes to. Returns the number of output packets at LRO_OUT: address,
 * length, and whether the stack wants the packet cut (segmentPrepare). They lie where they came, or from `room` on, which
 * has as many bytes as all that came. A packet that is dropped becomes the pair of 0 and a reason (-RECEIVE_*); LRO_DROPS says
 * how many.
 * @param caps RX_*
 */
export function receiveBatch(lro: usize, list: usize, n: u32, hdrLen: u32, caps: u32, room: usize): u32 {
  coalesceReset(lro, LRO_MAX_LIMIT, caps);
  let drops: u32 = 0;
  for (let i: u32 = 0; i < n; i++) {
    const pair = list + <usize>i * IOV_SIZE;
    const result = add(lro, load<u32>(pair, IOV_ADDR), load<u32>(pair, IOV_LEN), hdrLen);
    if (result == 0) continue;
    store<u32>(pair, 0, IOV_ADDR);
    store<i32>(pair, result, IOV_LEN);
    drops++;
  }
  store<u32>(lro, drops, LRO_DROPS);
  const count = coalesceFlush(lro);
  for (let i: u32 = 0; i < count; i++) {
    const out = lro + LRO_OUT + <usize>i * OUT_SIZE;
    const wantsCut = settle(out, caps);
    room = place(out, hdrLen, room);
    store<u32>(out, wantsCut ? 1 : 0, OUT_FIRST);
  }
  return count;
}

/** Adds a packet to the batch, or returns why not. */
function add(lro: usize, packet: usize, len: u32, hdrLen: u32): i32 {
  if (len < hdrLen + ETHER_HDR_LEN) return -RECEIVE_SHORT;
  const vnet = lro + LRO_VNET;
  if (vnetRead(packet, vnet) != 0) return -RECEIVE_HEADER;
  if (isGso(vnet) && load<u16>(vnet, VIRTIO_NET_HDR_GSO_SIZE) == 0) return -RECEIVE_HEADER;
  const frameLen = len - hdrLen;
  if ((load<u8>(vnet) & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0) {
    const at = <u32>load<u16>(vnet, VIRTIO_NET_HDR_CSUM_START) + <u32>load<u16>(vnet, VIRTIO_NET_HDR_CSUM_OFFSET);
    if (at + 2 > frameLen) return -RECEIVE_CSUM;
  }
  coalesceAdd(lro, packet + hdrLen, frameLen, vnet);
  return 0;
}

function isGso(vnet: usize): bool {
  return load<u8>(vnet, VIRTIO_NET_HDR_GSO_TYPE) != VIRTIO_NET_HDR_GSO_NONE;
}

/** Does what the stack does not know of: completes the checksum. Returns whether it wants the packet cut instead. */
function settle(out: usize, caps: u32): bool {
  const vnet = out + OUT_VNET;
  const flags = <u32>load<u8>(vnet);
  if (flags == 0 && !isGso(vnet)) return false;
  const iov: usize = load<u32>(out, OUT_IOV);
  const knows = (caps & (isIpv6(load<u32>(iov, IOV_ADDR), load<u32>(iov, IOV_LEN)) ? RX_CSUM6 : RX_CSUM)) != 0;
  if (isGso(vnet)) return !knows || (caps & RX_LRO) == 0;
  if (knows) return false;
  if ((flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0) {
    const start = <u32>load<u16>(vnet, VIRTIO_NET_HDR_CSUM_START);
    offloadComplete(iov, load<u32>(out, OUT_PIECES), start, load<u16>(vnet, VIRTIO_NET_HDR_CSUM_OFFSET));
  }
  store<u64>(vnet, 0);
  store<u32>(vnet, 0, 8);
  return false;
}

function isIpv6(frame: usize, len: u32): bool {
  for (let at: u32 = ETHER_TYPE; at + 2 <= len; at += VLAN_TAG_LEN) {
    const type = load16(frame + at);
    if (type != ETHERTYPE_VLAN && type != ETHERTYPE_QINQ) return type == ETHERTYPE_IPV6;
  }
  return false;
}

/** Puts the header in front of a packet, and the pieces of a merged one together at `room`. Returns what is left of it. */
function place(out: usize, hdrLen: u32, room: usize): usize {
  const vnet = out + OUT_VNET;
  const iov: usize = load<u32>(out, OUT_IOV);
  const pieces = load<u32>(out, OUT_PIECES);
  const len = load<u32>(out, OUT_LEN) + hdrLen;
  const packet = pieces == 1 ? <usize>load<u32>(iov, IOV_ADDR) - hdrLen : room;
  store<u64>(packet, load<u64>(vnet));
  store<u16>(packet, load<u16>(vnet, VIRTIO_NET_HDR_CSUM_OFFSET), VIRTIO_NET_HDR_CSUM_OFFSET);
  if (hdrLen == VIRTIO_NET_HDR_MRG_LEN) store<u16>(packet, 0, VIRTIO_NET_HDR_NUM_BUFFERS);
  store<u32>(out, <u32>packet, OUT_IOV);
  store<u32>(out, len, OUT_LEN);
  if (pieces == 1) return room;
  let to = packet + hdrLen;
  for (let i: u32 = 0; i < pieces; i++) {
    const piece = iov + <usize>i * IOV_SIZE;
    const size = load<u32>(piece, IOV_LEN);
    packetCopy(to, load<u32>(piece, IOV_ADDR), size);
    to += size;
  }
  return room + ((len + 7) & ~7);
}
