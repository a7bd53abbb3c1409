// The requests of a program with a memory of its own. The host over that memory holds its region; a port that it registers
// stands there for the real one, and cables join the two. What asks for anything else goes to the real host.

import {
  NETMAP_REQ_CSB_ENABLE,
  NETMAP_REQ_OPT_EXTMEM,
  NETMAP_REQ_OPT_OFFSETS,
  NETMAP_REQ_POOLS_INFO_GET,
  NETMAP_REQ_PORT_INFO_GET,
  NETMAP_REQ_REGISTER,
  NETMAP_REQ_SYNC_KLOOP_START,
  NETMAP_REQ_SYNC_KLOOP_STOP,
  NR_REG_NULL,
  PORT_KIND_MONITOR,
} from '../abi.js';
import { checkPorts } from '../cable/pump.js';
import type { Intercept } from '../control/control.js';
import type { Netmap } from '../control/netmap.js';
import { NetmapError, netmapError } from '../errors.js';
import { BODIES } from '../ioctl/codec.js';
import type { DeviceAnswer, DeviceRequest } from '../ioctl/messages.js';
import { GLOBAL_MEM_ID } from '../memory/region.js';
import type { HostPort } from '../netmap/host-port.js';
import { OFFSETS_OP } from '../netmap/offsets.js';
import type { PortInfo } from '../netmap/register.js';
import { JoinedPort } from './joined-port.js';
import { bindsHostRings, bindsNicRings, makeStandIn, type StandInRequest } from './stand-in.js';
import { flagsBack, type Upstream, type UpstreamPort } from './upstream.js';

type Next = (request: DeviceRequest) => Promise<DeviceAnswer>;

/** What concerns only the program's own memory. */
const LOCAL = [NETMAP_REQ_CSB_ENABLE, NETMAP_REQ_SYNC_KLOOP_START, NETMAP_REQ_SYNC_KLOOP_STOP];
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
  readonly #bound = new Map<number, JoinedPort | undefined>();
  #turn: Promise<unknown> = Promise.resolve();
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

  /** Waits for what the program has sent by its ports and nobody has taken yet, up to two seconds. */
  async drain(): Promise<void> {
    const host = this.#host;
    await Promise.all([...this.#bound].map(([fd, port]) => host && port?.drain(fd, host)));
  }

  /** Closes all ports of the program. */
  async close(): Promise<void> {
    await this.#inTurn(async () => {
      for (const fd of [...this.#bound.keys()]) await this.#separate(fd);
    });
  }

  async #device(request: DeviceRequest, next: Next): Promise<DeviceAnswer> {
    const { type, body, name, options } = request;
    try {
      if (LOCAL.includes(type)) return await next(request);
      if (type === NETMAP_REQ_REGISTER) return await this.#inTurn(() => this.#register(request, next));
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
    let port: JoinedPort | undefined;
    let end: HostPort | undefined;
    try {
      if (request.offsets && !upstream.hasOffsets) {
        throw netmapError('EOPNOTSUPP', 'the port has no packet offsets', { op: OFFSETS_OP });
      }
      const { mode, ringId, flags } = body;
      const wanted = { mode, ringId, flags, offsets: request.offsets };
      port = await this.#portFor(wanted, upstream);
      end = await port.standIn.openEnd(wanted);
      checkPorts(end, upstream.port, 'register', true); // before the program's descriptor is bound
      const places = port.unjoined(upstream);
      const isNew = places.tx.length + places.rx.length !== 0;
      if (port.isUsed && isNew) await port.standIn.clear(wanted, end, places);
      const answer = await next(standInRequest(request, upstream, port.standIn.name, port.standIn.own(wanted)));
      if (answer.errno !== 0 || !answer.port) return answer;
      port.add(fd, answer.port.fd, { upstream, end });
      this.#bound.set(fd, port);
      const shown = upstream.isMonitor ? { ...answer.port, kind: PORT_KIND_MONITOR } : answer.port;
      return { ...answer, port: shown, body: { ...answer.body, ...countsOf(upstream), flags: flagsBack(flags) } };
    } finally {
      if (!this.#bound.has(fd)) {
        await end?.close();
        if (port?.isUsed === false) await port.standIn.close();
        await upstream.close();
      }
    }
  }

  /**
   * The port as descriptors of the program have it: rings that two of them have bound are the same rings.
   * DIFF: NIC rings that are bound without host rings stand in as a pipe, and cannot be bound together with those.
   * @throws NetmapError as REGISTER; EBUSY for the latter
   */
  async #portFor(request: StandInRequest, upstream: UpstreamPort): Promise<JoinedPort> {
    const hostRings = bindsHostRings(request);
    if (!upstream.isMonitor) {
      const { name } = upstream.port;
      const known = [...this.#ports()].filter(
        (port) => port.name === name && !port.isMonitor && port.gone.length === 0,
      );
      const [pipe, nic] = [false, true].map((hasWire) => known.find((port) => port.standIn.hasWire === hasWire));
      if (hostRings && pipe && bindsNicRings(request)) {
        throw netmapError('EBUSY', 'its NIC rings are bound without host rings', { op: 'register', port: name });
      }
      const found = hostRings ? nic : (pipe ?? nic);
      if (found) return found;
    }
    const standIn = await makeStandIn(this.#host as Netmap, this.#made++, upstream.counts, hostRings);
    const port = new JoinedPort(standIn, upstream, (error) => void this.#cableEnded(port, error));
    return port;
  }

  #ports(): Set<JoinedPort> {
    return new Set([...this.#bound.values()].filter((port) => port !== undefined));
  }

  /** The port has gone, or one of the two hosts is beyond help. */
  async #cableEnded(port: JoinedPort, error: NetmapError): Promise<void> {
    const isGone = port.gone.length !== 0 && (await this.#upstream.isAlive());
    if (!isGone) this.#onFailure(error);
    else for (const fd of port.gone) this.#host?.stopPort(fd);
  }

  /** A port for another thread of the program: monitors are such for all of them. */
  async #devicePort(args: { fd: number }, next: (args: unknown) => Promise<PortInfo | null>): Promise<PortInfo | null> {
    const port = await next(args);
    return port && this.#bound.get(args.fd)?.isMonitor ? { ...port, kind: PORT_KIND_MONITOR } : port;
  }

  async #closeFile(args: { fd: number }, next: (args: unknown) => Promise<unknown>): Promise<unknown> {
    const { fd } = args;
    if (this.#host) await this.#bound.get(fd)?.drain(fd, this.#host);
    return this.#inTurn(async () => {
      const result = await next(args);
      await this.#separate(fd);
      return result;
    });
  }

  async #separate(fd: number): Promise<void> {
    const port = this.#bound.get(fd);
    this.#bound.delete(fd);
    await port?.remove(fd);
  }

  /** REGISTER and close of several threads: one after the other, as they share rings. */
  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(run);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}

/** The program's request, of its stand-in. */
function standInRequest(
  request: DeviceRequest,
  upstream: UpstreamPort,
  name: string,
  own: { readonly mode: number; readonly flags: number },
): DeviceRequest {
  const { hostTxRings, hostRxRings } = upstream.counts;
  return {
    ...request,
    name,
    body: { ...request.body, ...countsOf(upstream), ...own, memId: GLOBAL_MEM_ID },
    shownAs: { name: upstream.port.name, hostTxRings, hostRxRings },
  };
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
