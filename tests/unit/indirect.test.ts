// NS_INDIRECT on the host: which memory a program may register, who keeps a range, and which ports follow addresses.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { NS_INDIRECT, NS_MOREFRAG } from '../../src/abi.js';
import type { ErrnoCode } from '../../src/errors.js';
import { type HostPort, Netmap, type NetmapPort, type OpenOptions, PtnetDriver } from '../../src/index.js';

const PAGE = 65536;
const MEMORY = 512 * PAGE;
/** The host has what lies between these; the rest is the program's. */
const PRIVATE = { base: 4 * PAGE, size: 60 * PAGE };
const REGIONS = { base: 80 * PAGE, size: 400 * PAGE };
const MINE = PAGE;
const privatePools = { priv_buf_size: 128, priv_buf_num: 4, priv_ring_size: 512, priv_ring_num: 2 };
const small = { txSlots: 8, rxSlots: 8 };
const frame = (length = 60, n = 1): Uint8Array => Uint8Array.from({ length }, (_, i) => (i < 6 ? 0xff : i + n));

/** Puts a slot with an address at head; its buffer index is out of range. */
function point(port: NetmapPort, address: bigint, length: number, flags = 0): void {
  const [ring] = port.txRings;
  const i = ring.head;
  ring.setBufIdx(i, 0xffffffff);
  ring.setSlot(i, length, NS_INDIRECT | flags);
  new DataView(ring.u8.buffer).setBigUint64(4 * (ring.slotBase + 4 * i) + 8, address, true);
  ring.advance(1);
}

const failsWith = (code: ErrnoCode, call: Promise<unknown>): Promise<void> => assert.rejects(call, { code });

