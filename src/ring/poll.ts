// poll(2) over one or several ports of a thread: a look, a short spin where the thread may block, then a sleep on the
// thread's waiter word. What happens between the look and the sleep is never lost: the word is read before the look.

import { netmapError } from '../errors.js';
import { Spins } from './spins.js';

/** Waiting, as the thread or the machine that a port is used from can do it. */
export interface Waiting {
  /** Whether `sleep` may be called. */
  readonly canBlock: boolean;
  seq(): number;
  sleep(seen: number, timeout?: number): boolean;
  /** @param keepAlive whether the wait keeps the process alive, where the platform would end it; default true */
  sleepAsync(seen: number, timeout?: number, signal?: AbortSignal, keepAlive?: boolean): Promise<boolean>;
  /** Does what events have left to this thread to do. */
  service(): void;
  /** Ends the sleeps of this thread: their waits look again. */
  wake(): void;
}

/** How long a poll waits. */
export interface PollOptions {
  /** Milliseconds; Infinity (the default, INFTIM of poll(2)) waits for ever, 0 looks once. */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
}

/** What poll needs of a port. */
export interface Pollable {
  readonly name: string;
  readonly waiting: Waiting;
  /** One look: the ready events among `events`. */
  pollOnce(events: number): number;
  /**
   * Turns the notifications of the port's rings to this thread on and off. True when that has changed anything: who has looked
   * before looks again.
   */
  subscribe(on: boolean): boolean;
}

/** One port of a poll over several. */
export interface PollRequest {
  readonly port: Pollable;
  /** POLLIN, POLLOUT. */
  readonly events: number;
}

/** How long a blocking poll spins before it sleeps, in ms: a sleep and its wake-up cost up to 30 µs. */
const SPIN_MS = 0.02;
const SPIN_CHECK = 32;
const spins = new Spins();

function look(requests: readonly PollRequest[], ready: number[]): boolean {
  let any = false;
  for (let i = 0; i < requests.length; i++) {
    const { port, events } = requests[i];
    ready[i] = port.pollOnce(events);
    any ||= ready[i] !== 0;
  }
  return any;
}

/** True when the last look may have missed what came before the subscription: it has to be repeated. */
function subscribe(requests: readonly PollRequest[]): boolean {
  let again = false;
  for (const { port } of requests) again = port.subscribe(true) || again;
  return again;
}

/** The thread's waiting; all ports of a poll belong to one thread. */
function waitingOf(requests: readonly PollRequest[], timeout: number): Waiting {
  if (!(timeout >= 0)) {
    // DIFF: INFTIM is -1 in poll(2). Here that is what is left of a time that has passed, and must not wait for ever.
    throw netmapError('EINVAL', `a timeout of ${timeout} ms: 0 looks once, Infinity waits for ever`, { op: 'poll' });
  }
  const waiting = requests[0]?.port.waiting;
  if (!waiting || requests.some(({ port }) => port.waiting !== waiting)) {
    throw netmapError('EINVAL', 'poll needs ports, all of one thread', { op: 'poll' });
  }
  return waiting;
}

/**
 * Waits until one of the ports is ready.
 * @returns the ready events of each, all 0 on timeout
 * @throws NetmapError EINVAL for no ports, ports of several threads, a timeout below 0 or NaN; the signal's reason when
 * it aborts
 */
export async function pollMany(requests: readonly PollRequest[], options: PollOptions = {}): Promise<number[]> {
  const { timeout = Infinity, signal } = options;
  const waiting = waitingOf(requests, timeout);
  const until = performance.now() + timeout;
  const ready: number[] = [];
  let subscribed = false;
  try {
    for (;;) {
      signal?.throwIfAborted();
      const seen = waiting.seq();
      waiting.service();
      const left = until - performance.now();
      if (look(requests, ready) || left <= 0) return ready;
      if (!subscribed) {
        subscribed = true;
        if (subscribe(requests)) continue;
      }
      await waiting.sleepAsync(seen, left, signal);
    }
  } finally {
    if (subscribed) for (const { port } of requests) port.subscribe(false);
  }
}

/**
 * The same, blocking the thread; in workers only.
 * @param timeout milliseconds
 * @param stop asked after every wake-up: true ends the wait, too
 * @throws NetmapError EOPNOTSUPP on a thread that must not block, EINVAL as pollMany
 */
export function pollManySync(
  requests: readonly PollRequest[],
  timeout = Infinity,
  stop: () => boolean = () => false,
): number[] {
  const waiting = waitingOf(requests, timeout);
  if (!waiting.canBlock) {
    throw netmapError('EOPNOTSUPP', 'this thread may not block: use poll()', {
      op: 'poll',
      port: requests[0].port.name,
    });
  }
  const ready: number[] = [];
  if (timeout === 0 || !spins.skip()) {
    if (look(requests, ready)) return ready; // no spin was needed, which says nothing about spins
    const found = spin(requests, waiting, ready, timeout);
    if (timeout === 0) return ready;
    spins.ended(found);
    if (found) return ready;
  }
  const until = performance.now() + timeout;
  let subscribed = false;
  try {
    for (;;) {
      const seen = waiting.seq();
      waiting.service();
      if (look(requests, ready) || stop()) return ready;
      if (!subscribed) {
        subscribed = true;
        if (subscribe(requests)) continue;
      }
      const left = until - performance.now();
      if (left <= 0) return ready;
      waiting.sleep(seen, left);
    }
  } finally {
    if (subscribed) for (const { port } of requests) port.subscribe(false);
  }
}

function spin(requests: readonly PollRequest[], waiting: Waiting, ready: number[], timeout: number): boolean {
  let until = -1;
  for (let i = 0; ; i++) {
    if (look(requests, ready)) return true;
    if (timeout === 0) return false;
    if (i % SPIN_CHECK !== 0) continue;
    const now = performance.now();
    if (until < 0) until = now + Math.min(SPIN_MS, timeout);
    else if (now >= until) return false;
    waiting.service();
  }
}
