// Guest → host → guest, all of it: program, driver, doorbell, kernel loop in direct mode, pipe or switch, CSB, interrupt,
// driver, program. Two guests in one thread. Their program is JavaScript, and beside it the same in Wasm.
import { deliveryCase } from '../delivery.js';
import type { Case, SuiteOptions } from '../types.js';
import { openGuests, PIPE, VALE } from '../world.js';

export function pathSuite({ sizes }: SuiteOptions): Case[] {
  const common = { suite: 'path', application: 'reads and writes' as const, wasmProgram: true };
  const pipe = deliveryCase({
    ...common,
    name: 'pipe',
    task: 'path-pipe',
    slotVectors: true,
    size: sizes[0],
    open: (engine) => openGuests(PIPE, engine),
  });
  const vale = sizes.map((size) =>
    deliveryCase({
      ...common,
      name: `vale ${size}`,
      task: 'path-vale',
      size,
      open: (engine) => openGuests(VALE, engine),
    }),
  );
  return [pipe, ...vale];
}
