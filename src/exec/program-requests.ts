// The requests of a program with a memory of its own. The host over that memory holds its region; a port that it registers
// is a pipe there, whose other end a cable joins with the real port. What asks for anything else goes to the real host.

import {
  NETMAP_IF_NAME,
  NETMAP_IFNAMSIZ,
  NETMAP_REQ_CSB_ENABLE,
  NETMAP_REQ_POOLS_INFO_GET,
  NETMAP_REQ_PORT_INFO_GET,
  NETMAP_REQ_REGISTER,
  NETMAP_REQ_SYNC_KLOOP_START,
  NETMAP_REQ_SYNC_KLOOP_STOP,
  NR_REG_ALL_NIC,
  NR_REG_NULL,
  NR_REG_ONE_NIC,
} from '../abi.js';
import { type Cable, joinPorts } from '../cable/cable.js';
import { checkPorts } from '../cable/pump.js';
import type { Intercept } from '../control/control.js';
import type { Netmap } from '../control/netmap.js';
import { NetmapError, netmapError } from '../errors.js';
import { BODIES } from '../ioctl/codec.js';
import type { DeviceAnswer, DeviceRequest } from '../ioctl/messages.js';
import { GLOBAL_MEM_ID } from '../memory/region.js';
import type { HostPort } from '../netmap/host-port.js';
import { MONITOR_FLAGS } from '../netmap/monitor.js';
import type { NetmapRing } from '../ring/ring.js';
import type { Upstream, UpstreamPort } from './upstream.js';

type Next = (request: DeviceRequest) => Promise<DeviceAnswer>;

/** A port of the program. */
interface Joined {
  readonly upstream: UpstreamPort;
  readonly end: HostPort;
  readonly cable: Cable;
}

/** What concerns only the program's own memory. */
const LOCAL = [NETMAP_REQ_CSB_ENABLE, NETMAP_REQ_SYNC_KLOOP_START, NETMAP_REQ_SYNC_KLOOP_STOP];
/** How long the close of a port waits for what was sent (ms), and how often it looks. */
const LINGER = 2000;
const LINGER_LOOK = 2;
/** A name of no port: the region is the same for all. */
const ANY_PORT = 'vale:region';

export class ProgramRequests {
  readonly intercept: Intercept = {
    device: (args, next) => this.#device(checked(args), next as Next),
    deviceClose: (args, next) => this.#closeFile(args as { fd: number }, next),
  };
  readonly #upstream: Upstream;
  readonly #memory: WebAssembly.Memory;
  readonly #onFailure: (error: NetmapError) => void;
  /** By the descriptors of the program's host. */
  readonly #joined = new Map<number, Joined>();
  #host: Netmap | undefined;
  #made = 0;

  /** @param onFailure a cable has ended by itself */
  constructor(upstream: Upstream, memory: WebAssembly.Memory, onFailure: (error: NetmapError) => void) {
    this.#upstream = upstream;
    this.#memory = memory;
    this.#onFailure = onFailure;
  }

  /** The host over the program's memory, once it is made. */
  set host(host: Netmap) {
    this.#host = host;
  }

  /** Closes all ports of the program. */
  async close(): Promise<void> {
    for (const fd of [...this.#joined.keys()]) await this.#separate(fd);
  }

  async #device(request: DeviceRequest, next: Next): Promise<DeviceAnswer> {
    const { type, body, name, options } = request;
    try {
      if (LOCAL.includes(type)) return await next(request);
      if (type === NETMAP_REQ_REGISTER) return await this.#register(request, next);
      const isInfo = type === NETMAP_REQ_PORT_INFO_GET || type === NETMAP_REQ_POOLS_INFO_GET;
      if (type === NETMAP_REQ_PORT_INFO_GET && name === '') return await next(request);
      const asked = isInfo ? { ...body, memId: 0 } : body;
      const answer = await this.#upstream.ask({ type, name, options, body: asked });
      return isInfo && answer.errno === 0 ? await this.#ownMemory(request, answer, next) : answer;
    } catch (error) {
      if (error instanceof NetmapError) return { errno: -error.errno, status: {} };
      throw error;
    }
  }

  /** What was said of a port's memory is true of the program's region. */
  async #ownMemory(request: DeviceRequest, answer: DeviceAnswer, next: Next): Promise<DeviceAnswer> {
    const own = await next({ ...request, name: ANY_PORT, body: { ...request.body, memId: GLOBAL_MEM_ID } });
    if (own.errno !== 0 || request.type === NETMAP_REQ_POOLS_INFO_GET) return own;
    const { memsize, memId } = own.body as Record<string, number>;
    return { ...answer, body: { ...answer.body, memsize, memId } };
  }

