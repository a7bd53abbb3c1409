// `packet:IFACE`: an existing interface of the kernel, through a packet socket.

import { EAGAIN, EINTR, EINVAL, ENETDOWN, NS_MOREFRAG, POLLERR, POLLIN } from '../../abi.js';
import { check } from '../../errors.js';
import { pollManySync } from '../../ring/poll.js';
import { type Libc, loadLibc, POLLIN as READABLE, POLLOUT as WRITABLE } from '../ffi.js';
import {
  type DeviceData,
  deviceError,
  deviceName,
  dropReason,
  headerOption,
  interfaceName,
  openQueues,
  type QueueConfig,
  queueWorkers,
} from './device.js';
import type { BackendContext, BackendKind, BackendPlan, Session } from './kind.js';
import { MessageTable } from './message-table.js';
import { PacketReceiver } from './packet-receiver.js';
import { PacketRing } from './packet-ring.js';
import { openPacketSocket, PACKET_HEADER, packetDrops, RING_SIZE } from './packet-socket.js';
import { slotVectors } from './slot-table.js';
import { type BackendSpec, checkKeys, wholeNumber } from './spec.js';

/** Packets of one call. */
const BATCH = 64;
const MSG_DONTWAIT = 0x40;
/** How often (ms) the kernel's drops are asked for. */
const DROPS_EVERY = 100;

export const kind: BackendKind = {
  plan(spec: BackendSpec): BackendPlan {
    checkKeys(spec, ['vnet', 'ring']);
    ringOption(spec);
    const device = deviceName(spec);
    return {
      name: interfaceName(device),
      interface: { vnetHdrLen: headerOption(spec), wireHdrLen: PACKET_HEADER },
      workers: queueWorkers(1, PACKET_HEADER, device, ringOption(spec)),
    };
  },

  async open(spec: BackendSpec): Promise<Session> {
    const name = deviceName(spec);
    const libc = await loadLibc();
    return openQueues(libc, 1, () => openPacketSocket(libc, name, ringOption(spec)));
  },

  async run(context: BackendContext): Promise<void> {
    const { fds, wake } = context.data as DeviceData;
    const { direction, ring } = context.config as QueueConfig;
    const libc = await loadLibc();
    if (direction === 'receive') receive(context, libc, fds[0], wake, ring);
    else transmit(context, libc, fds[0], wake);
  },
};

/** The option `ring`: whether received packets come through memory that is shared with the kernel. @throws NetmapError EINVAL */
function ringOption({ text, options }: BackendSpec): boolean {
  return wholeNumber(text, 'ring', options.get('ring') ?? '0', 0, 1) === 1;
}

function receive(context: BackendContext, libc: Libc, fd: number, wake: number, mapped: boolean): void {
  const { wire } = context;
  const [ring] = wire.txRings;
  const messages = new PacketReceiver(libc, fd, ring);
  if (!mapped) {
    receiveAll(context, libc, fd, wake, messages);
    return;
  }
  const at = check(libc.map(fd, RING_SIZE), 'mmap', context.name);
  try {
    receiveAll(context, libc, fd, wake, new PacketRing(libc, at, ring, messages));
  } finally {
    libc.unmap(at, RING_SIZE);
  }
}

function receiveAll(
  context: BackendContext,
  libc: Libc,
  fd: number,
  wake: number,
  receiver: PacketReceiver | PacketRing,
): void {
  const { wire, counters } = context;
  let asked = 0;
  let isUp = false;
  while (!context.stopped) {
    const n = receiver.receive();
    if (n > 0) {
      counters.received(receiver.packets, receiver.bytes);
      if (receiver.oversized !== 0) counters.rxDrop('oversized', receiver.oversized);
    }
    if (wire.txsync() < 0) return; // the interface is gone
    const now = performance.now();
    if (now - asked > DROPS_EVERY) {
      asked = now;
      counters.rxDrop('noRoom', packetDrops(libc, fd));
    }
    if (n >= 0 || n === -EINTR) continue;
    if (n === -EINVAL) {
      counters.rxDrop('header'); // a kind of segments that no virtio-net header has a word for
      continue;
    }
    if (n !== -EAGAIN) throw deviceError(context, -n);
    if (!isUp) {
      isUp = true;
      context.state('up'); // a socket on a device that is down would have said so
    }
    libc.waitEither(fd, READABLE, wake);
  }
}

function transmit(context: BackendContext, libc: Libc, fd: number, wake: number): void {
  const { wire } = context;
  const [ring] = wire.rxRings;
  const requests = [{ port: wire, events: POLLIN }];
  const stop = (): boolean => context.stopped;
  const vectors = slotVectors(libc, ring);
  const messages = new MessageTable(libc, BATCH);
  const slotsOf = new Uint16Array(BATCH);
  const lengths = new Uint32Array(BATCH);
  while (!context.stopped) {
    if (pollManySync(requests, Infinity, stop)[0] & POLLERR) return;
    let first = ring.head; // once, as the tail and each slot: guests may write them
    let left = ring.distance(first, ring.tail);
    let count = 0;
    for (let i = first, slots = 0, length = 0; left > 0 && count < BATCH; left--) {
      const word = ring.i32[ring.slotBase + (i << 2) + 1];
      const part = Math.min(word & 0xffff, ring.bufSize);
      length += part;
      vectors.resize(i, part);
      vectors.resize(i + ring.numSlots, part);
      slots++;
      i = ring.next(i);
      if ((word >>> 16) & NS_MOREFRAG) continue;
      messages.setVector(count, vectors.at(first), slots);
      slotsOf[count] = slots;
      lengths[count] = length - PACKET_HEADER;
      count++;
      first = i;
      slots = 0;
      length = 0;
    }
    for (let from = 0; from < count; ) {
      const n = libc.sendmmsg(fd, messages.at(from), count - from, MSG_DONTWAIT);
      if (n === -EINTR || n === -EAGAIN) {
        if (context.stopped) return;
        libc.waitEither(fd, WRITABLE, wake);
        continue;
      }
      const end = from + Math.max(1, n);
      let bytes = 0;
      let slots = 0;
      for (; from < end; from++) {
        bytes += lengths[from];
        slots += slotsOf[from];
      }
      if (n > 0) {
        context.counters.transmitted(n, bytes);
      } else {
        const reason = dropReason(-n);
        if (reason === undefined || n === -ENETDOWN) throw deviceError(context, -n); // the receiver fails, too
        context.counters.txDrop(reason);
      }
      ring.advance(slots);
    }
  }
}
