// A guest of trust level 2 that means harm: it writes random and structured values to any byte of its BAR and its RAM
// and to its registers, while the host works on them and two neighbours exchange frames on the same switch and a pipe.
//   PTNET_HOSTILE   writes, half of them in each loop mode (default 10_000_000)
//   PTNET_SEED      repeats a run's random choices
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, test } from 'node:test';
import { abi, type HostPort, type LoopMode, Netmap } from '../../src/index.js';
import { arenaIn, assertForeignUntouched, assertZero, makeMemory, PRIVATE, REGIONS } from './foreign.js';
import { mac } from './frames.js';
import { Neighbours, PIPE, SWITCH } from './neighbours.js';
import { Peer, seed, size, sleep, within } from './support.js';

const WRITES = size('PTNET_HOSTILE', 10_000_000);
const PATIENCE = 20_000;
/** What the attacker sends from, among others. */
const HOSTILE = [2, 0, 0, 0, 0, 9];
const SLOTS = { txSlots: 256, rxSlots: 256 };

/** A port that does nothing, on another switch: its region and its krings must stay as they are. */
class Passive {
  readonly port: HostPort;
  readonly #ranges: { base: number; bytes: Buffer }[];
  readonly #buffer: SharedArrayBuffer;

  constructor(port: HostPort, netmap: Netmap, secret: Uint8Array) {
    this.port = port;
    this.#buffer = netmap.memory.buffer as unknown as SharedArrayBuffer;
    const { info } = port;
    for (const ring of [...port.txRings, ...port.rxRings]) {
      for (let i = 0; i < ring.numSlots; i++) fill(ring.buf(i), secret);
    }
    const krings = [...info.tx, ...info.rx].map(({ kring }) => ({ base: kring, size: abi.KRING_SIZE }));
    const all = [{ base: info.regionBase, size: info.memsize }, ...krings];
    this.#ranges = all.map(({ base, size }) => ({ base, bytes: Buffer.from(this.#view(base, size)) }));
  }

  #view(base: number, size: number): Buffer {
    return Buffer.from(this.#buffer, base, size);
  }

  assertUntouched(): void {
    for (const { base, bytes } of this.#ranges) {
      const now = this.#view(base, bytes.length);
      if (now.equals(bytes)) continue;
      assert.fail(
        `${this.port.name}: byte ${now.findIndex((byte, i) => byte !== bytes[i])} behind ${base} was written`,
      );
    }
  }
}

/** What only the passive ports hold must not be found anywhere else, not even in frames that the attacker has sent. */
function assertSecretsKept(
  memory: WebAssembly.Memory,
  passives: readonly Passive[],
  secrets: readonly Uint8Array[],
  used: number,
): void {
  let from = REGIONS.base;
  const gaps = [...passives.map(({ port }) => port.info), { regionBase: REGIONS.base + used, memsize: 0 }];
  for (const { regionBase, memsize } of gaps) {
    const gap = Buffer.from(memory.buffer as unknown as SharedArrayBuffer, from, regionBase - from);
    for (const secret of secrets) assert.equal(gap.indexOf(secret), -1, 'bytes of a port that sends nothing');
    from = regionBase + memsize;
  }
}

function fill(bytes: Uint8Array, pattern: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += pattern.length) bytes.set(pattern, at);
}

function makeSecret(n: number): Uint8Array {
  return Uint8Array.from({ length: 16 }, (_, i) => 0xa0 + n + 7 * i);
}

