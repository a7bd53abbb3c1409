// bridge: forwards frames between two ports, both ways, or from a port back to it (-L). Buffers are swapped where the
// ports share a region, frames are copied where they do not (moveSlots knows).

import { abi, moveSlots, type NetmapPort, pollManySync } from '../../index.js';
import type { ProgramControl } from '../control.js';
import { failure } from '../errors.js';
import type { BridgeOptions, ProgramResult } from './options.js';
import { pendingSlots } from './slots.js';
import { LOOK_EVERY, Traffic, waitFor } from './traffic.js';

const { POLLERR, POLLIN, POLLOUT } = abi;
/** How long (ms) a bridge that ends waits for its last frames to be taken. */
const FLUSH_LIMIT = 100;

/**
 * @param names of the ports, as the user wrote them
 * @throws NetmapError EIO (a sync failed), EINVAL (the headers of the ports differ)
 */
export function bridge(
  { burst, wait, copy, verbose, outside = false }: BridgeOptions,
  [a, b = a]: readonly NetmapPort[],
  names: readonly string[],
  control: ProgramControl,
): ProgramResult {
  checkHeaders(a, b);
  const traffic = new Traffic(control, outside);
  const isLoop = a === b;
  const ways = [0, 0];
  let packets = 0;
  waitFor(wait, control);
  for (;;) {
    const requests = [{ port: a, events: wanted(a, b) }];
    if (!isLoop) requests.push({ port: b, events: wanted(b, a) });
    const ready = pollManySync(requests, LOOK_EVERY).reduce((all, events) => all | events, 0);
    if (ready & POLLERR) throw failure('EIO', 'poll failed: a port is closed, or a ring stopped');
    if (ready & POLLIN) traffic.arrived();
    const there = forward(a, b, burst, copy);
    const back = isLoop ? 0 : forward(b, a, burst, copy);
    ways[0] += there;
    ways[1] += back;
    const moved = there + back;
    if (moved !== 0) {
      packets += moved;
      traffic.seen();
      control.publish(packets, 0);
    } else if (traffic.isOver()) {
      break;
    }
    if (outside && control.stopped) break; // the outside may never be silent
  }
  flush(isLoop ? [a] : [a, b], control);
  const result = { packets, bytes: 0, seconds: traffic.seconds };
  if (!verbose) return result;
  const [first, second = first] = names;
  const told = [`${first} to ${second}: ${ways[0]}`];
  if (!isLoop) told.push(`${second} to ${first}: ${ways[1]}`);
  return { ...result, output: told };
}

function checkHeaders(a: NetmapPort, b: NetmapPort): void {
  if (a.vnetHdrLen === b.vnetHdrLen) return;
  const lengths = `${a.name} has ${a.vnetHdrLen} bytes, ${b.name} ${b.vnetHdrLen}`;
  throw failure('EINVAL', `the virtio-net headers differ, and a bridge moves packets as they are: ${lengths}`);
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
function forward(from: NetmapPort, to: NetmapPort, burst: number, copy: boolean): number {
  let moved = 0;
  for (let r = 0, t = 0; r < from.rxRings.length && t < to.txRings.length; ) {
    const rx = from.rxRings[r];
    const tx = to.txRings[t];
    if (rx.space === 0) r++;
    else if (tx.space === 0) t++;
    else {
      moved += moveSlots(rx, tx, burst, copy);
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
