// Runs one end of a stream to its end, blocking or from an event loop.
import assert from 'node:assert/strict';
import { abi } from '../../src/index.js';
import { CREDIT, DONE, LOSS_AFTER, STOP, type Stream, type StreamResult } from './stream.js';
import { pause, sleep } from './support.js';

export interface Pacing {
  /** A wait that takes this long (ms) has been forgotten. */
  readonly patience: number;
  /** Sleep a random time up to `sleepMs` after a random number of frames up to this; 0 = never. */
  readonly sleepEvery?: number;
  readonly sleepMs?: number;
}

/** Runs a stream to its end, blocking. */
export function runStream(stream: Stream, { patience, sleepEvery = 0, sleepMs = 2 }: Pacing): StreamResult {
  const { port, result, random } = stream;
  let rest = sleepEvery && random.below(sleepEvery);
  let before = 0;
  for (;;) {
    const want = stream.step();
    if (want === DONE) return result;
    if (want === CREDIT) waitForCredit(stream, patience);
    else {
      const ready = port.pollSync(want, patience);
      assert.notEqual(ready, 0, `nobody ended a wait: ${stream.describe(want)}`);
      assert.equal(ready & abi.POLLERR, 0, `the port is in error: ${stream.describe(want)}`);
    }
    result.waits++;
    const moved = result.sent + result.received - before;
    before += moved;
    rest -= moved;
    if (sleepEvery !== 0 && rest < 0) {
      pause(random.below(1000 * sleepMs) / 1000);
      result.sleeps++;
      rest = random.below(2 * sleepEvery);
    }
  }
}

function waitForCredit(stream: Stream, patience: number): void {
  const { words, index, value } = stream.ack;
  stream.port.txsync();
  if (stream.step() !== CREDIT) return;
  const ended = Atomics.wait(words, index, value, patience);
  assert.notEqual(ended, 'timed-out', `nothing was acknowledged: ${stream.describe(CREDIT)}`);
}

/** The same from an event loop. Sleeps 1 ms after about `sleepEvery` frames. */
export async function runStreamAsync(stream: Stream, { patience, sleepEvery = 500 }: Pacing): Promise<StreamResult> {
  const { port, result, random } = stream;
  let rest = sleepEvery;
  let before = 0;
  for (;;) {
    const want = stream.step();
    if (want === DONE) return result;
    if (want === CREDIT) {
      port.txsync();
      await sleep(1);
    } else {
      // After STOP a lossy stream looks up now and then: its last frame may be among the lost.
      const stopped = (): boolean => stream.lossy && Atomics.load(stream.ack.words, STOP) !== 0;
      const ready = await port.poll(want, { timeout: stopped() ? LOSS_AFTER : patience });
      assert.ok(ready !== 0 || stopped(), `nobody ended a wait: ${stream.describe(want)}`);
      assert.equal(ready & abi.POLLERR, 0, `the port is in error: ${stream.describe(want)}`);
    }
    result.waits++;
    const moved = result.sent + result.received - before;
    before += moved;
    rest -= moved;
    if (rest < 0) {
      await sleep(1);
      result.sleeps++;
      rest = random.below(2 * sleepEvery);
    }
  }
}
