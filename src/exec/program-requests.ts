// The requests of a program with a memory of its own. The host over that memory holds its region; a port that it registers
// stands there for the real one, and a cable joins the two. What asks for anything else goes to the real host.

import {
  NETMAP_REQ_CSB_ENABLE,
  NETMAP_REQ_OPT_EXTMEM,
  NETMAP_REQ_OPT_OFFSETS,
  NETMAP_REQ_POOLS_INFO_GET,
  NETMAP_REQ_PORT_INFO_GET,
  NETMAP_REQ_REGISTER,
  NETMAP_REQ_SYNC_KLOOP_START,
  NETMAP_REQ_SYNC_KLOOP_STOP,
  NIOCTXSYNC,
  NR_REG_NULL,
  PORT_KIND_MONITOR,
} from '../abi.js';
import { type Cable, joinPorts } from '../cable/cable.js';
import { checkPorts } from '../cable/pump.js';
import type { Intercept } from '../control/control.js';
import type { Netmap } from '../control/netmap.js';
import { NetmapError, netmapError } from '../errors.js';
import { BODIES } from '../ioctl/codec.js';
import type { DeviceAnswer, DeviceRequest } from '../ioctl/messages.js';
import { GLOBAL_MEM_ID } from '../memory/region.js';
import { OFFSETS_OP } from '../netmap/offsets.js';
import type { PortInfo } from '../netmap/register.js';
import { makeStandIn, type StandIn } from './stand-in.js';
import { flagsBack, isDown, type Upstream, type UpstreamPort } from './upstream.js';

type Next = (request: DeviceRequest) => Promise<DeviceAnswer>;

