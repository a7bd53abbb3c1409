// pcapng (draft-ietf-opsawg-pcapng), block by block: sections, interfaces, packets, statistics. Other blocks are passed over.

import { type ByteWindow, damaged, truncated } from './pcap-bytes.js';
import type { CaptureDirection, CapturedFrame, CaptureInterface, CaptureStatistics } from './pcap-frame.js';
import { MAX_RECORD } from './pcap-records.js';

export const BLOCK_SECTION = 0x0a0d0d0a;
export const BLOCK_INTERFACE = 1;
const BLOCK_OLD_PACKET = 2;
const BLOCK_SIMPLE_PACKET = 3;
export const BLOCK_STATISTICS = 5;
export const BLOCK_PACKET = 6;
export const BYTE_ORDER_MAGIC = 0x1a2b3c4d;

const OPT_END = 0;
export const IF_NAME = 2;
export const IF_TSRESOL = 9;
const IF_TSOFFSET = 14;
export const EPB_FLAGS = 2;
export const ISB_IFRECV = 4;
export const ISB_IFDROP = 5;

/** Type, length, and the length once more at the end. */
const BLOCK_OVERHEAD = 12;
/** Bytes of a section's header that tell the byte order. */
const SECTION_START = 12;
/** What is kept of a hostile file: interfaces of a section, bytes of a name. */
const MAX_INTERFACES = 4096;
const MAX_NAME = 255;

/** Smallest body of each block that is read, bytes. */
const BODIES: Readonly<Record<number, number>> = {
  [BLOCK_SECTION]: 16,
  [BLOCK_INTERFACE]: 8,
  [BLOCK_OLD_PACKET]: 20,
  [BLOCK_SIMPLE_PACKET]: 4,
  [BLOCK_STATISTICS]: 12,
  [BLOCK_PACKET]: 20,
};

class Interface implements CaptureInterface {
  readonly name: string;
  readonly linkType: number;
  /** 0 = no limit. */
  readonly snapLength: number;
  readonly unitsPerSecond: bigint;
  /** Seconds to add. */
  readonly shift: number;
  statistics: CaptureStatistics = {};

  constructor(name: string, linkType: number, snapLength: number, unitsPerSecond: bigint, shift: number) {
    this.name = name;
    this.linkType = linkType;
    this.snapLength = snapLength;
    this.unitsPerSecond = unitsPerSecond;
    this.shift = shift;
  }

  get nanosecond(): boolean {
    return this.unitsPerSecond > 1_000_000n;
  }

  /** A time stamp in its units. */
  time(high: number, low: number): { seconds: number; nanoseconds: number } {
    const units = (BigInt(high) << 32n) | BigInt(low);
    const whole = units / this.unitsPerSecond;
    const nanoseconds = Number(((units - whole * this.unitsPerSecond) * 1_000_000_000n) / this.unitsPerSecond);
    return { seconds: Number(whole) + this.shift, nanoseconds };
  }
}

export class PcapngBlocks {
  #interfaces: Interface[] = [];
  #inSection = false;

  /** Those of the section that is read. */
  get interfaces(): readonly CaptureInterface[] {
    return this.#interfaces;
  }

  /** The next frame that is there as a whole. @throws NetmapError EINVAL */
  next(window: ByteWindow): CapturedFrame | undefined {
    for (;;) {
      if (window.isSkipping || window.left < BLOCK_OVERHEAD) return undefined;
      const type = window.u32(0);
      // The same in both byte orders.
      if (type === BLOCK_SECTION) this.#byteOrder(window);
      else if (!this.#inSection) throw damaged(`no section header at offset ${window.offset}`);
      const length = window.u32(4);
      const body = BODIES[type];
      if (length < BLOCK_OVERHEAD + (body ?? 0) || length % 4 !== 0) {
        throw damaged(`the block of type ${type} at offset ${window.offset} has a length of ${length} bytes`);
      }
      if (body === undefined) {
        window.skip(length);
        continue;
      }
      if (length > MAX_RECORD) {
        throw damaged(`the block at offset ${window.offset} claims ${length} bytes, more than ${MAX_RECORD}`);
      }
      if (window.left < length) return undefined;
      const again = window.u32(length - 4);
      if (again !== length) {
        const at = window.offset + length - 4;
        throw damaged(`the block at offset ${window.offset} has ${length} bytes, and at offset ${at} ${again}`);
      }
      const frame = this.#block(window, type, length - 4);
      window.skip(length);
      if (frame) return frame;
    }
  }

  /** The file has ended. @throws NetmapError EINVAL when it is cut */
  end(window: ByteWindow): void {
    const { left, offset } = window;
    if (window.isSkipping) throw damaged(`file is truncated: the last block ends behind offset ${offset}`);
    if (left === 0) return;
    if (left < BLOCK_OVERHEAD) throw truncated('header of a block', offset, BLOCK_OVERHEAD, left);
    throw truncated('block', offset, window.u32(4), left);
  }

  #byteOrder(window: ByteWindow): void {
    if (window.left < SECTION_START) return;
    window.littleEndian = true;
    if (window.u32(8) !== BYTE_ORDER_MAGIC) window.littleEndian = false;
    const magic = window.u32(8);
    if (magic === BYTE_ORDER_MAGIC) return;
    throw damaged(`no byte-order magic at offset ${window.offset + 8} (0x${magic.toString(16).padStart(8, '0')})`);
  }

