// The other end of a pipe writes anything into its slots while this one syncs: this one sees whole packets in buffers of the
// region, and what is its own stays as it was.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { abi, Netmap, type NetmapRing } from '../../src/index.js';
import { Peer, Random, seed, size, sleep } from './support.js';

const url = new URL('./pipe-scribbler.js', import.meta.url);
const TIME = size('PTNET_SCRIBBLE', 1500);
const SLOTS = { txSlots: 64, rxSlots: 64 };

/** Slots from `head` to `tail`: two words of each, buf_idx and len | flags << 16. */
function slotsOf(ring: NetmapRing): [number, number][] {
  const slots: [number, number][] = [];
  for (let i = ring.head; i !== ring.tail; i = ring.next(i)) {
    const at = ring.slotBase + 4 * i;
    slots.push([ring.i32[at] >>> 0, ring.i32[at + 1] >>> 0]);
  }
  return slots;
}

function checkSlots(ring: NetmapRing, wholePackets: boolean): number {
  const slots = slotsOf(ring);
  for (const [index, word] of slots) {
    assert.ok(
      index >= 2 && index < ring.numBufs && (word & 0xffff) <= ring.bufSize,
      `slot ${index} ${word} (seed ${seed})`,
    );
  }
  const last = slots.at(-1);
  if (wholePackets && last) assert.equal((last[1] >>> 16) & abi.NS_MOREFRAG, 0, `half a packet (seed ${seed})`);
  assert.deepEqual(slotsOf(ring), slots, `slots of this end have changed (seed ${seed})`);
  return slots.length;
}

for (const dir of ['tx', 'rx'] as const) {
  test(`the ${dir === 'tx' ? 'sender' : 'receiver'} of a pipe writes anything into its slots`, {
    timeout: 60_000,
  }, async () => {
    const random = new Random(seed);
    const netmap = await Netmap.create();
    const peer = new Peer(url);
    try {
      const port = await netmap.open('netmap:p}1', SLOTS);
      const [ring] = dir === 'tx' ? port.rxRings : port.txRings;
      let ended = false;
      const args = { handle: netmap.handle(peer.worker), spec: 'netmap:p{1', dir, time: TIME, start: seed };
      const scribbling = peer.call('scribble', args).finally(() => {
        ended = true;
      });
      let slots = 0;
      let syncs = 0;
      while (!ended) {
        for (let k = 0; k < 200; k++, syncs++) {
          if (dir === 'tx') port.rxsync();
          else port.txsync();
          slots += checkSlots(ring, dir === 'tx');
          const count = random.below(ring.space + 1);
          if (dir === 'rx') for (let i = ring.head, n = count; n > 0; n--, i = ring.next(i)) ring.setSlot(i, 60);
          ring.advance(count);
        }
        await sleep(0);
      }
      assert.ok(Number(await scribbling) > 100 && syncs > 100 && slots > 1000, `${slots} slots in ${syncs} syncs`);
      assert.equal((await port.counters()).reinits, 0);
      await port.close();
      assert.equal((await netmap.inspect()).ports.length, 0);
    } finally {
      await peer.end();
      await netmap.close();
    }
  });
}
