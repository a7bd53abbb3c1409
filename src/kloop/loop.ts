// The kernel loop of one passed-through port, as the control thread sees it: CSB_ENABLE, SYNC_KLOOP_START and STOP of
// netmap(4). The loop itself is run by the thread that it is handed to, see loop-worker.ts.

import {
  ATTENTION_ALL,
  ATTENTION_LOOPS,
  CSB_ENTRY_SIZE,
  EBUSY,
  EFAULT,
  EINVAL,
  EIO,
  ENXIO,
  KLOOP_ATOK,
  KLOOP_ATTENTION,
  KLOOP_BUDGET,
  KLOOP_EVENT,
  KLOOP_EVENT_ALL,
  KLOOP_EVENT_REST,
  KLOOP_GUEST,
  KLOOP_IDLE,
  KLOOP_IRQ_PENDING,
  KLOOP_IRQS_ON,
  KLOOP_KTOA,
  KLOOP_MODE,
  KLOOP_MODE_BUSY,
  KLOOP_MODE_DIRECT,
  KLOOP_MODE_NOTIFY,
  KLOOP_NRX,
  KLOOP_NTX,
  KLOOP_OWNER,
  KLOOP_RUNNING,
  KLOOP_RX,
  KLOOP_SIZE,
  KLOOP_STARTS,
  KLOOP_STATE,
  KLOOP_THREAD,
  KLOOP_TX,
  KLOOP_WATCHES,
  KRING_EVENT,
  KRING_LOOP,
  KRING_STOP,
  KRING_STOPPED,
  KRING_WAITERS,
  KRING_WATCHERS,
  NR_EXCLUSIVE,
  THREAD_ATTENTION,
} from '../abi.js';
import type { ArenaOwner } from '../memory/arena.js';
import type { OpenPort } from '../netmap/register.js';
import { handOver, isFull, takeBack, waitUntilLeft } from './loop-list.js';

/**
 * How the loop runs: `direct` in the thread that rings the doorbell, `notify` in a loop worker that sleeps while there is
 * nothing to do, `busy` in a loop worker that never sleeps.
 */
export type LoopMode = 'direct' | 'notify' | 'busy';

const MODES: Readonly<Record<LoopMode, number>> = {
  direct: KLOOP_MODE_DIRECT,
  notify: KLOOP_MODE_NOTIFY,
  busy: KLOOP_MODE_BUSY,
};
/** Slots of one ring that an activation handles before the others have their turn. */
const BUDGET = 4096;

export interface StartOptions {
  readonly mode: LoopMode;
  /** Record of the thread that runs the loop. */
  readonly thread: number;
  /** Record of the thread that takes interrupts, 0 = no interrupts. */
  readonly guest: number;
}

export class KernelLoop {
  readonly #arena: ArenaOwner;
  readonly #open: OpenPort;
  /** Address of `struct kloop`, for as long as the port is open. */
  readonly ptr: number;
  #thread = 0;
  #started: StartOptions | undefined;
  #csb = false;
  #stopPending = false;
  #onStopped: (() => void)[] = [];

  constructor(arena: ArenaOwner, open: OpenPort) {
    this.#arena = arena;
    this.#open = open;
    this.ptr = arena.alloc(KLOOP_SIZE, `kernel loop of ${open.info.name}`);
    this.#set(KLOOP_NTX, open.tx.length);
    this.#set(KLOOP_NRX, open.rx.length);
    this.#set(KLOOP_TX, open.tx[0]?.ptr ?? 0);
    this.#set(KLOOP_RX, open.rx[0]?.ptr ?? 0);
    this.#set(KLOOP_BUDGET, BUDGET);
    this.#set(KLOOP_ATTENTION, 2 << (Math.floor(this.ptr / KLOOP_SIZE) % ATTENTION_LOOPS));
    this.#set(KLOOP_WATCHES, open.info.watched.length === 0 ? 0 : 1);
  }

