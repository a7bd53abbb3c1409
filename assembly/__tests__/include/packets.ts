// TCP and UDP packets over IPv4 and IPv6 with a virtio-net header before them, sent in any number of slots, and what to
// expect of what arrives. Checksums are summed the slow way, byte by byte.
import { KRING_BUFSIZE } from '../../abi/arena';
import { NS_MOREFRAG } from '../../abi/netmap';
import { area } from './check';
import { advance, bufOf, head, setSlot, slotIdx, slotLen, slots, word } from './world';

export const TCP4: u32 = 0;
export const UDP4: u32 = 1;
export const TCP6: u32 = 2;
export const UDP6: u32 = 3;

/** A virtio-net header of 12 bytes at most, and right behind it the frame. */
const stream = area(80000);
export let hdrLen: u32 = 0;
export let frameLen: u32 = 0;

export function frame(): usize {
  return stream + hdrLen;
}

export function header(): usize {
  return stream;
}

export function get16(p: usize): u32 {
  return ((<u32>load<u8>(p)) << 8) | load<u8>(p, 1);
}

export function get32(p: usize): u32 {
  return (get16(p) << 16) | get16(p + 2);
}

export function put16(p: usize, value: u32): void {
  store<u8>(p, value >> 8);
  store<u8>(p, value, 1);
}

export function isV6(kind: u32): bool {
  return kind >= TCP6;
}

export function isTcp(kind: u32): bool {
  return (kind & 1) == 0;
}

/** Offset of the TCP or UDP header in a frame of this kind. */
export function l4Of(kind: u32): u32 {
  return isV6(kind) ? 54 : 34;
}

/** Offset of the checksum field in that header. */
export function csumOffset(kind: u32): u32 {
  return isTcp(kind) ? 16 : 6;
}

export function headersOf(kind: u32): u32 {
  return l4Of(kind) + (isTcp(kind) ? 20 : 8);
}

/** One's complement sum of big-endian words, an odd last byte is a high one. */
function sumOf(p: usize, len: u32, sum: u32): u32 {
  for (let i: u32 = 0; i < len; i++) {
    sum += (i & 1) == 0 ? (<u32>load<u8>(p + i)) << 8 : <u32>load<u8>(p + i);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return sum;
}

function pseudoOf(p: usize, kind: u32, len: u32): u32 {
  const addresses = isV6(kind) ? sumOf(p + 22, 32, 0) : sumOf(p + 26, 8, 0);
  const sum = addresses + (isTcp(kind) ? 6 : 17) + len;
  return (sum & 0xffff) + (sum >> 16);
}

/** The frame, with a virtio-net header of `hdr` zero bytes before it, and the pseudo header's sum for a checksum. */
export function makePacket(hdr: u32, kind: u32, payload: u32, dst: u64, src: u64): void {
  hdrLen = hdr;
  frameLen = headersOf(kind) + payload;
  memory.fill(stream, 0, hdr);
  const p = frame();
  for (let i: u32 = 0; i < frameLen; i++) store<u8>(p + i, <u8>(i * 7 + (i >> 8) * 3 + kind));
  for (let i: u32 = 0; i < 6; i++) {
    store<u8>(p + i, <u8>(dst >> (8 * i)));
    store<u8>(p + 6 + i, <u8>(src >> (8 * i)));
  }
  put16(p + 12, isV6(kind) ? 0x86dd : 0x0800);
  const l4 = l4Of(kind);
  if (isV6(kind)) {
    store<u8>(p + 14, 0x60);
    put16(p + 18, frameLen - 54);
    store<u8>(p + 20, isTcp(kind) ? 6 : 17);
  } else {
    store<u8>(p + 14, 0x45);
    put16(p + 16, frameLen - 14);
    put16(p + 18, 0xfffe); // the id turns over at the third segment
    put16(p + 20, 0x4000);
    store<u8>(p + 23, isTcp(kind) ? 6 : 17);
    put16(p + 24, 0);
    put16(p + 24, ~sumOf(p + 14, 20, 0) & 0xffff);
  }
  if (isTcp(kind)) {
    store<u8>(p + l4 + 12, 0x50);
    store<u8>(p + l4 + 13, 0x19); // FIN, PSH, ACK
  } else {
    put16(p + l4 + 4, frameLen - l4);
  }
  put16(p + l4 + csumOffset(kind), pseudoOf(p, kind, frameLen - l4));
}

export function setVnet(flags: u32, gsoType: u32, gsoSize: u32, csumStart: u32, csumOfs: u32): void {
  store<u8>(stream, flags);
  store<u8>(stream, gsoType, 1);
  store<u16>(stream, 66, 2); // hdr_len: a hint, and wrong
  store<u16>(stream, gsoSize, 4);
  store<u16>(stream, csumStart, 6);
  store<u16>(stream, csumOfs, 8);
}

export function gsoTypeOf(kind: u32): u32 {
  return isTcp(kind) ? (isV6(kind) ? 4 : 1) : 3;
}

/** A header that asks for the checksum of a packet of this kind. */
export function askSum(kind: u32): void {
  setVnet(1, 0, 0, l4Of(kind), csumOffset(kind));
}

/** And to be cut. */
export function askCut(kind: u32, gsoSize: u32): void {
  setVnet(1, gsoTypeOf(kind), gsoSize, l4Of(kind), csumOffset(kind));
}

/** The frame's length and checksums are right. */
export function frameGood(p: usize, len: u32, kind: u32): bool {
  const l4 = l4Of(kind);
  if (isV6(kind) ? get16(p + 18) != len - 54 : get16(p + 16) != len - 14 || sumOf(p + 14, 20, 0) != 0xffff)
    return false;
  if (!isTcp(kind) && get16(p + l4 + 4) != len - l4) return false;
  return sumOf(p + l4, len - l4, pseudoOf(p, kind, len - l4)) == 0xffff;
}

/** Puts header and frame into the slots at head, cut at the places `cuts` (of both together) and where a buffer is full. */
export function submit(tx: usize, cuts: u32[]): void {
  const total = hdrLen + frameLen;
  const room = word(tx, KRING_BUFSIZE);
  let from: u32 = 0;
  let next = 0;
  do {
    const cut = next < cuts.length ? cuts[next] : total;
    const to = min(min(cut, total), from + room);
    if (to == cut) next++;
    const i = head(tx);
    memory.copy(bufOf(tx, i), stream + from, to - from);
    setSlot(tx, i, slotIdx(tx, i), to - from, to == total ? 0 : NS_MOREFRAG);
    advance(tx, 1);
    from = to;
  } while (from < total);
}

const packet = area(80000);

/** The bytes of `frags` slots from slot i on, put together. */
export function gather(rx: usize, i: u32, frags: u32): usize {
  let at = packet;
  for (let f: u32 = 0; f < frags; f++) {
    const s = (i + f) % slots(rx);
    memory.copy(at, bufOf(rx, s), slotLen(rx, s));
    at += slotLen(rx, s);
  }
  return packet;
}

/** Bytes in `frags` slots from slot i on. */
export function lengthOf(rx: usize, i: u32, frags: u32): u32 {
  let len: u32 = 0;
  for (let f: u32 = 0; f < frags; f++) len += slotLen(rx, (i + f) % slots(rx));
  return len;
}
