// Workers that are terminated at random instants, while they open ports or sync them flat out, leave the host and their
// neighbours whole.
//   PTNET_KILLS   workers killed (default 200; 1000 is the long run)
//   PTNET_SEED    repeats a run's random choices
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { abi, type Guest, type HostPort, type Inspection, Netmap } from '../../src/index.js';
import { mac } from './frames.js';
import type { VictimStart } from './kill-worker.js';
import { Neighbours } from './neighbours.js';
import { Random, seed, size, sleep, until, within } from './support.js';

const KILLS = size('PTNET_KILLS', 200);
const PATIENCE = 20_000;
const random = new Random(seed);

/** A place that is taken by one victim after the other. */
interface Place {
  readonly guest?: Guest;
  readonly specs: readonly string[];
}

/** Starts a worker in the place and kills it: usually when it runs, sometimes before. */
async function killOne(netmap: Netmap, { guest, specs }: Place, number: number): Promise<void> {
  const worker = new Worker(new URL('./kill-worker.js', import.meta.url));
  let failure: unknown;
  worker.once('error', (error) => {
    failure = error;
  });
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  const running = new SharedArrayBuffer(4);
  const base = { specs, running, from: mac(100 + (number % 50)), seed: seed + number };
  const start: VictimStart = guest
    ? { ...base, guest: guest.handle(worker) }
    : { ...base, netmap: netmap.handle(worker) };
  worker.postMessage(start);
  if (random.below(4) === 0) {
    await sleep(random.below(60));
  } else {
    const runs = (): true | undefined => (Atomics.load(new Int32Array(running), 0) === 1 || failure ? true : undefined);
    await until(PATIENCE, `victim ${number} (${specs}) that runs`, runs);
    await sleep(random.below(20));
  }
  void worker.terminate();
  await within(PATIENCE, 'the end of a victim', ended);
  assert.equal(failure, undefined);
}

/** What must be as before when all victims are gone. */
function whole({ ports, regions, threads, memory, bridges }: Inspection): unknown {
  const names = ports.map(({ fd, name, thread }) => ({ fd, name, thread }));
  return { names, regions, threads, memory, bridges: bridges.map(({ name, ports }) => ({ name, ports })) };
}

function assertNoRingBusy(netmap: Netmap, ports: readonly HostPort[]): void {
  const words = new Int32Array(netmap.memory.buffer);
  for (const { info, name } of ports) {
    for (const { kring } of [...info.tx, ...info.rx]) {
      assert.equal(Atomics.load(words, (kring + abi.KRING_BUSY) >>> 2), 0, `a ring of ${name} is held`);
    }
  }
}

test(`${KILLS} workers terminated at random instants leave the host and their neighbours whole`, async () => {
  const netmap = await Netmap.create({ threads: 1 });
  const neighbours = new Neighbours(PATIENCE);
  try {
    const keep = await netmap.open('vale9:keep'); // its region stays, so that its pools can be counted
    const empty = whole(await netmap.inspect());
    const ends = await Promise.all(['vale9:keep{v', 'vale9:keep}v'].map((spec) => netmap.open(spec)));
    const guests = await Promise.all([netmap.createGuest(), netmap.createGuest()]);
    for (const [i, loop] of (['direct', 'notify'] as const).entries()) {
      await guests[i].passthrough(`vale0:${loop}`, { loop });
      await guests[i].passthrough(`netmap:g${i}{1`, { loop });
    }
    await neighbours.open(netmap);
    await neighbours.start();
    const places: Place[] = [
      { specs: ['vale0:v0', 'vale9:keep{v'] },
      { specs: ['vale0:v1', 'vale9:keep}v'] }, // the other end of the same pipe
      ...guests.map((guest, i) => ({ specs: [`guest ${i}`], guest })),
    ];
    const before = whole(await netmap.inspect());
    for (let kills = 0; kills < KILLS; kills += places.length) {
      await Promise.all(places.map((place, i) => killOne(netmap, place, kills + i)));
      await until(PATIENCE, 'everything that victims had, given back', async () => {
        const now = whole(await netmap.inspect());
        return JSON.stringify(now) === JSON.stringify(before) ? now : undefined;
      }).catch(async () => assert.deepEqual(whole(await netmap.inspect()), before));
      assertNoRingBusy(netmap, ends);
      await neighbours.moveOn();
    }
    const [pipeOne, , pipeTwo] = await within(PATIENCE, 'the end of the neighbours', neighbours.stop());
    assert.deepEqual([pipeOne.received, pipeTwo.received], [pipeTwo.sent, pipeOne.sent]);
    for (const guest of guests) await guest.close();
    for (const end of ends) await end.close();
    const after = await until(PATIENCE, 'threads gone', async () => {
      const now = await netmap.inspect();
      return now.threads === 2 ? now : undefined;
    });
    assert.deepEqual(whole(after), empty);
    assert.deepEqual([after.guests, after.lostWakeups], [[], 0]);
    assert.ok(keep.isOpen);
  } finally {
    await neighbours.end();
    await netmap.close();
  }
});
