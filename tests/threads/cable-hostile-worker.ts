// A program with a memory of its own that means harm: it has a host in it, and writes what it likes, where it likes,
// while a cable works on the same words.
import { abi, Netmap, type NetmapHandle, type NetmapPort, type NetmapRing } from '../../src/index.js';
import { Random, serve } from './support.js';

const { NETMAP_RING_CUR, NETMAP_RING_HEAD, NETMAP_RING_SIZE, NETMAP_RING_TAIL, NS_MOREFRAG } = abi;
const MEMORY = 1 << 26;

let netmap: Netmap;
let port: NetmapPort;

class Attacker {
  readonly #random: Random;
  readonly #i32: Int32Array;
  readonly #rings: readonly NetmapRing[];

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#rings = [...port.txRings, ...port.rxRings];
    this.#i32 = this.#rings[0].i32;
  }

  /** An index, a length or flags: near what is right, or anything. */
  #value(): number {
    const random = this.#random;
    const n = this.#rings[0].numSlots;
    const near = [0, 1, 2, n - 1, n, n + 1, -1, 0x7fffffff, -0x80000000, this.#rings[0].numBufs, 2112, 2113, 0xffff];
    return [near[random.below(near.length)], random.next() | 0, random.below(n), random.below(n)][random.below(4)];
  }

  /**
   * A word of the pair of rings that the cable reads and writes. A pipe's rings lie in the region one after the other, and
   * nobody has to tell the attacker where.
   */
  ring(): void {
    const random = this.#random;
    const { ptr, numSlots } = this.#rings[random.below(this.#rings.length)];
    const size = NETMAP_RING_SIZE + 16 * numSlots;
    const base = ptr + [-1, 0, 1][random.below(3)] * 4096 * Math.ceil(size / 4096);
    const fields = [NETMAP_RING_HEAD, NETMAP_RING_CUR, NETMAP_RING_TAIL, 4 * random.below(size / 4)];
    const at = base + fields[random.below(fields.length)];
    if (at > 0) this.#i32[at >>> 2] = this.#value();
  }

  /** Any word of the memory, the host's private ones too, most often the lowest million. */
  anywhere(): void {
    const random = this.#random;
    const words = random.below(4) === 0 ? this.#i32.length : 1 << 18;
    this.#i32[random.below(words)] = this.#value();
  }

  /** Sends frames of its own, some with fragments that may never end, and gives back what came. */
  traffic(): void {
    const random = this.#random;
    for (const ring of port.txRings) {
      const count = Math.min(ring.space, 1 + random.below(64));
      for (let k = 0, i = ring.head; k < count; k++, i = ring.next(i)) {
        if (i >= ring.numSlots) break;
        ring.setSlot(i, 60 + random.below(1454), random.below(8) === 0 ? NS_MOREFRAG : 0);
      }
      if (count > 0) ring.advance(count);
    }
    for (const ring of port.rxRings) if (ring.space > 0) ring.advance(ring.space);
    port.txsync();
    port.rxsync();
  }
}

serve({
  /** Makes the host, and opens the end of a pipe whose other end is for the cable. */
  create: async ({ spec }: { spec: string }) => {
    netmap = await Netmap.create({ memorySize: MEMORY });
    port = await netmap.open(spec);
    return netmap.handle();
  },
  /** Or joins a host that somebody else keeps. */
  attach: async ({ handle, spec }: { handle: NetmapHandle; spec: string }) => {
    netmap = await Netmap.attach(handle);
    port = await netmap.open(spec);
  },
  /** Writes for `ms`: into rings, or anywhere. Exceptions of its own syncs are its own business. */
  attack: ({ ms, where, seed }: { ms: number; where: 'rings' | 'anywhere'; seed: number }) => {
    const attacker = new Attacker(seed);
    const until = performance.now() + ms;
    let writes = 0;
    for (let round = 0; performance.now() < until; round++) {
      for (let k = 0; k < 20; k++, writes++) attacker[where === 'rings' ? 'ring' : k % 2 === 0 ? 'ring' : 'anywhere']();
      try {
        if (where === 'rings' || round < 1000) attacker.traffic();
      } catch {}
    }
    return writes;
  },
});
