// assembly/packet/{receive,coalesce}.ts in JavaScript.
import { abi } from 'ptnet';
import {
  flowAppend,
  flowClose,
  flowContinues,
  flowFind,
  flowHash,
  flowOpen,
  isPlainSegment,
  type Lro,
  type Out,
  type Piece,
} from './flow.js';
import { headersParse, offloadValidate, type Packet } from './headers.js';
import { type Memory, notInTheBench } from './memory.js';

const { CSUM_GOOD, CSUM_NONE, ETHERTYPE_IPV4, ETHER_HDR_LEN, IOV_SIZE, IPPROTO_TCP, LRO_MAX_FRAMES } = abi;
const { LRO_MAX_LIMIT, PARSED_L3, PARSED_L4, RX_ALL, RX_CSUM, RX_CSUM6, RX_LRO, TCP_FLAGS, TH_PUSH } = abi;
const { VIRTIO_NET_HDR_F_DATA_VALID, VIRTIO_NET_HDR_F_MASK, VIRTIO_NET_HDR_F_NEEDS_CSUM } = abi;
const { VIRTIO_NET_HDR_GSO_ECN, VIRTIO_NET_HDR_GSO_NONE, VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_TCPV6 } = abi;
const { VIRTIO_NET_HDR_GSO_UDP, VIRTIO_NET_HDR_MRG_LEN } = abi;

/** A whole batch: `n` frames given as pairs at `frames`. Returns the number of output packets. */
export function coalesceBatch(mem: Memory, lro: Lro, frames: number, n: number, limit: number): number {
  if (n > LRO_MAX_FRAMES) notInTheBench();
  coalesceReset(lro, limit, RX_ALL);
  for (let p = frames >>> 2; p < (frames + n * IOV_SIZE) >>> 2; p += 2) {
    coalesceAdd(mem, lro, mem.i32[p], mem.i32[p + 1], 0);
  }
  return coalesceFlush(mem, lro);
}

export function coalesceReset(lro: Lro, limit: number, caps: number): void {
  lro.frames = 0;
  lro.nOuts = 0;
  lro.limit = Math.min(limit, LRO_MAX_LIMIT);
  lro.caps = caps;
  lro.nextFlow = 0;
  for (const flow of lro.flows) flow.hash = 0;
}

/** Adds a packet of `len` bytes with its virtio-net header in front. */
export function receiveAdd(mem: Memory, lro: Lro, packet: number, len: number): void {
  const { view } = mem;
  const frameLen = len - VIRTIO_NET_HDR_MRG_LEN;
  if (frameLen < ETHER_HDR_LEN) notInTheBench();
  const flags = view.getUint8(packet);
  const gsoType = view.getUint8(packet + 1);
  const type = gsoType & ~VIRTIO_NET_HDR_GSO_ECN;
  const known =
    type === VIRTIO_NET_HDR_GSO_NONE ||
    type === VIRTIO_NET_HDR_GSO_TCPV4 ||
    type === VIRTIO_NET_HDR_GSO_UDP ||
    type === VIRTIO_NET_HDR_GSO_TCPV6;
  if (!known || (flags & ~VIRTIO_NET_HDR_F_MASK) !== 0) notInTheBench();
  if (gsoType !== VIRTIO_NET_HDR_GSO_NONE && view.getUint16(packet + 4, true) === 0) notInTheBench();
  if ((flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) !== 0) {
    const at = view.getUint16(packet + 6, true) + view.getUint16(packet + 8, true);
    if (at + 2 > frameLen) notInTheBench();
  }
  coalesceAdd(mem, lro, packet + VIRTIO_NET_HDR_MRG_LEN, frameLen, packet);
}

/** `vnet`: address of the frame's virtio-net header, or 0. */
function coalesceAdd(mem: Memory, lro: Lro, frame: number, len: number, vnet: number): void {
  if (lro.frames >= LRO_MAX_FRAMES) notInTheBench();
  const piece = lro.pieces[lro.frames++];
  const { packet } = lro;
  const { view } = mem;
  const result = headersParse(view, frame, len, len, packet);
  const verdict = judge(mem, frame, packet, vnet, lro.caps);
  const isTcp = packet.l4Proto === IPPROTO_TCP;
  if (result !== PARSED_L4 || !isTcp) {
    if (result < 0 || (result === PARSED_L3 && isTcp)) notInTheBench(); // all flows have to end
    addOut(view, lro, piece, frame, len, vnet, verdict);
    return;
  }
  const plain = verdict === CSUM_GOOD && (lro.caps & RX_LRO) !== 0 && isPlainSegment(view, frame, packet);
  const hash = flowHash(mem, frame, packet);
  const flow = flowFind(view, lro, hash, frame, packet);
  if (flow) {
    if (plain && flowContinues(view, flow, frame, packet, lro.limit)) {
      if (flowAppend(view, flow, frame, packet, piece)) flowClose(view, flow);
      return;
    }
    flowClose(view, flow);
  }
  const out = addOut(view, lro, piece, frame, len, vnet, verdict);
  const push = view.getUint8(frame + packet.l4 + TCP_FLAGS) & TH_PUSH;
  if (plain && push === 0) flowOpen(view, lro, hash, frame, packet, out, piece);
}

/** What is known of the frame's checksum, by its header or by summing. */
function judge(mem: Memory, frame: number, packet: Packet, vnet: number, caps: number): number {
  const isV4 = packet.l3Proto === ETHERTYPE_IPV4;
  if ((caps & (isV4 ? RX_CSUM : RX_CSUM6)) === 0) return CSUM_NONE;
  if (vnet === 0) return offloadValidate(mem, frame, packet);
  if (mem.u8[vnet + 1] !== VIRTIO_NET_HDR_GSO_NONE) return CSUM_NONE;
  if ((mem.u8[vnet] & VIRTIO_NET_HDR_F_MASK) === 0) return offloadValidate(mem, frame, packet);
  if (packet.result < PARSED_L3) return CSUM_NONE;
  return notInTheBench(); // IP packets whose header speaks of checksums
}

function addOut(
  view: DataView,
  lro: Lro,
  piece: Piece,
  frame: number,
  len: number,
  vnet: number,
  verdict: number,
): Out {
  piece.addr = frame;
  piece.len = len;
  piece.next = undefined;
  const out = lro.outs[lro.nOuts++];
  out.pieces = 1;
  out.len = len;
  out.first = piece;
  if (vnet === 0 || verdict === CSUM_GOOD) {
    out.flags = verdict === CSUM_GOOD ? VIRTIO_NET_HDR_F_DATA_VALID : 0;
    out.gsoType = VIRTIO_NET_HDR_GSO_NONE;
    out.hdrLen = out.gsoSize = out.csumStart = out.csumOffset = 0;
  } else {
    out.flags = view.getUint8(vnet);
    out.gsoType = view.getUint8(vnet + 1);
    out.hdrLen = view.getUint16(vnet + 2, true);
    out.gsoSize = view.getUint16(vnet + 4, true);
    out.csumStart = view.getUint16(vnet + 6, true);
    out.csumOffset = view.getUint16(vnet + 8, true);
  }
  return out;
}

export function coalesceFlush({ view }: Memory, lro: Lro): number {
  for (const flow of lro.flows) if (flow.hash !== 0) flowClose(view, flow);
  const { iov, outs, nOuts } = lro;
  let w = 0;
  for (let i = 0; i < nOuts; i++) {
    outs[i].iov = w;
    for (let piece: Piece | undefined = outs[i].first; piece; piece = piece.next) {
      iov[w++] = piece.addr;
      iov[w++] = piece.len;
    }
  }
  return nOuts;
}
