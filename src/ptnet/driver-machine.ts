// What a guest gets from its hypervisor, and all that it gets: PCI functions (registers, interrupts, a memory BAR), a
// range of RAM of its own, and a way to wait for interrupts. The driver is written against this interface; an emulator
// or the host's own glue (src/control/window.ts) implements it.

import type { Waiting } from '../ring/poll.js';
import type { MemoryViews } from '../ring/ring.js';
import type { PassCopies } from '../threads/thread.js';
import type { Tunables } from '../tunables/table.js';

/** A PCI function on the guest's bus. */
export interface PciFunction {
  readonly vendorId: number;
  readonly deviceId: number;
  /** Reads 8, 16 or 32 bits of BAR 0. */
  ioRead(offset: number, size: 1 | 2 | 4): number;
  ioWrite(offset: number, size: 1 | 2 | 4, value: number): void;
  /** BAR 1 of a memdev: address of the region as the guest's views see it, and its size in bytes. */
  readonly memoryBar?: { readonly base: number; readonly size: number };
  /** A network device whose port the host has taken away, for good; an interrupt may tell. Absent: that does not happen. */
  readonly linkDown?: boolean;
  /** Interrupt vectors (MSI-X) that the function has. */
  readonly vectors: number;
  /** Whom to call with the vector's number when an interrupt arrives; undefined masks all of them. */
  setInterruptHandler(handler: ((vector: number) => void) | undefined): void;
}

/** The guest half of the Wasm module (assembly/ptnet), over the memory that the guest's views show. */
export interface GuestWasm {
  ptnetTxsync(gkring: number, flags: number): number;
  ptnetRxsync(gkring: number, flags: number): number;
  ptnetKicked(gkring: number): void;
  ptnetSyncFromCsb(gkring: number, head: number, cur: number): void;
}

/** A guest's machine. */
export interface PtnetMachine {
  /** Set when the host has taken the machine away: its RAM and rings may be somebody else's. */
  readonly gone: boolean;
  readonly functions: readonly PciFunction[];
  /** RAM: `base` is its address in the views, `size` its bytes; it starts at guest-physical address 4096, as 0 means "none". */
  readonly ram: { readonly base: number; readonly size: number };
  readonly views: MemoryViews;
  readonly wasm: GuestWasm;
  readonly waiting: Waiting;
  /** Tunables of the guest's kernel; without them, the defaults. */
  readonly tunables?: Tunables;
}

/** A machine as the host's glue makes it: also for an emulator whose guest keeps its CSB in another memory. */
export interface HostedMachine extends PtnetMachine {
  /** Has words copied around each pass of this thread over its kernel loops, until the machine is gone. Returns what ends it. */
  mirror(copies: PassCopies): () => void;
  /** Does what others leave to this thread, from its event loop, until the signal aborts: for who neither polls nor syncs. */
  serve(signal: AbortSignal): void;
}
