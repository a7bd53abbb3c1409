// The control thread: owns names, registry and allocation, and serves the requests of the other threads, one after the
// other. A thread that dies is a process that dies: what it held is released at once, what it had open is closed.

import {
  ATTENTION_ALL,
  BRIDGE_LOCK,
  KRING_BUSY,
  KRING_LEASES,
  KRING_WAITERS,
  KRING_WATCHERS,
  SCRATCH_SIZE,
  THREAD_CLAIM_SHIFT,
  THREAD_CLAIMED,
  THREAD_FREE,
  THREAD_LEFT,
  THREAD_LIVE,
  THREAD_MAX,
  THREAD_PASSES,
  THREAD_SCRATCH,
  THREAD_SIZE,
  THREAD_SLEEPERS,
  THREAD_STATE,
  THREAD_TOKEN,
} from '../abi.js';
import { NetmapError, netmapError } from '../errors.js';
import { DeviceFiles } from '../ioctl/files.js';
import { LoopWorkers } from '../kloop/loop-workers.js';
import { Pollers } from '../kloop/pollers.js';
import { type ArenaOptions, ArenaOwner } from '../memory/arena.js';
import { readCounters } from '../netmap/host-port.js';
import { Interfaces } from '../netmap/interfaces.js';
import { PortTable } from '../netmap/register.js';
import { Registry, type RegistryOptions } from '../netmap/registry.js';
import type { PortCounters } from '../ring/port.js';
import { RequestServer } from '../threads/requests.js';
import { Thread } from '../threads/thread.js';
import type { GivenTunables } from '../tunables/check.js';
import { resolveTunables } from '../tunables/resolve.js';
import type { Tunables } from '../tunables/table.js';
import type { FdbEntry } from '../vale/bridge.js';
import { type LookupOptions, type LookupSpec, loadLookups, prepareLookups } from '../vale/lookups.js';
import { type GuestOptions, GuestRecord } from './guest-record.js';
import { registryOptions } from './host-options.js';
import { OPERATIONS } from './operations.js';

/** How a host is made: its memory, its regions and limits, its loop workers. */
export interface NetmapOptions extends ArenaOptions, RegistryOptions {
  /** Loop workers for guests in the modes `notify` and `busy`. Default 0: guests run in mode `direct`. */
  readonly threads?: number;
  /** Values of tunables: defaults for `maxBridges`, `pools` and `privatePools`, and for the guests' own. */
  readonly tunables?: GivenTunables;
  /** Lookups, by name, that `Netmap.valeLookup` puts on bridges. Every thread loads all of them when it joins. */
  readonly lookups?: LookupOptions;
}

/** What there is, as `Netmap.inspect` shows it. */
export interface Inspection {
  readonly ports: readonly { fd: number; name: string; memId: number; thread: number; counters: PortCounters }[];
  readonly bridges: readonly {
    name: string;
    ports: { index: number; name: string }[];
    fdb: FdbEntry[];
    fdbFull: number;
    /** Name of the lookup that decides in place of the learning switch; null: none. */
    lookup: string | null;
  }[];
  readonly regions: readonly { memId: number; memsize: number; free: { if: number; ring: number; buf: number } }[];
  readonly guests: readonly { id: number; devices: { name: string; kicks: number; interrupts: number }[] }[];
  readonly threads: number;
  /** Bytes of private state and of regions in use. */
  readonly memory: { readonly private: number; readonly regions: number };
  /** Sleeps of loop workers that a safety timeout ended although there was work. Must stay 0. */
  readonly lostWakeups: number;
  /** Loop workers that have ended without being told to, and were replaced. Must stay 0. */
  readonly lostWorkers: number;
}

/**
 * Looks at requests of other threads before they are queued, by the name of the operation; `next` queues one. For hosts
 * that serve programs of another host.
 */
export type Intercept = Readonly<
  Record<string, (args: unknown, next: (args: unknown) => Promise<unknown>) => Promise<unknown>>
>;

/** How long (ms) after a failure the end of a thread is tried again. */
const EXIT_AGAIN = 5_000;

