// The loops of place.ts for the usual packets: the buffers that the receiver's slots name are checked, and each has room.
import { SCRATCH_ADDR, SCRATCH_ENTRY_SIZE, SCRATCH_LEN } from '../abi/arena';
import { NETMAP_SLOT_FLAGS, NETMAP_SLOT_LEN, NETMAP_SLOT_SIZE, NS_MOREFRAG, NS_RFRAGS_SHIFT } from '../abi/netmap';
import { COPY_LONG } from '../packet/copy';

/**
 * Copies packets of one slot, of 16 to `limit` bytes, from entry `e` to entry `end` into slots `delta` behind them. Returns
 * the first entry left, and bytes << 32. A loop of its own, without calls: all it works with stays in registers.
 */
export function placeShort(
  e: usize,
  end: usize,
  delta: usize,
  bufBase: usize,
  bufSize: u32,
  bufLimit: u32,
  limit: u32,
): u64 {
  let bytes: u64 = 0;
  while (e != end) {
    const w = load<u64>(e); // SCRATCH_ADDR, SCRATCH_LEN, SCRATCH_FRAGS
    const len = <u32>(w >> 32) - 0x10000; // one fragment
    if (len - 16 > limit - 16) break;
    const idx = load<u32>(e + delta); // the receiver's: read once
    if (idx - 2 >= bufLimit) break;
    let src = <usize>(<u32>w);
    let dst = bufBase + <usize>idx * bufSize;
    store<u32>(e + delta, len | (1 << (16 + NS_RFRAGS_SHIFT)), NETMAP_SLOT_LEN);
    bytes += len;
    e += SCRATCH_ENTRY_SIZE;
    if (len <= 64) {
      const tail: usize = len - 16;
      if (len >= 32) {
        const a = v128.load(src);
        const b = v128.load(src, 16);
        const c = v128.load(src + tail - 16);
        const d = v128.load(src + tail);
        v128.store(dst, a);
        v128.store(dst, b, 16);
        v128.store(dst + tail - 16, c);
        v128.store(dst + tail, d);
      } else {
        const a = v128.load(src);
        const d = v128.load(src + tail);
        v128.store(dst, a);
        v128.store(dst + tail, d);
      }
      continue;
    }
    const lastSrc = src + len - 64;
    const lastDst = dst + len - 64;
    do {
      const a = v128.load(src);
      const b = v128.load(src, 16);
      const c = v128.load(src, 32);
      const d = v128.load(src, 48);
      v128.store(dst, a);
      v128.store(dst, b, 16);
      v128.store(dst, c, 32);
      v128.store(dst, d, 48);
      src += 64;
      dst += 64;
    } while (src < lastSrc);
    const a = v128.load(lastSrc);
    const b = v128.load(lastSrc, 16);
    const c = v128.load(lastSrc, 32);
    const d = v128.load(lastSrc, 48);
    v128.store(lastDst, a);
    v128.store(lastDst, b, 16);
    v128.store(lastDst, c, 32);
    v128.store(lastDst, d, 48);
  }
  return (bytes << 32) | <u64>e;
}

/** The same for packets of COPY_LONG to `limit` bytes. Each copy is a call out of the Wasm. */
export function placeLong(
  e: usize,
  end: usize,
  delta: usize,
  bufBase: usize,
  bufSize: u32,
  bufLimit: u32,
  limit: u32,
): u64 {
  let bytes: u64 = 0;
  while (e != end) {
    const w = load<u64>(e); // SCRATCH_ADDR, SCRATCH_LEN, SCRATCH_FRAGS
    const len = <u32>(w >> 32) - 0x10000; // one fragment
    if (len < COPY_LONG || len > limit) break;
    const idx = load<u32>(e + delta); // the receiver's: read once
    if (idx - 2 >= bufLimit) break;
    store<u32>(e + delta, len | (1 << (16 + NS_RFRAGS_SHIFT)), NETMAP_SLOT_LEN);
    bytes += len;
    e += SCRATCH_ENTRY_SIZE;
    memory.copy(bufBase + <usize>idx * bufSize, <usize>(<u32>w), len);
  }
  return (bytes << 32) | <u64>e;
}

/**
 * Copies one packet of several slots, of at least 16 bytes each, whose entries are `size` bytes from `e` on, into the slots
 * `delta` behind them. Returns its bytes; 0 if there is anything unusual about it, and then nothing of it has arrived:
 * the slots are still the switch's. A loop of its own, without calls, as placeShort.
 */
export function placeFragments(
  e: usize,
  size: usize,
  delta: usize,
  bufBase: usize,
  bufSize: u32,
  bufLimit: u32,
  plainLimit: u32,
): u32 {
  if (size == SCRATCH_ENTRY_SIZE) return 0;
  const end = e + size;
  // All of it first, so that nothing is written of a packet that goes the long way. The receiver may still change an index.
  for (let i = e; i != end; i += SCRATCH_ENTRY_SIZE) {
    if (<u32>load<u16>(i, SCRATCH_LEN) - 16 > plainLimit - 16) return 0;
    if (load<u32>(i + delta) - 2 >= bufLimit) return 0;
  }
  const mark = (<u32>size / SCRATCH_ENTRY_SIZE) << NS_RFRAGS_SHIFT;
  const flags = (mark | NS_MOREFRAG) << 16;
  let bytes: u32 = 0;
  while (e != end) {
    const len = <u32>load<u16>(e, SCRATCH_LEN);
    const idx = load<u32>(e + delta); // the receiver's: once more, and only this one is used
    if (idx - 2 >= bufLimit) return 0;
    store<u32>(e + delta, len | flags, NETMAP_SLOT_LEN);
    bytes += len;
    let src: usize = load<u32>(e, SCRATCH_ADDR);
    let dst = bufBase + <usize>idx * bufSize;
    const endSrc = src + len;
    const endDst = dst + len;
    e += SCRATCH_ENTRY_SIZE;
    if (len < 64) {
      while (src < endSrc - 16) {
        v128.store(dst, v128.load(src));
        src += 16;
        dst += 16;
      }
      v128.store(endDst - 16, v128.load(endSrc - 16));
      continue;
    }
    while (src < endSrc - 64) {
      const a = v128.load(src);
      const b = v128.load(src, 16);
      const c = v128.load(src, 32);
      const d = v128.load(src, 48);
      v128.store(dst, a);
      v128.store(dst, b, 16);
      v128.store(dst, c, 32);
      v128.store(dst, d, 48);
      src += 64;
      dst += 64;
    }
    const a = v128.load(endSrc - 64);
    const b = v128.load(endSrc - 64, 16);
    const c = v128.load(endSrc - 64, 32);
    const d = v128.load(endSrc - 64, 48);
    v128.store(endDst - 64, a);
    v128.store(endDst - 64, b, 16);
    v128.store(endDst - 64, c, 32);
    v128.store(endDst - 64, d, 48);
  }
  store<u16>(end + delta - NETMAP_SLOT_SIZE, mark, NETMAP_SLOT_FLAGS);
  return bytes;
}
