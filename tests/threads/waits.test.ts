// What ends a wait: frames, room, doorbells, a close, a stop; and who may wait how.
//   PTNET_STORM   opens and closes of each of the workers that do nothing else (default 400)
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { THREAD_MAX, THREAD_SLEEPERS } from '../../src/abi.js';
import { abi, Netmap, type NetmapOptions, type NetmapPort } from '../../src/index.js';
import { Arena } from '../../src/memory/arena.js';
import { arenaIn, assertForeignUntouched, makeMemory } from './foreign.js';
import { HELLO, mac } from './frames.js';
import { putFrame, takeFrames } from './ping-pong.js';
import { Peer, seed, size, sleep, until, within } from './support.js';

const { POLLERR, POLLIN, POLLOUT } = abi;
const STORM = size('PTNET_STORM', 400);
const url = new URL('./port-worker.js', import.meta.url);
const LIMIT = 10_000;
const FROM_TO = { from: mac(1), to: mac(2) };

/** A host and some workers, gone after the test. */
async function withPeers(count: number, options: NetmapOptions, body: (netmap: Netmap, ...peers: Peer[]) => unknown) {
  const netmap = await Netmap.create(options);
  const peers = Array.from({ length: count }, () => new Peer(url));
  try {
    await body(netmap, ...peers);
    assert.equal((await netmap.inspect().catch(() => ({ lostWakeups: 0 }))).lostWakeups, 0);
  } finally {
    for (const peer of peers) await peer.end();
    await netmap.close();
  }
}

async function openIn(netmap: Netmap, peer: Peer, spec: string, options = {}): Promise<void> {
  await peer.call('openHost', { handle: netmap.handle(peer.worker), spec, options });
}

async function guestIn(netmap: Netmap, peer: Peer, spec: string, loop: 'notify' | 'direct'): Promise<void> {
  const guest = await netmap.createGuest();
  await guest.passthrough(spec, { loop });
  await peer.call('openGuest', { handle: guest.handle(peer.worker) });
}

/** A wait that is certainly asleep when this resolves. */
async function asleep<T>(wait: Promise<T>): Promise<{ wait: Promise<T> }> {
  const first = await Promise.race([wait, sleep(60)]);
  assert.equal(first, undefined, 'nothing has happened yet');
  return { wait };
}

