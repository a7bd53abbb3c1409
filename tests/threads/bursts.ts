// A sender that wants room for a whole burst before it sends (cur ahead of head), and a receiver that gives slots back
// piecemeal: waits for a part of a ring, which neither a full nor an empty ring ends.
import assert from 'node:assert/strict';
import { abi, type NetmapPort } from '../../src/index.js';
import { checkFrame, mac } from './frames.js';
import { putFrame } from './ping-pong.js';
import { burn, Random } from './support.js';

export interface Bursts {
  readonly sends: boolean;
  readonly bursts: number;
  /** Both sides draw the lengths of bursts from this. */
  readonly lengths: number;
  /** A wait that takes this long (ms) has been forgotten. */
  readonly patience: number;
  readonly seed: number;
}

/** Plays one side. Returns the frames. */
export function runBursts(port: NetmapPort, { sends, bursts, lengths, patience, seed }: Bursts): number {
  const lengthOf = new Random(lengths);
  const random = new Random(seed);
  const [ring] = sends ? port.txRings : port.rxRings;
  let frames = 0;
  for (let burst = 0; burst < bursts; burst++) {
    const length = 1 + lengthOf.below(ring.numSlots - 1);
    if (sends) {
      waitForRoom(port, length, patience);
      for (let i = 0; i < length; i++) putFrame(ring, mac(2), mac(1), frames++, 1);
      // Or the next wait sends them; the last burst of all has no next wait.
      if (random.below(2) === 0 || burst === bursts - 1) port.txsync();
      continue;
    }
    for (const end = frames + length; frames < end; ) {
      if (ring.space === 0) assert.equal(port.pollSync(abi.POLLIN, patience), abi.POLLIN, `burst ${burst}: no frames`);
      const part = Math.min(1 + random.below(ring.space), end - frames);
      for (let i = 0, slot = ring.head; i < part; i++, slot = ring.next(slot)) {
        assert.equal(checkFrame(ring.i32, ring.u8, ring.bufAddress(slot), ring.slot(slot).len), frames++);
      }
      ring.advance(part);
      if (random.below(4) === 0) burn(random.below(60));
      port.rxsync();
    }
  }
  return frames;
}

function waitForRoom(port: NetmapPort, slots: number, patience: number): void {
  const [ring] = port.txRings;
  for (;;) {
    if (ring.space >= slots) return;
    ring.cur = ring.tail; // more than there is now
    assert.equal(port.pollSync(abi.POLLOUT, patience), abi.POLLOUT, `${slots} slots wanted, ${ring.space} came`);
  }
}
