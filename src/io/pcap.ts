// Capture files in memory: pcap and pcapng are read, pcap is written. pcap-reader.ts and pcap-writer.ts work piece by piece.

import { netmapError } from '../errors.js';
import { type CaptureInterface, LINKTYPE_ETHERNET, type PcapFrame } from './pcap-frame.js';
import { CaptureReader } from './pcap-reader.js';
import {
  FILE_HEADER,
  MAGIC_MICROSECONDS,
  MAGIC_NANOSECONDS,
  RECORD_HEADER,
  SNAPLEN,
  VERSION_MAJOR,
  VERSION_MINOR,
} from './pcap-records.js';

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
  const reader = new CaptureReader();
  reader.push(bytes);
  const frames: PcapFrame[] = [];
  let from: CaptureInterface | undefined;
  let nanosecond = false;
  for (let frame = reader.next(); frame; frame = reader.next()) {
    const { data, seconds, nanoseconds, originalLength } = frame;
    from ??= frame.interface;
    nanosecond ||= frame.interface.nanosecond;
    if (from.linkType !== frame.interface.linkType) {
      const what = `frames of the link types ${from.linkType} and ${frame.interface.linkType}: readCapture tells them apart`;
      throw netmapError('EOPNOTSUPP', what, { op: 'readPcap' });
    }
    frames.push({ data, seconds, nanoseconds, originalLength });
  }
  reader.end();
  from ??= reader.interfaces[0];
  const { linkType = LINKTYPE_ETHERNET } = from ?? {};
  return { linkType, nanosecond: nanosecond || from?.nanosecond === true, frames };
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

function checkField(what: string, value: number, max: number): void {
  if (Number.isInteger(value) && value >= 0 && value <= max) return;
  throw netmapError('EINVAL', `${what} is ${value}, not a whole number of 0..${max}`, { op: 'writePcap' });
}