  /**
   * REGISTER, without the OFFSETS option: cables pass packets on from the start of their buffers. The real host gets no
   * option at all: what a CSB names are addresses of the program's memory.
   */
  async #register({ offsets: _, ...request }: DeviceRequest, next: Next): Promise<DeviceAnswer> {
    const { type, body, name, fd } = request;
    const { mode, ringId } = body;
    if (mode === NR_REG_NULL) return next({ ...request, body: { ...body, memId: GLOBAL_MEM_ID } });
    if (this.#joined.has(fd)) throw netmapError('EBUSY', 'the descriptor is bound already', { op: 'register' });
    if (mode !== NR_REG_ALL_NIC && mode !== NR_REG_ONE_NIC) {
      throw netmapError('EOPNOTSUPP', 'a program with a memory of its own has no host rings', { op: 'register' });
    }
    const upstream = await this.#upstream.open({ type, name, options: [], body: { ...body, extraBufs: 0 } });
    const { txRings, rxRings } = upstream.port;
    const geometry = {
      txRings: mode === NR_REG_ONE_NIC ? ringId + 1 : txRings.length,
      rxRings: mode === NR_REG_ONE_NIC ? ringId + 1 : rxRings.length,
      txSlots: slotsOf(txRings, rxRings),
      rxSlots: slotsOf(rxRings, txRings),
    };
    const pipe = `cable${this.#made++}`;
    let end: HostPort | undefined;
    try {
      end = await this.#openEnd(pipe, mode === NR_REG_ONE_NIC ? `-${ringId}` : '', geometry);
      checkPorts(end, upstream.port, 'register'); // before the program's descriptor is bound
      const flags = body.flags & ~MONITOR_FLAGS;
      const own = { ...body, ...geometry, flags, memId: GLOBAL_MEM_ID };
      const answer = await next({ ...request, name: `${pipe}{1`, body: own });
      if (answer.errno !== 0 || !answer.port) return answer;
      this.#writeName(answer.port.regionBase + answer.port.offset, name ?? '');
      this.#join(fd, upstream, end);
      return answer;
    } finally {
      if (this.#joined.get(fd)?.upstream !== upstream) {
        await end?.close();
        await upstream.close();
      }
    }
  }

  /** The cable's end of the program's pipe: what the program sends is received here. */
  #openEnd(pipe: string, ring: string, geometry: Record<'txRings' | 'rxRings' | 'txSlots' | 'rxSlots', number>) {
    const { txRings, rxRings, txSlots, rxSlots } = geometry;
    const turned = { txRings: rxRings, rxRings: txRings, txSlots: rxSlots, rxSlots: txSlots };
    return (this.#host as Netmap).open(`netmap:${pipe}}1${ring}@${GLOBAL_MEM_ID}`, turned);
  }

  #join(fd: number, upstream: UpstreamPort, end: HostPort): void {
    const cable = joinPorts(end, upstream.port, { keepAlive: true });
    this.#joined.set(fd, { upstream, end, cable });
    void cable.ended.then((error) => {
      if (error && this.#joined.has(fd)) this.#onFailure(error);
    });
  }

  /** The program has asked for this name, and finds it in its netmap_if. */
  #writeName(nifp: number, name: string): void {
    const field = new Uint8Array(this.#memory.buffer, nifp + NETMAP_IF_NAME, NETMAP_IFNAMSIZ);
    field.fill(0);
    field.set(new TextEncoder().encode(name).subarray(0, NETMAP_IFNAMSIZ - 1));
  }

  async #closeFile(args: { fd: number }, next: (args: unknown) => Promise<unknown>): Promise<unknown> {
    await this.#drain(args.fd);
    const result = await next(args);
    await this.#separate(args.fd);
    return result;
  }

  /** What the program has sent is not lost with its end of the pipe, unless nobody takes it for a while. */
  async #drain(fd: number): Promise<void> {
    const joined = this.#joined.get(fd);
    if (!joined) return;
    joined.cable.pump();
    const until = performance.now() + LINGER;
    while (joined.end.rxRings.some((ring) => ring.head !== ring.tail) && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, LINGER_LOOK));
    }
  }

  async #separate(fd: number): Promise<void> {
    const joined = this.#joined.get(fd);
    if (!joined) return;
    this.#joined.delete(fd);
    await joined.cable.close();
    await joined.end.close();
    await joined.upstream.close();
  }
}

/** Slots of the rings of one direction; where there are none, as many as the other has. */
function slotsOf(rings: readonly NetmapRing[], others: readonly NetmapRing[]): number {
  return (rings[0] ?? others[0])?.numSlots ?? 0;
}

/** A request as it should be, with the fields of its type only: it comes through memory that the program may write. */
function checked(args: unknown): DeviceRequest {
  const { fd, isOwner, type, name, body, options, ...rest } = (args ?? {}) as Partial<DeviceRequest>;
  const fields = Object.keys(BODIES[type ?? 0]?.fields ?? {}).map((field) => [field, body?.[field] ?? 0] as const);
  const sound =
    Number.isSafeInteger(fd) &&
    Number.isSafeInteger(type) &&
    (name === null || typeof name === 'string') &&
    fields.every(([, value]) => Number.isSafeInteger(value) && value >= 0) &&
    Array.isArray(options) &&
    options.every((option) => Number.isSafeInteger(option));
  if (!sound) throw netmapError('EINVAL', 'a request that is none', { op: 'ioctl' });
  return {
    ...rest,
    fd,
    isOwner: isOwner === true,
    type,
    name,
    body: Object.fromEntries(fields),
    options,
  } as DeviceRequest;
}
