// Ethernet frames in a stream of bytes, each with its length before it in 4 bytes, big-endian: what QEMU's `-netdev
// stream` and `-netdev socket` speak, and passt. There is no virtio-net header.

import type { Socket } from 'node:net';
import type { CounterWriter } from './counters.js';
import { copyPacket, type Drainer, type Injector } from './packets.js';

/** Bytes of the longest frame: what QEMU takes (NET_BUFSIZE). */
export const MAX_FRAME = 4096 + 65536;
const LENGTH_SIZE = 4;

/** Puts the frames of one connection into a wire. */
export class FrameReader {
  readonly #injector: Injector;
  readonly #counters: CounterWriter;
  /** The beginning of a frame whose end has not arrived, and how much of it. */
  readonly #cut = new Uint8Array(LENGTH_SIZE + MAX_FRAME);
  #held = 0;

  constructor(injector: Injector, counters: CounterWriter) {
    this.#injector = injector;
    this.#counters = counters;
  }

  /** Takes what has arrived. @returns whether that can be frames: after a wrong length, nothing can be understood */
  push(chunk: Uint8Array): boolean {
    const injector = this.#injector;
    const { packets, bytes } = injector;
    const sound = this.#parse(chunk);
    injector.flush();
    this.#counters.received(injector.packets - packets, injector.bytes - bytes);
    if (!sound) {
      this.#counters.rxDrop('framing');
      this.#held = 0;
    }
    return sound;
  }

  /** The stream has ended. */
  end(): void {
    if (this.#held !== 0) this.#counters.rxDrop('framing');
    this.#held = 0;
  }

  #parse(chunk: Uint8Array): boolean {
    const size = chunk.length;
    let at = 0;
    if (this.#held !== 0) {
      at = this.#complete(chunk);
      if (at < 0) return false;
    }
    while (size - at >= LENGTH_SIZE) {
      const length = lengthAt(chunk, at);
      if (!isLength(length)) return false;
      const end = at + LENGTH_SIZE + length;
      if (end > size) break;
      this.#take(chunk, at + LENGTH_SIZE, length);
      at = end;
    }
    if (at < size) {
      this.#cut.set(chunk.subarray(at), this.#held);
      this.#held += size - at;
    }
    return true;
  }

  /** Completes the frame that was cut off, as far as the chunk goes. @returns bytes that it took, -1: a wrong length */
  #complete(chunk: Uint8Array): number {
    let at = this.#fill(chunk, 0, LENGTH_SIZE);
    if (this.#held < LENGTH_SIZE) return at;
    const length = lengthAt(this.#cut, 0);
    if (!isLength(length)) return -1;
    at = this.#fill(chunk, at, LENGTH_SIZE + length);
    if (this.#held < LENGTH_SIZE + length) return at;
    this.#held = 0;
    this.#take(this.#cut, LENGTH_SIZE, length);
    return at;
  }

  /** Copies from `at` on until `wanted` bytes are held. @returns where it stopped */
  #fill(chunk: Uint8Array, at: number, wanted: number): number {
    const n = Math.max(0, Math.min(wanted - this.#held, chunk.length - at));
    this.#cut.set(chunk.subarray(at, at + n), this.#held);
    this.#held += n;
    return at + n;
  }

  #take(source: Uint8Array, start: number, length: number): void {
    const refused = this.#injector.pushFrom(source, start, length);
    if (refused) this.#counters.rxDrop(refused);
  }
}

const lengthAt = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;

const isLength = (length: number): boolean => length !== 0 && length <= MAX_FRAME;

/** Bytes of one write, and how many of them may be under way. */
const WRITE_SIZE = 128 * 1024;
const WRITES = 8;
/** How long (ms) packets wait when that many are; then they are dropped, until one of the writes is done. */
const PATIENCE = 20;

/** Packs what an interface transmits into writes of many frames, in buffers that are used again. */
export class FrameWriter {
  readonly #drainer: Drainer;
  readonly #counters: CounterWriter;
  readonly #free = Array.from({ length: WRITES }, () => new Uint8Array(WRITE_SIZE));
  /** Since when (ms) no write is possible, 0 = one is; and who waits for it. */
  #stalled = 0;
  #wake: () => void = () => {};

  constructor(drainer: Drainer, counters: CounterWriter) {
    this.#drainer = drainer;
    this.#counters = counters;
  }

  /**
   * Sends all that is there, as far as the socket keeps up. Without a socket nobody is at the other end.
   * @returns what to wait for when the socket has too much to do
   */
  send(socket: Socket | undefined): Promise<void> | undefined {
    while (socket?.writable) {
      const buffer = this.#free.pop();
      if (!buffer) return this.#stall();
      const used = this.#pack(buffer);
      if (used === 0) {
        this.#free.push(buffer);
        return undefined;
      }
      socket.write(buffer.subarray(0, used), () => this.#done(buffer));
    }
    this.#drop('down');
    return undefined;
  }

  #done(buffer: Uint8Array<ArrayBuffer>): void {
    this.#free.push(buffer);
    this.#stalled = 0;
    this.#wake();
  }

  #stall(): Promise<void> | undefined {
    const now = performance.now();
    if (this.#stalled === 0) this.#stalled = now;
    const left = this.#stalled + PATIENCE - now;
    if (left <= 0) {
      this.#drop('noRoom');
      return undefined;
    }
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, left);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #pack(buffer: Uint8Array): number {
    let used = 0;
    let bytes = 0;
    let oversized = 0;
    const taken = this.#drainer.drain((packet) => {
      const { length } = packet;
      if (length > MAX_FRAME) {
        oversized++;
        return true;
      }
      if (used + LENGTH_SIZE + length > WRITE_SIZE) return false;
      buffer[used] = 0;
      buffer[used + 1] = length >>> 16;
      buffer[used + 2] = length >>> 8;
      buffer[used + 3] = length;
      copyPacket(buffer, used + LENGTH_SIZE, packet, 0, length);
      used += LENGTH_SIZE + length;
      bytes += length;
      return true;
    });
    this.#counters.transmitted(taken - oversized, bytes);
    if (oversized !== 0) this.#counters.txDrop('oversized', oversized);
    return used;
  }

  #drop(reason: 'noRoom' | 'down'): void {
    const dropped = this.#drainer.drain(() => true);
    if (dropped !== 0) this.#counters.txDrop(reason, dropped);
  }
}
