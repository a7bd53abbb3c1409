// Captures of either format, read as they come: bytes in, frames out, and no more in memory than one chunk and one block.

import { ByteWindow, damaged, truncated } from './pcap-bytes.js';
import type { CapturedFrame, CaptureFormat, CaptureInterface } from './pcap-frame.js';
import { PcapRecords, pcapMagic } from './pcap-records.js';
import { BLOCK_SECTION, PcapngBlocks } from './pcapng-blocks.js';

/**
 * Reads a capture piece by piece: classic pcap in both byte orders and units, and pcapng, which its first bytes tell apart.
 * Records or blocks above 16 MiB, and more than 4096 interfaces in a section, are refused.
 */
export class CaptureReader {
  readonly #window = new ByteWindow();
  #records: PcapRecords | PcapngBlocks | undefined;

  /** The next bytes of the file. They are not copied: they must stay as they are while frames of them are in use. */
  push(chunk: Uint8Array): void {
    this.#window.push(chunk);
  }

  /**
   * The next frame that has come as a whole; its `data` is a view of what was pushed.
   * @throws NetmapError EINVAL for what is no capture, or a damaged one; the message names the offset
   */
  next(): CapturedFrame | undefined {
    this.#records ??= this.#detect();
    return this.#records?.next(this.#window);
  }

  /** The file has ended, and `next` has answered undefined. @throws NetmapError EINVAL when it ends within something */
  end(): void {
    if (this.#records) this.#records.end(this.#window);
    else throw truncated('magic number', 0, 4, this.#window.left);
  }

  /** Known once the first bytes have been read. */
  get format(): CaptureFormat | undefined {
    if (!this.#records) return undefined;
    return this.#records instanceof PcapRecords ? 'pcap' : 'pcapng';
  }

  /** The interfaces that were named so far; of a pcapng file with several sections, those of the last one. */
  get interfaces(): readonly CaptureInterface[] {
    return this.#records?.interfaces ?? [];
  }

  #detect(): PcapRecords | PcapngBlocks | undefined {
    const window = this.#window;
    if (window.left < 4) return undefined;
    const pcap = pcapMagic(window);
    if (pcap) return new PcapRecords(pcap.nanosecond);
    const magic = window.u32(0); // big-endian now
    if (magic === BLOCK_SECTION) return new PcapngBlocks();
    throw damaged(`no pcap magic number at offset 0 (0x${magic.toString(16).padStart(8, '0')})`);
  }
}

/**
 * Reads a capture from a stream of its bytes: a file's, a request's, any iterable of chunks.
 * @returns batches of frames, whose `data` is valid until the next batch is asked for
 * @throws NetmapError EINVAL, as {@link CaptureReader}
 */
export async function* readCapture(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<CapturedFrame[], void, undefined> {
  const reader = new CaptureReader();
  for await (const chunk of source) {
    reader.push(chunk);
    const frames: CapturedFrame[] = [];
    for (let frame = reader.next(); frame; frame = reader.next()) frames.push(frame);
    if (frames.length !== 0) yield frames;
  }
  reader.end();
}