  /** @param end offset in the block of its second length */
  #block(window: ByteWindow, type: number, end: number): CapturedFrame | undefined {
    if (type === BLOCK_SECTION) {
      const major = window.u16(12);
      if (major !== 1) throw damaged(`version ${major} at offset ${window.offset + 12} is not 1`);
      this.#inSection = true;
      this.#interfaces = [];
      return undefined;
    }
    if (type === BLOCK_INTERFACE) this.#interface(window, end);
    else if (type === BLOCK_STATISTICS) this.#statistics(window, end);
    else if (type === BLOCK_SIMPLE_PACKET) return this.#simplePacket(window, end);
    else return this.#packet(window, type === BLOCK_OLD_PACKET ? window.u16(8) : window.u32(8), end);
    return undefined;
  }

  #interface(window: ByteWindow, end: number): void {
    if (this.#interfaces.length === MAX_INTERFACES) {
      throw damaged(`more than ${MAX_INTERFACES} interfaces, at offset ${window.offset}`);
    }
    let name = '';
    let unitsPerSecond = 1_000_000n;
    let shift = 0;
    this.#options(window, 16, end, (code, at, length) => {
      if (code === IF_NAME) name = new TextDecoder().decode(window.slice(at, Math.min(length, MAX_NAME)));
      else if (code === IF_TSRESOL && length === 1) unitsPerSecond = unitsOf(window, at);
      else if (code === IF_TSOFFSET && length === 8) shift = Number(window.i64(at));
    });
    this.#interfaces.push(new Interface(name, window.u16(8), window.u32(12), unitsPerSecond, shift));
  }

  #statistics(window: ByteWindow, end: number): void {
    const found = this.#find(window, window.u32(8));
    let { received, dropped } = found.statistics;
    this.#options(window, 20, end, (code, at, length) => {
      if (length !== 8) return;
      if (code === ISB_IFRECV) received = Number(window.i64(at));
      else if (code === ISB_IFDROP) dropped = Number(window.i64(at));
    });
    found.statistics = { ...(received !== undefined && { received }), ...(dropped !== undefined && { dropped }) };
  }

  #packet(window: ByteWindow, id: number, end: number): CapturedFrame {
    const found = this.#find(window, id);
    const length = this.#captured(window, window.u32(20), 28, end);
    let direction: CaptureDirection | undefined;
    this.#options(window, 28 + ((length + 3) & ~3), end, (code, at, size) => {
      if (code !== EPB_FLAGS || size !== 4) return;
      direction = ([undefined, 'in', 'out', undefined] as const)[window.u32(at) & 3];
    });
    return {
      data: window.slice(28, length),
      ...found.time(window.u32(12), window.u32(16)),
      originalLength: window.u32(24),
      interface: found,
      ...(direction !== undefined && { direction }),
    };
  }

  /** It has no time stamp, and is of the first interface. */
  #simplePacket(window: ByteWindow, end: number): CapturedFrame {
    const found = this.#find(window, 0);
    const originalLength = window.u32(8);
    const cut = found.snapLength === 0 ? originalLength : Math.min(originalLength, found.snapLength);
    const length = this.#captured(window, cut, 12, end);
    return { data: window.slice(12, length), seconds: 0, nanoseconds: 0, originalLength, interface: found };
  }

  #captured(window: ByteWindow, length: number, from: number, end: number): number {
    if (length <= end - from) return length;
    throw damaged(`the packet at offset ${window.offset} has ${end - from} of ${length} bytes in its block`);
  }

  #find(window: ByteWindow, id: number): Interface {
    const found = this.#interfaces[id];
    if (found) return found;
    throw damaged(`the block at offset ${window.offset} names interface ${id} of ${this.#interfaces.length}`);
  }

  #options(
    window: ByteWindow,
    from: number,
    end: number,
    take: (code: number, at: number, length: number) => void,
  ): void {
    for (let at = from; at < end; ) {
      const code = window.u16(at);
      const length = window.u16(at + 2);
      if (code === OPT_END) return;
      if (length > end - at - 4) {
        throw damaged(`the option at offset ${window.offset + at} has ${end - at - 4} of ${length} bytes in its block`);
      }
      take(code, at + 4, length);
      at += 4 + ((length + 3) & ~3);
    }
  }
}

/** if_tsresol: the exponent of 10, or with the upper bit of 2. */
function unitsOf(window: ByteWindow, at: number): bigint {
  const resolution = window.u8(at);
  const exponent = BigInt(resolution & 0x7f);
  if (resolution & 0x80) return 1n << exponent;
  return 10n ** exponent;
}
