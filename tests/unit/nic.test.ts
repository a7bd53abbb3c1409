// Network interfaces: the rings that applications open, the wire, the host stack, and forwarding between them.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  EIO,
  ENETDOWN,
  NR_FORWARD,
  NR_RX_RINGS_ONLY,
  NR_TIMESTAMP,
  NS_FORWARD,
  NS_MOREFRAG,
  POLLERR,
  POLLIN,
  POLLOUT,
} from '../../src/abi.js';
import {
  crossWire,
  type HostPort,
  loopback,
  Netmap,
  type NetmapInterface,
  PtnetDriver,
  PtnetInterface,
  type WireOptions,
} from '../../src/index.js';

const small = { txSlots: 8, rxSlots: 8 };
const privatePools = { priv_buf_size: 128, priv_buf_num: 4, priv_ring_size: 512, priv_ring_num: 2 };
const pools = { if_size: 256, if_num: 10, ring_size: 512, ring_num: 24, buf_size: 128, buf_num: 256 };
const frame = (n: number, length = 60): Uint8Array => new Uint8Array(length).fill(n);
const firsts = (frames: readonly Uint8Array[]): number[] => frames.map(([first]) => first);

/** What a port has received by now, as the first bytes of the frames. */
function taken(port: HostPort): number[] {
  port.rxsync();
  return firsts(port.recv());
}

function push(port: HostPort, ...numbers: number[]): void {
  for (const n of numbers) assert.ok(port.trySend(frame(n)));
  port.txsync();
}

