// NetmapFile: an open descriptor of /dev/netmap, for programs that make netmap's own requests. The copying is done here, in
// the program's thread, and the rest in the control thread. One source serves the blocking and the awaiting form: it yields
// what has to be waited for.

import * as abi from '../abi.js';
import { NetmapError } from '../errors.js';
import type { DataModel } from '../memory/data-model.js';
import { HostPort } from '../netmap/host-port.js';
import type { PortInfo } from '../netmap/register.js';
import type { Thread } from '../threads/thread.js';
import {
  BODIES,
  decode,
  decodeName,
  encode,
  encodeName,
  OPT_CSB,
  OPT_EXTMEM,
  OPT_OFFSETS,
  readU32,
  readU64,
} from './codec.js';
import { copyIn, copyOut, nameField, type OptionCopy, type RequestCopy } from './copy.js';
import type { EventDescriptors } from './eventfd.js';
import { fromLegacy, toLegacy } from './legacy.js';
import type {
  CsbOption,
  DeviceAnswer,
  DeviceRequest,
  EventfdsOption,
  ExtmemOption,
  ProgramRequest,
} from './messages.js';
import { type RingEvents, runLoop, type Sleep } from './run-loop.js';
import { MemoryWindow, type ProgramMemory } from './user-memory.js';

export interface DeviceOptions {
  /**
   * The program's memory. Default: the arena's, where kernel loops can reach the program's CSB; in another one they
   * cannot.
   */
  readonly memory?: ProgramMemory;
  /** The program's part of that memory: its address 0, a multiple of 64, and bytes. Default: all of it. */
  readonly base?: number;
  readonly size?: number;
  /** The program's event descriptors. Default: none, and SYNC_KLOOP_EVENTFDS has the status EOPNOTSUPP. */
  readonly eventfds?: EventDescriptors;
  /** Width of the program's pointers, which are the entries of its netmap_if. Default: lp64, 8 bytes. */
  readonly dataModel?: DataModel;
  /** The program's error numbers, as nro_status has them, for ours. Default: Linux's, as they are. */
  readonly errno?: (errno: number) => number;
  /** `fd` of a NetmapFile, maybe of another thread: this is then the same descriptor, as after dup(2). */
  readonly fd?: number;
  /**
   * With `fd`: the descriptor belongs to this thread of the host, and others share it as the threads of a process do. Any
   * of them may be the first to use it, and may close it for all; it is closed when its owner ends.
   */
  readonly owner?: number;
}

/** How a thread reaches the control thread. */
export interface DevicePath {
  readonly thread: Thread;
  call(op: string, args: unknown): Promise<unknown>;
  /** The same, blocking. @throws NetmapError EOPNOTSUPP where the thread may not block */
  callSync(op: string, args: unknown): unknown;
  /** The descriptor is closed. */
  onClose(): void;
}

type Call = { readonly op: string; readonly args: unknown };
type Steps<T> = Generator<Call | Sleep, T, unknown>;

const NO_EVENTS: RingEvents = { kicks: [], irqs: [] };

export class NetmapFile {
  /** A number that other threads of the host can open the same descriptor with. */
  readonly fd: number;
  readonly #path: DevicePath;
  readonly #isOwner: boolean;
  readonly #owner: number | undefined;
  readonly #memory: MemoryWindow;
  readonly #inArena: boolean;
  readonly #eventfds: EventDescriptors | undefined;
  readonly #dataModel: DataModel;
  readonly #errno: (errno: number) => number;
  #port: HostPort | undefined;
  #isOpen = true;
  /** Kernel loops that this object runs, 0 or 1, or more for a moment after a STOP. */
  #runs = 0;

  /**
   * @param fd the number of a new descriptor
   * @throws NetmapError EINVAL when the options name no window of a memory
   */
  constructor(path: DevicePath, fd: number, options: DeviceOptions = {}) {
    const { memory = path.thread.arena.memory, base, size } = options;
    this.#path = path;
    this.#memory = new MemoryWindow(memory, base, size);
    this.#inArena = memory === path.thread.arena.memory;
    this.#eventfds = options.eventfds;
    this.#dataModel = options.dataModel ?? 'lp64';
    this.#errno = options.errno ?? ((errno) => errno);
    this.#owner = options.owner;
    this.#isOwner = options.fd === undefined || options.owner !== undefined;
    this.fd = options.fd ?? fd;
  }

