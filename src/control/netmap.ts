// Netmap: the host, what the kernel module is. In the thread that created it, it is the control thread; in any other it
// is a window onto it, with the same methods.

import { THREAD_SEQ } from '../abi.js';
import { netmapError } from '../errors.js';
import { EventFd } from '../ioctl/eventfd.js';
import { type DeviceOptions, NetmapFile } from '../ioctl/netmap-file.js';
import { HostPort, type PortControl } from '../netmap/host-port.js';
import { NetmapInterface } from '../netmap/interface.js';
import type { InterfaceInfo, PersistentInfo, PersistentOptions, WireOptions } from '../netmap/interfaces.js';
import type { InterfaceOptions } from '../netmap/nic.js';
import type { OpenOptions, PortInfo } from '../netmap/register.js';
import type { PollingOptions } from '../netmap/vale-polling.js';
import type { HostedMachine } from '../ptnet/driver-machine.js';
import { isWorkerThread, type SpawnOptions, spawnWorker, type WorkerHandle, watchWorker } from '../threads/platform.js';
import type { ValeEntry } from '../vale/list.js';
import { loadLookups } from '../vale/lookups.js';
import { type Backend, controlBackend, join, type NetmapHandle } from './backend.js';
import { Control, type Inspection, type Intercept, type NetmapOptions } from './control.js';
import type { GuestOptions } from './guest-record.js';
import { type Guest, type GuestHandle, Guests } from './guests.js';
import { MemoryReservation } from './reservation.js';
import type { BridgeInspection } from './vale-operations.js';

/** Descriptors of one thread; the thread's id is in the bits above. */
const FILES_PER_THREAD = 2 ** 24;

