// How a thread asks the control thread: a JSON request in the slot of its own record, answered in place. The asking
// thread blocks if it may, else it awaits.

import {
  REQ_DONE,
  REQ_IDLE,
  REQ_POSTED,
  REQ_TAKEN,
  THREAD_ATTENTION,
  THREAD_LEAVING,
  THREAD_LEFT,
  THREAD_LIVE,
  THREAD_MAX,
  THREAD_REQ_DATA,
  THREAD_REQ_LEN,
  THREAD_REQ_SIZE,
  THREAD_REQ_STATE,
  THREAD_STATE,
} from '../../assembly/abi/arena.js';
import { NetmapError, type NetmapErrorJSON, netmapError } from '../errors.js';
import type { Arena } from '../memory/arena.js';
import { CONTROL_THREAD, type Thread } from './thread.js';

/** Looks at the answer this often (ms), in case that the control thread has ended. */
const PATIENCE = 1000;

type Answer = { result: unknown } | { error: NetmapErrorJSON };

function write(arena: Arena, record: number, value: unknown): void {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  if (bytes.length > THREAD_REQ_SIZE)
    throw netmapError('EMSGSIZE', `a request of ${bytes.length} bytes`, { op: 'request' });
  arena.u8.set(bytes, record + THREAD_REQ_DATA);
  arena.store(record + THREAD_REQ_LEN, bytes.length);
}

function read(arena: Arena, record: number): unknown {
  const length = Math.min(arena.load(record + THREAD_REQ_LEN), THREAD_REQ_SIZE);
  // slice(): TextDecoder refuses views of shared memory in browsers
  const bytes = arena.u8.slice(record + THREAD_REQ_DATA, record + THREAD_REQ_DATA + length);
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
    write(arena, ptr, { op, args });
    arena.store(ptr + THREAD_REQ_STATE, REQ_POSTED);
    const control = arena.threadPtr(CONTROL_THREAD);
    arena.store(control + THREAD_ATTENTION, 1);
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

/** Takes the requests that wait and answers each when `handle` has resolved. Control thread only. */
export function serveRequests(
  arena: Arena,
  handle: (tid: number, op: string, args: unknown) => Promise<unknown>,
  onLeave: (tid: number) => void,
): void {
  for (let tid = CONTROL_THREAD + 1; tid < THREAD_MAX; tid++) {
    const record = arena.threadPtr(tid);
    if (arena.load(record + THREAD_STATE) === THREAD_LEAVING) {
      arena.store(record + THREAD_STATE, THREAD_LEFT);
      onLeave(tid);
      continue;
    }
    if (arena.u32[(record + THREAD_REQ_STATE) >>> 2] !== REQ_POSTED) continue;
    arena.store(record + THREAD_REQ_STATE, REQ_TAKEN);
    const { op, args } = read(arena, record) as { op: string; args: unknown };
    handle(tid, op, args).then(
      (result) => answer(arena, record, { result: result ?? null }),
      (error) => answer(arena, record, { error: asJSON(error, op) }),
    );
  }
}

function asJSON(error: unknown, op: string): NetmapErrorJSON {
  if (error instanceof NetmapError) return error.toJSON();
  return netmapError('EIO', error instanceof Error ? error.message : String(error), { op }).toJSON();
}

function answer(arena: Arena, record: number, value: Answer): void {
  if (arena.load(record + THREAD_REQ_STATE) !== REQ_TAKEN) return; // the thread has died meanwhile
  try {
    write(arena, record, value);
  } catch (error) {
    write(arena, record, { error: asJSON(error, 'answer') });
  }
  const state = (record + THREAD_REQ_STATE) >>> 2;
  Atomics.store(arena.i32, state, REQ_DONE);
  if (arena.shared) Atomics.notify(arena.i32, state);
}
