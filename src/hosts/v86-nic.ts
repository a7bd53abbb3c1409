// v86's own network card on a port: for guests without a ptnet driver.

import { POLLERR, POLLIN } from '../abi.js';
import { netmapError } from '../errors.js';
import type { NetmapPort } from '../ring/port.js';
import { nextTurn } from '../threads/turn.js';
import { answerHotplug, type V86Emulator } from './v86-emulator.js';

/** A network card of an emulator, joined with a port. */
export interface V86Nic {
  readonly counters: {
    /** Frames that the guest has sent while the port had no room, or that no ring holds. */
    readonly drops: number;
    /** Frames given to the card; what it has no buffers for it drops itself. */
    readonly received: number;
    readonly sent: number;
  };
  /** Takes the two apart. The port stays open. */
  close(): Promise<void>;
}

/** Frames that the card is given before the guest has its turn: fewer than its ring has buffers. */
const BATCH = 64;

interface Bus {
  send(event: string, data: Uint8Array): void;
}

/**
 * Joins the network card of a v86 (`net_device: { type: 'virtio' | 'ne2k' }`) with a port of the host, without a
 * virtio-net header, in the thread that both run in. Before the emulator runs, or Linux loses the card (docs/embedding.md).
 * @throws NetmapError EINVAL (a port with headers), EOPNOTSUPP (another version of v86)
 */
export function attachNic(emulator: V86Emulator, port: NetmapPort): V86Nic {
  const { bus } = emulator as { bus?: Bus };
  if (typeof bus?.send !== 'function') {
    throw netmapError('EOPNOTSUPP', 'this v86 has no bus: another version than was tried', { op: 'attachNic' });
  }
  if (port.vnetHdrLen !== 0) {
    throw netmapError('EINVAL', `frames of the port have headers of ${port.vnetHdrLen} bytes`, { op: 'attachNic' });
  }
  answerHotplug(emulator);
  const counters = { drops: 0, received: 0, sent: 0 };
  const abort = new AbortController();
  /** Called inside the emulator: throws nothing. */
  const transmit = (frame: Uint8Array): void => {
    try {
      if (port.trySend(frame)) counters.sent++;
      else counters.drops++;
      port.txsync();
    } catch {
      counters.drops++; // no ring holds it, or the port is closed
    }
  };
  emulator.add_listener('net0-send', transmit);
  const receiving = receive(port, abort.signal, (frame) => {
    bus.send('net0-receive', frame);
    counters.received++;
  });
  return {
    counters,
    close: async () => {
      emulator.remove_listener('net0-send', transmit);
      abort.abort();
      await receiving;
    },
  };
}

/** Gives frames away until the port is closed or the signal aborts. */
async function receive(port: NetmapPort, signal: AbortSignal, give: (frame: Uint8Array) => void): Promise<void> {
  try {
    while (((await port.poll(POLLIN, { signal })) & POLLERR) === 0) {
      for (const frame of port.recv(BATCH)) give(frame);
      await nextTurn();
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
