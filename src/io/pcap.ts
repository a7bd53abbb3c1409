// Capture files: classic pcap (draft-ietf-opsawg-pcap), read from and written to memory. A file is a 24-byte header,
// then records of a 16-byte header and a frame; the magic number tells the byte order and the unit of the time stamps.

import { netmapError } from '../errors.js';

/** One captured frame. */
export interface PcapFrame {
  /** The captured bytes. */
  readonly data: Uint8Array;
  /** Time stamp: whole seconds since 1970-01-01 UTC, 0 to 2^32 - 1. */
  readonly seconds: number;
  /** Time stamp: nanoseconds within the second. */
  readonly nanoseconds: number;
  /** Bytes that the frame had on the wire; more than `data` holds if the capture cut it. */
  readonly originalLength: number;
}

/** Contents of a capture file. */
export interface PcapCapture {
  /** `LINKTYPE_*` number; 1 is Ethernet. */
  readonly linkType: number;
  /** Whether the file's time stamps have nanoseconds; otherwise they are whole microseconds. */
  readonly nanosecond: boolean;
  readonly frames: PcapFrame[];
}

/** How {@link writePcap} writes. A {@link PcapCapture} fits, so that a capture is written as it was read. */
export interface PcapWriteOptions {
  /** `LINKTYPE_*` number, default 1 (Ethernet). */
  readonly linkType?: number;
  /** Write nanoseconds (the default) or cut the time stamps to microseconds. */
  readonly nanosecond?: boolean;
}

const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const MAGIC_NANOSECONDS = 0xa1b23c4d;
const MAGIC_PCAPNG = 0x0a0d0d0a;
const VERSION_MAJOR = 2;
const VERSION_MINOR = 4;
const FILE_HEADER = 24;
const RECORD_HEADER = 16;
const LINKTYPE_ETHERNET = 1;
const MAX_UINT32 = 0xffffffff;
// What libpcap accepts as the largest frame; it cuts frames above the number in the file header.
const SNAPLEN = 262144;

/**
 * Reads a capture file of either byte order, with time stamps in microseconds or nanoseconds.
 *
 * @param bytes the whole file; the frames' `data` are views of it, not copies
 * @throws NetmapError EINVAL if this is not a pcap file of version 2, or if it ends inside a header or a frame (the
 *   message names the offset); EOPNOTSUPP for pcapng
 */
export function readPcap(bytes: Uint8Array): PcapCapture {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { littleEndian, nanosecond } = readMagic(view);
  if (view.byteLength < FILE_HEADER) throw truncated('file header', 0, FILE_HEADER, view.byteLength);
  const major = view.getUint16(4, littleEndian);
  if (major !== VERSION_MAJOR) throw bad(`version ${major} at offset 4 is not ${VERSION_MAJOR}`);
  // The upper 16 bits say whether frames end with their checksum.
  const linkType = view.getUint32(20, littleEndian) & 0xffff;
  const unitsPerSecond = nanosecond ? 1e9 : 1e6;
  const frames: PcapFrame[] = [];
  for (let offset = FILE_HEADER; offset < view.byteLength; ) {
    const left = view.byteLength - offset;
    if (left < RECORD_HEADER) throw truncated(`header of frame ${frames.length}`, offset, RECORD_HEADER, left);
    const units = view.getUint32(offset + 4, littleEndian);
    const length = view.getUint32(offset + 8, littleEndian);
    const start = offset + RECORD_HEADER;
    if (length > left - RECORD_HEADER) {
      throw truncated(`frame ${frames.length}`, start, length, left - RECORD_HEADER);
    }
    frames.push({
      data: new Uint8Array(bytes.buffer, bytes.byteOffset + start, length), // subarray of a Buffer is a Buffer
      // A fraction of a second or more is carried over rather than refused.
      seconds: view.getUint32(offset, littleEndian) + Math.floor(units / unitsPerSecond),
      nanoseconds: (units % unitsPerSecond) * (1e9 / unitsPerSecond),
      originalLength: view.getUint32(offset + 12, littleEndian),
    });
    offset = start + length;
  }
  return { linkType, nanosecond, frames };
}

/**
 * Writes a capture file, in little-endian byte order.
 *
 * @param frames what to write
 * @param options link type and unit of the time stamps
 * @returns the whole file
 * @throws NetmapError EINVAL if a time stamp, a length or the link type is out of its field's range
 */
export function writePcap(frames: readonly PcapFrame[], options: PcapWriteOptions = {}): Uint8Array {
  const { linkType = LINKTYPE_ETHERNET, nanosecond = true } = options;
  checkField('link type', linkType, 0xffff);
  let size = FILE_HEADER;
  let longest = 0;
  for (const { data } of frames) {
    size += RECORD_HEADER + data.length;
    longest = Math.max(longest, data.length);
  }
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, nanosecond ? MAGIC_NANOSECONDS : MAGIC_MICROSECONDS, true);
  view.setUint16(4, VERSION_MAJOR, true);
  view.setUint16(6, VERSION_MINOR, true);
  view.setUint32(16, Math.max(longest, SNAPLEN), true);
  view.setUint32(20, linkType, true);
  let offset = FILE_HEADER;
  for (const [index, { data, seconds, nanoseconds, originalLength }] of frames.entries()) {
    checkField(`seconds of frame ${index}`, seconds, MAX_UINT32);
    checkField(`nanoseconds of frame ${index}`, nanoseconds, 999999999);
    checkField(`original length of frame ${index}`, originalLength, MAX_UINT32);
    view.setUint32(offset, seconds, true);
    view.setUint32(offset + 4, nanosecond ? nanoseconds : Math.floor(nanoseconds / 1000), true);
    view.setUint32(offset + 8, data.length, true);
    view.setUint32(offset + 12, originalLength, true);
    bytes.set(data, offset + RECORD_HEADER);
    offset += RECORD_HEADER + data.length;
  }
  return bytes;
}

function readMagic(view: DataView): { littleEndian: boolean; nanosecond: boolean } {
  if (view.byteLength < 4) throw truncated('magic number', 0, 4, view.byteLength);
  for (const littleEndian of [true, false]) {
    const magic = view.getUint32(0, littleEndian);
    if (magic === MAGIC_MICROSECONDS) return { littleEndian, nanosecond: false };
    if (magic === MAGIC_NANOSECONDS) return { littleEndian, nanosecond: true };
  }
  const magic = view.getUint32(0, false);
  if (magic === MAGIC_PCAPNG) {
    throw netmapError('EOPNOTSUPP', 'pcapng files are not supported yet, only classic pcap', { op: 'readPcap' });
  }
  throw bad(`no pcap magic number at offset 0 (0x${magic.toString(16).padStart(8, '0')})`);
}

function checkField(what: string, value: number, max: number): void {
  if (Number.isInteger(value) && value >= 0 && value <= max) return;
  throw netmapError('EINVAL', `${what} is ${value}, not a whole number of 0..${max}`, { op: 'writePcap' });
}

function truncated(what: string, offset: number, wanted: number, left: number): Error {
  return bad(`file is truncated: the ${what} at offset ${offset} has ${left} of ${wanted} bytes`);
}

function bad(message: string): Error {
  return netmapError('EINVAL', message, { op: 'readPcap' });
}
