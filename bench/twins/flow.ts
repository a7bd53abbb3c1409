// assembly/packet/flow.ts in JavaScript: the flows of a receive batch. The structs are objects, made once; the hash of a
// flow is one of 32 bits, as a product of 64 would cost BigInts.
import { abi } from 'ptnet';
import { checksumFold } from './checksum.js';
import { ipv4Checksum, newPacket, type Packet, pseudoSum } from './headers.js';
import { type Memory, notInTheBench } from './memory.js';

const { ETHERTYPE_IPV4, IPPROTO_TCP, IPV4_CSUM, IPV4_DF, IPV4_FRAG, IPV4_HDR_LEN, IPV4_ID, IPV4_SRC } = abi;
const { IPV4_TOT_LEN, IPV4_TTL, IPV6_HDR_LEN, IPV6_HOPS, IPV6_PLEN, IPV6_SRC, LRO_FLOWS, LRO_MAX_FRAMES } = abi;
const { LRO_MAX_PIECES, TCP_ACK, TCP_CSUM, TCP_DOFF, TCP_FLAGS, TCP_HDR_LEN, TCP_SEQ, TCP_TS_HDR_LEN } = abi;
const { TCP_TS_KIND, TCP_TS_KIND_LE, TCP_TS_VAL, TCP_WINDOW, TH_ACK, TH_PUSH, VIRTIO_NET_HDR_F_NEEDS_CSUM } = abi;
const { VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_TCPV6 } = abi;

export interface Piece {
  addr: number;
  len: number;
  next: Piece | undefined;
}

/** An output packet, with its virtio-net header. */
export interface Out {
  /** Word of the list of pairs. */
  iov: number;
  pieces: number;
  len: number;
  first: Piece;
  flags: number;
  gsoType: number;
  hdrLen: number;
  gsoSize: number;
  csumStart: number;
  csumOffset: number;
}

export interface Flow {
  hash: number;
  out: Out;
  lastPiece: Piece;
  frame: number;
  lastTcp: number;
  l3: number;
  l4: number;
  hdrLen: number;
  l3Proto: number;
  mss: number;
  count: number;
  len: number;
  seq: number;
  ack: number;
  tsval: number;
  id: number;
  idStep: number;
}

/** struct lro. */
export class Lro {
  frames = 0;
  nOuts = 0;
  limit = 0;
  caps = 0;
  nextFlow = 0;
  readonly packet = newPacket();
  readonly pieces: Piece[] = Array.from({ length: LRO_MAX_FRAMES }, () => ({ addr: 0, len: 0, next: undefined }));
  readonly outs: Out[] = this.pieces.map((first) => ({
    iov: 0,
    pieces: 0,
    len: 0,
    first,
    flags: 0,
    gsoType: 0,
    hdrLen: 0,
    gsoSize: 0,
    csumStart: 0,
    csumOffset: 0,
  }));
  readonly flows: Flow[] = Array.from({ length: LRO_FLOWS }, () => ({
    hash: 0,
    out: this.outs[0],
    lastPiece: this.pieces[0],
    frame: 0,
    lastTcp: 0,
    l3: 0,
    l4: 0,
    hdrLen: 0,
    l3Proto: 0,
    mss: 0,
    count: 0,
    len: 0,
    seq: 0,
    ack: 0,
    tsval: 0,
    id: 0,
    idStep: 0,
  }));
  /** Pairs of the output packets. */
  readonly iov = new Int32Array(2 * LRO_MAX_FRAMES);
}

/** A hash, never 0, of addresses and ports. */
export function flowHash({ view }: Memory, frame: number, packet: Packet): number {
  const ip = frame + packet.l3;
  const isV4 = packet.l3Proto === ETHERTYPE_IPV4;
  const end = isV4 ? ip + IPV4_SRC + 8 : ip + IPV6_SRC + 32;
  let hash = view.getInt32(frame + packet.l4, true);
  for (let p = isV4 ? ip + IPV4_SRC : ip + IPV6_SRC; p < end; p += 4) {
    hash = Math.imul(hash ^ view.getInt32(p, true), 0x9e3779b1);
  }
  return hash | 1;
}

