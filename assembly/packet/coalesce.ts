// Large receive offload: segments of a TCP flow that arrive in order in one receive batch become one packet with a
// virtio-net header that says how to cut it again. Called at the end of a batch by whoever hands frames to a stack.
//
// DIFF: netmap has none; it gives a frame from a port without headers a header of zeros.
//
// What may be merged is in flow.ts. Everything else goes through unchanged. No frame overtakes another one of its flow: it
// ends the packet that is open.
//
// A merged packet says NEEDS_CSUM and has the pseudo header's sum for a checksum: the one form that Linux and FreeBSD
// guests both take for a GSO packet, and can forward. Its segments were validated, or came with NEEDS_CSUM from a sender that
// has not been on a wire, so nothing is lost. A single frame whose
// checksum was validated says DATA_VALID, any other has a header of zeros, so that its stack looks for itself.
import { E2BIG } from '../abi/errno';
import { ETHER_TYPE, ETHERTYPE_IPV4, ETHERTYPE_VLAN } from '../abi/ether';
import { IPPROTO_TCP, TCP_CSUM, TCP_FLAGS, TH_PUSH } from '../abi/inet';
import {
  CSUM_GOOD,
  CSUM_NONE,
  CSUM_PARTIAL,
  IOV_ADDR,
  IOV_LEN,
  IOV_SIZE,
  LRO_CAPS,
  LRO_FLOWS,
  LRO_HASHES,
  LRO_IOV,
  LRO_LIMIT,
  LRO_MAX_FRAMES,
  LRO_MAX_LIMIT,
  LRO_NEXT_FLOW,
  LRO_NFRAMES,
  LRO_NOUTS,
  LRO_OUT,
  LRO_PACKET,
  LRO_PIECE,
  OUT_FIRST,
  OUT_IOV,
  OUT_LEN,
  OUT_PIECES,
  OUT_SIZE,
  OUT_VNET,
  PACKET_L3_PROTO,
  PACKET_L4,
  PACKET_L4_PROTO,
  PACKET_RESULT,
  PACKET_VLANS,
  PARSED_L3,
  PARSED_L4,
  PIECE_ADDR,
  PIECE_LEN,
  PIECE_NEXT,
  PIECE_SIZE,
  RX_ALL,
  RX_LRO,
  RX_CSUM,
  RX_CSUM6,
} from '../abi/offload';
import {
  VIRTIO_NET_HDR_CSUM_OFFSET,
  VIRTIO_NET_HDR_F_DATA_VALID,
  VIRTIO_NET_HDR_CSUM_START,
  VIRTIO_NET_HDR_F_MASK,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_NET_HDR_GSO_TYPE,
} from '../abi/virtio-net';
import {
  flowAppend,
  flowClose,
  flowCloseAll,
  flowContinues,
  flowFind,
  flowHash,
  flowOpen,
  isPlainSegment,
} from './flow';
import { load16, packetParse } from './headers';
import { offloadIpValid, offloadValidate, vnetWrite } from './offload';

/**
 * Begins a batch. No packet becomes longer than `limit` bytes, counted from the Ethernet header on.
 * @param caps RX_*: what is to be done. Without, a packet stays as it is and its header says what it said.
 */
export function coalesceReset(lro: usize, limit: u32, caps: u32): void {
  store<u32>(lro, 0, LRO_NFRAMES);
  store<u32>(lro, 0, LRO_NOUTS);
  store<u32>(lro, min<u32>(limit, LRO_MAX_LIMIT), LRO_LIMIT);
  store<u32>(lro, 0, LRO_NEXT_FLOW);
  store<u32>(lro, caps, LRO_CAPS);
  for (let i: u32 = 0; i < <u32>LRO_FLOWS; i++) store<u32>(lro + ((<usize>i) << 2), 0, LRO_HASHES);
}

/**
 * Adds the frame of `len` bytes at `frame`, which stays there until its packet has been delivered; if it becomes the first
 * of a packet its headers change. `vnet` is the address of the 12-byte header that it came with, as vnetRead leaves it, or
 * 0. Returns false when the batch is full; then nothing was done.
 */
export function coalesceAdd(lro: usize, frame: usize, len: u32, vnet: usize): bool {
  const k = load<u32>(lro, LRO_NFRAMES);
  if (k >= <u32>LRO_MAX_FRAMES) return false;
  store<u32>(lro, k + 1, LRO_NFRAMES);
  const piece = lro + LRO_PIECE + <usize>k * PIECE_SIZE;
  const packet = lro + LRO_PACKET;
  const result = packetParse(frame, len, packet);
  const caps = load<u32>(lro, LRO_CAPS);
  const verdict = judge(frame, packet, vnet, caps);
  const isTcp = <u32>load<u8>(packet, PACKET_L4_PROTO) == IPPROTO_TCP;
  if (result != PARSED_L4 || !isTcp) {
    // A fragment, or headers that are not understood here: it may belong to any flow.
    if (result < 0 || (result == PARSED_L3 && isTcp)) flowCloseAll(lro);
    addOut(lro, piece, frame, len, vnet, verdict);
    return true;
  }
  const trusted = verdict == CSUM_GOOD || verdict == CSUM_PARTIAL;
  const plain = trusted && (caps & RX_LRO) != 0 && isPlainSegment(frame, packet);
  const hash = flowHash(frame, packet);
  const flow = flowFind(lro, hash, frame, packet);
  if (flow != 0) {
    if (plain && flowContinues(flow, frame, packet, load<u32>(lro, LRO_LIMIT))) {
      if (flowAppend(flow, frame, packet, piece)) flowClose(lro, flow);
      return true;
    }
    flowClose(lro, flow);
  }
  const out = addOut(lro, piece, frame, len, vnet, verdict);
  const push = load<u8>(frame + load<u32>(packet, PACKET_L4), TCP_FLAGS) & TH_PUSH;
  if (plain && push == 0) flowOpen(lro, hash, frame, packet, out, piece);
  return true;
}

