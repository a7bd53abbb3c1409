// One contender of a delivery: the program that fills, syncs and reads, batch by batch. Each has a copy of this module
// (bench/own-copy.ts).
import type { NetmapRing } from 'ptnet';
import type { Delivery } from './delivery.js';
import { guestProgram } from './guest-program.js';
import { drain, fill, type Mover, makeFrames, proveDelivery, proveRing } from './program.js';
import { BATCH, type Contender, checkAgain } from './types.js';
import type { World } from './world.js';

export function contender(name: string, world: World, delivery: Delivery, inWasm: boolean): Contender {
  const { netmap, tx, rx, sync } = world;
  const { size, application, fragments } = delivery;
  const { fill: send, drain: take } = inWasm ? guestProgram(netmap.memory) : { fill, drain };
  const [first, ...others] = rx; // an element of an array is no constant
  makeFrames(tx, size, rx.length);
  const mover: Mover = { tx, rx, sync, batch: BATCH, size, ...(fragments !== undefined && { fragments }) };
  const digest = proveDelivery(mover);
  const ringDigest = proveRing(mover);
  const got = { packets: 0, sum: 0 };
  let sent = 0;
  const skip = (ring: NetmapRing): void => {
    const { space } = ring;
    got.packets += space;
    ring.advance(space);
  };
  const moves = (): void => {
    tx.advance(BATCH);
    sent += BATCH;
    sync();
    skip(first);
    for (const ring of others) skip(ring);
  };
  // One: V8 inlines only so much into one function, and a ring is a constant only in what is inlined.
  if (application === 'reads and writes' && others.length > 0) throw new Error('a program that reads has one receiver');
  const readsAndWrites = (): void => {
    send(tx, BATCH, sent, size, 0);
    sent += BATCH;
    sync();
    take(first, got);
  };
  const run = application === 'moves' ? moves : readsAndWrites;
  const checkCounts = (): void => {
    if (got.packets !== sent) throw new Error(`${name}: ${sent} packets sent, ${got.packets} received`);
    if (application === 'moves') return;
    // Sequence numbers and lengths of all that were sent, modulo 2^32.
    const n = BigInt(sent);
    if (got.sum !== Number(BigInt.asIntN(32, (n * (n - 1n)) / 2n + n * BigInt(size)))) {
      throw new Error(`${name}: what was received is not what was sent`);
    }
  };
  const check = (): void => {
    checkCounts();
    while (tx.head !== 0) run();
    checkAgain(name, () => proveRing(mover), ringDigest);
  };
  return { name, run, digest, check };
}