describe('a wait ends when', () => {
  for (const [medium, a, b] of [
    ['pipe', 'netmap:p{1', 'netmap:p}1'],
    ['VALE', 'vale0:a', 'vale0:b'],
  ]) {
    test(`a frame arrives in a worker's port (${medium})`, () =>
      withPeers(1, {}, async (netmap, peer) => {
        const port = await netmap.open(a);
        await openIn(netmap, peer, b);
        const { wait } = await asleep(peer.call('poll', { events: POLLIN }));
        putFrame(port.txRings[0], mac(2), mac(1), 0, HELLO);
        assert.equal(port.txsync(), 0);
        assert.equal(await within(LIMIT, 'a wake-up', wait), POLLIN);
      }));

    test(`a frame arrives in the main thread's port (${medium})`, () =>
      withPeers(1, {}, async (netmap, peer) => {
        const port = await netmap.open(a);
        await openIn(netmap, peer, b);
        const { wait } = await asleep(port.poll(POLLIN));
        await peer.call('put', { count: 1, ...FROM_TO });
        assert.equal(await within(LIMIT, 'a wake-up', wait), POLLIN);
      }));

    for (const loop of ['notify', 'direct'] as const) {
      test(`a frame arrives in a guest's port (${medium}, mode ${loop})`, () =>
        withPeers(2, { threads: 1 }, async (netmap, one, two) => {
          await guestIn(netmap, one, a, loop);
          await guestIn(netmap, two, b, loop);
          const { wait } = await asleep(one.call('poll', { events: POLLIN }));
          await sleep(100); // the loop worker sleeps too
          await two.call('put', { count: 1, ...FROM_TO });
          assert.equal(await within(LIMIT, 'a doorbell and an interrupt', wait), POLLIN);
        }));
    }
  }

  test('the receiver gives slots of a full pipe back', () =>
    withPeers(2, {}, async (netmap, sender, receiver) => {
      await openIn(netmap, sender, 'netmap:p{1');
      await openIn(netmap, receiver, 'netmap:p}1');
      await sender.call('put', { count: 1023, ...FROM_TO });
      const { wait } = await asleep(sender.call('poll', { events: POLLOUT }));
      assert.equal(await receiver.call('take'), 1023);
      assert.equal(await receiver.call('take'), 0); // releases them
      assert.equal(await within(LIMIT, 'room', wait), POLLOUT);
    }));

  for (const loop of ['notify', 'direct'] as const) {
    test(`a guest gives slots back to a sender that wants more room than there was (mode ${loop})`, () =>
      withPeers(2, { threads: 1 }, async (netmap, sender, guest) => {
        await openIn(netmap, sender, 'netmap:p{1');
        await guestIn(netmap, guest, 'netmap:p}1', loop);
        await sender.call('put', { count: 500, ...FROM_TO });
        assert.equal(await guest.call('poll', { events: POLLIN }), POLLIN);
        await sleep(100); // the loop has found nothing more and sleeps
        const { wait } = await asleep(sender.call('pollForMore', { timeout: 5000 }));
        assert.equal(await guest.call('take'), 500);
        assert.equal(await guest.call('take'), 0); // releases them
        assert.equal(await wait, 1023, 'the sender sees all slots free');
      }));
  }

  test('its port is closed (POLLERR), in any thread', () =>
    withPeers(1, {}, async (netmap, peer) => {
      const port = await netmap.open('netmap:p{1');
      await openIn(netmap, peer, 'netmap:p}1');
      const here = await asleep(port.poll(POLLIN));
      const there = await asleep(peer.call('pollAsync', { events: POLLIN, timeout: 30_000 }));
      await port.close();
      await peer.call('closePort');
      assert.equal(await within(LIMIT, 'the end of a wait', here.wait), POLLERR);
      assert.equal(await within(LIMIT, 'the end of a wait', there.wait), POLLERR);
    }));

  for (const spec of ['netmap:p}1', 'vale0:b']) {
    test(`the host is closed (POLLERR in a worker that blocks, ${spec})`, () =>
      withPeers(1, {}, async (netmap, peer) => {
        await openIn(netmap, peer, spec);
        const { wait } = await asleep(peer.call('poll', { events: POLLIN, timeout: 30_000 }));
        await netmap.close();
        assert.equal(await within(LIMIT, 'the end of a wait', wait), POLLERR);
      }));
  }

  test('its signal aborts', () =>
    withPeers(0, {}, async (netmap) => {
      const port = await netmap.open('netmap:p{1');
      const abort = new AbortController();
      const { wait } = await asleep(port.poll(POLLIN, { signal: abort.signal }).catch((error) => error));
      abort.abort(new Error('enough'));
      assert.equal((await within(LIMIT, 'the end of a wait', wait)).message, 'enough');
    }));

  test('another thread has died that had taken the sleeper’s word back, and notified nobody', () =>
    withPeers(2, {}, async (netmap, peer, waker) => {
      const port = await netmap.open('netmap:p{1');
      await openIn(netmap, peer, 'netmap:p}1');
      await openIn(netmap, waker, 'netmap:q{1');
      const { wait } = await asleep(peer.call('poll', { events: POLLIN }));
      const { memory, arena: ptr } = netmap.handle();
      const arena = Arena.attach(memory, ptr);
      const words = Array.from({ length: THREAD_MAX - 1 }, (_, i) => arena.threadPtr(i + 1) + THREAD_SLEEPERS);
      const sleepers = words.filter((word) => arena.load(word) !== 0);
      assert.ok(sleepers.length > 0);
      for (const word of sleepers) arena.store(word, 0);
      putFrame(port.txRings[0], mac(2), mac(1), 0, HELLO);
      assert.equal(port.txsync(), 0);
      await asleep(wait);
      await waker.end();
      assert.equal(await within(LIMIT, 'a wake-up', wait), POLLIN);
    }));
});

test('the main thread must not block: pollSync is refused there', () =>
  withPeers(0, {}, async (netmap) => {
    const port = await netmap.open('netmap:p{1');
    assert.throws(() => port.pollSync(POLLIN, 1), { code: 'EOPNOTSUPP' });
  }));