/**
 * What is known of the frame's checksum, by its header or by summing. Nothing is said of frames with more than one VLAN
 * tag, or one of another kind than 0x8100: FreeBSD guests look no further, and drop a frame that a header speaks of.
 */
function judge(frame: usize, packet: usize, vnet: usize, caps: u32): u32 {
  const isV4 = <u32>load<u16>(packet, PACKET_L3_PROTO) == ETHERTYPE_IPV4;
  if ((caps & (isV4 ? RX_CSUM : RX_CSUM6)) == 0) return CSUM_NONE;
  const tags = <u32>load<u8>(packet, PACKET_VLANS);
  if (tags > 1 || (tags == 1 && load16(frame + ETHER_TYPE) != ETHERTYPE_VLAN)) return CSUM_NONE;
  if (vnet == 0) return offloadValidate(frame, packet);
  if (load<u8>(vnet, VIRTIO_NET_HDR_GSO_TYPE) != VIRTIO_NET_HDR_GSO_NONE) return CSUM_NONE;
  const flags = <u32>load<u8>(vnet);
  const given = flags & VIRTIO_NET_HDR_F_MASK;
  if (given == 0) return offloadValidate(frame, packet);
  // Neither flag speaks of the IPv4 header, whose checksum a merged packet has anew.
  if (load<i32>(packet, PACKET_RESULT) < PARSED_L3 || !offloadIpValid(frame, packet)) return CSUM_NONE;
  if ((given & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0) return CSUM_GOOD;
  const isTcpSum =
    load<i32>(packet, PACKET_RESULT) == PARSED_L4 &&
    <u32>load<u16>(vnet, VIRTIO_NET_HDR_CSUM_START) == load<u32>(packet, PACKET_L4) &&
    load<u16>(vnet, VIRTIO_NET_HDR_CSUM_OFFSET) == TCP_CSUM;
  return isTcpSum ? CSUM_PARTIAL : CSUM_NONE;
}

/** A new output packet of one piece; returns its address. */
function addOut(lro: usize, piece: usize, frame: usize, len: u32, vnet: usize, verdict: u32): usize {
  store<u32>(piece, <u32>frame, PIECE_ADDR);
  store<u32>(piece, len, PIECE_LEN);
  store<u32>(piece, 0, PIECE_NEXT);
  const n = load<u32>(lro, LRO_NOUTS);
  store<u32>(lro, n + 1, LRO_NOUTS);
  const out = lro + LRO_OUT + <usize>n * OUT_SIZE;
  store<u32>(out, 1, OUT_PIECES);
  store<u32>(out, len, OUT_LEN);
  store<u32>(out, <u32>piece, OUT_FIRST);
  const flags: u32 = verdict == CSUM_GOOD ? VIRTIO_NET_HDR_F_DATA_VALID : 0;
  if (vnet == 0 || flags != 0) {
    vnetWrite(out + OUT_VNET, flags, VIRTIO_NET_HDR_GSO_NONE, 0, 0, 0, 0);
  } else {
    store<u64>(out, load<u64>(vnet), OUT_VNET);
    store<u32>(out, load<u16>(vnet, VIRTIO_NET_HDR_CSUM_OFFSET), OUT_VNET + VIRTIO_NET_HDR_CSUM_OFFSET);
  }
  return out;
}

/** Ends the batch: returns how many output packets there are, in order, each with its pieces as a list of pairs. */
export function coalesceFlush(lro: usize): u32 {
  flowCloseAll(lro);
  const n = load<u32>(lro, LRO_NOUTS);
  let iov = lro + LRO_IOV;
  for (let i: u32 = 0; i < n; i++) {
    const out = lro + LRO_OUT + <usize>i * OUT_SIZE;
    store<u32>(out, <u32>iov, OUT_IOV);
    for (let piece: usize = load<u32>(out, OUT_FIRST); piece != 0; piece = load<u32>(piece, PIECE_NEXT)) {
      store<u32>(iov, load<u32>(piece, PIECE_ADDR), IOV_ADDR);
      store<u32>(iov, load<u32>(piece, PIECE_LEN), IOV_LEN);
      iov += IOV_SIZE;
    }
  }
  return n;
}

/** A whole batch: `n` frames without headers, given as pairs. Returns the number of output packets, or -E2BIG. */
export function coalesceBatch(lro: usize, frames: usize, n: u32, limit: u32): i32 {
  if (n > <u32>LRO_MAX_FRAMES) return -E2BIG;
  coalesceReset(lro, limit, RX_ALL);
  for (let i: u32 = 0; i < n; i++) {
    const frame = frames + <usize>i * IOV_SIZE;
    coalesceAdd(lro, load<u32>(frame, IOV_ADDR), load<u32>(frame, IOV_LEN), 0);
  }
  return coalesceFlush(lro);
}
