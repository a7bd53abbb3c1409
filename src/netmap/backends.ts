// Backends of network interfaces that need nothing outside the host: what is transmitted comes back, or comes out of
// another interface. They show what a backend is: a program that takes slots from the wire's rx rings and gives slots
// to its tx rings, a batch at a time. The threads of both wires are the one that calls.

import { POLLERR, POLLIN } from '../abi.js';
import { moveSlots } from '../ring/move.js';
import { pollMany, pollManySync } from '../ring/poll.js';
import type { NetmapPort } from '../ring/port.js';

export interface BackendOptions {
  /** Blocks the thread instead of awaiting: for workers that do nothing else. The promise then settles at the end. */
  readonly blocking?: boolean;
  /** Ends the backend; not while it blocks. */
  readonly signal?: AbortSignal;
}

/** A wire, and where what comes out of it goes to. */
type Way = readonly [from: NetmapPort, to: NetmapPort];

/** How long (ms) a backend works on without giving other code of its thread a turn. */
const TURN_MS = 5;

/**
 * Sends back what an interface transmits, ring by ring, until the interface is closed.
 * @throws the signal's reason when it aborts
 */
export function loopback(wire: NetmapPort, options?: BackendOptions): Promise<void> {
  return relay([[wire, wire]], options);
}

/**
 * Joins two interfaces by a cable: each receives what the other transmits, ring by ring, until one of them is closed.
 * @throws the signal's reason when it aborts
 */
export function crossWire(a: NetmapPort, b: NetmapPort, options?: BackendOptions): Promise<void> {
  return relay(
    [
      [a, b],
      [b, a],
    ],
    options,
  );
}

async function relay(ways: readonly Way[], { blocking = false, signal }: BackendOptions = {}): Promise<void> {
  const requests = ways.map(([port]) => ({ port, events: POLLIN }));
  let started = performance.now();
  for (;;) {
    const ready = blocking ? pollManySync(requests) : await pollMany(requests, signal ? { signal } : {});
    if (ready.some((events) => events & POLLERR)) return;
    for (const [from, to] of ways) pass(from, to);
    if (blocking || performance.now() - started < TURN_MS) continue;
    await new Promise((resolve) => setTimeout(resolve, 0));
    started = performance.now();
  }
}

/** Everything that `from` has received goes out of `to`, which never makes us wait. */
function pass(from: NetmapPort, to: NetmapPort): void {
  for (const [i, rx] of from.rxRings.entries()) {
    const tx = to.txRings[i % to.txRings.length];
    // No more than a ring holds: whoever shares the region may write the tail, and would keep us here.
    for (let left = rx.numSlots; left > 0 && rx.cur !== rx.tail; ) {
      const moved = moveSlots(rx, tx, left);
      if (to.txsync() < 0) return; // the interface is gone
      if (moved === 0) break; // a thread that polls the ring has it: after the next poll
      left -= moved;
    }
  }
}
