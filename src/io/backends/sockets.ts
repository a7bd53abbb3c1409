// Addresses of stream sockets, as specifications write them, and sockets that listen safely: unix sockets only for their
// owner, TCP on loopback unless more is asked for.

import { once } from 'node:events';
import { chmod, link, mkdtemp, rm, stat } from 'node:fs/promises';
import { connect, createServer, isIP, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { netmapError } from '../../errors.js';
import { bad } from './spec.js';

export type Address = { readonly path: string } | { readonly host: string; readonly port: number };

/** Bytes of a path that fit in a socket's address with the name of the folder in which it is made. */
const MAX_PATH = 98;
/** How long (ms) nothing may come from a TCP peer before it is asked whether it is still there. */
const KEEP_ALIVE = 10_000;
/** How long (ms) the other end may take to answer at all. */
const CONNECT_LIMIT = 5000;

export const showAddress = (address: Address): string =>
  'path' in address ? `unix:${address.path}` : `${address.host}:${address.port}`;

/** Reads `unix:PATH` or `HOST:PORT`; no host is loopback. @throws NetmapError EINVAL */
export function parseAddress(spec: string, text: string): Address {
  const [, path] = /^unix:(.+)$/.exec(text) ?? [];
  if (path !== undefined) {
    if (Buffer.byteLength(path) > MAX_PATH) throw bad(spec, `a path of a socket has ${MAX_PATH} bytes at most`);
    return { path };
  }
  const [, host, port] = /^(\[[^\]]+\]|[^:]*):(\d+)$/.exec(text) ?? [];
  if (port === undefined) throw bad(spec, `'${text}' is neither unix:PATH nor HOST:PORT`);
  return { host: host === '' ? '127.0.0.1' : host.replace(/^\[|\]$/g, ''), port: portNumber(spec, port) };
}

/** @throws NetmapError EINVAL */
export function portNumber(spec: string, text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port >= 1 && port <= 65535) return port;
  throw bad(spec, `'${text}' is no port`);
}

/** An IP address as the system writes those of packets that come in; another text as it is. */
export function canonicalAddress(text: string): string {
  if (isIP(text) !== 6) return text;
  const [address, zone] = text.split('%');
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  return zone === undefined ? canonical : `${canonical}%${zone}`;
}

/** Whether an address is of this machine only. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/**
 * Where to listen: at the target's host if that is loopback, else only at the address that `listen=` says.
 * @throws NetmapError EINVAL
 */
export function listenHost(spec: string, host: string, listen: string | undefined): string {
  if (listen !== undefined) {
    if (isIP(listen) === 0) throw bad(spec, `listen=${listen} is no IP address`);
    return listen;
  }
  if (!isLoopback(host)) throw bad(spec, `${host} is not loopback: to listen beyond it, say listen=ADDRESS`);
  return host;
}

/** @throws NetmapError EIO, with the system's reason; the signal's reason */
export async function connectTo(address: Address, signal: AbortSignal): Promise<Socket> {
  const socket = connect({ ...address, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE });
  const onAbort = (): void => void socket.destroy();
  const late = setTimeout(() => socket.destroy(new Error('nobody answers')), CONNECT_LIMIT);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await once(socket, 'connect', { signal });
    return socket;
  } catch (error) {
    socket.destroy();
    throw signal.aborted ? error : socketError(error, 'socket', showAddress(address));
  } finally {
    clearTimeout(late);
    signal.removeEventListener('abort', onAbort);
  }
}

/** A server that listens, and takes connections without reading from them. */
export interface Listener {
  readonly server: Server;
  close(): Promise<void>;
}

/** @throws NetmapError EIO, with the system's reason: EADDRINUSE when somebody listens there */
export async function listenAt(address: Address): Promise<Listener> {
  const server = createServer({
    pauseOnConnect: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE,
  });
  try {
    const remove = await bind(server, address);
    return {
      server,
      close: async () => {
        server.close();
        await remove();
      },
    };
  } catch (error) {
    server.close();
    throw socketError(error, 'socket', showAddress(address));
  }
}

/** @returns takes away what is not taken away by closing the server */
async function bind(server: Server, address: Address): Promise<() => Promise<void>> {
  if (!('path' in address)) {
    await listening(server, address);
    return async () => {};
  }
  const { path } = address;
  // Made where nobody else may look, so that it is never open to others, and then linked: that cannot replace a file.
  const folder = await mkdtemp(`${path}.`);
  try {
    const made = join(folder, 's');
    await listening(server, { path: made });
    await chmod(made, 0o600);
    await link(made, path).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
      await removeStale(path);
      await link(made, path);
    });
    const { ino } = await stat(path);
    return async () => {
      const now = await stat(path).catch(() => undefined);
      if (now?.ino === ino) await rm(path, { force: true });
    };
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function listening(server: Server, address: Address): Promise<void> {
  server.listen(address);
  await once(server, 'listening');
}

/** Removes a socket that nobody listens on. @throws Error when somebody does, or it is no socket */
async function removeStale(path: string): Promise<void> {
  if (!(await stat(path)).isSocket()) throw new Error('EEXIST: there is a file that is no socket');
  const probe = connect({ path });
  try {
    await once(probe, 'connect');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') throw error;
    await rm(path);
    return;
  } finally {
    probe.destroy();
  }
  throw new Error('EADDRINUSE: somebody listens there');
}

/** EIO, with what the system says. */
export function socketError(error: unknown, op: string, port: string): Error {
  return netmapError('EIO', error instanceof Error ? error.message : String(error), { op, port });
}
