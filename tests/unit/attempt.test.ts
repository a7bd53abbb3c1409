import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Attempt } from '../../src/exec/attempt.js';

test('a failed attempt is not kept, one that succeeds is', async () => {
  let tries = 0;
  const attempt = new Attempt(async () => {
    tries++;
    if (tries === 1) throw new Error('no memory');
    return tries;
  });
  assert.equal(await attempt.last, undefined);
  const both = await Promise.allSettled([attempt.result(), attempt.result()]);
  assert.deepEqual(
    both.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  assert.equal(tries, 1);
  assert.equal(await attempt.last, undefined);
  assert.deepEqual([await attempt.result(), await attempt.result(), await attempt.last], [2, 2, 2]);
});
