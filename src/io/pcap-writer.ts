// Captures of either format, written as frames come: into a buffer that is taken, a batch at a time, by whoever has the
// file. Little-endian, time stamps in nanoseconds.

import { netmapError } from '../errors.js';
import { type CaptureDirection, type CaptureFormat, LINKTYPE_ETHERNET } from './pcap-frame.js';
import {
  FILE_HEADER,
  MAGIC_NANOSECONDS,
  RECORD_HEADER,
  SNAPLEN,
  VERSION_MAJOR,
  VERSION_MINOR,
} from './pcap-records.js';
import {
  BLOCK_INTERFACE,
  BLOCK_PACKET,
  BLOCK_SECTION,
  BLOCK_STATISTICS,
  BYTE_ORDER_MAGIC,
  EPB_FLAGS,
  IF_NAME,
  IF_TSRESOL,
  ISB_IFDROP,
  ISB_IFRECV,
} from './pcapng-blocks.js';

const NANOSECONDS = 9;
const PACKET_HEADER = 28;
/** epb_flags with its code and length, the end of the options, and the block's second length. */
const PACKET_TRAILER = 16;
const FIRST_SIZE = 1 << 16;
const SHB_USERAPPL = 4;
const NS_PER_SECOND = 1e9;

const align4 = (n: number): number => (n + 3) & ~3;

export interface CaptureWriterOptions {
  readonly format: CaptureFormat;
  /** `LINKTYPE_*` number of a pcap file, default 1 (Ethernet). */
  readonly linkType?: number;
}

export class CaptureWriter {
  readonly format: CaptureFormat;
  #bytes = new Uint8Array(FIRST_SIZE);
  #view = new DataView(this.#bytes.buffer);
  #size = 0;
  /** Headers that are not written for good. */
  #headers: Uint8Array[] = [];
  #interfaces = 0;

  constructor({ format, linkType = LINKTYPE_ETHERNET }: CaptureWriterOptions) {
    this.format = format;
    this.#header(() => (format === 'pcap' ? this.#fileHeader(linkType) : this.#section()));
  }

  /** Bytes that wait to be taken. */
  get size(): number {
    return this.#size;
  }

  /**
   * Names an interface. A pcap file has no names, and one link type.
   * @returns its number, for `packet`
   */
  addInterface(name: string, linkType = LINKTYPE_ETHERNET): number {
    if (this.format === 'pcapng') this.#header(() => this.#interface(name, linkType));
    return this.#interfaces++;
  }

