// Web streams as the stack behind an interface: a readable stream of the frames that the stack sends, and a writable one
// of those that it receives, the shape that user-space stacks in JavaScript have. A frame begins with the Ethernet
// header. Back-pressure goes both ways: the interface's ring fills when the stack does not read, and the stack's stream
// is not read while the ring has no room.

import type { StackAdapter } from './join.js';

/** The stack's ends: frames that it sends, frames that it takes. */
export interface StreamStack {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
}

/** Frames that are read ahead. */
const AHEAD = 64;

class StreamAdapter implements StackAdapter {
  readonly headerLength: number;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #frames: Uint8Array[] = [];
  /** No frame comes from the stack any more. It may go on taking some. */
  #ended = false;
  #takesFrames = true;
  #failure: unknown;
  #wakeReader: () => void = () => {};
  #wakeIdle: () => void = () => {};

  constructor({ readable, writable }: StreamStack, headerLength: number) {
    this.headerLength = headerLength;
    this.#reader = readable.getReader();
    this.#writer = writable.getWriter();
    this.#writer.closed.then(
      () => this.#stopWriting(),
      (error) => this.#stopWriting(error),
    );
    void this.#read();
  }

  get ended(): boolean {
    return this.#ended && this.#frames.length === 0;
  }

  get failure(): unknown {
    return this.#failure;
  }

  peek(): Uint8Array | undefined {
    return this.#frames[0];
  }

  shift(): void {
    this.#frames.shift();
    this.#wakeReader();
  }

  idle(): Promise<unknown> | undefined {
    if (this.#frames.length !== 0 || this.#ended) return undefined;
    return new Promise<void>((resolve) => {
      this.#wakeIdle = resolve;
    });
  }

  write(packet: Uint8Array): boolean {
    if (!this.#takesFrames) return true;
    this.#writer.write(packet.slice()).catch((error) => this.#stopWriting(error));
    return (this.#writer.desiredSize ?? 1) > 0;
  }

  async whenRoom(): Promise<unknown> {
    return this.#writer.ready.catch(() => {});
  }

  async close(): Promise<void> {
    this.#stopWriting();
    this.#reader.cancel().catch(() => {}); // a stack that does not answer holds nobody up
    this.#reader.releaseLock();
    this.#writer.close().catch(() => {}); // what is queued is the stack's to take, or to leave
    this.#writer.releaseLock();
  }

  /** A stack that takes nothing any more is one to send nothing for. */
  #stopWriting(failure?: unknown): void {
    this.#takesFrames = false;
    this.#end(failure);
  }

  #end(failure?: unknown): void {
    if (!this.#ended) this.#failure = failure;
    this.#ended = true;
    this.#wakeReader();
    this.#wakeIdle();
  }

  async #read(): Promise<void> {
    try {
      while (!this.#ended) {
        if (this.#frames.length >= AHEAD) {
          await new Promise<void>((resolve) => {
            this.#wakeReader = resolve;
          });
          continue;
        }
        const { done, value } = await this.#reader.read();
        if (done) break;
        if (!(value instanceof Uint8Array)) throw new TypeError('a frame is a Uint8Array');
        this.#frames.push(value);
        this.#wakeIdle();
      }
      this.#end();
    } catch (error) {
      this.#end(error);
    }
  }
}

/**
 * Makes an adapter of a stack's streams.
 * @param headerLength bytes of virtio-net header in front of each frame, which the stack then reads and writes: that of
 * the interface. Default 0.
 */
export function streamAdapter(stack: StreamStack, headerLength = 0): StackAdapter {
  return new StreamAdapter(stack, headerLength);
}
