// An open port as a program uses it: poll, send, recv, iteration, and what remains when it is closed.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import {
  EIO,
  KRING_WAITERS,
  NETMAP_RING_HEAD,
  NETMAP_RING_TAIL,
  NR_NO_TX_POLL,
  POLLERR,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  POLLWRNORM,
} from '../../src/abi.js';
import { Netmap, pollMany } from '../../src/index.js';
import type { HostPort } from '../../src/netmap/host-port.js';

const BUF_SIZE = 64;
const frame = (length: number, n = 0): Uint8Array => Uint8Array.from({ length }, (_, i) => i + n);

for (const shared of [true, false]) {
  describe(`a port over ${shared ? 'shared' : 'unshared'} memory`, () => {
    let netmap: Netmap;
    let parent: HostPort;
    before(async () => {
      const privatePools = { priv_buf_size: BUF_SIZE, priv_buf_num: 4, priv_ring_size: 512, priv_ring_num: 2 };
      netmap = await Netmap.create({ memorySize: 1 << 24, shared, privatePools });
      parent = await netmap.open('vale0:parent', { txSlots: 8, rxSlots: 8 });
    });
    after(async () => {
      await parent.close();
      const { ports, memory } = await netmap.inspect();
      assert.deepEqual([ports, memory.regions], [[], 0]);
      await netmap.close();
    });

    /** Both ends of a pipe of 8 slots. */
    async function withPipe(use: (a: HostPort, b: HostPort) => Promise<void>): Promise<void> {
      const a = await netmap.open('vale0:parent{1');
      const b = await netmap.open('vale0:parent}1');
      try {
        await use(a, b);
      } finally {
        await a.close();
        await b.close();
      }
    }
    /** Sends what fits: 7 slots. */
    const fill = async (port: HostPort, n = 7): Promise<void> => {
      for (let i = 0; i < n; i++) await port.send(frame(20, i), { timeout: 0 });
    };
    /** Threads that wait for the port's rings. */
    const waiters = (port: HostPort): number[] => {
      const words = new Uint32Array(netmap.memory.buffer);
      return [...port.info.tx, ...port.info.rx].map(({ kring }) => words[(kring + KRING_WAITERS) >>> 2]);
    };

    test('sends nothing into and receives nothing from a ring whose indices others have spoilt; a sync repairs it', () =>
      withPipe(async (a, b) => {
        await fill(a, 3);
        b.rxsync();
        const memory = new Uint8Array(netmap.memory.buffer);
        for (const [port, ring] of [
          [a, a.txRings[0]],
          [b, b.rxRings[0]],
        ] as const) {
          for (const field of [NETMAP_RING_HEAD, NETMAP_RING_TAIL]) {
            for (const index of [8, 9, 1 << 16, 0x7fffffff, -(2 ** 31), -1]) {
              const w = (ring.ptr + field) >>> 2;
              const saved = ring.i32[w];
              ring.i32[w] = index;
              const before = memory.slice();
              if (port === a) assert.equal(a.trySend(frame(20)), false);
              else assert.deepEqual(b.recv(), []);
              assert.equal(Buffer.compare(memory, before), 0, `${index}`);
              ring.i32[w] = saved;
            }
          }
        }
        a.txRings[0].head = 8;
        a.txsync();
        await a.send(frame(20, 3));
        b.rxRings[0].head = -1;
        b.rxsync();
        assert.deepEqual(b.recv().at(-1), frame(20, 3));
      }));

    test('closed, refuses syncs with -EIO, polls with POLLERR, send() with EIO, and receives nothing', () =>
      withPipe(async (a, b) => {
        await b.send(frame(20));
        await a.close();
        await a.close();
        assert.equal(a.isOpen, false);
        assert.deepEqual([a.txsync(), a.rxsync()], [-EIO, -EIO]);
        assert.equal(a.pollOnce(POLLIN | POLLOUT), POLLERR);
        assert.equal(await a.poll(POLLIN), POLLERR);
        await assert.rejects(a.send(frame(20)), { code: 'EIO', errno: EIO, op: 'send', port: 'vale0:parent{1' });
        assert.throws(() => a.trySend(frame(20)), { code: 'EIO' });
        assert.deepEqual(a.recv(), []);
      }));

    test('poll returns 0 when nothing happens for `timeout` milliseconds, and at once with 0', () =>
      withPipe(async (a) => {
        const started = performance.now();
        assert.equal(await a.poll(POLLIN, { timeout: 30 }), 0);
        assert.ok(performance.now() - started >= 29);
        assert.equal(await a.poll(POLLIN, { timeout: 0 }), 0);
        assert.deepEqual(waiters(a), [0, 0]);
      }));

    test('poll(POLLIN) sends pending slots too, but not with NR_NO_TX_POLL', () =>
      withPipe(async (a, b) => {
        a.trySend(frame(20));
        assert.equal(a.pollOnce(POLLIN), 0);
        assert.equal(b.pollOnce(POLLIN), POLLIN);
        b.recv();
        const quiet = await netmap.open('vale0:parent{1', { flags: NR_NO_TX_POLL });
        quiet.trySend(frame(20));
        assert.equal(quiet.pollOnce(POLLIN), 0);
        assert.equal(b.pollOnce(POLLIN), 0);
        assert.equal(quiet.pollOnce(POLLOUT), POLLOUT);
        assert.equal(b.pollOnce(POLLIN), POLLIN);
        await quiet.close();
      }));

    test('poll tells the events that were asked for, in the names that were used', () =>
      withPipe(async (a, b) => {
        assert.equal(await a.poll(POLLOUT), POLLOUT);
        assert.equal(await a.poll(POLLWRNORM), POLLWRNORM);
        assert.equal(await a.poll(POLLIN | POLLOUT), POLLOUT);
        await a.send(frame(20));
        assert.equal(await b.poll(POLLIN), POLLIN);
        assert.equal(await b.poll(POLLRDNORM | POLLIN), POLLRDNORM | POLLIN);
        assert.equal(await b.poll(POLLIN | POLLOUT), POLLIN | POLLOUT);
      }));

    test('poll wakes when a frame arrives and when room comes back', () =>
      withPipe(async (a, b) => {
        const arrival = b.poll(POLLIN, { timeout: 5000 });
        await nextTurn();
        await fill(a);
        assert.equal(await arrival, POLLIN);
        const room = a.poll(POLLOUT, { timeout: 5000 });
        await nextTurn();
        b.rxsync();
        assert.equal(b.recv().length, 7);
        b.rxsync();
        assert.equal(await room, POLLOUT);
      }));

    test('poll for input also sends what waits in the tx rings', () =>
      withPipe(async (a, b) => {
        assert.equal(a.trySend(frame(20)), true);
        assert.equal(b.pollOnce(POLLIN), 0);
        assert.equal(a.pollOnce(POLLIN), 0);
        assert.equal(b.pollOnce(POLLIN), POLLIN);
      }));

    test('an aborted poll throws the signal’s reason and leaves no waiter', () =>
      withPipe(async (a) => {
        const reason = new Error('enough');
        await assert.rejects(a.poll(POLLIN, { signal: AbortSignal.abort(reason) }), reason);
        const controller = new AbortController();
        const waiting = a.poll(POLLIN, { signal: controller.signal });
        await nextTurn();
        assert.deepEqual(waiters(a), [2, 2]); // thread 1
        controller.abort(reason);
        await assert.rejects(waiting, reason);
        assert.deepEqual(waiters(a), [0, 0]);
        assert.equal(a.isOpen, true);
      }));

    test('closing ends waits with POLLERR, a waiting send() with EIO, and iteration', () =>
      withPipe(async (a, b) => {
        await fill(a);
        const poll = a.poll(POLLIN);
        const send = assert.rejects(a.send(frame(20)), { code: 'EIO' });
        await delay(5);
        await a.close();
        assert.equal(await poll, POLLERR);
        await send;
        const batches: Uint8Array[][] = [];
        const iteration = (async () => {
          for await (const batch of b) batches.push(batch);
        })();
        await delay(5);
        await b.close();
        await iteration;
        assert.equal(batches.flat().length, 7);
      }));

    test('iteration gives batches as they come; leaving the loop leaves the port open', () =>
      withPipe(async (a, b) => {
        await fill(a, 3);
        for await (const batch of b) {
          assert.deepEqual(
            batch,
            [0, 1, 2].map((n) => frame(20, n)),
          );
          break;
        }
        assert.equal(b.isOpen, true);
        await a.send(frame(20, 3));
        for await (const batch of b) {
          assert.deepEqual(batch, [frame(20, 3)]);
          break;
        }
      }));

    test('pollSync is refused with EOPNOTSUPP on the main thread', () =>
      withPipe(async (a) => {
        assert.throws(() => a.pollSync(POLLIN), { code: 'EOPNOTSUPP', op: 'poll' });
      }));

    test('a poll of no ports, or of ports of two hosts, is refused with EINVAL', () =>
      withPipe(async (a) => {
        await assert.rejects(pollMany([]), { code: 'EINVAL' });
        const other = await Netmap.create({ memorySize: 1 << 26, shared });
        const b = await other.open('vale0:x', { txSlots: 4, rxSlots: 4 });
        const requests = [a, b].map((port) => ({ port, events: POLLIN }));
        await assert.rejects(pollMany(requests), { code: 'EINVAL' });
        await other.close();
      }));

    test('send() splits a frame at the size of a buffer, and recv() joins it', () =>
      withPipe(async (a, b) => {
        for (const length of [1, BUF_SIZE - 1, BUF_SIZE, BUF_SIZE + 1, 3 * BUF_SIZE, 7 * BUF_SIZE]) {
          await a.send(frame(length));
          b.rxsync();
          assert.equal(b.rxRings[0].space, Math.ceil(length / BUF_SIZE));
          assert.deepEqual(b.recv(), [frame(length)]);
          b.rxsync();
        }
      }));

    test('send() refuses an empty frame with EINVAL, and one that no ring can hold with EMSGSIZE', () =>
      withPipe(async (a) => {
        await assert.rejects(a.send(new Uint8Array(0)), { code: 'EINVAL', op: 'send' });
        await assert.rejects(a.send(frame(7 * BUF_SIZE + 1)), { code: 'EMSGSIZE', op: 'send' });
        assert.equal(a.txRings[0].space, 7);
      }));

    test('send() into a full ring fails with ETIMEDOUT after the timeout, however often it was woken', () =>
      withPipe(async (a, b) => {
        await fill(a, 6);
        await assert.rejects(a.send(frame(2 * BUF_SIZE), { timeout: 0 }), { code: 'ETIMEDOUT' });
        const started = performance.now();
        const send = assert.rejects(a.send(frame(6 * BUF_SIZE), { timeout: 60 }), { code: 'ETIMEDOUT' });
        for (let i = 0; i < 4; i++) {
          await delay(10);
          b.rxsync();
          b.recv(1);
          b.rxsync(); // a slot more each time, but never six
        }
        await send;
        const elapsed = performance.now() - started;
        assert.ok(elapsed >= 59 && elapsed < 1000, `${elapsed} ms`);
        assert.equal(a.pollOnce(POLLOUT), POLLOUT, 'there is room for a short frame');
      }));

    test('send() waits until a frame of several slots fits', () =>
      withPipe(async (a, b) => {
        await fill(a, 6);
        let sent = false;
        const send = a.send(frame(4 * BUF_SIZE, 9)).then(() => {
          sent = true;
        });
        for (const expected of [false, false, true]) {
          b.rxsync();
          assert.equal(b.recv(1).length, 1);
          b.rxsync();
          await delay(5);
          assert.equal(sent, expected);
        }
        await send;
        b.rxsync();
        assert.deepEqual(b.recv().at(-1), frame(4 * BUF_SIZE, 9));
      }));

    test('two sends that wait at the same time both get through', () =>
      withPipe(async (a, b) => {
        await fill(a);
        const sends = [a.send(frame(3 * BUF_SIZE, 1)), a.send(frame(3 * BUF_SIZE, 2))];
        await delay(5);
        const received: Uint8Array[] = [];
        while (received.length < 9) {
          b.rxsync();
          received.push(...b.recv(2));
          b.rxsync();
          await nextTurn();
        }
        await Promise.all(sends);
        assert.deepEqual(
          received.slice(7).map(({ length }) => length),
          [3 * BUF_SIZE, 3 * BUF_SIZE],
        );
      }));

    test('recv() takes whole frames, at most as many as asked for', () =>
      withPipe(async (a, b) => {
        await a.send(frame(2 * BUF_SIZE));
        await a.send(frame(10));
        b.rxsync();
        assert.deepEqual(b.recv(0), []);
        assert.deepEqual(b.recv(1), [frame(2 * BUF_SIZE)]);
        assert.deepEqual(b.recv(), [frame(10)]);
        assert.deepEqual(b.recv(), []);
      }));

    test('packets that were not read are still there when the end of a pipe is opened again', () =>
      withPipe(async (a, b) => {
        await fill(a, 5);
        b.rxsync();
        assert.equal(b.recv(2).length, 2);
        b.rxsync();
        await b.close();
        await fill(a, 2);
        const again = await netmap.open('vale0:parent}1');
        again.rxsync();
        assert.deepEqual(
          again.recv(),
          [2, 3, 4, 0, 1].map((n) => frame(20, n)),
        );
        again.rxsync();
        await again.close();
        a.txsync();
        assert.equal(a.txRings[0].space, 7);
        await a.close();
        const fresh = await netmap.open('vale0:parent}1');
        fresh.rxsync();
        assert.deepEqual(fresh.recv(), [], 'a pipe that nobody had open is new');
        await fresh.close();
      }));
  });
}