export class Control {
  readonly arena: ArenaOwner;
  readonly thread: Thread;
  readonly registry: Registry;
  readonly ports: PortTable;
  readonly interfaces: Interfaces;
  readonly files: DeviceFiles;
  readonly workers: LoopWorkers;
  readonly tunables: Tunables;
  readonly lookups: readonly LookupSpec[];
  readonly #pollers: Pollers;
  readonly guests = new Map<number, GuestRecord>();
  #nextGuest = 1;
  #nextToken = 1;
  #nextMac = 1;
  #queue: Promise<unknown> = Promise.resolve();
  readonly #requests: RequestServer;
  readonly #stop = new AbortController();
  readonly #tokens = new Set<number>();
  #wantedWorkers = 0;

  private constructor(options: NetmapOptions, intercept: Intercept) {
    this.tunables = resolveTunables({ values: options.tunables ?? {} });
    this.arena = ArenaOwner.create(options);
    this.thread = Thread.claim(this.arena, 0, false);
    this.registry = new Registry(this.arena, registryOptions(options, this.tunables));
    this.ports = new PortTable(this.registry);
    this.lookups = prepareLookups(this.arena, options.lookups ?? {});
    this.workers = new LoopWorkers(this.arena, this.lookups, (token) => this.reap(token));
    this.#pollers = new Pollers(this.arena, this.workers);
    this.interfaces = new Interfaces(this.ports, this.#pollers);
    this.files = new DeviceFiles(this.thread, this.ports, this.interfaces);
    this.giveScratch(this.thread.id);
    const serve = (tid: number, op: string, args: unknown): Promise<unknown> => {
      const next = (given: unknown): Promise<unknown> => this.call(tid, op, given);
      return Object.hasOwn(intercept, op) ? intercept[op](args, next) : next(args);
    };
    this.#requests = new RequestServer(this.arena, serve, (tid) => void this.reapThread(tid));
    this.thread.addService({ attention: ATTENTION_ALL, run: () => this.#requests.serve() });
  }

  static async create(options: NetmapOptions, intercept: Intercept = {}): Promise<Control> {
    const { threads = 0 } = options;
    if (!Number.isInteger(threads) || threads < 0 || threads > THREAD_MAX / 2) {
      throw netmapError('EINVAL', `threads ${threads} is not within 0..${THREAD_MAX / 2}`, { op: 'create' });
    }
    const control = new Control(options, intercept);
    if (threads > 0 && !control.arena.shared) {
      throw netmapError('EINVAL', 'loop workers need shared memory', { op: 'create' });
    }
    void control.thread.serve(control.#stop.signal);
    try {
      await loadLookups(control.thread, control.lookups);
      for (let i = 0; i < threads; i++) await control.#startLoopWorker();
      control.#wantedWorkers = threads;
    } catch (error) {
      await control.close();
      throw error;
    }
    return control;
  }

  /** A number that tells the threads of one handle from others. */
  newToken(): number {
    const token = this.#nextToken++;
    this.#tokens.add(token);
    return token;
  }

  /** One operation of a thread. Operations run one after the other, in the order in which they came. */
  call(tid: number, op: string, args: unknown): Promise<unknown> {
    const operation = OPERATIONS[op];
    const next = this.#queue.then(() => {
      if (!operation) throw netmapError('EOPNOTSUPP', `there is no operation '${op}'`, { op });
      return operation(this, args as never, tid);
    });
    this.#queue = next.catch(() => {});
    return next;
  }

  /** Gives a thread the working memory of its switch. */
  giveScratch(tid: number): void {
    this.arena.store(
      this.arena.threadPtr(tid) + THREAD_SCRATCH,
      this.arena.alloc(SCRATCH_SIZE, `scratch of thread ${tid}`),
    );
  }

  newMac(): Uint8Array {
    const n = this.#nextMac++;
    return Uint8Array.of(0x02, 0x50, 0x54, n >>> 16, n >>> 8, n); // 02:'P':'T': locally administered
  }

  /** Every thread that attached with this token has ended. */
  reap(token: number): void {
    if (!this.#tokens.delete(token)) return;
    for (let tid = 1; tid < THREAD_MAX; tid++) {
      const record = this.arena.threadPtr(tid);
      const state = this.arena.load(record + THREAD_STATE);
      const killedEarly = state === (THREAD_CLAIMED | (token << THREAD_CLAIM_SHIFT));
      if (killedEarly || (state !== THREAD_FREE && this.arena.load(record + THREAD_TOKEN) === token)) {
        void this.reapThread(tid);
      }
    }
  }

  /** Releases what the dead thread held, at once, and then closes what it had open. Once: its id may be taken again soon. */
  async reapThread(tid: number): Promise<void> {
    const state = this.arena.threadPtr(tid) + THREAD_STATE;
    if (this.arena.load(state) === THREAD_LEFT) return;
    this.arena.store(state, THREAD_LEFT); // no more requests are taken from it
    this.#releaseLocks(tid);
    while (!(await this.#exits(tid))) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, EXIT_AGAIN);
        (timer as { unref?: () => void }).unref?.();
      });
    }
  }

  /** False: another thread holds a ring that must be closed, and does not let go. What the dead one had stays until it does. */
  async #exits(tid: number): Promise<boolean> {
    try {
      await this.call(tid, 'exit', {});
      return true;
    } catch (error) {
      if (!(error instanceof NetmapError)) throw error;
      return this.workers.stopping;
    }
  }

  #releaseLocks(tid: number): void {
    const { arena, registry, thread } = this;
    arena.store(arena.threadPtr(tid) + THREAD_PASSES, 0);
    const bit = 1n << BigInt(tid);
    for (const adapter of registry.all) {
      for (const { ptr, peer } of adapter.krings) {
        if (arena.load(ptr + KRING_BUSY) === tid) {
          arena.wasm.kringRelease(ptr);
          arena.wasm.kringNotify(ptr, thread.ptr); // whoever has come in vain meanwhile
          if (peer) arena.wasm.kringNotify(peer.ptr, thread.ptr); // it may have died before doing so
        }
        for (const word of [KRING_WAITERS, KRING_WATCHERS]) Atomics.and(arena.u64, (ptr + word) >>> 3, ~bit);
      }
      for (const { ptr, ring } of [...adapter.rx, ...adapter.hostRx]) {
        if (ring !== 0 && arena.load(ptr + KRING_LEASES) !== 0) arena.wasm.leaseRecover(ptr, tid, thread.ptr);
      }
    }
    for (const { ptr } of registry.bridges.values()) {
      Atomics.compareExchange(arena.u32, (ptr + BRIDGE_LOCK) >>> 2, tid, 0);
    }
    for (const guest of this.guests.values()) {
      for (const { loop } of guest.devices) loop.recover(tid);
    }
    this.#pollers.recover(tid);
    this.files.recover(tid);
    this.#wakeAll();
  }

