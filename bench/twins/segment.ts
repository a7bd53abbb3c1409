// assembly/packet/segment.ts in JavaScript, for TCP.
import { abi } from 'ptnet';
import { checksumCopy, checksumFold } from './checksum.js';
import { headersParse, newPacket, type Packet, pseudoSum, sumWords, swap16 } from './headers.js';
import { type Memory, notInTheBench } from './memory.js';

const { ETHERTYPE_IPV4, IOV_SIZE, IPPROTO_TCP, IPV4_CSUM, IPV4_ID, IPV4_TOT_LEN, IPV6_HDR_LEN, IPV6_PLEN } = abi;
const { PACKET_F_AUTH, PACKET_F_ROUTED, PARSED_L4, SEGMENT_LIMIT, SEGMENT_NO_ROOM, SEGMENT_PROTOCOL } = abi;
const { SEG_HEADER_SIZE, TCP_CSUM, TCP_FLAGS, TCP_SEQ, TH_CWR, TH_FIN, TH_PUSH, VIRTIO_NET_HDR_GSO_ECN } = abi;
const { VIRTIO_NET_HDR_GSO_NONE, VIRTIO_NET_HDR_GSO_SIZE, VIRTIO_NET_HDR_GSO_TYPE, VIRTIO_NET_HDR_GSO_UDP } = abi;

/** struct segmenter. */
export interface Segmenter {
  frag: number;
  ofs: number;
  left: number;
  mss: number;
  count: number;
  l3Sum: number;
  l4Sum: number;
  id: number;
  seq: number;
  tcpFlags: number;
  readonly packet: Packet;
  readonly header: Uint8Array;
  readonly view: DataView;
}

export function newSegmenter(): Segmenter {
  const header = new Uint8Array(SEG_HEADER_SIZE);
  const view = new DataView(header.buffer);
  const counts = { frag: 0, ofs: 0, left: 0, mss: 0, count: 0, l3Sum: 0, l4Sum: 0, id: 0, seq: 0, tcpFlags: 0 };
  return { ...counts, packet: newPacket(), header, view };
}

function iovLength({ i32 }: Memory, iov: number, n: number): number {
  let len = 0;
  for (let p = iov >>> 2; p < (iov >>> 2) + 2 * n; p += 2) len += i32[p + 1];
  return len;
}

/** Returns the number of segments, or a negative reason. */
export function segmentPrepare(mem: Memory, iov: number, n: number, hdr: number, limit: number, s: Segmenter): number {
  const { i32, u8, view } = mem;
  s.count = 0;
  const len = iovLength(mem, iov, n);
  const avail = Math.min(len, SEG_HEADER_SIZE);
  for (let at = 0, p = iov >>> 2; at < avail; p += 2) {
    const m = Math.min(i32[p + 1], avail - at);
    s.header.set(u8.subarray(i32[p], i32[p] + m), at);
    at += m;
  }
  const { packet } = s;
  const result = headersParse(s.view, 0, avail, len, packet);
  if (result < 0) return result;
  const gsoType = view.getUint8(hdr + VIRTIO_NET_HDR_GSO_TYPE);
  if ((gsoType & ~VIRTIO_NET_HDR_GSO_ECN) === VIRTIO_NET_HDR_GSO_UDP) notInTheBench();
  if (
    gsoType === VIRTIO_NET_HDR_GSO_NONE ||
    result !== PARSED_L4 ||
    packet.l4Proto !== IPPROTO_TCP ||
    (packet.flags & (PACKET_F_ROUTED | PACKET_F_AUTH)) !== 0
  ) {
    return -SEGMENT_PROTOCOL;
  }
  const { hdrLen, payload } = packet;
  if (hdrLen >= limit) return -SEGMENT_LIMIT;
  const gsoSize = view.getUint16(hdr + VIRTIO_NET_HDR_GSO_SIZE, true);
  s.mss = Math.min(limit - hdrLen, gsoSize === 0 ? Infinity : gsoSize);
  s.left = payload;
  s.count = payload === 0 ? 1 : Math.ceil(payload / s.mss);
  prepareHeader(s);
  s.frag = iov;
  s.ofs = hdrLen;
  while (s.ofs !== 0 && s.ofs >= i32[(s.frag >>> 2) + 1]) {
    s.ofs -= i32[(s.frag >>> 2) + 1];
    s.frag += IOV_SIZE;
  }
  return s.count;
}

