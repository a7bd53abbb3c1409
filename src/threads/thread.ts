// A thread's record in the arena: its id (what locks hold), its waiter word (what wakes it), and its request slot.
//
// Sleeping:  seen = seq(); look for work; if none: sleep(seen). Every event increments the word first and then wakes
// sleepers, so an event between `seen` and the sleep is never lost (tests/model/waiter.pml).

import {
  ATTENTION_ALL,
  KLOOP_THREAD,
  KRING_LOOP,
  KRING_WAITERS,
  THREAD_ARENA,
  THREAD_ATTENTION,
  THREAD_CLAIM_SHIFT,
  THREAD_CLAIMED,
  THREAD_FREE,
  THREAD_ID,
  THREAD_LEAVING,
  THREAD_LIVE,
  THREAD_LOOKING,
  THREAD_MAX,
  THREAD_NLOOPS,
  THREAD_SEQ,
  THREAD_SLEEPERS,
  THREAD_SPIN_LIMIT,
  THREAD_STATE,
  THREAD_TOKEN,
} from '../../assembly/abi/arena.js';
import { netmapError } from '../errors.js';
import type { Arena } from '../memory/arena.js';

/** The control thread is the first to attach. */
export const CONTROL_THREAD = 1;
/** Polls of a contended lock before a frame is dropped instead: about a millisecond. */
const SPIN_LIMIT = 1 << 17;
/** Node ends a process that only waits in Atomics.waitAsync: a timer holds it while somebody awaits. */
const KEEP_ALIVE_MS = 1 << 30;
/** Passes of one service call: guests that keep each other busy get the rest at the next event. */
const MAX_ROUNDS = 64;
/** Of so many doorbells in a row, one also does what others have left to the thread. */
const DOORBELLS = 32;

/** Words that kernel loops of this thread share with somebody who cannot see the arena's memory. */
export interface PassCopies {
  /** Called before a pass over the loops. */
  copyIn(): void;
  /** Called after it, before interrupts are delivered. */
  copyOut(): void;
}

/** Work that others leave to a thread: interrupts of a device, requests to the control thread. */
export interface Service {
  /** The bit of THREAD_ATTENTION that says so; others may have the same. ATTENTION_ALL is for all services. */
  readonly attention: number;
  readonly run: () => void;
  /** Address of a word that is 0 while there is no such work. */
  readonly word?: number;
}

interface LocalWait {
  seen: number;
  resolve: () => void;
}

export class Thread {
  readonly arena: Arena;
  readonly id: number;
  /** Address of the record. */
  readonly ptr: number;
  /** Whether this thread may block (Atomics.wait). */
  readonly canBlock: boolean;
  readonly #seq: number;
  readonly #controlState: number;
  readonly #token: number;
  readonly #localWaits = new Set<LocalWait>();
  /** By bit of THREAD_ATTENTION: an interrupt does not look at all devices (npm run bench scaling). */
  readonly #services: (readonly Service[])[] = Array.from({ length: 32 }, () => []);
  readonly #copies = new Set<PassCopies>();
  /** Rings whose notifications come to this thread, with the number of open ports that wait for them. */
  readonly #watched = new Map<number, number>();
  #serving = false;
  #doorbells = 0;

  private constructor(arena: Arena, id: number, token: number, canBlock: boolean) {
    this.arena = arena;
    this.#token = token;
    this.id = id;
    this.ptr = arena.threadPtr(id);
    this.canBlock = canBlock && arena.shared;
    this.#seq = (this.ptr + THREAD_SEQ) >>> 2;
    this.#controlState = (arena.threadPtr(CONTROL_THREAD) + THREAD_STATE) >>> 2;
  }

  /**
   * Takes a free record. `token` tells which handle the thread came with.
   * @throws NetmapError EAGAIN when all 63 records are taken
   */
  static claim(arena: Arena, token: number, canBlock: boolean): Thread {
    // The token comes with the claim: whoever is killed between the two would leave a record that nobody can free.
    const claimed = THREAD_CLAIMED | (token << THREAD_CLAIM_SHIFT);
    for (let id = 1; id < THREAD_MAX; id++) {
      const ptr = arena.threadPtr(id);
      if (Atomics.compareExchange(arena.u32, (ptr + THREAD_STATE) >>> 2, THREAD_FREE, claimed) !== THREAD_FREE) {
        continue;
      }
      arena.store(ptr + THREAD_ID, id);
      arena.store(ptr + THREAD_ARENA, arena.ptr);
      arena.store(ptr + THREAD_TOKEN, token);
      arena.store(ptr + THREAD_SPIN_LIMIT, SPIN_LIMIT);
      arena.store(ptr + THREAD_STATE, THREAD_LIVE);
      return new Thread(arena, id, token, canBlock);
    }
    throw netmapError('EAGAIN', `all ${THREAD_MAX - 1} threads of the arena are taken`, { op: 'attach' });
  }