/** A port of the program. */
interface Joined {
  readonly upstream: UpstreamPort;
  readonly standIn: StandIn;
  /** Absent when no ring is bound. */
  readonly cable: Cable | undefined;
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
    devicePort: (args, next) =>
      this.#devicePort(args as { fd: number }, next as (args: unknown) => Promise<PortInfo | null>),
    deviceClose: (args, next) => this.#closeFile(args as { fd: number }, next),
  };
  readonly #upstream: Upstream;
  readonly #onFailure: (error: NetmapError) => void;
  /** Bound descriptors of the program's host; those of null ports are joined with nothing. */
  readonly #bound = new Map<number, Joined | undefined>();
  /** REGISTERs that are under way, the last one of each descriptor: they come one after the other, and a close after them. */
  readonly #registering = new Map<number, Promise<unknown>>();
  #host: Netmap | undefined;
  #made = 0;

  /** @param onFailure the real host is gone, or the program has destroyed its memory */
  constructor(upstream: Upstream, onFailure: (error: NetmapError) => void) {
    this.#upstream = upstream;
    this.#onFailure = onFailure;
  }

  /** The host over the program's memory, once it is made. */
  set host(host: Netmap) {
    this.#host = host;
  }

  /** Closes all ports of the program. */
  async close(): Promise<void> {
    for (const fd of [...this.#bound.keys()]) await this.#separate(fd);
  }

  async #device(request: DeviceRequest, next: Next): Promise<DeviceAnswer> {
    const { type, body, name, options } = request;
    try {
      if (LOCAL.includes(type)) return await next(request);
      if (type === NETMAP_REQ_REGISTER) return await this.#registerInTurn(request, next);
      if (type === NETMAP_REQ_PORT_INFO_GET && name === '') return await next(request);
      const answer = await this.#upstream.ask({ type, name, options, body: realMemory(body) });
      if (answer.errno !== 0) return answer;
      if (type === NETMAP_REQ_PORT_INFO_GET || type === NETMAP_REQ_POOLS_INFO_GET) {
        return await this.#ownMemory(request, answer, next);
      }
      const hasMemId = answer.body?.['memId'] !== undefined;
      return hasMemId ? { ...answer, body: { ...answer.body, memId: GLOBAL_MEM_ID } } : answer;
    } catch (error) {
      if (!(error instanceof NetmapError)) throw error;
      const isOption = error.op === OFFSETS_OP;
      return { errno: -error.errno, status: isOption ? { [NETMAP_REQ_OPT_OFFSETS]: error.errno } : {} };
    }
  }

  /** What was said of a port's memory is true of the program's region. */
  async #ownMemory(request: DeviceRequest, answer: DeviceAnswer, next: Next): Promise<DeviceAnswer> {
    const own = await next({ ...request, name: ANY_PORT, body: { ...request.body, memId: GLOBAL_MEM_ID } });
    if (own.errno !== 0 || request.type === NETMAP_REQ_POOLS_INFO_GET) return own;
    const { memsize, memId } = own.body as Record<string, number>;
    return { ...answer, body: { ...answer.body, memsize, memId } };
  }

  async #registerInTurn(request: DeviceRequest, next: Next): Promise<DeviceAnswer> {
    const { fd } = request;
    const before = this.#registering.get(fd);
    const answer = Promise.resolve(before).then(() => this.#register(request, next));
    const settled = answer.catch(() => {});
    this.#registering.set(fd, settled);
    try {
      return await answer;
    } finally {
      if (this.#registering.get(fd) === settled) this.#registering.delete(fd);
    }
  }

  /** REGISTER. The real host gets no options: those are about the program's rings, and its memory. */
  async #register(request: DeviceRequest, next: Next): Promise<DeviceAnswer> {
    const { type, body, name, fd, options } = request;
    if (this.#bound.has(fd)) throw netmapError('EBUSY', 'the descriptor is bound already', { op: 'register' });
    if (options.includes(NETMAP_REQ_OPT_EXTMEM)) {
      throw netmapError('EOPNOTSUPP', 'the program has one region', { op: 'register' });
    }
    if (body['mode'] === NR_REG_NULL) {
      const answer = await next(request);
      if (answer.errno === 0) this.#bound.set(fd, undefined);
      return answer;
    }
    const asked = { ...realMemory(body), extraBufs: 0 };
    const upstream = await this.#upstream.open({ type, name, options: [], body: asked });
    let standIn: StandIn | undefined;
    try {
      if (request.offsets && !upstream.hasOffsets) {
        throw netmapError('EOPNOTSUPP', 'the port has no packet offsets', { op: OFFSETS_OP });
      }
      standIn = await this.#standIn(request, upstream);
      checkPorts(standIn.end, upstream.port, 'register', true); // before the program's descriptor is bound
      const answer = await next(this.#standInRequest(request, upstream, standIn));
      if (answer.errno !== 0 || !answer.port) return answer;
      this.#join(fd, answer.port.fd, upstream, standIn);
      const port = upstream.isMonitor ? { ...answer.port, kind: PORT_KIND_MONITOR } : answer.port;
      return { ...answer, port, body: { ...answer.body, ...countsOf(upstream), flags: flagsBack(body['flags']) } };
    } finally {
      if (this.#bound.get(fd)?.upstream !== upstream) {
        await standIn?.close();
        await upstream.close();
      }
    }
  }

  /** A port for another thread of the program: monitors are such for all of them. */
  async #devicePort(args: { fd: number }, next: (args: unknown) => Promise<PortInfo | null>): Promise<PortInfo | null> {
    const port = await next(args);
    return port && this.#bound.get(args.fd)?.upstream.isMonitor ? { ...port, kind: PORT_KIND_MONITOR } : port;
  }

  #standIn({ body, offsets }: DeviceRequest, upstream: UpstreamPort): Promise<StandIn> {
    const { mode, ringId, flags } = body;
    return makeStandIn(this.#host as Netmap, this.#made++, { mode, ringId, flags, offsets }, upstream);
  }

  /** The program's request, of its stand-in. */
  #standInRequest(request: DeviceRequest, upstream: UpstreamPort, { name, mode, flags }: StandIn): DeviceRequest {
    const { hostTxRings, hostRxRings } = upstream.counts;
    return {
      ...request,
      name,
      body: { ...request.body, ...countsOf(upstream), mode, flags, memId: GLOBAL_MEM_ID },
      shownAs: { name: upstream.port.name, hostTxRings, hostRxRings },
    };
  }

  /** @param port `fd` of the program's port in its host */
  #join(fd: number, port: number, upstream: UpstreamPort, standIn: StandIn): void {
    const { txRings, rxRings } = upstream.port;
    const isBound = txRings.length + rxRings.length !== 0;
    const options = { keepAlive: true, standIn: true, indirect: upstream.hasIndirect };
    const cable = isBound ? joinPorts(standIn.end, upstream.port, options) : undefined;
    this.#bound.set(fd, { upstream, standIn, cable });
    void cable?.ended.then(async (error) => {
      if (!error || !this.#bound.has(fd)) return;
      const isGone = isDown(upstream.port) && (await this.#upstream.isAlive());
      if (!isGone) this.#onFailure(error);
      else if (this.#bound.has(fd)) this.#host?.stopPort(port);
    });
  }

  async #closeFile(args: { fd: number }, next: (args: unknown) => Promise<unknown>): Promise<unknown> {
    await this.#registering.get(args.fd);
    await this.#drain(args.fd);
    const result = await next(args);
    await this.#separate(args.fd);
    return result;
  }

  /** What the program has sent is not lost with its rings, unless nobody takes it for a while. */
  async #drain(fd: number): Promise<void> {
    const joined = this.#bound.get(fd);
    if (!joined?.cable || joined.upstream.port.txRings.length === 0) return;
    const { cable, standIn, upstream } = joined;
    const until = performance.now() + LINGER;
    const file = this.#host?.openDevice({ fd });
    while (performance.now() < until && !isDown(upstream.port)) {
      // What the wire had no room for is in the program's own rings still.
      if (standIn.hasWire) await file?.ioctlAsync(NIOCTXSYNC);
      standIn.end.rxsync();
      if (standIn.end.rxRings.every((ring) => ring.head === ring.tail)) break;
      if (!cable.pump()) await new Promise((resolve) => setTimeout(resolve, LINGER_LOOK));
    }
    await file?.close();
  }

  async #separate(fd: number): Promise<void> {
    const joined = this.#bound.get(fd);
    this.#bound.delete(fd);
    try {
      await joined?.cable?.close();
      await joined?.standIn.close(); // may fail where the program has destroyed its memory
    } finally {
      await joined?.upstream.close();
    }
  }
}

function countsOf({ counts }: UpstreamPort): Record<string, number> {
  const { txRings, rxRings, txSlots, rxSlots, hostTxRings, hostRxRings } = counts;
  return { txRings, rxRings, txSlots, rxSlots, hostTxRings, hostRxRings };
}

/** The program has one region, which all its ports are in; on the real host each port has the memory that it gets there. */
function realMemory(body: DeviceRequest['body']): Record<string, number> {
  const { memId = 0 } = body;
  if (memId === 0 || memId === GLOBAL_MEM_ID) return { ...body, memId: 0 };
  throw netmapError('EINVAL', `there is no region with mem id ${memId}`, { op: 'ioctl' });
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
