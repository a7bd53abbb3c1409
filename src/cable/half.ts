// One direction of a cable in a thread that blocks. A thread can sleep on one word at a time, and a direction waits at
// one side at a time, for packets or for room: so each direction has a worker, and both memories are shared.

import { netmapError } from '../errors.js';
import type { NetmapPort } from '../ring/port.js';
import type { DirectionCounters } from './counters.js';
import { Direction } from './direction.js';
import { checkPorts, Pump, Side } from './pump.js';

/** One direction of a cable. */
export interface CableHalf {
  /**
   * Passes packets on for `timeout` ms, sleeping while there are none.
   * @returns packets passed on
   * @throws NetmapError EIO when a port has gone, or a side's memory is beyond use
   */
  run(timeout?: number): number;
  counters(): DirectionCounters;
}

/** How long it spins before it sleeps, in ms: less than a wake-up costs (docs/benchmarks.md). */
const SPIN_MS = 0.02;

/**
 * One direction of what `joinPorts` does, for a worker: from the only rx ring of `from` to the tx rings of `to`. Ports
 * opened with `/R` and `/T` share a port with the worker of the other direction; with `-N` too, rings get workers of
 * their own.
 * @throws NetmapError EOPNOTSUPP on a thread that must not block or an unshared memory; EINVAL as joinPorts, and if
 * `from` has another number of rx rings than one
 */
export function joinPortsSync(from: NetmapPort, to: NetmapPort): CableHalf {
  const op = 'joinPortsSync';
  for (const { waiting, name } of [from, to]) {
    if (!waiting.canBlock) throw netmapError('EOPNOTSUPP', 'this thread may not block', { op, port: name });
  }
  checkPorts(from, to, op);
  const { length } = from.rxRings;
  if (length !== 1) throw netmapError('EINVAL', `${length} rx rings: open one of them`, { op, port: from.name });
  const direction = new Direction(from, to);
  if (!direction.exists) throw netmapError('EINVAL', 'it has no tx ring', { op, port: to.name });
  const [source, target] = [new Side(from), new Side(to)];
  const pump = new Pump([source, target], [{ direction, from: source, to: target }]);

  const loop = (until: number): void => {
    let idleSince = Infinity;
    for (;;) {
      pump.activate();
      const now = performance.now();
      if (now >= until) return;
      idleSince = pump.moved ? Infinity : Math.min(idleSince, now);
      if (now - idleSince < SPIN_MS || pump.arm()) continue;
      const side = direction.waitsForRoom ? target : source;
      if (side.port.waiting.sleep(side.seen, until - now)) pump.countWakeUp(side);
    }
  };
  return {
    run: (timeout = Infinity) => {
      const before = direction.counters().frames;
      try {
        loop(performance.now() + timeout);
      } catch (error) {
        throw pump.reason(error);
      } finally {
        pump.finish();
      }
      return direction.counters().frames - before;
    },
    counters: () => direction.counters(),
  };
}
