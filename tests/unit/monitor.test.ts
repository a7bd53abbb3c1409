// Monitors: what they see of pipes, VALE ports and NICs, and that the ports that they watch do not notice.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { EIO, NS_MOREFRAG, NS_TXMON, POLLERR, POLLIN, POLLOUT } from '../../src/abi.js';
import type { ErrnoCode } from '../../src/errors.js';
import { type HostPort, Netmap, type NetmapPort, PtnetDriver } from '../../src/index.js';

const small = { txSlots: 8, rxSlots: 8 };
const privatePools = { priv_buf_size: 128, priv_buf_num: 4, priv_ring_size: 512, priv_ring_num: 2 };
const frame = (n: number, length = 60): Uint8Array => new Uint8Array(length).fill(n, 0, 6).fill(n + 100, 6);

/** What a port has received by now: first bytes, negative for frames that were sent by the watched port. */
function seen(port: HostPort): number[] {
  assert.equal(port.rxsync(), 0);
  return port.rxRings.flatMap((ring) => {
    const marks: number[] = [];
    for (let i = ring.head; i !== ring.tail; i = ring.next(i)) {
      const { flags } = ring.slot(i);
      marks.push(ring.u8[ring.bufAddress(i)] * (flags & NS_TXMON ? -1 : 1));
    }
    ring.advance(marks.length);
    return marks;
  });
}
function push(port: HostPort, ...numbers: number[]): void {
  for (const n of numbers) assert.ok(port.trySend(frame(n)));
  port.txsync();
}

