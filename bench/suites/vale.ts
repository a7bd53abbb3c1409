// The switch: gather, learning lookup, queue per destination, copy under a lease. `spread` sends every other frame to
// another port, so that neither the cached destination nor a queue is ever the last one's; in `fragments` a packet has several
// slots.
import { deliveryCase } from '../delivery.js';
import type { Case, SuiteOptions } from '../types.js';
import { openHost, VALE, VALE_SPREAD } from '../world.js';

/** Slots of a packet (NS_MOREFRAG), as in bench/native/twin.c, and bytes in each. */
const FRAGMENTS = 4;
const FRAGMENT = 512;

export function valeSuite({ sizes }: SuiteOptions): Case[] {
  const forward = sizes.map((size) =>
    deliveryCase({
      suite: 'vale',
      name: `forward ${size}`,
      task: 'vale-forward',
      size,
      application: 'moves',
      netmapTable: true,
      open: (engine) => openHost(VALE, engine),
    }),
  );
  const size = sizes[0];
  const spread = deliveryCase({
    suite: 'vale',
    name: `spread ${size}`,
    task: 'vale-spread',
    size,
    application: 'moves',
    open: (engine) => openHost(VALE_SPREAD, engine),
  });
  const fragments = deliveryCase({
    suite: 'vale',
    name: `fragments, ${FRAGMENTS} of ${FRAGMENT}`,
    task: 'vale-fragments',
    size: FRAGMENT,
    application: 'moves',
    fragments: FRAGMENTS,
    open: (engine) => openHost(VALE, engine),
  });
  return [...forward, spread, fragments];
}
