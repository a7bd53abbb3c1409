// A program with a memory of its own (trust level 3) that means harm, and a cable to a host whose users trust each other.
// Whatever the program writes, this host's memory is touched nowhere but in the port of the cable, its users lose
// nothing, and the program gets no byte that was not sent to it.
//   PTNET_CABLE_ATTACK   milliseconds of each attack (default 3000)
//   PTNET_SEED           repeats a run's random choices
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { abi, joinPorts, Netmap, type NetmapHandle, type NetmapPort } from '../../src/index.js';
import { arenaIn, assertForeignUntouched, assertZero, makeMemory, PRIVATE, REGIONS } from './foreign.js';
import { mac } from './frames.js';
import { STOP, type StreamResult, sharedWords } from './stream.js';
import { Peer, seed, size, sleep, within } from './support.js';

const TIME = size('PTNET_CABLE_ATTACK', 3000);
const PATIENCE = 20_000;
const PIPE = ['netmap:p{1', 'netmap:p}1'];
const SLOTS = { txSlots: 256, rxSlots: 256 };
const SECRET = Uint8Array.from({ length: 16 }, (_, i) => 0xa1 + 7 * i);
const portWorker = new URL('./port-worker.js', import.meta.url);
const hostileWorker = new URL('./cable-hostile-worker.js', import.meta.url);

/** The host that is to be protected: two neighbours on a pipe, a port with secrets, and the port for the cable. */
class Victim {
  readonly memory = makeMemory();
  readonly neighbours = [new Peer(portWorker), new Peer(portWorker)];
  readonly #shared = sharedWords();
  netmap!: Netmap;
  /** The user's end of the cable's pipe. */
  user!: NetmapPort;
  #passive!: NetmapPort;
  #streams: Promise<StreamResult[]> | undefined;

  async open(): Promise<void> {
    this.netmap = await Netmap.create(arenaIn(this.memory));
    for (const [i, peer] of this.neighbours.entries()) {
      await peer.call('openHost', { handle: this.netmap.handle(peer.worker), spec: `vale8:n${'{}'[i]}1` });
      await peer.call('paint', { pattern: SECRET });
    }
    this.user = await this.netmap.open('vale9:p{1', SLOTS);
    this.#passive = await this.netmap.open('vale7:passive', SLOTS);
    for (const ring of [...this.#passive.txRings, ...this.#passive.rxRings]) {
      for (let i = 0; i < ring.numSlots; i++) fill(ring.buf(i));
    }
    this.#streams = Promise.all(
      this.neighbours.map((peer, side) => {
        const stream = {
          shared: this.#shared,
          side,
          to: mac(1 - side),
          from: mac(side),
          id: 1,
          send: -1,
          receive: true,
          seed: seed + side,
        };
        return peer.call<StreamResult>('run', { stream, pacing: { patience: PATIENCE, sleepEvery: 500 } }, 600_000);
      }),
    );
  }

  /** Sends what the program may see, and takes what it sends. Returns how many frames came. */
  exchange(round: number): number {
    const frame = new Uint8Array(60 + (round % 1400)).fill(0x11);
    while (this.user.trySend(frame));
    this.user.txsync();
    this.user.rxsync();
    return this.user.recv().length;
  }

