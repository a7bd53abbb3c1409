// Capture files in memory: pcap and pcapng are read, pcap is written. pcap-reader.ts and pcap-writer.ts work piece by piece.

import { netmapError } from '../errors.js';
import { ByteWindow, damaged, truncated } from './pcap-bytes.js';
import { LINKTYPE_ETHERNET, type PcapFrame } from './pcap-frame.js';
import { CaptureReader } from './pcap-reader.js';
import {
  FILE_HEADER,
  MAGIC_MICROSECONDS,
  MAGIC_NANOSECONDS,
  pcapMagic,
  RECORD_HEADER,
  SNAPLEN,
  VERSION_MAJOR,
  VERSION_MINOR,
} from './pcap-records.js';
import { BLOCK_SECTION } from './pcapng-blocks.js';

export type { PcapFrame };

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

const MAX_UINT32 = 0xffffffff;

/**
 * Reads a capture file: pcap of either byte order, with time stamps in microseconds or nanoseconds, or pcapng.
 *
 * @param bytes the whole file; the frames' `data` are views of it, not copies
 * @throws NetmapError EINVAL if this is neither, or damaged, or if it ends inside a header or a frame (the message names
 *   the offset); EOPNOTSUPP for a pcapng file with frames of several link types, which {@link readCapture} can read
 */
export function readPcap(bytes: Uint8Array): PcapCapture {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = readMagic(bytes);
  if (magic === 'pcapng') return readPcapng(bytes);
  const { littleEndian, nanosecond } = magic;
  if (view.byteLength < FILE_HEADER) throw truncated('file header', 0, FILE_HEADER, view.byteLength);
  const major = view.getUint16(4, littleEndian);
  if (major !== VERSION_MAJOR) throw damaged(`version ${major} at offset 4 is not ${VERSION_MAJOR}`);
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

function readPcapng(bytes: Uint8Array): PcapCapture {
  const reader = new CaptureReader();
  reader.push(bytes);
  const frames: PcapFrame[] = [];
  let linkType: number | undefined;
  let nanosecond = false;
  for (let frame = reader.next(); frame; frame = reader.next()) {
    const { data, seconds, nanoseconds, originalLength, interface: from } = frame;
    linkType ??= from.linkType;
    nanosecond ||= from.nanosecond;
    if (linkType !== from.linkType) {
      const what = `frames of the link types ${linkType} and ${from.linkType}: readCapture tells them apart`;
      throw netmapError('EOPNOTSUPP', what, { op: 'readPcap' });
    }
    frames.push({ data, seconds, nanoseconds, originalLength });
  }
  reader.end();
  return { linkType: linkType ?? reader.interfaces[0]?.linkType ?? LINKTYPE_ETHERNET, nanosecond, frames };
}

function readMagic(bytes: Uint8Array): 'pcapng' | { littleEndian: boolean; nanosecond: boolean } {
  if (bytes.length < 4) throw truncated('magic number', 0, 4, bytes.length);
  const window = new ByteWindow();
  window.push(bytes);
  const pcap = pcapMagic(window);
  if (pcap) return pcap;
  const magic = window.u32(0); // big-endian now
  if (magic === BLOCK_SECTION) return 'pcapng';
  throw damaged(`no pcap magic number at offset 0 (0x${magic.toString(16).padStart(8, '0')})`);
}

function checkField(what: string, value: number, max: number): void {
  if (Number.isInteger(value) && value >= 0 && value <= max) return;
  throw netmapError('EINVAL', `${what} is ${value}, not a whole number of 0..${max}`, { op: 'writePcap' });
}
