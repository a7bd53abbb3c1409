// v86's own network card on a port: for guests without a ptnet driver.

import { POLLERR, POLLIN } from '../abi.js';
import { netmapError } from '../errors.js';
import type { NetmapPort } from '../ring/port.js';
import { nextTurn } from '../threads/turn.js';
import { answerHotplug, type HotplugPorts, type V86Emulator } from './v86-emulator.js';

/** A network card of an emulator, joined with a port. */
export interface V86Nic {
  readonly counters: {
    /** Frames that the guest has sent while the port had no room, or that no ring holds, or that had no port any more. */
    readonly drops: number;
    /** Frames at which the emulator's card failed; the next ones are given to it all the same. */
    readonly errors: number;
    /** Frames given to the card; what it has no buffers for it drops itself. */
    readonly received: number;
    readonly sent: number;
  };
  /** Resolves when no frames come from the port any more: it was closed or is gone, or `close` was called. Never rejects. */
  readonly ended: Promise<void>;
  /** Takes the two apart. The port stays open. */
  close(): Promise<void>;
}

export interface V86NicOptions {
  /** Told of what the card has thrown when it was given a frame; from a microtask, so it may throw itself. */
  readonly onError?: (error: unknown) => void;
}

/** Frames that the card is given before the guest has its turn: fewer than its ring has buffers. */
const BATCH = 64;

interface Emulator {
  readonly bus?: { send(event: string, data: Uint8Array): void };
  readonly v86?: { readonly cpu?: { readonly io?: HotplugPorts } };
}

/**
 * Joins the network card of a v86 (`net_device: { type: 'virtio' | 'ne2k' }`) with a port of the host, without a
 * virtio-net header, in the thread that both run in. Before the emulator runs, or Linux loses the card (docs/embedding.md).
 * @throws NetmapError EINVAL (a port with headers), EOPNOTSUPP (another version of v86)
 */
export function attachNic(emulator: V86Emulator, port: NetmapPort, { onError }: V86NicOptions = {}): V86Nic {
  const { bus, v86 } = emulator as Emulator;
  if (typeof bus?.send !== 'function') {
    throw netmapError('EOPNOTSUPP', 'this v86 has no bus: another version than was tried', { op: 'attachNic' });
  }
  if (port.vnetHdrLen !== 0) {
    throw netmapError('EINVAL', `frames of the port have headers of ${port.vnetHdrLen} bytes`, { op: 'attachNic' });
  }
  answerHotplug(v86?.cpu?.io);
  const counters = { drops: 0, errors: 0, received: 0, sent: 0 };
  const abort = new AbortController();
  /** Called inside the emulator: throws nothing. */
  const transmit = (frame: Uint8Array): void => {
    let queued = false;
    try {
      queued = port.trySend(frame);
    } catch {
      // no ring holds it, or the port is closed
    }
    if (queued) counters.sent++;
    else counters.drops++;
    if (port.isOpen) port.txsync();
  };
  const report = (error: unknown): void => {
    counters.errors++;
    if (onError) queueMicrotask(() => onError(error));
  };
  const give = (frame: Uint8Array): void => {
    try {
      bus.send('net0-receive', frame);
      counters.received++;
    } catch (error) {
      report(error);
    }
  };
  emulator.add_listener('net0-send', transmit);
  const ended = receive(port, abort.signal, give).catch((error: unknown) => {
    if (!abort.signal.aborted) report(error);
  });
  return {
    counters,
    ended,
    close: async () => {
      emulator.remove_listener('net0-send', transmit);
      abort.abort();
      await ended;
    },
  };
}

/** Gives frames away until the port is closed or gone. @throws the signal's reason when it aborts */
async function receive(port: NetmapPort, signal: AbortSignal, give: (frame: Uint8Array) => void): Promise<void> {
  // One sync that was refused (POLLERR) is not the end: the ring was reset, and goes on.
  while (port.isOpen && (port.pollOnce(0) & POLLERR) === 0) {
    await port.poll(POLLIN, { signal });
    for (const frame of port.recv(BATCH)) give(frame);
    await nextTurn();
  }
}