  /** Tells the control thread that this thread has ended: it is then treated as dead, and its record is free again. */
  leave(): void {
    const control = this.arena.threadPtr(CONTROL_THREAD);
    this.arena.store(this.ptr + THREAD_STATE, THREAD_LEAVING);
    this.arena.store(control + THREAD_ATTENTION, ATTENTION_ALL);
    this.arena.wasm.threadWake(control);
  }

  /** Whether the control thread has closed the host. A plain look, as every sync of a guest has one. */
  get hostClosed(): boolean {
    return this.arena.u32[this.#controlState] !== THREAD_LIVE;
  }

  /** The waiter word now. To be read before looking for work. */
  seq(): number {
    return Atomics.load(this.arena.i32, this.#seq);
  }

  /** Counts an event of our own (a close, a stop) and wakes this thread's waits. */
  wake(): void {
    this.arena.wasm.threadWake(this.ptr);
    this.serveLocalWaits();
  }

  /** The same for any thread of the arena. A number that is nobody's is ignored. */
  wakeThread(id: number): void {
    if (id > 0 && id < THREAD_MAX) this.arena.wasm.threadWake(this.arena.threadPtr(id));
    if (!this.arena.shared) this.serveLocalWaits();
  }

  /** Blocks until an event after `seen`, or for `timeout` ms. False on timeout. Only where `canBlock`. */
  sleep(seen: number, timeout = Infinity): boolean {
    const { i32 } = this.arena;
    Atomics.store(i32, (this.ptr + THREAD_SLEEPERS) >>> 2, 1);
    const outcome = Atomics.wait(i32, this.#seq, seen, timeout);
    this.#checkAlive();
    return outcome !== 'timed-out';
  }

  /** A thread that was taken for dead while it slept has lost its ports, and its record may be another's by now. */
  #checkAlive(): void {
    const { arena, ptr } = this;
    const isAlive = arena.load(ptr + THREAD_TOKEN) === this.#token && arena.load(ptr + THREAD_STATE) === THREAD_LIVE;
    if (isAlive) return;
    throw netmapError('ESRCH', 'the host has taken this thread for dead', { op: 'sleep' });
  }

  /**
   * Resolves at an event after `seen` (true) or after `timeout` ms (false).
   * @param keepAlive whether the wait keeps the process alive
   * @throws the signal's reason when it aborts
   */
  async sleepAsync(seen: number, timeout = Infinity, signal?: AbortSignal, keepAlive = true): Promise<boolean> {
    signal?.throwIfAborted();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let local: LocalWait | undefined;
    let onAbort: (() => void) | undefined;
    const stops: Promise<boolean>[] = [];
    if (keepAlive || timeout !== Infinity) {
      stops.push(
        new Promise((resolve) => {
          timer = setTimeout(() => resolve(false), Math.min(timeout, KEEP_ALIVE_MS));
        }),
      );
    }
    if (signal) {
      stops.push(
        new Promise((_, reject) => {
          onAbort = () => reject(signal.reason);
          signal.addEventListener('abort', onAbort, { once: true });
        }),
      );
    }
    try {
      if (this.arena.shared) {
        stops.push(this.#waitShared(seen));
      } else {
        if (this.seq() !== seen) return true;
        stops.push(
          new Promise((resolve) => {
            local = { seen, resolve: () => resolve(true) };
            this.#localWaits.add(local);
          }),
        );
      }
      return await Promise.race(stops);
    } finally {
      if (timer !== undefined) clearTimeout(timer);
      if (local) this.#localWaits.delete(local);
      if (signal && onAbort) signal.removeEventListener('abort', onAbort);
    }
  }

  /** One wait on the shared word serves everybody who waits for the same value. */
  #pending: { seen: number; promise: Promise<boolean> } | undefined;

  #waitShared(seen: number): Promise<boolean> {
    if (this.#pending?.seen === seen) return this.#pending.promise;
    const { i32 } = this.arena;
    Atomics.store(i32, (this.ptr + THREAD_SLEEPERS) >>> 2, 1);
    const wait = Atomics.waitAsync(i32, this.#seq, seen);
    if (!wait.async) return Promise.resolve(true);
    const promise = wait.value.then(() => {
      if (this.#pending?.promise === promise) this.#pending = undefined;
      return true;
    });
    this.#pending = { seen, promise };
    return promise;
  }

  /**
   * Turns notifications of a ring to this thread on and off. Several ports of a thread may have one ring open, so waits
   * are counted, and the last one turns them off.
   */
  watch(kring: number, on: boolean): void {
    const waits = (this.#watched.get(kring) ?? 0) + (on ? 1 : -1);
    if (waits === 0) this.#watched.delete(kring);
    else this.#watched.set(kring, waits);
    const bit = 1n << BigInt(this.id);
    const word = (kring + KRING_WAITERS) >>> 3;
    if (on && waits === 1) Atomics.or(this.arena.u64, word, bit);
    if (waits !== 0) return;
    Atomics.and(this.arena.u64, word, ~bit);
    if (!this.#runsLoopOf(kring)) return;
    // The loop waits by the same bit: the next pass sees what has come meanwhile.
    Atomics.or(this.arena.u64, word, bit);
    this.arena.wasm.threadWake(this.ptr);
  }

  /** Whether a kernel loop of this thread has the ring: a monitor of it is open in the same thread. */
  #runsLoopOf(kring: number): boolean {
    const loop = this.arena.load(kring + KRING_LOOP);
    return loop !== 0 && this.arena.load(loop + KLOOP_THREAD) === this.ptr;
  }

  /** Unshared memory: nobody else can wake this thread, so calls that may have moved a ring end with this. */
  serveLocalWaits(): void {
    if (this.#localWaits.size === 0) return;
    const now = this.seq();
    for (const wait of this.#localWaits) {
      if (wait.seen === now) continue;
      this.#localWaits.delete(wait); // its promise's turn may come after many more events
      wait.resolve();
    }
  }

  /** Has this thread do something when it is woken with a bit of THREAD_ATTENTION set, and once soon. Returns what ends it. */
  addService(service: Service): () => void {
    const { arena, ptr } = this;
    const bit = 31 - Math.clz32(service.attention);
    this.#services[bit] = [...this.#services[bit], service];
    Atomics.or(arena.u32, (ptr + THREAD_ATTENTION) >>> 2, service.attention);
    return () => {
      this.#services[bit] = this.#services[bit].filter((other) => other !== service);
    };
  }

  /** Does what others want of this thread. If something throws, what comes after it is done by the next call. */
  #attend(): void {
    const { arena } = this; // its views may be others after a handler
    const attention = (this.ptr + THREAD_ATTENTION) >>> 2;
    let bits = Atomics.exchange(arena.u32, attention, 0);
    if (bits & ATTENTION_ALL) bits = -1;
    try {
      for (; bits !== 0; bits &= bits - 1) {
        for (const { run, word } of this.#services[31 - Math.clz32(bits & -bits)]) {
          if (word === undefined || arena.u32[word >>> 2] !== 0) run();
        }
      }
    } finally {
      if (bits !== 0) Atomics.or(arena.u32, attention, bits);
    }
  }

  /** Has words copied around each pass of this thread over its kernel loops. Returns what ends it. */
  addCopies(copies: PassCopies): () => void {
    this.#copies.add(copies);
    return () => this.#copies.delete(copies);
  }

  /**
   * Rings the doorbell of a ring of a kernel loop. If the loop runs in this thread, the ring is looked at, and other events
   * of this thread not every time; but where a pass has copies to make, or waits of unshared memory to end, always.
   */
  doorbell(loop: number, ring: number): void {
    const { arena, ptr } = this;
    const isLooking = arena.u32[(ptr + THREAD_LOOKING) >>> 2] !== 0;
    const isFree = arena.shared && !this.#serving && !isLooking && this.#copies.size === 0;
    if (isFree && ++this.#doorbells % DOORBELLS !== 0) {
      const done = arena.wasm.kloopDoorbell(loop, ring, ptr) !== 0;
      if (done && arena.u32[(ptr + THREAD_ATTENTION) >>> 2] === 0) return;
    } else {
      arena.wasm.kloopKick(loop, ring, ptr);
    }
    if (isLooking) arena.wasm.threadWake(ptr); // from a lookup of the user's: what it has left is for later
    this.service();
  }

  /** One pass over the kernel loops; how many had something to do. */
  #pass(): number {
    const { wasm } = this.arena;
    if (this.#copies.size === 0) return wasm.kloopPass(this.ptr);
    for (const copies of this.#copies) copies.copyIn();
    const worked = wasm.kloopPass(this.ptr);
    for (const copies of this.#copies) copies.copyOut();
    return worked;
  }

  /**
   * Does what others left to this thread: kernel loops that it serves, interrupts of its devices. Polls call it; an idle
   * thread with devices calls it from `serve`.
   */
  service(): void {
    if (this.#serving) return; // called from an interrupt handler: the outer call goes on until nothing is left
    const { arena, ptr } = this;
    if (arena.u32[(ptr + THREAD_LOOKING) >>> 2] !== 0) return; // called from a lookup of the user's, inside a sync
    this.#serving = true;
    const attention = (ptr + THREAD_ATTENTION) >>> 2;
    const loops = (ptr + THREAD_NLOOPS) >>> 2;
    let rounds = 0;
    let isDone = false;
    try {
      for (; rounds < MAX_ROUNDS; rounds++) {
        const worked = arena.u32[loops] === 0 ? 0 : this.#pass();
        if (arena.u32[attention] !== 0) {
          this.#attend();
        } else if (worked === 0) {
          break;
        }
      }
      isDone = rounds < MAX_ROUNDS;
    } finally {
      this.#serving = false;
      // There is more, or something has thrown: the caller must not sleep, and nobody else wakes it for what is there already.
      if (!isDone) arena.wasm.threadWake(ptr);
    }
    if (!arena.shared) this.serveLocalWaits();
  }

  /** Serves this thread's events from its event loop until the signal aborts. Does not keep the process alive. */
  async serve(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const seen = this.seq();
      this.service();
      try {
        await this.sleepAsync(seen, Infinity, signal, false);
      } catch {
        return; // aborted
      }
    }
  }
}
