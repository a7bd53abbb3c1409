// The host's glue in the thread that a guest runs in: what a hypervisor does for a virtual CPU. Register accesses go to
// the device model (in the control thread), doorbells straight to the kernel loop, interrupts to the guest's handlers.

import {
  KLOOP_ATTENTION,
  KLOOP_GUEST,
  KLOOP_IRQ_PENDING,
  KLOOP_PORT_GONE,
  PTNET_IO_KICK_BASE,
  PTNET_IO_SIZE,
} from '../abi.js';
import type { HostedMachine, PciFunction } from '../ptnet/driver-machine.js';
import type { PassCopies, Service, Thread } from '../threads/thread.js';
import type { FunctionInfo, GuestInfo } from './guest-record.js';

/** One access to BAR 0 of a function of the guest. */
export interface IoAccess {
  readonly id: number;
  readonly index: number;
  readonly offset: number;
  readonly size: 1 | 2 | 4;
  readonly value?: number;
}

/** Carries accesses to the device model, synchronously. */
export interface IoPath {
  ioRead(access: IoAccess): number;
  ioWrite(access: IoAccess): void;
}

class FunctionWindow implements PciFunction {
  readonly vendorId: number;
  readonly deviceId: number;
  readonly vectors: number;
  readonly memoryBar?: { readonly base: number; readonly size: number };
  readonly #thread: Thread;
  readonly #path: IoPath;
  readonly #id: number;
  readonly #index: number;
  /** Address of the device's struct kloop, 0 = none. */
  #loop: number;
  /** The delivery of its interrupts; undefined: it has none. */
  readonly interrupts: Service | undefined;
  #gone = false;
  #handler: ((vector: number) => void) | undefined;

  constructor(thread: Thread, path: IoPath, id: number, index: number, info: FunctionInfo) {
    this.vendorId = info.vendorId;
    this.deviceId = info.deviceId;
    this.vectors = info.vectors;
    if (info.memoryBar) this.memoryBar = info.memoryBar;
    this.#thread = thread;
    this.#path = path;
    this.#id = id;
    this.#index = index;
    this.#loop = info.loop;
    if (info.loop === 0) return;
    const attention = thread.arena.load(info.loop + KLOOP_ATTENTION);
    this.interrupts = { run: () => this.deliver(), word: info.loop + KLOOP_IRQ_PENDING, attention };
  }

  /** The function is unplugged: reads give all ones, writes nothing, as on a real bus. */
  remove(): void {
    this.#gone = true;
    this.#loop = 0;
  }

  get linkDown(): boolean {
    return this.#loop !== 0 && this.#thread.arena.u32[(this.#loop + KLOOP_PORT_GONE) >>> 2] !== 0;
  }

  ioRead(offset: number, size: 1 | 2 | 4): number {
    if (this.#gone) return 0xffffffff >>> (32 - 8 * size);
    return this.#path.ioRead({ id: this.#id, index: this.#index, offset, size });
  }

  ioWrite(offset: number, size: 1 | 2 | 4, value: number): void {
    if (this.#gone) return;
    if (this.interrupts !== undefined && offset >= PTNET_IO_KICK_BASE && offset < PTNET_IO_SIZE) {
      if (this.#loop === 0) return;
      this.#thread.doorbell(this.#loop, (offset - PTNET_IO_KICK_BASE) >>> 2); // direct mode: the loop runs here and now
      return;
    }
    this.#path.ioWrite({ id: this.#id, index: this.#index, offset, size, value });
  }

  setInterruptHandler(handler: ((vector: number) => void) | undefined): void {
    this.#handler = handler;
  }

  /** Delivers the interrupts that are pending, if they are still this thread's. */
  deliver(): void {
    if (this.#loop === 0) return;
    const { arena, ptr } = this.#thread;
    if (arena.load(this.#loop + KLOOP_GUEST) !== ptr) return;
    const { u32 } = arena;
    const word = (this.#loop + KLOOP_IRQ_PENDING) >>> 2;
    if (u32[word] === 0) return;
    let pending = Atomics.exchange(u32, word, 0);
    while (pending !== 0) {
      const vector = 31 - Math.clz32(pending & -pending);
      pending &= pending - 1;
      this.#handler?.(vector);
    }
  }
}

/** A machine, and how its glue to the host is undone. */
export interface GuestMachine {
  readonly machine: HostedMachine;
  /** Ends the delivery of interrupts. */
  stop(): void;
  /** Takes the machine away: its RAM, rings and kernel loops may be somebody else's from now on. */
  disconnect(): void;
}

/** A class, not an object with closures: syncs ask each guest's machine whether it is gone, by one and the same code. */
class Machine implements HostedMachine {
  readonly functions: readonly FunctionWindow[];
  readonly ram: HostedMachine['ram'];
  readonly views: HostedMachine['views'];
  readonly wasm: HostedMachine['wasm'];
  readonly waiting: Thread;
  readonly tunables: GuestInfo['tunables'];
  readonly #mirrors = new Set<() => void>();
  #taken = false;

  constructor(thread: Thread, functions: readonly FunctionWindow[], info: GuestInfo) {
    this.functions = functions;
    this.ram = info.ram;
    this.views = thread.arena;
    this.wasm = thread.arena.wasm;
    this.waiting = thread;
    this.tunables = info.tunables;
  }

  get gone(): boolean {
    return this.#taken || this.waiting.hostClosed;
  }

  serve(signal: AbortSignal): void {
    void this.waiting.serve(signal);
  }

  mirror(copies: PassCopies): () => void {
    const end = this.waiting.addCopies(copies);
    this.#mirrors.add(end);
    return end;
  }

  take(): void {
    for (const end of this.#mirrors) end();
    this.#taken = true;
    for (const f of this.functions) f.remove();
    this.waiting.wake(); // whoever waits for interrupts sees that the machine is gone
  }
}

/** Builds the machine of a guest that runs in this thread. */
export function makeMachine(thread: Thread, path: IoPath, info: GuestInfo): GuestMachine {
  const functions = info.functions.map((f, index) => new FunctionWindow(thread, path, info.id, index, f));
  const stops = functions.flatMap((f) => (f.interrupts === undefined ? [] : thread.addService(f.interrupts)));
  const stop = (): void => {
    for (const end of stops) end();
  };
  const machine = new Machine(thread, functions, info);
  const disconnect = (): void => {
    stop();
    machine.take();
  };
  return { machine, stop, disconnect };
}
