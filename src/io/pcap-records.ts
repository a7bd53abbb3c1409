// Classic pcap (draft-ietf-opsawg-pcap), piece by piece: a header of 24 bytes, then records of a 16-byte header and a
// frame; the magic number tells the byte order and the unit of the time stamps.

import { type ByteWindow, damaged, truncated } from './pcap-bytes.js';
import type { CapturedFrame, CaptureInterface } from './pcap-frame.js';

export const MAGIC_MICROSECONDS = 0xa1b2c3d4;
export const MAGIC_NANOSECONDS = 0xa1b23c4d;
export const VERSION_MAJOR = 2;
export const VERSION_MINOR = 4;
export const FILE_HEADER = 24;
export const RECORD_HEADER = 16;
/** What libpcap accepts as the largest frame; it cuts frames above the number in the file header. */
export const SNAPLEN = 262144;
/** Bytes of the longest record or block that is read from a stream: no file makes a reader keep more. */
export const MAX_RECORD = 1 << 24;

/** Byte order and unit of a pcap file by its magic number, undefined if it is none. */
export function pcapMagic(window: ByteWindow): { littleEndian: boolean; nanosecond: boolean } | undefined {
  for (const littleEndian of [true, false]) {
    window.littleEndian = littleEndian;
    const magic = window.u32(0);
    if (magic === MAGIC_MICROSECONDS) return { littleEndian, nanosecond: false };
    if (magic === MAGIC_NANOSECONDS) return { littleEndian, nanosecond: true };
  }
  return undefined;
}

export class PcapRecords {
  readonly #nanosecond: boolean;
  #interface: CaptureInterface | undefined;
  #frames = 0;

  /** @param nanosecond what the magic number says */
  constructor(nanosecond: boolean) {
    this.#nanosecond = nanosecond;
  }

  get interfaces(): readonly CaptureInterface[] {
    return this.#interface ? [this.#interface] : [];
  }

  /** The next frame that is there as a whole. @throws NetmapError EINVAL */
  next(window: ByteWindow): CapturedFrame | undefined {
    this.#interface ??= this.#header(window);
    if (!this.#interface || window.left < RECORD_HEADER) return undefined;
    const length = window.u32(8);
    if (length > MAX_RECORD) {
      const at = window.offset + RECORD_HEADER;
      throw damaged(`frame ${this.#frames} at offset ${at} claims ${length} bytes, more than ${MAX_RECORD}`);
    }
    if (window.left < RECORD_HEADER + length) return undefined;
    const units = window.u32(4);
    const unitsPerSecond = this.#nanosecond ? 1e9 : 1e6;
    const frame: CapturedFrame = {
      data: window.slice(RECORD_HEADER, length),
      // A fraction of a second or more is carried over rather than refused.
      seconds: window.u32(0) + Math.floor(units / unitsPerSecond),
      nanoseconds: (units % unitsPerSecond) * (1e9 / unitsPerSecond),
      originalLength: window.u32(12),
      interface: this.#interface,
    };
    window.skip(RECORD_HEADER + length);
    this.#frames++;
    return frame;
  }

  /** The file has ended. @throws NetmapError EINVAL when it is cut */
  end(window: ByteWindow): void {
    const { left, offset } = window;
    if (!this.#interface) throw truncated('file header', 0, FILE_HEADER, left);
    if (left === 0) return;
    if (left < RECORD_HEADER) throw truncated(`header of frame ${this.#frames}`, offset, RECORD_HEADER, left);
    throw truncated(`frame ${this.#frames}`, offset + RECORD_HEADER, window.u32(8), left - RECORD_HEADER);
  }

  #header(window: ByteWindow): CaptureInterface | undefined {
    if (window.left < FILE_HEADER) return undefined;
    const major = window.u16(4);
    if (major !== VERSION_MAJOR) throw damaged(`version ${major} at offset 4 is not ${VERSION_MAJOR}`);
    const linkType = window.u32(20) & 0xffff; // the upper bits say whether frames end with their checksum
    window.skip(FILE_HEADER);
    return { name: '', linkType, nanosecond: this.#nanosecond, statistics: {} };
  }
}