  /** A waker may have died after it had taken a sleeper's word back: that sleeper nobody would notify any more. */
  #wakeAll(): void {
    const { arena } = this;
    for (let id = 1; id < THREAD_MAX; id++) {
      const thread = arena.threadPtr(id);
      if (arena.load(thread + THREAD_STATE) !== THREAD_LIVE) continue;
      arena.store(thread + THREAD_SLEEPERS, 1);
      arena.wasm.threadWake(thread);
    }
  }

  /** The queued half of a thread's end. */
  async endThread(tid: number): Promise<void> {
    const record = this.arena.threadPtr(tid);
    if (this.arena.load(record + THREAD_STATE) === THREAD_FREE) return;
    for (const guest of this.guests.values()) {
      if (guest.thread !== record) continue;
      guest.reset();
      guest.thread = this.thread.ptr;
      if (guest.closing) await this.removeGuest(guest.id);
    }
    await this.files.endThread(tid);
    for (const open of [...this.ports.opens.values()]) {
      if (open.owner === tid && !this.isPassedThrough(open.fd)) await this.interfaces.close(open.fd);
    }
    await this.#replaceLoopWorker(record);
    const scratch = this.arena.load(record + THREAD_SCRATCH);
    if (scratch !== 0) this.arena.free(scratch);
    this.#requests.forget(record);
    this.arena.u8.fill(0, record, record + THREAD_STATE);
    this.arena.u8.fill(0, record + THREAD_STATE + 4, record + THREAD_SIZE);
    this.arena.store(record + THREAD_STATE, THREAD_FREE); // last: from here on somebody may claim it
  }

  /** If the dead thread was a loop worker, another one takes its loops. */
  async #replaceLoopWorker(record: number): Promise<void> {
    if (this.workers.stopping) return;
    const devices = [...this.guests.values()].flatMap((guest) => guest.devices);
    const orphans = devices.filter(({ loop }) => loop.thread === record);
    while (this.workers.count < this.#wantedWorkers) await this.#startLoopWorker();
    for (const { loop } of orphans) loop.moveTo(this.workers.next());
    this.#pollers.replace(record);
  }

  async #startLoopWorker(): Promise<void> {
    this.giveScratch(await this.workers.start(this.newToken()));
  }

  isPassedThrough(fd: number): boolean {
    return [...this.guests.values()].some((guest) => guest.devices.some((device) => device.port.fd === fd));
  }

  addGuest(options: GuestOptions): GuestRecord {
    const guest = new GuestRecord(this.arena, this.#nextGuest++, this.thread.ptr, options, this.tunables);
    this.guests.set(guest.id, guest);
    return guest;
  }

  guest(id: number): GuestRecord {
    const guest = this.guests.get(id);
    if (!guest) throw netmapError('ENXIO', `there is no guest ${id}`, { op: 'guest' });
    return guest;
  }

  /**
   * Stops a guest's devices and frees what it had. While another thread still runs the guest, it has the guest's RAM and
   * rings in its hands: they are kept until that thread has ended.
   */
  async removeGuest(id: number): Promise<void> {
    const guest = this.guests.get(id);
    if (!guest) return;
    guest.stop();
    guest.closing = true;
    const runs = guest.thread !== this.thread.ptr && this.arena.load(guest.thread + THREAD_STATE) === THREAD_LIVE;
    if (runs && !this.workers.stopping) return;
    const fds = guest.devices.map(({ port }) => port.fd);
    this.guests.delete(id);
    await this.registry.quiesce();
    guest.free();
    for (const fd of fds) await this.ports.close(fd);
  }

  inspect(): Inspection {
    const { arena, registry } = this;
    return {
      ports: [...this.ports.opens.values()].map(({ fd, info, owner }) => ({
        fd,
        name: info.name,
        memId: info.memId,
        thread: owner,
        counters: readCounters(arena, info),
      })),
      bridges: [...registry.bridges.values()].map((bridge) => ({
        name: bridge.name,
        ports: bridge.ports.map(({ index, adapter }) => ({ index, name: adapter.name })),
        fdb: bridge.fdb(),
        fdbFull: bridge.fdbFull,
        lookup: this.lookups[registry.lookupOf(bridge.name) - 1]?.name ?? null,
      })),
      regions: registry.regions.map(({ memId, layout, ifs, rings, bufs }) => ({
        memId,
        memsize: layout.memsize,
        free: { if: ifs.freeCount, ring: rings.freeCount, buf: bufs.freeCount },
      })),
      guests: [...this.guests.values()].map((guest) => ({
        id: guest.id,
        devices: guest.devices.map(({ port }) => {
          const { kicks, interrupts } = readCounters(arena, port.info);
          return { name: port.info.name, kicks, interrupts };
        }),
      })),
      threads: Array.from({ length: THREAD_MAX }, (_, tid) => tid).filter(
        (tid) => tid !== 0 && arena.load(arena.threadPtr(tid) + THREAD_STATE) !== THREAD_FREE,
      ).length,
      memory: { private: arena.privates.used, regions: arena.regions.used },
      lostWakeups: this.workers.lostWakeups,
      lostWorkers: this.workers.lost,
    };
  }

  /** Closes everything: ports, guests, loop workers, the control thread's own service. */
  async close(): Promise<void> {
    this.workers.stopping = true;
    await this.call(this.thread.id, 'closeAll', {});
    await this.workers.stop();
    this.#stop.abort();
    this.arena.store(this.thread.ptr + THREAD_STATE, THREAD_FREE);
    // Guests in other threads learn it now; ports of the host have, when their rings stopped.
    this.#wakeAll();
    this.arena.wasm.threadWake(this.thread.ptr);
  }
}
