// The open descriptors of /dev/netmap: what each is bound to. Control thread only.

import { ENXIO } from '../abi.js';
import { netmapError } from '../errors.js';
import { KernelLoop } from '../kloop/loop.js';
import type { ArenaOwner } from '../memory/arena.js';
import { HostPort } from '../netmap/host-port.js';
import type { Interfaces } from '../netmap/interfaces.js';
import type { OpenPort, PortInfo, PortTable } from '../netmap/register.js';
import type { Thread } from '../threads/thread.js';

export class DeviceFile {
  readonly fd: number;
  /** Thread that opened it. */
  readonly owner: number;
  readonly #arena: ArenaOwner;
  /** The port that REGISTER has bound to it. */
  port: OpenPort | undefined;
  loop: KernelLoop | undefined;

  constructor(arena: ArenaOwner, fd: number, owner: number) {
    this.#arena = arena;
    this.fd = fd;
    this.owner = owner;
  }

  /** The kernel loop of the bound port, made when it is first needed. @throws NetmapError ENOMEM */
  kloop(port: OpenPort): KernelLoop {
    this.loop ??= new KernelLoop(this.#arena, port);
    return this.loop;
  }
}

export class DeviceFiles {
  readonly ports: PortTable;
  readonly interfaces: Interfaces;
  readonly #arena: ArenaOwner;
  readonly #thread: Thread;
  readonly #files = new Map<number, DeviceFile>();
  /** Threads that run a loop, and look at its struct until they say that they have left it. */
  readonly #runners = new Map<KernelLoop, number[]>();
  /** Loops of closed files that somebody still looks at. */
  readonly #retired = new Set<KernelLoop>();

  /** @param thread the control thread */
  constructor(thread: Thread, ports: PortTable, interfaces: Interfaces) {
    this.#thread = thread;
    this.#arena = ports.registry.arena;
    this.ports = ports;
    this.interfaces = interfaces;
  }

  /** An open descriptor; its owner's first request opens it, for `owner`. @throws NetmapError EBADF */
  get(fd: number, owner: number, isOwner: boolean): DeviceFile {
    const known = this.#files.get(fd);
    if (known) return known;
    if (!isOwner) throw netmapError('EBADF', `descriptor ${fd} is not open`, { op: 'ioctl' });
    const file = new DeviceFile(this.#arena, fd, owner);
    this.#files.set(fd, file);
    return file;
  }

  /** NIOCTXSYNC or NIOCRXSYNC for a thread that has not bound the port itself. */
  sync(fd: number, tx: boolean): number {
    const port = this.#files.get(fd)?.port;
    if (!port) return -ENXIO;
    const host = new HostPort(this.#thread, port.info, { close: async () => {}, call: async () => {} });
    return tx ? host.txsync() : host.rxsync();
  }

  /** The port that is bound to a descriptor; null: none is. */
  portInfo(fd: number): PortInfo | null {
    return this.#files.get(fd)?.port?.info ?? null;
  }

  async close(fd: number): Promise<void> {
    const file = this.#files.get(fd);
    this.#files.delete(fd);
    if (file) await this.unbind(file);
  }

  async closeAll(): Promise<void> {
    for (const fd of [...this.#files.keys()]) await this.close(fd);
  }

  /** Closes the port of a file; the file can be bound again. */
  async unbind(file: DeviceFile): Promise<void> {
    const { port, loop } = file;
    file.port = undefined;
    file.loop = undefined;
    loop?.leaveCsb();
    if (port) await this.interfaces.close(port.fd);
    if (!loop) return;
    if (this.#runners.has(loop)) this.#retired.add(loop);
    else loop.free();
  }

  /** A thread has been told to run a loop. */
  enterLoop(loop: KernelLoop, tid: number): void {
    this.#runners.set(loop, [...(this.#runners.get(loop) ?? []), tid]);
  }

  /** A thread has left a loop that it ran. */
  leaveLoop(ptr: number, tid: number): void {
    const found = [...this.#runners].find(([loop, tids]) => loop.ptr === ptr && tids.includes(tid));
    if (!found) return;
    const [loop, tids] = found;
    tids.splice(tids.indexOf(tid), 1);
    if (tids.length !== 0) return;
    this.#runners.delete(loop);
    if (this.#retired.delete(loop)) loop.free();
  }

  /** A thread has died: at once, the rings of its loops are free again, and all loops look at theirs. */
  recover(tid: number): void {
    for (const loop of this.#runners.keys()) loop.recover(tid);
  }

  /** A thread has died: its loops end, and its descriptors are closed. */
  async endThread(tid: number): Promise<void> {
    const record = this.#arena.threadPtr(tid);
    for (const [loop, tids] of [...this.#runners]) {
      if (loop.thread === record) loop.halt();
      for (const one of [...tids]) if (one === tid) this.leaveLoop(loop.ptr, tid);
    }
    for (const { fd, owner } of [...this.#files.values()]) if (owner === tid) await this.close(fd);
  }
}
