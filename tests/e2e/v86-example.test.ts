// examples/v86-two-guests.mjs, unchanged: the guests ping each other, and the switch has counted it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { root, run } from './support.js';
import { imageFolder, skip } from './v86-support.js';

test('two Linux guests ping each other', { skip, timeout: 600_000 }, async () => {
  const args = ['examples/v86-two-guests.mjs', imageFolder];
  const { code, stdout, report } = await run(process.execPath, args, { cwd: root, limit: 580 });
  assert.equal(code, 0, report);
  assert.match(stdout, /^a: 3 packets transmitted, 3 packets received/m, report);
  assert.match(stdout, /^b: RESULT pong packets=1000 lost=0 bad=0/m, report);
  assert.match(stdout, /^vale0:a: 1000 sent, \d+ received$/m, report);
});
