// Frame copy: exactly `len` bytes, never rounded up, so that nothing stale travels (DIFF: netmap rounds up to 64).
//
// The tail is copied by loads that overlap bytes already copied: no byte loop from 16 bytes on (bench: npm run bench checksum).

/** From so many bytes on memory.copy is faster, for all that the call costs: it has vectors of more than 128 bits. */
export const COPY_LONG: u32 = 256;

export function packetCopy(dst: usize, src: usize, len: u32): void {
  if (len >= COPY_LONG) {
    memory.copy(dst, src, len);
    return;
  }
  if (len < 16) {
    copyShort(dst, src, len);
    return;
  }
  const lastSrc = src + len - 16;
  const lastDst = dst + len - 16;
  while (src < lastSrc) {
    v128.store(dst, v128.load(src));
    src += 16;
    dst += 16;
  }
  v128.store(lastDst, v128.load(lastSrc));
}

function copyShort(dst: usize, src: usize, len: u32): void {
  if (len >= 8) {
    const tail: usize = len - 8;
    const a = load<u64>(src);
    const b = load<u64>(src + tail);
    store<u64>(dst, a);
    store<u64>(dst + tail, b);
  } else if (len >= 4) {
    const tail: usize = len - 4;
    const a = load<u32>(src);
    const b = load<u32>(src + tail);
    store<u32>(dst, a);
    store<u32>(dst + tail, b);
  } else {
    for (let i: usize = 0; i < len; i++) store<u8>(dst + i, load<u8>(src + i));
  }
}
