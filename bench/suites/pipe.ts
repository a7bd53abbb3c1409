// Pipes: slots are copied between two rings, payload never. `transfer` is the engine alone; in `program` an application
// writes and reads every slot and a word of every frame.
import { deliveryCase } from '../delivery.js';
import type { Case } from '../types.js';
import { openHost, PIPE } from '../world.js';

export function pipeSuite(): Case[] {
  const common = {
    suite: 'pipe',
    size: 60,
    slotVectors: true,
    open: (engine: 'ptnet' | 'js') => openHost(PIPE, engine),
  };
  return [
    deliveryCase({ ...common, name: 'transfer', task: 'pipe-transfer', application: 'moves' }),
    deliveryCase({
      ...common,
      name: 'program',
      task: 'pipe-program',
      application: 'reads and writes',
      wasmProgram: true,
    }),
  ];
}
