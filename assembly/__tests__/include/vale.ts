// Bridges with ports on them, and Ethernet frames whose every byte tells where it belongs.
import {
  BRIDGE_ACTIVE,
  BRIDGE_FDB,
  BRIDGE_LIST_A,
  BRIDGE_PORTS,
  BRIDGE_SIZE,
  FDB_SIZE,
  PORT_BDG_INDEX,
  PORT_BRIDGE,
  PORT_KIND_VALE,
} from '../../abi/arena';
import { NM_BDG_MAXPORTS } from '../../abi/netmap';
import { guarded } from './check';
import {
  advance,
  avail,
  bufOf,
  head,
  newPort,
  newRegion,
  rxKring,
  setSlot,
  slotIdx,
  slotLen,
  slots,
  sync,
} from './world';

export const ALL: u64 = 0xffffffffffff;

/** The i-th unicast address: 02:00:00:00:hi:lo. */
export function mac(i: u32): u64 {
  return 2 | ((<u64>((i >> 8) & 0xff)) << 32) | ((<u64>(i & 0xff)) << 40);
}

export function newBridge(): usize {
  const bridge = guarded(BRIDGE_SIZE);
  store<u32>(bridge, <u32>guarded(FDB_SIZE), BRIDGE_FDB);
  listActive(bridge);
  return bridge;
}

function listActive(bridge: usize): void {
  const list = bridge + BRIDGE_LIST_A;
  let count: u32 = 0;
  for (let i: u32 = 0; i < <u32>NM_BDG_MAXPORTS; i++) {
    if (load<u32>(bridge + BRIDGE_PORTS + (i << 2)) != 0) store<u32>(list + 4 + (count++ << 2), i);
  }
  store<u32>(list, count);
  store<u32>(bridge, <u32>list, BRIDGE_ACTIVE);
}

export function attach(bridge: usize, port: usize, index: u32): void {
  store<u32>(bridge + BRIDGE_PORTS + (index << 2), <u32>port);
  store<u32>(port, index, PORT_BDG_INDEX);
  store<u32>(port, <u32>bridge, PORT_BRIDGE);
  listActive(bridge);
}

export function detach(bridge: usize, index: u32): void {
  store<u32>(load<u32>(bridge + BRIDGE_PORTS + (index << 2)), 0, PORT_BRIDGE);
  store<u32>(bridge + BRIDGE_PORTS + (index << 2), 0);
  listActive(bridge);
}

/** A port of `rings` rings each way, with a region of its own, on the bridge. */
export function valePort(
  bridge: usize,
  index: u32,
  rings: u32 = 1,
  n: u32 = 16,
  bufSize: u32 = 256,
  skew: u32 = 0,
): usize {
  const region = newRegion(2 + 2 * rings * n, bufSize, skew);
  const port = newPort(PORT_KIND_VALE, rings, rings, n, region);
  attach(bridge, port, index);
  return port;
}

function frameByte(dst: u64, src: u64, tag: u32, i: u32): u8 {
  if (i < 6) return <u8>(dst >> (8 * i));
  if (i < 12) return <u8>(src >> (8 * (i - 6)));
  if (i < 14) return i == 12 ? 8 : 0;
  return <u8>(tag * 31 + i * 7);
}

/** Writes `len` bytes of the frame from its byte `from` on. */
export function putBytes(at: usize, dst: u64, src: u64, tag: u32, from: u32, len: u32): void {
  for (let i: u32 = 0; i < len; i++) store<u8>(at + i, frameByte(dst, src, tag, from + i));
}

export function bytesAre(at: usize, dst: u64, src: u64, tag: u32, from: u32, len: u32): bool {
  for (let i: u32 = 0; i < len; i++) if (load<u8>(at + i) != frameByte(dst, src, tag, from + i)) return false;
  return true;
}

/** Puts a frame, or its fragment from byte `from` on, into the slot at head, and moves head on. */
export function send(tx: usize, dst: u64, src: u64, len: u32, tag: u32, flags: u32 = 0, from: u32 = 0): void {
  const i = head(tx);
  putBytes(bufOf(tx, i), dst, src, tag, from, len);
  setSlot(tx, i, slotIdx(tx, i), len, flags);
  advance(tx, 1);
}

/** The k-th slot that the receiver has not taken yet holds this frame. */
export function holds(rx: usize, k: u32, dst: u64, src: u64, len: u32, tag: u32): bool {
  const i = (head(rx) + k) % slots(rx);
  return k < avail(rx) && slotLen(rx, i) == len && bytesAre(bufOf(rx, i), dst, src, tag, 0, len);
}

/** Syncs the ring and tells how many slots it has for its application. */
export function received(port: usize, ring: u32 = 0): u32 {
  const rx = rxKring(port, ring);
  sync(rx);
  return avail(rx);
}

/** Releases everything received. */
export function drain(port: usize, ring: u32 = 0): void {
  const rx = rxKring(port, ring);
  sync(rx);
  advance(rx, avail(rx));
  sync(rx);
}
