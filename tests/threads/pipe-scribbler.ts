// A worker with one end of a pipe that writes anything into its own slots, at any time, whoever they belong to.
import { Netmap, type NetmapHandle } from '../../src/index.js';
import { Random, serve } from './support.js';

interface Scribble {
  readonly handle: NetmapHandle;
  readonly spec: string;
  readonly dir: 'tx' | 'rx';
  /** Milliseconds. */
  readonly time: number;
  readonly start: number;
}

serve({
  /** Returns how many syncs it made. */
  scribble: async ({ handle, spec, dir, time, start }: Scribble): Promise<number> => {
    const random = new Random(start);
    const netmap = await Netmap.attach(handle);
    const port = await netmap.open(spec);
    const [ring] = dir === 'tx' ? port.txRings : port.rxRings;
    const { i32, slotBase, numSlots } = ring;
    const anything = (): void => {
      const slot = slotBase + 4 * random.below(numSlots);
      const wild = random.below(4) === 0;
      const word = random.below(4);
      if (word === 0) i32[slot] = wild ? random.next() : random.below(ring.numBufs + 2);
      else if (word === 1) i32[slot + 1] = wild ? random.next() : random.below(64) | (random.below(64) << 16);
      else i32[slot + word] = random.next();
    };
    let syncs = 0;
    for (const end = performance.now() + time; performance.now() < end; syncs++) {
      for (let k = random.below(8); k > 0; k--) anything();
      const count = random.below(ring.space + 1);
      ring.advance(count);
      for (let k = random.below(8); k > 0; k--) anything();
      if (dir === 'tx') port.txsync();
      else port.rxsync();
      for (let k = random.below(32); k > 0; k--) anything(); // what the other side has been shown, or has sent
    }
    await port.close();
    await netmap.close();
    return syncs;
  },
});
