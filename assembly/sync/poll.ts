// VALE polling (VALE_POLLING_ENABLE): the owner of a wire's tx ring only publishes its slots, and a thread that polls the ring
// hands them to the switch.
import {
  KRING_ASKED,
  KRING_HWCUR,
  KRING_KIND,
  KRING_MONITORED,
  KRING_NSLOTS,
  KRING_RHEAD,
  KRING_RING,
  PORT_KIND_MASK,
  PORT_KIND_POLLED,
  PORT_KIND_VALE,
  THREAD_ID,
} from '../abi/arena';
import { NETMAP_RING_HEAD } from '../abi/netmap';
import { kringAcquire, kringFinalize, kringRelease, txPrologue } from '../ring/kring';
import { kringNotify } from '../ring/notify';
import { ringDistance } from '../ring/wrap';
import { valeTxsync } from '../vale/switch';
import { watchedTxsync } from './sync';

/**
 * The owner's txsync; the ring is held, and KRING_RHEAD is what it publishes. It never waits for a poller: a ring that is
 * half full is handed to the switch at once, so that a poller that is slow or dead stops nobody.
 */
export function polledTxsync(kr: usize, self: usize): void {
  atomic.store<u32>(kr, 0, KRING_ASKED); // older than this head
  const n = load<u32>(kr, KRING_NSLOTS);
  if (ringDistance(load<u32>(kr, KRING_HWCUR), load<u32>(kr, KRING_RHEAD), n) >= n >> 1) hand(kr, self);
}

/** To the switch, and before that to monitors: once, by whoever hands the slots over. */
function hand(kr: usize, self: usize): void {
  if (load<u32>(kr, KRING_KIND) & KRING_MONITORED) watchedTxsync(kr, PORT_KIND_VALE, self);
  else valeTxsync(kr, self);
}

/** The owner's txsync has found its ring held: leaves the head for the poller. */
export function pollAsk(kr: usize): void {
  const ring: usize = load<u32>(kr, KRING_RING);
  if (ring != 0) atomic.store<u32>(kr, load<u32>(ring, NETMAP_RING_HEAD) + 1, KRING_ASKED);
}

/** Publishes a head that was left; whoever calls has the ring. One that was left is the owner's last while the ring is polled. */
export function pollTake(kr: usize): void {
  const head = atomic.xchg<u32>(kr, 0, KRING_ASKED);
  if (head != 0) txPrologue(kr, head - 1, head - 1); // an illegal one is for the owner's next txsync to repair
}

/** Hands what has been published to the switch. False when there was nothing. */
export function pollRing(kr: usize, self: usize): bool {
  const asked = atomic.load<u32>(kr, KRING_ASKED);
  if (asked == 0 && atomic.load<u32>(kr, KRING_RHEAD) == atomic.load<u32>(kr, KRING_HWCUR)) return false;
  if (kringAcquire(kr, load<u32>(self, THREAD_ID)) != 0) return false;
  const moved = load<u32>(kr, KRING_RING) != 0;
  if (moved) {
    if ((load<u32>(kr, KRING_KIND) & PORT_KIND_MASK) == PORT_KIND_POLLED) pollTake(kr);
    hand(kr, self);
    kringFinalize(kr);
  }
  kringRelease(kr);
  kringNotify(kr, self); // the owner may wait for room, or have found the ring held
  return moved;
}
