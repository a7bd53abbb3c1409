// A worker that sends indirect slots with any address, as fast as it goes, while ranges come and go.
import { abi, Netmap, type NetmapHandle, type NetmapPort } from '../../src/index.js';
import { Random, serve } from './support.js';

export interface Storm {
  readonly ms: number;
  readonly seed: number;
  /** Memory in which most addresses lie. */
  readonly from: number;
  readonly to: number;
}

let netmap: Netmap;
let port: NetmapPort;

serve({
  open: async ({ handle, spec }: { handle: NetmapHandle; spec: string }) => {
    netmap = await Netmap.attach(handle);
    port = await netmap.open(spec, { txSlots: 64 });
  },
  storm: ({ ms, seed, from, to }: Storm): number => {
    const random = new Random(seed);
    const [ring] = port.txRings;
    const { i32, slotBase, numSlots } = ring;
    const until = performance.now() + ms;
    let packets = 0;
    while (performance.now() < until) {
      for (let k = random.below(numSlots - 1); k > 0 && ring.space > 0; k--) {
        const w = slotBase + 4 * ring.head;
        const odd = random.below(8) === 0;
        i32[w] = random.next();
        i32[w + 1] = random.below(2200) | ((abi.NS_INDIRECT | (random.below(3) === 0 ? abi.NS_MOREFRAG : 0)) << 16);
        i32[w + 2] = odd ? random.next() : from - 2300 + random.below(to - from + 4600);
        i32[w + 3] = odd ? random.below(2) : 0;
        ring.advance(1);
        packets++;
      }
      port.txsync();
    }
    return packets;
  },
  close: () => netmap.close(),
});
