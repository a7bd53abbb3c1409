// How a thread asks the control thread: a JSON request in the slot of its own record, answered in place. The asking
// thread blocks if it may, else it awaits.

import {
  ATTENTION_ALL,
  REQ_DONE,
  REQ_IDLE,
  REQ_POSTED,
  REQ_TAKEN,
  THREAD_ATTENTION,
  THREAD_LEAVING,
  THREAD_LIVE,
  THREAD_MAX,
  THREAD_REQ_DATA,
  THREAD_REQ_LEN,
  THREAD_REQ_PTR,
  THREAD_REQ_SIZE,
  THREAD_REQ_STATE,
  THREAD_STATE,
} from '../../assembly/abi/arena.js';
import { NetmapError, type NetmapErrorJSON, netmapError } from '../errors.js';
import type { Arena, ArenaOwner } from '../memory/arena.js';
import { CONTROL_THREAD, type Thread } from './thread.js';

/** Looks at the answer this often (ms), in case that the control thread has ended. */
const PATIENCE = 1000;

type Answer = { result: unknown } | { error: NetmapErrorJSON };

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

function write(arena: Arena, record: number, bytes: Uint8Array, at = record + THREAD_REQ_DATA): void {
  arena.u8.set(bytes, at);
  arena.store(record + THREAD_REQ_PTR, at);
  arena.store(record + THREAD_REQ_LEN, bytes.length);
}

function read(arena: Arena, record: number): unknown {
  const at = arena.load(record + THREAD_REQ_PTR);
  // slice(): TextDecoder refuses views of shared memory in browsers
  const bytes = arena.u8.slice(at, at + arena.load(record + THREAD_REQ_LEN));
  return JSON.parse(new TextDecoder().decode(bytes));
}

/** Asks from a thread that is not the control thread. Requests of one thread are served one after the other. */
export class Requester {
  readonly #thread: Thread;
  #last: Promise<unknown> = Promise.resolve();

  constructor(thread: Thread) {
    this.#thread = thread;
  }

  /** @throws NetmapError that the control thread answered with */
  request(op: string, args: unknown): Promise<unknown> {
    const next = this.#last.then(
      () => this.#ask(op, args),
      () => this.#ask(op, args),
    );
    this.#last = next;
    return next;
  }

  /** The same, blocking; only where the thread may block, and while no other request is pending. */
  requestSync(op: string, args: unknown): unknown {
    if (!this.#thread.canBlock) throw netmapError('EOPNOTSUPP', 'this thread may not block', { op });
    this.#post(op, args);
    const { arena, ptr } = this.#thread;
    const state = (ptr + THREAD_REQ_STATE) >>> 2;
    for (;;) {
      const now = Atomics.load(arena.i32, state);
      if (now === REQ_DONE) return this.#finish();
      Atomics.wait(arena.i32, state, now, PATIENCE);
      this.#checkControl();
    }
  }

  async #ask(op: string, args: unknown): Promise<unknown> {
    if (this.#thread.canBlock) return this.requestSync(op, args);
    this.#post(op, args);
    const { arena, ptr } = this.#thread;
    const state = (ptr + THREAD_REQ_STATE) >>> 2;
    for (;;) {
      const now = Atomics.load(arena.i32, state);
      if (now === REQ_DONE) return this.#finish();
      const wait = Atomics.waitAsync(arena.i32, state, now, PATIENCE);
      if (wait.async) await Promise.race([wait.value, new Promise((resolve) => setTimeout(resolve, PATIENCE))]);
      this.#checkControl();
    }
  }

  #post(op: string, args: unknown): void {
    const { arena, ptr } = this.#thread;
    if (arena.load(ptr + THREAD_REQ_STATE) !== REQ_IDLE) {
      throw netmapError('EBUSY', 'a request of this thread is pending', { op });
    }
    this.#checkControl();
    const bytes = encode({ op, args });
    if (bytes.length > THREAD_REQ_SIZE) throw netmapError('EMSGSIZE', `a request of ${bytes.length} bytes`, { op });
    write(arena, ptr, bytes);
    arena.store(ptr + THREAD_REQ_STATE, REQ_POSTED);
    const control = arena.threadPtr(CONTROL_THREAD);
    arena.store(control + THREAD_ATTENTION, ATTENTION_ALL);
    arena.wasm.threadWake(control);
  }

  #finish(): unknown {
    const { arena, ptr } = this.#thread;
    const answer = read(arena, ptr) as Answer;
    arena.store(ptr + THREAD_REQ_STATE, REQ_IDLE);
    if ('error' in answer) throw NetmapError.fromJSON(answer.error);
    return answer.result;
  }

  #checkControl(): void {
    const { arena } = this.#thread;
    if (arena.load(arena.threadPtr(CONTROL_THREAD) + THREAD_STATE) === THREAD_LIVE) return;
    throw netmapError('ENXIO', 'the host is closed', { op: 'request' });
  }
}

