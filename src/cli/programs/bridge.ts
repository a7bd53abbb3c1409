// bridge: forwards frames between two ports, both ways. Buffers are swapped where the ports share a region, frames are
// copied where they do not (moveSlots knows).

import { abi, moveSlots, type NetmapPort, pollManySync } from '../../index.js';
import type { ProgramControl } from '../control.js';
import { failure } from '../errors.js';
import type { BridgeOptions, ProgramResult } from './options.js';
import { pendingSlots } from './slots.js';
import { LOOK_EVERY, Traffic, waitFor } from './traffic.js';

const { POLLERR, POLLIN, POLLOUT } = abi;
/** How long (ms) a bridge that ends waits for its last frames to be taken. */
const FLUSH_LIMIT = 100;

/** @throws NetmapError EIO (a sync failed) */
export function bridge(
  { burst, wait }: BridgeOptions,
  [a, b]: readonly NetmapPort[],
  control: ProgramControl,
): ProgramResult {
  const traffic = new Traffic(control);
  let packets = 0;
  waitFor(wait, control);
  for (;;) {
    const ready = pollManySync(
      [
        { port: a, events: wanted(a, b) },
        { port: b, events: wanted(b, a) },
      ],
      LOOK_EVERY,
    );
    if ((ready[0] | ready[1]) & POLLERR) throw failure('EIO', 'poll failed: a port is closed, or a ring stopped');
    if ((ready[0] | ready[1]) & POLLIN) traffic.arrived();
    const moved = forward(a, b, burst) + forward(b, a, burst);
    if (moved !== 0) {
      packets += moved;
      traffic.seen();
      control.publish(packets, 0);
    } else if (traffic.isOver()) {
      break;
    }
  }
  flush([a, b], control);
  return { packets, bytes: 0, seconds: traffic.seconds };
}

/** Where frames wait to be forwarded, room on the other side is what to wait for. */
function wanted(port: NetmapPort, other: NetmapPort): number {
  return (received(port) ? 0 : POLLIN) | (received(other) ? POLLOUT : 0);
}

function received(port: NetmapPort): boolean {
  for (const ring of port.rxRings) if (ring.cur !== ring.tail) return true;
  return false;
}

/** Moves up to `burst` slots of each rx ring of `from`, in the order of the rings. */
function forward(from: NetmapPort, to: NetmapPort, burst: number): number {
  let moved = 0;
  for (let r = 0, t = 0; r < from.rxRings.length && t < to.txRings.length; ) {
    const rx = from.rxRings[r];
    const tx = to.txRings[t];
    if (rx.space === 0) r++;
    else if (tx.space === 0) t++;
    else {
      moved += moveSlots(rx, tx, burst);
      r++;
    }
  }
  return moved;
}

function flush(ports: readonly NetmapPort[], control: ProgramControl): void {
  const until = performance.now() + FLUSH_LIMIT;
  for (;;) {
    for (const port of ports) port.txsync();
    const pending = ports.some(({ txRings }) => txRings.some((ring) => pendingSlots(ring) !== 0));
    if (!pending || performance.now() >= until) return;
    control.sleep(1);
  }
}