/** The host: what netmap's kernel module is. */
export class Netmap {
  readonly #backend: Backend;
  readonly #control: Control | undefined;
  readonly #ports = new Set<HostPort>();
  readonly #files = new Set<NetmapFile>();
  #filesOpened = 0;
  readonly #guests: Guests;
  #closed = false;
  readonly #portControl: PortControl = {
    close: (port) => this.#give(port),
    call: (op, args) => this.#call(op, args),
  };

  private constructor(backend: Backend, control?: Control) {
    this.#backend = backend;
    this.#control = control;
    this.#guests = new Guests(backend, (op, args) => this.#call(op, args));
  }

  /**
   * Creates a host. The calling thread becomes its control thread and must not block.
   * @throws NetmapError EINVAL (sizes, pool parameters), ENOMEM, EAGAIN (a loop worker did not start)
   */
  static async create(options: NetmapOptions = {}): Promise<Netmap> {
    return Netmap.createFor({}, options);
  }

  /** A host whose threads' requests are looked at first. @throws NetmapError as create */
  static async createFor(intercept: Intercept, options: NetmapOptions): Promise<Netmap> {
    const control = await Control.create(options, intercept);
    return new Netmap(controlBackend(control), control);
  }

  /**
   * Joins a host from another thread.
   * @throws NetmapError EINVAL (another version, a lookup that cannot be loaded), EAGAIN (63 threads already), ENOMEM, ENXIO
   *   (closed)
   */
  static async attach(handle: NetmapHandle): Promise<Netmap> {
    const joined = join(handle, await isWorkerThread());
    try {
      await loadLookups(joined.backend.thread, handle.lookups);
      await joined.requests.request('hello', {});
    } catch (error) {
      await joined.backend.close();
      throw error;
    }
    return new Netmap(joined.backend);
  }

  /**
   * The same, blocking: in a worker.
   * @throws NetmapError as attach; EOPNOTSUPP for a host with lookups, which cannot be loaded without waiting
   */
  static attachSync(handle: NetmapHandle): Netmap {
    if (handle.lookups.length !== 0) throw netmapError('EOPNOTSUPP', 'the host has lookups', { op: 'attachSync' });
    const joined = join(handle, true);
    try {
      joined.requests.requestSync('hello', {});
    } catch (error) {
      void joined.backend.close(); // does not wait for anything
      throw error;
    }
    return new Netmap(joined.backend);
  }

  /** In a guest's worker: the machine of the guest that the handle names. */
  static async attachGuest(handle: GuestHandle): Promise<{ netmap: Netmap; machine: HostedMachine }> {
    const netmap = await Netmap.attach(handle.netmap);
    return { netmap, machine: await netmap.#guests.machine(handle.guest) };
  }

  /** The thread's id in the arena, 1..63. */
  get threadId(): number {
    return this.#backend.thread.id;
  }

  /** Address of the word that this thread's waits sleep on. */
  get waiterAddress(): number {
    return this.#backend.thread.ptr + THREAD_SEQ;
  }

  /** The memory that everything lies in. */
  get memory(): WebAssembly.Memory {
    return this.#backend.thread.arena.memory;
  }

  /**
   * Opens a port by its netmap(4) name: `vale0:a`, `netmap:p{1`, `netmap:p}1/x`, …
   * @param options ring and slot counts of a port that this creates, extra buffers, further flags (NR_*)
   * @throws NetmapError EINVAL (name, counts), ENXIO (no such interface), EBUSY (exclusive, or a guest's region), EIO (header length), ENOMEM (a pool is empty)
   */
  async open(spec: string, options: OpenOptions = {}): Promise<HostPort> {
    const info = (await this.#call('open', { spec, options })) as PortInfo;
    const port = new HostPort(this.#backend.thread, info, this.#portControl);
    this.#ports.add(port);
    return port;
  }

  /**
   * Makes a network interface, which any thread then opens as `netmap:NAME`, and gives its two ends to this thread: the
   * wire, for a backend, and the host stack. It goes when they are closed, or the thread ends.
   * @throws NetmapError EINVAL (name, counts, mem id), EEXIST, ENOMEM
   */
  async addInterface(name: string, options: InterfaceOptions = {}): Promise<NetmapInterface> {
    const info = (await this.#call('addInterface', { name, options })) as InterfaceInfo;
    const made = new NetmapInterface(this.#backend.thread, info, this.#portControl);
    this.#ports.add(made.wire).add(made.stack);
    return made;
  }

  /**
   * Opens the wire of a network interface in this thread too: a backend may have a thread for each direction, and for each
   * ring. The interface does not go with it.
   * @throws NetmapError ENXIO (no such network interface), EINVAL (no such ring)
   */
  async openWire(name: string, options: WireOptions = {}): Promise<HostPort> {
    const info = (await this.#call('openWire', { name, options })) as PortInfo;
    const port = new HostPort(this.#backend.thread, info, this.#portControl);
    this.#ports.add(port);
    return port;
  }

  async #give(port: HostPort): Promise<void> {
    this.#ports.delete(port);
    await this.#call('close', { fd: port.info.fd });
    this.#backend.thread.wake(); // it may have stopped rings that others of this thread wait for
  }

  /**
   * Takes a network interface away, whoever has it: as its `close()`, but the owner's ends stay, stopped, until closed.
   * @throws NetmapError ENXIO, EINVAL (a persistent port)
   */
  async removeInterface(name: string): Promise<void> {
    await this.#call('removeInterface', { name });
    this.#backend.thread.wake(); // it has stopped rings that this thread may wait for
  }

  /**
   * VALE_NEWIF: makes a persistent VALE port, which is opened as `netmap:NAME` and put on bridges with `valeAttach`.
   * @throws NetmapError EINVAL (name, counts, mem id), EEXIST, ENOMEM
   */
  async newInterface(name: string, config: PersistentOptions = {}): Promise<PersistentInfo> {
    return (await this.#call('newInterface', { name, config })) as PersistentInfo;
  }

  /** VALE_DELIF. @throws NetmapError ENXIO, EINVAL (not a persistent port), EBUSY (in use) */
  async deleteInterface(name: string): Promise<void> {
    await this.#call('deleteInterface', { name });
  }

  /**
   * VALE_ATTACH: puts an interface on a bridge, `vale0:eth0`; a NIC with the suffix `*` together with its host stack.
   * @returns its port index
   * @throws NetmapError EINVAL (name, no such interface, mode), EBUSY (on a bridge already, or open), ENOMEM
   */
  async valeAttach(spec: string): Promise<number> {
    const index = (await this.#call('valeAttach', { spec })) as number;
    this.#backend.thread.wake(); // syncs have found rings busy meanwhile
    return index;
  }

  /** VALE_DETACH. Returns the port index that it had. @throws NetmapError EINVAL (name), ENXIO (not on that bridge), EBUSY (polled) */
  async valeDetach(spec: string): Promise<number> {
    const index = (await this.#call('valeDetach', { spec })) as number;
    this.#backend.thread.wake();
    return index;
  }

  /**
   * VALE_POLLING_ENABLE: from now on loop workers hand to the switch what the backend of an attached NIC puts into its wire,
   * and look for it without a pause. The backend's own txsync only publishes.
   * @param spec as in valeAttach
   * @throws NetmapError EINVAL (name, mode, counts), EOPNOTSUPP (no NIC, or a host without loop workers), ENXIO (not attached),
   *   EFAULT (polled already)
   */
  async valePollingEnable(spec: string, options: PollingOptions = {}): Promise<void> {
    await this.#call('valePollingEnable', { spec, options });
    this.#backend.thread.wake(); // syncs have found rings busy meanwhile
  }

  /** VALE_POLLING_DISABLE. What was published is sent. @throws NetmapError EINVAL, EOPNOTSUPP, ENXIO, EFAULT (not polled) */
  async valePollingDisable(spec: string): Promise<void> {
    await this.#call('valePollingDisable', { spec });
    this.#backend.thread.wake();
  }

  /** VALE_LIST: all ports of all bridges, or the one of this name. @throws NetmapError EINVAL, ENOENT (no such bridge) */
  async valeList(spec?: string): Promise<ValeEntry[]> {
    return (await this.#call('valeList', { spec })) as ValeEntry[];
  }

  /**
   * Opens /dev/netmap for a program that makes netmap's requests itself, byte for byte in a memory of its own.
   * @throws NetmapError EINVAL when the options name no window of a memory
   */
  openDevice(options: DeviceOptions = {}): NetmapFile {
    const path = {
      thread: this.#backend.thread,
      call: (op: string, args: unknown) => this.#call(op, args),
      callSync: (op: string, args: unknown) => {
        this.#checkOpen(op);
        return this.#backend.callSync(op, args);
      },
      onClose: () => this.#files.delete(file),
    };
    const fd = this.threadId * FILES_PER_THREAD + (this.#filesOpened++ % FILES_PER_THREAD);
    const file: NetmapFile = new NetmapFile(path, fd, options);
    this.#files.add(file);
    return file;
  }

  /** Options of openDevice for a descriptor that threads share: the one with this number of a thread of the host. */
  static sharedDescriptor(owner: number, number: number): Pick<DeviceOptions, 'fd' | 'owner'> {
    return { fd: owner * FILES_PER_THREAD + (number % FILES_PER_THREAD), owner };
  }

  /**
   * An event descriptor for SYNC_KLOOP_EVENTFDS, as this thread uses it.
   * @param words shared memory: two words at `index`, 0 at first, that all threads make their object of
   */
  eventfd(words: Int32Array, index = 0): EventFd {
    return new EventFd(this.#backend.thread, words, index);
  }

  /**
   * Which lookup decides where the frames of a bridge go, from now on and for all bridges of this name to come; without
   * one, the learning switch, with an empty table. Control thread only.
   * @param lookup a name of the option `lookups`
   * @throws NetmapError EPERM, EINVAL (no name of a bridge), ENOENT (no such lookup)
   */
  async valeLookup(bridge: string, lookup?: string): Promise<void> {
    this.#requireControl('valeLookup');
    await this.#call('valeLookup', { bridge, lookup });
  }

  /** One bridge, live: its ports with counters, its forwarding table. @throws NetmapError ENOENT */
  async valeInspect(bridge: string): Promise<BridgeInspection> {
    return (await this.#call('valeInspect', { bridge })) as BridgeInspection;
  }

  /** Forgets the addresses that a bridge has learned, or those of one port. @throws NetmapError ENOENT */
  async valeClear(bridge: string, port?: string): Promise<void> {
    await this.#call('valeClear', { bridge, port });
  }

  /**
   * PORT_HDR_GET: bytes of the virtio-net header before each frame of a port that exists, whoever has it open: 0, 10 or 12.
   * @throws NetmapError EINVAL (name), ENXIO (no such port)
   */
  async portHeader(spec: string): Promise<number> {
    return (await this.#call('portHeader', { spec })) as number;
  }

  /**
   * PORT_HDR_SET: gives the frames of a VALE port a header of so many bytes, or none, from the next packet on. Frames for
   * the port may then be as long as its buffers. A port with a header is opened with NR_ACCEPT_VNET_HDR.
   * @throws NetmapError EINVAL (name, length), ENXIO (no such VALE port)
   */
  async setPortHeader(spec: string, length: number): Promise<void> {
    await this.#call('setPortHeader', { spec, length });
  }

  /** Makes a guest. @throws NetmapError EINVAL, ENOMEM */
  async createGuest(options: GuestOptions = {}): Promise<Guest> {
    return this.#guests.create(options, (worker) => this.handle(worker));
  }

  /** Ports, bridges with their forwarding tables, regions with their free objects, guests, counters: live. */
  async inspect(): Promise<Inspection> {
    return (await this.#call('inspect', {})) as Inspection;
  }

  /**
   * What another thread needs in order to join. Control thread only.
   * @param worker the worker that will attach: when it ends, however that happens, its ports are closed
   */
  handle(worker?: object): NetmapHandle {
    const control = this.#requireControl('handle');
    const { arena } = control;
    if (!arena.shared) throw netmapError('EINVAL', 'the memory is not shared between threads', { op: 'handle' });
    const token = control.newToken();
    if (worker) void watchWorker(worker).then(() => control.reap(token));
    return { memory: arena.memory, module: arena.module, arena: arena.ptr, token, lookups: control.lookups };
  }

  /**
   * Starts a module worker that gets `{ netmap: handle, data }` (receiveWorkerData) and whose death is noticed.
   * Control thread only.
   */
  async spawn(url: URL, options: SpawnOptions): Promise<WorkerHandle> {
    const control = this.#requireControl('spawn');
    const netmap = this.handle();
    const worker = await spawnWorker(url, { ...options, data: { netmap, data: options.data } });
    void worker.ended.then(() => control.reap(netmap.token));
    return worker;
  }

  /**
   * Keeps a range of the memory for programs that are linked to it (`ptnet/exec`), or for regions of yours (the option
   * `extmem` of `open`). Control thread only.
   * @param size bytes
   * @throws NetmapError EINVAL (no whole number above 0), ENOMEM
   */
  reserve(size: number): MemoryReservation {
    const { arena, registry } = this.#requireControl('reserve');
    return new MemoryReservation(arena, () => registry.regions, size);
  }

  /**
   * Stops the rings of an open port, by the `fd` of its info, for who serves a port that has gone: it gets POLLERR, and
   * -EIO from syncs. Control thread only.
   */
  stopPort(fd: number): void {
    this.#requireControl('stopPort').ports.stop(fd);
  }

  /** A worker was ended in a way that the platform does not tell (a Web worker's terminate()): closes its ports. */
  release(handle: NetmapHandle): void {
    this.#requireControl('release').reap(handle.token);
  }

  /** Closes what this thread has open; in the control thread, the host with everything in it. */
  async close(): Promise<void> {
    if (this.#closed) return;
    for (const file of [...this.#files]) await file.close();
    for (const port of [...this.#ports]) await port.close();
    this.#closed = true;
    this.#guests.disconnect();
    await this.#backend.close();
  }

  async #call(op: string, args: unknown): Promise<unknown> {
    this.#checkOpen(op);
    return this.#backend.call(op, args);
  }

  #checkOpen(op: string): void {
    if (this.#closed) throw netmapError('ENXIO', 'the host is closed', { op });
  }

  #requireControl(op: string): Control {
    if (!this.#control) throw netmapError('EPERM', 'only the control thread can do this', { op });
    if (this.#closed) throw netmapError('ENXIO', 'the host is closed', { op });
    return this.#control;
  }
}