  /** The port that a request of this object has bound: its rings, and poll. Closing it closes the descriptor. */
  get port(): HostPort | undefined {
    return this.#port;
  }

  /** The port that any thread has bound to a descriptor that threads share; blocking. @throws NetmapError ENXIO */
  sharedPort(): HostPort | undefined {
    if (this.#port || !this.#isOpen) return this.#port;
    const info = this.#path.callSync('devicePort', { fd: this.fd }) as PortInfo | null;
    if (info) this.#port = this.#portOf(info);
    return this.#port;
  }

  /** This object is used no more; the descriptor, which threads share, stays open. */
  giveUp(): void {
    this.#isOpen = false;
    this.#path.onClose();
  }

  /**
   * ioctl(2), blocking: in a worker. In other threads only the syncs of a bound port work.
   * @param request NIOCCTRL, NIOCTXSYNC, NIOCRXSYNC, NIOCREGIF or NIOCGINFO
   * @param argument address of the request in the program's memory
   * @returns 0 or a negative errno, Linux's; never throws. -EOPNOTSUPP: no such ioctl, or the thread may not block
   */
  ioctl(request: number, argument = 0): number {
    return errnoOf(() => this.#runSync(this.#ioctl(request >>> 0, address(argument))));
  }

  /** The same, awaiting: anywhere. SYNC_KLOOP_START runs the loop in this thread's event loop. */
  async ioctlAsync(request: number, argument = 0): Promise<number> {
    try {
      return await this.#runAsync(this.#ioctl(request >>> 0, address(argument)));
    } catch (error) {
      return errnoOf(() => {
        throw error;
      });
    }
  }

  /** A request that lies in no memory: for who hands on those of others. */
  request(request: ProgramRequest): Promise<DeviceAnswer> {
    return this.#runAsync(this.#ask(request));
  }

  /** close(2): stops the kernel loop and closes the port. The object of another thread's descriptor is only given up. */
  async close(): Promise<void> {
    await this.#runAsync(this.#close());
  }

  /** The same, blocking: in a worker. @throws NetmapError */
  closeSync(): void {
    this.#runSync(this.#close());
  }

  #runSync<T>(steps: Steps<T>): T {
    const { thread } = this.#path;
    let step = steps.next();
    while (!step.done) {
      let result: unknown;
      try {
        if ('op' in step.value) result = this.#path.callSync(step.value.op, step.value.args);
        else if (step.value.timeout > 0) thread.sleep(step.value.seen, step.value.timeout);
      } catch (error) {
        step = steps.throw(error);
        continue;
      }
      step = steps.next(result);
    }
    return step.value;
  }

  async #runAsync<T>(steps: Steps<T>): Promise<T> {
    const { thread } = this.#path;
    let step = steps.next();
    while (!step.done) {
      let result: unknown;
      try {
        if ('op' in step.value) result = await this.#path.call(step.value.op, step.value.args);
        else await thread.sleepAsync(step.value.seen, step.value.timeout);
      } catch (error) {
        step = steps.throw(error);
        continue;
      }
      step = steps.next(result);
    }
    return step.value;
  }

  *#ioctl(request: number, argument: number): Steps<number> {
    if (!this.#isOpen) return -abi.EBADF;
    switch (request) {
      case abi.NIOCCTRL:
        return yield* this.#control(argument);
      case abi.NIOCREGIF:
      case abi.NIOCGINFO:
        return yield* this.#legacy(request, argument);
      case abi.NIOCTXSYNC:
      case abi.NIOCTXSYNC_BSD:
        return yield* this.#sync(true);
      case abi.NIOCRXSYNC:
      case abi.NIOCRXSYNC_BSD:
        return yield* this.#sync(false);
      default:
        return -abi.EOPNOTSUPP;
    }
  }

