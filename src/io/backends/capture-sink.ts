// Packets into a capture that may fail and come back: a full disk is told and counted, and tried again after a while.

import { CaptureClock, CaptureFile } from '../capture-file.js';
import type { CaptureDirection, CaptureFormat } from '../pcap-frame.js';
import { Backoff } from './backoff.js';

/** Bytes that are written at once, at the least, while packets come. */
const BATCH = 1 << 18;

/** What a capture has got of one interface. */
interface Counts {
  written: number;
  lost: number;
  /** Of `written`, those that are not in the file yet. */
  waiting: number;
}

export interface SinkOptions {
  readonly path: string;
  readonly format: CaptureFormat;
  /** Bytes that are kept of a packet. */
  readonly snapLength: number;
  /** Told when the file can be written, or why not. */
  readonly onState: (state: 'up' | 'down', reason: string) => void;
  /** Told what has become of packets: they are in the file, or lost. */
  readonly onPackets: (written: number, bytes: number, lost: number) => void;
}

export class CaptureSink {
  readonly #options: SinkOptions;
  readonly #backoff = new Backoff();
  readonly #clock = new CaptureClock();
  readonly #counts: Counts[] = [];
  readonly #names: string[] = [];
  #file: CaptureFile | undefined;
  /** When the file is tried again; 0 = it works. */
  #retryAt = 0;
  #waitingBytes = 0;
  /** What was told last: why it does not work, '' = it does. */
  #told: string | undefined;

  constructor(options: SinkOptions) {
    this.#options = options;
    this.flush();
  }

  /** @returns its number */
  addInterface(name: string): number {
    this.#names.push(name);
    this.#counts.push({ written: 0, lost: 0, waiting: 0 });
    return this.#file ? this.#file.writer.addInterface(name) : this.#names.length - 1;
  }

  /** The packets from here on came now. */
  tick(): void {
    this.#clock.tick();
  }

  packet(id: number, packet: Uint8Array, direction?: CaptureDirection): void {
    const { length } = packet;
    if (length === 0) return; // ends an interrupted delivery
    const counts = this.#counts[id];
    if (!this.#file || this.#retryAt !== 0) {
      counts.lost++;
      this.#options.onPackets(0, 0, 1);
      return;
    }
    const { snapLength } = this.#options;
    const kept = length > snapLength ? packet.subarray(0, snapLength) : packet;
    const { seconds, nanoseconds } = this.#clock;
    this.#file.writer.packet(id, seconds, nanoseconds, kept, length, direction);
    counts.waiting++;
    this.#waitingBytes += length;
    if (this.#file.writer.size >= BATCH) this.flush();
  }

  /** What an interface has received, in a statistics block. @param missed packets that never came here */
  statistics(id: number, missed: number): void {
    if (!this.#file || this.#retryAt !== 0) return;
    this.#clock.tick();
    const { written, waiting, lost } = this.#counts[id];
    const { seconds, nanoseconds } = this.#clock;
    this.#file.writer.statistics(id, seconds, nanoseconds, written + waiting + lost + missed, lost + missed);
  }

  /** Writes what waits; tries again what has failed, when it is time. */
  flush(): void {
    if (performance.now() < this.#retryAt) return;
    try {
      this.#file ??= this.#open();
      const isSomething = this.#file.writer.size !== 0;
      this.#file.flush();
      this.#settle(true);
      this.#retryAt = 0; // with nothing to write, the next packets will tell
      if (isSomething) this.#tell('');
    } catch (error) {
      this.#settle(false);
      if (this.#file?.isRegular === false) {
        this.#file.close(); // a pipe: the next reader gets a capture from its start on
        this.#file = undefined;
      }
      this.#retryAt = performance.now() + this.#backoff.failed();
      this.#backoff.succeeded();
      this.#tell((error as Error).message);
    }
  }

  #tell(reason: string): void {
    if (this.#told === reason) return;
    this.#told = reason;
    this.#options.onState(reason === '' ? 'up' : 'down', reason);
  }

  /** @param missed packets of each interface that never came here */
  close(missed: readonly number[] = []): void {
    for (const id of this.#names.keys()) this.statistics(id, missed[id] ?? 0);
    this.flush();
    this.#file?.close();
  }

  #open(): CaptureFile {
    const file = new CaptureFile(this.#options.path, this.#options.format);
    for (const name of this.#names) file.writer.addInterface(name);
    return file;
  }

  #settle(isWritten: boolean): void {
    let packets = 0;
    for (const counts of this.#counts) {
      packets += counts.waiting;
      if (isWritten) counts.written += counts.waiting;
      else counts.lost += counts.waiting;
      counts.waiting = 0;
    }
    if (isWritten) this.#options.onPackets(packets, this.#waitingBytes, 0);
    else this.#options.onPackets(0, 0, packets);
    this.#waitingBytes = 0;
  }
}
