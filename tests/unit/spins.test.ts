// Which waits of a thread spin before they sleep.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Spins } from '../../src/ring/spins.js';

/** Waits until one shall spin: how many were to sleep at once. */
function skippedBefore(spins: Spins): number {
  let count = 0;
  while (spins.skip()) count++;
  return count;
}

test('the first wait spins, and after each spin in vain more waits sleep at once, up to 255', () => {
  const spins = new Spins();
  const skipped: number[] = [];
  for (let i = 0; i < 10; i++) {
    skipped.push(skippedBefore(spins));
    spins.ended(false);
  }
  assert.deepEqual(skipped, [0, 1, 3, 7, 15, 31, 63, 127, 255, 255]);
});

test('a spin that finds something makes the next waits spin', () => {
  const spins = new Spins();
  for (let i = 0; i < 4; i++) spins.ended(false);
  assert.equal(skippedBefore(spins), 15);
  spins.ended(true);
  for (let i = 0; i < 3; i++) assert.equal(spins.skip(), false);
  spins.ended(false);
  assert.equal(skippedBefore(spins), 1);
});
