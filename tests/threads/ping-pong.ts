// One frame at a time, to and fro, with pauses about as long as the spinning before a sleep: every wait ends by its own
// wake-up or not at all, so that a lost one is not repaired by the next frame.
import assert from 'node:assert/strict';
import { abi, type NetmapPort, type NetmapRing } from '../../src/index.js';
import { addresses, checkFrame, frameStream, MIN_FRAME, writeFrame } from './frames.js';
import { burn, Random, sleep } from './support.js';

/** Puts one frame into a tx ring. */
export function putFrame(
  ring: NetmapRing,
  to: readonly number[],
  from: readonly number[],
  seq: number,
  stream: number,
  len = MIN_FRAME,
): void {
  writeFrame(ring.i32, ring.u8, ring.bufAddress(ring.head), len, addresses(to, from), seq, stream);
  ring.setSlot(ring.head, len);
  ring.advance(1);
}

/** Releases everything that has been received; how many slots. */
export function takeFrames(port: NetmapPort): number {
  let taken = 0;
  for (const ring of port.rxRings) {
    taken += ring.space;
    if (ring.space !== 0) ring.advance(ring.space);
  }
  return taken;
}

export interface PingPong {
  readonly to: readonly number[];
  readonly from: readonly number[];
  readonly id: number;
  /** Whether this side sends the first frame. */
  readonly serves: boolean;
  readonly rounds: number;
  /** Longest time to think before an answer (µs). */
  readonly think: number;
  /** A wait that takes this long (ms) has been forgotten. */
  readonly patience: number;
  readonly seed: number;
}

/** Takes frame number `round` if it is there; other streams' frames are ignored. */
function received(port: NetmapPort, id: number, round: number): boolean {
  for (const ring of port.rxRings) {
    while (ring.space !== 0) {
      const { len } = ring.slot(ring.head);
      const at = ring.bufAddress(ring.head);
      const ours = frameStream(ring.i32, at) === id;
      if (ours) assert.equal(checkFrame(ring.i32, ring.u8, at, len), round);
      ring.advance(1);
      if (ours) return true;
    }
  }
  return false;
}

/** Plays one side of the game, blocking. Returns the longest round in ms. */
export function pingPong(port: NetmapPort, game: PingPong): number {
  const random = new Random(game.seed);
  let longest = 0;
  for (let round = 0; round < game.rounds; round++) {
    const started = performance.now();
    if (game.serves) send(port, game, round, random);
    while (!received(port, game.id, round)) {
      if (random.below(4) === 0 && port.pollSync(abi.POLLIN, random.below(100) / 1000) !== 0) continue; // gives up soon
      const ready = port.pollSync(abi.POLLIN, game.patience);
      assert.equal(ready, abi.POLLIN, `round ${round}: a wait was forgotten, or failed`);
    }
    longest = Math.max(longest, performance.now() - started);
    burn(random.below(game.think));
    if (!game.serves) send(port, game, round, random);
  }
  return longest;
}

/** The same from an event loop. */
export async function pingPongAsync(port: NetmapPort, game: PingPong): Promise<void> {
  const random = new Random(game.seed);
  for (let round = 0; round < game.rounds; round++) {
    if (game.serves) send(port, game, round, random);
    while (!received(port, game.id, round)) {
      if (random.below(16) === 0 && (await port.poll(abi.POLLIN, { timeout: random.below(2) })) !== 0) continue;
      const ready = await port.poll(abi.POLLIN, { timeout: game.patience });
      assert.equal(ready, abi.POLLIN, `round ${round}: a wait was forgotten, or failed`);
    }
    if (random.below(16) === 0) await sleep(0);
    burn(random.below(game.think));
    if (!game.serves) send(port, game, round, random);
  }
}

/** Sends explicitly, or leaves it to the next wait, which sends too; the last frame of all has no next wait. */
function send(port: NetmapPort, { to, from, id, rounds }: PingPong, round: number, random: Random): void {
  putFrame(port.txRings[0], to, from, round, id);
  if (round === rounds - 1 || random.below(2) === 0) port.txsync();
}
