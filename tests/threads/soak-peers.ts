// What is at the other ends of a switch's ports, for its soak: peers that speak QEMU's protocols, send to their neighbours,
// and count what they get.
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';

export interface Peer {
  /** The last byte of its address. */
  readonly number: number;
  readonly sent: number;
  readonly received: number;
  /** The port that it is at. */
  spec(): Promise<string>;
  /** It comes: the port is there. */
  come(): Promise<void>;
  send(frame: Uint8Array): void;
  /** It goes, in the middle of whatever is under way. */
  go(): void;
  close(): void;
}

/** A frame with the peers' addresses, as far as it is long enough. @param to number of a peer, 0xff = everybody */
export function frameOf(from: number, to: number, length: number): Uint8Array {
  const frame = new Uint8Array(length).fill(to === 0xff ? 0xff : 0x02, 0, 6);
  if (to !== 0xff && length >= 14) frame[5] = to;
  if (length >= 12) frame.set([2, 2, 2, 2, 2, from], 6);
  return frame;
}

/** By datagrams, one a frame. */
export class DatagramPeer implements Peer {
  readonly #socket: DatagramSocket = createSocket('udp4');
  readonly number: number;
  #local = 0;
  sent = 0;
  received = 0;

  constructor(number: number) {
    this.number = number;
    this.#socket.on('message', () => this.received++);
  }

  async spec(): Promise<string> {
    this.#socket.bind(0, '127.0.0.1');
    const other = createSocket('udp4').bind(0, '127.0.0.1');
    await Promise.all([once(this.#socket, 'listening'), once(other, 'listening')]);
    this.#local = (other.address() as AddressInfo).port;
    other.close();
    await once(other, 'close');
    return `qemu:dgram:${this.#local}:${this.#socket.address().port}`;
  }

  async come(): Promise<void> {}

  send(frame: Uint8Array): void {
    this.#socket.send(frame, this.#local, '127.0.0.1');
    this.sent++;
  }

  go(): void {}

  close(): void {
    this.#socket.close();
  }
}

/** Bytes that may wait for the switch to read them; then frames are not sent. */
const PATIENCE = 1 << 18;

/** By a stream over a unix socket, in which each frame has its length before it. */
export class StreamPeer implements Peer {
  readonly number: number;
  readonly #path: string;
  #socket: Socket | undefined;
  #left = Buffer.alloc(0);
  sent = 0;
  received = 0;

  constructor(number: number, path: string) {
    this.number = number;
    this.#path = path;
  }

  async spec(): Promise<string> {
    return `qemu:unix:${this.#path}`;
  }

  async come(): Promise<void> {
    const socket = connect({ path: this.#path });
    socket.on('error', () => {}); // the port was taken away
    await once(socket, 'connect');
    this.#left = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    this.#socket = socket;
  }

  send(frame: Uint8Array): void {
    const socket = this.#socket;
    if (!socket?.writable || socket.writableLength > PATIENCE) return;
    const bytes = Buffer.alloc(4 + frame.length);
    bytes.writeUInt32BE(frame.length);
    bytes.set(frame, 4);
    socket.write(bytes);
    this.sent++;
  }

  go(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  close(): void {
    this.go();
  }

  #take(chunk: Buffer): void {
    let bytes = this.#left.length === 0 ? chunk : Buffer.concat([this.#left, chunk]);
    while (bytes.length >= 4) {
      const size = 4 + bytes.readUInt32BE();
      if (bytes.length < size) break;
      bytes = bytes.subarray(size);
      this.received++;
    }
    this.#left = Buffer.from(bytes);
  }
}