  *#control(argument: number): Steps<number> {
    const request = copyIn(this.#memory, argument);
    if (typeof request === 'number') return request;
    if (request.errno !== 0) return copyOut(this.#memory, request, request.errno, this.#errno);
    const { type, header, options } = request;
    const body = BODIES[type];
    const events = this.#ringEvents(options);
    const answer = yield* this.#ask({
      type,
      name: decodeName(nameField(header)),
      body: body ? decode(request.body, body.fields) : {},
      options: [...new Set(options.map((option) => option.type))],
      ...this.#knownOptions(options),
    });
    if (answer.run) {
      const sleepUs = readU32(request.body, abi.NMREQ_SYNC_KLOOP_START_SLEEP_US);
      this.#runs++;
      yield* runLoop(this.#path.thread, answer.run, events, sleepUs, () => this.#isOpen);
      this.#runs--;
      yield* this.#leaveLoop(answer.run.loop);
    }
    applyAnswer(request, answer);
    return copyOut(this.#memory, request, answer.errno, this.#errno);
  }

  *#legacy(ioctl: number, argument: number): Steps<number> {
    const bytes = this.#memory.read(argument, abi.NMREQ_SIZE);
    if (!bytes) return -abi.EFAULT;
    const request = fromLegacy(ioctl, bytes);
    if (typeof request === 'number') return request;
    const answer = yield* this.#ask({ ...request, options: [] });
    if (answer.errno !== 0) return answer.errno;
    toLegacy(bytes, request.type, answer);
    return this.#memory.write(argument, bytes) ? 0 : -abi.EFAULT;
  }

  *#ask(given: ProgramRequest): Steps<DeviceAnswer> {
    const request: DeviceRequest = {
      ...given,
      fd: this.fd,
      isOwner: this.#isOwner,
      owner: this.#owner,
      dataModel: this.#dataModel,
    };
    const answer = (yield { op: 'device', args: request }) as DeviceAnswer;
    this.#path.thread.wake(); // its waits look again: rings may have been stopped, or busy for a while
    if (answer.port && this.#isOwner) this.#port = this.#portOf(answer.port);
    return answer;
  }

