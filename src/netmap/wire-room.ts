// How much an interface can take at this moment, for whoever puts packets into its wire and would rather wait than lose
// them: the wire's own tx ring never fills.

import {
  KRING_GATE,
  KRING_HWCUR,
  KRING_HWLEASE,
  KRING_KIND,
  KRING_MODE,
  KRING_MONITORED,
  KRING_NSLOTS,
  KRING_PEER,
  PORT_KIND_POLLED,
  PORT_KIND_VALE,
} from '../abi.js';
import type { HostPort } from './host-port.js';

/**
 * Free slots of the rx ring that a wire's tx ring feeds; 0 while nobody has it open. On a bridge it is the room of the tx
 * ring itself: the switch takes all, unless a poller is to ask for it.
 */
export function wireRoom({ waiting: { arena }, info, txRings }: HostPort, ring = 0): number {
  const { kring } = info.tx[ring];
  const kind = arena.load(kring + KRING_KIND) & ~KRING_MONITORED;
  if (kind === PORT_KIND_VALE || kind === PORT_KIND_POLLED) return txRings[ring].space;
  const gate = arena.load(kring + KRING_GATE);
  if (gate !== 0 && arena.load(gate + KRING_MODE) === 0) return 0;
  const target = arena.load(kring + KRING_PEER);
  const slots = arena.load(target + KRING_NSLOTS);
  const used = arena.load(target + KRING_HWLEASE) - arena.load(target + KRING_HWCUR);
  return slots - 1 - (used < 0 ? used + slots : used);
}