/** Takes what differs between segments out of the header, and sums the rest once. */
function prepareHeader(s: Segmenter): void {
  const { view, packet } = s;
  const { l3, l4 } = packet;
  const isV4 = packet.l3Proto === ETHERTYPE_IPV4;
  if (isV4) {
    s.id = view.getUint16(l3 + IPV4_ID);
    view.setUint16(l3 + IPV4_TOT_LEN, 0);
    view.setUint16(l3 + IPV4_ID, 0);
    view.setUint16(l3 + IPV4_CSUM, 0);
    s.l3Sum = ~checksumFold(sumWords(view, l3, l4 - l3, 0)) & 0xffff;
  }
  s.seq = view.getUint32(l4 + TCP_SEQ);
  s.tcpFlags = view.getUint8(l4 + TCP_FLAGS);
  view.setUint32(l4 + TCP_SEQ, 0);
  view.setUint8(l4 + TCP_FLAGS, 0);
  view.setUint16(l4 + TCP_CSUM, 0);
  const pseudo = pseudoSum(view, l3, isV4, IPPROTO_TCP, 0);
  s.l4Sum = ~checksumFold(sumWords(view, l4, packet.hdrLen - l4, pseudo)) & 0xffff;
}

/** Writes the next segment. Returns its length, 0 when there is none, or -SEGMENT_NO_ROOM. */
export function segmentNext(mem: Memory, s: Segmenter, dst: number, dstSize: number): number {
  const { count } = s;
  if (count === 0) return 0;
  const { hdrLen, l3, l4, l3Proto } = s.packet;
  const { u8, view } = mem;
  const payload = Math.min(s.left, s.mss);
  const len = hdrLen + payload;
  if (len > dstSize) return -SEGMENT_NO_ROOM;
  for (let i = 0; i < hdrLen; i++) u8[dst + i] = s.header[i];
  const sum = copyPayload(mem, s, dst + hdrLen, payload);
  s.left -= payload;
  s.count = count - 1;
  const ip = dst + l3;
  if (l3Proto === ETHERTYPE_IPV4) {
    view.setUint16(ip + IPV4_TOT_LEN, len - l3);
    view.setUint16(ip + IPV4_ID, s.id);
    view.setUint16(ip + IPV4_CSUM, checksumFold(s.l3Sum + swap16(len - l3) + swap16(s.id)), true);
    s.id++;
  } else {
    view.setUint16(ip + IPV6_PLEN, len - l3 - IPV6_HDR_LEN);
  }
  finishTcp(view, s, dst + l4, len - l4, payload, sum + s.l4Sum, count === 1);
  return len;
}

function finishTcp(
  view: DataView,
  s: Segmenter,
  tcp: number,
  len: number,
  payload: number,
  sum: number,
  isLast: boolean,
): void {
  const { seq, tcpFlags } = s;
  const sent = isLast ? tcpFlags : tcpFlags & ~(TH_FIN | TH_PUSH);
  view.setUint32(tcp + TCP_SEQ, seq);
  view.setUint8(tcp + TCP_FLAGS, sent);
  sum += swap16(seq >>> 16) + swap16(seq) + (sent << 8) + swap16(len);
  view.setUint16(tcp + TCP_CSUM, checksumFold(sum), true);
  s.seq = (seq + payload) >>> 0;
  s.tcpFlags = tcpFlags & ~TH_CWR;
}

/** Copies the next `len` bytes of payload, and returns their sum. */
function copyPayload(mem: Memory, s: Segmenter, dst: number, len: number): number {
  const { i32 } = mem;
  let { frag, ofs } = s;
  let sum = 0;
  while (len !== 0) {
    const room = i32[(frag >>> 2) + 1] - ofs;
    const m = Math.min(room, len);
    if (m !== len && (m & 1) !== 0) notInTheBench(); // the next piece's sum would be one of exchanged bytes
    sum = checksumCopy(mem, dst, i32[frag >>> 2] + ofs, m, sum);
    dst += m;
    len -= m;
    ofs += m;
    if (m === room) {
      frag += IOV_SIZE;
      ofs = 0;
    }
  }
  s.frag = frag;
  s.ofs = ofs;
  return sum;
}
