// Numbered test frames: Ethernet header, 64-bit sequence number, filler, and a check word over all of it, tail bytes
// included. Written and checked in place, in a ring's buffer, by 32-bit words.
//
//   word 0..2      3                          4, 5        6        7 .. words-2   words-1   0..3 bytes
//   dst, src MAC | type, words << 16        | sequence  | stream | filler       | check   | tail

/** Bytes of the shortest frame. */
export const MIN_FRAME = 60;
const TYPE = 0xb588; // EtherType 0x88b5, for local experiments
const FILLER = 0x9e3779b1;
const SEQ_LO = 4;
const SEQ_HI = 5;
const STREAM = 6;
const FILL = 7;

/** Sequence numbers start just below 2^32, so that they need their high word. */
export const FIRST_SEQ = 2 ** 32 - 5000;

/** Bit of the stream word that marks the last frame. */
export const LAST_FRAME = 0x4000_0000;

/** The stream of frames that only introduce their sender. */
export const HELLO = 0;

/** A unicast address with the number n, unlike anything that is written by chance. */
export function mac(n: number): number[] {
  return [0x06, 0x9d, 0x3c, 0x71, 0xe5, n];
}
export const BROADCAST = [255, 255, 255, 255, 255, 255];

/** The first three words of a frame. */
export function addresses(dst: readonly number[], src: readonly number[]): Int32Array {
  const bytes = Uint8Array.from([...dst, ...src]);
  return new Int32Array(bytes.buffer);
}

function mix(hash: number, word: number): number {
  const h = Math.imul(hash ^ word, 0x01000193);
  return h ^ (h >>> 15);
}

/** Writes a frame of `len` bytes at address `at` (a multiple of 4). */
export function writeFrame(
  i32: Int32Array,
  u8: Uint8Array,
  at: number,
  len: number,
  macs: Int32Array,
  seq: number,
  stream: number,
): void {
  const w = at >>> 2;
  const words = len >>> 2;
  const lo = seq | 0;
  i32[w] = macs[0];
  i32[w + 1] = macs[1];
  i32[w + 2] = macs[2];
  i32[w + 3] = TYPE | (words << 16);
  i32[w + SEQ_LO] = lo;
  i32[w + SEQ_HI] = Math.floor(seq / 2 ** 32);
  i32[w + STREAM] = stream;
  let hash = mix(mix(mix(lo, macs[0]), macs[1]), macs[2]);
  hash = mix(mix(mix(hash, TYPE | (words << 16)), i32[w + SEQ_HI]), stream);
  let fill = Math.imul(lo, FILLER);
  const end = w + words - 1;
  for (let p = w + FILL; p < end; p++) {
    i32[p] = fill;
    hash = mix(hash, fill);
    fill = (fill + FILLER) | 0;
  }
  for (let p = at + 4 * words; p < at + len; p++) {
    u8[p] = fill & 0xff;
    hash = mix(hash, fill & 0xff);
    fill >>= 8;
  }
  i32[end] = hash;
}

/** Whether the frame of `len` bytes at `at` is one of ours at all. */
export function isTestFrame(i32: Int32Array, at: number, len: number): boolean {
  return len >= MIN_FRAME && (i32[(at >>> 2) + 3] & 0xffff) === TYPE;
}

export function frameStream(i32: Int32Array, at: number): number {
  return i32[(at >>> 2) + STREAM];
}

/** The sequence number of a whole frame, or -1 when the frame is not what writeFrame wrote. */
export function checkFrame(i32: Int32Array, u8: Uint8Array, at: number, len: number): number {
  const w = at >>> 2;
  const words = len >>> 2;
  const head = i32[w + 3];
  if (len < MIN_FRAME || head !== (TYPE | (words << 16))) return -1;
  const lo = i32[w + SEQ_LO];
  const hi = i32[w + SEQ_HI];
  let hash = mix(mix(mix(lo, i32[w]), i32[w + 1]), i32[w + 2]);
  hash = mix(mix(mix(hash, head), hi), i32[w + STREAM]);
  let fill = Math.imul(lo, FILLER);
  const end = w + words - 1;
  let same = 0;
  for (let p = w + FILL; p < end; p++) {
    const word = i32[p];
    same |= word ^ fill;
    hash = mix(hash, word);
    fill = (fill + FILLER) | 0;
  }
  for (let p = at + 4 * words; p < at + len; p++) {
    hash = mix(hash, u8[p]);
    same |= u8[p] ^ (fill & 0xff);
    fill >>= 8;
  }
  return same === 0 && hash === i32[end] ? hi * 2 ** 32 + (lo >>> 0) : -1;
}
