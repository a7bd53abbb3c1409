// The switch: gather, learning lookup, queue per destination, copy under a lease. `spread` sends every other frame to
// another port, so that neither the cached destination nor a queue is ever the last one's.
import { deliveryCase } from '../delivery.js';
import type { Case, SuiteOptions } from '../types.js';
import { openHost, VALE, VALE_SPREAD } from '../world.js';

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
  return [...forward, spread];
}
