// Two ports of a bridge with virtio-net headers of different lengths, and what arrives at the second.
import { PORT_HDR_LEN } from '../../abi/arena';
import { NS_MOREFRAG } from '../../abi/netmap';
import { check, sameBytes } from './check';
import {
  askCut,
  frame,
  frameGood,
  frameLen,
  gather,
  get16,
  get32,
  hdrLen,
  header,
  headersOf,
  isTcp,
  isV6,
  l4Of,
  lengthOf,
  makePacket,
  submit,
} from './packets';
import { ALL, drain, mac, newBridge, received, send, valePort } from './vale';
import { bufOf, head, rxKring, setWord, slotFlags, slotLen, slots, sync, txKring } from './world';

export const LENGTHS: u32[] = [0, 10, 12];

export let a: usize = 0;
export let b: usize = 0;
export let tx: usize = 0;
export let rx: usize = 0;
export let dst: u64 = 0;

/** Two ports with these header lengths; what is sent to `dst` is for the second, as a unicast or as a broadcast. */
export function unlike(
  from: u32,
  to: u32,
  known: bool = true,
  n: u32 = 32,
  srcBuf: u32 = 2048,
  dstBuf: u32 = 2048,
): void {
  const bridge = newBridge();
  a = valePort(bridge, 0, 1, n, srcBuf);
  b = valePort(bridge, 1, 1, n, dstBuf);
  tx = txKring(a);
  rx = rxKring(b);
  if (known) {
    send(txKring(b), ALL, mac(1), 60, 0);
    sync(txKring(b));
    drain(a);
  }
  setWord(a, PORT_HDR_LEN, from);
  setWord(b, PORT_HDR_LEN, to);
  dst = known ? mac(1) : ALL;
}

/** The slots from the k-th one received on are one packet of `frags`, as flags tell. */
export function isPacket(k: u32, frags: u32): bool {
  for (let f: u32 = 0; f < frags; f++) {
    const flags = (frags << 8) | (f + 1 < frags ? NS_MOREFRAG : 0);
    if (slotFlags(rx, (head(rx) + k + f) % slots(rx)) != flags) return false;
  }
  return true;
}

/** From slot k on, `frags` slots hold the destination's header and the frame. */
export function arrived(k: u32, frags: u32, dstHdr: u32): bool {
  const i = (head(rx) + k) % slots(rx);
  if (lengthOf(rx, i, frags) != dstHdr + frameLen) return false;
  const p = gather(rx, i, frags);
  for (let h: u32 = 0; h < dstHdr; h++) {
    if (load<u8>(p + h) != (h < min<u32>(hdrLen, 10) ? load<u8>(header() + h) : 0)) return false;
  }
  return sameBytes(p + dstHdr, frame(), frameLen) && isPacket(k, frags);
}

/** Cuts a packet of `total` bytes, expects frames of these lengths, and checks all that is in them. */
export function cutsTo(kind: u32, total: u32, gsoSize: u32, hdr: u32, cuts: u32[], lengths: u32[], label: i64): void {
  const headers = headersOf(kind);
  makePacket(hdr, kind, total - headers, dst, mac(0));
  askCut(kind, gsoSize);
  submit(tx, cuts);
  check(sync(tx) == 0 && received(b) == <u32>lengths.length, label);
  let sent: u32 = 0;
  for (let k = 0; k < lengths.length; k++) {
    const i = (head(rx) + k) % slots(rx);
    const p = bufOf(rx, i);
    const len = lengths[k];
    check(slotLen(rx, i) == len && slotFlags(rx, i) == 0 && frameGood(p, len, kind), label);
    check(sameBytes(p + headers, frame() + headers + sent, len - headers) && sameBytes(p, frame(), 14), label);
    if (!isV6(kind)) check(get16(p + 18) == ((0xfffe + k) & 0xffff), label);
    if (isTcp(kind)) {
      check(get32(p + l4Of(kind) + 4) == get32(frame() + l4Of(kind) + 4) + sent, label);
      check(load<u8>(p + l4Of(kind) + 13) == (k == lengths.length - 1 ? 0x19 : 0x10), label);
    }
    sent += len - headers;
  }
  drain(b);
}
