// Ranges are taken back while another thread sends from them, from every address there is: once unregisterRange has
// resolved, nothing that lies there goes out.
//   PTNET_RANGE_ROUNDS   how often ranges are taken back (default 60)
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Netmap } from '../../src/index.js';
import { Peer, Random, seed, size, within } from './support.js';

const ROUNDS = size('PTNET_RANGE_ROUNDS', 60);
const PAGE = 65536;
const MINE = { from: PAGE, to: 2 * PAGE };
const OPEN = 1; // fills the range while it may be read
const SECRET = 0xee;

test(`a range that is taken back is not read any more (seed ${seed})`, async () => {
  const pages = 2048;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const netmap = await Netmap.create({
    memory,
    privateRange: { base: 4 * PAGE, size: 124 * PAGE },
    regionRange: { base: 128 * PAGE, size: 1900 * PAGE },
    privatePools: { priv_buf_num: 4 },
  });
  const u8 = new Uint8Array(memory.buffer);
  const random = new Random(seed);
  const sender = new Peer(new URL('./indirect-worker.js', import.meta.url));
  try {
    const a = await netmap.open('vale0:a', { txSlots: 64, rxSlots: 64 });
    const b = await netmap.open('vale0:b', { txSlots: 64, rxSlots: 256 });
    await sender.call('open', { handle: netmap.handle(sender.worker), spec: 'vale0:a' });
    let received = 0;
    /** What has come until now has no byte of a range that was closed. */
    const take = (): void => {
      b.rxsync();
      for (const frame of b.recv()) {
        received++;
        assert.ok(!frame.includes(SECRET), 'a byte from a range that was taken back');
      }
    };
    const ms = 20 * ROUNDS;
    u8.fill(SECRET, MINE.from, MINE.to);
    const storm = sender.call<number>('storm', { ms, seed, ...MINE }, 60_000);
    let ended = false;
    void storm.finally(() => {
      ended = true;
    });
    for (let round = 0; round < ROUNDS && !ended; round++) {
      const address = MINE.from + random.below(40_000);
      const length = 1 + random.below(MINE.to - address);
      u8.fill(OPEN, address, address + length);
      await within(5000, 'a registration', a.registerRange(address, length));
      for (const until = performance.now() + 5; performance.now() < until; ) take();
      await within(5000, 'the end of a range', a.unregisterRange(address, length));
      u8.fill(SECRET, address, address + length);
      take();
    }
    const sent = await storm;
    take();
    const { drops, txPackets } = await a.counters();
    assert.ok(sent > 0 && received > 0, `${sent} slots sent, ${received} frames received`);
    assert.ok(txPackets > 0 && drops['badSlot'] > 0);
    await sender.call('close');
  } finally {
    await sender.end();
    await netmap.close();
  }
});
