// A network interface whose outside is a pair of Web streams of frames: the patch cable to stacks and libraries in
// JavaScript. Back-pressure goes both ways: what the interface transmits waits in its rings until it is read, and a write
// waits until the interface's receiver has room.

import { POLLERR, POLLIN } from '../abi.js';
import type { Netmap } from '../control/netmap.js';
import { netmapError } from '../errors.js';
import type { HostPort } from '../netmap/host-port.js';
import type { NetmapInterface } from '../netmap/interface.js';
import { wireRoom } from '../netmap/wire-room.js';
import { parseBackendSpec } from './backends/spec.js';
import type { StreamStack } from './stream-adapter.js';

/** How long (ms) a write waits before it looks for room again: a receiver does not say that it has made some. */
const ROOM_WAIT = 1;
/** Bytes of an Ethernet header. */
const MIN_FRAME = 14;
/** Frames that a stream reads ahead of its reader. */
const AHEAD = 64;

export interface StreamCounters {
  /** Frames that were written into the stream and put into the interface. */
  readonly rxPackets: number;
  readonly rxBytes: number;
  /** Frames that the interface has transmitted, and the stream has given out. */
  readonly txPackets: number;
  readonly txBytes: number;
  /** Written and not put in: shorter than an Ethernet header, longer than the rings hold. */
  readonly rxDrops: { readonly runt: number; readonly oversized: number };
}

/** An interface with streams behind it; programs open it as `netmap:NAME`, with every suffix. */
export class StreamPort {
  readonly name: string;
  /** Frames that the interface transmits, each a copy. Ends with the interface. */
  readonly readable: ReadableStream<Uint8Array>;
  /**
   * Frames that the interface is to receive. A write resolves when the frame is in the interface; while nobody has the
   * interface open, or its ring is full, it waits. On a bridge it does not: the switch drops what finds no room.
   */
  readonly writable: WritableStream<Uint8Array>;
  /**
   * Resolves when the streams have ended, all of them. With a stack of its own: rejects with NetmapError EIO when that fails.
   */
  readonly ended: Promise<void>;
  readonly #netif: NetmapInterface;
  readonly #wire: HostPort;
  readonly #counts = { rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0, runt: 0, oversized: 0 };
  readonly #closing = new AbortController();

  /** @internal use {@link openStream} */
  constructor(netif: NetmapInterface, stack?: StreamStack) {
    this.#netif = netif;
    this.#wire = netif.wire;
    this.name = netif.name;
    let readEnds: () => void = () => {};
    let writeEnds: () => void = () => {};
    const ends = [
      new Promise<void>((resolve) => {
        readEnds = resolve;
      }),
      new Promise<void>((resolve) => {
        writeEnds = resolve;
      }),
    ];
    this.readable = new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const isThere = await this.#fill(controller);
          if (isThere) return;
          readEnds();
          controller.close();
        },
        cancel: () => readEnds(),
      },
      { highWaterMark: AHEAD },
    );
    this.writable = new WritableStream<Uint8Array>({
      write: (frame) => this.#write(frame),
      close: () => writeEnds(),
      abort: () => writeEnds(),
    });
    const { signal } = this.#closing;
    signal.addEventListener('abort', () => writeEnds(), { once: true });
    const pipes = stack
      ? [this.readable.pipeTo(stack.writable), stack.readable.pipeTo(this.writable, { signal })]
      : ends;
    this.ended = Promise.all(pipes).then(
      () => {},
      (error) => {
        if (this.#closing.signal.aborted) return;
        throw netmapError('EIO', `the stack has failed: ${String(error)}`, { op: 'stream', port: this.name });
      },
    );
    this.ended.catch(() => {});
  }

  /** Frames that the interface transmits, one after the other. Uses `readable`. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    const reader = this.readable.getReader();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        yield value;
      }
    } finally {
      reader.releaseLock();
    }
  }

  counters(): StreamCounters {
    const { runt, oversized, ...counts } = this.#counts;
    return { ...counts, rxDrops: { runt, oversized } };
  }

  /** Takes the interface away: whoever has it open finds POLLERR, and the streams end. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#netif.close();
  }

  /** Gives the stream as many frames as it wants, waiting for the first one. @returns false: the interface is gone */
  async #fill(controller: ReadableStreamDefaultController<Uint8Array>): Promise<boolean> {
    const { signal } = this.#closing;
    for (;;) {
      const ready = await this.#wire.poll(POLLIN, { signal }).catch(() => POLLERR);
      if (ready & POLLERR) return false;
      const frames = this.#wire.recv(Math.max(1, controller.desiredSize ?? 1));
      if (frames.length === 0) continue;
      for (const frame of frames) {
        controller.enqueue(frame);
        this.#counts.txPackets++;
        this.#counts.txBytes += frame.length;
      }
      this.#wire.rxsync(); // the interface may go on
      return true;
    }
  }

  async #write(frame: Uint8Array): Promise<void> {
    if (!(frame instanceof Uint8Array)) throw new TypeError('a frame is a Uint8Array');
    const wire = this.#wire;
    const { bufSize, numSlots } = wire.txRings[0];
    const slots = Math.ceil(frame.length / bufSize);
    if (frame.length < MIN_FRAME || slots >= numSlots) {
      this.#counts[frame.length < MIN_FRAME ? 'runt' : 'oversized']++;
      return;
    }
    const isGone = (): boolean => !wire.isOpen || (wire.pollOnce(0) & POLLERR) !== 0;
    while (!isGone() && wireRoom(wire) < slots) await new Promise((resolve) => setTimeout(resolve, ROOM_WAIT));
    if (isGone()) throw netmapError('EIO', 'the interface is gone', { op: 'stream', port: this.name });
    wire.trySend(frame); // a wire takes all that is sent: its ring is empty
    wire.txsync();
    wire.waiting.service();
    this.#counts.rxPackets++;
    this.#counts.rxBytes += frame.length;
  }
}

/**
 * Makes a network interface with Web streams behind it. Any thread may do so; the streams are its own.
 * @param name of the interface, or a specification, `stream:NAME[,slots=256]`
 * @param stack its `readable` has the frames that the interface is to receive, its `writable` gets those that it
 *   transmits; without one, the port has the streams
 * @throws NetmapError EINVAL (name, counts), EEXIST, ENOMEM
 */
export async function openStream(netmap: Netmap, name: string, stack?: StreamStack): Promise<StreamPort> {
  const { target, options, slots, ...spec } = parseBackendSpec(name.includes(':') ? name : `stream:${name}`);
  const [unknown] = options.keys();
  if (spec.kind !== 'stream' || unknown !== undefined) {
    const what = spec.kind === 'stream' ? `no option '${unknown}' of stream` : `'${spec.kind}' is no stream`;
    throw netmapError('EINVAL', what, { op: 'stream', port: name });
  }
  const counts = slots === undefined ? {} : { txSlots: slots, rxSlots: slots };
  return new StreamPort(await netmap.addInterface(spec.name ?? target, counts), stack);
}