for (const shared of [true, false]) {
  describe(`an interface over ${shared ? 'shared' : 'unshared'} memory`, () => {
    let netmap: Netmap;
    let clean: unknown;
    let eth0: NetmapInterface;
    const opened: { close(): Promise<void> }[] = [];
    const open = async (...args: Parameters<Netmap['open']>): Promise<HostPort> => {
      const port = await netmap.open(...args);
      opened.push(port);
      return port;
    };
    const add = async (...args: Parameters<Netmap['addInterface']>): Promise<NetmapInterface> => {
      const made = await netmap.addInterface(...args);
      opened.push(made);
      return made;
    };
    before(async () => {
      netmap = await Netmap.create({ memorySize: 1 << 25, shared, privatePools, pools });
      clean = await netmap.inspect();
    });
    afterEach(async () => {
      for (const one of opened.splice(0)) await one.close();
      assert.deepEqual(await netmap.inspect(), clean, 'something is left behind');
    });
    after(() => netmap.close());

    test('what is transmitted comes out of the wire, what goes into the wire is received', async () => {
      eth0 = await add('eth0', small);
      const port = await open('netmap:eth0');
      push(port, 1, 2, 3);
      assert.deepEqual(taken(eth0.wire), [1, 2, 3]);
      push(eth0.wire, 4, 5);
      assert.deepEqual(taken(port), [4, 5]);
      const { txPackets, txBytes, rxPackets, rxBytes } = await port.counters();
      assert.deepEqual([txPackets, txBytes, rxPackets, rxBytes], [3, 180, 2, 120]);
    });

    test('a transmitter waits while the wire is full, and is woken when slots are released', async () => {
      eth0 = await add('eth0', small);
      const port = await open('netmap:eth0');
      push(port, 1, 2, 3, 4, 5, 6, 7);
      push(port, 11, 12, 13, 14, 15, 16, 17);
      assert.equal(port.pollOnce(POLLOUT), 0);
      const waits = port.poll(POLLOUT);
      assert.deepEqual(taken(eth0.wire), [1, 2, 3, 4, 5, 6, 7]);
      eth0.wire.rxsync();
      assert.equal(await waits, POLLOUT);
      assert.deepEqual(taken(eth0.wire), [11, 12, 13, 14, 15, 16, 17]);
      const { drops } = await port.counters();
      assert.equal(drops['noSpace'], 0);
    });

    test('frames for a full rx ring are dropped, and counted at the wire', async () => {
      eth0 = await add('eth0', small);
      const port = await open('netmap:eth0');
      push(eth0.wire, 1, 2, 3, 4, 5);
      push(eth0.wire, 6, 7, 8, 9);
      assert.deepEqual(taken(port), [1, 2, 3, 4, 5, 6, 7]);
      assert.equal((await eth0.wire.counters()).drops['noSpace'], 2);
    });

    test('packets of several slots are sent whole, or wait whole; one that no ring can hold is dropped', async () => {
      eth0 = await add('eth0', { txSlots: 16, rxSlots: 16 });
      const port = await open('netmap:eth0');
      const whole = Uint8Array.from({ length: 300 }, (_, i) => i);
      for (let i = 0; i < 10; i++) await port.send(whole); // five are on the wire, five wait
      assert.equal(port.trySend(whole), false);
      eth0.wire.rxsync();
      assert.deepEqual(eth0.wire.recv(3), [whole, whole, whole]);
      eth0.wire.rxsync();
      assert.equal(eth0.wire.rxRings[0].space, 6);
      port.txsync(); // nine slots are free
      eth0.wire.rxsync();
      assert.deepEqual(eth0.wire.recv(), Array(5).fill(whole));
      port.txsync();
      eth0.wire.rxsync();
      port.txsync();
      eth0.wire.rxsync();
      assert.deepEqual(eth0.wire.recv(), [whole, whole]);
      const [ring] = port.txRings;
      for (let i = 0; i < 15; i++) ring.setSlot((ring.head + i) % 16, 100, NS_MOREFRAG); // longer than the wire's ring
      ring.advance(15);
      port.txsync();
      assert.equal(ring.space, 0, 'it waits while the wire is not empty');
      eth0.wire.rxsync();
      port.txsync();
      assert.equal(ring.space, 15);
    });

    test('ends that wait: nothing is dropped for want of room, on any way, and who waits is woken', async () => {
      const made = await add('eth9', { ...small, ends: { slots: 4, waits: true } });
      const port = await open('netmap:eth9*');
      const [nicTx, hostTx] = port.txRings;
      const [nicRx, hostRx] = port.rxRings;
      for (const [from, tx, to, rx] of [
        [port, nicTx, made.wire, made.wire.rxRings[0]],
        [port, hostTx, made.stack, made.stack.rxRings[0]],
        [made.wire, made.wire.txRings[0], port, nicRx],
        [made.stack, made.stack.txRings[0], port, hostRx],
      ] as const) {
        const got: number[] = [];
        for (let n = 1; n <= 20; ) {
          for (; n <= 20 && tx.space !== 0; n++) {
            tx.buf(tx.head).set(frame(n));
            tx.setSlot(tx.head, 60);
            tx.advance(1);
          }
          from.txsync();
          if (tx.space !== 0) continue;
          const waits = from.poll(POLLOUT, { timeout: 2000 });
          got.push(...taken(to));
          to.rxsync();
          assert.ok((await waits) & POLLOUT);
        }
        for (let i = 0; i < 10; i++) {
          from.txsync();
          got.push(...taken(to));
          to.rxsync();
        }
        assert.deepEqual(
          got,
          Array.from({ length: 20 }, (_, i) => i + 1),
        );
        assert.equal(rx.head, rx.tail);
      }
    });

    test('ends in the region of the applications; one that cannot be made leaves nothing', async () => {
      const before = await netmap.inspect();
      await assert.rejects(netmap.addInterface('eth9', { memId: 1, txRings: 9, ends: { memId: 1 } }), {
        code: 'ENOMEM',
      });
      await assert.rejects(netmap.addInterface('eth9', { ends: { memId: 77 } }), { code: 'EINVAL' });
      await assert.rejects(netmap.addInterface('eth9', { ends: { slots: -1 } }), { code: 'EINVAL' });
      assert.deepEqual(await netmap.inspect(), before);
      const made = await add('eth9', { ...small, memId: 1, ends: { memId: 1 } });
      const port = await open('netmap:eth9');
      assert.deepEqual([made.wire.memId, port.memId], [1, 1]);
      push(port, 5);
      assert.deepEqual(taken(made.wire), [5]);
    });

    test('bad slots and frames shorter than an Ethernet header are dropped and counted', async () => {
      eth0 = await add('eth0', small);
      const port = await open('netmap:eth0');
      for (const n of [1, 2, 3, 4, 5]) port.trySend(frame(n));
      const ring = port.txRings[0];
      ring.setBufIdx(0, 0xffffff);
      ring.setSlot(1, 200);
      ring.setSlot(2, 13);
      port.txsync();
      assert.deepEqual(taken(eth0.wire), [4, 5]);
      const { drops, badSlots } = await port.counters();
      assert.deepEqual([drops['badSlot'], drops['short'], badSlots], [2, 1, 2]);
    });

    test('while nobody has it open, wire and host stack talk to each other', async () => {
      eth0 = await add('eth0', small);
      push(eth0.wire, 1);
      assert.deepEqual(taken(eth0.stack), [1]);
      push(eth0.stack, 2);
      assert.deepEqual(taken(eth0.wire), [2]);
      const port = await open('netmap:eth0');
      push(eth0.wire, 3);
      push(eth0.stack, 4);
      assert.deepEqual([taken(eth0.stack), taken(eth0.wire), taken(port)], [[], [], [3]]);
      assert.equal((await eth0.stack.counters()).drops['noPort'], 1, 'nobody has the host ring open');
      await port.close();
      push(eth0.wire, 5);
      assert.deepEqual(taken(eth0.stack), [5]);
    });

    test('host rings exchange frames with the host stack, and never wait', async () => {
      eth0 = await add('eth0', { ...small, hostTxRings: 2, hostRxRings: 2 });
      const all = await open('netmap:eth0*');
      assert.deepEqual([all.txRings.length, all.rxRings.length], [3, 3]);
      assert.deepEqual(
        all.rxRings.map(({ ringId }) => ringId),
        [0, 1, 2],
      );
      const host = await open('netmap:eth0^');
      assert.deepEqual(
        host.txRings.map(({ ringId }) => ringId),
        [1, 2],
      );
      assert.equal(host.nifp.hostTxRings, 2);
      push(eth0.stack, 1, 2);
      assert.deepEqual(taken(host), [1, 2]);
      push(host, 3);
      assert.deepEqual(taken(eth0.stack), [3]);
      const second = await open('netmap:eth0^1');
      push(second, 4);
      eth0.stack.rxsync();
      assert.deepEqual([eth0.stack.rxRings[0].space, eth0.stack.rxRings[1].space], [0, 1]);
      push(host, 1, 2, 3, 4, 5, 6, 7);
      push(host, 8, 9);
      assert.equal((await host.counters()).drops['noSpace'], 2);
      await assert.rejects(netmap.open('netmap:eth0^2'), { code: 'EINVAL' });
      await assert.rejects(netmap.open('netmap:eth0-1'), { code: 'EINVAL' });
    });

    test('with host rings only, the NIC still belongs to the host stack', async () => {
      eth0 = await add('eth0', small);
      const host = await open('netmap:eth0^');
      push(eth0.wire, 1);
      push(eth0.stack, 2);
      assert.deepEqual([taken(eth0.stack), taken(eth0.wire), taken(host)], [[1], [2], []]);
      push(host, 3);
      assert.deepEqual(taken(eth0.stack), [3]);
    });

    test('rings are taken one by one, shared, and exclusively', async () => {
      eth0 = await add('eth0', { ...small, txRings: 2, rxRings: 2 });
      const zero = await open('netmap:eth0-0/x');
      await assert.rejects(netmap.open('netmap:eth0'), { code: 'EBUSY' });
      const one = await open('netmap:eth0-1');
      const again = await open('netmap:eth0-1');
      await assert.rejects(netmap.open('netmap:eth0-1/x'), { code: 'EBUSY' });
      push(one, 1);
      eth0.wire.rxsync();
      assert.deepEqual([eth0.wire.rxRings[0].space, eth0.wire.rxRings[1].space], [0, 1]);
      await one.close();
      push(again, 2);
      assert.deepEqual(taken(eth0.wire), [1, 2]);
      await again.close();
      const wire = eth0.wire.txRings;
      for (const ring of wire) {
        ring.u8.set(frame(7), ring.bufAddress(0));
        ring.setSlot(0, 60);
        ring.advance(1);
      }
      eth0.wire.txsync();
      assert.deepEqual([taken(zero), taken(eth0.stack)], [[7], [7]], 'ring 1 is not open: to the stack');
      const tx = await open('netmap:eth0-1/T');
      assert.deepEqual([tx.txRings.length, tx.rxRings.length], [1, 0]);
    });

    test('NS_FORWARD: released frames go from the NIC to the stack, and from the stack to the NIC', async () => {
      eth0 = await add('eth0', small);
      const port = await open('netmap:eth0*');
      const [nic, host] = port.rxRings;
      push(eth0.wire, 1, 2, 3);
      port.rxsync();
      nic.setSlot(1, 60, NS_FORWARD);
      nic.advance(3);
      port.rxsync();
      assert.deepEqual(taken(eth0.stack), [], 'the ring does not forward');
      nic.flags = NR_FORWARD;
      push(eth0.wire, 4, 5, 6);
      port.rxsync();
      nic.setSlot(4, 60, NS_FORWARD);
      nic.advance(3);
      port.rxsync();
      assert.deepEqual(taken(eth0.stack), [5]);
      host.flags = NR_FORWARD;
      push(eth0.stack, 7, 8);
      port.rxsync();
      host.setSlot(1, 60, NS_FORWARD);
      host.advance(2);
      assert.equal(port.pollOnce(POLLIN), 0);
      assert.deepEqual(taken(eth0.wire), [8], 'poll sends what was forwarded');
    });

    test('fwd forwards everything; down only for who has all NIC tx rings', async () => {
      eth0 = await add('eth0', { ...small, txRings: 2, rxRings: 2, fwd: true });
      const host = await open('netmap:eth0^');
      const nic = await open('netmap:eth0');
      push(eth0.wire, 1, 2);
      assert.deepEqual(taken(nic), [1, 2]);
      nic.rxsync();
      assert.deepEqual(taken(eth0.stack), [1, 2]);
      push(eth0.stack, 3);
      assert.deepEqual(taken(host), [3]);
      host.rxsync();
      nic.txsync();
      assert.deepEqual(taken(eth0.wire), []);
      const all = await open('netmap:eth0*');
      push(eth0.stack, 4, 5, 6, 7, 8, 9, 10);
      assert.deepEqual(taken(all), [4, 5, 6, 7, 8, 9, 10]);
      all.rxsync();
      all.txsync();
      assert.deepEqual(taken(eth0.wire), [4, 5, 6, 7, 8, 9, 10]);
    });

    test('NR_TIMESTAMP: rxsync writes the time of day', async () => {
      eth0 = await add('eth0', small);
      const port = await open('netmap:eth0');
      const [ring] = port.rxRings;
      const ts = (): number =>
        new BigUint64Array(netmap.memory.buffer, ring.ptr + 40, 2).reduce((s, v) => s * 1e6 + Number(v), 0);
      port.rxsync();
      assert.equal(ts(), 0);
      ring.flags = NR_TIMESTAMP;
      port.rxsync();
      assert.ok(Math.abs(ts() / 1000 - Date.now()) < 2000, `${ts()}`);
    });

    test('taken away, it stops the ports that have it open, and is gone for others', async () => {
      eth0 = await add('eth0', small);
      const port = await open('netmap:eth0');
      const waits = port.poll(POLLIN);
      await netmap.removeInterface('eth0');
      assert.equal(await waits, POLLERR);
      assert.deepEqual(
        [port.txsync(), port.rxsync(), eth0.wire.txsync(), eth0.stack.rxsync()],
        [-EIO, -EIO, -EIO, -EIO],
      );
      await assert.rejects(netmap.open('netmap:eth0'), { code: 'ENXIO' });
      await assert.rejects(netmap.removeInterface('eth0'), { code: 'ENXIO', op: 'removeInterface', port: 'eth0' });
      const again = await add('eth0', small);
      push(again.wire, 1);
      assert.deepEqual([taken(port), taken(again.stack)], [[], [1]]);
    });

    test('closing one end takes it away', async () => {
      eth0 = await add('eth0', small);
      await eth0.stack.close();
      assert.equal(eth0.wire.pollOnce(POLLIN), POLLERR);
      await assert.rejects(netmap.open('netmap:eth0'), { code: 'ENXIO' });
    });

    test('names, counts and mem ids are checked', async () => {
      eth0 = await add('eth0', { memId: 1, ...small });
      await assert.rejects(netmap.addInterface('eth0'), { code: 'EEXIST', op: 'addInterface', port: 'eth0' });
      for (const name of ['', 'vale0', 'vale0:a', 'a{1', 'a-1', 'a^', 'a/x', 'a@1', '\0', 'n'.repeat(16), 7 as never]) {
        await assert.rejects(netmap.addInterface(name), { code: 'EINVAL' }, String(name));
      }
      await assert.rejects(netmap.addInterface('eth1', { txSlots: -1 }), { code: 'EINVAL' });
      await assert.rejects(netmap.addInterface('eth1', { hostTxRings: 0.5 }), { code: 'EINVAL' });
      await assert.rejects(netmap.addInterface('eth1', { memId: 77 }), { code: 'EINVAL' });
      await assert.rejects(netmap.addInterface('eth1', { txSlots: 4096, txRings: 16 }), { code: 'ENOMEM' });
      await assert.rejects(netmap.open('vale0:eth0'), { code: 'EINVAL' });
      await assert.rejects(netmap.open('netmap:eth0 (wire)'), { code: 'ENXIO' });
      assert.equal((await open('netmap:eth0')).memId, 1);
    });

    test('a pipe hangs on an interface, and uses its memory', async () => {
      eth0 = await add('eth0', small);
      const master = await open('netmap:eth0{1');
      const slave = await open('netmap:eth0}1');
      const port = await open('netmap:eth0');
      assert.deepEqual([master.memId, slave.info.txSlots], [port.memId, 8]);
      push(master, 1);
      assert.deepEqual(taken(slave), [1]);
    });

    test('its wire is opened once more: all of it, a ring pair or a direction, and no ring that is not there', async () => {
      eth0 = await add('eth0', { ...small, txRings: 2, rxRings: 3 });
      const bound = async (options?: WireOptions): Promise<number[][]> => {
        const wire = await netmap.openWire('eth0', options);
        const ids = [wire.txRings, wire.rxRings].map((rings) => rings.map(({ ringId }) => ringId));
        await wire.close();
        return ids;
      };
      assert.deepEqual(await bound(), [
        [0, 1, 2],
        [0, 1],
      ]);
      assert.deepEqual(await bound({ ring: 1 }), [[1], [1]]);
      assert.deepEqual(await bound({ ring: 2 }), [[2], [0]], 'a direction that has fewer: its first');
      assert.deepEqual(await bound({ ring: 1, flags: NR_RX_RINGS_ONLY }), [[], [1]]);
      for (const ring of [3, -1, 0.5, Number.NaN]) await assert.rejects(bound({ ring }), { code: 'EINVAL' }, `${ring}`);
      await assert.rejects(netmap.openWire('eth1'), { code: 'ENXIO' });
      const port = await open('netmap:eth0');
      push(port, 1);
      assert.deepEqual(taken(eth0.wire), [1], 'the interface has stayed');
    });

    test('it is passed through to a guest, without its host rings', async () => {
      eth0 = await add('eth0', { ...small, txRings: 2, rxRings: 2 });
      const guest = await netmap.createGuest();
      for (const spec of ['netmap:eth0*', 'netmap:eth0^'])
        await assert.rejects(guest.passthrough(spec), { code: 'EINVAL' });
      await guest.passthrough('netmap:eth0');
      await assert.rejects(netmap.open('netmap:eth0-0'), { code: 'EBUSY' });
      const [driver] = PtnetDriver.probe(await guest.machine());
      const port = driver.open();
      let sent = 0;
      for (; (await port.poll(POLLOUT, { timeout: 0 })) === POLLOUT; sent++) assert.ok(port.trySend(frame(sent)));
      assert.deepEqual([port.txRings.length, sent], [2, 28], 'two rings, and twice as much as one side holds');
      const numbers = taken(eth0.wire);
      eth0.wire.rxsync();
      assert.equal(await port.poll(POLLOUT, { timeout: 1000 }), POLLOUT, 'it is woken when the wire has room');
      assert.ok(numbers.length > 0);
      push(eth0.wire, 77);
      assert.equal(await port.poll(POLLIN, { timeout: 1000 }), POLLIN);
      assert.deepEqual(firsts(port.recv()), [77]);
      await guest.close();
    });

    test('a guest that it is passed through to is told when it is gone', async () => {
      eth0 = await add('eth0', small);
      const guest = await netmap.createGuest();
      await guest.passthrough('netmap:eth0');
      const [driver] = PtnetDriver.probe(await guest.machine());
      const port = driver.open();
      const waiting = port.poll(POLLIN, { timeout: 10_000 });
      await nextTurn();
      assert.equal(driver.linkDown, false);
      await netmap.removeInterface('eth0');
      assert.equal(await waiting, POLLERR);
      assert.equal(driver.linkDown, true);
      assert.deepEqual([port.txsync(), port.rxsync()], [-EIO, -EIO]);
      await port.close();
      assert.throws(() => driver.open(), { code: 'ENXIO' });
      await guest.close();
    });

    test('the interface of a guest goes down with the one behind it, and one that is down does not come up', async () => {
      eth0 = await add('eth0', small);
      const guest = await netmap.createGuest();
      await guest.passthrough('netmap:eth0');
      const [driver] = PtnetDriver.probe(await guest.machine());
      const iface = new PtnetInterface(driver);
      iface.up();
      const rooms: number[] = [];
      iface.onRoom(() => rooms.push(iface.transmit(frame(1))));
      assert.equal(iface.linkUp, true);
      rooms.length = 0;
      await netmap.removeInterface('eth0');
      for (let i = 0; i < 100 && rooms.length === 0; i++) await nextTurn();
      assert.deepEqual(rooms, [-ENETDOWN]);
      assert.deepEqual([iface.linkUp, iface.isRunning], [false, false]);
      iface.down();
      assert.throws(() => iface.up(), { code: 'ENXIO' });
      await guest.close();
    });

    test('loopback: what is sent comes back, until the interface is closed', async () => {
      eth0 = await add('eth0', { ...small, txRings: 2, rxRings: 2 });
      const ends = loopback(eth0.wire);
      const port = await open('netmap:eth0');
      for (let i = 0; i < 30; i++) {
        await port.send(frame(i));
        assert.equal(await port.poll(POLLIN, { timeout: 1000 }), POLLIN);
        assert.deepEqual(firsts(port.recv()), [i]);
      }
      await eth0.close();
      await ends;
    });

    test('a cable joins two interfaces, in one region or in two', async () => {
      for (const memId of [0, 1]) {
        const a = await add('eth1', { ...small, memId });
        const b = await add('eth2', { ...small, memId });
        const stop = new AbortController();
        const ends = crossWire(a.wire, b.wire, { signal: stop.signal });
        const [left, right] = [await open('netmap:eth1'), await open('netmap:eth2')];
        for (let i = 0; i < 20; i++) {
          await left.send(frame(i));
          await right.poll(POLLIN, { timeout: 1000 });
          await right.send(right.recv()[0]);
          await left.poll(POLLIN, { timeout: 1000 });
          assert.deepEqual(firsts(left.recv()), [i]);
        }
        stop.abort(new Error('enough'));
        await assert.rejects(ends, /enough/);
        for (const one of [left, right, a, b]) await one.close();
        await nextTurn();
      }
    });
  });
}