export function flowFind(view: DataView, lro: Lro, hash: number, frame: number, packet: Packet): Flow | undefined {
  const { flows } = lro;
  for (let i = 0; i < LRO_FLOWS; i++) {
    if (flows[i].hash === hash && sameFlow(view, flows[i], frame, packet)) return flows[i];
  }
  return undefined;
}

function sameFlow(view: DataView, flow: Flow, frame: number, packet: Packet): boolean {
  const a = frame + packet.l3;
  const b = flow.frame + flow.l3;
  if (flow.l3Proto !== packet.l3Proto || view.getInt32(flow.frame + flow.l4) !== view.getInt32(frame + packet.l4)) {
    return false;
  }
  const isV4 = packet.l3Proto === ETHERTYPE_IPV4;
  const end = isV4 ? IPV4_SRC + 8 : IPV6_SRC + 32;
  for (let i = isV4 ? IPV4_SRC : IPV6_SRC; i < end; i += 4) {
    if (view.getInt32(a + i) !== view.getInt32(b + i)) return false;
  }
  return true;
}

export function isPlainSegment(view: DataView, frame: number, packet: Packet): boolean {
  const tcp = frame + packet.l4;
  const hdrLen = packet.hdrLen - packet.l4;
  return (
    packet.flags === 0 &&
    packet.payload !== 0 &&
    (view.getUint8(tcp + TCP_FLAGS) & ~TH_PUSH) === TH_ACK &&
    (view.getUint8(tcp + TCP_DOFF) & 15) === 0 &&
    (hdrLen === TCP_HDR_LEN ||
      (hdrLen === TCP_TS_HDR_LEN && view.getUint32(tcp + TCP_TS_KIND, true) === TCP_TS_KIND_LE))
  );
}

export function flowOpen(
  view: DataView,
  lro: Lro,
  hash: number,
  frame: number,
  packet: Packet,
  out: Out,
  piece: Piece,
): void {
  let i = 0;
  while (i < LRO_FLOWS && lro.flows[i].hash !== 0) i++;
  if (i === LRO_FLOWS) notInTheBench(); // another flow has to end
  const flow = lro.flows[i];
  const tcp = frame + packet.l4;
  flow.hash = hash;
  flow.out = out;
  flow.lastPiece = piece;
  flow.frame = frame;
  flow.l3 = packet.l3;
  flow.l4 = packet.l4;
  flow.hdrLen = packet.hdrLen;
  flow.l3Proto = packet.l3Proto;
  flow.mss = packet.payload;
  flow.count = 0;
  flow.len = packet.hdrLen;
  flow.idStep = 1;
  flow.id = view.getUint16(frame + packet.l3 + IPV4_ID);
  moveOn(view, flow, tcp, packet.payload, view.getInt32(tcp + TCP_SEQ));
}

function moveOn(view: DataView, flow: Flow, tcp: number, payload: number, seq: number): void {
  flow.lastTcp = tcp;
  flow.count++;
  flow.len += payload;
  flow.seq = (seq + payload) | 0;
  flow.ack = view.getInt32(tcp + TCP_ACK);
  if (flow.hdrLen - flow.l4 === TCP_TS_HDR_LEN) flow.tsval = view.getInt32(tcp + TCP_TS_VAL);
  flow.id = (flow.id + flow.idStep) & 0xffff;
}

