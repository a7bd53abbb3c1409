// Frame copy: exactly `len` bytes, never rounded up, so that nothing stale travels (DIFF: netmap rounds up to 64).
// The tail is copied by loads that overlap bytes already copied: no byte loop from 16 bytes on (bench: npm run bench vale).

export function packetCopy(dst: usize, src: usize, len: u32): void {
  if (len > 64) {
    copyLong(dst, src, len);
  } else if (len >= 32) {
    const tail: usize = len - 32;
    const a = v128.load(src);
    const b = v128.load(src, 16);
    const c = v128.load(src + tail);
    const d = v128.load(src + tail, 16);
    v128.store(dst, a);
    v128.store(dst, b, 16);
    v128.store(dst + tail, c);
    v128.store(dst + tail, d, 16);
  } else {
    copyShort(dst, src, len);
  }
}

function copyLong(dst: usize, src: usize, len: u32): void {
  const lastSrc = src + len - 64;
  const lastDst = dst + len - 64;
  while (src < lastSrc) {
    copy64(dst, src);
    src += 64;
    dst += 64;
  }
  copy64(lastDst, lastSrc);
}

function copy64(dst: usize, src: usize): void {
  const a = v128.load(src);
  const b = v128.load(src, 16);
  const c = v128.load(src, 32);
  const d = v128.load(src, 48);
  v128.store(dst, a);
  v128.store(dst, b, 16);
  v128.store(dst, c, 32);
  v128.store(dst, d, 48);
}

function copyShort(dst: usize, src: usize, len: u32): void {
  if (len >= 16) {
    const tail: usize = len - 16;
    const a = v128.load(src);
    const b = v128.load(src + tail);
    v128.store(dst, a);
    v128.store(dst + tail, b);
  } else if (len >= 8) {
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