  /** How many times it was started: tells one run from the next. */
  get starts(): number {
    return this.#arena.load(this.ptr + KLOOP_STARTS);
  }

  get running(): boolean {
    return this.#thread !== 0;
  }

  /**
   * CSB_ENABLE: initialises both arrays from the krings; from now on only the loop syncs the rings.
   * @param atok address of the application's array (64 bytes a ring, tx first), 64-byte aligned
   * @param ktoa address of the kernel's array
   * @param end address behind the memory that the application may name
   * @returns 0 or a negative errno: -EBUSY while running, -EINVAL not exclusive or misaligned, -EFAULT outside memory or
   *   in the host's private state
   */
  enableCsb(atok: number, ktoa: number, end: number = this.#arena.u8.length): number {
    const { tx, rx, flags } = this.#open;
    if (this.running) return -EBUSY;
    if (tx.length + rx.length === 0) return 0;
    if (!(flags & NR_EXCLUSIVE)) return -EINVAL;
    const bytes = CSB_ENTRY_SIZE * (tx.length + rx.length);
    for (const address of [atok, ktoa]) {
      if (address % CSB_ENTRY_SIZE !== 0) return -EINVAL;
      if (address <= 0 || address + bytes > Math.min(end, this.#arena.u8.length)) return -EFAULT;
      const { privates } = this.#arena;
      if (address < privates.end && address + bytes > privates.start) return -EFAULT;
    }
    this.#arena.u8.fill(0, ktoa, ktoa + bytes);
    this.#set(KLOOP_ATOK, atok);
    this.#set(KLOOP_KTOA, ktoa);
    for (const [i, kring] of [...tx, ...rx].entries()) {
      this.#arena.wasm.csbInit(kring.ptr, atok + i * CSB_ENTRY_SIZE, ktoa + i * CSB_ENTRY_SIZE);
      this.#arena.store(kring.ptr + KRING_EVENT, 1 << Math.min(i, KLOOP_EVENT_REST));
      this.#arena.store(kring.ptr + KRING_LOOP, this.ptr);
    }
    this.#csb = true;
    return 0;
  }

  /** Whether START may come now: 0, -ENXIO when the interface is gone, -EINVAL without CSB, -EBUSY while running. */
  startable(): number {
    const { tx, rx } = this.#open;
    if ([...tx, ...rx].some(({ ptr }) => this.#arena.load(ptr + KRING_STOP) === KRING_STOPPED)) return -ENXIO;
    if (!this.#csb) return -EINVAL;
    return this.running ? -EBUSY : 0;
  }

  /**
   * SYNC_KLOOP_START: hands the rings to a thread.
   * @returns 0 or a negative errno: -EINVAL without CSB, -EBUSY while running, -ENXIO when the thread serves too many.
   *   If STOP came first, nothing is started and 0 is returned, as in netmap.
   */
  start({ mode, thread, guest }: StartOptions): number {
    const refused = this.startable();
    if (refused < 0) return refused;
    if (this.#stopPending) {
      this.#stopPending = false;
      return 0;
    }
    if (isFull(this.#arena, thread)) return -ENXIO;
    this.#thread = thread;
    this.#started = { mode, thread, guest };
    this.#set(KLOOP_MODE, MODES[mode]);
    this.#set(KLOOP_THREAD, thread);
    this.#set(KLOOP_GUEST, guest);
    this.#set(KLOOP_IRQS_ON, guest === 0 ? 0 : 1);
    this.#set(KLOOP_IRQ_PENDING, 0);
    if (mode !== 'busy') this.#subscribe(thread, true);
    this.#set(KLOOP_EVENT, KLOOP_EVENT_ALL); // every ring is looked at once, whatever was kicked before
    this.#set(KLOOP_STARTS, this.starts + 1);
    this.#set(KLOOP_STATE, KLOOP_RUNNING);
    handOver(this.#arena, thread, this.ptr);
    return 0;
  }

  /** Resolves when the loop is stopped: the blocking side of START. */
  stopped(): Promise<void> {
    return this.running ? new Promise((resolve) => this.#onStopped.push(resolve)) : Promise.resolve();
  }

  /**
   * SYNC_KLOOP_STOP: takes the rings back; afterwards nobody touches the CSB.
   * @returns 0, or -EIO if the loop's thread did not leave the rings in time
   */
  stop(): number {
    if (!this.running) {
      this.#stopPending = true;
      return 0;
    }
    return this.halt();
  }

  /** As stop, but leaves no mark for the next START when nothing runs (PTCTL DELETE). */
  halt(): number {
    if (!this.running) return 0;
    this.#set(KLOOP_STATE, KLOOP_IDLE);
    this.#detach();
    if (!waitUntilLeft(this.#arena, this.ptr)) return -EIO;
    for (const done of this.#onStopped.splice(0)) done();
    return 0;
  }

  /**
   * A thread has died. If it held the rings, they are free again. All of them are looked at: it may have died when it had let
   * go of one of them, or moved its slots, and had not notified it yet.
   */
  recover(tid: number): void {
    if (this.#arena.load(this.ptr + KLOOP_OWNER) === tid) this.#set(KLOOP_OWNER, 0);
    this.#set(KLOOP_EVENT, KLOOP_EVENT_ALL);
  }

  /** Hands a running loop to another thread, when its own has died. The CSB stays as it is. */
  moveTo(thread: number): void {
    if (!this.running || !this.#started) return;
    this.halt();
    const pending = this.#arena.load(this.ptr + KLOOP_IRQ_PENDING);
    const { guest } = this.#started;
    this.start({ ...this.#started, thread });
    if (pending === 0 || guest === 0) return;
    Atomics.or(this.#arena.u32, (this.ptr + KLOOP_IRQ_PENDING) >>> 2, pending);
    // The guest's thread may have looked for them meanwhile.
    this.#arena.store(guest + THREAD_ATTENTION, ATTENTION_ALL);
    this.#arena.wasm.threadWake(guest);
  }

  /** The record of the thread that runs the loop, 0 = none. */
  get thread(): number {
    return this.#thread;
  }

  /** Leaves CSB mode for good. */
  leaveCsb(): void {
    this.halt();
    for (const kring of [...this.#open.tx, ...this.#open.rx]) this.#arena.store(kring.ptr + KRING_LOOP, 0);
  }

  /** Gives the struct back, when no sync or pass can see it any more. */
  free(): void {
    this.#arena.free(this.ptr);
  }

  #detach(): void {
    const thread = this.#thread;
    this.#thread = 0;
    if (this.#started?.mode !== 'busy') this.#subscribe(thread, false);
    takeBack(this.#arena, thread, this.ptr);
  }

  /** Port notifications wake the thread that runs the loop, also those of rings that the port watches. */
  #subscribe(thread: number, on: boolean): void {
    const bit =
      1n << BigInt((thread - this.#arena.threadPtr(0)) / (this.#arena.threadPtr(1) - this.#arena.threadPtr(0)));
    const { tx, rx, info } = this.#open;
    for (const { ptr } of [...tx, ...rx]) this.#setBit(ptr + KRING_WAITERS, bit, on);
    // Others may watch the ring by the same thread, and the one that has it open waits for it in its own time.
    const { watches } = this.#arena;
    for (const ptr of info.watched) {
      const key = `${ptr} ${thread}`;
      const loops = (watches.get(key) ?? 0) + (on ? 1 : -1);
      if (loops === 0) watches.delete(key);
      else watches.set(key, loops);
      if (loops === 0 || on) this.#setBit(ptr + KRING_WATCHERS, bit, on);
    }
  }

  #setBit(word: number, bit: bigint, on: boolean): void {
    if (on) Atomics.or(this.#arena.u64, word >>> 3, bit);
    else Atomics.and(this.#arena.u64, word >>> 3, ~bit);
  }

  #set(field: number, value: number): void {
    this.#arena.store(this.ptr + field, value);
  }
}
