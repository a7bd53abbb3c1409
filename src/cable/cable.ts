// A cable: joins a port in one memory with a port in another, in a thread that has an event loop and both ports. This is
// how a program or a guest with a memory of its own takes part: it gets the bytes of the frames that were sent to it, and
// nothing else of the other memory is within its reach.

import { type NetmapError, netmapError } from '../errors.js';
import type { NetmapPort } from '../ring/port.js';
import { nextTurn } from '../threads/turn.js';
import type { DirectionCounters } from './counters.js';
import { Direction } from './direction.js';
import { checkPorts, Pump, Side } from './pump.js';

/** Counters of a cable. */
export interface CableCounters {
  readonly aToB: DirectionCounters;
  readonly bToA: DirectionCounters;
}

export interface CableOptions {
  /** Whether the cable keeps the process alive. Default false. */
  readonly keepAlive?: boolean;
  /**
   * `a` stands for `b` where a program is that cannot reach `b`: frames pass with headers of any length, and the marks of
   * received ones, NS_TXMON and NS_RFRAGS, reach `a`. Default false.
   */
  readonly standIn?: boolean;
  /** Slots of `a` with NS_INDIRECT name packets anywhere in its memory. Default false: they are bad. */
  readonly indirect?: boolean;
}

/** A cable between two ports. */
export interface Cable {
  counters(): CableCounters;
  /**
   * Passes on what there is now, for callers who do not want to wait for the event loop: within the budget of one
   * activation. True if there may be more. Never throws; after the end it does nothing.
   */
  pump(): boolean;
  /**
   * Resolves when the cable has ended: undefined after `close`, else why: a port was closed or stopped, or a side's
   * memory is beyond use.
   */
  readonly ended: Promise<NetmapError | undefined>;
  /** Takes the two ports apart. What was copied is handed over; the ports stay open. */
  close(): Promise<void>;
}

/** Activations in a row without a turn of the event loop: a side may wake the cable as fast as it sleeps. */
const ACTIVATIONS = 16;

/**
 * Joins two ports of different memories, of this thread both: frames received by one are sent by the other, in both
 * directions or in the one that the ports have rings for. Nobody else may use their rings meanwhile.
 *
 * Packets are passed on whole or not at all, with exactly their bytes; of the flags NS_MOREFRAG is kept. What finds no
 * room stays in its ring, so that a pipe's sender waits, and a switch drops. Slots that are larger than the other side's
 * buffers are split.
 * @throws NetmapError EINVAL: a port is closed, has no ring for the other one, or a ring that does not lie in its memory;
 * the lengths of their virtio-net headers differ; both are in one memory
 */
export function joinPorts(a: NetmapPort, b: NetmapPort, options: CableOptions = {}): Cable {
  const { keepAlive = false, standIn: marks = false, indirect = false } = options;
  checkPorts(a, b, 'joinPorts', marks);
  const aToB = new Direction(a, b, { indirect });
  const bToA = new Direction(b, a, { marks });
  if (!aToB.exists && !bToA.exists) {
    throw netmapError('EINVAL', 'no rx ring meets a tx ring', { op: 'joinPorts', port: a.name });
  }
  const [sideA, sideB] = [new Side(a), new Side(b)];
  const flows = [
    { direction: aToB, from: sideA, to: sideB },
    { direction: bToA, from: sideB, to: sideA },
  ].filter(({ direction }) => direction.exists);
  const driver = new Driver(new Pump([sideA, sideB], flows), keepAlive);
  return {
    counters: () => ({ aToB: aToB.counters(), bToA: bToA.counters() }),
    pump: () => driver.pump(),
    ended: driver.ended,
    close: () => driver.close(),
  };
}

/** Runs a pump from the event loop. */
class Driver {
  readonly ended: Promise<NetmapError | undefined>;
  readonly #pump: Pump;
  readonly #keepAlive: boolean;
  readonly #stop = new AbortController();
  /** Sides with a sleep under way. It goes on when the other side wakes the cable. */
  readonly #sleeping = new Set<Side>();
  #open = true;
  #woken = false;
  #wake: (() => void) | undefined;
  #error: unknown;

  constructor(pump: Pump, keepAlive: boolean) {
    this.#pump = pump;
    this.#keepAlive = keepAlive;
    this.ended = this.#run();
  }

  pump(): boolean {
    if (!this.#open) return false;
    try {
      const more = this.#pump.activate();
      if (this.#pump.moved) this.#endSleep(); // what was moved has turned the wake-ups off
      return more;
    } catch (error) {
      this.#error = error;
      this.#endSleep();
      return false;
    }
  }

  async close(): Promise<void> {
    this.#open = false;
    this.#endSleep();
    await this.ended;
  }

  async #run(): Promise<NetmapError | undefined> {
    const pump = this.#pump;
    try {
      await undefined; // the caller has the cable before its first frame moves
      for (let activations = 1; this.#open; activations++) {
        const more = pump.activate();
        if (more || activations % ACTIVATIONS === 0) await nextTurn();
        // The waiter words were read before the last look, so nothing is lost between it and the sleep.
        if (!more && !pump.arm()) await this.#sleep();
      }
      return undefined;
    } catch (error) {
      return pump.reason(error);
    } finally {
      this.#open = false;
      this.#stop.abort();
      pump.finish();
    }
  }

  /** Resolves at an event of a side that is waited for, or at `close`. */
  async #sleep(): Promise<void> {
    for (const side of this.#pump.sides) if (side.subscribed && !this.#sleeping.has(side)) this.#watch(side);
    if (!this.#woken && this.#open) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#woken = false;
    if (this.#error !== undefined) throw this.#error;
  }

  #watch(side: Side): void {
    this.#sleeping.add(side);
    side.port.waiting.sleepAsync(side.seen, Infinity, this.#stop.signal, this.#keepAlive).then(
      () => {
        this.#sleeping.delete(side);
        this.#pump.countWakeUp(side);
        this.#endSleep();
      },
      (error: unknown) => {
        this.#error = error; // after the end this is the abort, and nobody asks
        this.#endSleep();
      },
    );
  }

  #endSleep(): void {
    this.#woken = true;
    this.#wake?.();
    this.#wake = undefined;
  }
}