  #portOf(info: PortInfo): HostPort {
    return new HostPort(this.#path.thread, info, {
      close: () => this.close(),
      call: (op, args) => this.#path.call(op, args),
    });
  }

  *#leaveLoop(loop: number): Steps<void> {
    try {
      yield { op: 'leaveLoop', args: { loop } };
    } catch (error) {
      // A host that has been closed keeps nothing for us.
      if (!(error instanceof NetmapError) || error.errno !== abi.ENXIO) throw error;
    }
  }

  *#sync(tx: boolean): Steps<number> {
    if (this.#port) return tx ? this.#port.txsync() : this.#port.rxsync();
    return (yield { op: 'deviceSync', args: { fd: this.fd, tx } }) as number;
  }

  *#close(): Steps<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    void this.#port?.close(); // what it has to wait for is this close
    this.#path.onClose();
    if (this.#isOwner) yield { op: 'deviceClose', args: { fd: this.fd } };
    else if (this.#runs !== 0) yield { op: 'device', args: this.#stopRequest() };
  }

  /** The loop of another thread's descriptor ends with the object that runs it. */
  #stopRequest(): DeviceRequest {
    return { fd: this.fd, isOwner: false, type: abi.NETMAP_REQ_SYNC_KLOOP_STOP, name: '', body: {}, options: [] };
  }

  #knownOptions(
    options: readonly OptionCopy[],
  ): Pick<DeviceRequest, 'csb' | 'extmem' | 'eventfds' | 'mode' | 'offsets'> {
    const find = (type: number): Uint8Array | undefined => options.find((option) => option.type === type)?.bytes;
    const csb = find(abi.NETMAP_REQ_OPT_CSB);
    const extmem = find(abi.NETMAP_REQ_OPT_EXTMEM);
    const offsets = find(abi.NETMAP_REQ_OPT_OFFSETS);
    const mode = find(abi.NETMAP_REQ_OPT_SYNC_KLOOP_MODE);
    const eventfds = find(abi.NETMAP_REQ_OPT_SYNC_KLOOP_EVENTFDS);
    return {
      ...(csb && { csb: this.#csbOption(csb) }),
      ...(extmem && { extmem: this.#extmemOption(extmem) }),
      ...(offsets && { offsets: decode(offsets, OPT_OFFSETS) }),
      ...(mode && { mode: readU32(mode, abi.NMREQ_OPT_SYNC_KLOOP_MODE_MODE) }),
      ...(eventfds && { eventfds: this.#eventfdsOption(eventfds) }),
    };
  }

  #extmemOption(bytes: Uint8Array): ExtmemOption {
    const { base: address, size, ...pools } = decode(bytes, OPT_EXTMEM);
    const base = address === 0 ? 0 : this.#memory.base + address;
    return { base, size, pools, isOwn: this.#inArena ? base + size <= this.#memory.end : null };
  }

  #csbOption(bytes: Uint8Array): CsbOption {
    const { atok, ktoa } = decode(bytes, OPT_CSB);
    const { base, end } = this.#memory;
    // Address 0 is no address, wherever the window begins.
    const inArena = (at: number): number => (at === 0 ? 0 : base + at);
    return { atok: inArena(atok), ktoa: inArena(ktoa), end: this.#inArena ? end : 0 };
  }

  #eventfdsOption(bytes: Uint8Array): EventfdsOption {
    const table = this.#eventfds;
    const rings = descriptors(bytes);
    return {
      size: readU64(bytes, abi.NMREQ_OPTION_NRO_SIZE),
      supported: table !== undefined,
      allKicks: rings.every(([kick]) => kick >= 0),
      someIrqs: rings.some(([, irq]) => irq >= 0),
      bad: rings.flat().some((fd) => fd >= 0 && table?.get(fd) === undefined),
    };
  }

  #ringEvents(options: readonly OptionCopy[]): RingEvents {
    const option = options.find(({ type }) => type === abi.NETMAP_REQ_OPT_SYNC_KLOOP_EVENTFDS);
    if (!option) return NO_EVENTS;
    const rings = descriptors(option.bytes);
    const pick = (which: 0 | 1) => rings.map(({ [which]: fd }) => (fd < 0 ? undefined : this.#eventfds?.get(fd)));
    return { kicks: pick(0), irqs: pick(1) };
  }
}

/** Pairs of ioeventfd and irqfd in the copy of a SYNC_KLOOP_EVENTFDS option. */
function descriptors(bytes: Uint8Array): [kick: number, irq: number][] {
  const pairs: [number, number][] = [];
  const size = abi.NMREQ_OPT_EVENTFDS_ELEMENT;
  for (let at = abi.NMREQ_OPT_EVENTFDS_ARRAY; at + size <= bytes.length; at += size) {
    const kick = readU32(bytes, at + abi.NMREQ_OPT_EVENTFDS_IOEVENTFD) | 0;
    pairs.push([kick, readU32(bytes, at + abi.NMREQ_OPT_EVENTFDS_IRQFD) | 0]);
  }
  return pairs;
}

/** Writes an answer into the copy of a request. */
function applyAnswer({ type, header, body, options }: RequestCopy, answer: DeviceAnswer): void {
  for (const option of options) {
    option.status = answer.status[option.type] ?? option.status;
    const { maxOffset: max, extmem } = answer;
    if (option.type === abi.NETMAP_REQ_OPT_EXTMEM && extmem) encode(option.bytes, OPT_EXTMEM, extmem);
    if (option.type === abi.NETMAP_REQ_OPT_OFFSETS && max !== undefined) encode(option.bytes, OPT_OFFSETS, { max });
  }
  if (answer.body) encode(body, BODIES[type].fields, answer.body);
  if (answer.name !== undefined) encodeName(nameField(header), answer.name);
}

/** Pointers of 32-bit programs may come as negative numbers. */
function address(argument: number): number {
  return argument < 0 ? argument >>> 0 : argument;
}

function errnoOf(run: () => number): number {
  try {
    return run();
  } catch (error) {
    if (error instanceof NetmapError) return -error.errno;
    throw error;
  }
}