  /**
   * Adds a frame.
   * @param id of its interface
   * @param data captured bytes, at most 262144
   * @param originalLength bytes on the wire, default those of `data`
   * @param direction a pcap file does not keep it
   * @throws NetmapError EINVAL for an interface that was not added, EMSGSIZE
   */
  packet(
    id: number,
    seconds: number,
    nanoseconds: number,
    data: Uint8Array,
    originalLength = data.length,
    direction?: CaptureDirection,
  ): void {
    const { length } = data;
    if (id >= this.#interfaces) throw netmapError('EINVAL', `there is no interface ${id}`, { op: 'capture' });
    if (length > SNAPLEN) throw netmapError('EMSGSIZE', `a frame of ${length} bytes`, { op: 'capture' });
    if (this.format === 'pcap') {
      const at = this.#reserve(RECORD_HEADER + length);
      this.#put(at, seconds, nanoseconds, length, originalLength);
      this.#bytes.set(data, at + RECORD_HEADER);
      return;
    }
    const total = PACKET_HEADER + align4(length) + PACKET_TRAILER;
    const at = this.#reserve(total);
    const [high, low] = timeWords(seconds, nanoseconds);
    this.#put(at, BLOCK_PACKET, total, id, high, low, length, originalLength);
    const end = at + PACKET_HEADER;
    this.#bytes.set(data, end);
    this.#bytes.fill(0, end + length, end + align4(length));
    const flags = direction === undefined ? 0 : direction === 'in' ? 1 : 2;
    this.#put(end + align4(length), EPB_FLAGS | (4 << 16), flags, 0, total);
  }

  /** What an interface has counted up to now, in a statistics block. A pcap file has none. */
  statistics(id: number, seconds: number, nanoseconds: number, received: number, dropped: number): void {
    if (this.format === 'pcap') return;
    const total = 52;
    const at = this.#reserve(total);
    const [high, low] = timeWords(seconds, nanoseconds);
    this.#put(at, BLOCK_STATISTICS, total, id, high, low);
    for (const [i, [code, n]] of [
      [ISB_IFRECV, received],
      [ISB_IFDROP, dropped],
    ].entries()) {
      this.#put(at + 20 + 12 * i, code | (8 << 16), n >>> 0, Math.floor(n / 2 ** 32));
    }
    this.#put(at + 44, 0, total);
  }

  /** The bytes that wait: a view, valid until the next call. They are the reader's until `taken` or `lost` is called. */
  peek(): Uint8Array {
    return this.#bytes.subarray(0, this.#size);
  }

  /** What `peek` has shown is in the file. */
  taken(): void {
    this.#size = 0;
    this.#headers = [];
  }

  /** What `peek` has shown could not be written: its packets are gone, and its headers wait again. */
  lost(): void {
    this.#size = 0;
    for (const header of this.#headers) this.#bytes.set(header, this.#reserve(header.length));
  }

  #header(write: () => void): void {
    const from = this.#size;
    write();
    this.#headers.push(this.#bytes.slice(from, this.#size));
  }

  #fileHeader(linkType: number): void {
    const at = this.#reserve(FILE_HEADER);
    this.#put(at, MAGIC_NANOSECONDS, VERSION_MAJOR | (VERSION_MINOR << 16), 0, 0, SNAPLEN, linkType);
  }

  #section(): void {
    const application = new TextEncoder().encode('ptnet');
    const total = 28 + 4 + align4(application.length) + 4;
    const at = this.#reserve(total);
    const unknown = 0xffffffff; // length of the section, 64 bits
    this.#put(at, BLOCK_SECTION, total, BYTE_ORDER_MAGIC, 1, unknown, unknown);
    this.#option(at + 24, SHB_USERAPPL, application);
    this.#put(at + total - 8, 0, total);
  }

  #interface(name: string, linkType: number): void {
    const text = new TextEncoder().encode(name).subarray(0, 255);
    const options = (text.length === 0 ? 0 : 4 + align4(text.length)) + 8 + 4;
    const total = 16 + options + 4;
    const at = this.#reserve(total);
    this.#put(at, BLOCK_INTERFACE, total, linkType, SNAPLEN);
    let next = at + 16;
    if (text.length !== 0) next = this.#option(next, IF_NAME, text);
    next = this.#option(next, IF_TSRESOL, Uint8Array.of(NANOSECONDS));
    this.#put(next, 0, total);
  }

  /** @returns where the next one goes */
  #option(at: number, code: number, value: Uint8Array): number {
    this.#put(at, code | (value.length << 16));
    this.#bytes.fill(0, at + 4, at + 4 + align4(value.length));
    this.#bytes.set(value, at + 4);
    return at + 4 + align4(value.length);
  }

  #put(at: number, ...words: number[]): void {
    for (const [i, word] of words.entries()) this.#view.setUint32(at + 4 * i, word, true);
  }

  /** @returns where `length` more bytes go */
  #reserve(length: number): number {
    const at = this.#size;
    this.#size += length;
    if (this.#size > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#size));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}

/** Nanoseconds since 1970 in two words: the product is beyond what a number holds exactly. */
function timeWords(seconds: number, nanoseconds: number): [high: number, low: number] {
  const low = (seconds & 0xffff) * NS_PER_SECOND + nanoseconds; // below 2^46
  const middle = Math.floor(seconds / 0x10000) * NS_PER_SECOND; // times 2^16
  const carry = (middle % 0x10000) * 0x10000 + low; // below 2^47
  return [Math.floor(middle / 0x10000) + Math.floor(carry / 2 ** 32), carry >>> 0];
}