/** Serves the requests of all threads. Control thread only. */
export class RequestServer {
  readonly #arena: ArenaOwner;
  readonly #handle: (tid: number, op: string, args: unknown) => Promise<unknown>;
  readonly #onLeave: (tid: number) => void;
  /** Memory of answers that did not fit the slot, by record; given back at the thread's next request or its end. */
  readonly #long = new Map<number, number>();

  constructor(
    arena: ArenaOwner,
    handle: (tid: number, op: string, args: unknown) => Promise<unknown>,
    onLeave: (tid: number) => void,
  ) {
    this.#arena = arena;
    this.#handle = handle;
    this.#onLeave = onLeave;
  }

  /** Takes the requests that wait; each is answered when its operation has ended. */
  serve(): void {
    const arena = this.#arena;
    for (let tid = CONTROL_THREAD + 1; tid < THREAD_MAX; tid++) {
      const record = arena.threadPtr(tid);
      const state = arena.load(record + THREAD_STATE);
      if (state === THREAD_LEAVING) this.#onLeave(tid);
      // What a dead thread has asked for last is not done any more: its end has been queued.
      if (state !== THREAD_LIVE) continue;
      if (arena.load(record + THREAD_REQ_STATE) !== REQ_POSTED) continue;
      arena.store(record + THREAD_REQ_STATE, REQ_TAKEN);
      const { op, args } = read(arena, record) as { op: string; args: unknown };
      this.forget(record);
      this.#handle(tid, op, args).then(
        (result) => this.#answer(record, { result: result ?? null }),
        (error) => this.#answer(record, { error: asJSON(error, op) }),
      );
    }
  }

  /** Gives back what the last answer of a thread took. */
  forget(record: number): void {
    const address = this.#long.get(record);
    if (address === undefined) return;
    this.#long.delete(record);
    this.#arena.free(address);
  }

  #answer(record: number, answer: Answer): void {
    const arena = this.#arena;
    if (arena.load(record + THREAD_REQ_STATE) !== REQ_TAKEN) return; // the thread has died meanwhile
    const bytes = encode(answer);
    if (bytes.length <= THREAD_REQ_SIZE) {
      write(arena, record, bytes);
    } else {
      try {
        const address = arena.alloc(bytes.length, 'an answer');
        this.#long.set(record, address);
        write(arena, record, bytes, address);
      } catch (error) {
        write(arena, record, encode({ error: asJSON(error, 'answer') }));
      }
    }
    const state = (record + THREAD_REQ_STATE) >>> 2;
    Atomics.store(arena.i32, state, REQ_DONE);
    if (arena.shared) Atomics.notify(arena.i32, state);
  }
}

function asJSON(error: unknown, op: string): NetmapErrorJSON {
  if (error instanceof NetmapError) return error.toJSON();
  return netmapError('EIO', error instanceof Error ? error.message : String(error), { op }).toJSON();
}
