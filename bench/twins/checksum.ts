// RFC 1071 checksum in JavaScript: 16-bit words as they lie in memory, two a turn.

/** Checksum of `len` bytes at an even address. */
export function packetChecksum(u16: Uint16Array, u8: Uint8Array, ptr: number, len: number): number {
  const end = (ptr + len) >>> 1;
  let sum = 0;
  let odd = 0;
  let i = ptr >>> 1;
  for (; i + 2 <= end; i += 2) {
    sum += u16[i];
    odd += u16[i + 1];
  }
  if (i < end) sum += u16[i];
  if (len & 1) odd += u8[ptr + len - 1];
  sum += odd; // below 256 KiB this stays within 32 bits
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