for (const shared of [true, false]) {
  describe(`indirect slots, ${shared ? 'shared' : 'unshared'} memory`, () => {
    let netmap: Netmap;
    let u8: Uint8Array;
    before(async () => {
      const memory = new WebAssembly.Memory({ initial: MEMORY / PAGE, maximum: MEMORY / PAGE, shared });
      netmap = await Netmap.create({ memory, privateRange: PRIVATE, regionRange: REGIONS, privatePools });
      u8 = new Uint8Array(memory.buffer);
    });
    after(() => netmap.close());

    async function use(specs: [string, OpenOptions?][], body: (...ports: HostPort[]) => Promise<void>): Promise<void> {
      const { regions, memory } = await netmap.inspect();
      const ports: HostPort[] = [];
      for (const [spec, options] of specs) ports.push(await netmap.open(spec, { ...small, ...options }));
      await body(...ports);
      for (const port of ports) await port.close();
      const left = await netmap.inspect();
      assert.deepEqual([left.regions, left.memory], [regions, memory]);
    }

    const arrived = (port: HostPort): Uint8Array[] => {
      port.rxsync();
      return port.recv();
    };

    test('packets go out from a range, alone and in fragments mixed with buffers', () =>
      use([['vale0:a'], ['vale0:b']], async (a, b) => {
        await a.registerRange(MINE, 300);
        u8.set(frame(), MINE + 240);
        point(a, BigInt(MINE + 240), 60);
        u8.set(frame(100).subarray(0, 30), MINE + 1);
        point(a, BigInt(MINE + 1), 30, NS_MOREFRAG);
        const [ring] = a.txRings;
        ring.buf(ring.head, 70).set(frame(100).subarray(30));
        ring.setSlot(ring.head, 70);
        ring.advance(1);
        assert.equal(a.txsync(), 0);
        assert.deepEqual(arrived(b), [frame(), frame(100)]);
        assert.equal((await a.counters()).badSlots, 0);
      }));

    test('what is not registered, or not any more, is dropped and counted', () =>
      use([['vale0:a'], ['vale0:b']], async (a, b) => {
        const wrong: [bigint, number][] = [
          [BigInt(MINE), 60],
          [BigInt(MINE + 99), 2],
          [(1n << 32n) + BigInt(MINE + 20), 60],
          [(1n << 64n) - 1n, 60],
          [BigInt(MEMORY - 1), 60],
          [BigInt(MEMORY), 60],
          [BigInt(PRIVATE.base), 60],
          [0n, 60],
        ];
        const sent = async (): Promise<number> => {
          for (const row of wrong.slice(0, 7)) point(a, ...row);
          assert.equal(a.txsync(), 0);
          for (const row of wrong.slice(7)) point(a, ...row);
          assert.equal(a.txsync(), 0);
          assert.deepEqual(arrived(b), []);
          return (await a.counters()).drops['badSlot'];
        };
        assert.equal(await sent(), wrong.length);
        await a.registerRange(MINE + 10, 90);
        assert.equal(await sent(), 2 * wrong.length);
        point(a, BigInt(MINE + 10), 60);
        a.txsync();
        assert.equal(arrived(b).length, 1);
        point(a, BigInt(MINE + 10), 60); // submitted, and the range removed before the sync
        await a.unregisterRange(MINE + 10, 90);
        a.txsync();
        assert.deepEqual(arrived(b), []);
        assert.equal((await a.counters()).drops['badSlot'], 2 * wrong.length + 1);
      }));

    test('a range lies in the program’s memory, or in the region of the port', () =>
      use([['vale0:a'], ['vale0:b']], async (a, b) => {
        const { regionBase, memsize } = a.info;
        const good: [number, number][] = [
          [1, 100],
          [PRIVATE.base - 10, 10],
          [PRIVATE.base + PRIVATE.size, REGIONS.base - PRIVATE.base - PRIVATE.size],
          [MEMORY - 1, 1],
          [regionBase, memsize],
          [regionBase + memsize - 1, 1],
        ];
        for (const range of good) await a.registerRange(...range);
        for (const range of good) await a.unregisterRange(...range);
        const bad: [number, number][] = [
          [0, 10],
          [MINE, 0],
          [MINE, -1],
          [-1, 10],
          [MINE + 0.5, 10],
          [Number.NaN, 10],
          [MINE, Number.POSITIVE_INFINITY],
          [MEMORY - 1, 2],
          [MEMORY, 1],
          [2 ** 32 + MINE, 10],
          [MINE, 2 ** 32],
          [PRIVATE.base - 10, 11],
          [PRIVATE.base + 64, 10],
          [1, MEMORY - 1],
          [PRIVATE.base + PRIVATE.size - 1, 10],
          [REGIONS.base + REGIONS.size - 1, 2],
          [regionBase - 1, 10],
          [regionBase + memsize - 1, 2],
          [b.info.regionBase, 10],
        ];
        for (const range of bad) await failsWith('EINVAL', a.registerRange(...range));
      }));

    test('a port has 16; ranges belong to who registered them and go with his port', () =>
      use([['vale0:b']], async (b) => {
        const a = await netmap.open('vale0:a', small);
        const again = await netmap.open('vale0:a', small);
        for (let i = 0; i < 16; i++) await (i === 5 ? again : a).registerRange(MINE + 100 * i, 100);
        await failsWith('ENOSPC', a.registerRange(MINE, 100));
        await failsWith('EINVAL', a.unregisterRange(MINE + 500, 100));
        await failsWith('EINVAL', a.unregisterRange(MINE, 99));
        await a.unregisterRange(MINE, 100);
        await failsWith('EINVAL', a.unregisterRange(MINE, 100));
        await a.registerRange(MINE, 100);
        for (const at of [100, 500]) {
          u8.set(frame(), MINE + at);
          point(again, BigInt(MINE + at), 60);
          again.txsync();
          assert.equal(arrived(b).length, 1, 'programs that have the same port open share its ranges');
        }
        await a.close();
        await failsWith('ENXIO', a.registerRange(MINE, 100));
        await failsWith('ENXIO', a.unregisterRange(MINE, 100));
        for (const at of [100, 500]) {
          point(again, BigInt(MINE + at), 60);
          again.txsync();
        }
        assert.equal(arrived(b).length, 1);
        for (let i = 0; i < 15; i++) await again.registerRange(MINE, 100);
        await again.close();
      }));

    test('a port that is made anew has no ranges', () =>
      use([['vale0:b']], async (b) => {
        for (let i = 0; i < 3; i++) {
          const a = await netmap.open('vale0:a', small);
          u8.set(frame(), MINE);
          point(a, BigInt(MINE), 60);
          a.txsync();
          assert.deepEqual(arrived(b), []);
          await a.registerRange(MINE, 100);
          await a.close();
        }
      }));

    test('extra buffers of the port can be sent from, again and again', () =>
      use([['vale0:a', { extraBufs: 1 }], ['vale0:b']], async (a, b) => {
        const [ring] = a.txRings;
        const at = ring.bufBase + a.nifp.bufsHead * ring.bufSize;
        await a.registerRange(at, ring.bufSize);
        u8.set(frame(100), at);
        for (let i = 0; i < 20; i++) {
          point(a, BigInt(at), 100);
          a.txsync();
          assert.deepEqual(arrived(b), [frame(100)]);
        }
        u8.fill(0, at, at + 4); // the end of the list of extra buffers
        const [first] = a.txRings;
        for (let i = 0; i < first.numSlots; i++) first.setBufIdx(i, 0);
      }));

    test('NICs ignore the flag, pipes copy it, and neither has ranges', () =>
      use([['netmap:p{1'], ['netmap:p}1']], async (p, q) => {
        const eth0 = await netmap.addInterface('eth0', small);
        const nic = await netmap.open('netmap:eth0');
        for (const port of [p, nic, eth0.wire, eth0.stack]) {
          await failsWith('EOPNOTSUPP', port.registerRange(MINE, 100));
        }
        for (const [from, to] of [
          [nic, eth0.wire],
          [eth0.wire, nic],
          [p, q],
        ]) {
          const [ring] = from.txRings;
          ring.buf(ring.head, 60).set(frame());
          ring.setSlot(ring.head, 60, NS_INDIRECT);
          ring.advance(1);
          from.txsync();
          to.rxsync();
          const [rx] = to.rxRings;
          assert.equal(rx.slot(rx.head).flags & NS_INDIRECT, from === p ? NS_INDIRECT : 0);
          assert.deepEqual(to.recv(), [frame()]);
        }
        await nic.close();
        await eth0.close();
      }));

    test('a guest has no addresses', () =>
      use([['vale0:b']], async (b) => {
        const guest = await netmap.createGuest();
        await guest.passthrough('vale0:a', { ...small, loop: 'direct' });
        const machine = await guest.machine();
        const [driver] = PtnetDriver.probe(machine);
        const port = driver.open();
        await b.registerRange(MINE, 100); // of another port
        u8.set(frame(), MINE);
        const { base } = machine.ram;
        for (const address of [MINE, base, port.txRings[0].bufBase + 1000]) point(port, BigInt(address), 60);
        assert.ok(port.trySend(frame()));
        port.txsync();
        assert.deepEqual(arrived(b), [frame()]);
        const { ports } = await netmap.inspect();
        const counters = ports.find(({ name }) => name === 'vale0:a')?.counters;
        assert.deepEqual([counters?.drops['badSlot'], counters?.badSlots], [3, 3]);
        await port.close();
        await guest.close();
      }));
  });
}
