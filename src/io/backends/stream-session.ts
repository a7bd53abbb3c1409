// One connection of frames at a time: made by us, or taken from those who connect.

import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { netmapError } from '../../errors.js';
import { FrameReader, FrameWriter } from './frame-stream.js';
import type { BackendContext } from './kind.js';
import { Drainer, Injector, transmitUntil } from './packets.js';
import { type Address, connectTo, listenAt, showAddress } from './sockets.js';

/** How long (ms) a second connection waits for the first one to end: whoever was killed and is back comes so early. */
const GRACE = 1000;

/** How long (ms) what was written may take to leave when the connection is to end. */
const LEAVING = 500;

/** The connection that there is, and the frames of the interface. */
class StreamSession {
  readonly #context: BackendContext;
  readonly #injector: Injector;
  readonly #writer: FrameWriter;
  #socket: Socket | undefined;
  #ended: Promise<string> = Promise.resolve('');

  constructor(context: BackendContext) {
    this.#context = context;
    this.#injector = new Injector(context.wire);
    this.#writer = new FrameWriter(new Drainer(context.wire), context.counters);
  }

  get isConnected(): boolean {
    return this.#socket !== undefined;
  }

  /** Resolves, with the reason, when there is no connection any more. */
  get ended(): Promise<string> {
    return this.#ended;
  }

  /** Has the frames of a connection until it ends. */
  serve(socket: Socket): void {
    const reader = new FrameReader(this.#injector, this.#context.counters);
    let reason = 'the connection was closed by the other end';
    this.#socket = socket;
    socket.on('data', (chunk) => {
      if (reader.push(chunk)) return;
      reason = 'what came is no frame';
      socket.destroy();
    });
    socket.on('error', (error) => {
      reason = error.message;
    });
    this.#ended = new Promise((resolve) => {
      socket.once('close', () => {
        reader.end();
        this.#socket = undefined;
        this.#context.state('down', reason);
        resolve(reason);
      });
    });
    socket.resume();
    this.#context.state('up');
  }

  /** Sends what the interface transmits, until the signal aborts. */
  async transmit(signal: AbortSignal): Promise<void> {
    await transmitUntil(this.#context.wire, signal, () => this.#writer.send(this.#socket));
  }

  /** Ends the connection; what is under way may leave first, for a while. */
  async close(): Promise<void> {
    const socket = this.#socket;
    if (!socket) return;
    await Promise.race([
      new Promise<void>((resolve) => socket.end(resolve)),
      this.#ended,
      sleep(LEAVING, undefined, { ref: false }),
    ]);
    socket.destroy();
  }
}

/** Connects, and has frames until that ends. @throws NetmapError EIO when the connection cannot be made, or has ended */
export async function runConnected(context: BackendContext, address: Address): Promise<void> {
  await runSocket(context, await connectTo(address, context.signal), showAddress(address));
}

/** Has the frames of a connection until it ends. @throws NetmapError EIO then, unless the backend is to end */
export async function runSocket(context: BackendContext, socket: Socket, name: string): Promise<void> {
  const session = new StreamSession(context);
  session.serve(socket);
  const over = new AbortController();
  void session.ended.then(() => over.abort());
  await session.transmit(AbortSignal.any([context.signal, over.signal]));
  await session.close();
  const reason = await session.ended;
  if (!context.signal.aborted) throw netmapError('EIO', reason, { op: 'socket', port: name });
}

/**
 * Listens, and has the frames of one connection at a time. Another one that comes meanwhile waits a moment for it to end,
 * and is refused then.
 */
export async function runListening(context: BackendContext, address: Address): Promise<void> {
  const { signal, counters } = context;
  const { server, close } = await listenAt(address);
  const session = new StreamSession(context);
  let waiting: Socket | undefined;
  const take = async (socket: Socket): Promise<void> => {
    socket.on('error', () => {});
    if (session.isConnected && waiting === undefined) {
      waiting = socket;
      await Promise.race([session.ended, sleep(GRACE, undefined, { signal }).catch(() => {})]);
      waiting = undefined;
    }
    if (session.isConnected || signal.aborted) {
      counters.refuse();
      socket.destroy();
    } else if (!socket.destroyed) {
      session.serve(socket);
    }
  };
  server.on('connection', (socket) => void take(socket));
  context.state('down', `nobody has connected to ${showAddress(address)}`);
  try {
    await session.transmit(signal);
  } finally {
    await session.close();
    waiting?.destroy();
    await close();
  }
}
