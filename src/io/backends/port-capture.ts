// A capture of several ports into one file: as monitors see them, by a worker, so that nobody waits for the file. Ports may
// be added and taken away while it runs.

import type { Netmap } from '../../control/netmap.js';
import { NetmapError, netmapError } from '../../errors.js';
import type { WorkerHandle } from '../../threads/platform.js';
import type { CaptureFormat } from '../pcap-frame.js';
import {
  BYTES,
  COUNTERS,
  LOST,
  MISSED,
  PACKETS,
  type PortCaptureData,
  type PortCaptureMessage,
  type PortCaptureRequest,
  type PortDirection,
} from './port-capture-messages.js';

export type { PortDirection };

export interface PortCaptureOptions {
  readonly path: string;
  readonly format: CaptureFormat;
  /** Bytes that are kept of a packet. */
  readonly snapLength: number;
  readonly direction: PortDirection;
  /**
   * Told when the file is written, and why not: then it is tried again, after longer and longer times. Also told (`down`) when
   * the worker has ended by itself: then nothing is tried again.
   */
  readonly onState?: (state: 'up' | 'down', reason: string) => void;
}

export interface PortCaptureCounters {
  /** Packets in the file, and their bytes. */
  readonly packets: number;
  readonly bytes: number;
  /** `error`: the file could not be written; `noSpace`: they came faster than they were taken from the monitors. */
  readonly drops: { readonly error: number; readonly noSpace: number };
}

type WithoutId<T> = T extends unknown ? Omit<T, 'id'> : never;

export class PortCapture {
  readonly #counters = new Float64Array(new SharedArrayBuffer(8 * COUNTERS));
  readonly #onState: PortCaptureOptions['onState'];
  readonly #waiting = new Map<number, (error?: unknown) => void>();
  #worker: WorkerHandle | undefined;
  #nextId = 1;
  #closed: Promise<void> | undefined;
  #ended: { readonly error: unknown } | undefined;

  private constructor(onState: PortCaptureOptions['onState']) {
    this.#onState = onState;
  }

  /** Starts one, of no port yet. Control thread only. @throws NetmapError EPERM, EAGAIN (no more threads) */
  static async open(netmap: Netmap, { onState, ...options }: PortCaptureOptions): Promise<PortCapture> {
    const capture = new PortCapture(onState);
    const counters = capture.#counters.buffer as SharedArrayBuffer;
    const data: PortCaptureData['data'] = { ...options, counters };
    // The literal form is what bundlers recognise.
    capture.#worker = await netmap.spawn(new URL('./port-capture-worker.js', import.meta.url), {
      data,
      name: `capture ${options.path}`,
      keepAlive: true,
      onMessage: (message) => capture.#on(message as PortCaptureMessage),
      onError: (error) => capture.#end(error),
    });
    void capture.#worker.ended.then(() => capture.#end(netmapError('EIO', 'the capture has ended', { op: 'capture' })));
    return capture;
  }

  /**
   * Captures a port, too.
   * @param name of its interface in the file
   * @param port as `Netmap.open` takes it, without flags: `vale0:tap0`
   * @throws NetmapError ENXIO, EINVAL (no such port, or not open), ENOMEM, EEXIST (the name)
   */
  watch(name: string, port: string): Promise<void> {
    return this.#ask({ type: 'watch', name, port });
  }

  /** Captures a port no more. */
  unwatch(name: string): Promise<void> {
    return this.#ask({ type: 'unwatch', name });
  }

  get counters(): PortCaptureCounters {
    const words = this.#counters;
    const drops = { error: words[LOST], noSpace: words[MISSED] };
    return { packets: words[PACKETS], bytes: words[BYTES], drops };
  }

  /** Writes what was captured, and ends it. */
  close(): Promise<void> {
    this.#closed ??= this.#ask({ type: 'stop' })
      .catch(() => {}) // it has ended before
      .then(() => this.#worker?.ended);
    return this.#closed;
  }

  #ask(request: WithoutId<PortCaptureRequest>): Promise<void> {
    const id = this.#nextId++;
    if (this.#ended) return Promise.reject(this.#ended.error);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, (error) => (error === undefined ? resolve() : reject(error)));
      this.#worker?.postMessage({ ...request, id });
    });
  }

  #on(message: PortCaptureMessage): void {
    if (message.type === 'state') {
      this.#onState?.(message.state, message.reason);
      return;
    }
    const answer = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    answer?.(message.error && NetmapError.fromJSON(message.error));
  }

  #end(error: unknown): void {
    if (this.#ended === undefined) {
      this.#ended = { error };
      if (!this.#closed) this.#onState?.('down', error instanceof Error ? error.message : String(error));
    }
    for (const answer of this.#waiting.values()) answer(error);
    this.#waiting.clear();
  }
}