  /** The neighbours have lost nothing, and nobody has written where he has no port. */
  async assertUnharmed(): Promise<void> {
    new Int32Array(this.#shared)[STOP] = 1;
    const [one, other] = await within(PATIENCE, 'the end of the neighbours', this.#streams as Promise<StreamResult[]>);
    assert.deepEqual([one.received, other.received], [other.sent, one.sent]);
    assert.ok(one.sent > 0 && other.sent > 0);
    for (const ring of [...this.#passive.txRings, ...this.#passive.rxRings]) {
      for (let i = 0; i < ring.numSlots; i++) {
        const expected = new Uint8Array(ring.bufSize);
        fill(expected);
        assert.equal(Buffer.compare(ring.buf(i), expected), 0, `buffer ${i} of a port that does nothing`);
      }
    }
    const { reinits, badSlots } = await this.#passive.counters();
    assert.deepEqual([reinits, badSlots], [0, 0]);
    assertForeignUntouched(this.memory);
    const { lostWakeups } = await this.netmap.inspect();
    assert.equal(lostWakeups, 0);
  }

  async close(): Promise<void> {
    for (const peer of this.neighbours) await peer.end();
    await this.netmap.close();
    // What is free is zero: nothing was written where nothing was handed out.
    assertZero(this.memory, REGIONS);
    assertZero(this.memory, { base: PRIVATE.base + PRIVATE.size / 2, size: PRIVATE.size / 2 });
  }
}

function fill(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += SECRET.length) bytes.set(SECRET.subarray(0, bytes.length - at), at);
}

function assertNoSecret(memory: WebAssembly.Memory): void {
  const seen = Buffer.from(memory.buffer as unknown as SharedArrayBuffer);
  assert.equal(seen.indexOf(SECRET), -1, 'bytes of another port in the memory of the program');
}

test(`a program that writes into the rings of its end, for ${TIME} ms`, async (t) => {
  const victim = new Victim();
  const attacker = new Peer(hostileWorker);
  await victim.open();
  const theirs = await Netmap.create({ memorySize: 1 << 26 });
  try {
    await attacker.call('attach', { handle: theirs.handle(attacker.worker), spec: PIPE[0] });
    const cable = joinPorts(await theirs.open(PIPE[1]), await victim.netmap.open('vale9:p}1', SLOTS));
    let over = false;
    const attack = attacker.call<number>('attack', { ms: TIME, where: 'rings', seed }, 600_000);
    void attack.finally(() => (over = true)).catch(() => {});
    let received = 0;
    let latest = performance.now();
    let worst = 0;
    for (let round = 0; !over; round++) {
      received += victim.exchange(round);
      await sleep(1);
      worst = Math.max(worst, performance.now() - latest);
      latest = performance.now();
    }
    t.diagnostic(`${await attack} writes, ${received} frames came; ${JSON.stringify(cable.counters())}`);
    // It was taken seriously.
    const { aToB, bToA } = cable.counters();
    assert.ok(received > 100 && aToB.drops.badSlot > 0 && aToB.badRings + bToA.badRings > 0);
    assert.ok(worst < 1000, `the thread was held up for ${worst} ms`);
    assertNoSecret(theirs.memory);
    await cable.close();
    await victim.assertUnharmed();
  } finally {
    await attacker.end();
    await theirs.close();
    await victim.close();
  }
});

test(`a program that writes anywhere in its memory, its host's own state included, for ${TIME} ms`, async (t) => {
  const victim = new Victim();
  const attacker = new Peer(hostileWorker);
  const cable = new Peer(new URL('./cable-worker.js', import.meta.url));
  await victim.open();
  try {
    // The program is its own control thread, and the cable has a worker: syncs run over memory that nobody can trust.
    const handle = await attacker.call<NetmapHandle>('create', { spec: PIPE[0] });
    const handles = [handle, victim.netmap.handle(cable.worker)];
    await cable.call('open', { handles, specs: [PIPE[1], 'vale9:p}1'], options: SLOTS });
    await cable.call('join');
    const ended = cable.call<{ code: string } | undefined>('ended', {}, 600_000).catch(() => undefined);
    let reason: unknown = 'none';
    void ended.then((why) => (reason = why));
    let over = false;
    const attack = attacker.call<number>('attack', { ms: TIME, where: 'anywhere', seed }, 600_000);
    void attack.finally(() => (over = true)).catch(() => {});
    let received = 0;
    for (let round = 0; !over; round++) {
      received += victim.exchange(round);
      await sleep(1);
    }
    t.diagnostic(`${await attack} writes, ${received} frames came; the cable has ended: ${JSON.stringify(reason)}`);
    assertNoSecret(handle.memory);
    await cable.end(); // whatever it was doing
    assert.equal((await victim.user.poll(abi.POLLOUT, { timeout: 0 })) & abi.POLLERR, 0);
    await victim.assertUnharmed();
  } finally {
    await cable.end();
    await attacker.end();
    await victim.close();
  }
});