export function flowContinues(view: DataView, flow: Flow, frame: number, packet: Packet, limit: number): boolean {
  const first = flow.frame;
  const { l3, l4, hdrLen, payload } = packet;
  if (
    flow.l3 !== l3 ||
    flow.hdrLen !== hdrLen ||
    payload > flow.mss ||
    flow.count >= LRO_MAX_PIECES ||
    flow.len + payload > limit
  ) {
    return false;
  }
  const tcp = frame + l4;
  if (view.getInt32(tcp + TCP_SEQ) !== flow.seq) return false;
  if (((view.getInt32(tcp + TCP_ACK) - flow.ack) | 0) < 0) return false;
  if (hdrLen - l4 === TCP_TS_HDR_LEN && ((view.getInt32(tcp + TCP_TS_VAL) - flow.tsval) | 0) < 0) return false;
  for (let i = 0; i < l3; i += 2) if (view.getUint16(frame + i) !== view.getUint16(first + i)) return false;
  if (packet.l3Proto === ETHERTYPE_IPV4) return continuesV4(view, flow, frame + l3, first + l3);
  const a = frame + l3;
  const b = first + l3;
  return view.getInt32(a) === view.getInt32(b) && view.getUint8(a + IPV6_HOPS) === view.getUint8(b + IPV6_HOPS);
}

function continuesV4(view: DataView, flow: Flow, ip: number, first: number): boolean {
  const fragment = view.getUint16(ip + IPV4_FRAG); // DF, or nothing
  if (view.getUint16(ip) !== view.getUint16(first) || fragment !== view.getUint16(first + IPV4_FRAG)) return false;
  if (view.getUint8(ip + IPV4_TTL) !== view.getUint8(first + IPV4_TTL)) return false;
  const id = view.getUint16(ip + IPV4_ID);
  if (id === flow.id) return true;
  if (flow.count !== 1 || fragment !== IPV4_DF || id !== ((flow.id - 1) & 0xffff)) return false;
  flow.id = id;
  flow.idStep = 0;
  return true;
}

export function flowAppend(view: DataView, flow: Flow, frame: number, packet: Packet, piece: Piece): boolean {
  const { hdrLen, payload } = packet;
  const last = flow.lastPiece;
  if (flow.count === 1) last.len = hdrLen + flow.mss; // without padding
  last.next = piece;
  piece.addr = frame + hdrLen;
  piece.len = payload;
  piece.next = undefined;
  flow.lastPiece = piece;
  const tcp = frame + packet.l4;
  moveOn(view, flow, tcp, payload, flow.seq);
  return payload < flow.mss || (view.getUint8(tcp + TCP_FLAGS) & TH_PUSH) !== 0;
}

export function flowClose(view: DataView, flow: Flow): void {
  flow.hash = 0;
  if (flow.count > 1) finish(view, flow);
}

/** Makes the first frame's headers those of the whole packet, and writes its virtio-net header. */
function finish(view: DataView, flow: Flow): void {
  const { out, frame: first, lastTcp: last, l3, l4, hdrLen, len } = flow;
  const isV4 = flow.l3Proto === ETHERTYPE_IPV4;
  const ip = first + l3;
  const tcp = first + l4;
  if (isV4) {
    view.setUint16(ip + IPV4_TOT_LEN, len - l3);
    view.setUint16(ip + IPV4_CSUM, 0);
    view.setUint16(ip + IPV4_CSUM, ipv4Checksum(view, ip, IPV4_HDR_LEN), true);
  } else {
    view.setUint16(ip + IPV6_PLEN, len - l3 - IPV6_HDR_LEN);
  }
  view.setUint32(tcp + TCP_ACK, view.getUint32(last + TCP_ACK));
  view.setUint8(tcp + TCP_FLAGS, view.getUint8(last + TCP_FLAGS));
  view.setUint16(tcp + TCP_WINDOW, view.getUint16(last + TCP_WINDOW));
  if (hdrLen - l4 === TCP_TS_HDR_LEN) {
    view.setUint32(tcp + TCP_TS_VAL, view.getUint32(last + TCP_TS_VAL));
    view.setUint32(tcp + TCP_TS_VAL + 4, view.getUint32(last + TCP_TS_VAL + 4)); // the echo
  }
  view.setUint16(tcp + TCP_CSUM, ~checksumFold(pseudoSum(view, ip, isV4, IPPROTO_TCP, len - l4)), true);
  out.pieces = flow.count;
  out.len = len;
  out.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
  out.gsoType = isV4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
  out.hdrLen = hdrLen;
  out.gsoSize = flow.mss;
  out.csumStart = l4;
  out.csumOffset = TCP_CSUM;
}