for (const shared of [true, false]) {
  describe(`monitors over ${shared ? 'shared' : 'unshared'} memory`, () => {
    let netmap: Netmap;
    let clean: unknown;
    const opened: { close(): Promise<void> }[] = [];
    const open = async (spec: string, options: object = small): Promise<HostPort> => {
      const port = await netmap.open(spec, options);
      opened.push(port);
      return port;
    };
    /** Both ends of a pipe of 8 slots. */
    const pipe = async (): Promise<[HostPort, HostPort]> => {
      await open('netmap:p', small).catch(() => {});
      return [await open('netmap:p{1'), await open('netmap:p}1')];
    };
    const rejects = (promise: Promise<unknown>, code: ErrnoCode): Promise<void> => assert.rejects(promise, { code });
    before(async () => {
      netmap = await Netmap.create({ memorySize: 1 << 25, shared, privatePools });
      clean = await netmap.inspect();
    });
    afterEach(async () => {
      for (const one of opened.splice(0)) await one.close();
      assert.deepEqual(await netmap.inspect(), clean, 'something is left behind');
    });
    after(() => netmap.close());

    test('a copy monitor sees what is sent when it is sent, and what is received', async () => {
      const [a, b] = await pipe();
      const tx = await open('netmap:p{1/t');
      const rx = await open('netmap:p}1/r');
      const both = await open('netmap:p{1/rt');
      assert.deepEqual([tx.name, rx.name, both.name], ['p{1/t#1', 'p}1/r#1', 'p{1/rt#2']);
      push(a, 1, 2);
      assert.deepEqual(
        [seen(tx), seen(both)],
        [
          [-1, -2],
          [-1, -2],
        ],
      );
      assert.deepEqual(seen(b), [1, 2]);
      assert.deepEqual(seen(rx), [1, 2]);
      push(b, 3);
      assert.deepEqual([seen(tx), seen(rx), seen(both), seen(a)], [[], [], [3], [3]]);
      push(b, 4);
      assert.deepEqual(seen(both), [4], 'although nobody has synced the watched ring');
      assert.equal((await both.counters()).rxPackets, 4);
    });

    test('flags and lengths are copied, and frames cut to the monitor’s buffers', async () => {
      const [a, b] = await pipe();
      const monitor = await open('netmap:p{1/t');
      await a.send(Uint8Array.from({ length: 300 }, (_, i) => i));
      b.rxsync();
      monitor.rxsync();
      const slots = [0, 1, 2].map((i) => monitor.rxRings[0].slot(i));
      assert.deepEqual(
        slots.map(({ len, flags }) => [len, flags]),
        [
          [128, NS_MOREFRAG | NS_TXMON],
          [128, NS_MOREFRAG | NS_TXMON],
          [44, NS_TXMON],
        ],
      );
      assert.deepEqual(monitor.recv(), b.recv());
    });

    test('a full monitor keeps the first frames and then the newest that fit; the port never waits', async () => {
      const [a, b] = await pipe();
      const monitor = await open('netmap:p{1/t');
      push(a, 1, 2, 3, 4, 5);
      assert.deepEqual(seen(b), [1, 2, 3, 4, 5]);
      push(a, 6, 7);
      b.rxsync();
      a.txsync();
      push(a, 8, 9, 10);
      assert.deepEqual(seen(monitor), [-1, -2, -3, -4, -5, -6, -7]);
      monitor.rxsync(); // released
      push(a, 11);
      assert.deepEqual(seen(b), [6, 7, 8, 9, 10, 11]);
      assert.deepEqual(seen(monitor), [-11]);
      monitor.rxsync();
      b.rxsync();
      a.txsync();
      push(a, 1, 2, 3, 4, 5);
      b.rxsync();
      b.rxRings[0].advance(5);
      b.rxsync();
      a.txsync();
      push(a, 21, 22, 23, 24);
      assert.deepEqual(seen(monitor), [-1, -2, -3, -4, -5, -23, -24]);
    });

    test('a zero-copy monitor sees sent frames when they are released, and received ones when they are given back', async () => {
      const [a, b] = await pipe();
      const sent = await open('netmap:p{1/z');
      const received = await open('netmap:p}1/z');
      assert.deepEqual([sent.name, sent.memId], ['p{1/zrt#1', a.memId]);
      push(a, 1, 2, 3);
      assert.deepEqual([seen(sent), seen(received)], [[], []]);
      assert.deepEqual(seen(b), [1, 2, 3]);
      assert.deepEqual([seen(sent), seen(received)], [[], []]);
      b.rxsync();
      assert.deepEqual(seen(received), [1, 2, 3]);
      a.txsync();
      assert.equal(seen(sent).length, 3, 'the buffers that came back, with what the other monitor had');
    });

    test('a zero-copy monitor does not copy: it has the buffer itself', async () => {
      const a = await open('vale0:a');
      const b = await open('vale0:b');
      const monitor = await open('vale0:b/z');
      push(a, 9);
      b.rxsync();
      const { bufIdx } = b.rxRings[0].slot(0);
      b.rxRings[0].advance(1);
      b.rxsync();
      monitor.rxsync();
      assert.equal(monitor.rxRings[0].slot(0).bufIdx, bufIdx);
      assert.notEqual(b.rxRings[0].slot(0).bufIdx, bufIdx);
      assert.deepEqual(seen(monitor), [9]);
    });

    test('zero-copy monitors of one port are a chain, and close in any order', async () => {
      for (const closed of [0, 1, 2]) {
        const a = await open('vale0:a');
        const b = await open('vale0:b');
        const chain = [await open('vale0:a/z'), await open('vale0:a/z'), await open('vale0:a/z')];
        push(a, 1, 2);
        assert.deepEqual(chain.map(seen), [[-1, -2], [], []]);
        assert.deepEqual(chain.map(seen), [[], [-1, -2], []]);
        assert.deepEqual(chain.map(seen), [[], [], [-1, -2]]);
        await chain[closed].close();
        chain.splice(closed, 1);
        push(a, 3);
        push(b, 4);
        a.rxsync();
        a.recv();
        a.rxsync();
        assert.deepEqual(chain.map(seen), [[-3, 4], []]);
        assert.deepEqual(chain.map(seen), [[], [-3, 4]]);
        for (const one of opened.splice(0).sort(() => closed - 1)) await one.close();
      }
    });

    test('VALE: sent frames as they were, and what the switch has delivered', async () => {
      const a = await open('vale0:a', { ...small, txRings: 2, rxRings: 2 });
      const b = await open('vale0:b', { ...small, txRings: 2, rxRings: 2 });
      const all = await open('vale0:a/rt');
      const one = await open('vale0:a-1/rt');
      assert.deepEqual([all.rxRings.length, one.rxRings.length, one.rxRings[0].ringId], [2, 1, 1]);
      for (const ring of a.txRings) {
        ring.u8.set(frame(ring.ringId + 1), ring.bufAddress(0));
        ring.setSlot(0, 60);
        ring.advance(1);
      }
      a.txsync();
      assert.deepEqual([seen(all), seen(one)], [[-1, -2], [-2]]);
      push(b, 7);
      assert.deepEqual([seen(all), seen(one)], [[7], []]);
    });

    test('NICs: NIC rings by themselves, host rings where they are selected', async () => {
      const eth0 = await netmap.addInterface('eth0', { ...small, fwd: true });
      opened.push(eth0);
      await rejects(netmap.open('netmap:eth0/rt', small), 'EINVAL');
      const port = await open('netmap:eth0*');
      const nic = await open('netmap:eth0/rt');
      const host = await open('netmap:eth0^/rt');
      const zcopy = await open('netmap:eth0*/z');
      assert.deepEqual([nic.rxRings.length, host.rxRings.length, zcopy.rxRings.length], [1, 1, 2]);
      assert.equal(zcopy.nifp.hostRxRings, 1);
      push(port, 1);
      push(eth0.wire, 2);
      push(eth0.stack, 3);
      assert.deepEqual(seen(port), [2, 3]);
      assert.deepEqual([seen(nic), seen(host), seen(zcopy)], [[-1, 2], [3], [-1]]);
      port.rxsync();
      port.txsync();
      assert.deepEqual([seen(eth0.stack), seen(zcopy)[0]], [[2], 2]);
      await eth0.close();
      assert.equal(nic.rxsync(), -EIO);
    });

    test('a monitor waits for what it watches', async () => {
      const a = await open('vale0:a');
      const b = await open('vale0:b');
      for (const spec of ['vale0:a/t', 'vale0:b/r']) {
        const monitor = await open(spec);
        const waits = monitor.poll(POLLIN, { timeout: 2000 });
        push(a, 1);
        assert.equal(await waits, POLLIN, spec);
        seen(b);
        await monitor.close();
      }
    });

    test('it sends nothing: POLLERR for POLLOUT, EIO for send()', async () => {
      const [a] = await pipe();
      const monitor = await open('netmap:p{1/t');
      assert.deepEqual([monitor.txRings.length, monitor.rxRings.length], [1, 1]);
      assert.equal(monitor.pollOnce(POLLIN), 0);
      assert.equal(monitor.pollOnce(POLLOUT) & POLLERR, POLLERR);
      assert.equal(monitor.txsync(), 0);
      await assert.rejects(monitor.send(frame(1)), { code: 'EIO' });
      assert.deepEqual((await a.counters()).rxPackets, 0);
    });

    test('when nobody has the port open any more, its monitors get EIO', async () => {
      const a = await open('vale0:a');
      const again = await open('vale0:a');
      const monitors = [await open('vale0:a/rt'), await open('vale0:a/z')];
      await a.close();
      assert.deepEqual(
        monitors.map((monitor) => monitor.rxsync()),
        [0, 0],
      );
      const waits = monitors.map((monitor) => monitor.poll(POLLIN));
      await again.close();
      assert.deepEqual(await Promise.all(waits), [POLLERR, POLLERR]);
      assert.deepEqual(
        monitors.map((monitor) => monitor.rxsync()),
        [-EIO, -EIO],
      );
      const third = await open('vale0:a');
      push(third, 1);
      assert.deepEqual(
        monitors.map((monitor) => monitor.rxsync()),
        [-EIO, -EIO],
      );
    });

    test('a ring that is opened again is watched from its start', async () => {
      const a = await open('vale0:a-0', { ...small, txRings: 2, rxRings: 2 });
      const one = await open('vale0:a-1');
      const b = await open('vale0:b');
      const monitor = await open('vale0:a/rt');
      push(b, 1, 2, 3);
      assert.deepEqual(seen(monitor), [1, 2, 3]);
      await a.close();
      const again = await open('vale0:a-0');
      push(b, 4);
      assert.deepEqual([seen(monitor), seen(again)], [[4], [4]]);
      await one.close();
    });

    test('only open ports can be monitored, and monitors cannot', async () => {
      const a = await open('vale0:a');
      const monitor = await open('vale0:a/t');
      await rejects(netmap.open(`netmap:${monitor.name}`), 'EINVAL');
      await rejects(netmap.open('vale0:b/r'), 'EINVAL');
      await rejects(netmap.open('vale0:a-1/r'), 'EINVAL');
      await rejects(netmap.open('vale0:a^/r'), 'EINVAL');
      await rejects(netmap.open('netmap:none/r'), 'ENXIO');
      await open('vale0:a/xt');
      await a.close();
      await rejects(netmap.open('vale0:a/r'), 'EINVAL');
    });

    test('a monitor that is passed through learns of what nobody else looks for', async () => {
      const a = await open('vale0:a');
      await open('vale0:b'); // never synced
      const guest = await netmap.createGuest();
      await guest.passthrough('vale0:b/r', small);
      const [driver] = PtnetDriver.probe(await guest.machine());
      const monitor = driver.open();
      for (let n = 1; n < 4; n++) {
        const arrival = monitor.poll(POLLIN, { timeout: 10_000 });
        await new Promise((resolve) => setTimeout(resolve, 5));
        push(a, n);
        assert.equal(await arrival, POLLIN);
        assert.deepEqual(
          monitor.recv().map(([first]) => first),
          [n],
        );
      }
      await guest.close();
    });

    test('a guest with a monitor is told when the watched port is closed', async () => {
      const b = await open('vale0:b');
      const guest = await netmap.createGuest();
      await guest.passthrough('vale0:b/r', small);
      const [driver] = PtnetDriver.probe(await guest.machine());
      const monitor = driver.open();
      const waiting = monitor.poll(POLLIN, { timeout: 10_000 });
      await new Promise((resolve) => setTimeout(resolve, 5));
      await b.close();
      assert.equal(await waiting, POLLERR);
      assert.deepEqual([driver.linkDown, monitor.rxsync()], [true, -EIO]);
      await guest.close();
    });

    test('who else waits for a ring or watches it takes no wake-up away from a monitor that is passed through', async () => {
      const a = await open('vale0:a');
      const b = await open('vale0:b');
      const pass = async (): Promise<[() => Promise<void>, NetmapPort]> => {
        const guest = await netmap.createGuest();
        await guest.passthrough('vale0:b/r', small);
        return [() => guest.close(), PtnetDriver.probe(await guest.machine())[0].open()];
      };
      const [close, monitor] = await pass();
      const [closeOther] = await pass();
      for (const [what, event] of [
        ['a poll of the port ends', () => b.poll(POLLIN, { timeout: 1 })],
        ['another monitor is closed', closeOther],
      ] as const) {
        await event();
        const arrival = monitor.poll(POLLIN, { timeout: 1000 });
        await new Promise((resolve) => setTimeout(resolve, 5));
        push(a, 1);
        const since = performance.now();
        assert.equal(await arrival, POLLIN, what);
        assert.ok(performance.now() - since < 500, `${what}: only the end of the poll has found it`);
        monitor.recv();
        b.recv();
        b.rxsync();
      }
      await close();
    });

    test('a guest’s port is monitored; zero-copy only where the region is shared', async () => {
      const guest = await netmap.createGuest();
      await guest.passthrough('vale0:g', small);
      const b = await open('vale0:b');
      const monitor = await open('vale0:g/rt');
      await rejects(netmap.open('vale0:g/z'), 'EBUSY');
      push(b, 5);
      assert.deepEqual(seen(monitor), [5]);
      await guest.close();
      assert.equal(monitor.rxsync(), -EIO);
    });
  });
}
