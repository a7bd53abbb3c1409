// Ethernet frames in WebSocket messages (RFC 6455), one frame a binary message: what the relays of browser emulators speak.
// As a server, each client is a machine on a switch of its own in front of the interface; as a client, we are one of those.

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ClientOptions, WebSocket, WebSocketServer } from 'ws';
import { netmapError } from '../../errors.js';
import { type Client, Hub } from './hub.js';
import type { BackendContext, BackendKind, BackendPlan } from './kind.js';
import { transmitUntil } from './packets.js';
import { isLoopback, listenHost, portNumber, socketError } from './sockets.js';
import { type BackendSpec, bad, checkKeys, wholeNumber } from './spec.js';

type WsConfig =
  | { readonly url: string }
  | {
      readonly host: string;
      readonly port: number;
      readonly clients: number;
      /** Origins of web pages that may connect; undefined: those of this machine. */
      readonly origins?: readonly string[];
    };

/** Bytes of the longest message. */
const MAX_MESSAGE = 65536;
/** Bytes that may wait for a client; beyond, what is for it is dropped. */
const MAX_WAITING = 1 << 20;
const DEFAULT_CLIENTS = '64';
const HANDSHAKE_MS = 10_000;
/** How often a peer is asked whether it is still there; it has as long to answer. */
const PING_MS = 20_000;
/** Connections beyond the clients: those that are told that there is no room, or have not said what they want. */
const SPARE = 64;
const UPGRADE_REQUIRED = 426;
/** Status 1001 of RFC 6455: the endpoint goes away. */
const GOING_AWAY = 1001;
/** How long (ms) a connection may take to end. */
const LEAVING = 500;
const OPTIONS: ClientOptions = { maxPayload: MAX_MESSAGE, perMessageDeflate: false, handshakeTimeout: HANDSHAKE_MS };

function plan(spec: BackendSpec): WsConfig {
  const { text, target, options } = spec;
  if (target.startsWith('//')) {
    checkKeys(spec, []);
    const url = `${spec.kind}:${target}`;
    if (!URL.canParse(url)) throw bad(text, 'ws://HOST:PORT/PATH');
    return { url };
  }
  const [, port] = /^listen:(\d+)$/.exec(target) ?? [];
  if (port === undefined || spec.kind !== 'ws') throw bad(text, 'ws:listen:PORT or ws://HOST:PORT/PATH');
  checkKeys(spec, ['listen', 'clients', 'origin']);
  const origin = options.get('origin');
  return {
    host: listenHost(text, '127.0.0.1', options.get('listen')),
    port: portNumber(text, port),
    clients: wholeNumber(text, 'clients', options.get('clients') ?? DEFAULT_CLIENTS, 1, 1024),
    ...(origin === undefined ? {} : { origins: origin.split('+') }),
  };
}

export const kind: BackendKind = {
  plan(spec: BackendSpec): BackendPlan {
    const config = plan(spec);
    return { name: 'ws%d', interface: {}, workers: [{ direction: 'both', config }] };
  },

  run(context: BackendContext): Promise<void> {
    const config = context.config as WsConfig;
    return 'url' in config ? runClient(context, config.url) : runServer(context, config);
  },
};

/** Whether a page of that origin may connect: any page that a browser shows could try. Programs send no origin. */
function mayConnect(origin: string | undefined, origins: readonly string[] | undefined): boolean {
  if (origin === undefined || origins?.includes('any')) return true;
  if (origins !== undefined) return origins.includes(origin);
  return URL.canParse(origin) && isLoopback(new URL(origin).hostname.replace(/^\[|\]$/g, ''));
}

async function runServer(context: BackendContext, config: Exclude<WsConfig, { url: string }>): Promise<void> {
  const { counters, signal } = context;
  const hub = new Hub(context, MAX_MESSAGE);
  const verifyClient = ({ origin }: { origin?: string }): boolean => {
    const welcome = hub.size < config.clients && mayConnect(origin, config.origins);
    if (!welcome) counters.refuse();
    return welcome;
  };
  const { host, port } = config;
  const http = createServer((_, response) => response.writeHead(UPGRADE_REQUIRED).end());
  http.maxConnections = config.clients + SPARE;
  http.on('drop', () => counters.refuse());
  const server = new WebSocketServer({ ...OPTIONS, server: http, verifyClient });
  const where = `ws://${host}:${port}`;
  const over = new AbortController();
  let failure: unknown;
  const nobody = (): void => context.state('down', `nobody has connected to ${where}`);
  server.on('connection', (socket, request) => {
    attach(context, hub, socket, request.socket);
    context.state('up');
    socket.once('close', () => hub.size === 0 && !signal.aborted && nobody());
  });
  try {
    http.listen(port, host);
    await once(server, 'listening');
    server.on('error', (error) => {
      failure = error;
      over.abort();
    });
    nobody();
    await transmitUntil(context.wire, AbortSignal.any([signal, over.signal]), () => hub.transmit());
    if (failure) throw failure;
  } catch (error) {
    throw socketError(error, 'listen', where);
  } finally {
    await Promise.all([...server.clients].map(leave));
    server.close();
    http.close();
    http.closeAllConnections(); // also those that have never asked for anything
  }
}

async function runClient(context: BackendContext, url: string): Promise<void> {
  const { signal, wire } = context;
  const hub = new Hub(context, MAX_MESSAGE);
  const socket = new WebSocket(url, OPTIONS);
  const over = new AbortController();
  let reason = 'the connection was closed by the other end';
  socket.on('error', (error) => {
    reason = error.message;
  });
  const closed = new Promise((resolve) => socket.once('close', resolve)).then(() => over.abort());
  socket.once('upgrade', (response) => {
    socket.once('open', () => {
      attach(context, hub, socket, response.socket);
      context.state('up');
    });
  });
  await transmitUntil(wire, AbortSignal.any([signal, over.signal]), () => hub.transmit());
  await leave(socket);
  await closed;
  if (!signal.aborted) throw netmapError('EIO', reason, { op: 'connect', port: url });
}

/** Ends a connection; what is under way may leave first, for a while. */
async function leave(socket: WebSocket): Promise<void> {
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.close(GOING_AWAY);
  if (socket.readyState !== WebSocket.CLOSED) await Promise.race([closed, sleep(LEAVING, undefined, { ref: false })]);
  socket.terminate();
}

/** Puts an open connection behind the interface until it is closed. @param stream what the messages leave through */
function attach(context: BackendContext, hub: Hub, socket: WebSocket, stream: Duplex): void {
  const { counters } = context;
  let isCorked = false;
  let isThere = true;
  const client: Client = {
    get hasRoom() {
      return socket.bufferedAmount < MAX_WAITING;
    },
    send: (frame) => {
      if (!isCorked) stream.cork();
      isCorked = true;
      socket.send(frame, () => {}); // an error closes the connection
    },
    flush: () => {
      if (isCorked) stream.uncork();
      isCorked = false;
    },
  };
  const pings = setInterval(() => {
    if (!isThere) socket.terminate();
    else socket.ping();
    isThere = false;
  }, PING_MS);
  hub.add(client);
  socket.on('message', (data, isBinary) => {
    if (isBinary) hub.receive(client, data as Buffer);
    else counters.rxDrop('framing');
  });
  socket.on('pong', () => {
    isThere = true;
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    counters.rxDrop(error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' ? 'oversized' : 'framing');
  });
  socket.once('close', () => {
    clearInterval(pings);
    hub.remove(client);
  });
}