describe('one thread serves several ports', () => {
  test('each of eight waits is ended by its own frame', () =>
    withPeers(1, {}, async (netmap, peer) => {
      const ports: NetmapPort[] = [];
      for (let i = 0; i < 8; i++) {
        ports.push(await netmap.open(`netmap:p{${i}@1`));
        await openIn(netmap, peer, `netmap:p}${i}@1`);
      }
      for (let round = 0; round < 20; round++) {
        const waits = ports.map((port) => port.poll(POLLIN));
        for (let i = 0; i < 8; i++) {
          const port = (3 * i + round) % 8;
          await peer.call('put', { port, count: 1, ...FROM_TO });
          assert.equal(await within(LIMIT, `wait ${port}`, waits[port]), POLLIN);
          assert.equal(takeFrames(ports[port]), 1);
        }
      }
    }));

  test('two waits on one ring, through two opens of its port, do not end each other', () =>
    withPeers(1, {}, async (netmap, peer) => {
      const [one, two] = [await netmap.open('netmap:p{1'), await netmap.open('netmap:p{1')];
      await openIn(netmap, peer, 'netmap:p}1');
      const long = one.poll(POLLIN);
      assert.equal(await two.poll(POLLIN, { timeout: 50 }), 0);
      await peer.call('put', { count: 1, ...FROM_TO });
      assert.equal(await within(LIMIT, 'the longer wait', long), POLLIN);
    }));

  test('send() of a frame of several slots waits until there is room for all of them', () =>
    withPeers(1, {}, async (netmap, peer) => {
      const port = await netmap.open('netmap:p{1', { txSlots: 8, rxSlots: 8 });
      await openIn(netmap, peer, 'netmap:p}1');
      for (let i = 0; i < 5; i++) await port.send(new Uint8Array(60)); // 2 of 7 slots stay free
      const { wait } = await asleep(port.send(new Uint8Array(3 * 2112), { timeout: LIMIT }).then(() => true));
      assert.equal(await peer.call('take'), 5);
      await peer.call('take'); // releases them
      assert.equal(await within(LIMIT, 'room for three slots', wait), true);
    }));
});

test('open and close storms of three workers at once leave nothing behind', () =>
  withPeers(4, {}, async (netmap, ...peers) => {
    await netmap.open('vale9:keep'); // a region that stays
    const before = await netmap.inspect();
    const specs = ['vale0:a', 'vale0:b', 'vale1:a', 'vale9:keep{1', 'vale9:keep}1', 'vale9:keep{2/x', 'vale0:a{1'];
    const [bystander, ...workers] = peers;
    await openIn(netmap, bystander, 'vale0:z');
    for (const worker of workers) await worker.call('attach', { handle: netmap.handle(worker.worker) });
    await Promise.all(
      workers.map((worker, i) => worker.call('storm', { specs, rounds: STORM, seed: seed + i }, 120_000)),
    );
    for (const peer of peers) await peer.call('close');
    const after = await until(LIMIT, 'the threads gone', async () => {
      const now = await netmap.inspect();
      return now.threads === before.threads ? now : undefined;
    });
    assert.deepEqual(after, before);
  }));

function isFault(error: Error): void {
  assert.match(error.message, /EFAULT/);
}

test('a host that is closed under workers that sync flat out stops them, and touches only what is its own', async () => {
  for (let round = 0; round < 8; round++) {
    const memory = makeMemory();
    const netmap = await Netmap.create(arenaIn(memory));
    const specs = ['netmap:p{1', 'netmap:p}1', 'vale0:a'];
    const peers = specs.map(() => new Peer(url));
    try {
      for (const [i, spec] of specs.entries()) await openIn(netmap, peers[i], spec);
      // A sync fails; or, before the next sync, the ring is found empty of buffers.
      const ends = peers.map((peer) =>
        peer.call('hammer', FROM_TO, LIMIT).then((result) => assert.equal(result, -abi.EIO), isFault),
      );
      await sleep(20 + 5 * round);
      await netmap.close();
      await Promise.all(ends);
    } finally {
      for (const peer of peers) await peer.end();
      await netmap.close();
    }
    assertForeignUntouched(memory);
  }
});

/** Runs a program of the tests in a process of its own: its exit code and how long it took. */
async function runProcess(file: string, ...args: string[]): Promise<{ code: number | null; output: string }> {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const start = 'Deno' in globalThis ? ['run', '-A', path] : [path];
  const child = spawn(process.execPath, [...start, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  try {
    return { code: await within(20_000, `the end of ${file} ${args.join(' ')}`, ended), output };
  } finally {
    child.kill('SIGKILL');
  }
}

describe('a process ends by itself', () => {
  for (const [what, how] of [
    ['after close(), with loop workers, guests and ports', 'closed'],
    ['when nothing waits, although the host is still open', 'open'],
  ]) {
    test(what, async () => {
      const { code, output } = await runProcess('./exit-program.js', how);
      assert.deepEqual([code, output], [0, 'end\n']);
    });
  }
});
