// The workers of a queue of a TAP or macvtap device: one reads packets into a wire's tx ring, one writes what its rx ring
// holds. Nothing is allocated for a packet.

import { EAGAIN, EINTR, EIO, ENETDOWN, ENODEV, NS_MOREFRAG, POLLERR, POLLIN } from '../../abi.js';
import { pollManySync } from '../../ring/poll.js';
import type { NetmapRing } from '../../ring/ring.js';
import { deviceError, dropReason } from './device.js';
import { type FrameQueue, OVERFLOW_SIZE } from './frame-queue.js';
import type { BackendContext } from './kind.js';

/** Packets between two syncs. */
const BATCH = 64;
const MIN_FRAME = 14;

/**
 * Reads until the worker is to end.
 * @param isThere asked when a wait has ended without a packet, for devices that do not say that they are gone
 * @throws NetmapError when the device is gone
 */
export function receiveFrames(
  context: BackendContext,
  queue: FrameQueue,
  header: number,
  isThere: () => boolean = () => true,
): void {
  const { wire, counters } = context;
  const [ring] = wire.txRings;
  const { bufSize } = ring;
  const most = Math.ceil(OVERFLOW_SIZE / bufSize);
  let isLong = false; // the last packet had several slots
  while (!context.stopped) {
    let i = ring.head; // once: guests may write it, and the tail
    const space = ring.distance(i, ring.tail);
    let used = 0;
    let packets = 0;
    let bytes = 0;
    let n = 0;
    while (packets < BATCH && used < space && (used === 0 || used + most <= space)) {
      const straight = isLong && space - used >= most;
      n = straight ? queue.readLong(i, most) : queue.read(i);
      if (n <= 0) break;
      if (n < header + MIN_FRAME) {
        counters.rxDrop('runt');
        continue;
      }
      const slots = n <= bufSize ? 1 : Math.ceil(n / bufSize);
      if (slots > space - used) {
        counters.rxDrop('oversized');
        continue;
      }
      if (slots > 1 && !straight) spread(ring, i, queue.overflow, n - bufSize);
      i = setSlots(ring, i, n, slots);
      isLong = slots > 1;
      used += slots;
      packets++;
      bytes += n - header;
    }
    if (packets !== 0) {
      ring.advance(used);
      counters.received(packets, bytes);
    }
    if (wire.txsync() < 0) return; // the interface is gone
    if (n > 0) continue;
    const ready = n === -EAGAIN ? queue.waitReadable() : n;
    if (ready === 0 && !isThere()) throw deviceError(context, ENODEV);
    if (ready < 0 && ready !== -EINTR) throw deviceError(context, -ready);
  }
}

/** Copies the rest of a packet into the slots after i. */
export function spread(ring: NetmapRing, i: number, rest: Uint8Array, length: number): void {
  let j = ring.next(i);
  for (let at = 0; at < length; at += ring.bufSize, j = ring.next(j)) {
    ring.u8.set(rest.subarray(at, Math.min(at + ring.bufSize, length)), ring.bufAddress(j));
  }
}

/** Describes a packet of `length` bytes that fills slots from i on. @returns the slot after it */
function setSlots(ring: NetmapRing, i: number, length: number, slots: number): number {
  let j = i;
  for (let k = 1; k < slots; k++, j = ring.next(j)) ring.setSlot(j, ring.bufSize, NS_MOREFRAG);
  ring.setSlot(j, length - (slots - 1) * ring.bufSize, 0);
  return ring.next(j);
}

/** Writes until the worker is to end. @throws NetmapError when the device is gone */
export function transmitFrames(context: BackendContext, queue: FrameQueue, header: number): void {
  const { wire, counters } = context;
  const [ring] = wire.rxRings;
  const requests = [{ port: wire, events: POLLIN }];
  const stop = (): boolean => context.stopped;
  let isDown = false;
  while (!context.stopped) {
    if (pollManySync(requests, Infinity, stop)[0] & POLLERR) return;
    let first = ring.head; // once: guests may write it, and the tail
    let left = ring.distance(first, ring.tail);
    let slots = 0;
    let done = 0;
    let packets = 0;
    let bytes = 0;
    for (let i = first, length = 0; left > 0 && packets < BATCH; left--) {
      const word = ring.i32[ring.slotBase + (i << 2) + 1];
      const part = Math.min(word & 0xffff, ring.bufSize); // what is behind the buffer is nobody's to send
      length += part;
      slots++;
      const isWhole = ((word >>> 16) & NS_MOREFRAG) === 0;
      if (slots > 1 || !isWhole) queue.resize(i, part);
      i = ring.next(i);
      if (!isWhole) continue;
      let n: number;
      for (;;) {
        n = slots === 1 ? queue.write(first, length) : queue.writeLong(first, slots);
        if ((n !== -EAGAIN && n !== -EINTR) || context.stopped) break;
        queue.waitWritable();
      }
      if (n === -EAGAIN || n === -EINTR) break; // told to end: what is left in the ring is dropped there, and counted
      if (n >= 0) {
        packets++;
        bytes += length - header;
      } else if (!drop(context, -n)) {
        ring.advance(done);
        counters.transmitted(packets, bytes);
        throw deviceError(context, -n);
      }
      if (isDown !== (n === -EIO || n === -ENETDOWN)) {
        isDown = !isDown;
        context.state(isDown ? 'down' : 'up', isDown ? 'the device is down' : '');
      }
      done += slots;
      first = i;
      slots = 0;
      length = 0;
    }
    ring.advance(done);
    counters.transmitted(packets, bytes);
  }
}

/** Counts a packet that was not taken. @returns false when the device is gone */
function drop(context: BackendContext, errno: number): boolean {
  const reason = dropReason(errno);
  if (reason === undefined) return false;
  context.counters.txDrop(reason);
  return true;
}