async function fuzz(mode: LoopMode, writes: number): Promise<void> {
  const memory = makeMemory();
  const netmap = await Netmap.create({
    ...arenaIn(memory),
    threads: 1,
  });
  const neighbours = new Neighbours(PATIENCE);
  const feeder = new Peer(new URL('./port-worker.js', import.meta.url));
  const attacker = new Peer(new URL('./hostile-worker.js', import.meta.url));
  const secrets = [0, 1, 2, 3, 4].map(makeSecret);
  try {
    // The attacker never hears a frame from the neighbours' addresses: if it sent one again, the switch would believe it.
    await neighbours.open(netmap, SLOTS);
    for (const [i, peer] of neighbours.peers.entries()) {
      for (const port of [PIPE, SWITCH]) await peer.call('paint', { port, pattern: secrets[2 + i] });
    }
    // Regions are handed out in order: the attacker's lies between those of the two passive ports.
    const one = new Passive(await netmap.open('vale7:one', SLOTS), netmap, secrets[0]);
    const guest = await netmap.createGuest();
    await guest.passthrough('vale0:hostile', { ...SLOTS, loop: mode, mac: HOSTILE });
    const two = new Passive(await netmap.open('vale7:two', SLOTS), netmap, secrets[1]);
    await neighbours.start();
    const before = await netmap.inspect();
    const bar = await attacker.call<{ base: number; size: number }>('attach', {
      handle: guest.handle(attacker.worker),
      seed,
    });
    await feeder.call('openHost', { handle: netmap.handle(feeder.worker), spec: 'vale0:feeder' });
    await feeder.call('paint', { pattern: secrets[4] });
    const feed = { from: mac(50), to: HOSTILE, len: 129, rest: 1 };
    const feeding = feeder.call('hammer', feed, 3_600_000).catch(() => {});
    const attack = attacker.call<number>('run', { writes, registersEvery: 3000, seed }, 3_600_000);
    let over = false;
    void attack.finally(() => (over = true)).catch(() => {});
    for (let round = 0; !over; round++) {
      await sleep(50);
      if (round % 20 === 0) assertSecretsKept(memory, [one, two], secrets.slice(0, 2), before.memory.regions);
      await neighbours.moveOn();
      // Frames reach the attacker too: so many bytes of each as were sent, and not one of what lies behind them.
      await neighbours.sayHello([101, 102]);
      const seen = Buffer.from(memory.buffer as unknown as SharedArrayBuffer, bar.base, bar.size);
      for (const secret of secrets) assert.equal(seen.indexOf(secret), -1, 'bytes of another port in the BAR');
    }
    assert.ok((await attack) >= writes);
    const after = await netmap.inspect();
    assert.deepEqual([after.threads, after.lostWakeups, after.lostWorkers], [before.threads + 2, 0, 0]);
    // It was taken seriously: frames have gone out of its rings and into them, bad slots and bad indices were found.
    const { counters } = after.ports.find(({ name }) => name === 'vale0:hostile') ?? assert.fail('no port');
    const { txPackets, rxPackets, badSlots, reinits, kicks } = counters;
    for (const count of [txPackets, rxPackets, badSlots, reinits, kicks]) assert.ok(count > writes / 1e5);
    for (const peer of [feeder, attacker]) await peer.end();
    await feeding;
    await guest.close();
    const [pipeOne, , pipeTwo] = await within(PATIENCE, 'the end of the neighbours', neighbours.stop());
    assert.deepEqual([pipeOne.received, pipeTwo.received], [pipeTwo.sent, pipeOne.sent]);
    one.assertUntouched();
    two.assertUntouched();
    for (const { port } of [one, two]) await port.close();
    const { ports, guests, regions, memory: used } = await netmap.inspect();
    assert.deepEqual([ports, guests, regions, used.regions], [[], [], [], 0]);
  } finally {
    for (const peer of [feeder, attacker]) await peer.end();
    await neighbours.end();
    await netmap.close();
  }
  assertForeignUntouched(memory);
  // What is free is zero: nothing was written where nothing was handed out.
  assertZero(memory, REGIONS);
  assertZero(memory, { base: PRIVATE.base + PRIVATE.size / 2, size: PRIVATE.size / 2 });
}

describe('a hostile guest harms nobody: nothing of others is touched, its neighbours lose nothing on their pipe', () => {
  for (const mode of ['notify', 'direct'] as const) {
    test(`${WRITES / 2} writes, mode ${mode}`, () => fuzz(mode, WRITES / 2));
  }
});
