// Sending datagrams: from a fixed set of buffers, so that what the system does not take yet does not pile up.

import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CounterWriter, DropReason } from './counters.js';
import type { Drainer } from './packets.js';

/** Datagrams that may be under way in the event loop. */
const UNDER_WAY = 256;
/** The longest UDP datagram's payload over IPv4. */
const MAX_DATAGRAM = 65507;
const FIRST_SIZE = 2048;
/** How long (ms) the system may take to answer to what was sent before the end. */
const LEAVING = 500;

/** What the system's answers to a datagram mean for it. */
const REASONS: Readonly<Record<string, DropReason>> = {
  ECONNREFUSED: 'down',
  EHOSTUNREACH: 'down',
  ENETUNREACH: 'down',
  ENETDOWN: 'down',
  EMSGSIZE: 'oversized',
  ENOBUFS: 'noRoom',
};

/** Binds a socket, and leaves errors to the caller from then on. @throws the system's error */
export async function bindTo(socket: Socket, host: string, port: number): Promise<void> {
  socket.bind({ address: host, port, exclusive: true });
  await once(socket, 'listening');
}

interface Slot {
  bytes: Uint8Array;
  length: number;
  readonly done: (error: NodeJS.ErrnoException | null) => void;
}

/** Sends packets, each behind a header that does not change, and counts them. */
export class DatagramSender {
  readonly #socket: Socket;
  readonly #counters: CounterWriter;
  readonly #header: Uint8Array;
  readonly #free: Slot[];

  constructor(socket: Socket, counters: CounterWriter, header = new Uint8Array(0)) {
    this.#socket = socket;
    this.#counters = counters;
    this.#header = header;
    this.#free = Array.from({ length: UNDER_WAY }, () => this.#slot());
  }

  /** How many packets {@link send} takes now. */
  get room(): number {
    return this.#free.length;
  }

  /**
   * Sends what an interface has transmitted: each packet is given to `take`, which answers false when there is no room for
   * it now. What finds the system still busy with all that it was given in earlier turns is dropped.
   */
  sendAll(drainer: Drainer, take: (packet: Uint8Array) => boolean): void {
    if (this.#free.length !== 0) {
      drainer.drain(take);
      return;
    }
    const dropped = drainer.drain(() => true);
    if (dropped !== 0) this.#counters.txDrop('noRoom', dropped);
  }

  /** Copies a packet, and sends it: to whom the socket is connected, or to an address. False: there is no room. */
  send(packet: Uint8Array, port?: number, host?: string): boolean {
    const header = this.#header.length;
    const size = header + packet.length;
    if (size > MAX_DATAGRAM) {
      this.#counters.txDrop('oversized');
      return true;
    }
    const slot = this.#free.pop();
    if (!slot) return false;
    if (slot.bytes.length < size) slot.bytes = this.#buffer(size);
    slot.bytes.set(packet, header);
    slot.length = packet.length;
    const datagram = slot.bytes.subarray(0, size);
    if (host === undefined) this.#socket.send(datagram, slot.done);
    else this.#socket.send(datagram, port, host, slot.done);
    return true;
  }

  /** Resolves when the system has answered to all that was sent: a socket that is closed before forgets some of it. */
  async settle(): Promise<void> {
    const until = performance.now() + LEAVING;
    while (this.#free.length !== UNDER_WAY && performance.now() < until) await sleep(1);
  }

  #buffer(size: number): Uint8Array {
    const bytes = new Uint8Array(size);
    bytes.set(this.#header);
    return bytes;
  }

  #slot(): Slot {
    const slot: Slot = {
      bytes: this.#buffer(FIRST_SIZE),
      length: 0,
      done: (error) => {
        if (error) this.#counters.txDrop(REASONS[error.code ?? ''] ?? 'error');
        else this.#counters.transmitted(1, slot.length);
        this.#free.push(slot);
      },
    };
    return slot;
  }
}
