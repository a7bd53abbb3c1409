// Joins a ptnet interface to a stack: the kernel's through a TAP device (tap.ts), one in JavaScript through Web streams
// (stream-adapter.ts), or any other that is given this small interface. Packets pass as they are, virtio-net header
// included: nothing is parsed here.

import { EAGAIN } from '../abi.js';
import { netmapError } from '../errors.js';
import type { PtnetInterface } from '../ptnet/interface.js';
import type { Capability } from '../ptnet/interface-capabilities.js';
import { nextTurn } from '../threads/turn.js';

/** A stack as an interface sees it. Packets begin with the virtio-net header, if there is one, then the Ethernet header. */
export interface StackAdapter {
  /** Bytes of virtio-net header in front of every packet, in both directions: 0, 10 or 12. */
  readonly headerLength: number;
  /** The next packet from the stack, the same one until `shift`; undefined when there is none now. */
  peek(): Uint8Array | undefined;
  /** The packet was taken (copied). */
  shift(): void;
  /** Asked after a batch: resolves when there may be more packets, or `ended` is true; undefined if that is so already. */
  idle(): Promise<unknown> | undefined;
  /** A packet for the stack, valid until the call returns. False: it was taken, but give no more before `whenRoom`. */
  write(packet: Uint8Array): boolean;
  /** Resolves when a stack that has answered false takes packets again. */
  whenRoom?(): Promise<unknown>;
  /** No packet will come any more. */
  readonly ended: boolean;
  /** Why, if the stack has failed. */
  readonly failure?: unknown;
  /**
   * Told when the two are joined, and whenever capabilities are switched: `txcsum`, `tso4` and so on say what the stack may
   * leave undone in the packets that it sends from now on.
   */
  setCapabilities?(enabled: ReadonlySet<Capability>): void;
  close(): Promise<void>;
}

/** Counters of a joint. */
export interface JointCounters {
  /** Packets of the stack that the interface did not take: it was down, in netmap mode, or the length was wrong. */
  readonly drops: number;
  /** Times that the stack waited for room in the interface's ring. */
  readonly stalls: number;
}

export interface Joint {
  counters(): JointCounters;
  /**
   * Resolves when no packets come from the stack any more, because it has ended or the joint was closed. Rejects with
   * NetmapError EIO when the stack has failed, or its adapter has thrown; nobody has to listen.
   */
  readonly ended: Promise<void>;
  /** Takes the two apart, and closes the adapter. The interface stays as it is. */
  close(): Promise<void>;
}

/** Packets, and bytes, that one turn sends before the thread's other events have theirs. */
const TURN_PACKETS = 128;
const TURN_BYTES = 1 << 18;

/** Interfaces that have a joint: a second one would take the first one's packets. */
const joined = new WeakSet<PtnetInterface>();

/**
 * Lets packets pass between an interface and a stack until one of them ends. The interface may be up or down.
 * @throws NetmapError EINVAL when they differ in the length of the virtio-net header, EBUSY when the interface is joined
 * already, and what the stack's `setCapabilities` throws
 */
export function joinInterface(netif: PtnetInterface, adapter: StackAdapter): Joint {
  const { headerLength } = adapter;
  const context = { op: 'join', port: netif.name };
  if (headerLength !== netif.headerLength) {
    const message = `a stack with a header of ${headerLength} bytes on an interface with ${netif.headerLength}`;
    throw netmapError('EINVAL', message, context);
  }
  if (joined.has(netif)) throw netmapError('EBUSY', 'the interface is joined to a stack', context);
  const counters = { drops: 0, stalls: 0 };
  let open = true;
  let broken = false;
  let wakeForRoom: (() => void) | undefined;

  adapter.setCapabilities?.(netif.enabledCapabilities);
  joined.add(netif);
  const stopListening = netif.onCapabilities((enabled) => adapter.setCapabilities?.(enabled));
  netif.onRoom(() => wakeForRoom?.());
  let fail: (error: unknown) => void = () => {};
  const failing = new Promise<never>((_, reject) => {
    fail = (error) => {
      broken = true;
      wakeForRoom?.();
      reject(error);
    };
  });
  const release = (): void => {
    if (open) netif.holdReceive(false); // afterwards it is another joint's to hold
  };
  netif.onPackets((packets) => {
    if (broken) return;
    try {
      let room = true;
      for (const packet of packets) room = adapter.write(packet) && room;
      if (room || !adapter.whenRoom) return;
      netif.holdReceive(true);
      adapter.whenRoom().then(release, (error) => {
        release();
        fail(error);
      });
    } catch (error) {
      fail(error);
    }
  });

  /** Sends until a turn is over, the stack has no more packets, or there is no room for the next one. */
  const turn = (): 'more' | 'empty' | 'full' => {
    let bytes = 0;
    for (let n = 0; n < TURN_PACKETS && bytes < TURN_BYTES; n++) {
      const packet = adapter.peek();
      if (!packet) return 'empty';
      const result = netif.offer(packet);
      if (result === -EAGAIN) return 'full';
      if (result !== 0) counters.drops++;
      bytes += packet.length;
      adapter.shift();
    }
    return 'more';
  };

  const pump = async (): Promise<void> => {
    while (open && !broken && !adapter.ended) {
      const outcome = turn();
      netif.push();
      if (outcome === 'more') {
        await nextTurn();
      } else if (outcome === 'full') {
        counters.stalls++;
        adapter.idle(); // gives the room of what was sent back
        await new Promise<void>((resolve) => {
          wakeForRoom = resolve;
          if (!netif.awaitsRoom) resolve();
        });
        wakeForRoom = undefined;
      } else {
        await (adapter.idle() ?? nextTurn());
      }
    }
  };
  const failed = (why: unknown): Error => netmapError('EIO', `the stack has failed: ${String(why)}`, context);
  const ended = Promise.race([pump(), failing]).then(
    () => {
      if (open && adapter.failure !== undefined) throw failed(adapter.failure);
    },
    (error) => {
      broken = true;
      throw failed(error);
    },
  );
  ended.catch(() => {});

  return {
    counters: () => ({ ...counters }),
    ended,
    close: async () => {
      if (!open) return;
      open = false;
      joined.delete(netif);
      stopListening();
      netif.onRoom(() => {});
      netif.onPackets(undefined);
      netif.holdReceive(false);
      wakeForRoom?.();
      await adapter.close();
    },
  };
}
